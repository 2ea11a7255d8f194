//! Low-Latency HLS: parts in the playlist, and blocking playlist reloads.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::support::{Manager, Nginx, SilentCamera, eventually, project_dir, start_live};

/// A partial segment of the playlist: its file, offset and length.
type Part = (String, u64, u64);

/// Returns the parts that a playlist lists.
fn parts(playlist: &str) -> Vec<Part> {
    let attribute = |line: &str, name: &str| -> Option<String> {
        let value = line.split_once(&format!("{name}=\""))?.1;
        Some(value.split_once('"')?.0.to_owned())
    };
    let lines = playlist.lines().filter(|line| line.starts_with("#EXT-X-PART:"));
    let part = |line: &str| {
        let range = attribute(line, "BYTERANGE")?;
        let (length, offset) = range.split_once('@')?;
        Some((attribute(line, "URI")?, offset.parse().ok()?, length.parse().ok()?))
    };
    lines.map(|line| part(line).unwrap_or_else(|| panic!("an invalid part: {line}"))).collect()
}

/// Returns the sequence number of the unfinished segment, and how many of its parts are listed.
pub(crate) fn position(playlist: &str) -> (u64, u64) {
    let parts = parts(playlist);
    let last = parts.last().expect("a part").0.clone();
    let count = parts.iter().filter(|part| part.0 == last).count() as u64;
    let number = last.trim_end_matches(".m4s").parse().expect("a number");
    let is_finished = playlist.lines().any(|line| line == last);
    if is_finished { (number + 1, 0) } else { (number, count) }
}

/// Fetches the playlist. Returns the status code and the body.
pub(crate) async fn fetch(nginx: &Nginx, query: &str) -> (u16, String) {
    let response = nginx.get(&format!("/streams/cam/stream.m3u8{query}")).await;
    (response.status().as_u16(), response.text().await.expect("a complete response"))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_part_is_a_byte_range_that_nginx_serves() {
    let (_camera, _manager, nginx) = start_live("h264-aac", &[]).await;
    let playlist = eventually("the playlist has six segments", || async {
        let (_, playlist) = fetch(&nginx, "").await;
        (playlist.matches("#EXTINF").count() >= 6).then_some(playlist)
    })
    .await;
    let parts = parts(&playlist);
    assert!(parts.len() > 10, "{playlist}");
    for (file, offset, length) in &parts {
        let request = nginx
            .client()
            .get(nginx.url(&format!("/streams/cam/{file}")))
            .header("range", format!("bytes={offset}-{}", offset + length - 1));
        let response = request.send().await.expect("a response");
        assert_eq!(response.status(), 206, "{file} {offset}");
        let bytes = response.bytes().await.expect("a part");
        assert_eq!(bytes.len() as u64, *length, "{file} {offset}");
        assert_eq!(&bytes[4..8], b"moof", "{file} {offset} does not begin with a fragment");
    }
    // The parts of a finished segment cover the whole segment.
    let finished = playlist.lines().rfind(|line| !line.starts_with('#')).expect("a segment");
    let segment = nginx.get(&format!("/streams/cam/{finished}")).await;
    let segment = segment.bytes().await.expect("a segment");
    let sum: u64 = parts.iter().filter(|part| part.0 == finished).map(|part| part.2).sum();
    assert_eq!(sum, segment.len() as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_blocking_reloads_are_answered_together_when_their_part_is_ready() {
    let (_camera, _manager, nginx) = start_live("h264", &[]).await;
    let (_, now) = fetch(&nginx, "").await;
    let (sequence, part) = position(&now);
    // The requests wait for the ninth part after the parts in the playlist. Until this part is ready, there is
    // enough time for all requests to arrive, even on a busy machine.
    let wanted = part + 8;
    let query = format!("?_HLS_msn={sequence}&_HLS_part={wanted}");
    let start = Instant::now();
    let responses = join_all((0..200).map(|_| fetch(&nginx, &query))).await;
    let duration = start.elapsed();
    assert!(duration > Duration::from_millis(100), "the reloads did not block: {duration:?}");
    for (status, playlist) in &responses {
        assert_eq!(*status, 200);
        // Parts are counted from 0, so a playlist with part `wanted` lists more than `wanted` parts.
        assert!(position(playlist) > (sequence, wanted), "{query}: {playlist}");
    }
    // Most requests get the first playlist that has the part. A few requests can arrive later and get a newer
    // playlist.
    let first = responses.iter().map(|response| position(&response.1)).min().expect("responses");
    let same = responses.iter().filter(|response| position(&response.1) == first).count();
    assert!(same > 100, "only {same} of 200 reloads got the first playlist with the part");

    // A reload can also wait for a whole segment.
    let (status, playlist) = fetch(&nginx, &format!("?_HLS_msn={}", sequence + 1)).await;
    assert_eq!(status, 200);
    assert!(playlist.contains(&format!("\n{}.m4s\n", sequence + 1)), "{playlist}");
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_reload_parameters_are_rejected() {
    let (_camera, _manager, nginx) = start_live("h264", &[]).await;
    let (sequence, _) = position(&fetch(&nginx, "").await.1);
    for query in [
        format!("?_HLS_msn={}", sequence + 100),
        "?_HLS_part=1".to_owned(),
        "?_HLS_msn=x".to_owned(),
        "?_HLS_skip=maybe".to_owned(),
    ] {
        let (status, problem) = fetch(&nginx, &query).await;
        assert_eq!(status, 400, "{query}");
        assert!(problem.contains("invalid_request"), "{query}: {problem}");
    }
    // The response does not wait for a segment that exists already, even if the segment is old.
    assert_eq!(fetch(&nginx, "?_HLS_msn=1&_HLS_part=0&_HLS_skip=YES").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocking_reload_waits_at_most_three_segment_durations_for_an_unreachable_camera() {
    let (mut camera, manager, nginx) = start_live("h264", &[]).await;
    camera.kill();
    manager.reaches("cam", "backoff").await;
    let (sequence, part) = position(&fetch(&nginx, "").await.1);
    let start = Instant::now();
    let (status, playlist) = fetch(&nginx, &format!("?_HLS_msn={sequence}&_HLS_part={part}")).await;
    // The limit is three times the segment duration of two seconds. The response is a playlist, because
    // players give up after an error.
    assert!((5..9).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    assert_eq!(status, 200);
    assert_eq!(position(&playlist), (sequence, part));
    manager.stop_stream("cam").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_blocking_reloads_with_a_retryable_error() {
    // This script replaces FFmpeg, and exits slowly. So the reload arrives while the stream is stopping.
    let child = project_dir().join("tests/service/children/ignores_sigterm");
    let child = ("FFMPEG_BIN", child.to_str().expect("a path"));
    let (camera, manager, nginx) = start_live("h264", &[child, ("STOP_GRACE_SECONDS", "1")]).await;
    // With a frozen camera, the segment that the reload waits for cannot appear before the stop.
    camera.freeze();
    let (sequence, _) = position(&fetch(&nginx, "").await.1);
    let query = format!("?_HLS_msn={}", sequence + 1);
    let ((status, problem), _) = tokio::join!(fetch(&nginx, &query), manager.stop_stream("cam"));
    camera.thaw();
    assert_eq!(status, 503, "{problem}");
    assert!(problem.contains("stream_ended"), "{problem}");
    assert_eq!(fetch(&nginx, "").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_during_a_start_gives_players_a_retryable_error() {
    let camera = SilentCamera::start().await;
    let manager = Manager::start(&[]).await;
    let nginx = Nginx::start(&manager).await;
    let input = serde_json::json!({ "rtsp_link": camera.link() });
    manager.put("/api/cameras/cam", &input).await;
    let stop = async {
        manager.reaches("cam", "starting").await;
        manager.stop_stream("cam").await;
    };
    let ((status, response), ()) = tokio::join!(fetch(&nginx, ""), stop);
    assert_eq!(status, 503, "{response}");
    assert!(response.contains("stream_ended"), "{response}");
}
