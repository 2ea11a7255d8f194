//! The limit of the exports that are prepared or sent at the same time. Each holds the description of its frames, which
//! has some megabytes for an hour, for as long as a client takes to download it. Limits for each viewer leave places for
//! other viewers, even if one viewer downloads very slowly.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::viewer_places::{ViewerPlace, ViewerPlaces};
use crate::access::permit::Permit;
use crate::base::error::{Error, ErrorKind};

/// The largest number of exports.
const MOST: usize = 24;
/// The largest number of exports of one user. The playback sessions and share links of a user count separately from the
/// user's API key.
const MOST_OF_USER: usize = 8;
/// The largest number of exports of one user at one address.
const MOST_AT_ADDRESS: usize = 4;
/// The time after which a client should repeat a request that was refused.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// The places for exports. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct ExportPlaces {
    all: Arc<Semaphore>,
    of_user: ViewerPlaces,
    at_address: ViewerPlaces,
}

/// The place of one export. It is free again when it is dropped.
#[derive(Debug)]
pub(crate) struct ExportPlace {
    _of_all: OwnedSemaphorePermit,
    _of_user: ViewerPlace,
    _at_address: ViewerPlace,
}

impl Default for ExportPlaces {
    fn default() -> Self {
        Self {
            all: Arc::new(Semaphore::new(MOST)),
            of_user: ViewerPlaces::new(MOST_OF_USER),
            at_address: ViewerPlaces::new(MOST_AT_ADDRESS),
        }
    }
}

impl ExportPlaces {
    /// Returns a place for an export with this permission to this address. Fails if there are too many exports.
    pub(crate) fn take(&self, permit: &Permit, address: &str) -> Result<ExportPlace, Error> {
        let kind = if permit.is_of_session() { "session" } else { "key" };
        let user = format!("{kind} {}", permit.user());
        let own = || {
            let detail = "this viewer already downloads as many exports as possible; wait until one has ended";
            Error::new(ErrorKind::Busy, detail).retry_after(RETRY_AFTER)
        };
        let at_address = self.at_address.take(&user, address).ok_or_else(own)?;
        let of_user = self.of_user.take(&user, "").ok_or_else(own)?;
        let of_all = Arc::clone(&self.all).try_acquire_owned().map_err(|_| busy())?;
        Ok(ExportPlace { _of_all: of_all, _of_user: of_user, _at_address: at_address })
    }
}

/// Returns the error of an export that must wait for others.
pub(crate) fn busy() -> Error {
    let detail = "too many recordings are exported at the same time; try again later";
    Error::new(ErrorKind::Busy, detail).retry_after(RETRY_AFTER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Caller;
    use crate::access::rights::Rights;

    #[test]
    fn one_share_link_leaves_places_for_others() {
        let places = ExportPlaces::default();
        let shared = Permit::of_session("anna".into(), None, Rights::default(), u64::MAX);
        let at = |number: usize| format!("10.0.0.{number}");
        let taken: Vec<_> =
            (0..40).filter_map(|number| places.take(&shared, &at(number / 8)).ok()).collect();
        assert_eq!(taken.len(), MOST_OF_USER);
        let refused = places.take(&shared, &at(20)).expect_err("the limit of the user");
        assert_eq!(refused.kind, ErrorKind::Busy);
        let key = Permit::of_caller(&Caller::anonymous());
        let own: Vec<_> = (0..8).filter_map(|_| places.take(&key, &at(0)).ok()).collect();
        assert_eq!(own.len(), MOST_AT_ADDRESS);
        drop(taken);
        places.take(&shared, &at(0)).expect("a free place");
    }
}
