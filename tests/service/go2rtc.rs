//! Clients of go2rtc: its player's WebSocket, and its addresses of media. The tests connect through nginx and directly.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::go2rtc::{Fragment, Go2rtcMessage, Go2rtcSocket};
use crate::support::whep::{Offer, WhepViewer};
use crate::support::{
    Camera, Jpeg, Manager, Metrics, Multipart, Nginx, assert_continuous, probe, start_live,
    start_service, until,
};

const ADMIN: &str = "admin-secret-000001";
const KEYS: (&str, &str) = ("API_KEYS", "boss:admin:admin-secret-000001");
const WS: &str = "/go2rtc/api/ws?src=cam";
/// The player and the manager are on the same machine.
const WEBRTC: &[(&str, &str)] = &[("WEBRTC_PORT", "0"), ("WEBRTC_ADDRESSES", "127.0.0.1")];

/// Receives the description and the init segment. Returns the MIME type and the init segment.
async fn description(socket: &mut Go2rtcSocket) -> (String, Vec<u8>) {
    let message = socket.text().await;
    assert_eq!(message["type"], "mse", "{message}");
    let mime = message["value"].as_str().expect("a MIME type").to_owned();
    let init = socket.bytes().await;
    assert_eq!(Fragment::read(&init), None, "not an init segment");
    (mime, init)
}

/// Returns the error of a response.
async fn problem(response: reqwest::Response) -> (u16, String) {
    let status = response.status().as_u16();
    let body: Value = response.json().await.expect("a problem");
    (status, body["code"].as_str().expect("a code").to_owned())
}

/// Returns how a session over the socket answers an offer.
fn text_offer(offer: &str) -> Value {
    json!({ "type": "webrtc/offer", "value": offer })
}

/// The last fragments of the tracks that a player has got, by whether they are video.
#[derive(Default)]
struct Tracks(HashMap<bool, Fragment>);

impl Tracks {
    /// Notes a fragment. Fails if the track's times go back or have a gap. The duration of a frame is an estimate, because it
    /// is sent before the next frame is known.
    fn note(&mut self, fragment: Fragment) {
        if let Some(last) = self.0.insert(fragment.is_video, fragment) {
            let permitted = last.decode_time..=last.end() + u64::from(fragment.duration);
            assert!(permitted.contains(&fragment.decode_time), "{fragment:?} after {last:?}");
        }
    }

    /// Receives this number of pictures, the audio between them, and perhaps further init segments.
    async fn receive(&mut self, socket: &mut Go2rtcSocket, pictures: u32) {
        let mut received = 0;
        while received < pictures {
            let Some(fragment) = Fragment::read(&socket.bytes().await) else { continue };
            received += u32::from(fragment.is_video);
            self.note(fragment);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_player_gets_mp4_from_a_keyframe_on_whose_times_begin_with_zero() {
    let (_camera, manager, nginx) = start_live("h264-pcmu", &[]).await;
    for address in [nginx.address(), manager.address().to_owned()] {
        let mut socket = Go2rtcSocket::watch(&address, WS).await;
        // Candidates and unknown messages need no response.
        socket.request("webrtc/candidate", "").await;
        socket.request("other", "x").await;
        let (mime, init) = description(&mut socket).await;
        assert!(
            mime.starts_with("video/mp4; codecs=\"avc1.") && mime.ends_with(",mp4a.40.2\""),
            "{mime}"
        );
        let mut file = init;
        let mut tracks = Tracks::default();
        let mut pictures = 0;
        while pictures < 60 {
            let message = socket.bytes().await;
            let fragment = Fragment::read(&message).expect("a frame");
            pictures += u32::from(fragment.is_video);
            if pictures == 1 && fragment.is_video {
                assert!(fragment.is_keyframe && fragment.decode_time == 0, "{fragment:?}");
            }
            tracks.note(fragment);
            file.extend(message);
        }
        assert_eq!(tracks.0.len(), 2, "video and audio");
        let path = manager.dir().path().join("recorded.mp4");
        std::fs::write(&path, file).expect("a file");
        assert_continuous(path.to_str().expect("a path")).await;
    }
    let status = manager.status("cam").await;
    assert_eq!(status["viewers"], 1, "one player at one address: {status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_player_knows_the_audio_of_a_stream_that_it_starts() {
    let (camera, manager, nginx) = start_service(&[]).await;
    let body = json!({ "rtsp_link": camera.link("h264-pcmu") });
    assert_eq!(manager.put("/api/cameras/cam", &body).await.status, 201);
    let mut socket = Go2rtcSocket::watch(&nginx.address(), WS).await;
    let (mime, _) = description(&mut socket).await;
    assert!(mime.ends_with(",mp4a.40.2\""), "{mime}");
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(5) {
        let fragment = Fragment::read(&socket.bytes().await);
        assert_ne!(fragment, None, "the description changes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_player_continues_without_a_gap_after_the_camera_has_restarted() {
    let (mut camera, _manager, nginx) = start_live("h264-pcmu", &[]).await;
    let mut socket = Go2rtcSocket::watch(&nginx.address(), WS).await;
    description(&mut socket).await;
    let mut tracks = Tracks::default();
    tracks.receive(&mut socket, 40).await;
    camera.kill();
    camera.restart().await;
    tracks.receive(&mut socket, 100).await;
    assert_eq!(tracks.0.len(), 2, "video and audio");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_player_waits_for_a_camera_that_is_away() {
    let (mut camera, manager, nginx) = start_service(WEBRTC).await;
    let body = json!({ "rtsp_link": camera.link("h264") });
    camera.kill();
    assert_eq!(manager.put("/api/cameras/cam", &body).await.status, 201);
    let mut mse = Go2rtcSocket::watch(&nginx.address(), WS).await;
    let mut mjpeg = Go2rtcSocket::connect(&nginx.address(), WS, &[]).await.expect("a socket");
    mjpeg.request("mjpeg", "").await;
    let mut webrtc = Go2rtcSocket::connect(&nginx.address(), WS, &[]).await.expect("a socket");
    let mut viewer = WhepViewer::open_by(&manager, Offer::default(), async |offer| {
        webrtc.send(&text_offer(&offer).to_string()).await;
        let failed =
            async || manager.status("cam").await["last_error"]["code"] == "source_unreachable";
        until("an attempt has failed", failed).await;
        camera.restart().await;
        let answer = webrtc.text().await;
        assert_eq!(answer["type"], "webrtc/answer", "{answer}");
        answer["value"].as_str().expect("SDP").to_owned()
    })
    .await;
    viewer.until("pictures", |it| it.pictures.len() > 10).await;
    description(&mut mse).await;
    Fragment::read(&mse.bytes().await).expect("a frame");
    assert_eq!(mjpeg.text().await["type"], "mjpeg");
    assert_eq!(Jpeg::new(mjpeg.bytes().await).size(), (640, 360));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_player_continues_after_the_stream_was_stopped() {
    let (_camera, manager, nginx) = start_live("h264", &[]).await;
    let mut mse = Go2rtcSocket::watch(&nginx.address(), WS).await;
    description(&mut mse).await;
    let mut tracks = Tracks::default();
    tracks.receive(&mut mse, 10).await;
    let mut mjpeg = Go2rtcSocket::connect(&nginx.address(), WS, &[]).await.expect("a socket");
    mjpeg.request("mjpeg", "").await;
    assert_eq!(mjpeg.text().await["type"], "mjpeg");
    mjpeg.bytes().await;
    assert_eq!(manager.post("/api/cameras/cam/stream/stop", &json!({})).await.status, 200);
    tracks.receive(&mut mse, 60).await;
    for _ in 0..30 {
        mjpeg.bytes().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_player_whose_codecs_change_must_connect_again() {
    let (camera, manager, nginx) = start_live("h264", &[]).await;
    let mut socket = Go2rtcSocket::watch(&nginx.address(), WS).await;
    description(&mut socket).await;
    let body = json!({ "rtsp_link": camera.link("hevc"), "video": "copy" });
    assert_eq!(manager.put("/api/cameras/cam", &body).await.status, 200);
    let (error, code) = socket.end().await;
    assert!(code == 1000 && error.starts_with("mse: the codecs"), "{code} {error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_player_requests_pictures_if_it_cannot_decode_the_video() {
    let (_camera, manager, nginx) = start_live("h264", &[]).await;
    for (address, path, size) in [
        (nginx.address(), WS.to_owned(), (640, 360)),
        (manager.address().to_owned(), format!("{WS}&width=320"), (320, 180)),
    ] {
        let mut socket = Go2rtcSocket::connect(&address, &path, &[]).await.expect("a socket");
        socket.request("mse", "vp09.00.10.08,flac").await;
        let error = socket.text().await;
        assert_eq!(error["type"], "error");
        let value = error["value"].as_str().expect("text");
        assert!(value.starts_with("mse: the list of codecs does not contain"), "{value}");
        socket.send(r#"{"type":"mjpeg"}"#).await;
        assert_eq!(socket.text().await, json!({ "type": "mjpeg" }));
        for _ in 0..5 {
            assert_eq!(Jpeg::new(socket.bytes().await).size(), size);
        }
        // A request replaces the one before it.
        socket.request("mse", "avc1").await;
        let (mime, _) = description(&mut socket).await;
        assert!(!mime.contains("mp4a"), "{mime}");
        Fragment::read(&socket.bytes().await).expect("a frame");
        for kind in ["hls", "mp4"] {
            socket.request(kind, "").await;
            let value = socket.text().await["value"].as_str().expect("text").to_owned();
            assert!(value.starts_with(&format!("{kind}: ")), "{value}");
        }
    }
}

/// Returns the SDP in the answer to an offer over the socket.
async fn negotiate(socket: &mut Go2rtcSocket, message: Value, kind: &str) -> Value {
    socket.send(&message.to_string()).await;
    let answer = socket.text().await;
    assert_eq!(answer["type"], kind, "{answer}");
    answer["value"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_player_negotiates_webrtc_over_the_socket() {
    let (_camera, manager, nginx) = start_live("h264", WEBRTC).await;
    let mut socket = Go2rtcSocket::connect(&nginx.address(), WS, &[]).await.expect("a socket");
    let broken = negotiate(&mut socket, text_offer("v=0"), "error").await;
    assert!(broken.as_str().expect("text").starts_with("webrtc/offer: "), "{broken}");
    let mut viewer = WhepViewer::open_by(&manager, Offer::default(), async |offer| {
        let answer = negotiate(&mut socket, text_offer(&offer), "webrtc/answer").await;
        socket.request("webrtc/candidate", "candidate:1 1 udp 1 192.0.2.1 1 typ host").await;
        answer.as_str().expect("SDP").to_owned()
    })
    .await;
    viewer.until("pictures", |it| it.pictures.len() > 10).await;
    // go2rtc's player closes the socket when WebRTC has pictures.
    drop(socket);
    let before = viewer.pictures.len();
    viewer.until("further pictures", |it| it.pictures.len() > before + 30).await;

    let mut socket = Go2rtcSocket::watch(&nginx.address(), WS).await;
    description(&mut socket).await;
    let mut other = WhepViewer::open_by(&manager, Offer::default(), async |offer| {
        let message = json!({ "type": "webrtc", "value": { "type": "offer", "sdp": offer } });
        let answer = negotiate(&mut socket, message, "webrtc").await;
        assert_eq!(answer["type"], "answer");
        answer["sdp"].as_str().expect("SDP").to_owned()
    })
    .await;
    other.until("pictures", |it| it.pictures.len() > 10).await;
    Fragment::read(&socket.bytes().await).expect("MP4 continues");
    // A player has one session: the next good offer ends the one before it.
    negotiate(&mut socket, text_offer("v=0"), "error").await;
    let before = other.pictures.len();
    other.until("further pictures", |it| it.pictures.len() > before + 10).await;
    let next = WhepViewer::open_by(&manager, Offer::default(), async |offer| {
        let answer = negotiate(&mut socket, text_offer(&offer), "webrtc/answer").await;
        answer.as_str().expect("SDP").to_owned()
    });
    let (mut last, ()) = tokio::join!(next, other.until("the end", |it| it.is_closed));
    last.until("pictures", |it| it.pictures.len() > 10).await;
}

/// Returns the directions of the sections in an answer.
fn directions(answer: &str) -> Vec<&str> {
    let is_direction =
        |line: &&str| ["sendonly", "recvonly", "sendrecv", "inactive"].contains(line);
    answer.lines().filter_map(|line| line.strip_prefix("a=")).filter(is_direction).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_player_that_offers_a_microphone_gets_video_and_the_audio_that_exists() {
    let (camera, manager, nginx) = start_live("h264-pcmu", WEBRTC).await;
    for (id, mount) in [("silent", "h264"), ("aac", "h264-aac")] {
        let body = json!({ "rtsp_link": camera.link(mount) });
        assert_eq!(manager.put(&format!("/api/cameras/{id}"), &body).await.status, 201);
    }
    let options = Offer { microphone: true, audio: true, ..Offer::default() };
    for (camera, expected) in [("cam", "sendonly"), ("silent", "inactive"), ("aac", "sendonly")] {
        let path = format!("/go2rtc/api/ws?src={camera}");
        let mut socket = Go2rtcSocket::watch(&nginx.address(), &path).await;
        description(&mut socket).await;
        let mut viewer = WhepViewer::open_by(&manager, options, async |offer| {
            let answer = negotiate(&mut socket, text_offer(&offer), "webrtc/answer").await;
            let answer = answer.as_str().expect("SDP").to_owned();
            assert_eq!(directions(&answer), ["inactive", "sendonly", expected], "{camera}");
            answer
        })
        .await;
        viewer.until("pictures", |it| it.pictures.len() > 10).await;
        if expected == "sendonly" {
            viewer.until("audio", |it| it.audio.len() > 10).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_negotiates_webrtc_over_http() {
    let (_camera, manager, nginx) = start_live("h264", WEBRTC).await;
    let url = nginx.url("/go2rtc/api/webrtc?src=cam");
    let post = async |content_type: &str, body: String| {
        let request = nginx.client().post(&url).header("content-type", content_type).body(body);
        request.send().await.expect("a response")
    };
    for content_type in ["application/json; charset=utf-8", "application/sdp", "text/plain"] {
        let mut location = None;
        let mut viewer = WhepViewer::open_by(&manager, Offer::default(), async |offer| {
            let is_json = content_type.starts_with("application/json");
            let body =
                if is_json { json!({ "type": "offer", "sdp": offer }).to_string() } else { offer };
            let response = post(content_type, body).await;
            location =
                response.headers().get("location").map(|it| it.to_str().expect("text").to_owned());
            let expected = if content_type == "application/sdp" { 201 } else { 200 };
            assert_eq!(response.status(), expected, "{content_type}");
            if is_json {
                let answer: Value = response.json().await.expect("JSON");
                assert_eq!(answer["type"], "answer");
                return answer["sdp"].as_str().expect("SDP").to_owned();
            }
            response.text().await.expect("SDP")
        })
        .await;
        viewer.until("pictures", |it| it.pictures.len() > 10).await;
        if let Some(location) = location {
            let ended =
                nginx.client().delete(nginx.url(&location)).send().await.expect("a response");
            assert_eq!(ended.status(), 204);
            viewer.until("the end", |it| it.is_closed).await;
        }
    }
    for (content_type, body) in [
        ("application/json", "{}"),
        ("application/json", "v=0"),
        ("application/sdp", ""),
        ("text/plain", "v=0\r\n"),
    ] {
        let refused = problem(post(content_type, body.to_owned()).await).await;
        assert_eq!(refused, (400, "invalid_request".to_owned()), "{content_type} {body}");
    }
    let refused = problem(post("text/plain", "v".repeat(70_000)).await).await;
    assert_eq!(refused, (413, "body_too_large".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn all_addresses_of_media_work() {
    let (camera, manager, nginx) = start_live("h264-pcmu", &[]).await;
    let plays = camera.plays();
    let version: Value = nginx.get("/go2rtc/api").await.json().await.expect("JSON");
    assert!(version["version"].as_str().expect("a version").starts_with("1.9."), "{version}");

    let list: Value = nginx.get("/go2rtc/api/streams").await.json().await.expect("JSON");
    let one: Value = nginx.get("/go2rtc/api/streams?src=cam").await.json().await.expect("JSON");
    assert_eq!(list, json!({ "cam": one }));
    let medias = json!(["video, recvonly, H264", "audio, recvonly, PCMU"]);
    assert_eq!(one["producers"][0]["medias"], medias);
    assert_eq!(one["producers"][0]["url"], "/streams/cam/stream.m3u8");
    assert!(!list.to_string().contains("rtsp"), "{list}");

    for (query, size) in [
        ("&cache=soon&w=0", (640, 360)),
        ("&w=320", (320, 180)),
        ("&width=320&cache=1m", (320, 180)),
    ] {
        let response = nginx.get(&format!("/go2rtc/api/frame.jpeg?src=cam{query}")).await;
        assert_eq!(response.headers()["content-type"], "image/jpeg", "{query}");
        let jpeg = response.bytes().await.expect("a picture");
        assert_eq!(Jpeg::new(jpeg).size(), size, "{query}");
    }
    let mut pictures = Multipart::open(&nginx.url("/go2rtc/api/stream.mjpeg?src=cam")).await;
    for _ in 0..5 {
        assert_eq!(pictures.next().await.expect("a picture").jpeg.size(), (640, 360));
    }

    let path = "/go2rtc/api/stream.mp4?src=cam&duration=3&filename=gate.mp4";
    let began = Instant::now();
    let response = nginx.get(path).await;
    let content_type = response.headers()["content-type"].to_str().expect("text").to_owned();
    assert!(content_type.starts_with("video/mp4; codecs=\"avc1."), "{content_type}");
    assert_eq!(response.headers()["content-disposition"], "attachment; filename=\"gate.mp4\"");
    let file = response.bytes().await.expect("a file");
    assert!((2.9..6.0).contains(&began.elapsed().as_secs_f64()), "{:?}", began.elapsed());
    let path = manager.dir().path().join("gate.mp4");
    std::fs::write(&path, file).expect("a file");
    let path = path.to_str().expect("a path");
    assert_continuous(path).await;
    let kinds: Vec<_> = probe(path).await.iter().map(|it| it["codec_name"].clone()).collect();
    assert_eq!(kinds, ["h264", "aac"]);
    for name in ["stream.mp4", "stream.mjpeg", "frame.jpeg"] {
        let url = nginx.url(&format!("/go2rtc/api/{name}?src=cam"));
        let response = nginx.client().head(url).send().await.expect("a response");
        assert_eq!(response.status(), 200, "{name}");
        assert!(response.bytes().await.expect("no body").is_empty(), "{name}");
    }
    assert_eq!(camera.plays(), plays, "all clients share one connection to the camera");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_requests_are_refused() {
    let (_camera, manager, nginx) = start_live("h264", &[]).await;
    for (path, expected) in [
        ("frame.jpeg", (400, "invalid_request")),
        ("frame.jpeg?src=", (400, "invalid_request")),
        ("frame.jpeg?src=../cam", (400, "invalid_id")),
        ("frame.jpeg?src=unknown", (404, "unknown_camera")),
        ("stream.mjpeg?src=unknown", (404, "unknown_camera")),
        ("stream.mp4", (400, "invalid_request")),
        ("stream.mp4?src=unknown", (404, "unknown_camera")),
        ("stream.mp4?src=cam&filename=a%22b", (400, "invalid_request")),
        ("streams?src=unknown", (404, "unknown_camera")),
        ("webrtc?src=cam", (405, "method_not_allowed")),
        ("ws?src=cam", (400, "invalid_request")),
    ] {
        let (status, code) = problem(nginx.get(&format!("/go2rtc/api/{path}")).await).await;
        assert_eq!((status, &*code), expected, "{path}");
    }
    for path in ["/go2rtc/api/exit", "/go2rtc/api/config", "/go2rtc/", "/go2rtc/api/ws/x"] {
        assert_eq!(nginx.get(path).await.status(), 404, "{path}");
    }
    for address in [nginx.address(), manager.address().to_owned()] {
        for (path, expected) in [("", 400), ("?src=unknown", 404), ("?src=a/b", 400)] {
            let path = format!("/go2rtc/api/ws{path}");
            let refused = Go2rtcSocket::connect(&address, &path, &[]).await.err();
            assert_eq!(refused.map(|it| it.0), Some(expected), "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_messages_end_only_their_own_socket() {
    let (camera, manager, nginx) = start_live("h264", &[]).await;
    let mut healthy = Go2rtcSocket::watch(&nginx.address(), WS).await;
    description(&mut healthy).await;
    let missing = json!({ "rtsp_link": camera.link("missing") });
    assert_eq!(manager.put("/api/cameras/broken", &missing).await.status, 201);
    let connect =
        async |address: &str| Go2rtcSocket::connect(address, WS, &[]).await.expect("a socket");
    for address in [nginx.address(), manager.address().to_owned()] {
        let deep = "[".repeat(30_000);
        for text in ["", "garbage", "[]", r#"{"value":1}"#, r#"{"type":[]}"#, &deep] {
            let mut socket = connect(&address).await;
            socket.send(text).await;
            let (error, code) = socket.end().await;
            assert!(code == 1008 && error.starts_with("ws: "), "{code} {error}");
        }
        let mut socket = connect(&address).await;
        socket
            .send(&format!(r#"{{"type":"webrtc/offer","value":"{}"}}"#, "x".repeat(70_000)))
            .await;
        assert_eq!(socket.end().await.1, 1009);
        let mut socket = connect(&address).await;
        socket.send_bytes(b"\0\0").await;
        assert_eq!(socket.end().await.1, 1008);
        let mut socket = connect(&address).await;
        socket.send(r#"{"type":"mse","value":"avc1"}"#).await;
        for _ in 0..200 {
            socket.send(r#"{"type":"webrtc/candidate","value":1}"#).await;
            socket.send(r#"{"type":"other","value":{}}"#).await;
        }
        description(&mut socket).await;
        // WebRTC is off.
        let error =
            negotiate(&mut socket, json!({ "type": "webrtc/offer", "value": 7 }), "error").await;
        assert!(error.as_str().expect("text").starts_with("webrtc/offer: "), "{error}");
        let path = "/go2rtc/api/ws?src=broken";
        let mut socket = Go2rtcSocket::watch(&address, path).await;
        for kind in ["mse", "mjpeg"] {
            let error = socket.text().await["value"].as_str().expect("text").to_owned();
            assert!(error.starts_with(&format!("{kind}: ")) && !error.contains("rtsp:"), "{error}");
            socket.request("mjpeg", "").await;
        }
        let mut socket = connect(&address).await;
        for _ in 0..11 {
            socket.request("webrtc/offer", "v=0").await;
        }
        let (error, code) = socket.end().await;
        assert!(code == 1008 && error.starts_with("ws: the player sends too many"), "{error}");
    }
    healthy.bytes().await;
    drop(healthy);
    let open = "stream_manager_live_sockets";
    Metrics::until(&manager, "no socket is open", |it| it.value(open) == Some(0.0)).await;
}

/// Starts the service with an API key and two cameras.
async fn start_with_keys() -> (Camera, Manager, Nginx) {
    let (camera, manager, nginx) = start_service(&[KEYS]).await;
    for id in ["cam", "other"] {
        let (path, body) =
            (format!("/api/cameras/{id}"), json!({ "rtsp_link": camera.link("h264") }));
        assert_eq!(manager.call(ADMIN, Method::PUT, &path, &body).await.status, 201);
    }
    (camera, manager, nginx)
}

async fn create_session(manager: &Manager, body: Value) -> (String, String) {
    let created = manager.call(ADMIN, Method::POST, "/api/playback/sessions", &body).await;
    assert_eq!(created.status, 201, "{created:?}");
    let text = |name: &str| created.body[name].as_str().expect(name).to_owned();
    (text("token"), text("session_id"))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_address_needs_permission_for_the_camera_in_src() {
    let (_camera, manager, nginx) = start_with_keys().await;
    let (token, _) = create_session(&manager, json!({ "user": "anna", "camera": "cam" })).await;
    let wrong = format!("{token}x");
    let play = |token: &str, path: &str| format!("/play/{token}/go2rtc/api/{path}");
    let paths = ["ws", "webrtc", "frame.jpeg", "stream.mjpeg", "stream.mp4", "streams"];
    for name in paths {
        let method = if name == "webrtc" { Method::POST } else { Method::GET };
        for (path, expected) in [
            (format!("/go2rtc/api/{name}?src=cam"), 401),
            (play(&wrong, &format!("{name}?src=cam")), 401),
            (play("x.y.z", &format!("{name}?src=cam")), 401),
            (play(&token, &format!("{name}?src=other")), 403),
            (play(&token, &format!("{name}?src=unknown")), 403),
        ] {
            let status = if name == "ws" {
                Go2rtcSocket::connect(&nginx.address(), &path, &[]).await.err().expect("refused").0
            } else {
                let request = nginx.client().request(method.clone(), nginx.url(&path));
                request.send().await.expect("a response").status().as_u16()
            };
            assert_eq!(status, expected, "{path}");
        }
    }
    assert_eq!(nginx.get("/go2rtc/api/streams").await.status(), 401);
    assert_eq!(nginx.get(&play(&token, "streams")).await.status(), 401);
    let list = nginx.client().get(nginx.url("/go2rtc/api/streams")).bearer_auth(ADMIN);
    let list: Value = list.send().await.expect("a response").json().await.expect("JSON");
    assert!(list["cam"].is_object() && list["other"].is_object(), "{list}");
    let one = nginx.get(&play(&token, "streams?src=cam")).await;
    assert_eq!(one.status(), 200);
    let frame = nginx.get(&play(&token, "frame.jpeg?src=cam")).await;
    assert_eq!(frame.headers()["content-type"], "image/jpeg");
    let key = [("x-api-key", ADMIN)];
    let mut socket = Go2rtcSocket::connect(&nginx.address(), WS, &key).await.expect("a socket");
    socket.request("mse", "").await;
    description(&mut socket).await;
    let tail = token.rsplit('.').next().expect("a signature");
    assert!(!nginx.log().contains(tail), "a token is in the log: {}", nginx.log());
    assert!(!manager.log().contains(tail), "a token is in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_playback_ends_with_its_permission() {
    let (_camera, manager, nginx) = start_with_keys().await;
    let body = json!({ "user": "anna", "camera": "cam" });
    let (token, session) = create_session(&manager, body).await;
    let play = |path: &str| format!("/play/{token}/go2rtc/api/{path}?src=cam");
    let mut mse = Go2rtcSocket::watch(&nginx.address(), &play("ws")).await;
    description(&mut mse).await;
    let elsewhere = [("origin", "https://elsewhere.example")];
    let mut mjpeg =
        Go2rtcSocket::connect(&nginx.address(), &play("ws"), &elsewhere).await.expect("a socket");
    mjpeg.request("mjpeg", "").await;
    assert_eq!(mjpeg.text().await["type"], "mjpeg");
    mjpeg.bytes().await;
    let mut file = nginx.get(&play("stream.mp4")).await;
    file.chunk().await.expect("a chunk").expect("MP4");
    let mut pictures = Multipart::open(&nginx.url(&play("stream.mjpeg"))).await;
    pictures.next().await.expect("a picture");
    let path = format!("/api/playback/sessions/{session}");
    assert_eq!(manager.call(ADMIN, Method::DELETE, &path, &json!({})).await.status, 204);
    let began = Instant::now();
    let (error, code) = mse.end().await;
    assert!(code == 1008 && error.starts_with("mse: "), "{code} {error}");
    let (error, code) = mjpeg.end().await;
    assert!(code == 1008 && error.starts_with("mjpeg: "), "{code} {error}");
    while file.chunk().await.expect("a complete response").is_some() {}
    while pictures.next().await.is_some() {}
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());

    let (token, _) =
        create_session(&manager, json!({ "user": "ben", "camera": "cam", "ttl_seconds": 3 })).await;
    let path = format!("/play/{token}/go2rtc/api/ws?src=cam");
    let mut short = Go2rtcSocket::watch(&nginx.address(), &path).await;
    assert_eq!(short.end().await.1, 1008, "the session has expired");
    let refused = Go2rtcSocket::connect(&nginx.address(), &path, &[]).await.err();
    assert_eq!(refused.map(|it| it.0), Some(401));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_closes_all_sockets() {
    let (_camera, mut manager, nginx) = start_live("h264", &[]).await;
    let mut socket = Go2rtcSocket::watch(&nginx.address(), WS).await;
    description(&mut socket).await;
    let silent = Go2rtcSocket::connect(manager.address(), WS, &[]).await.expect("a socket");
    manager.signal(nix::sys::signal::Signal::SIGTERM);
    loop {
        match socket.next().await {
            Go2rtcMessage::Closed(code) => {
                assert_eq!(code, Some(1012));
                break;
            }
            Go2rtcMessage::Bytes(_) | Go2rtcMessage::Text(_) => {}
        }
    }
    assert_eq!(manager.exit_code().await, 0, "{}", manager.log());
    drop(silent);
}
