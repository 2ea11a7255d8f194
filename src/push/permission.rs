//! The check which subscribers can see an event. The layer above implements it, because it depends on cameras and API keys.

use std::sync::Arc;

use super::subscription::Subscription;
use crate::base::error::Error;
use crate::events::Event;

/// Decides which subscribers can see an event.
pub(crate) trait Permission: Send + Sync + 'static {
    /// Returns those of the subscriptions whose holders can see the event.
    fn permitted(
        &self,
        event: &Event,
        subscriptions: Vec<Arc<Subscription>>,
    ) -> impl Future<Output = Result<Permitted, Error>> + Send;
}

/// The subscriptions whose holders can see an event.
#[derive(Debug, Default)]
pub(crate) struct Permitted {
    /// The name of the event's camera.
    pub(crate) camera_name: Option<String>,
    /// The subscriptions, and whether their holders can watch what was recorded.
    pub(crate) subscriptions: Vec<(Arc<Subscription>, bool)>,
}
