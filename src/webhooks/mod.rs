//! Webhooks: HTTP requests that report the events of streams and cameras to the back end.
//!
//! | Module | Owns |
//! |---|---|
//! | [`message`] | the JSON of an event |
//! | [`receiver`] | the URL of the receiver, requests to it, and the meaning of its responses |
//! | [`signature`] | the signature by which a receiver recognizes webhooks of the manager |
//! | [`queue`] | the order of events, retries, and dropping events that cannot be delivered |
//! | [`report`] | log lines about undelivered events |
//!
//! Webhooks do not slow streams, because supervisors publish events without waiting. Webhooks delay the manager's
//! shutdown by a few seconds at most. `crate::stream::reporter` decides which events of streams are published, and
//! `crate::reachability::monitor` which events of cameras.

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tracing::{error, info, warn};

use crate::base::secret::Secret;
use crate::base::tasks::EndedTasks;
use crate::events::bus::Bus;
use queue::Queue;
use receiver::{Receiver, UrlError};
use signature::{SecretError, Signer};

pub(crate) mod message;
mod queue;
mod receiver;
pub(crate) mod report;
pub(crate) mod signature;

/// The settings of webhooks.
#[derive(Debug, Clone)]
pub(crate) struct WebhookSettings {
    /// `WEBHOOK_URL`, which may contain a token. If `None`, no webhooks are sent.
    pub(crate) url: Option<Secret>,
    /// `WEBHOOK_SECRET`, the key that signs webhooks. If `None`, webhooks are not signed.
    pub(crate) secret: Option<Secret>,
}

/// The reason why webhooks cannot be sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WebhookError {
    /// `WEBHOOK_URL` cannot be used.
    #[error("WEBHOOK_URL cannot be used")]
    Url(#[source] UrlError),
    /// `WEBHOOK_SECRET` cannot be used.
    #[error("WEBHOOK_SECRET cannot be used")]
    Secret(#[source] SecretError),
}

/// The delivery of events in the background; `None` if `WEBHOOK_URL` is not set.
#[derive(Debug)]
pub(crate) struct Webhooks(Option<Delivery>);

#[derive(Debug)]
struct Delivery {
    task: JoinHandle<()>,
    /// Ends the delivery when dropped.
    end: oneshot::Sender<()>,
}

impl Webhooks {
    /// Starts the delivery of events that are published on `bus`. If the delivery ends early, `ended_tasks`
    /// records this. Does nothing if `WEBHOOK_URL` is not set.
    pub(crate) fn start(
        settings: &WebhookSettings,
        bus: &Bus,
        ended_tasks: &EndedTasks,
    ) -> Result<Self, WebhookError> {
        let Some(url) = &settings.url else { return Ok(Self(None)) };
        let secret = settings.secret.as_ref().map(|secret| secret.expose().as_bytes());
        let signer = secret.map(Signer::new).transpose().map_err(WebhookError::Secret)?;
        let receiver = Receiver::new(url, signer).map_err(WebhookError::Url)?;
        info!(url = %receiver, "sending webhooks");
        if secret.is_none() {
            warn!("WEBHOOK_SECRET is not set, so webhooks are not signed");
        }
        let (end, ended) = oneshot::channel();
        let delivery = Queue::new(receiver, bus.subscribe()).run(ended);
        let task = tokio::spawn(ended_tasks.watch("delivery of webhooks", delivery));
        Ok(Self(Some(Delivery { task, end })))
    }

    /// Ends the delivery. Waits at most [`queue::DELIVER_AT_END_WITHIN`] for the delivery of events
    /// that have been published.
    pub(crate) async fn finish(self) {
        let Some(Delivery { task, end }) = self.0 else { return };
        drop(end);
        if let Err(error) = task.await {
            error!(%error, "the delivery of webhooks ended unexpectedly");
        }
    }
}
