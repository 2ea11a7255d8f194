//! Webhooks: what happens to streams, told to the back end over HTTP.
//!
//! | Module | Does |
//! |---|---|
//! | [`message`] | an event as it goes over the wire |
//! | [`receiver`] | `WEBHOOK_URL`: what may stand there, how it is asked, what its answers mean |
//! | [`signature`] | how a receiver knows that it was us |
//! | [`queue`] | order, retries, and what is given up |
//! | [`report`] | what did not arrive, in the log |
//!
//! Nothing here slows a stream or the manager's end: the supervisors tell without waiting, what
//! waits is bounded, and so is every time. What is worth an event is `crate::events`.

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tracing::{error, info, warn};

use crate::base::secret::Secret;
use crate::events::bus::Bus;
use queue::Queue;
use receiver::Receiver;

pub mod message;
pub mod queue;
pub mod receiver;
pub mod report;
pub mod signature;

/// The settings of webhooks.
#[derive(Debug, Clone)]
pub struct WebhookSettings {
    /// `WEBHOOK_URL`, which can hold a token. If `None`, no event is sent.
    pub url: Option<Secret>,
    /// `WEBHOOK_SECRET`, the key that signs events.
    pub secret: Option<Secret>,
}

/// The delivery of events, while the manager runs.
#[derive(Debug)]
pub struct Webhooks(Option<Running>);

#[derive(Debug)]
struct Running {
    delivery: JoinHandle<()>,
    /// Dropped or sent to end the delivery.
    end: oneshot::Sender<()>,
}

impl Webhooks {
    /// Starts the delivery of what is published on `bus`, if the settings ask for it. The error is
    /// one line for the operator.
    pub fn start(settings: &WebhookSettings, bus: &Bus) -> Result<Self, String> {
        let Some(url) = &settings.url else { return Ok(Self(None)) };
        let receiver = Receiver::new(url, settings.secret.as_ref())?;
        info!(url = %receiver, "webhooks are sent");
        if settings.secret.is_none() {
            warn!("WEBHOOK_SECRET is not set: webhooks are not signed");
        }
        let (end, ended) = oneshot::channel();
        let delivery = tokio::spawn(Queue::new(receiver, bus.subscribe()).run(ended));
        Ok(Self(Some(Running { delivery, end })))
    }

    /// Delivers what was told until now, within [`queue::LAST_WORDS`], and ends.
    pub async fn finish(self) {
        let Some(Running { delivery, end }) = self.0 else { return };
        drop(end);
        if let Err(error) = delivery.await {
            error!(%error, "the delivery of webhooks failed");
        }
    }
}
