//! Exports that are played by GStreamer, clients that do not read, and many requests at a time.

use std::process::{Command, Stdio};
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::Value;
use stream_manager::parts::Frame;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::long::{Long, encode, query};
use super::{FRAME, Setup, clocks, text};
use crate::support::{eventually, project_dir, until};

/// Returns the times of all pictures that GStreamer shows, in nanoseconds. It must reach the end of the file.
fn gstreamer(path: &str) -> Vec<u64> {
    let script = project_dir().join("tests/service/replay/gstreamer.py");
    let output = Command::new(script).arg(path).stdin(Stdio::null()).output().expect("GStreamer");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn gstreamer_plays_an_export_to_its_end() {
    let setup = Setup::new("h264-aac", 8).await;
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("export.mp4");
    let path = path.to_str().expect("a path");
    for (from, to) in [(0, 7000), (3010, 6010), (2000, 5500)] {
        let name = format!("/recordings/cam/export.mp4?{}", setup.query(from, to));
        std::fs::write(path, setup.get(&name).await.bytes().await.expect("a file"))
            .expect("a file");
        let expected = clocks(path).await.len();
        let shown = gstreamer(path);
        assert!(shown.is_sorted(), "{shown:?}");
        // GStreamer 1.22 ends too early by the number of pictures that are hidden at the beginning, which are less than a
        // group of pictures.
        let missing = expected - shown.len();
        let most = if from == 0 { 0 } else { 25 };
        assert!(
            missing <= most,
            "{missing} of {expected} pictures are missing from {from} to {to}"
        );
    }
}

/// Returns a second of noise, of which a few do not fit into the buffers of a connection.
fn noise() -> Vec<Frame> {
    encode(&[
        "-i",
        "nullsrc=s=1280x720:r=25:d=1,geq=random(1)*255:128:128",
        "-g",
        "25",
        "-crf",
        "12",
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_or_leaves_ends_the_export() {
    let setup = Long::new(&noise(), 2).await;
    let recordings = setup.recordings();
    let open = || {
        let fds = std::fs::read_dir(format!("/proc/{}/fd", setup.manager.pid())).expect("files");
        let targets = fds.filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok());
        targets
            .filter(|path| {
                path.starts_with(&recordings) && path.extension().is_some_and(|it| it == "mp4")
            })
            .count()
    };
    assert_eq!(open(), 0);
    let mut streams = Vec::new();
    // One viewer can have four exports at the same time.
    for is_refused in [false, false, false, false, true] {
        let mut stream = TcpStream::connect(setup.manager.address()).await.expect("a connection");
        shrink_buffer(&stream);
        let request = format!(
            "GET /recordings/cam/export.mp4?{} HTTP/1.1\r\nHost: localhost\r\n\r\n",
            query(0, 2000)
        );
        stream.write_all(request.as_bytes()).await.expect("a request");
        let mut begin = [0; 12];
        stream.read_exact(&mut begin).await.expect("a response");
        let expected = if is_refused { b"HTTP/1.1 503" } else { b"HTTP/1.1 200" };
        assert_eq!(&begin, expected);
        streams.push(stream);
    }
    until("the exports wait for their clients", || async { open() > 0 }).await;
    drop(streams);
    until("no file is open", || async { open() == 0 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_ends_when_the_camera_has_another_owner() {
    let setup = Long::new(&noise(), 10).await;
    // Without API keys, the permission is not limited to an owner.
    let mut stream = TcpStream::connect(setup.manager.address()).await.expect("a connection");
    let request = format!(
        "GET /recordings/cam/export.mp4?{} HTTP/1.1\r\nHost: localhost\r\n\r\n",
        query(0, 10_000)
    );
    stream.write_all(request.as_bytes()).await.expect("a request");
    let mut begin = vec![0; 2048];
    let count = stream.read(&mut begin).await.expect("a response");
    let head = String::from_utf8_lossy(&begin[..count]).to_lowercase();
    let length = head.split_once("content-length: ").and_then(|(_, rest)| rest.lines().next());
    let length: usize = length.and_then(|it| it.parse().ok()).expect("a length");
    let camera = serde_json::json!({ "owner": "44", "rtsp_link": "rtsp://127.0.0.1:9/none" });
    let changed = setup.manager.put("/api/cameras/cam", &camera).await;
    assert!(changed.status.is_success(), "{changed:?}");
    // The manager checks the permission every two seconds, while the client does not read.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let mut rest = Vec::new();
    let end = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut rest)).await;
    assert!(end.is_ok(), "the export continues");
    assert!(rest.len() < length * 3 / 4, "{} of {length} bytes", rest.len());
}

/// Makes the buffer for received bytes as small as possible.
fn shrink_buffer(stream: &TcpStream) {
    nix::sys::socket::setsockopt(stream, nix::sys::socket::sockopt::RcvBuf, &4096)
        .expect("an option");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_thumbnails_is_limited() {
    let setup = Setup::new("h264", 8).await;
    until("the camera's FFmpeg has ended", || async { setup.manager.ffmpegs().is_empty() }).await;
    let length = setup.to - setup.from;
    // Pictures of different sizes are different pictures.
    let path = |number: i64| {
        let at = text(setup.from + number * FRAME % length);
        format!("/recordings/cam/snapshot.jpg?at={at}&width={}", 100 + number)
    };
    let most = std::sync::atomic::AtomicUsize::new(0);
    let requests = async {
        join_all((0..100).map(|number| {
            let path = path(number);
            let setup = &setup;
            async move { setup.get(&path).await }
        }))
        .await
    };
    let watch = async {
        loop {
            let count = setup.manager.ffmpegs().len();
            most.fetch_max(count, std::sync::atomic::Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let responses = tokio::select! {
        responses = requests => responses,
        () = watch => unreachable!(),
    };
    let count = |status| responses.iter().filter(|response| response.status() == status).count();
    let (ok, busy) = (count(200), count(503));
    assert!(ok >= 64 && busy >= 10 && ok + busy == 100, "{ok} pictures, {busy} refusals");
    let processors = std::thread::available_parallelism().map_or(1, usize::from).min(4);
    let most = most.into_inner();
    assert!((1..=processors).contains(&most), "{most} at a time");
    for response in responses.into_iter().filter(|response| response.status() == 503) {
        assert_eq!(response.headers()["retry-after"], "2");
        let problem: Value = response.json().await.expect("a problem");
        assert_eq!(problem["code"], "busy");
    }
    // A client that repeats the refused requests gets its pictures, and kept ones need no FFmpeg.
    eventually("all pictures are taken", || async {
        let again = join_all((0..100).map(|number| {
            let path = path(number);
            let setup = &setup;
            async move { setup.get(&path).await.status() }
        }))
        .await;
        again.iter().all(|status| *status == 200).then_some(())
    })
    .await;
}
