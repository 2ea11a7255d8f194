//! The parts of low-latency HLS: their durations conform to the draft, and nearly all of them have audio.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;

use crate::support::{Manager, Nginx, RawCamera, Recorder, play, play_slow};

/// The maximum number of measured periods. In at least one of them, nearly all parts must have audio.
const PERIODS: usize = 3;

/// hls.js takes the times of parts either from their audio or from their video. The picture freezes whenever hls.js
/// changes from one to the other.
#[tokio::test(flavor = "multi_thread")]
async fn nearly_all_parts_have_audio() {
    let manager = Manager::start(&[]).await;
    let nginx = Nginx::start(&manager).await;
    let cases = [
        ("aac", "--audio aac"),
        ("aac-16k", "--audio aac-16k"),
        ("aac-8k", "--audio aac-8k"),
        ("pcmu", "--audio pcmu"),
        ("pcmu-in-bursts", "--audio pcmu --audio-every 0.2"),
    ];
    join_all(cases.map(async |(id, habits)| {
        let camera = RawCamera::start(habits).await;
        let response = manager.start_stream(id, &camera.link()).await;
        assert_eq!(response.status, 200, "{id}: {response:?}");
        let mut recorder = Recorder::default();
        recorder.record(&nginx, id, 2).await;
        // Whenever the delay of the audio reaches a new maximum, one part has no audio. On a busy machine, this
        // happens several times at first, so the test measures again. If parts did not wait for their audio, many
        // parts of every period would have no audio.
        let mut seen = Vec::new();
        while !seen.last().is_some_and(|(parts, without)| *parts > 50 && *without < 8) {
            assert!(
                seen.len() < PERIODS,
                "{id}: too many parts without audio (parts, parts without audio): {seen:?}"
            );
            let before = recorder.parts().len();
            recorder.record(&nginx, id, 6).await;
            let parts = recorder.parts().split_off(before);
            seen.push((parts.len(), parts.iter().filter(|part| !part.has_audio).count()));
        }
        play(&nginx.playlist(id), 2).await;
    }))
    .await;
}

/// The recorder checks the durations of the parts.
#[tokio::test(flavor = "multi_thread")]
async fn only_the_last_part_of_a_segment_is_short() {
    let manager = Manager::start(&[]).await;
    let nginx = Nginx::start(&manager).await;
    let cases = ["h264-intra", "h264-gop-5", "h264-gop-13", "h264-gop-21", "h264"];
    join_all(cases.map(async |id| {
        let camera = RawCamera::start(&format!("--video {id}")).await;
        manager.play(id, &camera.link()).await;
        let mut recorder = Recorder::default();
        recorder.record(&nginx, id, 14).await;
        let segments: Vec<f64> = recorder
            .segments
            .values()
            .map(|parts| parts.iter().map(|part| part.duration).sum())
            .collect();
        assert!(
            segments[segments.len() - 3..segments.len() - 1].iter().all(|it| *it > 0.99),
            "{id}: {segments:?}"
        );
        play(&nginx.playlist(id), 2).await;
    }))
    .await;
}

/// Each frame is a part that lasts until the next frame.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a minute; ./deploy/test --long runs it"]
async fn a_camera_with_a_frame_every_few_seconds_plays() {
    let manager = Manager::start(&[]).await;
    let nginx = Nginx::start(&manager).await;
    tokio::join!(
        plays_slow_frames(&manager, &nginx, "1", ""),
        plays_slow_frames(&manager, &nginx, "2.5", ""),
        plays_slow_frames(&manager, &nginx, "3", ""),
        plays_slow_frames(&manager, &nginx, "3", "--audio aac"),
        plays_slow_frames(&manager, &nginx, "5", ""),
        plays_slow_frames(&manager, &nginx, "5", "--audio aac"),
    );
}

/// Records and plays the stream of a camera that sends a frame every `interval` seconds.
async fn plays_slow_frames(manager: &Manager, nginx: &Nginx, interval: &str, more: &str) {
    let seconds: f64 = interval.parse().expect("a number");
    let habits = format!("--frame-interval {interval} --video h264-intra {more}");
    let camera = RawCamera::start(&habits).await;
    let id = format!("every-{interval}{more}").replace(['.', ' '], "-");
    let request = json!({ "indicator_id": id, "rtsp_link": camera.link() });
    let response = manager.post("/api/stream/start", &request).await;
    assert_eq!(response.status, 200, "{id}: {response:?}");
    let mut recorder = Recorder::default();
    recorder.record(nginx, &id, 25).await;
    let parts = recorder.parts();
    let duration: f64 = parts.iter().map(|part| part.duration).sum();
    assert!((25.0..25.0 + 4.0 * seconds).contains(&duration), "{id}: {duration} s");
    for pair in parts.windows(2).skip(2) {
        let distance = pair[1].seen_at.duration_since(pair[0].seen_at);
        let late = distance.saturating_sub(Duration::from_secs_f64(seconds));
        assert!(late < Duration::from_secs(1), "{id}: {distance:?}");
    }
    play_slow(&nginx.playlist(&id), 10).await;
    let status = manager.status(&id).await;
    assert_eq!((&status["state"], &status["restarts"]), (&"live".into(), &0.into()), "{status}");
}
