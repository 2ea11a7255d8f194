//! A limit of what one viewer uses at the same time.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex};

use crate::base::lock::lock;

/// The places that viewers have taken. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct ViewerPlaces {
    /// The largest number of places of one viewer.
    most: usize,
    taken: Arc<Mutex<HashMap<Viewer, usize>>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Viewer {
    user: String,
    address: String,
}

/// A place. It is free again when it is dropped.
#[derive(Debug)]
pub(crate) struct ViewerPlace {
    places: ViewerPlaces,
    viewer: Viewer,
}

impl ViewerPlaces {
    /// Creates the places, of which one viewer can have at most `most`.
    pub(crate) fn new(most: usize) -> Self {
        Self { most, taken: Arc::default() }
    }

    /// Returns a place for this user at this address; `None` if the user has too many of them.
    pub(crate) fn take(&self, user: &str, address: &str) -> Option<ViewerPlace> {
        let viewer = Viewer { user: user.to_owned(), address: address.to_owned() };
        let mut taken = lock(&self.taken);
        let count = taken.entry(viewer.clone()).or_insert(0);
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(ViewerPlace { places: self.clone(), viewer })
    }
}

impl Drop for ViewerPlace {
    fn drop(&mut self) {
        let mut taken = lock(&self.places.taken);
        if let Entry::Occupied(mut entry) = taken.entry(self.viewer.clone()) {
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
    fn the_places_of_one_viewer_are_limited() {
        let places = ViewerPlaces::new(3);
        let mut taken: Vec<_> =
            (0..3).map(|_| places.take("anna", "10.0.0.1").expect("a place")).collect();
        assert!(places.take("anna", "10.0.0.1").is_none(), "the limit");
        let others = [("anna", "10.0.0.2"), ("ben", "10.0.0.1")]
            .map(|(user, address)| places.take(user, address).expect("another viewer"));
        taken.pop();
        taken.push(places.take("anna", "10.0.0.1").expect("a free place"));
        drop((taken, others));
        assert!(lock(&places.taken).is_empty(), "nothing is left");
    }
}
