//! Who watches a stream. Players do not say when they come and go: a viewer is told by user, address
//! and player, and is there until it has not asked for anything for a while.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;

use crate::base::lock::lock;

/// A player asks at least once a segment; this is longer than the longest segment.
const PRESENT_FOR: Duration = Duration::from_secs(12);
/// Viewers counted at most. More still watch; the number shown stays at this.
const MAX_COUNTED: usize = 10_000;
/// Players of one user at one address that are counted: more watch with them, so that nobody can take
/// all places, or fill the log, with made-up names.
const MAX_PLAYERS: usize = 8;

/// Who asks for a file.
#[derive(Debug, Clone, Copy, Hash)]
pub struct Viewer<'a> {
    /// The user of a playback session, or the name of an API key.
    pub user: &'a str,
    /// Where the player is.
    pub address: &'a str,
    /// Its `User-Agent`.
    pub player: &'a str,
}

/// From a viewer's first request to the last one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visit {
    /// The user of a playback session, or the name of an API key.
    pub user: String,
    /// Where the player is.
    pub address: String,
    /// The first request.
    pub since: Instant,
    /// The last one.
    pub last_seen: Instant,
}

/// The viewers of one stream.
#[derive(Debug)]
pub struct Viewers {
    visits: Mutex<HashMap<u64, Visit>>,
    most: Option<usize>,
}

/// What is known of a viewer who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// The viewer was there before.
    Known,
    /// It has just come.
    New,
    /// There is no room for one more.
    TooMany,
}

impl Viewers {
    /// Nobody yet, and `most` at once; `None` for any number.
    pub fn new(most: Option<usize>) -> Self {
        Self { visits: Mutex::default(), most }
    }

    /// Notes that the viewer is there, if it may be.
    pub fn saw(&self, viewer: &Viewer) -> Seen {
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

    /// How many are there now.
    pub fn count(&self) -> usize {
        present(&self.visits(), Instant::now()).count()
    }

    /// Forgets those who left, and returns their visits.
    pub fn forget_gone(&self) -> Vec<Visit> {
        let now = Instant::now();
        self.visits()
            .extract_if(|_, visit| !visit.is_present(now))
            .map(|(_, visit)| visit)
            .collect()
    }

    /// Forgets all, and returns their visits.
    pub fn forget_all(&self) -> Vec<Visit> {
        self.visits().drain().map(|(_, visit)| visit).collect()
    }

    fn visits(&self) -> MutexGuard<'_, HashMap<u64, Visit>> {
        lock(&self.visits)
    }
}

/// The visits of those who are there now.
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
        assert_eq!([viewers.saw(&ANNA), viewers.saw(&ANNA)], [Seen::New, Seen::Known]);
        let others = [Viewer { player: "VLC", ..ANNA }, Viewer { user: "bert", ..ANNA }];
        for other in &others {
            assert_eq!(viewers.saw(other), Seen::New);
        }
        assert_eq!(viewers.count(), 3);
        tokio::time::advance(PRESENT_FOR / 2).await;
        viewers.saw(&ANNA);
        tokio::time::advance(PRESENT_FOR / 2).await;
        assert_eq!(viewers.count(), 1);
        let gone = viewers.forget_gone();
        assert_eq!(gone.len(), 2);
        assert!(gone.iter().all(|visit| visit.since == visit.last_seen));
        let [visit] = &viewers.forget_all()[..] else { panic!("one is there") };
        assert_eq!((visit.user.as_str(), visit.address.as_str()), ("anna", "10.0.0.1"));
        assert_eq!(visit.last_seen - visit.since, PRESENT_FOR / 2);
        assert_eq!(viewers.count(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn one_too_many_waits_until_another_leaves() {
        let viewers = Viewers::new(Some(1));
        let other = Viewer { player: "VLC", ..ANNA };
        let seen = [&ANNA, &other, &ANNA].map(|viewer| viewers.saw(viewer));
        assert_eq!(seen, [Seen::New, Seen::TooMany, Seen::Known]);
        tokio::time::advance(PRESENT_FOR).await;
        assert_eq!(viewers.saw(&other), Seen::New);
    }

    #[tokio::test(start_paused = true)]
    async fn who_was_away_for_too_long_has_lost_the_place() {
        let viewers = Viewers::new(Some(1));
        let other = Viewer { user: "bert", ..ANNA };
        viewers.saw(&ANNA);
        tokio::time::advance(PRESENT_FOR).await;
        let seen = [&other, &ANNA, &other].map(|viewer| viewers.saw(viewer));
        assert_eq!(seen, [Seen::New, Seen::TooMany, Seen::Known]);
    }

    #[tokio::test(start_paused = true)]
    async fn made_up_players_are_no_crowd() {
        let viewers = Viewers::new(None);
        for number in 0..10_000 {
            viewers.saw(&Viewer { player: &number.to_string(), ..ANNA });
        }
        assert_eq!(viewers.count(), MAX_PLAYERS);
    }

    #[tokio::test(start_paused = true)]
    async fn a_crowd_is_bounded() {
        let viewers = Viewers::new(None);
        for number in 0..MAX_COUNTED + 100 {
            viewers.saw(&Viewer { address: &number.to_string(), ..ANNA });
        }
        assert_eq!(viewers.count(), MAX_COUNTED);
    }
}
