//! The example clients in deploy/examples, called by scripts that act as back ends in PHP and Python.

use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::timeout;

use crate::support::{Camera, Manager, Nginx, TIMEOUT, free_port, key_pair, project_dir};

/// PHP with settings that show function arguments in stack traces. With these settings, a camera's link
/// stays hidden only if the client hides it.
const PHP: &[&str] =
    &["php", "-d", "zend.exception_ignore_args=0", "-d", "zend.exception_string_param_max_len=999"];
const PHP_SCRIPT: &str = "tests/examples/laravel.php";
const PHP_PACKAGES: &str = "php-cli php-curl";
/// Debian's Python, which can import Debian's packages.
const PYTHON: &[&str] = &["/usr/bin/python3"];
const PYTHON_SCRIPT: &str = "tests/examples/django.py";
const PYTHON_PACKAGES: &str = "python3 python3-cryptography";
const API_KEY: &str = "shop-secret-0000001";

#[tokio::test(flavor = "multi_thread")]
async fn the_php_client_works_with_an_ed25519_key() {
    check_client(PHP, PHP_SCRIPT, PHP_PACKAGES, "ed25519", Api::Direct).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_php_client_works_with_an_rsa_key() {
    check_client(PHP, PHP_SCRIPT, PHP_PACKAGES, "rsa", Api::ThroughNginx).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_client_works_with_an_ed25519_key() {
    check_client(PYTHON, PYTHON_SCRIPT, PYTHON_PACKAGES, "ed25519", Api::ThroughNginx).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_client_works_with_an_rsa_key() {
    check_client(PYTHON, PYTHON_SCRIPT, PYTHON_PACKAGES, "rsa", Api::Direct).await;
}

/// The address to which the back end sends its API requests: the manager's or nginx's.
enum Api {
    Direct,
    ThroughNginx,
}

/// Runs a script that makes every call of the example client, and checks the results.
async fn check_client(program: &[&str], script: &str, packages: &str, algorithm: &str, api: Api) {
    let dir = TempDir::new().expect("a directory");
    let (private, public) = key_pair(dir.path(), algorithm);
    let camera = Camera::start().await;
    let keys = format!("shop:admin:{API_KEY}");
    let public = public.to_str().expect("a path");
    let manager = Manager::start(&[("API_KEYS", &keys), ("PLAYBACK_PUBLIC_KEYS", public)]).await;
    let nginx = Nginx::start(&manager).await;
    let input = json!({
        "base_url": match api {
            Api::Direct => manager.url("/"),
            Api::ThroughNginx => nginx.url(""),
        },
        "public_url": nginx.url(""),
        "closed_url": format!("http://127.0.0.1:{}", free_port()),
        "api_key": API_KEY,
        "private_key": std::fs::read_to_string(&private).expect("a key"),
        "link": camera.link_with_credentials("private"),
        "wrong_link": camera.link_with_credentials("nothing-here"),
        "no_link": format!("http://viewer:{}@127.0.0.1/x", camera.password()),
    });
    let (text, results) = run(program, script, packages, dir.path(), &input).await;

    let failure = |name: &str| (results[name]["status"].clone(), results[name]["code"].clone());
    assert_eq!(failure("wrong_key"), (401.into(), "unauthorized".into()), "{text}");
    assert_eq!(failure("unreachable"), (0.into(), "manager_unavailable".into()), "{text}");

    assert_eq!(results["put"]["owner"], "42", "{text}");
    let shown = format!("rtsp://***@127.0.0.1:{}/private", camera.port());
    assert_eq!(results["put"]["source"], shown.as_str(), "{text}");
    assert_eq!(results["start"]["status"], "started", "{text}");
    assert_eq!(results["state"]["state"], "live", "{text}");
    assert_eq!(results["state"]["options"]["audio"], "off", "{text}");
    let ids = |name: &str| {
        let cameras = results[name]["cameras"].as_array().expect("cameras").iter();
        cameras.map(|camera| camera["id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!((ids("search"), &results["search"]["total"]), (vec!["door".into()], &1.into()));
    assert_eq!((ids("page"), &results["page"]["total"]), (vec!["other".into()], &2.into()));

    let url = results["playback"]["hlsUrl"].as_str().expect("an address");
    assert!(url.starts_with(&nginx.url("/play/")) && url.ends_with("/door/stream.m3u8"), "{url}");
    for name in ["session", "minted", "minted_largest"] {
        assert_eq!(results[name], json!([200, "#EXTM3U"]), "{name}: {text}");
    }
    for (name, status) in [("session_ended", 401), ("minted_ended", 401), ("minted_other", 403)] {
        assert_eq!(results[name][0], status, "{name}: {text}");
    }
    assert_eq!(results["refused"], json!(vec![true; 11]), "invalid tokens are created: {text}");
    assert_eq!(failure("no_session"), (404.into(), "unknown_session".into()), "{text}");

    assert_eq!(failure("wrong_link"), (502.into(), "source_not_found".into()), "{text}");
    assert_eq!(failure("no_link"), (400.into(), "invalid_source".into()), "{text}");
    assert_eq!(results["stopped"], "stopped", "{text}");
    assert_eq!(failure("deleted"), (404.into(), "unknown_camera".into()), "{text}");

    // Many people can read logs, so an error with its stack trace must not contain secrets.
    assert!(
        results["wrong_link"]["log"].as_str().is_some_and(|log| log.contains("source_not_found"))
    );
    assert!(!text.contains(camera.password()), "the camera's password is shown: {text}");
    assert!(!text.contains(API_KEY), "the API key is shown: {text}");
    assert!(!text.contains("PRIVATE KEY"), "the private key is shown: {text}");
}

/// Runs a script of tests/examples with `input` on stdin. Returns its output, as text and as JSON.
async fn run(
    program: &[&str],
    script: &str,
    packages: &str,
    dir: &Path,
    input: &Value,
) -> (String, Value) {
    // All users can see a process's arguments, so secrets are passed on stdin.
    let child = Command::new(program[0])
        .args(&program[1..])
        .arg(project_dir().join(script))
        .current_dir(dir)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let mut child = child.unwrap_or_else(|error| {
        panic!("cannot run {} ({error}); install it with: apt-get install {packages}", program[0])
    });
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(input.to_string().as_bytes()).await.expect("a write");
    drop(stdin);
    let output = timeout(2 * TIMEOUT, child.wait_with_output()).await.expect("no timeout");
    let output = output.expect("an exit status");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{script} failed: {stderr}\n{stdout}");
    assert_eq!(stderr, "", "{script} wrote to stderr");
    let results = serde_json::from_str(&stdout);
    let results =
        results.unwrap_or_else(|error| panic!("{script} wrote invalid JSON ({error}): {stdout}"));
    (stdout, results)
}
