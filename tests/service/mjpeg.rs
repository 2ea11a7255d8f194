//! Continuous pictures of cameras, as a response that never ends and over a WebSocket.

use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;

use crate::support::{
    Camera, LivePicture, Manager, Metrics, Multipart, Nginx, PictureMessage, PictureSocket,
    RawCamera, SilentCamera, project_dir, send_signal, start_live, start_service, until,
};

/// The greatest age of a picture that has just arrived, in milliseconds. The camera has to encode the picture, and the
/// tests share a slow machine.
const JUST_ARRIVED: i64 = 1000;

/// Returns the process IDs of the FFmpegs that decode continuous pictures.
fn decoders(manager: &Manager) -> Vec<u32> {
    let decodes = |pid: &u32| {
        let arguments = std::fs::read(Path::new("/proc").join(pid.to_string()).join("cmdline"));
        String::from_utf8_lossy(&arguments.unwrap_or_default()).contains("select='mod(")
    };
    manager.ffmpegs().into_iter().filter(decodes).collect()
}

/// Waits until this number of FFmpegs decode continuous pictures.
async fn until_decoders(manager: &Manager, count: usize) {
    until(&format!("{count} decoders run"), || async { decoders(manager).len() == count }).await;
}

/// Returns the status and the error code of a response without pictures.
async fn problem(response: reqwest::Response) -> (u16, String) {
    let status = response.status().as_u16();
    let body: Value = response.json().await.expect("a problem");
    (status, body["code"].as_str().expect("a code").to_owned())
}

/// Returns how many children of the manager have ended but were not reaped.
fn zombies(manager: &Manager) -> usize {
    let parent = format!(" Z {} ", manager.pid());
    let processes = std::fs::read_dir("/proc").expect("processes").flatten();
    let status = |process: std::fs::DirEntry| std::fs::read_to_string(process.path().join("stat"));
    let is_zombie = |status: &String| {
        status.rsplit_once(')').is_some_and(|(_, rest)| rest.starts_with(&parent))
    };
    processes.filter_map(|process| status(process).ok()).filter(is_zombie).count()
}

/// Returns the longest time between two pictures.
fn longest_gap(pictures: &[LivePicture]) -> Duration {
    let gap = |pair: &[LivePicture]| {
        pair[1].received_at.duration_since(pair[0].received_at).unwrap_or_default()
    };
    pictures.windows(2).map(gap).max().expect("several pictures")
}

/// Returns the path of a script that is run in place of FFmpeg.
fn child(name: &str) -> String {
    let script = project_dir().join("tests/service/children").join(name);
    script.to_str().expect("a path").to_owned()
}

/// Fails unless the pictures are in the right order and have just arrived.
async fn assert_recent(pictures: &[LivePicture], what: &str) {
    assert!(
        pictures.is_sorted_by(|one, next| one.taken_at < next.taken_at),
        "{what}: out of order"
    );
    for picture in pictures.iter().step_by(pictures.len().div_ceil(4)) {
        let age = picture.age_by_clock().await;
        assert!((-JUST_ARRIVED..JUST_ARRIVED).contains(&age), "{what}: {age} ms old");
        let known = picture.received_at.duration_since(picture.taken_at).unwrap_or_default();
        let known = i64::try_from(known.as_millis()).expect("small");
        assert!((known - age).abs() < 300, "{what}: the manager says {known} ms instead of {age}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_have_the_requested_size_and_rate() {
    let (camera, manager, nginx) = start_service(&[]).await;
    let link = camera.link("h264");
    let added = manager.put("/api/cameras/cam", &json!({ "rtsp_link": link })).await;
    assert!(added.status.is_success(), "{added:?}");
    for (query, size, rate) in [
        ("fps=5&width=320", (320, 180), 5),
        ("width=3840", (640, 360), 10),
        ("fps=1&width=161", (160, 90), 1),
        ("fps=30", (640, 360), 25),
    ] {
        let url = nginx.url(&format!("/streams/cam/mjpeg?{query}"));
        let mut stream = Multipart::open(&url).await;
        stream.next().await.expect("a picture");
        let pictures = stream.take(Duration::from_secs(4)).await;
        assert!(pictures.iter().all(|picture| picture.jpeg.size() == size), "{query}");
        // On a busy machine, there are fewer pictures.
        let (expected, count) = (rate * 4, pictures.len());
        let is_usual = (expected / 2..=expected * 5 / 4 + 1).contains(&count);
        assert!(is_usual, "{query}: {count} pictures instead of {expected}");
        assert_recent(&pictures, query).await;
    }
    assert_eq!(camera.plays(), 1, "the pictures caused another connection");
    until_decoders(&manager, 0).await;
    assert_eq!(manager.ffmpegs().len(), 1, "the stream continues for a while");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_viewers_share_one_decoder_and_no_picture_is_late_when_it_is_replaced() {
    let ffmpeg = child("decodes_two_sizes_late");
    let (_camera, manager, nginx) = start_live("h264", &[("FFMPEG_BIN", &ffmpeg)]).await;
    let path = |query: &str| nginx.url(&format!("/streams/cam/mjpeg?{query}"));
    let mut one = Multipart::open(&path("width=320")).await;
    let before = decoders(&manager);
    assert_eq!(before.len(), 1);
    let mut same = Multipart::open(&path("width=320&fps=30")).await;
    let open = async |query| {
        let mut stream = Multipart::open(&path(query)).await;
        stream.next().await.expect("a picture");
        stream
    };
    assert_eq!(decoders(&manager), before);
    let (mut full, mut other, pictures) =
        tokio::join!(open("width=640"), open("width=160"), one.take(Duration::from_secs(5)));
    // A decoder of several sizes needs more than 2 s to start.
    assert!(longest_gap(&pictures) < Duration::from_secs(1), "{:?}", longest_gap(&pictures));
    until_decoders(&manager, 1).await;
    assert_ne!(decoders(&manager), before, "another decoder has taken over");
    for (stream, size) in [
        (&mut one, (320, 180)),
        (&mut same, (320, 180)),
        (&mut full, (640, 360)),
        (&mut other, (160, 90)),
    ] {
        let picture = stream.next().await.expect("a picture");
        assert_eq!(picture.jpeg.size(), size);
    }
    let metrics = Metrics::fetch(&manager).await;
    assert_eq!(metrics.value("stream_manager_picture_decoders"), Some(1.0), "{metrics}");
    drop((one, same, full));
    let pictures = other.take(Duration::from_secs(7)).await;
    assert!(pictures.len() > 50, "a viewer is left");
    drop(other);
    until_decoders(&manager, 0).await;
    let metrics = Metrics::fetch(&manager).await;
    assert_eq!(metrics.value("stream_manager_picture_decoders"), Some(0.0), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_codec_has_pictures_of_its_present() {
    let camera = Camera::start().await;
    let manager = Manager::start(&[("HEVC", "copy")]).await;
    for (mount, rate) in
        [("hevc", 10), ("h264-bframes", 10), ("h264-late-parameters", 10), ("mjpeg", 10)]
    {
        manager.play(mount, &camera.link(mount)).await;
        let url = manager.url(&format!("/streams/{mount}/mjpeg?width=320"));
        let mut stream = Multipart::open(&url).await;
        stream.next().await.expect("a picture");
        let pictures = stream.take(Duration::from_secs(3)).await;
        assert!((rate..=rate * 4).contains(&pictures.len()), "{mount}: {}", pictures.len());
        assert!(pictures.iter().all(|picture| picture.jpeg.size() == (320, 180)), "{mount}");
        assert_recent(&pictures, mount).await;
        manager.stop_stream(mount).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pictures_of_a_camera_that_sends_jpegs_are_not_decoded() {
    let (_camera, manager, nginx) = start_live("mjpeg", &[]).await;
    let running = manager.ffmpegs().len();
    for query in ["", "?width=640", "?width=3000"] {
        let mut stream = Multipart::open(&nginx.url(&format!("/streams/cam/mjpeg{query}"))).await;
        let pictures = stream.take(Duration::from_secs(2)).await;
        assert!(pictures.len() > 8, "{} pictures", pictures.len());
        assert!(pictures.iter().all(|picture| picture.jpeg.size() == (640, 360)));
        // FFmpeg's encoder writes its name into each picture.
        assert!(pictures.iter().all(|picture| !picture.jpeg.contains(b"Lavc")));
        assert_recent(&pictures, query).await;
    }
    assert_eq!(decoders(&manager).len(), 0);
    assert!(manager.ffmpegs().len() <= running);
    let mut small = Multipart::open(&nginx.url("/streams/cam/mjpeg?width=320")).await;
    let picture = small.next().await.expect("a picture");
    assert!(picture.jpeg.contains(b"Lavc") && picture.jpeg.size() == (320, 180));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_who_reads_slowly_gets_fewer_pictures_and_no_old_ones() {
    let (_camera, manager, _nginx) = start_live("h264", &[]).await;
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    let address = manager.address().parse().expect("an address");
    let mut slow = socket.connect(address).await.expect("a connection");
    let request = "GET /streams/cam/mjpeg?fps=30 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    slow.write_all(request.as_bytes()).await.expect("sent");
    let mut other = Multipart::open(&manager.url("/streams/cam/mjpeg?fps=30")).await;
    let pictures = other.take(Duration::from_secs(8)).await;
    assert!(pictures.len() > 150, "another viewer is not affected: {}", pictures.len());
    // What was sent in the meantime is in buffers of the kernel.
    let (mut left, mut buffer) = (0, vec![0; 65536]);
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(200) {
        left += slow.read(&mut buffer).await.expect("bytes");
    }
    assert!(left < 500_000, "{left} bytes were kept for the slow viewer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_or_stopped_decoder_is_replaced() {
    let (camera, manager, nginx) = start_live("h264", &[]).await;
    manager.play("other", &camera.link("h264")).await;
    // If a decoder started before the distance of keyframes is known, another one that leaves out the loop filter would
    // replace it after 10 s.
    for id in ["cam", "other"] {
        until("the distance of keyframes is known", || async {
            manager.status(id).await["media"]["gop_seconds"].is_number()
        })
        .await;
    }
    let mut stream = Multipart::open(&nginx.url("/streams/cam/mjpeg")).await;
    let decoder = decoders(&manager);
    // The viewer of another stream, whose decoder is not affected.
    let mut other = Multipart::open(&nginx.url("/streams/other/mjpeg")).await;
    let others: Vec<_> = manager_decoders_except(&manager, &decoder);
    let (end, ended) = tokio::sync::oneshot::channel();
    let watching = tokio::spawn(async move {
        let mut pictures = Vec::new();
        tokio::pin!(ended);
        loop {
            tokio::select! {
                picture = other.next() => pictures.push(picture.expect("a picture")),
                _ = &mut ended => return (other, pictures),
            }
        }
    });
    let decoders = |manager: &Manager| manager_decoders_except(manager, &others);
    for (signal, within) in [(Signal::SIGKILL, 2), (Signal::SIGSTOP, 8), (Signal::SIGKILL, 2)] {
        let failed = decoders(&manager);
        send_signal(failed[0], signal);
        let mut pictures = vec![stream.next().await.expect("a picture")];
        until(&format!("the decoder is replaced after {signal}"), || {
            let is_replaced = decoders(&manager).first().is_some_and(|pid| *pid != failed[0]);
            async move { is_replaced }
        })
        .await;
        pictures.extend(stream.take(Duration::from_secs(2)).await);
        let gap = longest_gap(&pictures);
        assert!(gap < Duration::from_secs(within), "{signal}: {gap:?}");
        assert_recent(&pictures[pictures.len() - 5..], signal.as_str()).await;
    }
    let metrics = Metrics::fetch(&manager).await;
    let failures = r#"stream_manager_picture_decoder_failures_total{code="internal"}"#;
    assert_eq!(metrics.value(failures), Some(3.0), "{metrics}");
    let restarts = metrics.value("stream_manager_picture_decoder_restarts_total");
    assert!(restarts.is_some_and(|count| count >= 3.0), "{metrics}");
    assert_eq!(decoders(&manager).len(), 1);
    assert_eq!(restarts, Some(3.0), "another decoder was replaced");
    end.send(()).expect("a viewer");
    let (other, pictures) = watching.await.expect("pictures");
    assert!(longest_gap(&pictures) < Duration::from_secs(2), "{:?}", longest_gap(&pictures));
    assert_recent(&pictures, "the other stream").await;
    drop((stream, other));
    until("all decoders have ended", || async {
        manager_decoders_except(&manager, &[]).is_empty() && zombies(&manager) == 0
    })
    .await;
}

/// Returns the process IDs of the FFmpegs that decode continuous pictures, without these ones.
fn manager_decoders_except(manager: &Manager, except: &[u32]) -> Vec<u32> {
    decoders(manager).into_iter().filter(|pid| !except.contains(pid)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn further_viewers_of_one_size_cost_no_decoding_and_no_jpeg() {
    let (_camera, manager, nginx) = start_live("h264", &[]).await;
    let url = nginx.url("/streams/cam/mjpeg?width=320");
    let mut first = Multipart::open(&url).await;
    first.next().await.expect("a picture");
    let decoder = decoders(&manager);
    let mut viewers = vec![first];
    for _ in 0..9 {
        viewers.push(Multipart::open(&url).await);
    }
    let made = async || {
        let metrics = Metrics::fetch(&manager).await;
        metrics.value("stream_manager_live_pictures_total").expect("a number")
    };
    let (before, began) = (made().await, Instant::now());
    let taking = viewers.into_iter().map(|mut viewer| async move {
        let count = viewer.take(Duration::from_secs(4)).await.len();
        (viewer, count)
    });
    let taken = futures_util::future::join_all(taking).await;
    let (after, seconds) = (made().await, began.elapsed().as_secs_f64());
    let count: usize = taken.iter().map(|(_, count)| count).sum();
    assert!(after - before <= seconds * 10.0 + 3.0, "{} pictures in {seconds} s", after - before);
    let shared = f64::from(u32::try_from(count).expect("few")) / (after - before);
    assert!(shared > 5.0, "each picture was shown to {shared} of ten viewers");
    assert_eq!(decoders(&manager), decoder, "one decoder makes the pictures of all viewers");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_size_that_cannot_be_made_is_an_error_for_its_viewers_only() {
    let ffmpeg = child("cannot_decode_one_size");
    let (_camera, manager, nginx) = start_live("h264", &[("FFMPEG_BIN", &ffmpeg)]).await;
    let mut stream = Multipart::open(&nginx.url("/streams/cam/mjpeg?width=320")).await;
    stream.next().await.expect("a picture");
    let url = nginx.url("/streams/cam/mjpeg?width=16");
    let (response, pictures) =
        tokio::join!(Multipart::request(&url), stream.take(Duration::from_secs(8)));
    assert_eq!(problem(response).await, (500, "internal".to_owned()));
    assert!(longest_gap(&pictures) < Duration::from_secs(1), "{:?}", longest_gap(&pictures));
    assert_recent(&pictures, "the other size").await;
    assert_eq!(decoders(&manager).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_picture_of_a_camera_with_b_frames_is_left_out() {
    let (_camera, _manager, nginx) = start_live("h264-bframes", &[]).await;
    let mut stream = Multipart::open(&nginx.url("/streams/cam/mjpeg?fps=30&width=320")).await;
    let mut rates = Vec::new();
    // On a busy machine, some pictures may be left out.
    while rates.last().is_none_or(|rate| *rate < 24.0) {
        assert!(rates.len() < 10, "{rates:?} pictures per second");
        let pictures = stream.take(Duration::from_secs(3)).await;
        assert!(pictures.is_sorted_by(|one, next| one.taken_at < next.taken_at));
        let (first, last) = (pictures[0].taken_at, pictures[pictures.len() - 1].taken_at);
        let shown = last.duration_since(first).expect("the right order");
        let count = u32::try_from(pictures.len() - 1).expect("few");
        rates.push(f64::from(count) / shown.as_secs_f64());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decoder_that_fails_always_is_an_error_for_viewers_and_for_nothing_else() {
    let ffmpeg = child("writes_garbage_pictures");
    let (_camera, manager, nginx) = start_live("h264", &[("FFMPEG_BIN", &ffmpeg)]).await;
    for _ in 0..3 {
        let response = Multipart::request(&nginx.url("/streams/cam/mjpeg")).await;
        assert_eq!(problem(response).await, (500, "internal".to_owned()));
    }
    let mut socket = PictureSocket::open(&nginx.address(), "/streams/cam/mjpeg").await;
    assert!(matches!(socket.next().await, PictureMessage::Text(text) if text["type"] == "rate"));
    let PictureMessage::Text(error) = socket.next().await else { panic!("no error") };
    assert_eq!((&error["type"], &error["code"]), (&json!("end"), &json!("internal")));
    let PictureMessage::End(code, reason) = socket.next().await else { panic!("no end") };
    assert_eq!((code, reason.as_str()), (1011, "internal"));
    assert_eq!(manager.status("cam").await["state"], "live");
    until_decoders(&manager, 0).await;
    let metrics = Metrics::fetch(&manager).await;
    let failures = r#"stream_manager_picture_decoder_failures_total{code="internal"}"#;
    let failures = metrics.value(failures).expect("a number");
    assert!((3.0..12.0).contains(&failures), "{failures} failures in spite of the pauses");
}

#[tokio::test(flavor = "multi_thread")]
async fn video_that_cannot_be_decoded_is_an_error() {
    let ffmpeg = child("decodes_garbage");
    let (_camera, manager, nginx) = start_live("h264", &[("FFMPEG_BIN", &ffmpeg)]).await;
    let response = Multipart::request(&nginx.url("/streams/cam/mjpeg")).await;
    assert_eq!(problem(response).await, (502, "source_unsupported".to_owned()));
    until_decoders(&manager, 0).await;
    assert_eq!(manager.status("cam").await["state"], "live");
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_continue_when_the_camera_changes_its_size_or_restarts() {
    let (mut camera, manager, nginx) = start_live("h264-resize", &[]).await;
    let mut stream = Multipart::open(&nginx.url("/streams/cam/mjpeg")).await;
    let mut small = Multipart::open(&nginx.url("/streams/cam/mjpeg?width=320")).await;
    let first = stream.next().await.expect("a picture");
    assert_eq!(first.jpeg.size(), (640, 360));
    while stream.next().await.expect("a picture").jpeg.size() != (320, 180) {}
    for _ in 0..20 {
        assert_eq!(small.next().await.expect("a picture").jpeg.size(), (320, 180));
    }
    camera.kill();
    camera.restart().await;
    let before = stream.next().await.expect("a picture").taken_at;
    until("there are pictures of the camera after its restart", || async {
        manager.status("cam").await["restarts"].as_u64().is_some_and(|restarts| restarts > 0)
    })
    .await;
    loop {
        let picture = stream.next().await.expect("a picture");
        if picture.jpeg.size() == (640, 360) && picture.taken_at > before {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_of_a_camera_that_changes_its_size_all_the_time_keep_their_rate() {
    let (_camera, manager, nginx) = start_live("h264-unsteady", &[]).await;
    let mut stream = Multipart::open(&nginx.url("/streams/cam/mjpeg")).await;
    let mut small = Multipart::open(&nginx.url("/streams/cam/mjpeg?width=480")).await;
    let problem = "changes the size of its picture again and again";
    let began = Instant::now();
    while !manager.log().contains(problem) {
        stream.next().await.expect("a picture");
        assert!(began.elapsed() < Duration::from_secs(20), "the manager reports no problem");
    }
    // The decoder that keeps the size takes over.
    let settling = Duration::from_secs(3);
    tokio::join!(stream.take(settling), small.take(settling));
    let before = decoders(&manager);
    let time = Duration::from_secs(6);
    let (pictures, others) = tokio::join!(stream.take(time), small.take(time));
    assert_eq!((before.len(), decoders(&manager)), (1, before), "one decoder for all pictures");
    let size = pictures[0].jpeg.size();
    assert!(pictures.iter().all(|it| it.jpeg.size() == size), "the pictures keep their size");
    let size = others[5].jpeg.size();
    assert!(others.iter().skip(5).all(|it| it.jpeg.size() == size), "small pictures too");
    assert!(pictures.len() > 30, "{} pictures in {time:?}", pictures.len());
    assert!(longest_gap(&pictures) < Duration::from_secs(1), "{:?}", longest_gap(&pictures));
    assert_recent(&pictures, "fitted into one size").await;
    let status = manager.status("cam").await;
    assert_eq!(status["state"], "live");
    let error = &status["last_error"];
    assert_eq!(error["code"], "source_unsupported", "{status}");
    assert!(error["detail"].as_str().is_some_and(|it| it.contains(problem)), "{status}");
    drop((stream, small));
    until_decoders(&manager, 0).await;
    let mut again = Multipart::open(&nginx.url("/streams/cam/mjpeg")).await;
    again.take(Duration::from_secs(8)).await;
    assert_eq!(manager.log().matches(problem).count(), 1, "reported once");
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_require_and_end_with_the_permission_to_watch() {
    let keys = "shop:admin:admin-secret-000001,43:user:user-secret-0000002";
    let (camera, manager, nginx) = start_service(&[("API_KEYS", keys)]).await;
    let call =
        async |key, method, path: &str, body: Value| manager.call(key, method, path, &body).await;
    let admin = "admin-secret-000001";
    let body = json!({ "owner": "42", "rtsp_link": camera.link("h264") });
    assert_eq!(call(admin, Method::PUT, "/api/cameras/cam", body).await.status, 201);
    let path = "/streams/cam/mjpeg";
    assert_eq!(problem(nginx.get(path).await).await, (401, "unauthorized".to_owned()));
    let foreign = call("user-secret-0000002", Method::GET, path, Value::Null).await;
    assert_eq!((foreign.status.as_u16(), &foreign.body["code"]), (403, &json!("forbidden")));

    let session = json!({ "user": "anna", "camera": "cam" });
    let session = call(admin, Method::POST, "/api/playback/sessions", session).await.body;
    let token = session["token"].as_str().expect("a token");
    let other = format!("/play/{token}/other/mjpeg");
    assert_eq!(problem(nginx.get(&other).await).await, (403, "forbidden".to_owned()));
    let playing = format!("/play/{token}/cam/mjpeg");
    let mut stream = Multipart::open(&nginx.url(&playing)).await;
    let mut socket = PictureSocket::open(&nginx.address(), &playing).await;
    stream.next().await.expect("a picture");
    socket.picture().await;
    let listed = call(admin, Method::GET, "/api/stream/status?indicator_id=cam", Value::Null).await;
    assert_eq!(listed.body["viewers"], 1, "{listed:?}");
    let id = session["session_id"].as_str().expect("an id");
    let path = format!("/api/playback/sessions/{id}");
    assert_eq!(call(admin, Method::DELETE, &path, Value::Null).await.status, 204);
    let ended = Instant::now();
    while stream.next().await.is_some() {}
    assert!(ended.elapsed() < Duration::from_secs(3), "{:?}", ended.elapsed());
    let end = loop {
        match socket.next().await {
            PictureMessage::End(code, reason) => break (code, reason),
            PictureMessage::Text(text) if text["type"] == "end" => {
                assert_eq!(text["code"], "unauthorized");
            }
            _ => {}
        }
    };
    assert_eq!(end, (1008, "unauthorized".to_owned()));
    let again = nginx.get(&playing).await;
    assert_eq!(again.status(), 401, "the session has ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_requests_are_refused() {
    let (_camera, manager, nginx) = start_live("h264", &[]).await;
    for (query, expected) in [
        ("fps=0", (400, "invalid_request")),
        ("fps=31", (400, "invalid_request")),
        ("fps=ten", (400, "invalid_request")),
        ("width=15", (400, "invalid_request")),
        ("width=3841", (400, "invalid_request")),
    ] {
        let response = nginx.get(&format!("/streams/cam/mjpeg?{query}")).await;
        assert_eq!(problem(response).await, (expected.0, expected.1.to_owned()), "{query}");
    }
    let unknown = nginx.get("/streams/unknown/mjpeg").await;
    assert_eq!(problem(unknown).await, (404, "unknown_camera".to_owned()));
    let mut streams = Vec::new();
    for width in 1..=6 {
        let url = manager.url(&format!("/streams/cam/mjpeg?width={}", width * 100));
        streams.push(Multipart::open(&url).await);
    }
    let seventh = Multipart::request(&manager.url("/streams/cam/mjpeg?width=99")).await;
    assert!(seventh.headers().contains_key("retry-after"));
    assert_eq!(problem(seventh).await, (503, "busy".to_owned()));
    let same = Multipart::open(&manager.url("/streams/cam/mjpeg?width=201")).await;
    assert_ne!(same.boundary(), streams[0].boundary(), "a camera could guess the boundary");

    let mut socket = PictureSocket::open(&nginx.address(), "/streams/cam/mjpeg?width=100").await;
    socket.picture().await;
    socket.send("hello").await;
    loop {
        if let PictureMessage::End(code, reason) = socket.next().await {
            assert_eq!((code, reason.as_str()), (1008, "invalid_request"));
            break;
        }
    }
}

/// Adds camera "cam" with these links for the main stream and the sub stream.
async fn add_with_sub(manager: &Manager, main: &str, sub: &str) {
    let camera = json!({ "rtsp_link": main, "rtsp_link_sub": sub });
    let added = manager.put("/api/cameras/cam", &camera).await;
    assert!(added.status.is_success(), "{added:?}");
}

/// Returns the states of the main stream and of the sub stream.
async fn states(manager: &Manager) -> (String, String) {
    let state = async |id: &str| {
        let status = manager.get(&format!("/api/stream/status?{id}")).await.body;
        status["state"].as_str().unwrap_or_default().to_owned()
    };
    (state("indicator_id=cam").await, state("indicator_id=cam&profile=sub").await)
}

#[tokio::test(flavor = "multi_thread")]
async fn small_pictures_come_from_the_sub_stream_if_it_is_large_enough() {
    let large = Camera::start_with(&["--width", "1280", "--height", "720"]).await;
    let small = Camera::start_with(&["--width", "320", "--height", "180"]).await;
    let manager = Manager::start(&[]).await;
    let nginx = Nginx::start(&manager).await;
    add_with_sub(&manager, &large.link("h264"), &small.link("h264")).await;
    let started = json!({ "indicator_id": "cam", "profile": "sub" });
    assert!(manager.post("/api/stream/start", &started).await.status.is_success());
    let mut stream = Multipart::open(&nginx.url("/streams/cam/mjpeg?width=320")).await;
    stream.next().await.expect("a picture");
    assert_eq!(states(&manager).await, ("stopped".to_owned(), "live".to_owned()));
    assert_eq!(large.plays(), 0);
    // This width needs the main stream.
    let mut wide = Multipart::open(&nginx.url("/streams/cam/mjpeg?width=640")).await;
    assert_eq!(wide.next().await.expect("a picture").jpeg.size(), (640, 360));
    assert_eq!(states(&manager).await, ("live".to_owned(), "live".to_owned()));

    drop((stream, wide));
    let added = manager.delete("/api/cameras/cam").await;
    assert!(added.status.is_success(), "{added:?}");
    add_with_sub(&manager, &large.link("h264"), &small.link("h264")).await;
    manager.play("cam", &large.link("h264")).await;
    until_decoders(&manager, 0).await;
    // The first pictures come from the stream that is running.
    let requested = Instant::now();
    let mut stream = Multipart::open(&nginx.url("/streams/cam/mjpeg?width=320")).await;
    let first = stream.next().await.expect("a picture");
    assert_eq!(first.jpeg.size(), (320, 180));
    assert!(requested.elapsed() < Duration::from_millis(900), "{:?}", requested.elapsed());
    let mut pictures = vec![first];
    while states(&manager).await.1 != "live" || decoders(&manager).len() != 1 || pictures.len() < 80
    {
        pictures.extend(stream.take(Duration::from_millis(200)).await);
        assert!(requested.elapsed() < Duration::from_secs(25), "no decoder of the sub stream");
    }
    assert!(longest_gap(&pictures) < Duration::from_secs(1), "{:?}", longest_gap(&pictures));
    assert_recent(&pictures, "the sub stream").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sub_stream_without_pictures_does_not_delay_viewers() {
    let (camera, silent) = (Camera::start().await, SilentCamera::start().await);
    let manager = Manager::start(&[]).await;
    add_with_sub(&manager, &camera.link("h264"), &silent.link()).await;
    let url = manager.url("/streams/cam/mjpeg?width=320");
    let requested = Instant::now();
    // The sub stream connects, and hears nothing.
    let (connection, mut stream) = tokio::join!(silent.accept(), Multipart::open(&url));
    assert_eq!(stream.next().await.expect("a picture").jpeg.size(), (320, 180));
    assert!(requested.elapsed() < Duration::from_secs(6), "{:?}", requested.elapsed());
    // The sub stream fails now. Until then, and afterwards, the viewer sees the main stream.
    drop((connection, silent));
    until("the sub stream has failed", || async { states(&manager).await.1 != "starting" }).await;
    let pictures = stream.take(Duration::from_secs(2)).await;
    assert!(longest_gap(&pictures) < Duration::from_secs(1), "{:?}", longest_gap(&pictures));
    drop(stream);
    manager.stop_stream("cam").await;
    let sub = async || manager.get("/api/stream/status?indicator_id=cam&profile=sub").await.body;
    let before = sub().await;
    let mut stream = Multipart::open(&url).await;
    stream.next().await.expect("a picture");
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(sub().await["state"], before["state"], "the sub stream was tried again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_changes_to_a_sub_stream_that_starts_slowly() {
    let camera = Camera::start().await;
    let slow = RawCamera::start("--size 320x192 --keyframe-after 7").await;
    let manager = Manager::start(&[("START_TIMEOUT_SECONDS", "2")]).await;
    add_with_sub(&manager, &camera.link("h264"), &slow.link()).await;
    let mut stream = Multipart::open(&manager.url("/streams/cam/mjpeg?width=320")).await;
    let mut pictures = vec![stream.next().await.expect("a picture")];
    // The height shows the stream.
    assert_eq!(pictures[0].jpeg.size(), (320, 180));
    let began = Instant::now();
    while pictures.last().is_some_and(|it| it.jpeg.size() != (320, 192)) {
        assert!(began.elapsed() < Duration::from_secs(20), "still the main stream");
        pictures.push(stream.next().await.expect("a picture"));
    }
    assert!(began.elapsed() > Duration::from_secs(4), "the sub stream had no keyframe yet");
    pictures.extend(stream.take(Duration::from_secs(2)).await);
    assert!(longest_gap(&pictures) < Duration::from_secs(1), "{:?}", longest_gap(&pictures));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_never_has_more_than_two_unacknowledged_pictures() {
    let (_camera, _manager, nginx) = start_live("h264", &[]).await;
    let mut socket =
        PictureSocket::open(&nginx.address(), "/streams/cam/mjpeg?fps=25&width=320").await;
    let PictureMessage::Text(rate) = socket.next().await else { panic!("no rate") };
    assert_eq!(rate, json!({ "type": "rate", "value": 25.0 }));
    let (first, picture) = socket.picture().await;
    assert_eq!((first, picture.jpeg.size()), (1, (320, 180)));
    let mut pictures = Vec::new();
    for _ in 0..50 {
        let (number, picture) = socket.picture().await;
        socket.acknowledge(number).await;
        pictures.push(picture);
    }
    assert_recent(&pictures, "with acknowledgements").await;
    // Pictures that were on their way arrive, at most two after the last acknowledgement.
    let mut last = 51;
    while let Some(message) = socket.next_within(Duration::from_secs(2)).await {
        if let PictureMessage::Picture(number, _) = message {
            last = number;
        }
    }
    assert_eq!(last, 53);
    socket.acknowledge(last).await;
    let (number, picture) = socket.picture().await;
    assert_eq!(number, 54);
    assert_recent(&[picture], "after a pause").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rate_follows_what_the_client_can_take() {
    let (_camera, _manager, nginx) = start_live("h264", &[]).await;
    let mut socket = PictureSocket::open(&nginx.address(), "/streams/cam/mjpeg?fps=25").await;
    let began = Instant::now();
    let mut rates = Vec::new();
    while rates.last().is_none_or(|rate| *rate > 8.0) {
        assert!(began.elapsed() < Duration::from_secs(25), "{rates:?}");
        match socket.next().await {
            PictureMessage::Picture(number, _) => {
                tokio::time::sleep(Duration::from_millis(200)).await;
                socket.acknowledge(number).await;
            }
            PictureMessage::Text(text) => rates.push(text["value"].as_f64().expect("a rate")),
            PictureMessage::End(code, reason) => panic!("{code} {reason}"),
        }
    }
    assert!(rates[0] > 24.0 && rates[1] > 2.0, "{rates:?}");
    let low = *rates.last().expect("a rate");
    while rates.last().is_some_and(|rate| *rate <= low) {
        assert!(began.elapsed() < Duration::from_secs(50), "{rates:?}");
        match socket.next().await {
            PictureMessage::Picture(number, _) => socket.acknowledge(number).await,
            PictureMessage::Text(text) => rates.push(text["value"].as_f64().expect("a rate")),
            PictureMessage::End(code, reason) => panic!("{code} {reason}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_get_fewer_pictures_while_the_decoder_is_too_slow() {
    let ffmpeg = child("decodes_slowly");
    let (_camera, _manager, nginx) = start_live("h264", &[("FFMPEG_BIN", &ffmpeg)]).await;
    let mut socket = PictureSocket::open(&nginx.address(), "/streams/cam/mjpeg").await;
    let began = Instant::now();
    let (mut rates, mut pictures): (Vec<f64>, Vec<LivePicture>) = (Vec::new(), Vec::new());
    while rates.last().is_none_or(|rate| *rate > 1.3) {
        assert!(began.elapsed() < Duration::from_secs(28), "{rates:?}");
        match socket.next().await {
            PictureMessage::Picture(_, picture) => pictures.push(picture),
            PictureMessage::Text(text) => rates.push(text["value"].as_f64().expect("a rate")),
            PictureMessage::End(code, reason) => panic!("{code} {reason}"),
        }
    }
    assert!(rates.is_sorted_by(|one, next| one > next), "{rates:?}");
    assert!(longest_gap(&pictures) < Duration::from_secs(4), "{:?}", longest_gap(&pictures));
    // When only keyframes are decoded, the pictures are recent again.
    let mut ages = Vec::new();
    while ages.last().is_none_or(|age| *age > 2500) {
        assert!(began.elapsed() < Duration::from_secs(55), "{ages:?}");
        ages.push(socket.picture().await.1.age_by_clock().await);
    }
}
