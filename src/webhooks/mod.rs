//! Webhooks: sends what happens to streams to the back end over HTTP.
//!
//! | Module | Owns |
//! |---|---|
//! | [`message`] | an event as it is sent |
//! | [`receiver`] | what `WEBHOOK_URL` can be, how events are sent to it, and what its answers mean |
//! | [`signature`] | the signature by which a receiver recognizes the manager |
//! | [`queue`] | the order of events, retries, and when an event is given up |
//! | [`report`] | undelivered events, in the log |
//!
//! Nothing here slows a stream or the manager's end: supervisors publish without waiting, every
//! queue is bounded, and so is every wait. Which events there are is decided by `crate::stream::reporter`.

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tracing::{error, info, warn};

use crate::base::secret::Secret;
use crate::events::bus::Bus;
use queue::Queue;
use receiver::{Receiver, UrlError};
use signature::{SecretError, Signer};

pub(crate) mod message;
mod queue;
mod receiver;
mod report;
pub(crate) mod signature;

/// The settings of webhooks.
#[derive(Debug, Clone)]
pub(crate) struct WebhookSettings {
    /// `WEBHOOK_URL`, which can hold a token. If `None`, no event is sent.
    pub(crate) url: Option<Secret>,
    /// `WEBHOOK_SECRET`, the key that signs events.
    pub(crate) secret: Option<Secret>,
}

/// A setting that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WebhookError {
    /// The receiver's address.
    #[error("WEBHOOK_URL cannot be used")]
    Url(#[source] UrlError),
    /// The key that signs events.
    #[error("WEBHOOK_SECRET cannot be used")]
    Secret(#[source] SecretError),
}

/// The delivery of events, while the manager runs.
#[derive(Debug)]
pub(crate) struct Webhooks(Option<Delivery>);

#[derive(Debug)]
struct Delivery {
    task: JoinHandle<()>,
    /// Dropped to end the delivery.
    end: oneshot::Sender<()>,
}

impl Webhooks {
    /// Starts to deliver what is published on `bus`, if the settings ask for it.
    pub(crate) fn start(settings: &WebhookSettings, bus: &Bus) -> Result<Self, WebhookError> {
        let Some(url) = &settings.url else { return Ok(Self(None)) };
        let secret = settings.secret.as_ref().map(|secret| secret.expose().as_bytes());
        let signer = secret.map(Signer::new).transpose().map_err(WebhookError::Secret)?;
        let receiver = Receiver::new(url, signer).map_err(WebhookError::Url)?;
        info!(url = %receiver, "webhooks are sent");
        if secret.is_none() {
            warn!("WEBHOOK_SECRET is not set: webhooks are not signed");
        }
        let (end, ended) = oneshot::channel();
        let task = tokio::spawn(Queue::new(receiver, bus.subscribe()).run(ended));
        Ok(Self(Some(Delivery { task, end })))
    }

    /// Delivers what has been published so far, within [`queue::DELIVER_AT_END_WITHIN`], and ends.
    pub(crate) async fn finish(self) {
        let Some(Delivery { task, end }) = self.0 else { return };
        drop(end);
        if let Err(error) = task.await {
            error!(%error, "the delivery of webhooks failed");
        }
    }
}
