//! The hub of a stream, in which the ingest publishes frames and every consumer reads them. A rendition has a
//! hub as well, in which the transcoder publishes frames.
//!
//! Publishing never waits. The hub keeps the frames since the last keyframe, so that a reader can
//! begin with a picture at once. The hub keeps older frames only while a reader that is behind still needs
//! them. Both kinds of frames are limited in time and in bytes. If a hub publishes frames while the limit of the
//! [`FrameBudget`] is exceeded, the hub keeps only its last keyframe and the frames that its readers still need. A
//! reader that falls behind by more than its limits misses frames. The hub reports their number to the reader, which
//! then continues with a keyframe. A slow reader slows neither the ingest nor other readers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::base::atomic_instant::AtomicInstant;
use crate::base::lock::lock;
use crate::media::flow::{Flow, FlowMeter};
use crate::media::frame::Frame;
use crate::media::frame_budget::{FrameBudget, FrameShare};
use crate::media::kept_frames::{KeptFrames, Next};

pub use crate::media::kept_frames::ReadFrom;

/// The hub of one stream for all its epochs, or of one rendition. Cheap to clone.
#[derive(Debug, Clone)]
pub struct FrameHub {
    shared: Arc<Shared>,
    /// The number of frames published so far. Readers wait for this number to change. The channel closes
    /// when the last clone of the hub is dropped.
    published: Arc<watch::Sender<u64>>,
    /// The epoch of the last video that was published.
    epoch: Arc<watch::Sender<Option<u64>>>,
}

#[derive(Debug)]
struct Shared {
    last_progress: AtomicInstant,
    state: Mutex<State>,
    leading: Mutex<Option<LeadingFrame>>,
    next_reader: AtomicU64,
    /// Notified when a reader needs a keyframe.
    keyframe_needed: Notify,
}

#[derive(Debug)]
struct State {
    kept: KeptFrames,
    /// The memory that `kept` uses.
    memory: FrameShare,
    flow: FlowMeter,
    /// The epoch of the last video.
    epoch: Option<u64>,
}

/// The newest frame that arrived before the first keyframe of its epoch. Readers do not get such frames.
#[derive(Debug, Clone, Copy)]
struct LeadingFrame {
    epoch: u64,
    received_at: Instant,
}

/// A consumer's position in a hub.
#[derive(Debug)]
pub struct HubReader {
    shared: Arc<Shared>,
    published: watch::Receiver<u64>,
    id: u64,
}

/// The number of frames that a slow reader missed. A keyframe follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap(pub u64);

impl FrameHub {
    /// Creates a hub without frames. If the hub publishes frames while all hubs of `budget` together keep more than
    /// the limit, the hub keeps only its last keyframe and the frames that readers need, until its next keyframe.
    pub fn new(budget: &FrameBudget) -> Self {
        let memory = budget.share();
        let (kept, flow) = (KeptFrames::default(), FlowMeter::default());
        let shared = Shared {
            last_progress: AtomicInstant::now(),
            state: Mutex::new(State { kept, memory, flow, epoch: None }),
            leading: Mutex::default(),
            next_reader: AtomicU64::new(0),
            keyframe_needed: Notify::new(),
        };
        Self {
            shared: Arc::new(shared),
            published: Arc::new(watch::Sender::new(0)),
            epoch: Arc::new(watch::Sender::new(None)),
        }
    }

    /// Passes `frames` to all readers, in the given order. Never waits.
    pub fn publish(&self, frames: impl IntoIterator<Item = Frame>) {
        let mut guard = lock(&self.shared.state);
        let state = &mut *guard;
        for frame in frames {
            if state.flow.add(&frame) {
                self.shared.last_progress.touch();
            }
            state.kept.push(Arc::new(frame));
        }
        if state.memory.set(state.kept.bytes_kept()) {
            state.kept.keep_only_keyframe();
            state.memory.set(state.kept.bytes_kept());
        }
        let (published, epoch) = (state.kept.end(), state.flow.epoch());
        let is_new_epoch = std::mem::replace(&mut state.epoch, epoch) != epoch;
        drop(guard);
        self.published.send_replace(published);
        if is_new_epoch {
            self.epoch.send_replace(epoch);
        }
    }

    /// Returns a receiver of the epoch of the last video; `None` before the first video. The video of an
    /// epoch begins with a keyframe, so the value changes with the first keyframe of each epoch.
    pub(crate) fn epoch(&self) -> watch::Receiver<Option<u64>> {
        self.epoch.subscribe()
    }

    /// Notes that a frame of `epoch` arrived just now. The frame is not published, because it is before
    /// the epoch's first keyframe.
    pub(crate) fn note_leading_frame(&self, epoch: u64) {
        *lock(&self.shared.leading) = Some(LeadingFrame { epoch, received_at: Instant::now() });
    }

    /// Returns the time at which the last frame of `epoch` arrived, while the epoch has frames but no keyframe.
    /// Returns `None` before the first frame and after the first keyframe.
    pub(crate) fn last_leading_frame(&self, epoch: u64) -> Option<Instant> {
        let leading = (*lock(&self.shared.leading))?;
        let awaits_keyframe = lock(&self.shared.state).flow.epoch() != Some(epoch);
        (leading.epoch == epoch && awaits_keyframe).then_some(leading.received_at)
    }

    /// Returns the number of frames of video of `epoch`, and the time at which the last of them arrived. Returns
    /// `None` before the first frame.
    pub(crate) fn frames_of(&self, epoch: u64) -> Option<(u64, Instant)> {
        let state = lock(&self.shared.state);
        state.flow.frames().filter(|_| state.flow.epoch() == Some(epoch))
    }

    /// Returns the usual distance between two frames of video; zero before the first frame.
    pub(crate) fn frame_distance(&self) -> Duration {
        lock(&self.shared.state).flow.frame_distance()
    }

    /// Returns a reader that begins at `from` and can fall behind by at most `max_bytes` of frames. The hub
    /// also limits the time by which a reader can be behind.
    pub fn read(&self, from: ReadFrom, max_bytes: usize) -> HubReader {
        let id = self.shared.next_reader.fetch_add(1, Ordering::Relaxed);
        lock(&self.shared.state).kept.join(id, from, max_bytes);
        HubReader { shared: Arc::clone(&self.shared), published: self.published.subscribe(), id }
    }

    /// Waits until a reader needs a keyframe. If a reader has needed one since the last call, returns at once.
    pub(crate) async fn keyframe_needed(&self) {
        self.shared.keyframe_needed.notified().await;
    }

    /// Returns the video since the last keyframe, or only the keyframe if not all of that video is kept.
    /// The last of these frames is the newest picture that can be decoded. Returns no frames before the
    /// first keyframe.
    pub(crate) fn last_pictures(&self) -> Vec<Arc<Frame>> {
        lock(&self.shared.state).kept.last_pictures()
    }

    /// Returns the time of the video's last sign of life: the first picture of an epoch, or a picture with
    /// which the video has advanced. Before the first picture, returns the time at which the hub was created.
    pub fn last_progress(&self) -> &AtomicInstant {
        &self.shared.last_progress
    }

    /// Returns the current flow; `None` before the first frame of video.
    pub fn flow(&self) -> Option<Flow> {
        lock(&self.shared.state).flow.flow()
    }
}

impl HubReader {
    /// Returns the next frame; `None` when the stream has ended; an error if the reader was too slow and has
    /// missed frames. Can be cancelled and called again without losing a frame.
    pub async fn next(&mut self) -> Result<Option<Arc<Frame>>, Gap> {
        loop {
            self.published.borrow_and_update();
            match lock(&self.shared.state).kept.next(self.id) {
                Next::Frame(frame) => return Ok(Some(frame)),
                Next::Gap(missed) => return Err(Gap(missed)),
                Next::Wait => {}
            }
            if self.published.changed().await.is_err() {
                return Ok(None);
            }
        }
    }
}

impl HubReader {
    /// Notes that the reader cannot use the next frames without a keyframe. The ingest requests one from the camera, if
    /// the camera supports that.
    pub(crate) fn need_keyframe(&self) {
        self.shared.keyframe_needed.notify_one();
    }
}

impl Drop for HubReader {
    fn drop(&mut self) {
        lock(&self.shared.state).kept.leave(self.id);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::media::frame::{Track, testing};

    const ANY: usize = 8 * 1024 * 1024;

    fn hub() -> FrameHub {
        FrameHub::new(&FrameBudget::new(u64::MAX))
    }

    /// Publishes frames `numbers`, of which every 50th is a keyframe, with 1000 bytes each.
    fn publish(hub: &FrameHub, numbers: std::ops::Range<u32>) {
        let format = testing::format(7);
        hub.publish(numbers.map(|n| testing::video(&format, n % 50 == 0, u64::from(n) * 40, 40)));
    }

    /// Reads until the reader would wait. Returns the numbers of frames, and gaps as negative numbers.
    fn read_all(reader: &mut HubReader) -> Vec<i64> {
        let mut read = Vec::new();
        while let Some(next) = reader.next().now_or_never() {
            match next {
                Ok(Some(frame)) => {
                    read.push(i64::try_from(frame.decode_time.as_millis() / 40).expect("small"));
                }
                Ok(None) => break,
                Err(Gap(missed)) => read.push(-i64::try_from(missed).expect("small")),
            }
        }
        read
    }

    #[tokio::test]
    async fn a_reader_begins_with_the_frame_that_it_requests() {
        let hub = hub();
        publish(&hub, 0..70);
        let mut last = hub.read(ReadFrom::LastKeyframe, ANY);
        let mut next = hub.read(ReadFrom::NextKeyframe, ANY);
        let mut now = hub.read(ReadFrom::Now, ANY);
        assert_eq!(read_all(&mut last), (50..70).collect::<Vec<_>>());
        publish(&hub, 70..110);
        assert_eq!(read_all(&mut last), (70..110).collect::<Vec<_>>());
        assert_eq!(read_all(&mut next), (100..110).collect::<Vec<_>>());
        assert_eq!(read_all(&mut now), (70..110).collect::<Vec<_>>());
        drop(hub);
        assert!(matches!(now.next().await, Ok(None)), "the stream has ended");
    }

    #[test]
    fn the_last_pictures_are_video_of_one_epoch_from_a_keyframe_on() {
        let hub = hub();
        assert!(hub.last_pictures().is_empty());
        let _slow = hub.read(ReadFrom::Now, ANY);
        publish(&hub, 0..60);
        let audio = testing::video(&testing::format(7), true, 2400, 40);
        hub.publish([Frame { track: Track::Audio, ..audio }]);
        hub.publish([testing::video(&testing::format(8), false, 2400, 40)]);
        let pictures = hub.last_pictures();
        assert_eq!(pictures.len(), 10);
        assert!(pictures[0].is_keyframe && pictures.iter().all(|it| it.track == Track::Video));
    }

    #[tokio::test]
    async fn a_slow_reader_learns_what_it_missed_and_continues_with_a_keyframe() {
        let hub = hub();
        let mut slow = hub.read(ReadFrom::Now, 40_000);
        let mut other = hub.read(ReadFrom::Now, ANY);
        for begin in (0..500).step_by(10) {
            publish(&hub, begin..begin + 10);
            assert_eq!(read_all(&mut other).len(), 10, "another reader is not affected");
        }
        // Frame 450 is the last keyframe. At this frame, the reader would be 50,000 bytes behind, which is too much.
        assert!(read_all(&mut slow).is_empty());
        publish(&hub, 500..510);
        let mut expected = vec![-500];
        expected.extend(500..510);
        assert_eq!(read_all(&mut slow), expected);
    }

    #[tokio::test]
    async fn a_slow_reader_continues_with_the_last_keyframe_if_it_can() {
        let hub = hub();
        let mut slow = hub.read(ReadFrom::Now, 40_000);
        publish(&hub, 0..60);
        let mut expected = vec![-50];
        expected.extend(50..60);
        assert_eq!(read_all(&mut slow), expected);
    }

    #[tokio::test]
    async fn readers_that_never_read_do_not_fill_the_memory() {
        let hub = hub();
        let readers: Vec<_> = (0..100).map(|_| hub.read(ReadFrom::Now, 1_000_000)).collect();
        for begin in (0..20_000).step_by(100) {
            publish(&hub, begin..begin + 100);
            assert!(lock(&hub.shared.state).kept.len() <= 1001);
        }
        drop(readers);
        assert!(lock(&hub.shared.state).kept.len() <= 50, "nothing but the last group is kept");
    }

    #[tokio::test]
    async fn only_the_keyframe_of_a_group_that_is_too_long_is_kept() {
        let hub = hub();
        let format = testing::format(7);
        let frames = |numbers: std::ops::Range<u32>| {
            let format = &format;
            numbers.map(move |n| testing::video(format, n % 1000 == 0, u64::from(n) * 40, 40))
        };
        hub.publish(frames(0..999));
        assert_eq!(lock(&hub.shared.state).kept.len(), 0);
        assert_eq!(hub.last_pictures().len(), 1, "the keyframe is still a picture");
        let mut reader = hub.read(ReadFrom::LastKeyframe, ANY);
        assert_eq!(read_all(&mut reader), [0]);
        hub.publish(frames(999..1003));
        assert_eq!(read_all(&mut reader), [1000, 1001, 1002]);
    }

    #[tokio::test]
    async fn a_hub_that_publishes_above_the_budget_keeps_only_its_keyframe() {
        let budget = FrameBudget::new(70_000);
        let (first, second) = (FrameHub::new(&budget), FrameHub::new(&budget));
        publish(&first, 0..50);
        publish(&second, 0..20);
        assert_eq!(budget.used(), 70_000);
        let mut behind = second.read(ReadFrom::LastKeyframe, ANY);
        publish(&second, 20..21);
        assert_eq!(second.last_pictures().len(), 1, "only the keyframe of the hub that publishes");
        assert_eq!(read_all(&mut behind), (0..21).collect::<Vec<_>>(), "readers miss nothing");
        drop(behind);
        publish(&second, 21..30);
        assert_eq!((budget.used(), first.last_pictures().len()), (50_000, 50));
        drop(first);
        publish(&second, 50..60);
        assert_eq!((budget.used(), second.last_pictures().len()), (10_000, 10), "kept again");
        drop(second);
        assert_eq!(budget.used(), 0);
    }

    #[tokio::test]
    async fn a_frame_larger_than_the_limit_of_a_reader_is_still_offered() {
        let hub = hub();
        let mut reader = hub.read(ReadFrom::Now, 1000);
        let format = testing::format(7);
        for number in 0..3 {
            let frame = testing::video(&format, true, number * 40, 40);
            hub.publish([Frame { data: vec![0; 2_000_000].into(), ..frame }]);
            assert_eq!(read_all(&mut reader), [i64::try_from(number).expect("small")]);
        }
    }

    #[tokio::test]
    async fn a_waiting_reader_wakes_up() {
        let hub = hub();
        let mut reader = hub.read(ReadFrom::Now, ANY);
        let reading = tokio::spawn(async move { reader.next().await });
        tokio::task::yield_now().await;
        publish(&hub, 0..1);
        let frame = reading.await.expect("a task").expect("no gap").expect("a frame");
        assert_eq!(frame.decode_time, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn after_the_first_picture_only_an_advance_is_a_sign_of_life() {
        let hub = hub();
        let format = testing::format(7);
        tokio::time::advance(Duration::from_secs(5)).await;
        hub.publish([testing::video(&format, true, 0, 40)]);
        assert_eq!(hub.last_progress().age(), Duration::ZERO, "the first picture");
        tokio::time::advance(Duration::from_secs(5)).await;
        for _ in 0..50 {
            hub.publish([testing::video(&format, false, 0, 40)]);
        }
        assert_eq!(hub.last_progress().age(), Duration::from_secs(5));
        hub.publish([testing::video(&format, false, 120, 40)]);
        assert_eq!(hub.last_progress().age(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn frames_before_the_first_keyframe_of_an_epoch_are_noted() {
        let hub = hub();
        hub.note_leading_frame(7);
        let noted = Instant::now();
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(hub.last_leading_frame(7), Some(noted));
        assert_eq!(hub.last_leading_frame(8), None, "no frame of this epoch has arrived");
        hub.publish([testing::video(&testing::format(7), true, 0, 40)]);
        assert_eq!(hub.last_leading_frame(7), None, "the keyframe has arrived");
        hub.note_leading_frame(8);
        assert_eq!(hub.last_leading_frame(8), Some(Instant::now()));
    }

    #[test]
    fn rates_and_the_distance_of_keyframes_are_measured() {
        let hub = hub();
        assert!(hub.flow().is_none());
        publish(&hub, 0..500);
        let flow = hub.flow().expect("a flow");
        assert_eq!(flow.gop, Some(Duration::from_secs(2)));
        assert!((flow.frame_rate - 25.0).abs() < 0.01, "{}", flow.frame_rate);
        assert!((flow.bit_rate - 200_000.0).abs() < 0.1, "{}", flow.bit_rate);
    }
}
