//! The permission to watch a camera.

use tokio::sync::watch;

use super::Caller;
use crate::base::error::{Error, ErrorKind};

/// The permission of a user to watch a camera, with the owner that the camera must have and the end of
/// the permission.
#[derive(Debug, Clone)]
pub(crate) struct Permit {
    user: String,
    owner: Option<String>,
    /// True for an API key: its user can add a camera that is unknown.
    covers_unknown: bool,
    /// The end of the permission, in Unix seconds.
    until: Option<u64>,
    revoked: Option<watch::Receiver<bool>>,
}

impl Permit {
    /// The permission that comes with an API key. It does not end.
    pub(crate) fn of_caller(caller: &Caller) -> Self {
        Self {
            user: caller.name().to_owned(),
            owner: caller.owner().map(str::to_owned),
            covers_unknown: true,
            until: None,
            revoked: None,
        }
    }

    /// The permission of a playback session until `until`, in Unix seconds, for cameras of `owner`.
    /// Without an owner it is for all cameras that its token names.
    pub(crate) fn of_session(user: String, owner: Option<String>, until: u64) -> Self {
        Self { user, owner, covers_unknown: false, until: Some(until), revoked: None }
    }

    /// The same permission, which also ends when `revoked` becomes true.
    #[must_use]
    pub(crate) fn until_revoked(self, revoked: watch::Receiver<bool>) -> Self {
        Self { revoked: Some(revoked), ..self }
    }

    /// The user who watches: the one in the token, or the API key's name.
    pub(crate) fn user(&self) -> &str {
        &self.user
    }

    /// The owner that the camera must have; `None` for any.
    pub(crate) fn owner(&self) -> Option<&str> {
        self.owner.as_deref()
    }

    /// Returns whether the permission covers a camera that is unknown.
    pub(crate) fn covers_unknown(&self) -> bool {
        self.covers_unknown
    }

    /// Refuses a permission that has ended at `now`, in Unix seconds.
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
    fn a_permit_ends_with_its_time_or_its_session() {
        let (ended, revoked) = watch::channel(false);
        let permit = Permit::of_session("anna".into(), None, 100).until_revoked(revoked);
        assert_eq!((permit.user(), permit.owner()), ("anna", None));
        permit.ensure_valid(99).expect("the last second");
        assert_eq!(permit.ensure_valid(100).expect_err("expired").kind, ErrorKind::Unauthorized);
        ended.send_replace(true);
        assert_eq!(permit.ensure_valid(1).expect_err("ended").kind, ErrorKind::Unauthorized);
    }
}
