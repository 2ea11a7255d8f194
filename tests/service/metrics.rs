//! What an operator sees: metrics, what FFmpeg uses and says, and what keeps the service from its
//! work.

use std::process::{Command, Stdio};

use reqwest::Method;
use serde_json::json;
use tempfile::TempDir;

use crate::support::{
    Camera, Manager, Metrics, PATIENCE, Playlist, Process, eventually, lines_of, on_air, until,
};

const CAM: &str = r#"camera="cam",profile="main""#;

fn of(metric: &str, labels: &str) -> String {
    format!("stream_manager_{metric}{{{labels}}}")
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_follow_a_start_a_refusal_and_an_interruption() {
    let (mut camera, manager, nginx) = on_air("h264", &[]).await;
    let password = camera.password().to_owned();
    let metrics = Metrics::of(&manager).await;
    assert_eq!(metrics.value("stream_manager_starts_total"), Some(1.0));
    assert_eq!(metrics.value("stream_manager_start_duration_seconds_count"), Some(1.0));
    let took = metrics.value("stream_manager_start_duration_seconds_sum").expect("a sum");
    assert!(took > 0.05 && took < PATIENCE.as_secs_f64(), "{took} s");
    assert_eq!(metrics.value(&of("streams", r#"state="live""#)), Some(1.0));
    assert_eq!(metrics.value(&of("stream_live", CAM)), Some(1.0));
    assert!(metrics.value("stream_manager_fragments_packaged_total") >= Some(2.0));

    // A viewer, and media that goes on.
    Playlist::fetch(&nginx, "cam").await.expect("a playlist");
    let before = metrics.value("stream_manager_media_packaged_bytes_total").expect("bytes");
    let metrics = Metrics::until(&manager, "media goes on", |metrics| {
        metrics.value("stream_manager_media_packaged_bytes_total") > Some(before + 10_000.0)
    })
    .await;
    assert_eq!(metrics.value("stream_manager_viewers"), Some(1.0));
    assert_eq!(metrics.value(&of("stream_viewers", CAM)), Some(1.0));

    // A wrong password fails, and is a stream with that state for as long as it is kept.
    let wrong = camera.link("private").replace("rtsp://", &format!("rtsp://viewer:x{password}@"));
    assert_eq!(manager.start_stream("locked", &wrong).await.status, 502);
    let metrics = Metrics::of(&manager).await;
    let failures = |code: &str| of("start_failures_total", &format!(r#"code="{code}""#));
    assert_eq!(metrics.value(&failures("source_unauthorized")), Some(1.0));
    assert_eq!(metrics.value(&failures("source_timeout")), Some(0.0));
    assert_eq!(metrics.value("stream_manager_starts_total"), Some(2.0));
    assert_eq!(metrics.value("stream_manager_start_duration_seconds_count"), Some(1.0));
    assert_eq!(metrics.value(&of("streams", r#"state="failed""#)), Some(1.0));
    assert_eq!(metrics.value(&of("stream_live", r#"camera="locked",profile="main""#)), Some(0.0));

    // A camera that dies and returns.
    camera.kill();
    Metrics::until(&manager, "the stream is interrupted", |metrics| {
        metrics.value(&of("stream_live", CAM)) == Some(0.0)
    })
    .await;
    camera.come_back().await;
    let metrics = Metrics::until(&manager, "the stream is live again", |metrics| {
        metrics.value(&of("stream_live", CAM)) == Some(1.0)
    })
    .await;
    let restarts = of("restarts_total", r#"code="source_unreachable""#);
    assert!(metrics.value(&restarts) >= Some(1.0), "{metrics}");
    assert_eq!(metrics.value(&of("stream_restarts_total", CAM)), metrics.value(&restarts));
    assert_eq!(metrics.value("stream_manager_starts_total"), Some(2.0), "a restart is no start");
    assert_eq!(metrics.value("stream_manager_stalls_total"), Some(0.0), "{metrics}");

    // With the streams their labels go; what happened stays.
    for id in ["cam", "locked"] {
        assert_eq!(manager.stop_stream(id).await.status, 200);
    }
    let metrics = Metrics::of(&manager).await;
    assert!(!metrics.to_string().contains("camera="), "{metrics}");
    assert_eq!(metrics.value(&failures("source_unauthorized")), Some(1.0));
    assert!(metrics.value(&restarts) >= Some(1.0));
    assert_eq!(metrics.value(&of("streams", r#"state="live""#)), Some(0.0));
    assert!(!metrics.to_string().contains(&password), "a metric shows the password");
    assert!(!manager.log().contains(&password), "the log shows the password");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_that_stands_still_is_counted() {
    let (camera, manager, _nginx) = on_air("h264", &[("STALE_TIMEOUT_SECONDS", "2")]).await;
    camera.freeze();
    Metrics::until(&manager, "the freeze is counted", |metrics| {
        metrics.value("stream_manager_stalls_total") == Some(1.0)
    })
    .await;
    camera.thaw();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ffmpeg_uses_is_in_status_and_metrics() {
    let (mut camera, manager, _nginx) = on_air("h264", &[]).await;
    let status = eventually("FFmpeg was looked at", || async {
        let status = manager.status("cam").await;
        status["process"].is_object().then_some(status)
    })
    .await;
    let memory = status["process"]["memory_bytes"].as_f64().expect("bytes");
    assert!(memory > 500_000.0 && memory < 200_000_000.0, "{status}");
    let percent = status["process"]["cpu_percent"].as_f64().expect("a share");
    assert!(percent > 0.0 && percent < 400.0, "{status}");
    let metrics = Metrics::of(&manager).await;
    let cpu = metrics.value(&of("stream_ffmpeg_cpu_seconds_total", CAM)).expect("seconds");
    assert!(cpu > 0.001 && cpu < 20.0, "{cpu} s");
    assert!(metrics.value(&of("stream_ffmpeg_memory_bytes", CAM)) > Some(500_000.0));
    assert!(metrics.value("process_cpu_seconds_total") > Some(0.0));
    assert!(metrics.value("process_resident_memory_bytes") > Some(2_000_000.0));
    assert!(metrics.value("process_open_fds") > Some(5.0));
    assert!(metrics.value("process_start_time_seconds") > Some(1_700_000_000.0));

    // It is that of the FFmpeg that runs, or none.
    camera.kill();
    manager.reaches("cam", "backoff").await;
    until("nothing is known of an FFmpeg that has ended", || async {
        let status = manager.status("cam").await;
        status["state"] == "backoff" && status["process"].is_null()
    })
    .await;
    let metrics = Metrics::until(&manager, "nor in the metrics", |metrics| {
        metrics.value(&of("stream_live", CAM)) == Some(0.0)
            && metrics.value(&of("stream_ffmpeg_memory_bytes", CAM)).is_none()
    })
    .await;
    assert!(metrics.value("process_cpu_seconds_total") > Some(0.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_counted_by_route_and_those_that_wait_apart() {
    let (_camera, manager, nginx) = on_air("h264", &[]).await;
    let of_route = |metric: &str, labels: &str| of(&format!("http_{metric}"), labels);
    assert_eq!(manager.get("/api/cameras/nobody").await.status, 404);
    assert_eq!(manager.get("/wp-login.php").await.status, 404);
    // A reload that waits for the next part, over nginx.
    let playlist = Playlist::fetch(&nginx, "cam").await.expect("a playlist");
    let next = format!("/streams/cam/stream.m3u8?_HLS_msn={}", playlist.last() + 1);
    assert_eq!(nginx.get(&next).await.status(), 200);
    let segment = format!("/streams/cam/{}.m4s", playlist.last());
    assert_eq!(nginx.get(&segment).await.status(), 200);
    let metrics = Metrics::of(&manager).await;
    for (labels, count) in [
        (r#"route="/api/cameras/{id}",method="GET",status="4xx""#, 1.0),
        (r#"route="/api/stream/start",method="POST",status="2xx""#, 1.0),
        (r#"route="other",method="other",status="4xx""#, 1.0),
        (r#"route="/streams/{id}/stream.m3u8",method="GET",status="2xx""#, 2.0),
        (r#"route="/internal/viewer",method="GET",status="2xx""#, 1.0),
    ] {
        let counted = metrics.value(&of_route("requests_total", labels));
        assert_eq!(counted, Some(count), "{labels}");
    }
    let waited = r#"route="/streams/{id}/stream.m3u8""#;
    let long = metrics.value(&of_route("waiting_request_duration_seconds_sum", waited));
    assert!(long > Some(0.05), "the reload waited for {long:?} s");
    assert_eq!(metrics.value(&of_route("request_duration_seconds_count", waited)), None);
    let viewer = r#"route="/internal/viewer""#;
    assert_eq!(metrics.value(&of_route("request_duration_seconds_count", viewer)), Some(1.0));
    let text = metrics.to_string();
    assert!(!text.contains("/nobody") && !text.contains("wp-login"), "{text}");
    // A Prometheus asks the manager itself.
    assert_eq!(nginx.get("/metrics").await.status(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_a_stream_has_what_ffmpeg_said_over_all_generations() {
    let mut camera = Camera::start().await;
    let manager = Manager::start(&[]).await;
    let link = camera.private_link("private");
    let body = json!({ "rtsp_link": link, "rtsp_link_sub": camera.link("nothing-here") });
    assert_eq!(manager.put("/api/cameras/cam", &body).await.status, 201);
    let lines = async |query: &str| {
        let answer = manager.get(&format!("/api/streams/cam/log{query}")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.body["indicator_id"], "cam");
        answer.body["lines"].as_array().expect("lines").clone()
    };
    assert_eq!(lines("").await.len(), 0, "there is no stream yet");
    manager.play("cam", &link).await;
    let first = lines("").await;
    assert!(first.iter().any(|line| line["text"].as_str().expect("text").contains("Video: h264")));
    let generation = first[0]["generation"].as_u64().expect("a number");
    assert!(first[0]["at"].as_str().expect("a time").ends_with('Z'), "{first:?}");

    camera.kill();
    manager.reaches("cam", "backoff").await;
    camera.come_back().await;
    manager.reaches("cam", "live").await;
    let both = lines("?profile=main").await;
    assert_eq!(both[..first.len()], first[..], "what was said before is kept");
    let last = both.last().expect("a line")["generation"].as_u64().expect("a number");
    assert!(last > generation, "{both:?}");

    // The sub stream has a log of its own, also when it failed.
    let sub = json!({ "profile": "sub" });
    let sub = manager.post("/api/cameras/cam/stream/start", &sub).await;
    assert_eq!(sub.body["code"], "source_not_found");
    let sub = lines("?profile=sub").await;
    assert!(sub.iter().any(|line| line["text"].as_str().expect("text").contains("404 Not Found")));
    assert_eq!(manager.get("/api/streams/nobody/log").await.status, 404);
    assert_eq!(manager.get("/api/streams/cam/log?profile=third").await.status, 400);
    manager.stop_stream("cam").await;
    assert_eq!(lines("").await.len(), 0, "it goes with the stream");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_form_of_a_password_is_in_log_or_metrics() {
    let manager = Manager::start(&[("START_TIMEOUT_SECONDS", "2")]).await;
    let host = "127.0.0.1:1";
    // Links, and what must not be seen of them.
    let table: [(String, &[&str]); 5] = [
        (format!("rtsp://viewer:plain-pw-17@{host}/x"), &["plain-pw-17"]),
        (format!("rtsp://viewer:coded%40pw%2F17@{host}/x"), &["coded%40pw%2F17", "coded@pw/17"]),
        (format!("rtsp://{host}/x?user=me&password=query-pw-17"), &["query-pw-17"]),
        (format!("rtsp://{host}/x?pwd=a<b%20query17"), &["b%20query17", "b query17"]),
        (format!("rtsp://{host}/user=me&password=path-pw-17&channel=1"), &["path-pw-17"]),
    ];
    for (number, (link, secrets)) in table.iter().enumerate() {
        // A name is replaced by its address, so that the link is another one for FFmpeg.
        for (id, link) in [
            (format!("a{number}"), link.clone()),
            (format!("n{number}"), link.replace("127.0.0.1", "localhost")),
        ] {
            assert_eq!(manager.start_stream(&id, &link).await.body["code"], "source_unreachable");
            let log = manager.get(&format!("/api/streams/{id}/log")).await.body.to_string();
            assert!(log.contains("Connection refused"), "{log}");
            assert!(log.contains("Impossible to open"), "FFmpeg names the link no more: {log}");
            for secret in *secrets {
                assert!(!log.contains(secret), "{link}: {log}");
            }
        }
    }
    let shown = format!("{} {}", Metrics::of(&manager).await, manager.log());
    for secret in table.iter().flat_map(|(_, secrets)| *secrets) {
        assert!(!shown.contains(secret), "{secret}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_names_all_that_is_wrong_at_once() {
    let dir = TempDir::new().expect("a directory");
    let ffmpeg = dir.path().join("ffmpeg");
    std::os::unix::fs::symlink("/bin/true", &ffmpeg).expect("a link");
    let database = dir.path().join("elsewhere.db");
    let url = format!("sqlite:{}", database.display());
    let set = [("FFMPEG_BIN", ffmpeg.to_str().expect("a path")), ("DATABASE_URL", &url)];
    let manager = Manager::start(&set).await;
    let metrics = Metrics::of(&manager).await;
    assert_eq!(manager.get("/readyz").await.status, 200);
    for check in ["stream_dir", "ffmpeg", "database"] {
        let ready = of("ready", &format!(r#"check="{check}""#));
        assert_eq!(metrics.value(&ready), Some(1.0), "{metrics}");
    }

    std::fs::remove_file(&ffmpeg).expect("to remove it");
    std::fs::rename(&database, dir.path().join("away.db")).expect("to rename it");
    let streams = manager.stream_dir();
    std::fs::rename(&streams, streams.with_extension("away")).expect("to rename it");
    // A good result holds for 10 s.
    let answer = eventually("the manager is not ready", || async {
        let answer = manager.get("/readyz").await;
        (answer.status == 503).then_some(answer)
    })
    .await;
    assert_eq!(answer.body["code"], "storage_unavailable", "{answer:?}");
    let problems = answer.body["problems"].as_array().expect("problems");
    let named: Vec<_> = problems.iter().map(|one| (&one["check"], &one["code"])).collect();
    let expected = json!(["stream_dir", "ffmpeg", "database"]);
    let codes = json!(["storage_unavailable", "ffmpeg_unavailable", "storage_unavailable"]);
    let all = expected.as_array().expect("checks").iter().zip(codes.as_array().expect("codes"));
    assert_eq!(named, all.collect::<Vec<_>>(), "{answer:?}");
    for detail in ["STREAM_DIR", "FFmpeg (", "elsewhere.db"] {
        assert!(answer.body["detail"].as_str().expect("words").contains(detail), "{answer:?}");
    }
    let metrics = Metrics::of(&manager).await;
    assert_eq!(metrics.value(&of("ready", r#"check="ffmpeg""#)), Some(0.0), "{metrics}");

    // What is mended is named no more.
    std::os::unix::fs::symlink("/bin/true", &ffmpeg).expect("a link");
    std::fs::rename(dir.path().join("away.db"), &database).expect("to rename it");
    std::fs::create_dir(&streams).expect("to make it again");
    until("the manager is ready again", || async { manager.get("/readyz").await.status == 200 })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_few_file_descriptors_are_raised_or_told() {
    // The limit that may be raised to; whether that is enough for MAX_STREAMS=1000.
    for (hard, is_enough) in [("20000", true), ("1000", false)] {
        let dir = TempDir::new().expect("a directory");
        let mut process = Process::start("prlimit", |command: &mut Command| {
            command.args([&format!("--nofile=300:{hard}"), env!("CARGO_BIN_EXE_stream-manager")]);
            Manager::command(command, dir.path(), &[("LOG_FORMAT", "text")]);
            command.stderr(Stdio::piped());
        });
        let log = lines_of(process.child().stderr.take().expect("a pipe"));
        until("the manager listens", || async {
            log.lock().expect("log").iter().any(|line| line.contains("listening"))
        })
        .await;
        let log = log.lock().expect("log").join("\n");
        assert_eq!(!log.contains("MAX_STREAMS=1000 needs"), is_enough, "{log}");
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", process.id()));
        let limits = limits.expect("limits");
        let open = limits.lines().find(|line| line.starts_with("Max open files")).expect("a line");
        let soft: u64 = open.split_whitespace().nth(3).expect("a limit").parse().expect("a number");
        assert_eq!(soft >= 6000, is_enough, "{limits}");
        assert!(is_enough || soft == 1000, "{limits}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_forms_of_the_text_are_served() {
    let manager = Manager::start(&[]).await;
    let ask = async |accept: &str| {
        let request = manager.client().request(Method::GET, manager.url("/metrics"));
        let answer = request.header("accept", accept).send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        let content_type = answer.headers()["content-type"].to_str().expect("a type").to_owned();
        (content_type, answer.text().await.expect("a text"))
    };
    let (plain_type, plain) = ask("*/*").await;
    let (open_type, open) = ask("application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1").await;
    assert!(plain_type.starts_with("text/plain; version=0.0.4"), "{plain_type}");
    assert!(open_type.starts_with("application/openmetrics-text; version=1.0.0"), "{open_type}");
    assert!(open.ends_with("# EOF\n") && !plain.contains("# EOF"));
    assert!(plain.contains("# TYPE stream_manager_starts_total counter\n"));
    assert!(open.contains("# TYPE stream_manager_starts counter\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_nearly_full_is_told_once_and_a_full_one_is_not_ready() {
    const MIB: usize = 1024 * 1024;
    let (manager, disk) = Manager::start_with_disk("200m", &[("STREAM_DIR", "disk")]).await;
    assert_eq!(manager.get("/readyz").await.status, 200);
    // More than one stream needs, and less than a tenth.
    std::fs::write(disk.root().join("filler"), vec![1; 182 * MIB]).expect("room");
    let warnings = || manager.log().matches("STREAM_DIR is nearly full").count();
    // A good result holds for 10 s.
    until("it is told", || async {
        assert_eq!(manager.get("/readyz").await.status, 200);
        warnings() > 0
    })
    .await;
    let metrics = Metrics::of(&manager).await;
    let free = metrics.value("stream_manager_stream_dir_available_bytes").expect("bytes");
    assert!(free > 16e6 && free < 20e6, "{free} bytes are free");
    disk.fill();
    until("it is not ready", || async { manager.get("/readyz").await.status == 503 }).await;
    let answer = manager.get("/readyz").await;
    assert_eq!(answer.body["problems"][0]["check"], "stream_dir", "{answer:?}");
    assert_eq!(warnings(), 1);
}
