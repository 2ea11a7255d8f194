//! Which camera of which owner has an id, so that what was stored for one camera is never shown for another camera, or to
//! another owner, with the same id.

use std::sync::Arc;

/// Which camera of which owner has an id. The identity changes when the camera is deleted and added again, and when it
/// gets another owner. Cheap to clone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// A random number that was chosen when the camera was added.
    pub incarnation: i64,
    /// The owner; `None` if the camera has no owner.
    pub owner: Option<Arc<str>>,
}

/// Returns the incarnation of a camera that is being added: a random number greater than 0.
pub(crate) fn new_incarnation() -> i64 {
    fastrand::i64(1..)
}
