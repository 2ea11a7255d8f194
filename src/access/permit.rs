//! The permission to watch a camera.

use std::time::Duration;

use tokio::sync::watch;

use super::Caller;
use crate::base::error::{Error, ErrorKind};
use crate::base::time::unix_now;

/// The permission of a user to watch a camera, with the owner that the camera must have and the end of
/// the permission.
#[derive(Debug, Clone)]
pub(crate) struct Permit {
    user: String,
    owner: Option<String>,
    /// True if the permission also covers cameras that are not in the camera store, as the permission
    /// of an API key does.
    covers_unknown: bool,
    /// The end of the permission, in Unix seconds; `None` if it does not end.
    until: Option<u64>,
    /// Becomes true when the playback session is ended early.
    revoked: Option<watch::Receiver<bool>>,
}

impl Permit {
    /// Creates the permission that an API key gives, which does not end.
    pub(crate) fn of_caller(caller: &Caller) -> Self {
        Self {
            user: caller.name().to_owned(),
            owner: caller.owner().map(str::to_owned),
            covers_unknown: true,
            until: None,
            revoked: None,
        }
    }

    /// Creates the permission that a playback session gives until `until`, in Unix seconds. If
    /// `owner` is not `None`, the camera must belong to this owner.
    pub(crate) fn of_session(user: String, owner: Option<String>, until: u64) -> Self {
        Self { user, owner, covers_unknown: false, until: Some(until), revoked: None }
    }

    /// Returns the same permission, limited to the time before `revoked` becomes true.
    #[must_use]
    pub(crate) fn until_revoked(self, revoked: watch::Receiver<bool>) -> Self {
        Self { revoked: Some(revoked), ..self }
    }

    /// Returns the user who watches: the user in the token, the API key's name, or `anybody` if there are
    /// no API keys.
    pub(crate) fn user(&self) -> &str {
        &self.user
    }

    /// Returns the owner that the camera must have; `None` if the owner does not matter.
    pub(crate) fn owner(&self) -> Option<&str> {
        self.owner.as_deref()
    }

    /// Returns whether a playback session gave the permission.
    pub(crate) fn is_of_session(&self) -> bool {
        self.until.is_some()
    }

    /// Returns whether the permission also covers cameras that are not in the camera store.
    pub(crate) fn covers_unknown(&self) -> bool {
        self.covers_unknown
    }

    /// Waits until the permission may have ended, because its time is over or it was revoked. Never returns if it does
    /// not end.
    pub(crate) async fn ended(&self) {
        let over = async {
            let Some(until) = self.until else { return std::future::pending().await };
            tokio::time::sleep(Duration::from_secs(until.saturating_sub(unix_now()))).await;
        };
        let revoked = async {
            let Some(mut revoked) = self.revoked.clone() else {
                return std::future::pending().await;
            };
            // If the sender is gone, the permission can no longer be revoked.
            if revoked.wait_for(|revoked| *revoked).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = over => {}
            () = revoked => {}
        }
    }

    /// Returns an error if the permission has been revoked, or has expired at `now`, in Unix
    /// seconds.
    pub(crate) fn ensure_valid(&self, now: u64) -> Result<(), Error> {
        let ended = |detail| Err(Error::new(ErrorKind::Unauthorized, detail));
        if self.revoked.as_ref().is_some_and(|revoked| *revoked.borrow()) {
            return ended("the playback session was ended");
        }
        if self.until.is_some_and(|until| now >= until) {
            return ended("the playback token has expired");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permit_ends_when_it_expires_or_is_revoked() {
        let (ended, revoked) = watch::channel(false);
        let permit = Permit::of_session("anna".into(), None, 100).until_revoked(revoked);
        assert_eq!((permit.user(), permit.owner()), ("anna", None));
        permit.ensure_valid(99).expect("the last second");
        assert_eq!(permit.ensure_valid(100).expect_err("expired").kind, ErrorKind::Unauthorized);
        ended.send_replace(true);
        assert_eq!(permit.ensure_valid(1).expect_err("ended").kind, ErrorKind::Unauthorized);
    }
}
