//! Push servers and permissions for tests.

use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use super::client::{Outcome, Post};
use super::notification::Notification;
use super::permission::{Permission, Permitted};
use super::subscription::Subscription;
use crate::base::error::{Error, ErrorKind};
use crate::base::lock::lock;
use crate::events::Event;

/// The refusal that makes [`FakePost`] panic.
pub(super) const FAULT: &str = "a panic on purpose";

/// A push server for which the test decides the outcome of every request.
pub(super) struct FakePost(pub(super) mpsc::UnboundedSender<Request>);

/// A request.
pub(super) struct Request {
    /// The id of the subscription.
    pub(super) to: String,
    /// The content of the notification.
    pub(super) content: Value,
    /// Ends the request with an outcome. If dropped, there is no response.
    pub(super) answer: oneshot::Sender<Outcome>,
}

impl Post for FakePost {
    async fn post(&self, to: &Subscription, notification: &Notification) -> Outcome {
        let (answer, answered) = oneshot::channel();
        let content = serde_json::from_slice(&notification.content).expect("JSON");
        let _ = self.0.send(Request { to: to.id.clone(), content, answer });
        match answered.await {
            Ok(Outcome::Refused(cause)) if cause == FAULT => panic!("{FAULT}"),
            Ok(outcome) => outcome,
            Err(_) => std::future::pending().await,
        }
    }
}

/// Permits all events, except those that the test forbids.
#[derive(Clone, Default)]
pub(super) struct FakePermission(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    forbidden: Vec<String>,
    is_failing: bool,
    checks: usize,
}

impl FakePermission {
    /// Takes the permission of a subscription's holder.
    pub(super) fn forbid(&self, id: &str) {
        lock(&self.0).forbidden.push(id.to_owned());
    }

    /// Makes the checks fail, or succeed again.
    pub(super) fn set_failing(&self, is_failing: bool) {
        lock(&self.0).is_failing = is_failing;
    }

    /// Returns the number of checks.
    pub(super) fn checks(&self) -> usize {
        lock(&self.0).checks
    }
}

impl Permission for FakePermission {
    async fn permitted(
        &self,
        _event: &Event,
        subscriptions: Vec<Arc<Subscription>>,
    ) -> Result<Permitted, Error> {
        let mut state = lock(&self.0);
        state.checks += 1;
        if state.is_failing {
            return Err(Error::new(ErrorKind::StorageUnavailable, "no database"));
        }
        let permitted = subscriptions.into_iter().filter(|it| !state.forbidden.contains(&it.id));
        Ok(Permitted {
            camera_name: Some("Front door".to_owned()),
            subscriptions: permitted.map(|it| (it, true)).collect(),
        })
    }
}
