//! Maps the times of a camera's frames to the clock of the epoch. Pure.
//!
//! A camera's clock may be set while the camera sends. It may also run too fast or too slowly. For example, the
//! timestamps of some cameras count 25 frames per second, although these cameras send 21. On the epoch's clock, time
//! advances without jumps, and as fast as frames arrive.

use std::time::Duration;

use tokio::time::Instant;

use crate::media::pace::{Pace, nanos};

/// The time of the first frame on the epoch's clock. It is not 0, because reordered frames have earlier decode
/// times.
const BEGIN: Duration = Duration::from_secs(1);
/// If the time of a frame is this much earlier than the time of a frame that arrived before it, the camera's clock
/// was set back. B-frames also have such earlier times, but the distance is always smaller.
const SET_BACK: i64 = SECOND;
/// If a frame arrives this much earlier than its time suggests, the camera's clock was set forward.
const SET_FORWARD: i64 = SECOND;
/// The largest difference between the expected and the actual time of a track's first frame. A larger difference is a
/// jump of the clock.
const TRACK_DISTANCE: i64 = 5 * SECOND;

const SECOND: i64 = 1_000_000_000;

/// The state that the clocks of all tracks of an epoch share, so that audio and video stay in sync.
#[derive(Debug, Default)]
pub(crate) struct SharedClock {
    /// The camera's time of the first frame of any track, and the time at which this frame arrived. The times of
    /// all tracks count from the time of this frame, because the tracks do not begin at the same time.
    first: Option<(i64, Instant)>,
    /// The same moment on the camera's clock and on the epoch's clock, after the camera's clock was last set.
    last_set: Option<Anchor>,
}

/// The clock of one track in one epoch.
#[derive(Debug, Default)]
pub(crate) struct CameraClock {
    anchor: Option<Anchor>,
    newest: Option<Newest>,
    pace: Pace,
    /// The number of times that the clock was set.
    jumps: u32,
}

/// The same moment on the camera's clock and on the epoch's clock, in nanoseconds.
#[derive(Debug, Clone, Copy)]
struct Anchor {
    camera: i64,
    epoch: i64,
}

/// The frame with the latest time on the epoch's clock.
#[derive(Debug, Clone, Copy)]
struct Newest {
    epoch: i64,
    /// The distance from the frame that was the newest before this one.
    step: i64,
    arrived: Instant,
}

impl Anchor {
    /// Maps a time on the camera's clock to the epoch's clock. `rate` is the speed of the epoch's clock relative to
    /// the camera's clock.
    fn map(self, camera: i64, rate: f64) -> i64 {
        let passed = camera.saturating_sub(self.camera);
        self.epoch.saturating_add(scale(passed, rate))
    }
}

impl CameraClock {
    /// Returns the time of a frame on the epoch's clock. The frame has the time `time` on the camera's clock, and
    /// arrived at `arrived`.
    pub(crate) fn epoch_time(
        &mut self,
        time: Duration,
        arrived: Instant,
        shared: &mut SharedClock,
    ) -> Duration {
        let camera = nanos(time);
        let (first, begun) = *shared.first.get_or_insert((camera, arrived));
        let from_first = Anchor { camera: first, epoch: nanos(BEGIN) };
        let anchor = self.anchor.or(shared.last_set).unwrap_or(from_first);
        let mut epoch = anchor.map(camera, self.pace.rate());
        let expected = self.expected(begun, arrived);
        if self.is_jump(epoch, &expected, arrived) {
            epoch = self.set(camera, &expected, shared);
        } else {
            self.anchor = Some(anchor);
        }
        let before = self.newest;
        if before.is_none_or(|newest| epoch > newest.epoch) {
            let step = before.map_or(0, |newest| epoch - newest.epoch);
            self.newest = Some(Newest { epoch, step, arrived });
        }
        if self.pace.note(camera, epoch, arrived) {
            self.anchor = Some(Anchor { camera, epoch });
        }
        Duration::from_nanos(u64::try_from(epoch).unwrap_or(0))
    }

    /// Returns the number of times that the camera's clock was set in this epoch.
    pub(crate) fn jumps(&self) -> u32 {
        self.jumps
    }

    /// Returns the times on the epoch's clock that the next frame can have if the camera's clock was not set.
    fn expected(&self, begun: Instant, arrived: Instant) -> Expected {
        let Some(newest) = self.newest else {
            let waited = nanos(arrived.saturating_duration_since(begun));
            let next = nanos(BEGIN).saturating_add(waited);
            return Expected {
                earliest: nanos(BEGIN) - TRACK_DISTANCE,
                next,
                latest: next.saturating_add(TRACK_DISTANCE),
            };
        };
        let waited = nanos(arrived.saturating_duration_since(newest.arrived));
        // Frames arrive with jitter. So the last distance between two frames is more exact than the time since the
        // newest frame arrived, except after a pause.
        let step = if waited < newest.step.saturating_mul(2) { newest.step } else { waited };
        Expected {
            earliest: newest.epoch - SET_BACK,
            next: newest.epoch.saturating_add(step.max(1)),
            latest: newest.epoch.saturating_add(waited).saturating_add(SET_FORWARD),
        }
    }

    /// Returns true if the clock was set before the frame with the time `epoch`.
    fn is_jump(&self, epoch: i64, expected: &Expected, arrived: Instant) -> bool {
        // If the camera has dropped frames because of congestion, the time of the next frame is far ahead, but the
        // frame does not arrive early. This is not a jump.
        let is_early = || self.pace.earliness(epoch, arrived) > SET_FORWARD;
        let is_first = self.newest.is_none();
        epoch < expected.earliest || epoch > expected.latest && (is_first || is_early())
    }

    /// Records that the clock was set before a frame, and returns this frame's time on the epoch's clock. If the
    /// clock of another track was set in the same way, follows that track.
    fn set(&mut self, camera: i64, expected: &Expected, shared: &mut SharedClock) -> i64 {
        self.jumps = self.jumps.saturating_add(1);
        self.pace.forget();
        let as_others = shared.last_set.map(|anchor| anchor.map(camera, 1.0));
        let fits = |epoch: &i64| (expected.earliest..=expected.latest).contains(epoch);
        let epoch = as_others.filter(fits).unwrap_or_else(|| {
            shared.last_set = Some(Anchor { camera, epoch: expected.next });
            expected.next
        });
        self.anchor = Some(Anchor { camera, epoch });
        epoch
    }
}

/// Times on the epoch's clock, in nanoseconds.
struct Expected {
    earliest: i64,
    next: i64,
    latest: i64,
}

/// Returns `nanos` multiplied by `rate`. Exact if the rate is 1.
fn scale(nanos: i64, rate: f64) -> i64 {
    if (rate - 1.0).abs() < f64::EPSILON {
        return nanos;
    }
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "microseconds suffice"
    )]
    let scaled = (nanos as f64 * rate) as i64;
    scaled
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::timeline::Timeline;

    const FRAME: Duration = Duration::from_millis(40);

    /// A camera with one track.
    struct Camera {
        clock: CameraClock,
        arrived: Instant,
        /// The camera's clock.
        time: f64,
    }

    impl Camera {
        fn starts_at(time: f64, arrived: Instant) -> Self {
            Self { clock: CameraClock::default(), arrived, time }
        }

        /// Sends a frame, and waits until the next one. Returns the frame's time on the epoch's clock, in
        /// milliseconds since the epoch's first frame.
        fn send(&mut self, shared: &mut SharedClock, pause: Duration, step: f64) -> i64 {
            let time = Duration::from_secs_f64(self.time);
            let epoch = self.clock.epoch_time(time, self.arrived, shared);
            self.arrived += pause;
            self.time += step;
            (nanos(epoch) - nanos(BEGIN)) / 1_000_000
        }

        /// Sends frames for this many seconds, during which the camera's clock runs at `rate`.
        fn send_for(&mut self, shared: &mut SharedClock, seconds: u32, rate: f64) -> Vec<i64> {
            let frames = 0..seconds * 25;
            frames.map(|_| self.send(shared, FRAME, 0.04 * rate)).collect()
        }
    }

    /// Returns the smallest and the largest distance between two of these times.
    fn distances(times: &[i64]) -> (i64, i64) {
        let distances = || times.windows(2).map(|pair| pair[1] - pair[0]);
        (distances().min().expect("times"), distances().max().expect("times"))
    }

    #[test]
    fn times_continue_when_the_camera_sets_its_clock() {
        for jump in
            [8.0 * 3600.0, -20.0, 54.0 * 365.0 * 86400.0, -54.0 * 365.0 * 86400.0, 1.5, -1.5]
        {
            let mut shared = SharedClock::default();
            let mut camera = Camera::starts_at(2e9, Instant::now());
            let mut times = camera.send_for(&mut shared, 4, 1.0);
            camera.time += jump;
            times.extend(camera.send_for(&mut shared, 4, 1.0));
            assert_eq!(times[0], 0);
            let (least, most) = distances(&times);
            assert!(least >= 38 && most <= 42, "{jump}: {least} {most}");
            assert_eq!(camera.clock.jumps(), 1, "{jump}");
        }
    }

    #[test]
    fn frames_that_are_reordered_have_different_times_when_the_camera_sets_its_clock() {
        for jump in [-20.0, -1.5, 3.0, 30_000.0] {
            for jump_at in 30..34 {
                let (mut shared, mut arrived) = (SharedClock::default(), Instant::now());
                let (mut clock, mut timeline) = (CameraClock::default(), Timeline::new(1, None));
                let mut times = Vec::new();
                for number in 0..60_i32 {
                    // In decoding order: 0, 3, 1, 2, 6, 4, 5.
                    let shown = match number % 3 {
                        _ if number == 0 => 0,
                        1 => number + 2,
                        _ => number - 1,
                    };
                    let jumped = if number >= jump_at { jump } else { 0.0 };
                    let camera = Duration::from_secs_f64(1000.0 + f64::from(shown) * 0.04 + jumped);
                    times.push(timeline.place(clock.epoch_time(camera, arrived, &mut shared)));
                    arrived += FRAME;
                }
                let what = format!("{jump} s before frame {jump_at}: {times:?}");
                assert!(times.windows(2).all(|pair| pair[0].decode < pair[1].decode), "{what}");
                assert!(times.iter().all(|it| it.decode <= it.presentation), "{what}");
                let mut shown: Vec<_> = times.iter().map(|it| it.presentation).collect();
                shown.sort();
                shown.dedup();
                assert_eq!(shown.len(), times.len(), "{what}");
            }
        }
    }

    #[test]
    fn audio_and_video_stay_in_sync_when_the_camera_sets_its_clock() {
        let (mut shared, began) = (SharedClock::default(), Instant::now());
        let (mut video, mut audio) = (Camera::starts_at(2e9, began), Camera::starts_at(2e9, began));
        for jump in [-20.0, 30_000.0, -3.0] {
            video.send_for(&mut shared, 3, 1.0);
            audio.send_for(&mut shared, 3, 1.0);
            // In this second, only the clock of the audio is set, because the audio's sender report comes first.
            audio.time += jump;
            audio.send_for(&mut shared, 1, 1.0);
            let late = video.send_for(&mut shared, 1, 1.0);
            video.time += jump;
            let (picture, sound) =
                (video.send(&mut shared, FRAME, 0.04), audio.send(&mut shared, FRAME, 0.04));
            assert!((picture - sound).abs() <= 1, "{jump}: {picture} {sound}");
            assert!((picture - late[24] - 40).abs() <= 1, "{jump}: {picture} {late:?}");
        }
    }

    #[test]
    fn a_track_that_begins_after_the_clock_was_set_is_in_sync() {
        let (mut shared, began) = (SharedClock::default(), Instant::now());
        // FFmpeg gives the first packet the time 0.
        let mut video = Camera::starts_at(0.0, began);
        video.send(&mut shared, FRAME, 47_400.0);
        video.send(&mut shared, FRAME, 0.04);
        let mut audio = Camera::starts_at(video.time, video.arrived);
        let (picture, sound) =
            (video.send(&mut shared, FRAME, 0.04), audio.send(&mut shared, FRAME, 0.04));
        assert_eq!((picture, sound), (80, 80));
    }

    #[test]
    fn pauses_and_bursts_are_not_jumps() {
        let mut shared = SharedClock::default();
        let mut camera = Camera::starts_at(1000.0, Instant::now());
        // The camera first sends the frames that it has kept.
        let burst: Vec<_> =
            (0..75).map(|_| camera.send(&mut shared, Duration::ZERO, 0.04)).collect();
        assert_eq!(distances(&burst), (40, 40));
        camera.send_for(&mut shared, 3, 1.0);
        // The network is interrupted for 10 s. The camera sends the 50 frames that it has kept, and then new ones.
        camera.arrived += Duration::from_secs(10);
        let kept: Vec<_> =
            (0..50).map(|_| camera.send(&mut shared, Duration::ZERO, 0.04)).collect();
        assert_eq!(distances(&kept), (40, 40));
        camera.time += 8.0;
        let new = camera.send(&mut shared, FRAME, 0.04);
        assert!((new - kept[49] - 8040).abs() <= 1, "{new}");
        // A camera that sends a frame every five seconds.
        let slow: Vec<_> =
            (0..5).map(|_| camera.send(&mut shared, Duration::from_secs(5), 5.0)).collect();
        assert_eq!(distances(&slow[1..]), (5000, 5000));
        assert_eq!(camera.clock.jumps(), 0);
    }

    #[test]
    fn a_clock_that_runs_at_a_wrong_rate_is_corrected() {
        for rate in [0.84, 0.95, 1.1, 1.19] {
            let mut shared = SharedClock::default();
            let mut camera = Camera::starts_at(1000.0, Instant::now());
            camera.send_for(&mut shared, 8, rate);
            let times = camera.send_for(&mut shared, 60, rate);
            let took = times[times.len() - 1] - times[0];
            assert!((took - 59_960).abs() < 1200, "{rate}: {took}");
            let (least, most) = distances(&times);
            assert!(least >= 34 && most <= 46, "{rate}: {least} {most}");
            let times = camera.send_for(&mut shared, 600, rate);
            let took = times[times.len() - 1] - times[0];
            assert!((took - 599_960).abs() < 200, "{rate}: {took}");
        }
    }

    #[test]
    fn jitter_and_congestion_do_not_change_the_rate() {
        let (mut shared, began) = (SharedClock::default(), Instant::now());
        let mut clock = CameraClock::default();
        let mut random = fastrand::Rng::with_seed(7);
        for frame in 0..5000_u32 {
            let time = FRAME * frame;
            // From the 40th second on, the network delays all frames by a further 2 s.
            let delay = Duration::from_millis(random.u64(..120));
            let congestion = if frame > 1000 { Duration::from_secs(2) } else { Duration::ZERO };
            let epoch = clock.epoch_time(time, began + time + delay + congestion, &mut shared);
            assert_eq!(epoch, BEGIN + time, "{frame}");
        }
    }
}
