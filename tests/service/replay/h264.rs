//! Recordings in H.265 that are converted to H.264 when a player requests them.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde_json::json;

use super::{ADMIN, Setup, clocks, range, text};
use crate::support::until;

/// Returns the URLs of the segments of a playlist.
fn segments(playlist: &str) -> Vec<String> {
    playlist.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_picture_is_converted_with_its_time() {
    let setup = Setup::new("hevc-aac", 8).await;
    let query = setup.query(500, 6800);
    let url = |name: &str, query: &str| setup.nginx.url(&format!("/recordings/cam/{name}?{query}"));
    let recorded = clocks(&url("stream.m3u8", &query)).await;
    assert!(recorded.len() >= 60, "{} pictures", recorded.len());
    let converted = format!("{query}&codec=h264");
    let index = setup.playlist("index.m3u8", &converted).await;
    assert!(index.contains("CODECS=\"avc1.") && index.contains(",mp4a.40.2\""), "{index}");
    assert_eq!(index.matches("&codec=h264").count(), 2, "{index}");
    // FFmpeg prints a warning if the init segment does not fit, or if times go back.
    assert_eq!(clocks(&url("index.m3u8", &converted)).await, recorded);
    let keyframes = clocks(&url("iframes.m3u8", &converted)).await;
    assert_eq!(keyframes, clocks(&url("iframes.m3u8", &query)).await);

    let playlist = setup.playlist("stream.m3u8", &converted).await;
    let init = playlist.split('"').nth(1).expect("an init segment").to_owned();
    let get = async |name: &str| {
        let response = setup.get(&format!("/recordings/cam/{name}")).await;
        assert_eq!(
            (response.status(), &response.headers()["content-type"]),
            (StatusCode::OK, &"video/mp4".parse().expect("a type")),
            "{name}"
        );
        assert_eq!(response.headers()["cache-control"], "no-store");
        response.bytes().await.expect("bytes")
    };
    let init = get(&init).await;
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("segment.mp4");
    let recorded_init = setup.playlist("stream.m3u8", &query).await;
    let recorded_file = recorded_init.split('"').nth(1).expect("a file").to_owned();
    let size = recorded_init.split("BYTERANGE=\"").nth(1).and_then(|it| it.split('@').next());
    let recorded_part = async |first: u64, size: u64| {
        let headers = range(&format!("bytes={first}-{}", first + size - 1));
        let path = format!("/recordings/cam/{recorded_file}");
        setup.get_with(&path, ADMIN, &headers).await.bytes().await.expect("bytes")
    };
    let recorded_init = recorded_part(0, size.expect("a size").parse().expect("a number")).await;
    for name in segments(&playlist) {
        std::fs::write(&path, [&init[..], &get(&name).await[..]].concat()).expect("a file");
        let (video, audio) = (packets(&path, "v"), packets(&path, "a"));
        let keyframes: Vec<_> = video.iter().map(|packet| packet.is_keyframe).collect();
        assert!(keyframes[0] && !keyframes[1..].contains(&true), "one keyframe: {keyframes:?}");
        // Times and durations are those of the recording.
        let mut numbers =
            name.trim_end_matches(".m4s").rsplit('-').map(|it| it.parse().expect("a number"));
        let (size, first) = (numbers.next().expect("a size"), numbers.next().expect("a position"));
        let segment = recorded_part(first, size).await;
        std::fs::write(&path, [&recorded_init[..], &segment[..]].concat()).expect("a file");
        let millis = |seconds: f64| (seconds * 1000.0).round();
        let times = |packets: &[Packet]| -> Vec<_> {
            packets.iter().map(|it| (millis(it.time), millis(it.duration))).collect()
        };
        assert_eq!(times(&video), times(&packets(&path, "v")), "{name}");
        // ffprobe does not know the durations of all packets of audio.
        let times =
            |packets: &[Packet]| -> Vec<_> { packets.iter().map(|it| millis(it.time)).collect() };
        assert_eq!(times(&audio), times(&packets(&path, "a")), "{name}");
        assert!(audio.len() > 20, "the sound is missing in {name}");
    }
    // A recording in H.264 needs no conversion.
    let unknown = setup.get("/recordings/cam/stream.m3u8?codec=av1").await;
    assert_eq!(unknown.status(), 400);
}

struct Packet {
    time: f64,
    duration: f64,
    is_keyframe: bool,
}

/// Returns the packets of a track of a file.
fn packets(path: &std::path::Path, track: &str) -> Vec<Packet> {
    let output = std::process::Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", track, "-show_entries"])
        .args(["packet=pts_time,duration_time,flags", "-of", "json"])
        .arg(path)
        .output()
        .expect("ffprobe");
    let probe: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let packets = probe["packets"].as_array().expect("packets");
    // Packets of audio can be without a duration.
    let number = |value: &serde_json::Value| -> f64 {
        value.as_str().map_or(0.0, |number| number.parse().expect("a number"))
    };
    let packet = |packet: &serde_json::Value| Packet {
        time: number(&packet["pts_time"]),
        duration: number(&packet["duration_time"]),
        is_keyframe: packet["flags"].as_str().expect("flags").starts_with('K'),
    };
    packets.iter().map(packet).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn few_segments_are_converted_at_a_time_and_only_for_clients_that_wait() {
    let setup = Setup::new("hevc", 22).await;
    until("the camera's FFmpeg has ended", || async { setup.manager.ffmpegs().is_empty() }).await;
    let query = format!("{}&codec=h264", setup.query(0, 22_000));
    let names = segments(&setup.playlist("stream.m3u8", &query).await);
    assert!(names.len() >= 15, "{names:?}");
    let get = |name: &String| {
        let url = setup.nginx.url(&format!("/recordings/cam/{name}"));
        let request = setup.nginx.client().get(url).header("x-api-key", ADMIN);
        async move { request.send().await.expect("a response") }
    };
    // Each segment is requested twice, so that there are more requests than places in the queue.
    let all = futures_util::future::join_all(names.iter().chain(&names).map(get)).await;
    let statuses: Vec<_> = all.iter().map(|response| response.status().as_u16()).collect();
    let count = |status| statuses.iter().filter(|it| **it == status).count();
    assert!(count(503) >= 8 && count(200) >= 15, "{statuses:?}");
    assert_eq!(count(200) + count(503), 2 * names.len(), "{statuses:?}");
    for response in all.into_iter().filter(|response| response.status() == 503) {
        assert!(response.headers().contains_key("retry-after"));
        let problem: serde_json::Value = response.json().await.expect("a problem");
        assert_eq!(problem["code"], "busy");
    }
    // A client that leaves ends its conversion.
    let waiting: Vec<_> = names.iter().cycle().zip(&statuses).collect();
    let is_kept = |name: &&String| waiting.iter().any(|(it, status)| it == name && **status == 200);
    let rest: Vec<_> = names.iter().filter(|name| !is_kept(name)).collect();
    assert!(!rest.is_empty(), "all segments were converted");
    let waiting =
        tokio::spawn(futures_util::future::join_all(rest.into_iter().map(get).collect::<Vec<_>>()));
    until("a conversion runs", || async { !setup.manager.ffmpegs().is_empty() }).await;
    assert!(setup.manager.ffmpegs().len() <= 2);
    waiting.abort();
    let begun = std::time::Instant::now();
    until("no conversion runs", || async { setup.manager.ffmpegs().is_empty() }).await;
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limited_session_gets_only_segments_of_its_time() {
    let setup = Setup::new("hevc", 8).await;
    let begin = setup.from / 1000 * 1000 + 3000;
    let (from, to) = (text(begin), text(begin + 2000));
    let limited = json!({
        "user": "anna", "camera": "cam", "rights": ["recordings"], "from": from, "to": to,
    });
    let token = setup.create("/api/playback/sessions", limited).await;
    let token = token["token"].as_str().expect("a token");
    let get = async |name: &str| {
        let url = format!("/play/{token}/cam/recordings/{name}");
        setup.get_with(&url, "", &HeaderMap::new()).await
    };
    let playlist = get("stream.m3u8?codec=h264").await.text().await.expect("a playlist");
    let permitted = segments(&playlist);
    assert!((2..=4).contains(&permitted.len()), "{playlist}");
    let query = format!("{}&codec=h264", setup.query(0, setup.to - setup.from));
    for name in segments(&setup.playlist("stream.m3u8", &query).await) {
        let is_permitted = permitted.contains(&name);
        let last = permitted.last().and_then(|name| name.rsplit_once('-')).expect("a segment").0;
        // The last segment of the time is cut at its end.
        if name.rsplit_once('-').expect("a segment").0 == last && !is_permitted {
            continue;
        }
        let expected = if is_permitted { 200 } else { 403 };
        assert_eq!(get(&name).await.status(), expected, "{name}");
    }
    let init = playlist.split('"').nth(1).expect("an init segment");
    assert_eq!(get(init).await.status(), 200);
    assert_eq!(get(&format!("{}?codec=h264", "index.m3u8")).await.status(), 200);
    let [first, ..] = permitted.as_slice() else { panic!("{playlist}") };
    let mut parts: Vec<&str> = first.trim_end_matches(".m4s").split('-').collect();
    // Neither a part of a fragment nor a longer time is a segment.
    for (offset, size) in
        [("1", "10"), (parts[2], "18446744073709551615"), (parts[2], "1"), ("0", "0")]
    {
        (parts[2], parts[3]) = (offset, size);
        let status = get(&format!("{}.m4s", parts.join("-"))).await.status().as_u16();
        assert!([403, 404].contains(&status), "{offset}, {size}: {status}");
    }
}
