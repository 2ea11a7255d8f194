//! Cameras that set their clocks while they send, and cameras whose clocks run at a wrong rate. In both cases, the
//! media time must advance as fast as the frames arrive. Also a manager that is suspended, and reads frames late.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::future::join_all;
use m3u8_rs::MediaPlaylist;
use nix::sys::signal::Signal;

use crate::support::{Manager, Nginx, RawCamera, play, start_service};

/// Data from all playlists of a stream that the test has read so far.
#[derive(Default)]
struct Seen {
    /// The duration of each part.
    parts: HashMap<String, Duration>,
    /// The largest number of discontinuities in one playlist.
    discontinuities: usize,
    /// The age of the newest segment in milliseconds, when the playlist was last read. The age is measured from the
    /// start of the segment.
    age_ms: i64,
}

impl Seen {
    async fn update(&mut self, manager: &Manager, id: &str) {
        let response = manager.get(&format!("/streams/{id}/stream.m3u8")).await;
        let text = response.body.as_str().unwrap_or_else(|| panic!("{id}: {response:?}"));
        for line in text.lines().filter_map(|line| line.strip_prefix("#EXT-X-PART:DURATION=")) {
            let (duration, place) = line.split_once(',').expect("a part");
            let duration = Duration::from_secs_f64(duration.parse().expect("a duration"));
            self.parts.insert(place.to_owned(), duration);
        }
        let playlist: MediaPlaylist =
            m3u8_rs::parse_media_playlist_res(text.as_bytes()).expect("a playlist");
        let breaks = playlist.segments.iter().filter(|segment| segment.discontinuity).count();
        self.discontinuities = self.discontinuities.max(breaks);
        let dates = playlist.segments.iter().filter_map(|segment| segment.program_date_time);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_millis();
        let now = i64::try_from(now).expect("a time");
        let milliseconds = dates.map(|date| now - date.timestamp_millis()).next_back();
        self.age_ms = milliseconds.unwrap_or(i64::MAX);
    }

    fn media(&self) -> f64 {
        self.parts.values().sum::<Duration>().as_secs_f64()
    }

    /// Watches a stream for this many seconds. Returns how many seconds of media were added per second.
    async fn rate(&mut self, manager: &Manager, id: &str, seconds: u64) -> f64 {
        self.update(manager, id).await;
        let (began, before) = (Instant::now(), self.media());
        while began.elapsed() < Duration::from_secs(seconds) {
            tokio::time::sleep(Duration::from_millis(200)).await;
            self.update(manager, id).await;
        }
        (self.media() - before) / began.elapsed().as_secs_f64()
    }
}

/// The maximum number of measured periods. In at least one of them, the media must advance in real time.
const PERIODS: usize = 3;

/// Starts a camera with these habits, and checks that its stream stays live without interruption. After the first
/// `settling` seconds, the media must advance in real time during a period of `seconds`.
async fn advances(
    manager: &Manager,
    nginx: &Nginx,
    (id, habits): (&str, &str),
    settling: u64,
    seconds: u64,
) {
    let camera = RawCamera::start(habits).await;
    let response = manager.start_stream(id, &camera.link()).await;
    assert_eq!(response.status, 200, "{id}: {response:?}");
    let mut seen = Seen::default();
    seen.rate(manager, id, settling).await;
    // On a busy machine, the conversion can fall behind in one period and catch up in the next one. With a wrong
    // clock, the rate would be wrong in every period.
    let mut rates = Vec::new();
    while !rates.last().is_some_and(|rate| (0.95..1.05).contains(rate)) {
        assert!(rates.len() < PERIODS, "{id}: the media advances {rates:?} s per second");
        rates.push(seen.rate(manager, id, seconds).await);
    }
    assert!(seen.discontinuities <= 1, "{id}");
    assert!(
        (-100..6000).contains(&seen.age_ms),
        "{id}: the newest segment is {} ms old",
        seen.age_ms
    );
    play(&nginx.playlist(id), 3).await;
    let status = manager.status(id).await;
    assert_eq!((&status["state"], &status["restarts"]), (&"live".into(), &0.into()), "{status}");
    assert_eq!(status["last_error"], serde_json::Value::Null, "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_continues_when_the_camera_sets_its_clock() {
    let (_camera, manager, nginx) = start_service(&[]).await;
    // 1.7e9 s are 54 years. At 90 kHz, 4.266e9 ticks are 13 h 10 min.
    let cases = [
        ("ahead", "--audio pcmu --reports --report-jump 28800@3"),
        ("back", "--audio aac --reports --report-jump=-20@3"),
        ("from-1970", "--audio pcmu --reports --report-from=-1.7e9 --report-jump 1.7e9@3"),
        ("to-1970", "--audio aac --reports --report-jump=-1.7e9@3"),
        ("stamps-ahead", "--jump 3000@3"),
        ("stamps-back", "--audio aac --jump=-20@3"),
        ("converted-ahead", "--video mpeg4 --jump 3000@3"),
        ("converted-back", "--video mpeg4 --audio aac --jump=-20@3"),
        ("rtp-info", "--audio aac --rtptime-ahead 4266000000"),
        ("rtp-info-soon", "--audio pcmu --rtptime-ahead 900000"),
        ("wraps", "--audio pcmu --rtp-start 4294700000"),
    ];
    for some in cases.chunks(5) {
        join_all(some.iter().map(|case| advances(&manager, &nginx, *case, 1, 7))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_runs_at_a_wrong_rate_is_corrected() {
    let (_camera, manager, nginx) = start_service(&[]).await;
    let cases = [
        ("slow", "--speed 0.84"),
        ("slower-with-sound", "--audio aac --speed 0.95"),
        ("fast", "--audio pcmu --speed 1.1"),
    ];
    join_all(cases.map(|case| advances(&manager, &nginx, case, 8, 8))).await;
}

/// After the suspension, the manager reads the frames that arrived during the suspension. Their dates must still be
/// right, and the manager must not reconnect to the camera.
#[tokio::test(flavor = "multi_thread")]
async fn dates_stay_right_after_the_manager_was_suspended() {
    let (_camera, manager, _nginx) = start_service(&[]).await;
    let camera = RawCamera::start("--audio aac").await;
    manager.play("cam", &camera.link()).await;
    let mut seen = Seen::default();
    seen.rate(&manager, "cam", 5).await;
    manager.signal(Signal::SIGSTOP);
    // This is longer than STALE_TIMEOUT_SECONDS.
    tokio::time::sleep(Duration::from_secs(15)).await;
    manager.signal(Signal::SIGCONT);
    let resumed = Instant::now();
    while resumed.elapsed() < Duration::from_secs(8) {
        let response = manager.get("/streams/cam/stream.m3u8").await;
        let text = response.body.as_str().unwrap_or_else(|| panic!("{response:?}"));
        let playlist: MediaPlaylist =
            m3u8_rs::parse_media_playlist_res(text.as_bytes()).expect("a playlist");
        for pair in playlist.segments.windows(2) {
            let date = |index: usize| {
                let date = pair[index].program_date_time.expect("a date");
                date.timestamp_millis()
            };
            let between = f64::from(i32::try_from(date(1) - date(0)).expect("a short time"));
            let difference = between - f64::from(pair[0].duration) * 1000.0;
            assert!(difference.abs() < 500.0, "a date differs by {difference} ms: {text}");
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    seen.update(&manager, "cam").await;
    assert!((-100..6000).contains(&seen.age_ms), "the newest segment is {} ms old", seen.age_ms);
    assert_eq!(seen.discontinuities, 0);
    let status = manager.status("cam").await;
    assert_eq!((&status["state"], &status["restarts"]), (&"live".into(), &0.into()), "{status}");
    assert_eq!(camera.connections(), 1, "the manager connected to the camera again");
}
