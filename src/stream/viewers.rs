//! The viewers of a stream. Players do not report when they come and go. So a viewer is identified by
//! user, address and player, and counts as present until some time after its last request.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;

use crate::base::lock::lock;

/// The time for which a viewer counts as present after its last request. Players send at least one request per
/// segment, and `HLS_SEGMENT_TIME` is 10 s at most.
const PRESENT_FOR: Duration = Duration::from_secs(12);
/// The largest number of viewers of one stream that are counted. Further viewers can watch, but are not
/// counted.
const MAX_COUNTED: usize = 10_000;
/// The largest number of players of one user at one address that are counted. Further players can watch, but
/// are not counted. So no client can use up [`MAX_COUNTED`], or fill the log, with invented players.
const MAX_PLAYERS: usize = 8;

/// The sender of a request for media.
#[derive(Debug, Clone, Copy, Hash)]
pub(crate) struct Viewer<'a> {
    /// The user of a playback session, or the name of an API key.
    pub(crate) user: &'a str,
    /// The player's address.
    pub(crate) address: &'a str,
    /// The player's `User-Agent`.
    pub(crate) player: &'a str,
}

/// A viewer's visit, from the first request to the last one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Visit {
    /// The user of a playback session, or the name of an API key.
    pub(crate) user: String,
    /// The player's address.
    pub(crate) address: String,
    /// Time of the first request.
    pub(crate) since: Instant,
    /// Time of the last request.
    pub(crate) last_seen: Instant,
}

/// The viewers of one stream.
#[derive(Debug)]
pub(crate) struct Viewers {
    visits: Mutex<HashMap<u64, Visit>>,
    most: Option<usize>,
}

/// The result of a viewer's request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The viewer is admitted, and already has a visit or is not counted.
    Known,
    /// The viewer is admitted and new.
    New,
    /// The viewer is refused, because the stream has reached its limit.
    TooMany,
}

impl Viewers {
    /// Creates an empty set that admits at most `most` viewers at the same time; `None` for any number.
    pub(crate) fn new(most: Option<usize>) -> Self {
        Self { visits: Mutex::default(), most }
    }

    /// Notes a viewer's request, unless the viewer is refused.
    pub(crate) fn note_request(&self, viewer: &Viewer) -> Seen {
        let mut hasher = DefaultHasher::new();
        viewer.hash(&mut hasher);
        let key = hasher.finish();
        let now = Instant::now();
        let mut visits = self.visits();
        if let Some(visit) = visits.get_mut(&key).filter(|visit| visit.is_present(now)) {
            visit.last_seen = now;
            return Seen::Known;
        }
        let is_full = |most| present(&visits, now).count() >= most;
        if self.most.is_some_and(is_full) {
            return Seen::TooMany;
        }
        if let Some(visit) = visits.get_mut(&key) {
            visit.last_seen = now;
            return Seen::Known;
        }
        let is_same =
            |visit: &&Visit| (&*visit.user, &*visit.address) == (viewer.user, viewer.address);
        let is_crowd = || present(&visits, now).filter(is_same).count() >= MAX_PLAYERS;
        if visits.len() >= MAX_COUNTED || is_crowd() {
            return Seen::Known;
        }
        let (user, address) = (viewer.user.to_owned(), viewer.address.to_owned());
        visits.insert(key, Visit { user, address, since: now, last_seen: now });
        Seen::New
    }

    /// Returns the number of viewers who are present.
    pub(crate) fn count(&self) -> usize {
        present(&self.visits(), Instant::now()).count()
    }

    /// Forgets the viewers who have left, and returns their visits.
    pub(crate) fn forget_gone(&self) -> Vec<Visit> {
        let now = Instant::now();
        self.visits()
            .extract_if(|_, visit| !visit.is_present(now))
            .map(|(_, visit)| visit)
            .collect()
    }

    /// Forgets all viewers, and returns their visits.
    pub(crate) fn forget_all(&self) -> Vec<Visit> {
        self.visits().drain().map(|(_, visit)| visit).collect()
    }

    fn visits(&self) -> MutexGuard<'_, HashMap<u64, Visit>> {
        lock(&self.visits)
    }
}

/// Returns the visits of the viewers who are present.
fn present(visits: &HashMap<u64, Visit>, now: Instant) -> impl Iterator<Item = &Visit> {
    visits.values().filter(move |visit| visit.is_present(now))
}

impl Visit {
    fn is_present(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last_seen) < PRESENT_FOR
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANNA: Viewer<'static> = Viewer { user: "anna", address: "10.0.0.1", player: "hls.js" };

    #[tokio::test(start_paused = true)]
    async fn viewers_come_and_go() {
        let viewers = Viewers::new(None);
        assert_eq!(
            [viewers.note_request(&ANNA), viewers.note_request(&ANNA)],
            [Seen::New, Seen::Known]
        );
        let others = [Viewer { player: "VLC", ..ANNA }, Viewer { user: "bert", ..ANNA }];
        for other in &others {
            assert_eq!(viewers.note_request(other), Seen::New);
        }
        assert_eq!(viewers.count(), 3);
        tokio::time::advance(PRESENT_FOR / 2).await;
        viewers.note_request(&ANNA);
        tokio::time::advance(PRESENT_FOR / 2).await;
        assert_eq!(viewers.count(), 1);
        let gone = viewers.forget_gone();
        assert_eq!(gone.len(), 2);
        assert!(gone.iter().all(|visit| visit.since == visit.last_seen));
        let [visit] = &viewers.forget_all()[..] else { panic!("one is present") };
        assert_eq!((visit.user.as_str(), visit.address.as_str()), ("anna", "10.0.0.1"));
        assert_eq!(visit.last_seen - visit.since, PRESENT_FOR / 2);
        assert_eq!(viewers.count(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_viewer_is_admitted_when_another_has_left() {
        let viewers = Viewers::new(Some(1));
        let other = Viewer { player: "VLC", ..ANNA };
        let seen = [&ANNA, &other, &ANNA].map(|viewer| viewers.note_request(viewer));
        assert_eq!(seen, [Seen::New, Seen::TooMany, Seen::Known]);
        tokio::time::advance(PRESENT_FOR).await;
        assert_eq!(viewers.note_request(&other), Seen::New);
    }

    #[tokio::test(start_paused = true)]
    async fn a_viewer_who_is_absent_for_too_long_loses_its_place() {
        let viewers = Viewers::new(Some(1));
        let other = Viewer { user: "bert", ..ANNA };
        viewers.note_request(&ANNA);
        tokio::time::advance(PRESENT_FOR).await;
        let seen = [&other, &ANNA, &other].map(|viewer| viewers.note_request(viewer));
        assert_eq!(seen, [Seen::New, Seen::TooMany, Seen::Known]);
    }

    #[tokio::test(start_paused = true)]
    async fn invented_players_are_not_counted_beyond_the_limit() {
        let viewers = Viewers::new(None);
        for number in 0..10_000 {
            viewers.note_request(&Viewer { player: &number.to_string(), ..ANNA });
        }
        assert_eq!(viewers.count(), MAX_PLAYERS);
    }

    #[tokio::test(start_paused = true)]
    async fn the_number_of_counted_viewers_is_limited() {
        let viewers = Viewers::new(None);
        for number in 0..MAX_COUNTED + 100 {
            viewers.note_request(&Viewer { address: &number.to_string(), ..ANNA });
        }
        assert_eq!(viewers.count(), MAX_COUNTED);
    }
}
