//! Video that browsers cannot play. While HLS needs H.264, a single FFmpeg converts the stream's frames for
//! all viewers.

use std::fs;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;
use stream_manager::parts::{NutItem, NutKind, NutReader, TimeBase};
use tokio::process::Command;

use crate::support::{
    Camera, LiveSocket, Manager, Nginx, Playlist, eventually, is_running, play, probe, project_dir,
    send_signal, start_service, until,
};

const FAST: (&str, &str) = ("TRANSCODE_PRESET", "ultrafast");

/// Returns the process IDs of the FFmpegs that convert video.
fn transcoders(manager: &Manager) -> Vec<u32> {
    let converts = |pid: &u32| {
        let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&arguments).contains("libx264")
    };
    manager.ffmpegs().into_iter().filter(converts).collect()
}

/// Returns the resident memory of a process in bytes, without the memory that other processes share with it.
fn private_memory(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/statm")).expect("a running process");
    let pages: Vec<u64> =
        text.split(' ').take(3).map(|number| number.parse().expect("a number")).collect();
    let page_size = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE);
    let page_size = page_size.expect("a setting").expect("a page size");
    (pages[1] - pages[2]) * u64::try_from(page_size).expect("a positive number")
}

/// Starts a stream of `mount` as camera "cam", with the option `video`.
async fn start(manager: &Manager, camera: &Camera, mount: &str, video: &str) {
    let request = json!({ "indicator_id": "cam", "rtsp_link": camera.link(mount), "video": video });
    let response = manager.post("/api/stream/start", &request).await;
    assert_eq!(response.status, 200, "{response:?}\n{}", manager.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_is_read_and_decoded_once_for_all_viewers() {
    let (camera, manager, nginx) = start_service(&[FAST]).await;
    start(&manager, &camera, "hevc", "h264").await;
    let playlist = nginx.playlist("cam");
    tokio::join!(play(&playlist, 4), play(&playlist, 4), play(&playlist, 4));
    assert_eq!(probe(&playlist).await[0]["codec_name"], "h264");
    assert_eq!(camera.plays(), 1);
    assert_eq!((manager.ffmpegs().len(), transcoders(&manager).len()), (2, 1));
    let status = manager.status("cam").await;
    assert_eq!((&status["restarts"], &status["last_error"]), (&json!(0), &json!(null)));
    assert_eq!(status["media"]["transcoded"], true);
    until("both processes have been measured", || async {
        let measured = manager.status("cam").await["process"]["memory_bytes"].as_u64();
        let memory: Vec<u64> = manager.ffmpegs().into_iter().map(private_memory).collect();
        let smallest = memory.iter().min().expect("two processes");
        measured.is_some_and(|sum| sum.abs_diff(memory.iter().sum()) < smallest / 2)
    })
    .await;
    manager.stop_stream("cam").await;
    assert_eq!(manager.ffmpegs(), [0; 0], "a process is still running");
}

#[tokio::test(flavor = "multi_thread")]
async fn h264_that_browsers_cannot_decode_is_converted() {
    let (camera, manager, nginx) = start_service(&[FAST]).await;
    for mount in ["h264-10bit", "h264-422"] {
        start(&manager, &camera, mount, "auto").await;
        let stream = probe(&nginx.playlist("cam")).await.remove(0);
        assert_eq!(
            (&stream["codec_name"], &stream["pix_fmt"]),
            (&json!("h264"), &json!("yuv420p")),
            "{mount}"
        );
        assert_eq!(manager.status("cam").await["media"]["transcoded"], true, "{mount}");
        play(&nginx.playlist("cam"), 3).await;
        manager.stop_stream("cam").await;
        start(&manager, &camera, mount, "copy").await;
        assert_eq!(manager.status("cam").await["media"]["transcoded"], false, "{mount}");
        assert_eq!(transcoders(&manager), [0; 0]);
        manager.stop_stream("cam").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_frames_of_motion_jpeg_and_of_h264_with_b_frames_are_converted() {
    let (camera, manager, nginx) = start_service(&[FAST]).await;
    for mount in ["mjpeg", "h264-bframes"] {
        start(&manager, &camera, mount, "h264").await;
        play(&nginx.playlist("cam"), 6).await;
        let status = manager.status("cam").await;
        assert_eq!(status["media"]["transcoded"], true, "{mount}");
        let rate = status["media"]["frame_rate"].as_f64().expect("a rate");
        assert!((24.0..26.0).contains(&rate), "{mount}: {rate}");
        manager.stop_stream("cam").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_socket_stays_open_when_the_transcoder_is_killed() {
    let (camera, manager, _nginx) = start_service(&[FAST]).await;
    start(&manager, &camera, "hevc", "auto").await;
    let mut socket = LiveSocket::watch(manager.address(), "cam").await;
    socket.next_frame().await;
    send_signal(transcoders(&manager)[0], Signal::SIGKILL);
    let away = socket.next_text().await;
    assert_eq!((&away["type"], &away["state"]), (&json!("state"), &json!("reconnecting")));
    let mut next = away;
    while next["state"] != "live" {
        next = socket.next_text().await;
        assert_ne!(next["type"], "end", "{next}");
    }
    socket.next_frame().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_transcoder_is_started_again_and_the_epoch_continues() {
    let (camera, manager, nginx) = start_service(&[FAST]).await;
    start(&manager, &camera, "hevc", "auto").await;
    let before = manager.status("cam").await;
    let killed = transcoders(&manager)[0];
    send_signal(killed, Signal::SIGKILL);
    until("another transcoder runs", || async {
        !is_running(killed) && transcoders(&manager).len() == 1
    })
    .await;
    let last = Playlist::fetch(&nginx, "cam").await.expect("a playlist").last();
    until("the playlist continues", || async {
        Playlist::fetch(&nginx, "cam").await.is_some_and(|now| now.last() > last + 2)
    })
    .await;
    let status = manager.status("cam").await;
    assert_eq!(status["generation"], before["generation"], "{status}");
    assert_eq!((&status["state"], &status["restarts"]), (&json!("live"), &json!(0)));
    assert_eq!(status["last_error"]["code"], "ffmpeg_unavailable", "{status}");
    assert_eq!(camera.plays(), 1);
    manager.stop_stream("cam").await;
    assert_eq!(manager.ffmpegs(), [0; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_transcoder_runs_only_while_hls_is_used() {
    let short = [FAST, ("CLEANUP_DELAY_SECONDS", "2"), ("CLEANUP_INTERVAL_SECONDS", "1")];
    let (camera, manager, nginx) = start_service(&short).await;
    let kept = json!({ "rtsp_link": camera.link("hevc"), "keep": "always" });
    assert_eq!(manager.put("/api/cameras/cam", &kept).await.status, 201);
    manager.reaches("cam", "live").await;
    assert_eq!((manager.ffmpegs().len(), transcoders(&manager).len()), (1, 0));
    for _ in 0..2 {
        play(&nginx.playlist("cam"), 2).await;
        assert_eq!(transcoders(&manager).len(), 1);
        until("only one FFmpeg is left", || async { manager.ffmpegs().len() == 1 }).await;
        assert_eq!((transcoders(&manager).len(), camera.plays()), (0, 1));
        assert_eq!(manager.status("cam").await["state"], "live");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_encoder_is_reported() {
    let camera = Camera::start().await;
    let child = project_dir().join("tests/service/children/has_no_encoder");
    let manager = Manager::start(&[("FFMPEG_BIN", child.to_str().expect("a path"))]).await;
    let response = manager.start_stream("cam", &camera.link("hevc")).await;
    assert!(response.status.is_server_error(), "{response:?}");
    assert_eq!(response.body["code"], "ffmpeg_unavailable");
    let detail = response.body["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("libx264-is-missing"), "{detail}");
    until("no FFmpeg is left", || async { manager.ffmpegs().is_empty() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn audio_and_video_are_in_sync_whether_the_video_is_converted_or_not() {
    let (camera, manager, nginx) = start_service(&[FAST]).await;
    for (mount, transcoded) in [("hevc-aac", true), ("h264-aac", false)] {
        start(&manager, &camera, mount, "auto").await;
        let media = manager.status("cam").await["media"].clone();
        let expected = (&json!(transcoded), &json!("mp4a.40.2"));
        assert_eq!((&media["transcoded"], &media["audio_codec"]), expected, "{mount}");
        let offsets = eventually("several beeps are heard", || async {
            let offsets = beeps(&nginx).await;
            (offsets.len() >= 3).then_some(offsets)
        })
        .await;
        assert!(offsets.iter().all(|offset| offset.abs() < 100), "{mount}: {offsets:?}");
        manager.stop_stream("cam").await;
    }
}

/// Plays for five seconds. Returns, for each beep, the time in milliseconds from the nearest full second of
/// the clock in the picture until the beep is heard. The time is negative if the beep is early.
async fn beeps(nginx: &Nginx) -> Vec<i64> {
    let url = nginx.playlist("cam");
    // Crops the picture to the clock at the top, and scales the clock to one pixel per bit.
    let clock = "crop=iw:iw/32:0:0,scale=32:1:flags=area,format=gray";
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-live_start_index", "0", "-i", &url, "-t", "5"]);
    command.args(["-vf", clock, "-c:v", "rawvideo", "-fps_mode", "passthrough"]);
    command.args(["-enc_time_base:v", "1:90000", "-c:a", "pcm_s16le", "-ac", "1"]);
    let output = command.args(["-f", "nut", "-"]).kill_on_drop(true).output();
    let output = tokio::time::timeout(Duration::from_mins(1), output).await.expect("no timeout");
    let mut reader = NutReader::new();
    reader.buffer().extend_from_slice(&output.expect("FFmpeg").stdout);
    let mut streams = Vec::new();
    let (mut clocks, mut onsets, mut quiet_since) = (Vec::new(), Vec::new(), None);
    while let Some(item) = reader.next_item().expect("NUT") {
        match item {
            NutItem::Streams(all) => streams = all,
            NutItem::Packet(packet) => {
                let stream = &streams[packet.stream];
                let begin = milliseconds(packet.pts, stream.time_base);
                let NutKind::Audio { sample_rate: (rate, _), .. } = stream.kind else {
                    let bits = packet.data.iter().map(|luma| u32::from(*luma > 128));
                    clocks.push((begin, bits.fold(0, |clock, bit| clock << 1 | bit)));
                    continue;
                };
                for (index, sample) in (0_i64..).zip(packet.data.chunks_exact(2)) {
                    let at = begin + index * 1000 / i64::from(rate);
                    let is_loud = i16::from_le_bytes([sample[0], sample[1]]).unsigned_abs() > 1000;
                    match quiet_since {
                        Some(since) if is_loud && at - since > 500 => onsets.push(at),
                        _ => {}
                    }
                    if is_loud || quiet_since.is_none() {
                        quiet_since = Some(at);
                    }
                }
            }
        }
    }
    let offset = |onset: &i64| {
        let (shown_at, clock) = clocks.iter().rfind(|(shown_at, _)| shown_at <= onset)?;
        let clock = i64::from(*clock) + onset - shown_at;
        Some((unix_time(clock) + 500).rem_euclid(1000) - 500)
    };
    onsets.iter().filter_map(offset).collect()
}

/// Converts a time of the clock in the picture to the Unix time in milliseconds. The clock shows only the low 32
/// bits of the Unix time.
fn unix_time(clock: i64) -> i64 {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("a time after 1970").as_millis();
    let now = i64::try_from(now).expect("a time before the year 292,000,000");
    clock + ((now - clock) >> 32 << 32)
}

fn milliseconds(ticks: u64, unit: TimeBase) -> i64 {
    let ticks = i64::try_from(ticks).expect("a short time");
    ticks * 1000 * i64::from(unit.numerator()) / i64::from(unit.denominator())
}
