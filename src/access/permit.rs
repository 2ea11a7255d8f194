//! The permission to watch a camera.

use std::time::Duration;

use tokio::sync::watch;

use super::Caller;
use super::rights::{Right, Rights};
use crate::base::error::{Error, ErrorKind};
use crate::base::time::unix_now;
use crate::base::time_span::TimeSpan;

/// The permission of a user to watch a camera, with the owner that the camera must have and the end of
/// the permission.
#[derive(Debug, Clone)]
pub(crate) struct Permit {
    user: String,
    owner: Option<String>,
    /// True if the permission also covers cameras that are not in the camera store, as the permission
    /// of an API key does.
    covers_unknown: bool,
    rights: Rights,
    /// The time to which the right `recordings` is limited; `None` for all times.
    span: Option<TimeSpan>,
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
            rights: caller.rights(),
            span: None,
            until: None,
            revoked: None,
        }
    }

    /// Creates the permission that a playback session gives until `until`, in Unix seconds. If
    /// `owner` is not `None`, the camera must belong to this owner.
    pub(crate) fn of_session(
        user: String,
        owner: Option<String>,
        rights: Rights,
        until: u64,
    ) -> Self {
        let (covers_unknown, span, until, revoked) = (false, None, Some(until), None);
        Self { user, owner, covers_unknown, rights, span, until, revoked }
    }

    /// Returns the same permission, whose right `recordings` is limited to a time; `None` for all times.
    #[must_use]
    pub(crate) fn limited_to(self, span: Option<TimeSpan>) -> Self {
        Self { span, ..self }
    }

    /// Returns the same permission, limited to the cameras of this owner, unless it is limited to an owner already.
    #[must_use]
    pub(crate) fn limited_to_owner(self, owner: Option<String>) -> Self {
        Self { owner: self.owner.or(owner), ..self }
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

    /// Returns an error if the permission does not include a right.
    pub(crate) fn ensure_right(&self, right: Right) -> Result<(), Error> {
        self.rights.ensure(right)
    }

    /// Returns whether the permission includes everything that was recorded of its cameras.
    pub(crate) fn covers_all_recordings(&self) -> bool {
        self.rights.has(Right::Recordings) && self.span.is_none()
    }

    /// Returns the time to which the right `recordings` is limited; `None` for all times.
    pub(crate) fn span(&self) -> Option<TimeSpan> {
        self.span
    }

    /// Returns an error if the permission does not cover what was recorded in this time.
    pub(crate) fn ensure_covers(&self, span: TimeSpan) -> Result<(), Error> {
        self.ensure_right(Right::Recordings)?;
        match self.span {
            Some(limit) if !limit.contains(span) => {
                let detail = format!("this playback token permits recordings from {limit} only");
                Err(Error::new(ErrorKind::Forbidden, detail))
            }
            _ => Ok(()),
        }
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
            return ended("the playback session or share link was ended");
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
        let permit =
            Permit::of_session("anna".into(), None, Rights::default(), 100).until_revoked(revoked);
        assert_eq!((permit.user(), permit.owner()), ("anna", None));
        permit.ensure_valid(99).expect("the last second");
        assert_eq!(permit.ensure_valid(100).expect_err("expired").kind, ErrorKind::Unauthorized);
        ended.send_replace(true);
        assert_eq!(permit.ensure_valid(1).expect_err("ended").kind, ErrorKind::Unauthorized);
    }

    #[test]
    fn a_permit_covers_recordings_only_with_the_right_and_in_its_time() {
        let span = |from, to| TimeSpan { from, to };
        let live = Rights::default().with(Right::Live);
        let permit =
            |rights, limit| Permit::of_session("anna".into(), None, rights, 100).limited_to(limit);
        let (all, some) = (live.with(Right::Recordings), Some(span(10, 20)));
        let table = [
            (permit(live, None), span(10, 20), false),
            (permit(live, some), span(10, 20), false),
            (permit(all, None), span(0, 90), true),
            (permit(all, some), span(10, 20), true),
            (permit(all, some), span(9, 20), false),
            (permit(all, some), span(10, 21), false),
        ];
        for (permit, span, expected) in table {
            assert_eq!(permit.ensure_covers(span).is_ok(), expected, "{permit:?} {span}");
        }
        let caller = Permit::of_caller(&Caller::anonymous());
        assert!(caller.ensure_right(Right::Live).is_ok() && !caller.covers_all_recordings());
    }
}
