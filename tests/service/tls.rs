//! HTTPS: the certificate that the manager creates for nginx, and the links and cookies of the manager.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;
use reqwest::Method;
use serde_json::json;
use tempfile::TempDir;

use crate::support::{Manager, until};

/// Names and values of settings.
type Settings<'a> = &'a [(&'a str, &'a str)];

/// Returns the names in a certificate.
fn names(certificate: &Path) -> String {
    let mut command = Command::new("openssl");
    command.args(["x509", "-noout", "-ext", "subjectAltName", "-in"]).arg(certificate);
    let output = command.output().expect("openssl");
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines().nth(1).unwrap_or_default().trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_certificate_is_created_at_the_first_start_and_kept_until_the_names_change() {
    let tls = [("TLS", "self-signed"), ("TLS_NAMES", "cameras.lan, 192.168.1.10")];
    let mut manager = Manager::start(&tls).await;
    let dir = manager.dir().path().join("tls");
    let (certificate, key) = (dir.join("cert.pem"), dir.join("key.pem"));
    assert_eq!(names(&certificate), "DNS:cameras.lan, IP Address:192.168.1.10");
    let mode = key.metadata().expect("a key").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let read = || std::fs::read_to_string(&certificate).expect("a certificate");
    let first = read();
    manager.signal(Signal::SIGTERM);
    assert_eq!(manager.exit_code().await, 0);

    let mut again = manager.start_again(&tls).await;
    assert_eq!(read(), first);
    again.signal(Signal::SIGTERM);
    assert_eq!(again.exit_code().await, 0);
    let _other = again.start_again(&[("TLS", "self-signed"), ("TLS_NAMES", "other.lan")]).await;
    assert_eq!(names(&certificate), "DNS:other.lan");
}

#[tokio::test(flavor = "multi_thread")]
async fn links_begin_with_https_and_cookies_are_marked_secure_if_nginx_has_tls() {
    let files = [("TLS_CERT", "/files/of/nginx/cert.pem"), ("TLS_KEY", "/files/of/nginx/key.pem")];
    for (settings, scheme, end) in [
        (&[][..], "http", "; HttpOnly"),
        (&[("TLS", "self-signed")], "https", "; HttpOnly; Secure"),
        (&files, "https", "; HttpOnly; Secure"),
    ] {
        let settings = [&[("ALLOW_ANONYMOUS", "")], settings].concat();
        let manager = Manager::start(&settings).await;
        let link = || {
            let fields = manager.log_fields();
            fields.iter().find_map(|fields| fields["link"].as_str().map(str::to_owned))
        };
        until("the log shows the link", || async { link().is_some() }).await;
        let link = link().expect("a link");
        let key = link.strip_prefix(&format!("{scheme}://localhost:8080/#key=")).expect(&link);
        let camera = json!({ "rtsp_link": "rtsp://127.0.0.1/" });
        manager.call(key, Method::PUT, "/api/cameras/cam", &camera).await;
        let request = manager.client().post(manager.url("/api/playback/sessions"));
        let session = json!({ "user": "anna", "camera": "cam", "cookie": true });
        let response = request.bearer_auth(key).json(&session).send().await.expect("a response");
        let cookie = response.headers()["set-cookie"].to_str().expect("a cookie");
        assert!(cookie.ends_with(end), "{settings:?}: {cookie}");
    }
}

#[test]
fn the_manager_exits_if_its_tls_settings_or_files_are_unusable() {
    let dir = TempDir::new().expect("a directory");
    std::fs::write(dir.path().join("file"), "").expect("a file");
    let foreign = dir.path().join("foreign");
    std::fs::create_dir(&foreign).expect("a directory");
    std::fs::write(foreign.join("cert.pem"), "-----BEGIN CERTIFICATE-----\n").expect("a file");
    // Settings, and words that the message must contain.
    let table: [(Settings<'_>, &[&str]); 6] = [
        (&[("TLS", "on")], &["TLS", "self-signed"]),
        (&[("TLS", "self-signed"), ("TLS_NAMES", "a b_c")], &["TLS_NAMES", "\"b_c\" is neither"]),
        (&[("TLS", "self-signed"), ("TLS_CERT", "/c"), ("TLS_KEY", "/k")], &["TLS", "TLS_CERT"]),
        (&[("TLS_CERT", "/c")], &["TLS_CERT", "TLS_KEY"]),
        (&[("TLS", "self-signed"), ("TLS_DIR", "file")], &["TLS_DIR=file", "Not a directory"]),
        (
            &[("TLS", "self-signed"), ("TLS_DIR", "foreign")],
            &["TLS_DIR=foreign", "foreign/cert.pem", "TLS_CERT"],
        ),
    ];
    for (settings, words) in table {
        let (code, stderr) = Manager::run_to_exit(&dir, settings);
        assert_eq!(code, Some(64), "{settings:?}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        for word in words {
            assert!(stderr.contains(word), "{word}: {stderr}");
        }
    }
    let kept = std::fs::read_to_string(foreign.join("cert.pem")).expect("the foreign file");
    assert_eq!(kept, "-----BEGIN CERTIFICATE-----\n");
}
