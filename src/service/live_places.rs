//! The limit of the connections that one viewer keeps open, such as `WebSocket`s. Each of them costs memory, and has a
//! share of the connections that the manager accepts.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::base::error::{Error, ErrorKind};
use crate::base::lock::lock;

/// The largest number of connections that one user keeps open at one address, for all cameras. This is enough for a wall
/// of 16 cameras in 25 windows, and for many viewers who share an address and an API key.
const MOST: usize = 400;
/// The time after which a viewer who was refused should retry.
const RETRY: Duration = Duration::from_secs(10);

/// The connections that viewers keep open. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct LivePlaces(Arc<Mutex<HashMap<Viewer, usize>>>);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Viewer {
    user: String,
    address: String,
}

/// The place of one connection. It is free again when it is dropped.
#[derive(Debug)]
pub(crate) struct LivePlace {
    places: LivePlaces,
    viewer: Viewer,
}

impl LivePlaces {
    /// Returns a place for a connection of this user from this address. Error: the user has too many of them.
    pub(crate) fn take(&self, user: &str, address: &str) -> Result<LivePlace, Error> {
        let viewer = Viewer { user: user.to_owned(), address: address.to_owned() };
        let mut open = lock(&self.0);
        let count = open.entry(viewer.clone()).or_insert(0);
        if *count >= MOST {
            let detail = format!("this viewer already has {MOST} live connections; close some");
            return Err(Error::new(ErrorKind::TooManyViewers, detail).retry_after(RETRY));
        }
        *count += 1;
        Ok(LivePlace { places: self.clone(), viewer })
    }
}

impl Drop for LivePlace {
    fn drop(&mut self) {
        let mut open = lock(&self.places.0);
        if let Entry::Occupied(mut entry) = open.entry(self.viewer.clone()) {
            let count = entry.get_mut();
            *count = count.saturating_sub(1);
            if *count == 0 {
                entry.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_connections_of_one_viewer_are_limited() {
        let places = LivePlaces::default();
        let mut taken: Vec<_> =
            (0..MOST).map(|_| places.take("anna", "10.0.0.1").expect("a place")).collect();
        let refused = places.take("anna", "10.0.0.1").expect_err("the limit");
        assert_eq!(refused.kind, ErrorKind::TooManyViewers);
        let others = [("anna", "10.0.0.2"), ("ben", "10.0.0.1")]
            .map(|(user, address)| places.take(user, address).expect("another viewer"));
        taken.pop();
        taken.push(places.take("anna", "10.0.0.1").expect("a free place"));
        drop((taken, others));
        assert!(lock(&places.0).is_empty(), "nothing is left");
    }
}
