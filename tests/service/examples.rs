//! The example clients of deploy/examples: what a back end does with them, in its own language.

use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::timeout;

use crate::support::{Camera, Manager, Nginx, PATIENCE, key_pair, project};

/// PHP shows arguments in its stack traces, unless its settings or the client say otherwise. The
/// settings are made to show all, so that what hides a link is the client.
const PHP: &[&str] =
    &["php", "-d", "zend.exception_ignore_args=0", "-d", "zend.exception_string_param_max_len=999"];
const PHP_SCRIPT: &str = "tests/examples/laravel.php";
const PHP_PACKAGES: &str = "php-cli php-curl";
/// Debian's own, which sees Debian's packages.
const PYTHON: &[&str] = &["/usr/bin/python3"];
const PYTHON_SCRIPT: &str = "tests/examples/django.py";
const PYTHON_PACKAGES: &str = "python3 python3-cryptography";
const API_KEY: &str = "shop-secret-0000001";

#[tokio::test(flavor = "multi_thread")]
async fn a_php_back_end_with_an_ed25519_key() {
    works(PHP, PHP_SCRIPT, PHP_PACKAGES, "ed25519", Api::OfManager).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_php_back_end_with_an_rsa_key() {
    works(PHP, PHP_SCRIPT, PHP_PACKAGES, "rsa", Api::BehindNginx).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_python_back_end_with_an_ed25519_key() {
    works(PYTHON, PYTHON_SCRIPT, PYTHON_PACKAGES, "ed25519", Api::BehindNginx).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_python_back_end_with_an_rsa_key() {
    works(PYTHON, PYTHON_SCRIPT, PYTHON_PACKAGES, "rsa", Api::OfManager).await;
}

/// Which of its two addresses the back end calls.
enum Api {
    OfManager,
    BehindNginx,
}

/// A back end in the language that `program` runs does with its client what back ends do.
async fn works(program: &[&str], script: &str, packages: &str, algorithm: &str, api: Api) {
    let dir = TempDir::new().expect("a directory");
    let (private, public) = key_pair(dir.path(), algorithm);
    let camera = Camera::start().await;
    let keys = format!("shop:admin:{API_KEY}");
    let public = public.to_str().expect("a path");
    let manager = Manager::start(&[("API_KEYS", &keys), ("PLAYBACK_PUBLIC_KEYS", public)]).await;
    let nginx = Nginx::start(&manager).await;
    let given = json!({
        "base_url": match api {
            Api::OfManager => manager.url("/"),
            Api::BehindNginx => nginx.url(""),
        },
        "public_url": nginx.url(""),
        "closed_url": format!("http://127.0.0.1:{}", closed_port()),
        "api_key": API_KEY,
        "private_key": std::fs::read_to_string(&private).expect("a key"),
        "link": camera.private_link("private"),
        "wrong_link": camera.private_link("nothing-here"),
        "no_link": format!("http://viewer:{}@127.0.0.1/x", camera.password()),
    });
    let (text, saw) = run(program, script, packages, dir.path(), &given).await;

    let refusal = |name: &str| (saw[name]["status"].clone(), saw[name]["code"].clone());
    assert_eq!(refusal("wrong_key"), (401.into(), "unauthorized".into()), "{text}");
    assert_eq!(refusal("unreachable"), (0.into(), "manager_unavailable".into()), "{text}");

    assert_eq!(saw["put"]["owner"], "42", "{text}");
    let shown = format!("rtsp://***@127.0.0.1:{}/private", camera.port());
    assert_eq!(saw["put"]["source"], shown.as_str(), "{text}");
    assert_eq!(saw["start"]["status"], "started", "{text}");
    assert_eq!(saw["state"]["state"], "live", "{text}");
    assert_eq!(saw["state"]["options"]["audio"], "off", "{text}");
    let ids = |name: &str| {
        let cameras = saw[name]["cameras"].as_array().expect("cameras").iter();
        cameras.map(|camera| camera["id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!((ids("search"), &saw["search"]["total"]), (vec!["door".into()], &1.into()));
    assert_eq!((ids("page"), &saw["page"]["total"]), (vec!["other".into()], &2.into()));

    let url = saw["playback"]["hlsUrl"].as_str().expect("an address");
    assert!(url.starts_with(&nginx.url("/play/")) && url.ends_with("/door/stream.m3u8"), "{url}");
    for name in ["session", "minted"] {
        assert_eq!(saw[name], json!([200, "#EXTM3U"]), "{name}: {text}");
    }
    for (name, status) in [("session_ended", 401), ("minted_ended", 401), ("minted_other", 403)] {
        assert_eq!(saw[name][0], status, "{name}: {text}");
    }
    assert_eq!(refusal("no_session"), (404.into(), "unknown_session".into()), "{text}");

    assert_eq!(refusal("wrong_link"), (502.into(), "source_not_found".into()), "{text}");
    assert_eq!(refusal("no_link"), (400.into(), "invalid_source".into()), "{text}");
    assert_eq!(saw["stopped"], "stopped", "{text}");
    assert_eq!(refusal("deleted"), (404.into(), "unknown_camera".into()), "{text}");

    // An error with its stack, as a log has it, is for everybody who reads logs.
    assert!(saw["wrong_link"]["log"].as_str().is_some_and(|log| log.contains("source_not_found")));
    assert!(!text.contains(camera.password()), "the camera's password is shown: {text}");
    assert!(!text.contains(API_KEY), "the API key is shown: {text}");
    assert!(!text.contains("PRIVATE KEY"), "the private key is shown: {text}");
}

/// Runs a script of tests/examples with what is `given`; what it wrote, and that as JSON.
async fn run(
    program: &[&str],
    script: &str,
    packages: &str,
    dir: &Path,
    given: &Value,
) -> (String, Value) {
    // Secrets go by stdin, since everybody may see a process's arguments.
    let child = Command::new(program[0])
        .args(&program[1..])
        .arg(project().join(script))
        .current_dir(dir)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let mut child = child.unwrap_or_else(|error| {
        panic!(
            "{} cannot be run ({error}); install it with: apt-get install {packages}",
            program[0]
        )
    });
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(given.to_string().as_bytes()).await.expect("a reader");
    drop(stdin);
    let output = timeout(2 * PATIENCE, child.wait_with_output()).await.expect("in time");
    let output = output.expect("an end");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{script} failed: {stderr}\n{stdout}");
    assert_eq!(stderr, "", "{script} complained");
    let saw = serde_json::from_str(&stdout);
    let saw = saw.unwrap_or_else(|error| panic!("{script} wrote no JSON ({error}): {stdout}"));
    (stdout, saw)
}

/// A port where nobody listens.
fn closed_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}
