//! The limit of the connections that one viewer keeps open, such as `WebSocket`s. Each of them costs memory, and has a
//! share of the connections that the manager accepts.

use std::time::Duration;

use super::viewer_places::{ViewerPlace, ViewerPlaces};
use crate::base::error::{Error, ErrorKind};

/// The largest number of connections that one user keeps open at one address, for all cameras. This is enough for a wall
/// of 16 cameras in 25 windows, and for many viewers who share an address and an API key.
const MOST: usize = 400;
/// The time after which a viewer who was refused should retry.
const RETRY: Duration = Duration::from_secs(10);

/// The connections that viewers keep open. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct LivePlaces(ViewerPlaces);

/// The place of one connection. It is free again when it is dropped.
pub(crate) type LivePlace = ViewerPlace;

impl Default for LivePlaces {
    fn default() -> Self {
        Self(ViewerPlaces::new(MOST))
    }
}

impl LivePlaces {
    /// Returns a place for a connection of this user from this address. Error: the user has too many of them.
    pub(crate) fn take(&self, user: &str, address: &str) -> Result<LivePlace, Error> {
        self.0.take(user, address).ok_or_else(|| {
            let detail = format!("this viewer already has {MOST} live connections; close some");
            Error::new(ErrorKind::TooManyViewers, detail).retry_after(RETRY)
        })
    }
}
