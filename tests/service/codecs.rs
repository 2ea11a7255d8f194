//! Cameras with unusual video and audio codecs, and streams that are unusual in other ways.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{Manager, RawCamera, play, probe, start_service};

const FAST: (&str, &str) = ("TRANSCODE_PRESET", "ultrafast");

/// Starts a stream of a raw camera. The start must succeed.
async fn start(manager: &Manager, id: &str, camera: &RawCamera) {
    let response = manager.start_stream(id, &camera.link()).await;
    assert_eq!(response.status, 200, "{id}: {response:?}");
}

/// Returns the lines of the FFmpeg log of a stream.
async fn log_of(manager: &Manager, id: &str) -> Vec<Value> {
    let body = manager.get(&format!("/api/streams/{id}/log")).await.body;
    body["lines"].as_array().expect("lines").clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn sound_other_than_plain_aac_is_converted_to_aac() {
    let (_camera, manager, nginx) = start_service(&[]).await;
    let codecs =
        ["opus", "mp2", "mp3", "vorbis", "ac3", "speex", "g722", "g726", "g726le", "l16", "latm"];
    for some in codecs.chunks(6) {
        join_all(some.iter().map(async |codec| {
            let camera = RawCamera::start(&format!("--audio {codec}")).await;
            start(&manager, codec, &camera).await;
            let playlist = nginx.playlist(codec);
            play(&playlist, 3).await;
            let streams = probe(&playlist).await;
            let audio = streams.iter().find(|it| it["codec_type"] == "audio").expect(codec);
            assert_eq!((&audio["codec_name"], &audio["profile"]), (&json!("aac"), &json!("LC")));
            let multivariant = manager.get(&format!("/streams/{codec}/index.m3u8")).await.body;
            let multivariant = multivariant.as_str().expect("a playlist");
            assert!(multivariant.contains(",mp4a.40.2\""), "{codec}: {multivariant}");
            let status = manager.status(codec).await;
            assert_eq!((&status["state"], &status["restarts"]), (&"live".into(), &0.into()));
            assert_eq!(status["last_error"], Value::Null, "{codec}: {status}");
            let lines = log_of(&manager, codec).await;
            assert!(lines.len() < 120, "{codec}: {lines:?}");
            manager.stop_stream(codec).await;
        }))
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn aac_with_wrong_parameters_is_converted_or_is_left_out_with_an_error_in_the_status() {
    let (_camera, manager, nginx) = start_service(&[]).await;
    let cases = [
        ("no-config", "--audio-parameters no-config", true),
        ("bad-config", "--audio-parameters bad-config", false),
        ("other-type", "--audio-parameters other-type", false),
        ("none", "--no-audio-parameters", false),
        ("unknown", "--audio-parameters unknown-codec", false),
    ];
    join_all(cases.map(async |(id, habit, has_audio)| {
        let camera = RawCamera::start(&format!("--audio aac {habit}")).await;
        start(&manager, id, &camera).await;
        let playlist = nginx.playlist(id);
        play(&playlist, 5).await;
        let kinds: Vec<_> =
            probe(&playlist).await.iter().map(|stream| stream["codec_name"].clone()).collect();
        let expected: &[&str] = if has_audio { &["h264", "aac"] } else { &["h264"] };
        assert_eq!(kinds, expected, "{id}");
        let status = manager.status(id).await;
        let note = if has_audio { Value::Null } else { json!("audio_unsupported") };
        assert_eq!((&status["state"], &status["last_error"]["code"]), (&"live".into(), &note));
        let lines = log_of(&manager, id).await;
        let is_flood =
            |line: &&Value| line["text"].as_str().is_some_and(|it| it.contains("AU headers"));
        assert!(lines.iter().filter(is_flood).count() < 10, "{id}: {lines:?}");
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn video_that_browsers_cannot_play_is_converted() {
    let (_camera, manager, nginx) = start_service(&[FAST]).await;
    let cases = [
        ("444-odd", "--video h264-444 --size 321x193", (320, 192)),
        ("interlaced", "--video h264-interlaced", (320, 192)),
        ("mpeg4", "--video mpeg4 --audio pcmu", (320, 192)),
        // RTP transmits the size of a JPEG in units of eight pixels.
        ("mjpeg", "--video mjpeg --size 322x194", (328, 200)),
    ];
    for (id, habits, (width, height)) in cases {
        let camera = RawCamera::start(habits).await;
        start(&manager, id, &camera).await;
        let playlist = nginx.playlist(id);
        play(&playlist, 3).await;
        let video = probe(&playlist).await.remove(0);
        assert_eq!((&video["codec_name"], &video["pix_fmt"]), (&json!("h264"), &json!("yuv420p")));
        let is_progressive = video["field_order"].as_str().is_none_or(|it| it == "progressive");
        assert!(is_progressive, "{id}: {video}");
        assert_eq!((&video["width"], &video["height"]), (&json!(width), &json!(height)), "{id}");
        let status = manager.status(id).await;
        assert_eq!(
            (&status["state"], &status["media"]["transcoded"]),
            (&"live".into(), &true.into())
        );
        manager.stop_stream(id).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_can_be_rare_frequent_or_large() {
    let (_camera, manager, nginx) = start_service(&[]).await;
    let cases = [
        ("rare", "--video h264-intra --fps 1", (0.9, 1.1)),
        ("frequent", "--fps 120", (110.0, 130.0)),
        ("large", "--video h264-large --size 1920x1088 --fps 2", (1.9, 2.1)),
    ];
    for (id, habits, (least, most)) in cases {
        let camera = RawCamera::start(habits).await;
        start(&manager, id, &camera).await;
        play(&nginx.playlist(id), 3).await;
        let status = manager.status(id).await;
        let rate = status["media"]["frame_rate"].as_f64().expect("a rate");
        assert!((least..most).contains(&rate), "{id}: {rate}");
        assert_eq!((&status["state"], &status["restarts"]), (&"live".into(), &0.into()), "{id}");
        if id == "large" {
            let bytes = status["media"]["bit_rate"].as_f64().expect("a rate") / 8.0 / rate;
            assert!(bytes > 1_500_000.0, "{bytes}");
        }
        manager.stop_stream(id).await;
    }
}
