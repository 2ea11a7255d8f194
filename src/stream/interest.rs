//! Interest in a stream, which keeps the stream and its output running.
//!
//! A caller that reports when it leaves holds an [`Interest`]. An HLS player does not report this; it simply
//! sends no more requests. So the accesses of HLS players are noted. A stream without a held interest is idle
//! from its last access, or from the end of the last held interest, whichever is later. After the idle
//! timeout, the [`reaper`](super::reaper) proposes that the stream ends.
//!
//! Interest in the output is recorded separately from all other interest. Any interest keeps the stream
//! running, but only interest in the output keeps the output running.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::output::WantedOutput;
use crate::base::atomic_instant::AtomicInstant;

/// The purpose of a held interest.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose {
    /// A caller waits until the stream is playable with this output.
    Start(WantedOutput),
    /// A picture is taken.
    Snapshot,
    /// A viewer watches over a connection that stays open.
    View,
    /// The stream is recorded.
    Recording,
    /// The stream's pictures are analysed.
    Analysis,
}

impl Purpose {
    /// Returns the output that an interest with this purpose keeps running.
    pub(super) fn wanted_output(self) -> WantedOutput {
        match self {
            Self::Start(wanted) => wanted,
            Self::Snapshot | Self::View | Self::Recording | Self::Analysis => WantedOutput::None,
        }
    }
}

/// All interest in one stream.
#[derive(Debug, Default)]
pub(super) struct Interests {
    /// The interest in the output.
    output: Record,
    /// All other interest.
    other: Record,
}

/// The number of held interests, and the time of the last access, which is unset before the first access.
#[derive(Debug, Default)]
struct Record {
    held: AtomicUsize,
    last_access: OnceLock<AtomicInstant>,
}

/// A held interest. Keeps the stream running until it is dropped.
#[derive(Debug)]
pub(crate) struct Interest {
    all: Arc<Interests>,
    wanted: WantedOutput,
}

impl Interests {
    /// Creates the interest in a new stream. The creation counts as an access that wants this output.
    pub(super) fn new(wanted: WantedOutput) -> Self {
        let interests = Self::default();
        interests.touch(wanted);
        interests
    }

    /// Notes an access.
    pub(super) fn touch(&self, wanted: WantedOutput) {
        self.record(wanted).touch();
    }

    /// Returns a held interest.
    pub(super) fn hold(self: &Arc<Self>, wanted: WantedOutput) -> Interest {
        self.record(wanted).held.fetch_add(1, Ordering::SeqCst);
        Interest { all: Arc::clone(self), wanted }
    }

    /// Returns how long the stream has been idle: the time since the last access, or since the last
    /// held interest was dropped. Returns zero while an interest is held.
    pub(super) fn idle_for(&self) -> Duration {
        self.output_idle_for().min(self.other_idle_for())
    }

    /// Returns how long there has been no interest in the output: zero while an interest in the output is
    /// held, and [`Duration::MAX`] if there was never an interest in the output.
    pub(super) fn output_idle_for(&self) -> Duration {
        self.output.idle_for()
    }

    /// Returns how long there has been no interest in the stream apart from the output: zero while such interest is
    /// held, and [`Duration::MAX`] if there was never such interest.
    pub(super) fn other_idle_for(&self) -> Duration {
        self.other.idle_for()
    }

    fn record(&self, wanted: WantedOutput) -> &Record {
        match wanted {
            WantedOutput::Hls => &self.output,
            WantedOutput::None => &self.other,
        }
    }
}

impl Record {
    fn touch(&self) {
        self.last_access.get_or_init(AtomicInstant::now).touch();
    }

    fn idle_for(&self) -> Duration {
        if self.held.load(Ordering::SeqCst) > 0 {
            return Duration::ZERO;
        }
        self.last_access.get().map_or(Duration::MAX, AtomicInstant::age)
    }
}

impl Drop for Interest {
    fn drop(&mut self) {
        let record = self.all.record(self.wanted);
        // The access is noted first, so that the stream does not appear idle in between.
        record.touch();
        record.held.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_held_interest_counts_until_it_is_dropped() {
        let minute = Duration::from_mins(1);
        let interests = Arc::new(Interests::new(WantedOutput::Hls));
        tokio::time::advance(minute).await;
        assert_eq!(interests.idle_for(), minute);
        let (one, other) = (interests.hold(WantedOutput::Hls), interests.hold(WantedOutput::None));
        tokio::time::advance(minute).await;
        drop(one);
        tokio::time::advance(minute).await;
        assert_eq!(interests.idle_for(), Duration::ZERO);
        drop(other);
        tokio::time::advance(minute).await;
        assert_eq!(interests.idle_for(), minute);
        interests.touch(WantedOutput::None);
        assert_eq!(interests.idle_for(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn interest_in_the_output_is_separate_from_other_interest() {
        let minute = Duration::from_mins(1);
        let interests = Arc::new(Interests::new(WantedOutput::None));
        assert_eq!(interests.output_idle_for(), Duration::MAX);
        let held = interests.hold(WantedOutput::Hls);
        tokio::time::advance(minute).await;
        assert_eq!(interests.output_idle_for(), Duration::ZERO);
        assert_eq!(interests.other_idle_for(), minute);
        drop(held);
        tokio::time::advance(minute).await;
        interests.touch(WantedOutput::None);
        assert_eq!(interests.output_idle_for(), minute);
        assert_eq!(interests.idle_for(), Duration::ZERO);
    }
}
