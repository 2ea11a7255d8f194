//! Webhooks about streams: events are sent in order, and signed if there is a secret. Sending never delays a stream.

use std::collections::HashSet;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::support::{Camera, Manager, Receiver, Webhook, openssl, project_dir, until};

const SECRET: &str = "a-shared-secret-of-manager-and-back-end";

/// Starts a manager that sends its webhooks to `receiver`.
async fn start_manager(receiver: &Receiver, settings: &[(&str, &str)]) -> Manager {
    let url = receiver.url("/hooks");
    let webhook_settings = [("WEBHOOK_URL", url.as_str()), ("WEBHOOK_SECRET", SECRET)];
    Manager::start(&[&webhook_settings, settings].concat()).await
}

/// Verifies the signature with openssl.
fn assert_signed(webhook: &Webhook) {
    let header = webhook.headers["stream-manager-signature"].to_str().expect("text");
    let (time, signature) = header
        .strip_prefix("t=")
        .and_then(|value| value.split_once(",v1="))
        .unwrap_or_else(|| panic!("{header}"));
    let sent = Duration::from_secs(time.parse().expect("seconds"));
    let age = std::time::UNIX_EPOCH.elapsed().expect("a clock").saturating_sub(sent);
    assert!(age < Duration::from_mins(1), "sent {age:?} ago");
    let dir = TempDir::new().expect("a directory");
    let file = dir.path().join("signed");
    std::fs::write(&file, [format!("{time}.").as_bytes(), &webhook.raw].concat()).expect("a file");
    let file = file.to_str().expect("a path");
    let digest = openssl(&["dgst", "-sha256", "-hmac", SECRET, "-r", file]);
    let digest = String::from_utf8(digest).expect("text");
    assert_eq!(digest.split_whitespace().next(), Some(signature));
}

/// Runs the signature checks from the documentation, in both languages, with valid and invalid input.
fn assert_documented_checks(webhook: &Webhook) {
    let page = project_dir().join("docs/guide/webhooks.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let code = |begin: &str, end: &str| {
        let (_, code) = page.split_once(begin).expect("code in the page");
        code.split_once(end).expect("the end of the code").0.to_owned()
    };
    let php = code("```php\n", "$body = file_get")
        + "exit(is_from_manager(...array_slice($argv, 1)) ? 0 : 1);";
    let python = code("```python\n", "```")
        + "import sys\nsys.exit(not is_from_manager(sys.argv[1], sys.argv[2], sys.argv[3].encode()))";
    let header = webhook.headers["stream-manager-signature"].to_str().expect("text");
    let body = std::str::from_utf8(&webhook.raw).expect("text");
    for (program, code) in [(["php", "-r"], php), (["python3", "-c"], python)] {
        let accepts = |secret: &str, header: &str, body: &str| {
            let mut command = Command::new(program[0]);
            command.args([program[1], &code]);
            // PHP needs "--" before the arguments of the script, Python does not.
            command.args(Some("--").filter(|_| program[0] == "php"));
            let status = command.args([secret, header, body]).status().expect(program[0]);
            assert!(matches!(status.code(), Some(0 | 1)), "{program:?}: {status}");
            status.success()
        };
        assert!(accepts(SECRET, header, body), "{program:?}");
        assert!(!accepts(SECRET, header, &format!("{body} ")), "{program:?}: changed body");
        assert!(!accepts("another secret", header, body), "{program:?}: wrong secret");
        let old = header.replacen("t=1", "t=0", 1);
        assert!(!accepts(SECRET, &old, body), "{program:?}: changed time");
        assert!(!accepts(SECRET, "", body), "{program:?}: no signature");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_stream_are_sent_in_order_and_signed() {
    let camera = Camera::start().await;
    let receiver = Receiver::start(&[]).await;
    let mut manager = start_manager(&receiver, &[]).await;
    let link = camera.link_with_credentials("private");
    manager.play("front-door", &link).await;
    let generation = manager.status("front-door").await["generation"].clone();
    manager.stop_stream("front-door").await;
    let first_run = ["stream.started", "stream.live", "stream.stopped stop"];
    receiver.receives("front-door", &first_run).await;
    manager.play("front-door", &link).await;
    manager.signal(Signal::SIGTERM);
    assert_eq!(manager.exit_code().await, 0, "{}", manager.log());
    let second_run = ["stream.started", "stream.live", "stream.stopped shutdown"];
    assert_eq!(receiver.accepted("front-door"), [first_run, second_run].concat());

    let webhooks = receiver.webhooks();
    webhooks.iter().for_each(assert_signed);
    let live = &webhooks[1];
    assert_documented_checks(live);
    assert_eq!(live.path, "/hooks");
    assert_eq!(live.headers["content-type"], "application/json");
    let expected = json!({
        "id": live.body["id"], "type": "stream.live", "at": live.body["at"], "camera": "front-door",
        "profile": "main", "generation": generation, "reason": null, "error": null,
    });
    assert_eq!(live.body, expected);
    let times: Vec<_> = webhooks.iter().map(|w| w.body["at"].as_str().expect("a time")).collect();
    assert!(times.is_sorted() && times[0].ends_with('Z'), "{times:?}");
    let ids: HashSet<_> = webhooks.iter().map(|w| w.body["id"].as_str()).collect();
    assert_eq!(ids.len(), webhooks.len());
    for webhook in &webhooks {
        let text = format!("{:?} {}", webhook.headers, String::from_utf8_lossy(&webhook.raw));
        assert!(!text.contains(camera.password()), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_start_is_reported_with_its_error_and_without_the_password() {
    let camera = Camera::start().await;
    let receiver = Receiver::start(&[]).await;
    let settings = [("CLEANUP_DELAY_SECONDS", "2"), ("CLEANUP_INTERVAL_SECONDS", "0.2")];
    let manager = start_manager(&receiver, &settings).await;
    let link = camera.link("private").replace("rtsp://", "rtsp://viewer:wrong-password@");
    let response = manager.start_stream("cam", &link).await;
    assert_eq!(response.body["code"], "source_unauthorized");
    let expected = [
        "stream.started",
        "stream.failed source_unauthorized",
        "stream.stopped failed source_unauthorized",
    ];
    receiver.receives("cam", &expected).await;
    let webhooks = receiver.webhooks();
    assert_eq!(webhooks[1].body["error"]["detail"], response.body["detail"]);
    for webhook in webhooks {
        let text = String::from_utf8_lossy(&webhook.raw).into_owned();
        assert!(!text.contains("wrong-password") && !text.contains("rtsp:"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_beginning_and_the_end_of_an_outage_are_each_reported_once() {
    let mut camera = Camera::start().await;
    let receiver = Receiver::start(&[]).await;
    let settings = [("STALE_TIMEOUT_SECONDS", "2"), ("CLEANUP_DELAY_SECONDS", "300")];
    let manager = start_manager(&receiver, &settings).await;
    manager.play("cam", &camera.link("h264")).await;
    camera.freeze();
    let after_freeze = ["stream.started", "stream.live", "stream.stalled source_timeout"];
    receiver.receives("cam", &after_freeze).await;
    camera.thaw();
    let after_thaw = [&after_freeze[..], &["stream.live"]].concat();
    receiver.receives("cam", &after_thaw).await;
    camera.kill();
    let after_kill = [&after_thaw[..], &["stream.interrupted source_unreachable"]].concat();
    receiver.receives("cam", &after_kill).await;
    let restarts = manager.status("cam").await["restarts"].as_u64().expect("a number");
    // Two more failed attempts are not reported.
    until("the manager has retried twice", || async {
        manager.status("cam").await["restarts"].as_u64() >= Some(restarts + 2)
    })
    .await;
    assert_eq!(receiver.accepted("cam"), after_kill);
    camera.restart().await;
    receiver.receives("cam", &[&after_kill[..], &["stream.live"]].concat()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_webhooks_are_sent_again_but_rejected_and_redirected_ones_are_not() {
    let camera = Camera::start().await;
    let receiver = Receiver::start(&[500, 429, 204, 307, 404]).await;
    let manager = start_manager(&receiver, &[]).await;
    manager.play("cam", &camera.link("h264")).await;
    manager.stop_stream("cam").await;
    manager.play("cam", &camera.link("h264")).await;
    let accepted = ["stream.started", "stream.started", "stream.live"];
    receiver.receives("cam", &accepted).await;
    let webhooks = receiver.webhooks();
    let summaries: Vec<_> = webhooks.iter().map(|w| (w.summary(), w.status)).collect();
    let expected = [
        ("stream.started", 500),
        ("stream.started", 429),
        ("stream.started", 204),
        ("stream.live", 307),
        ("stream.stopped stop", 404),
        ("stream.started", 204),
        ("stream.live", 204),
    ];
    assert_eq!(summaries, expected.map(|(summary, status)| (summary.to_owned(), status)));
    assert!(webhooks.iter().all(|webhook| webhook.path == "/hooks"), "a redirect was followed");
    let bodies: HashSet<_> = webhooks[..3].iter().map(|webhook| &webhook.raw).collect();
    assert_eq!(bodies.len(), 1, "a repeated webhook has a different body");
    webhooks.iter().for_each(assert_signed);
    let lines: Vec<_> = manager.log_fields();
    let lines = lines.iter().filter(|fields| fields["failed_attempts"].is_number());
    let causes: String = lines.filter_map(|fields| fields["cause"].as_str()).collect();
    for status in ["500", "429", "307", "404"] {
        assert!(causes.contains(status), "the log does not name {status}: {}", manager.log());
    }
}

/// The receiver accepts connections but never responds.
#[tokio::test(flavor = "multi_thread")]
async fn an_unresponsive_receiver_delays_neither_streams_nor_the_shutdown() {
    let camera = Camera::start().await;
    let receiver = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", receiver.local_addr().expect("an address"));
    let mut manager = Manager::start(&[("WEBHOOK_URL", &url)]).await;
    manager.play("cam", &camera.link("h264")).await;
    let (_connection, _) = receiver.accept().await.expect("a connection of the manager");
    let start = Instant::now();
    assert_eq!(manager.stop_stream("cam").await.status, 200);
    for _ in 0..3 {
        manager.play("cam", &camera.link("h264")).await;
        assert_eq!(manager.stop_stream("cam").await.status, 200);
    }
    manager.play("cam", &camera.link("h264")).await;
    // By now, fourteen events have occurred. Each webhook times out only after 10 s. If streams waited for their
    // webhooks, the starts and stops would have taken far longer.
    assert!(start.elapsed() < Duration::from_secs(30), "took {:?}", start.elapsed());
    manager.signal(Signal::SIGTERM);
    let start = Instant::now();
    assert_eq!(manager.exit_code().await, 0, "{}", manager.log());
    assert!(start.elapsed() < Duration::from_secs(8), "took {:?}", start.elapsed());
    let log = manager.log();
    let fields = manager.log_fields();
    let given_up: u64 = fields.iter().filter_map(|fields| fields["given_up"].as_u64()).sum();
    // Five starts, each with the events started, live and stopped.
    assert_eq!(given_up, 15, "{log}");
    assert!(log.contains("WEBHOOK_SECRET"), "no warning about unsigned webhooks: {log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn https_receivers_need_a_certificate_that_the_system_trusts() {
    let camera = Camera::start().await;
    let dir = TempDir::new().expect("a directory");
    let (receiver, certificate) = Receiver::start_tls(dir.path()).await;
    let url = format!("https://localhost:{}/hooks", receiver.port());
    let trusting = Manager::start(&[("WEBHOOK_URL", &url), ("SSL_CERT_FILE", &certificate)]).await;
    trusting.play("trusted", &camera.link("h264")).await;
    receiver.receives("trusted", &["stream.started", "stream.live"]).await;

    let distrusting = Manager::start(&[("WEBHOOK_URL", &url)]).await;
    distrusting.play("cam", &camera.link("h264")).await;
    until("the certificate is rejected", || async {
        let mut causes =
            distrusting.log_fields().into_iter().map(|mut fields| fields["cause"].take());
        causes.any(|cause| cause.as_str().is_some_and(|cause| cause.contains("certificate")))
    })
    .await;
    assert!(receiver.accepted("cam").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_of_the_receiver_are_never_logged() {
    let camera = Camera::start().await;
    // The first two requests fail, so that the manager logs errors.
    let receiver = Receiver::start(&[500, 400]).await;
    let url = format!(
        "http://me:user%2Dsecret@127.0.0.1:{}/path-secret?token=query-secret",
        receiver.port()
    );
    let settings =
        [("WEBHOOK_URL", url.as_str()), ("WEBHOOK_SECRET", SECRET), ("RUST_LOG", "trace")];
    let manager = Manager::start(&settings).await;
    manager.play("cam", &camera.link("h264")).await;
    receiver.receives("cam", &["stream.live"]).await;
    let webhook = &receiver.webhooks()[0];
    assert_eq!(webhook.path, "/path-secret?token=query-secret");
    // The Base64 text is "me:user-secret".
    assert_eq!(webhook.headers["authorization"], "Basic bWU6dXNlci1zZWNyZXQ=");
    let log = manager.log();
    assert!(log.contains(&format!("http://127.0.0.1:{}/***", receiver.port())), "{log}");
    for secret in ["-secret", "%2Dsecret", "bWU6dXNlci1zZWNyZXQ", SECRET] {
        assert!(!log.contains(secret), "the log shows {secret}");
    }
}

#[test]
fn invalid_settings_fail_the_start_without_showing_their_values() {
    let dir = TempDir::new().expect("a directory");
    let valid_url = ("WEBHOOK_URL", "http://127.0.0.1/hidden");
    let table = [
        ("WEBHOOK_URL", vec![("WEBHOOK_URL", "ftp://host/hidden")]),
        ("WEBHOOK_URL", vec![("WEBHOOK_URL", "hidden")]),
        ("WEBHOOK_URL", vec![("WEBHOOK_URL", "http://:80/hidden")]),
        ("WEBHOOK_SECRET", vec![valid_url, ("WEBHOOK_SECRET", "hidden")]),
    ];
    for (name, settings) in table {
        let (code, stderr) = Manager::run_to_exit(&dir, &settings);
        let last = stderr.lines().last().unwrap_or_default();
        assert_eq!(code, Some(64), "{settings:?}: {stderr}");
        assert!(last.contains(name) && !stderr.contains("hidden"), "{settings:?}: {stderr}");
    }
}
