//! What happens to streams is told to the back end: all of it, in order, signed, and without ever
//! getting in the way.

use std::collections::HashSet;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::support::{Camera, Manager, Receiver, Webhook, openssl, project, until};

const SECRET: &str = "a-secret-of-the-back-end-and-ours-alone";

async fn telling(receiver: &Receiver, set: &[(&str, &str)]) -> Manager {
    let url = receiver.url("/hooks");
    let ours = [("WEBHOOK_URL", url.as_str()), ("WEBHOOK_SECRET", SECRET)];
    Manager::start(&[&ours, set].concat()).await
}

/// Checks the signature with openssl.
fn assert_signed(webhook: &Webhook) {
    let header = webhook.headers["stream-manager-signature"].to_str().expect("text");
    let (time, signature) = header
        .strip_prefix("t=")
        .and_then(|rest| rest.split_once(",v1="))
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

/// The check that the documentation gives to receivers, in both languages.
fn assert_documented_checks(webhook: &Webhook) {
    let page = project().join("docs/guide/webhooks.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let code = |begin: &str, end: &str| {
        let (_, code) = page.split_once(begin).expect("code in the page");
        code.split_once(end).expect("its end").0.to_owned()
    };
    let php = code("```php\n", "$body = file_get")
        + "exit(is_from_manager(...array_slice($argv, 1)) ? 0 : 1);";
    let python = code("```python\n", "```")
        + "import sys\nsys.exit(not is_from_manager(sys.argv[1], sys.argv[2], sys.argv[3].encode()))";
    let header = webhook.headers["stream-manager-signature"].to_str().expect("text");
    let body = std::str::from_utf8(&webhook.raw).expect("text");
    for (program, code) in [(["php", "-r"], php), (["python3", "-c"], python)] {
        let takes = |secret: &str, header: &str, body: &str| {
            let mut command = Command::new(program[0]);
            command.args([program[1], &code]);
            // Ends PHP's own arguments; Python has none after the code.
            command.args(Some("--").filter(|_| program[0] == "php"));
            let status = command.args([secret, header, body]).status().expect(program[0]);
            assert!(matches!(status.code(), Some(0 | 1)), "{program:?}: {status}");
            status.success()
        };
        assert!(takes(SECRET, header, body), "{program:?}");
        assert!(!takes(SECRET, header, &format!("{body} ")), "{program:?}: another body");
        assert!(!takes("another secret", header, body), "{program:?}: another secret");
        let old = header.replacen("t=1", "t=0", 1);
        assert!(!takes(SECRET, &old, body), "{program:?}: another time");
        assert!(!takes(SECRET, "", body), "{program:?}: no signature");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_camera_tells_of_its_life_in_order_and_signed() {
    let camera = Camera::start().await;
    let receiver = Receiver::start(&[]).await;
    let mut manager = telling(&receiver, &[]).await;
    let link = camera.private_link("private");
    manager.play("front-door", &link).await;
    let generation = manager.status("front-door").await["generation"].clone();
    manager.stop_stream("front-door").await;
    let once = ["stream.started", "stream.live", "stream.stopped stop"];
    receiver.hears("front-door", &once).await;
    manager.play("front-door", &link).await;
    manager.signal(Signal::SIGTERM);
    assert_eq!(manager.exit_code().await, 0, "{}", manager.log());
    let again = ["stream.started", "stream.live", "stream.stopped shutdown"];
    assert_eq!(receiver.told("front-door"), [once, again].concat());

    let webhooks = receiver.all();
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
async fn a_camera_that_refuses_tells_why_and_nothing_of_the_password() {
    let camera = Camera::start().await;
    let receiver = Receiver::start(&[]).await;
    let impatient = [("CLEANUP_DELAY_SECONDS", "2"), ("CLEANUP_INTERVAL_SECONDS", "0.2")];
    let manager = telling(&receiver, &impatient).await;
    let link = camera.link("private").replace("rtsp://", "rtsp://viewer:wrong-password@");
    let answer = manager.start_stream("cam", &link).await;
    assert_eq!(answer.body["code"], "source_unauthorized");
    let expected = [
        "stream.started",
        "stream.failed source_unauthorized",
        "stream.stopped failed source_unauthorized",
    ];
    receiver.hears("cam", &expected).await;
    let webhooks = receiver.all();
    assert_eq!(webhooks[1].body["error"]["detail"], answer.body["detail"]);
    for webhook in webhooks {
        let text = String::from_utf8_lossy(&webhook.raw).into_owned();
        assert!(!text.contains("wrong-password") && !text.contains("rtsp:"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_freezes_or_goes_tells_so_once_and_tells_when_it_is_back() {
    let mut camera = Camera::start().await;
    let receiver = Receiver::start(&[]).await;
    let set = [("STALE_TIMEOUT_SECONDS", "2"), ("CLEANUP_DELAY_SECONDS", "300")];
    let manager = telling(&receiver, &set).await;
    manager.play("cam", &camera.link("h264")).await;
    camera.freeze();
    let frozen = ["stream.started", "stream.live", "stream.stalled source_timeout"];
    receiver.hears("cam", &frozen).await;
    camera.thaw();
    let back = [&frozen[..], &["stream.live"]].concat();
    receiver.hears("cam", &back).await;
    camera.kill();
    let gone = [&back[..], &["stream.interrupted source_unreachable"]].concat();
    receiver.hears("cam", &gone).await;
    let restarts = manager.status("cam").await["restarts"].as_u64().expect("a number");
    // Two more attempts in vain are told nobody.
    until("it was tried again", || async {
        manager.status("cam").await["restarts"].as_u64() >= Some(restarts + 2)
    })
    .await;
    assert_eq!(receiver.told("cam"), gone);
    camera.come_back().await;
    receiver.hears("cam", &[&gone[..], &["stream.live"]].concat()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_sent_again_and_what_is_refused_or_moved_is_not() {
    let camera = Camera::start().await;
    let receiver = Receiver::start(&[500, 429, 204, 307, 404]).await;
    let manager = telling(&receiver, &[]).await;
    manager.play("cam", &camera.link("h264")).await;
    manager.stop_stream("cam").await;
    manager.play("cam", &camera.link("h264")).await;
    let taken = ["stream.started", "stream.started", "stream.live"];
    receiver.hears("cam", &taken).await;
    let webhooks = receiver.all();
    let got: Vec<_> = webhooks.iter().map(|w| (w.summary(), w.status)).collect();
    let expected = [
        ("stream.started", 500),
        ("stream.started", 429),
        ("stream.started", 204),
        ("stream.live", 307),
        ("stream.stopped stop", 404),
        ("stream.started", 204),
        ("stream.live", 204),
    ];
    assert_eq!(got, expected.map(|(summary, status)| (summary.to_owned(), status)));
    assert!(webhooks.iter().all(|webhook| webhook.path == "/hooks"), "a redirect was followed");
    let bodies: HashSet<_> = webhooks[..3].iter().map(|webhook| &webhook.raw).collect();
    assert_eq!(bodies.len(), 1, "sent again, an event is another");
    webhooks.iter().for_each(assert_signed);
    assert!(manager.log().contains("webhooks are not delivered"), "{}", manager.log());
}

/// A receiver that is silent for ever: it accepts connections and never answers.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_receiver_slows_nothing_and_keeps_nothing_from_ending() {
    let camera = Camera::start().await;
    let dead = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", dead.local_addr().expect("an address"));
    let mut manager = Manager::start(&[("WEBHOOK_URL", &url)]).await;
    manager.play("cam", &camera.link("h264")).await;
    let (_connection, _) = dead.accept().await.expect("the manager connects");
    let began = Instant::now();
    assert_eq!(manager.stop_stream("cam").await.status, 200);
    for _ in 0..3 {
        manager.play("cam", &camera.link("h264")).await;
        assert_eq!(manager.stop_stream("cam").await.status, 200);
    }
    manager.play("cam", &camera.link("h264")).await;
    // Fourteen events, for each of which the receiver may take 10 s.
    assert!(began.elapsed() < Duration::from_secs(30), "took {:?}", began.elapsed());
    manager.signal(Signal::SIGTERM);
    let signalled = Instant::now();
    assert_eq!(manager.exit_code().await, 0, "{}", manager.log());
    assert!(signalled.elapsed() < Duration::from_secs(8), "took {:?}", signalled.elapsed());
    let log = manager.log();
    let lines = manager.log_lines();
    let lost: u64 = lines.iter().filter_map(|line| line["fields"]["given_up"].as_u64()).sum();
    // Five times started and live, and five times stopped.
    assert_eq!(lost, 15, "{log}");
    assert!(log.contains("WEBHOOK_SECRET is not set"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn https_by_the_systems_certificates_and_no_others() {
    let camera = Camera::start().await;
    let dir = TempDir::new().expect("a directory");
    let (receiver, certificate) = Receiver::start_tls(dir.path()).await;
    let url = format!("https://localhost:{}/hooks", receiver.port());
    let trusting = Manager::start(&[("WEBHOOK_URL", &url), ("SSL_CERT_FILE", &certificate)]).await;
    trusting.play("trusted", &camera.link("h264")).await;
    receiver.hears("trusted", &["stream.started", "stream.live"]).await;

    let wary = Manager::start(&[("WEBHOOK_URL", &url)]).await;
    wary.play("cam", &camera.link("h264")).await;
    until("the certificate is refused", || async {
        wary.log()
            .lines()
            .any(|line| line.contains("not delivered") && line.contains("certificate"))
    })
    .await;
    assert!(receiver.told("cam").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_secret_about_the_receiver_is_shown() {
    let camera = Camera::start().await;
    // Refuses one event and fails another, so that much is said.
    let receiver = Receiver::start(&[500, 400]).await;
    let url = format!(
        "http://me:user%2Dsecret@127.0.0.1:{}/path-secret?token=query-secret",
        receiver.port()
    );
    let set = [("WEBHOOK_URL", url.as_str()), ("WEBHOOK_SECRET", SECRET), ("RUST_LOG", "trace")];
    let manager = Manager::start(&set).await;
    manager.play("cam", &camera.link("h264")).await;
    receiver.hears("cam", &["stream.live"]).await;
    let webhook = &receiver.all()[0];
    assert_eq!(webhook.path, "/path-secret?token=query-secret");
    // me:user-secret
    assert_eq!(webhook.headers["authorization"], "Basic bWU6dXNlci1zZWNyZXQ=");
    let log = manager.log();
    assert!(log.contains(&format!("http://127.0.0.1:{}/***", receiver.port())), "{log}");
    for secret in ["-secret", "%2Dsecret", "bWU6dXNlci1zZWNyZXQ", SECRET] {
        assert!(!log.contains(secret), "the log shows {secret}");
    }
}

#[test]
fn settings_that_cannot_be_used_stop_the_start_and_are_not_repeated() {
    let dir = TempDir::new().expect("a directory");
    let good = ("WEBHOOK_URL", "http://127.0.0.1/hidden");
    let table = [
        ("WEBHOOK_URL", vec![("WEBHOOK_URL", "ftp://host/hidden")]),
        ("WEBHOOK_URL", vec![("WEBHOOK_URL", "hidden")]),
        ("WEBHOOK_URL", vec![("WEBHOOK_URL", "http://:80/hidden")]),
        ("WEBHOOK_SECRET", vec![good, ("WEBHOOK_SECRET", "hidden")]),
    ];
    for (name, set) in table {
        let (code, said) = Manager::run_to_end(&dir, &set);
        let last = said.lines().last().unwrap_or_default();
        assert_eq!(code, Some(64), "{set:?}: {said}");
        assert!(last.contains(name) && !said.contains("hidden"), "{set:?}: {said}");
    }
}
