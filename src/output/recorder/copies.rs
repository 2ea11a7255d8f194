//! Which files are copied to another place, and the signal that there is something to copy. The module `offsite` makes the
//! copies.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::camera::id::Profile;
use crate::store::db::recording_writes::CopyRule;

/// The rules for copies. Cheap to clone. By default, nothing is copied.
#[derive(Debug, Clone, Default)]
pub(crate) struct Copies(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    main: CopyRule,
    sub: CopyRule,
    changed: Notify,
}

impl Copies {
    /// Creates the rules for main streams and for sub streams.
    pub(crate) fn new(main: CopyRule, sub: CopyRule) -> Self {
        Self(Arc::new(Inner { main, sub, changed: Notify::new() }))
    }

    /// Returns the rule for the streams of a profile.
    pub(crate) fn rule(&self, profile: Profile) -> CopyRule {
        if profile == Profile::Sub { self.0.sub } else { self.0.main }
    }

    /// Returns true if files can be queued.
    pub(crate) fn is_on(&self) -> bool {
        self.0.main != CopyRule::Never || self.0.sub != CopyRule::Never
    }

    /// Reports that files or deletions of copies may have been queued.
    pub(crate) fn note_change(&self) {
        self.0.changed.notify_one();
    }

    /// Waits until something may have been queued since the last call.
    pub(crate) async fn changed(&self) {
        self.0.changed.notified().await;
    }
}
