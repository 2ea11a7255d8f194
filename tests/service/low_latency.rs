//! Low latency: parts in the playlist, and reloads that wait for them.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::support::{Manager, Nginx, eventually, on_air, project};

/// A part of the playlist: file, offset and length.
type Part = (String, u64, u64);

fn parts(playlist: &str) -> Vec<Part> {
    let attribute = |line: &str, name: &str| -> Option<String> {
        let rest = line.split_once(&format!("{name}=\""))?.1;
        Some(rest.split_once('"')?.0.to_owned())
    };
    let lines = playlist.lines().filter(|line| line.starts_with("#EXT-X-PART:"));
    let part = |line: &str| {
        let range = attribute(line, "BYTERANGE")?;
        let (length, offset) = range.split_once('@')?;
        Some((attribute(line, "URI")?, offset.parse().ok()?, length.parse().ok()?))
    };
    lines.map(|line| part(line).unwrap_or_else(|| panic!("no part: {line}"))).collect()
}

/// Number of the segment that grows, and how many parts of it the playlist names.
fn position(playlist: &str) -> (u64, u64) {
    let parts = parts(playlist);
    let last = parts.last().expect("a part").0.clone();
    let count = parts.iter().filter(|part| part.0 == last).count() as u64;
    let number = last.trim_end_matches(".m4s").parse().expect("a number");
    let is_finished = playlist.lines().any(|line| line == last);
    if is_finished { (number + 1, 0) } else { (number, count) }
}

async fn fetch(nginx: &Nginx, query: &str) -> (u16, String) {
    let answer = nginx.get(&format!("/streams/cam/stream.m3u8{query}")).await;
    (answer.status().as_u16(), answer.text().await.expect("a whole answer"))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_part_is_a_range_that_nginx_serves() {
    let (_camera, _manager, nginx) = on_air("h264-aac", &[]).await;
    let playlist = eventually("some segments are there", || async {
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
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), 206, "{file} {offset}");
        let bytes = answer.bytes().await.expect("a part");
        assert_eq!(bytes.len() as u64, *length, "{file} {offset}");
        assert_eq!(&bytes[4..8], b"moof", "{file} {offset} does not begin with a fragment");
    }
    // The parts of a finished segment are the whole of it.
    let finished = playlist.lines().rfind(|line| !line.starts_with('#')).expect("a segment");
    let whole =
        nginx.get(&format!("/streams/cam/{finished}")).await.bytes().await.expect("a segment");
    let sum: u64 = parts.iter().filter(|part| part.0 == finished).map(|part| part.2).sum();
    assert_eq!(sum, whole.len() as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_waits_for_its_part_and_two_hundred_wait_as_one() {
    let (_camera, _manager, nginx) = on_air("h264", &[]).await;
    let (_, now) = fetch(&nginx, "").await;
    let (sequence, part) = position(&now);
    // Two parts ahead: not there yet, and there soon.
    let query = format!("?_HLS_msn={sequence}&_HLS_part={}", part + 2);
    let asked = Instant::now();
    let answers = join_all((0..200).map(|_| fetch(&nginx, &query))).await;
    assert!(asked.elapsed() > Duration::from_millis(100), "nobody waited: {:?}", asked.elapsed());
    for (status, playlist) in &answers {
        assert_eq!(*status, 200);
        assert!(position(playlist) > (sequence, part + 2), "asked {query}, got {playlist}");
    }
    // All of them got the first playlist that had the part; a few came too late for it.
    let first = answers.iter().map(|answer| position(&answer.1)).min().expect("answers");
    let same = answers.iter().filter(|answer| position(&answer.1) == first).count();
    assert!(same > 100, "only {same} of 200 were answered at once");

    // A whole segment, while its parts go by.
    let (status, playlist) = fetch(&nginx, &format!("?_HLS_msn={}", sequence + 1)).await;
    assert_eq!(status, 200);
    assert!(playlist.contains(&format!("\n{}.m4s\n", sequence + 1)), "{playlist}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_that_makes_no_sense_is_refused() {
    let (_camera, _manager, nginx) = on_air("h264", &[]).await;
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
    // What has long gone by is answered at once.
    assert_eq!(fetch(&nginx, "?_HLS_msn=1&_HLS_part=0&_HLS_skip=YES").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_of_a_camera_that_went_away_is_answered_in_time() {
    let (mut camera, manager, nginx) = on_air("h264", &[]).await;
    camera.kill();
    manager.reaches("cam", "backoff").await;
    let (sequence, part) = position(&fetch(&nginx, "").await.1);
    let asked = Instant::now();
    let (status, playlist) = fetch(&nginx, &format!("?_HLS_msn={sequence}&_HLS_part={part}")).await;
    // Three segments of two seconds; an error would make players give up.
    assert!((5..9).contains(&asked.elapsed().as_secs()), "{:?}", asked.elapsed());
    assert_eq!(status, 200);
    assert_eq!(position(&playlist), (sequence, part));
    manager.stop_stream("cam").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_whose_stream_is_stopped_may_ask_again() {
    // A child that is slow to leave: the reload arrives before the stream has gone.
    let child = project().join("tests/service/children/ignores_sigterm");
    let child = ("FFMPEG_BIN", child.to_str().expect("a path"));
    let (camera, manager, nginx) = on_air("h264", &[child, ("STOP_GRACE_SECONDS", "1")]).await;
    // Nothing that the reload waits for comes before the stop.
    camera.freeze();
    let (sequence, _) = position(&fetch(&nginx, "").await.1);
    let query = format!("?_HLS_msn={}", sequence + 1);
    let (waiting, _) = tokio::join!(fetch(&nginx, &query), manager.stop_stream("cam"));
    camera.thaw();
    assert_eq!(waiting.0, 503, "{}", waiting.1);
    assert!(waiting.1.contains("stream_ended"), "{}", waiting.1);
    assert_eq!(fetch(&nginx, "").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_player_whose_camera_is_stopped_while_it_starts_may_ask_again() {
    // A camera that takes the connection and says nothing.
    let camera = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let link = format!("rtsp://{}/live", camera.local_addr().expect("an address"));
    let manager = Manager::start(&[]).await;
    let nginx = Nginx::start(&manager).await;
    let input = serde_json::json!({ "rtsp_link": link });
    manager.put("/api/cameras/cam", &input).await;
    let stop = async {
        manager.reaches("cam", "starting").await;
        manager.stop_stream("cam").await;
    };
    let ((status, answer), ()) = tokio::join!(fetch(&nginx, ""), stop);
    assert_eq!(status, 503, "{answer}");
    assert!(answer.contains("stream_ended"), "{answer}");
}
