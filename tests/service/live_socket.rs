//! The live socket, directly and through nginx.

use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use crate::support::{LiveFrame, LiveMessage, LiveSocket, assert_continuous, start_live};

/// Collects the init segment and the frames for `seconds` after the first frame. Checks the numbers of the frames.
async fn record(socket: &mut LiveSocket, seconds: u64) -> (Vec<u8>, Vec<LiveFrame>) {
    let (mut init, mut frames) = (Vec::new(), Vec::<LiveFrame>::new());
    let mut until = None;
    while until.is_none_or(|until| std::time::Instant::now() < until) {
        match socket.next().await {
            LiveMessage::Init(bytes) => init = bytes,
            LiveMessage::Frame(frame) => {
                until = until.or(Some(std::time::Instant::now() + Duration::from_secs(seconds)));
                let last = frames.last().map_or(0, |last| last.number);
                assert_eq!(frame.number, last + 1, "a frame is missing");
                frames.push(frame);
            }
            LiveMessage::Text(message) => assert_eq!(message["type"], "media", "{message}"),
            LiveMessage::Closed(end) => panic!("the socket is closed: {end:?}"),
        }
    }
    (init, frames)
}

/// Decodes a recording with FFmpeg, and checks that no frame is missing.
async fn decode(init: &[u8], frames: &[LiveFrame]) {
    let dir = TempDir::new().expect("a directory");
    let file = dir.path().join("recording.mp4");
    let all: Vec<_> = frames.iter().map(|frame| frame.data.as_slice()).collect();
    std::fs::write(&file, [init, &all.concat()].concat()).expect("a file");
    assert_continuous(file.to_str().expect("a path")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_joiner_gets_the_last_keyframe_at_once_and_then_each_frame() {
    let (camera, manager, nginx) = start_live("h264-aac", &[]).await;
    for address in [manager.address().to_owned(), nginx.address()] {
        let mut socket = LiveSocket::watch(&address, "cam").await;
        let media = socket.next_text().await;
        let mime = media["mime"].as_str().expect("a MIME type");
        assert!(mime.starts_with("video/mp4; codecs=\"avc1.") && mime.contains(",mp4a.40.2"));
        let (init, frames) = record(&mut socket, 3).await;
        assert!(frames[0].is_video && frames[0].is_keyframe);
        decode(&init, &frames).await;
        let last = frames.iter().rfind(|frame| frame.is_video).expect("video");
        assert!(last.age() < 1.0, "{} s", last.age());
        assert!(frames.iter().filter(|frame| !frame.is_video).count() > 100, "audio");
    }
    assert_eq!(camera.plays(), 1, "the sockets caused another connection");
    let mut raw =
        LiveSocket::connect(&nginx.address(), "/streams/cam/live", &[]).await.expect("open");
    raw.request(json!({ "format": "raw", "codecs": ["avc1"], "audio": false })).await;
    let (_, frames) = record(&mut raw, 1).await;
    assert!(frames[0].is_keyframe && frames[0].data.starts_with(&[0, 0, 0, 1, 0x67]));
}
