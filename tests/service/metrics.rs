//! Metrics, FFmpeg's resource usage and log, and readiness, as operators observe them.

use std::process::{Command, Stdio};

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    Camera, Manager, Metrics, Playlist, Process, TIMEOUT, eventually, lines_of, project_dir,
    start_live, until,
};

/// Labels of the main stream of camera "cam".
const CAM: &str = r#"camera="cam",profile="main""#;

/// Returns the full name of a sample.
fn sample(metric: &str, labels: &str) -> String {
    format!("stream_manager_{metric}{{{labels}}}")
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_reflect_a_start_a_failed_start_and_an_interruption() {
    let (mut camera, manager, nginx) = start_live("h264", &[]).await;
    let password = camera.password().to_owned();
    let metrics = Metrics::fetch(&manager).await;
    assert_eq!(metrics.value("stream_manager_starts_total"), Some(1.0));
    assert_eq!(metrics.value("stream_manager_start_duration_seconds_count"), Some(1.0));
    let duration = metrics.value("stream_manager_start_duration_seconds_sum").expect("a sum");
    assert!(duration > 0.05 && duration < TIMEOUT.as_secs_f64(), "{duration} s");
    assert_eq!(metrics.value(&sample("streams", r#"state="live""#)), Some(1.0));
    assert_eq!(metrics.value(&sample("stream_live", CAM)), Some(1.0));
    assert!(metrics.value("stream_manager_fragments_packaged_total") >= Some(2.0));

    // A viewer is counted, and so is the media that the stream continues to produce.
    Playlist::fetch(&nginx, "cam").await.expect("a playlist");
    let before = metrics.value("stream_manager_media_packaged_bytes_total").expect("bytes");
    let metrics = Metrics::until(&manager, "the manager has packaged another 10 kB", |metrics| {
        metrics.value("stream_manager_media_packaged_bytes_total") > Some(before + 10_000.0)
    })
    .await;
    assert_eq!(metrics.value("stream_manager_viewers"), Some(1.0));
    assert_eq!(metrics.value(&sample("stream_viewers", CAM)), Some(1.0));

    // With a wrong password, the start fails, and the stream exists in state "failed".
    let wrong = camera.link("private").replace("rtsp://", &format!("rtsp://viewer:x{password}@"));
    assert_eq!(manager.start_stream("locked", &wrong).await.status, 502);
    let metrics = Metrics::fetch(&manager).await;
    let failures = |code: &str| sample("start_failures_total", &format!(r#"code="{code}""#));
    assert_eq!(metrics.value(&failures("source_unauthorized")), Some(1.0));
    assert_eq!(metrics.value(&failures("source_timeout")), Some(0.0));
    assert_eq!(metrics.value("stream_manager_starts_total"), Some(2.0));
    assert_eq!(metrics.value("stream_manager_start_duration_seconds_count"), Some(1.0));
    assert_eq!(metrics.value(&sample("streams", r#"state="failed""#)), Some(1.0));
    assert_eq!(
        metrics.value(&sample("stream_live", r#"camera="locked",profile="main""#)),
        Some(0.0)
    );

    // The camera dies and returns.
    camera.kill();
    Metrics::until(&manager, "the stream is interrupted", |metrics| {
        metrics.value(&sample("stream_live", CAM)) == Some(0.0)
    })
    .await;
    camera.restart().await;
    let metrics = Metrics::until(&manager, "the stream is live again", |metrics| {
        metrics.value(&sample("stream_live", CAM)) == Some(1.0)
    })
    .await;
    let restarts = sample("restarts_total", r#"code="source_unreachable""#);
    assert!(metrics.value(&restarts) >= Some(1.0), "{metrics}");
    assert_eq!(metrics.value(&sample("stream_restarts_total", CAM)), metrics.value(&restarts));
    assert_eq!(
        metrics.value("stream_manager_starts_total"),
        Some(2.0),
        "a restart was counted as a start"
    );
    assert_eq!(metrics.value("stream_manager_stalls_total"), Some(0.0), "{metrics}");

    // After the streams have ended, their labels disappear, but the counters remain.
    for id in ["cam", "locked"] {
        assert_eq!(manager.stop_stream(id).await.status, 200);
    }
    let metrics = Metrics::fetch(&manager).await;
    assert!(!metrics.to_string().contains("camera="), "{metrics}");
    assert_eq!(metrics.value(&failures("source_unauthorized")), Some(1.0));
    assert!(metrics.value(&restarts) >= Some(1.0));
    assert_eq!(metrics.value(&sample("streams", r#"state="live""#)), Some(0.0));
    assert!(!metrics.to_string().contains(&password), "a metric shows the password");
    assert!(!manager.log().contains(&password), "the log shows the password");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_camera_is_counted_as_a_stall() {
    let (camera, manager, _nginx) = start_live("h264", &[("STALE_TIMEOUT_SECONDS", "2")]).await;
    camera.freeze();
    Metrics::until(&manager, "the stall is counted", |metrics| {
        metrics.value("stream_manager_stalls_total") == Some(1.0)
    })
    .await;
    camera.thaw();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_and_the_metrics_show_the_resource_usage_of_ffmpeg() {
    let (mut camera, manager, _nginx) = start_live("h264", &[]).await;
    let status = eventually("the status has the usage of FFmpeg", || async {
        let status = manager.status("cam").await;
        status["process"].is_object().then_some(status)
    })
    .await;
    let memory = status["process"]["memory_bytes"].as_f64().expect("bytes");
    assert!(memory > 500_000.0 && memory < 200_000_000.0, "{status}");
    let percent = status["process"]["cpu_percent"].as_f64().expect("a share");
    assert!(percent > 0.0 && percent < 400.0, "{status}");
    let metrics = Metrics::fetch(&manager).await;
    let cpu = metrics.value(&sample("stream_ffmpeg_cpu_seconds_total", CAM)).expect("seconds");
    assert!(cpu > 0.001 && cpu < 20.0, "{cpu} s");
    assert!(metrics.value(&sample("stream_ffmpeg_memory_bytes", CAM)) > Some(500_000.0));
    assert!(metrics.value("process_cpu_seconds_total") > Some(0.0));
    assert!(metrics.value("process_resident_memory_bytes") > Some(2_000_000.0));
    assert!(metrics.value("process_open_fds") > Some(5.0));
    assert!(metrics.value("process_start_time_seconds") > Some(1_700_000_000.0));

    // Without a running FFmpeg, there is no usage.
    camera.kill();
    manager.reaches("cam", "backoff").await;
    until("the status has no usage", || async {
        let status = manager.status("cam").await;
        status["state"] == "backoff" && status["process"].is_null()
    })
    .await;
    let metrics = Metrics::until(&manager, "the metrics have no usage", |metrics| {
        metrics.value(&sample("stream_live", CAM)) == Some(0.0)
            && metrics.value(&sample("stream_ffmpeg_memory_bytes", CAM)).is_none()
    })
    .await;
    assert!(metrics.value("process_cpu_seconds_total") > Some(0.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_counted_by_route_and_waiting_requests_are_timed_separately() {
    let (_camera, manager, nginx) = start_live("h264", &[]).await;
    let http_sample = |metric: &str, labels: &str| sample(&format!("http_{metric}"), labels);
    assert_eq!(manager.get("/api/cameras/no-such-camera").await.status, 404);
    assert_eq!(manager.get("/wp-login.php").await.status, 404);
    // Request the playlist, the next playlist with a blocking reload, and a segment, all through
    // nginx.
    let playlist = Playlist::fetch(&nginx, "cam").await.expect("a playlist");
    let next = format!("/streams/cam/stream.m3u8?_HLS_msn={}", playlist.last() + 1);
    assert_eq!(nginx.get(&next).await.status(), 200);
    let segment = format!("/streams/cam/{}.m4s", playlist.last());
    assert_eq!(nginx.get(&segment).await.status(), 200);
    let metrics = Metrics::fetch(&manager).await;
    for (labels, count) in [
        (r#"route="/api/cameras/{id}",method="GET",status="4xx""#, 1.0),
        (r#"route="/api/stream/start",method="POST",status="2xx""#, 1.0),
        (r#"route="other",method="other",status="4xx""#, 1.0),
        (r#"route="/streams/{id}/stream.m3u8",method="GET",status="2xx""#, 2.0),
        (r#"route="/internal/viewer",method="GET",status="2xx""#, 1.0),
    ] {
        let counted = metrics.value(&http_sample("requests_total", labels));
        assert_eq!(counted, Some(count), "{labels}");
    }
    let playlist = r#"route="/streams/{id}/stream.m3u8""#;
    let seconds = metrics.value(&http_sample("waiting_request_duration_seconds_sum", playlist));
    assert!(seconds > Some(0.05), "the reload waited for {seconds:?} s");
    assert_eq!(metrics.value(&http_sample("request_duration_seconds_count", playlist)), None);
    let viewer = r#"route="/internal/viewer""#;
    assert_eq!(metrics.value(&http_sample("request_duration_seconds_count", viewer)), Some(1.0));
    let text = metrics.to_string();
    assert!(!text.contains("no-such-camera") && !text.contains("wp-login"), "{text}");
    // Prometheus scrapes the manager directly, so nginx does not expose the metrics.
    assert_eq!(nginx.get("/metrics").await.status(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_a_stream_has_ffmpegs_output_from_all_epochs() {
    let mut camera = Camera::start().await;
    let manager = Manager::start(&[]).await;
    let link = camera.link_with_credentials("private");
    let body = json!({ "rtsp_link": link, "rtsp_link_sub": camera.link("nothing-here") });
    assert_eq!(manager.put("/api/cameras/cam", &body).await.status, 201);
    let lines = async |query: &str| {
        let response = manager.get(&format!("/api/streams/cam/log{query}")).await;
        assert_eq!(response.status, 200, "{response:?}");
        assert_eq!(response.body["indicator_id"], "cam");
        response.body["lines"].as_array().expect("lines").clone()
    };
    assert_eq!(lines("").await.len(), 0, "the log has lines before the start");
    manager.play("cam", &link).await;
    let first = lines("").await;
    assert!(first.iter().any(|line| line["text"].as_str().expect("text").contains("Video: h264")));
    let generation = first[0]["generation"].as_u64().expect("a number");
    assert!(first[0]["at"].as_str().expect("a time").ends_with('Z'), "{first:?}");

    camera.kill();
    manager.reaches("cam", "backoff").await;
    camera.restart().await;
    manager.reaches("cam", "live").await;
    let both = lines("?profile=main").await;
    assert_eq!(both[..first.len()], first[..], "the lines of the first epoch are lost");
    let last = both.last().expect("a line")["generation"].as_u64().expect("a number");
    assert!(last > generation, "{both:?}");

    // The sub stream has its own log, even if its start failed.
    let sub = json!({ "profile": "sub" });
    let sub = manager.post("/api/cameras/cam/stream/start", &sub).await;
    assert_eq!(sub.body["code"], "source_not_found");
    let sub = lines("?profile=sub").await;
    assert!(sub.iter().any(|line| line["text"].as_str().expect("text").contains("404 Not Found")));
    assert_eq!(manager.get("/api/streams/no-such-camera/log").await.status, 404);
    assert_eq!(manager.get("/api/streams/cam/log?profile=third").await.status, 400);
    manager.stop_stream("cam").await;
    assert_eq!(lines("").await.len(), 0, "the log still exists after the end of the stream");
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_are_hidden_in_logs_and_metrics_in_every_form() {
    let manager = Manager::start(&[("START_TIMEOUT_SECONDS", "2")]).await;
    let host = "127.0.0.1:1";
    // Links, and the secrets in them that must not be shown.
    let table: [(String, &[&str]); 5] = [
        (format!("rtsp://viewer:plain-pw-17@{host}/x"), &["plain-pw-17"]),
        (format!("rtsp://viewer:coded%40pw%2F17@{host}/x"), &["coded%40pw%2F17", "coded@pw/17"]),
        (format!("rtsp://{host}/x?user=me&password=query-pw-17"), &["query-pw-17"]),
        (format!("rtsp://{host}/x?pwd=a<b%20query17"), &["b%20query17", "b query17"]),
        (format!("rtsp://{host}/user=me&password=path-pw-17&channel=1"), &["path-pw-17"]),
    ];
    for (number, (link, secrets)) in table.iter().enumerate() {
        // The manager resolves "localhost", so the link that FFmpeg gets differs from the caller's.
        for (id, link) in [
            (format!("a{number}"), link.clone()),
            (format!("n{number}"), link.replace("127.0.0.1", "localhost")),
        ] {
            assert_eq!(manager.start_stream(&id, &link).await.body["code"], "source_unreachable");
            let log = manager.get(&format!("/api/streams/{id}/log")).await.body.to_string();
            assert!(log.contains("Connection refused"), "{log}");
            assert!(log.contains("Impossible to open"), "FFmpeg no longer logs the link: {log}");
            for secret in *secrets {
                assert!(!log.contains(secret), "{link}: {log}");
            }
        }
    }
    let shown = format!("{} {}", Metrics::fetch(&manager).await, manager.log());
    for secret in table.iter().flat_map(|(_, secrets)| *secrets) {
        assert!(!shown.contains(secret), "{secret}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_reports_all_problems_at_once() {
    let dir = TempDir::new().expect("a directory");
    let ffmpeg = dir.path().join("ffmpeg");
    let program = project_dir().join("tests/service/children/exits_with_success");
    std::os::unix::fs::symlink(&program, &ffmpeg).expect("a link");
    let database = dir.path().join("elsewhere.db");
    let url = format!("sqlite:{}", database.display());
    let settings = [("FFMPEG_BIN", ffmpeg.to_str().expect("a path")), ("DATABASE_URL", &url)];
    let manager = Manager::start(&settings).await;
    let metrics = Metrics::fetch(&manager).await;
    assert_eq!(manager.get("/readyz").await.status, 200);
    for check in ["stream_dir", "ffmpeg", "database"] {
        let ready = sample("ready", &format!(r#"check="{check}""#));
        assert_eq!(metrics.value(&ready), Some(1.0), "{metrics}");
    }

    std::fs::remove_file(&ffmpeg).expect("a link");
    std::fs::rename(&database, dir.path().join("away.db")).expect("a database");
    let streams = manager.stream_dir();
    std::fs::rename(&streams, streams.with_extension("away")).expect("a directory");
    // The manager caches a successful check for 10 s.
    let response = eventually("the manager is not ready", || async {
        let response = manager.get("/readyz").await;
        (response.status == 503).then_some(response)
    })
    .await;
    assert_eq!(response.body["code"], "storage_unavailable", "{response:?}");
    let problems = response.body["problems"].as_array().expect("problems");
    let text = |value: &Value| value.as_str().expect("a string").to_owned();
    let problems: Vec<_> =
        problems.iter().map(|problem| (text(&problem["check"]), text(&problem["code"]))).collect();
    let expected = [
        ("stream_dir", "storage_unavailable"),
        ("ffmpeg", "ffmpeg_unavailable"),
        ("database", "storage_unavailable"),
    ];
    assert_eq!(problems, expected.map(|(check, code)| (check.to_owned(), code.to_owned())));
    let detail = text(&response.body["detail"]);
    for name in ["STREAM_DIR", "FFmpeg", "elsewhere.db"] {
        assert!(detail.contains(name), "{detail}");
    }
    let metrics = Metrics::fetch(&manager).await;
    assert_eq!(metrics.value(&sample("ready", r#"check="ffmpeg""#)), Some(0.0), "{metrics}");

    // Fixed problems are no longer reported.
    std::os::unix::fs::symlink(&program, &ffmpeg).expect("a link");
    std::fs::rename(dir.path().join("away.db"), &database).expect("a database");
    std::fs::create_dir(&streams).expect("a directory");
    until("the manager is ready again", || async { manager.get("/readyz").await.status == 200 })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_descriptor_limit_is_raised_or_a_warning_is_logged() {
    // The hard limit, and whether it is high enough for MAX_STREAMS=1000.
    for (hard, is_enough) in [("20000", true), ("1000", false)] {
        let dir = TempDir::new().expect("a directory");
        let mut process = Process::start("prlimit", |command: &mut Command| {
            command.args([&format!("--nofile=300:{hard}"), env!("CARGO_BIN_EXE_stream-manager")]);
            Manager::configure(command, dir.path(), &[("LOG_FORMAT", "text")]);
            command.stderr(Stdio::piped());
        });
        let log = lines_of(process.child().stderr.take().expect("a pipe"));
        until("the manager listens", || async {
            log.lock().expect("log").iter().any(|line| line.contains("listening"))
        })
        .await;
        let log = log.lock().expect("log").join("\n");
        let has_warning =
            log.lines().any(|line| line.contains("WARN") && line.contains("MAX_STREAMS"));
        assert_eq!(!has_warning, is_enough, "{log}");
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", process.pid()));
        let limits = limits.expect("limits");
        let open = limits.lines().find(|line| line.starts_with("Max open files")).expect("a line");
        let soft: u64 = open.split_whitespace().nth(3).expect("a limit").parse().expect("a number");
        assert_eq!(soft >= 6000, is_enough, "{limits}");
        assert!(is_enough || soft == 1000, "{limits}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_served_as_prometheus_text_and_as_openmetrics() {
    let manager = Manager::start(&[]).await;
    let fetch = async |accept: &str| {
        let request = manager.client().request(Method::GET, manager.url("/metrics"));
        let response = request.header("accept", accept).send().await.expect("a response");
        assert_eq!(response.status(), 200);
        let content_type = response.headers()["content-type"].to_str().expect("a type").to_owned();
        (content_type, response.text().await.expect("a string"))
    };
    let (plain_type, plain) = fetch("*/*").await;
    let (open_type, open) =
        fetch("application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1").await;
    assert!(plain_type.starts_with("text/plain; version=0.0.4"), "{plain_type}");
    assert!(open_type.starts_with("application/openmetrics-text; version=1.0.0"), "{open_type}");
    assert!(open.ends_with("# EOF\n") && !plain.contains("# EOF"));
    assert!(plain.contains("# TYPE stream_manager_starts_total counter\n"));
    assert!(open.contains("# TYPE stream_manager_starts counter\n"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "waits 20 s for the manager to check the disk again; ./deploy/test --long runs it"]
async fn a_nearly_full_disk_causes_one_warning_and_with_a_full_disk_the_manager_is_not_ready() {
    const MIB: usize = 1024 * 1024;
    let (manager, disk) = Manager::start_with_disk("200m", &[("STREAM_DIR", "disk")]).await;
    assert_eq!(manager.get("/readyz").await.status, 200);
    // The remaining space is enough for one stream, but less than a tenth of the disk.
    disk.fill_bytes(182 * MIB);
    let warnings = || {
        let lines = manager.log_lines();
        let is_warning =
            |line: &&Value| line["level"] == "WARN" && !line["fields"]["directory"].is_null();
        lines.iter().filter(is_warning).count()
    };
    // The manager caches a successful check for 10 s.
    until("the warning is logged", || async {
        assert_eq!(manager.get("/readyz").await.status, 200);
        warnings() > 0
    })
    .await;
    let metrics = Metrics::fetch(&manager).await;
    let free = metrics.value("stream_manager_stream_dir_available_bytes").expect("bytes");
    assert!(free > 16e6 && free < 20e6, "{free} bytes are free");
    disk.fill();
    until("the manager is not ready", || async { manager.get("/readyz").await.status == 503 })
        .await;
    let response = manager.get("/readyz").await;
    assert_eq!(response.body["problems"][0]["check"], "stream_dir", "{response:?}");
    assert_eq!(warnings(), 1);
}
