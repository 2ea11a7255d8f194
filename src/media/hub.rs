//! The hub of a stream: the ingest publishes fragments, and every consumer reads them.
//!
//! Publishing never waits. The queue is a ring: a reader that falls behind by more fragments than the
//! ring holds loses the oldest ones, and learns how many. So a slow reader slows neither the ingest nor
//! other readers.
//!
//! One reader, the *reader in step*, may run on the same thread as the ingest. When it falls behind,
//! the ingest yields to it, so that it loses nothing if many fragments arrive at once.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::base::atomic_instant::AtomicInstant;
use crate::base::lock::lock;
use crate::media::fragment::{Fragment, InitSegment};

/// The largest number of fragments that a reader can be behind: about three seconds at 100 ms each.
const RING: usize = 32;
/// The ingest yields to the reader in step while this reader is so many fragments behind. If it is
/// further behind than the ring is long, it has already lost fragments, and the ingest does not yield.
const TURN_DUE: RangeInclusive<u64> = RING as u64 / 2..=RING as u64;
/// The picture must advance by this much to count as progress. Audio alone does not count, nor do
/// pictures from a camera whose clock is frozen.
const SIGN_OF_LIFE: Duration = Duration::from_millis(100);
/// Rates are averages over the last fragments, which together play for at least this long.
const RATE_WINDOW: Duration = Duration::from_secs(4);

/// The hub of one stream, for all epochs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct FragmentHub {
    sender: broadcast::Sender<Arc<Fragment>>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    last_progress: AtomicInstant,
    recent: Mutex<Recent>,
    /// The number of fragments published so far.
    published: AtomicU64,
    /// The number of published fragments that the reader in step has taken or lost.
    taken_in_step: AtomicU64,
}

#[derive(Debug, Default)]
struct Recent {
    init: Option<Arc<InitSegment>>,
    window: VecDeque<Measure>,
    last_keyframe: Option<Duration>,
    gop: Option<Duration>,
    /// How far the picture has advanced since progress was last noted.
    advanced: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Measure {
    duration: Duration,
    bytes: u64,
    frames: u32,
}

/// The current properties of the media that flows through the hub.
#[derive(Debug, Clone)]
pub struct Flow {
    /// The init segment of the last fragment.
    pub init: Arc<InitSegment>,
    /// The average bit rate of the last seconds, in bit/s.
    pub bit_rate: f64,
    /// The average frame rate of the last seconds, in frames per second.
    pub frame_rate: f64,
    /// The time between the last two keyframes; `None` before the second one.
    pub gop: Option<Duration>,
}

/// A consumer's position in the hub.
#[derive(Debug)]
pub struct HubReader {
    fragments: broadcast::Receiver<Arc<Fragment>>,
    shared: Arc<Shared>,
}

/// The number of fragments that a slow reader missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap(pub u64);

impl HubReader {
    /// Waits for the next fragment and returns it; `None` if the stream has ended. If the reader has
    /// missed fragments, returns the gap as an error first, and then continues with the oldest fragment
    /// that the hub still has.
    pub async fn next(&mut self) -> Result<Option<Arc<Fragment>>, Gap> {
        let (taken, next) = match self.fragments.recv().await {
            Ok(fragment) => (1, Ok(Some(fragment))),
            Err(RecvError::Lagged(missed)) => (missed, Err(Gap(missed))),
            Err(RecvError::Closed) => (0, Ok(None)),
        };
        self.shared.taken_in_step.fetch_add(taken, Ordering::Relaxed);
        next
    }
}

impl Default for FragmentHub {
    fn default() -> Self {
        let shared = Shared {
            last_progress: AtomicInstant::now(),
            recent: Mutex::default(),
            published: AtomicU64::new(0),
            taken_in_step: AtomicU64::new(0),
        };
        Self { sender: broadcast::Sender::new(RING), shared: Arc::new(shared) }
    }
}

impl FragmentHub {
    /// Passes a fragment to all readers. Never waits.
    pub fn publish(&self, fragment: Fragment) {
        let mut recent = lock(&self.shared.recent);
        if recent.add(&fragment) {
            self.shared.last_progress.touch();
        }
        drop(recent);
        self.shared.published.fetch_add(1, Ordering::Relaxed);
        // A hub without readers is fine.
        let _ = self.sender.send(Arc::new(fragment));
    }

    /// Returns whether the ingest should yield to the reader in step before it publishes more.
    pub fn is_turn_due(&self) -> bool {
        let taken = self.shared.taken_in_step.load(Ordering::Relaxed);
        let published = self.shared.published.load(Ordering::Relaxed);
        TURN_DUE.contains(&published.saturating_sub(taken))
    }

    /// Creates the reader in step, which reads what is published from now on. There must be at most
    /// one.
    pub fn read_in_step(&self) -> HubReader {
        let fragments = self.sender.subscribe();
        let published = self.shared.published.load(Ordering::Relaxed);
        self.shared.taken_in_step.store(published, Ordering::Relaxed);
        HubReader { fragments, shared: Arc::clone(&self.shared) }
    }

    /// Returns when the picture last advanced, or when the hub was created if it never has.
    pub fn last_progress(&self) -> &AtomicInstant {
        &self.shared.last_progress
    }

    /// Returns the current properties of the media; `None` before the first fragment.
    pub fn flow(&self) -> Option<Flow> {
        lock(&self.shared.recent).flow()
    }
}

impl Recent {
    /// Adds a fragment to the measurements. Returns true if the picture has advanced enough to count as
    /// progress.
    fn add(&mut self, fragment: &Fragment) -> bool {
        if self.init.as_ref().is_none_or(|init| init.epoch != fragment.init.epoch) {
            self.init = Some(Arc::clone(&fragment.init));
            self.window.clear();
            (self.last_keyframe, self.gop) = (None, None);
        }
        if fragment.is_keyframe {
            let before = self.last_keyframe.replace(fragment.decode_time);
            self.gop = before.and_then(|before| fragment.decode_time.checked_sub(before));
        }
        self.window.push_back(Measure {
            duration: fragment.duration,
            bytes: fragment.bytes.len() as u64,
            frames: fragment.frames,
        });
        while self.window.len() > 1 {
            let rest: Duration = self.window.iter().skip(1).map(|measure| measure.duration).sum();
            // The second condition bounds the window when fragments claim no duration at all.
            if rest < RATE_WINDOW && self.window.len() <= 4 * RING {
                break;
            }
            self.window.pop_front();
        }
        self.advanced += fragment.duration;
        let is_alive = self.advanced >= SIGN_OF_LIFE;
        if is_alive {
            self.advanced = Duration::ZERO;
        }
        is_alive
    }

    fn flow(&self) -> Option<Flow> {
        let init = Arc::clone(self.init.as_ref()?);
        let seconds: f64 = self.window.iter().map(|measure| measure.duration.as_secs_f64()).sum();
        let per_second = |amount: f64| if seconds > 0.0 { amount / seconds } else { 0.0 };
        let bytes: u64 = self.window.iter().map(|measure| measure.bytes).sum();
        let frames: u64 = self.window.iter().map(|measure| u64::from(measure.frames)).sum();
        #[expect(clippy::cast_precision_loss, reason = "rates of a few seconds")]
        let (bits, frames) = (bytes as f64 * 8.0, frames as f64);
        let (bit_rate, frame_rate) = (per_second(bits), per_second(frames));
        Some(Flow { init, bit_rate, frame_rate, gop: self.gop })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::media::fragment::testing;

    /// Publishes fragments like the ingest, and returns how often it yielded.
    async fn publish(hub: &FragmentHub, count: u64) -> u64 {
        let (init, mut turns) = (testing::init(7), 0);
        for number in 0..count {
            hub.publish(testing::fragment(&init, number == 0, number * 200, 200));
            if hub.is_turn_due() {
                turns += 1;
                tokio::task::yield_now().await;
            }
        }
        turns
    }

    #[tokio::test]
    async fn the_ingest_stops_yielding_to_a_reader_that_never_reads() {
        let hub = FragmentHub::default();
        let _in_step = hub.read_in_step();
        assert!(publish(&hub, 10_000).await <= RING as u64);
        assert_eq!(publish(&hub, 10_000).await, 0);
    }

    #[tokio::test]
    async fn the_reader_in_step_loses_nothing_while_another_reader_never_reads() {
        let hub = FragmentHub::default();
        let _never_reads = hub.sender.subscribe();
        let mut in_step = hub.read_in_step();
        let reading = tokio::spawn(async move {
            let mut count = 0;
            while in_step.next().await.expect("no gap").is_some() {
                count += 1;
            }
            count
        });
        let turns = publish(&hub, 1000).await;
        assert!(turns <= 1000 / (RING as u64 / 2), "{turns} turns");
        drop(hub);
        assert_eq!(reading.await.expect("a task"), 1000);
    }

    #[tokio::test]
    async fn a_reader_learns_how_much_it_missed_and_continues() {
        let hub = FragmentHub::default();
        let mut reader = hub.read_in_step();
        publish(&hub, RING as u64 + 3).await;
        assert_eq!(reader.next().await.expect_err("a gap"), Gap(3));
        for _ in 0..RING {
            assert!(matches!(reader.next().await, Ok(Some(_))));
        }
        assert!(reader.next().now_or_never().is_none(), "more than was published");
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_picture_that_advances_counts_as_progress() {
        let hub = FragmentHub::default();
        let init = testing::init(7);
        tokio::time::advance(Duration::from_secs(5)).await;
        for _ in 0..50 {
            hub.publish(testing::fragment(&init, false, 0, 0));
            hub.publish(testing::fragment(&init, false, 0, 1));
        }
        assert_eq!(hub.last_progress().age(), Duration::from_secs(5));
        hub.publish(testing::fragment(&init, false, 0, 200));
        assert_eq!(hub.last_progress().age(), Duration::ZERO);
    }

    #[test]
    fn rates_are_averages_of_the_last_seconds() {
        let hub = FragmentHub::default();
        assert!(hub.flow().is_none());
        let init = testing::init(7);
        for number in 0..100 {
            hub.publish(testing::fragment(&init, number % 10 == 0, number * 200, 200));
        }
        let flow = hub.flow().expect("a flow");
        assert_eq!(flow.gop, Some(Duration::from_secs(2)));
        assert!((flow.frame_rate - 25.0).abs() < 0.01, "{}", flow.frame_rate);
        assert!((200.0..320.0).contains(&flow.bit_rate), "{}", flow.bit_rate);
    }
}
