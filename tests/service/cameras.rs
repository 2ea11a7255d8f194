//! Different kinds of cameras: what is copied, what is transcoded, the options that change this, and
//! cameras with quirks.

use serde_json::{Value, json};

use crate::support::{
    Camera, Manager, Nginx, Playlist, eventually, play, probe, start_live, start_service, until,
};

#[tokio::test(flavor = "multi_thread")]
async fn aac_is_copied_and_other_audio_is_transcoded_to_aac() {
    let (camera, manager, nginx) = start_service(&[]).await;
    for mount in ["h264-aac", "h264-pcma", "h264-pcmu"] {
        manager.play(mount, &camera.link(mount)).await;
        let streams = probe(&nginx.playlist(mount)).await;
        let codecs: Vec<_> = streams.iter().filter_map(|s| s["codec_name"].as_str()).collect();
        assert_eq!(codecs, ["h264", "aac"], "{mount}");
        assert_eq!(manager.status(mount).await["media"]["audio_codec"], "mp4a.40.2");
        play(&nginx.playlist(mount), 3).await;
    }
    // The camera's AAC has a sample rate of 48 kHz. If FFmpeg had encoded the audio, the rate would be 32 kHz.
    let copied = probe(&nginx.playlist("h264-aac")).await;
    assert_eq!(copied[1]["sample_rate"], "48000");

    // The next start applies the lessons of the first one, so it needs only one connection.
    manager.stop_stream("h264-pcma").await;
    let plays = camera.plays();
    manager.play("h264-pcma", &camera.link("h264-pcma")).await;
    assert_eq!(camera.plays(), plays + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn h265_and_motion_jpeg_are_transcoded_to_h264() {
    let (camera, manager, nginx) = start_service(&[("TRANSCODE_PRESET", "ultrafast")]).await;
    for mount in ["hevc", "mjpeg"] {
        manager.play(mount, &camera.link(mount)).await;
        let media = &manager.status(mount).await["media"];
        assert_eq!(media["transcoded"], true, "{mount}: {media}");
        assert_eq!((media["width"].as_u64(), media["height"].as_u64()), (Some(640), Some(360)));
        let streams = probe(&nginx.playlist(mount)).await;
        assert_eq!(streams[0]["codec_name"], "h264", "{mount}");
        play(&nginx.playlist(mount), 3).await;
        manager.stop_stream(mount).await;
    }
}

/// Returns the names of the stream's codecs, as ffprobe reports them.
async fn codecs(nginx: &Nginx, id: &str) -> Vec<String> {
    let streams = probe(&nginx.playlist(id)).await;
    let name = |stream: &Value| stream["codec_name"].as_str().map(str::to_owned);
    streams.iter().filter_map(name).collect()
}

/// Returns the field `media` of a stream's status.
async fn media(manager: &Manager, id: &str) -> Value {
    manager.status(id).await["media"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn h265_is_copied_if_the_setting_or_the_option_is_copy() {
    let camera = Camera::start().await;
    let by_setting = Manager::start(&[("HEVC", "copy")]).await;
    let by_option = Manager::start(&[]).await;
    let copy = json!({
        "indicator_id": "cam", "rtsp_link": camera.link("hevc"), "video": "copy"
    });
    let auto = json!({ "indicator_id": "cam", "rtsp_link": camera.link("hevc") });
    for (manager, start) in [(&by_setting, &auto), (&by_option, &copy)] {
        assert_eq!(manager.post("/api/stream/start", start).await.status, 200);
        let nginx = Nginx::start(manager).await;
        let streams = probe(&nginx.playlist("cam")).await;
        assert_eq!(
            (&streams[0]["codec_name"], &streams[0]["codec_tag_string"]),
            (&json!("hevc"), &json!("hvc1"))
        );
        let media = media(manager, "cam").await;
        assert_eq!(media["transcoded"], false, "{media}");
        assert!(media["video_codec"].as_str().expect("a codec").starts_with("hvc1.1."), "{media}");
        play(&nginx.playlist("cam"), 3).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn options_change_a_running_stream() {
    let (camera, manager, nginx) = start_live("h264-aac", &[("TRANSCODE_MAX_HEIGHT", "180")]).await;
    assert_eq!(codecs(&nginx, "cam").await, ["h264", "aac"]);
    assert_eq!(camera.plays(), 1);

    // A change applies to the running stream. All other options keep their values.
    let change = json!({ "indicator_id": "cam", "video": "h264", "audio": "off" });
    let response = manager.post("/api/stream/start", &change).await;
    assert_eq!(response.status, 200, "{response:?}");
    let status = manager.status("cam").await;
    assert_eq!(status["options"], json!({ "video": "h264", "audio": "off", "transport": "auto" }));
    let media = &status["media"];
    assert_eq!((&media["transcoded"], &media["audio_codec"]), (&json!(true), &json!(null)));
    assert_eq!((&media["width"], &media["height"]), (&json!(320), &json!(180)));

    let change = json!({ "indicator_id": "cam", "video": "auto", "transport": "udp" });
    assert_eq!(manager.post("/api/stream/start", &change).await.status, 200);
    let media = self::media(&manager, "cam").await;
    assert_eq!((&media["transcoded"], &media["height"]), (&json!(false), &json!(360)));
    // The transcoder ends when the change to the camera's own video has reached its last reader.
    until("only one FFmpeg is left", || async { manager.ffmpegs().len() == 1 }).await;
    // FFmpeg is the player here, and does not support tracks that appear or disappear. So the test stops the
    // stream, and FFmpeg plays a new playlist.
    manager.stop_stream("cam").await;
    play(&nginx.playlist("cam"), 3).await;

    let invalid = json!({ "indicator_id": "cam", "transport": "pigeon" });
    let response = manager.post("/api/stream/start", &invalid).await;
    assert_eq!(
        (response.status.as_u16(), &response.body["code"]),
        (400, &json!("invalid_request"))
    );
    let detail = response.body["detail"].as_str().expect("a detail");
    assert!(["auto", "tcp", "udp"].iter().all(|value| detail.contains(value)), "{detail}");
    assert_eq!(manager.status("cam").await["options"]["transport"], "udp");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_fails_if_the_video_must_be_copied_but_browsers_cannot_play_it() {
    let camera = Camera::start().await;
    let manager = Manager::start(&[]).await;
    let copy = json!({
        "indicator_id": "cam", "rtsp_link": camera.link("mjpeg"), "video": "copy"
    });
    let response = manager.post("/api/stream/start", &copy).await;
    assert_eq!(response.status, 502, "{response:?}");
    assert_eq!(response.body["code"], "source_unsupported");
    let detail = response.body["detail"].as_str().expect("a detail");
    assert!(detail.contains("option") && detail.contains("video"), "{detail}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_switches_to_h264_is_no_longer_transcoded() {
    let mut camera = Camera::start_with(&["--alias", "live=hevc"]).await;
    let manager = Manager::start(&[("TRANSCODE_PRESET", "ultrafast")]).await;
    let link = camera.link("live");
    manager.play("cam", &link).await;
    assert_eq!(media(&manager, "cam").await["transcoded"], true);
    manager.stop_stream("cam").await;
    camera.kill();
    camera.restart_with(&["--alias", "live=h264"]).await;
    manager.play("cam", &link).await;
    assert_eq!(media(&manager, "cam").await["transcoded"], false);

    let copy = json!({ "indicator_id": "cam", "rtsp_link": link, "video": "copy" });
    for (mount, codec) in [("hevc", "hvc1"), ("h264", "avc1"), ("hevc", "hvc1")] {
        manager.stop_stream("cam").await;
        camera.kill();
        camera.restart_with(&["--alias", &format!("live={mount}")]).await;
        assert_eq!(manager.post("/api/stream/start", &copy).await.status, 200, "{mount}");
        let media = media(&manager, "cam").await;
        assert!(
            media["video_codec"].as_str().is_some_and(|name| name.starts_with(codec)),
            "{media}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cameras_with_b_frames_or_late_parameter_sets_play_without_a_restart() {
    let (camera, manager, nginx) = start_service(&[]).await;
    for mount in ["h264-bframes", "h264-late-parameters"] {
        assert_plays_without_restart(&camera, &manager, &nginx, mount).await;
    }
    assert_eq!(replans(&manager), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_requires_udp_plays() {
    let (camera, manager, nginx) = start_service(&[]).await;
    assert_plays_without_restart(&camera, &manager, &nginx, "h264-udp").await;
    // The manager remembers that a camera needs UDP. For a camera with the option `udp`, it never tries TCP.
    let plays = camera.plays();
    manager.play("h264-udp", &camera.link("h264-udp")).await;
    manager.stop_stream("h264-udp").await;
    let udp = json!({
        "indicator_id": "chosen", "rtsp_link": camera.link("h264-udp"), "transport": "udp"
    });
    assert_eq!(manager.post("/api/stream/start", &udp).await.status, 200);
    assert_eq!(camera.plays(), plays + 2);
    assert_eq!(
        replans(&manager),
        1,
        "the plan must change exactly once: from TCP to UDP, at the first start"
    );
    let response = manager
        .post("/api/stream/start", &json!({ "indicator_id": "h264-udp", "transport": "tcp" }))
        .await;
    assert_eq!(
        (response.status.as_u16(), &response.body["code"]),
        (502, &json!("source_unsupported"))
    );
    assert!(response.body["detail"].as_str().is_some_and(|detail| detail.contains("transport")));
}

/// Checks that a mount plays for some seconds, and that the status of the stream counts no restarts. Changes of
/// the plan during the start are not restarts.
async fn assert_plays_without_restart(
    camera: &Camera,
    manager: &Manager,
    nginx: &Nginx,
    mount: &str,
) {
    manager.play(mount, &camera.link(mount)).await;
    play(&nginx.playlist(mount), 4).await;
    assert_eq!(manager.status(mount).await["restarts"], 0, "{mount}");
    manager.stop_stream(mount).await;
}

/// Returns how many times the manager has changed the plan of a camera, according to the log.
fn replans(manager: &Manager) -> usize {
    manager.log_fields().iter().filter(|fields| !fields["plan"].is_null()).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn timestamps_that_do_not_advance_are_replaced_by_arrival_times() {
    assert_timestamps_are_replaced("h264-stuck-clock").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn timestamps_that_are_too_slow_are_replaced_by_arrival_times() {
    assert_timestamps_are_replaced("h264-slow-clock").await;
}

/// Checks that a mount plays at its real frame rate, although the RTP timestamps are wrong.
async fn assert_timestamps_are_replaced(mount: &str) {
    let (camera, manager, nginx) = start_service(&[]).await;
    manager.play(mount, &camera.link(mount)).await;
    play(&nginx.playlist(mount), 4).await;
    let rate = media(&manager, mount).await["frame_rate"].as_f64().expect("a rate");
    assert!((20.0..30.0).contains(&rate), "{mount}: {rate}");
    // The next start applies the lessons of the first one, so it needs only one connection.
    manager.stop_stream(mount).await;
    let plays = camera.plays();
    manager.play(mount, &camera.link(mount)).await;
    assert_eq!(camera.plays(), plays + 1, "{mount}");
    manager.stop_stream(mount).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_low_frame_rate_with_audio_plays_without_interruptions() {
    let camera = Camera::start_with(&["--fps", "5"]).await;
    let manager = Manager::start(&[]).await;
    let nginx = Nginx::start(&manager).await;
    manager.play("cam", &camera.link("h264-aac")).await;
    play(&nginx.playlist("cam"), 10).await;
    let playlist = Playlist::fetch(&nginx, "cam").await.expect("a playlist");
    assert_eq!(playlist.discontinuities_in_window(), 0, "{playlist:?}");
    let status = manager.status("cam").await;
    assert_eq!((&status["restarts"], &status["last_error"]), (&json!(0), &json!(null)));
    assert!(!manager.log().contains("Arrival"), "the camera's timestamps were replaced");
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_are_short_with_rare_and_with_frequent_keyframes() {
    for (gop, limit) in [("10", 3.0), ("0.5", 2.2)] {
        let camera = Camera::start_with(&["--gop-seconds", gop]).await;
        let manager = Manager::start(&[]).await;
        let nginx = Nginx::start(&manager).await;
        manager.play("cam", &camera.link("h264")).await;
        play(&nginx.playlist("cam"), 8).await;
        let longest = Playlist::fetch(&nginx, "cam").await.expect("a playlist").longest_segment();
        assert!(longest < limit, "a segment lasts {longest} s with a GOP of {gop} s");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_picture_size_does_not_end_the_epoch() {
    let (_camera, manager, nginx) = start_live("h264-resize", &[]).await;
    let first = manager.status("cam").await;
    let before = Playlist::fetch(&nginx, "cam").await.expect("a playlist");
    assert_eq!(media(&manager, "cam").await["width"], 640);
    until("the small picture is live", || async { media(&manager, "cam").await["width"] == 320 })
        .await;
    let status = manager.status("cam").await;
    assert_eq!(status["generation"], first["generation"], "{status}");
    assert_eq!((&status["restarts"], &status["last_error"]), (&json!(0), &json!(null)));
    until("the playlist has the change", || async {
        let after = Playlist::fetch(&nginx, "cam").await.expect("a playlist");
        after.discontinuities() == before.discontinuities() + 1
    })
    .await;
    play(&nginx.playlist("cam"), 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_picture_size_does_not_interrupt_a_transcoded_stream() {
    let (camera, manager, nginx) = start_service(&[("TRANSCODE_PRESET", "ultrafast")]).await;
    let transcoded = json!({
        "indicator_id": "cam", "rtsp_link": camera.link("h264-resize"), "video": "h264"
    });
    assert_eq!(manager.post("/api/stream/start", &transcoded).await.status, 200);
    let before = manager.status("cam").await;
    play(&nginx.playlist("cam"), 14).await;
    // A new stream of the same mount shows that the camera did change its picture size.
    manager.play("other", &camera.link("h264-resize")).await;
    assert_eq!(media(&manager, "other").await["width"], 320);
    let after = manager.status("cam").await;
    assert_eq!(after["state"], "live", "{after}");
    assert_eq!(after["generation"], before["generation"], "{after}");
    assert_eq!(after["last_error"], json!(null), "{after}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_multivariant_playlist_describes_the_stream() {
    let (_camera, manager, nginx) = start_live("h264-aac", &[]).await;
    let fetch_variant = |nginx: &Nginx| {
        let request = nginx.client().get(nginx.url("/streams/cam/index.m3u8"));
        async move {
            let response = request.send().await.expect("a response");
            assert_eq!(response.status(), 200);
            assert_eq!(response.headers()["content-type"], "application/vnd.apple.mpegurl");
            let text = response.bytes().await.expect("a complete response");
            m3u8_rs::parse_master_playlist_res(&text).expect("a playlist").variants.remove(0)
        }
    };
    let variant = fetch_variant(&nginx).await;
    let media = media(&manager, "cam").await;
    let codecs = format!("{},mp4a.40.2", media["video_codec"].as_str().expect("a codec"));
    assert_eq!(variant.codecs, Some(codecs));
    assert_eq!(variant.resolution.map(|size| (size.width, size.height)), Some((640, 360)));
    play(&nginx.url("/streams/cam/index.m3u8"), 3).await;
    let bit_rate = media["bit_rate"].as_u64().expect("a rate");
    // The bandwidth and the frame rate are imprecise while the stream has only its short first segment.
    until("the playlist has precise rates", || async {
        let variant = fetch_variant(&nginx).await;
        let is_near = (bit_rate / 2..bit_rate * 2).contains(&variant.bandwidth);
        is_near && variant.frame_rate == Some(25.0)
    })
    .await;
    // A request for the multivariant playlist starts a stopped stream, like a request for the media playlist.
    manager.stop_stream("cam").await;
    assert_eq!(fetch_variant(&nginx).await.uri, "stream.m3u8");
    assert_eq!(manager.status("cam").await["state"], "live");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_shows_the_keyframe_interval_and_the_start_duration() {
    let (_camera, manager, _nginx) = start_live("h264", &[]).await;
    let media = eventually("the status has the keyframe interval", || async {
        let media = media(&manager, "cam").await;
        media["gop_seconds"].is_number().then_some(media)
    })
    .await;
    // A busy machine makes the camera leave out frames.
    assert!((1.9..2.5).contains(&media["gop_seconds"].as_f64().expect("seconds")), "{media}");
    let seconds = manager.status("cam").await["start_seconds"].as_f64().expect("seconds");
    assert!((0.1..10.0).contains(&seconds), "{seconds}");
}
