//! Requests with unusual paths and parameters, through nginx and directly to the manager. None of them reaches another file.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{ADMIN, Setup, text};

/// The response to a request that was sent exactly as given.
struct RawResponse {
    status: u16,
    text: String,
}

/// Sends a request line with this target and these headers, and reads the response to its end.
async fn raw(address: &str, target: &str, headers: &str) -> RawResponse {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {ADMIN}\r\nConnection: close\r\n{headers}\r\n"
    );
    // A server that refuses the request early may not read all of it.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
    RawResponse { status: status.unwrap_or_else(|| panic!("no status for {target}: {text}")), text }
}

/// Returns a recorded file below `dir`.
fn recorded_file(dir: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten();
    entries.map(|entry| entry.expect("an entry").path()).find_map(|path| {
        let is_recording = path.extension().is_some_and(|extension| extension == "mp4");
        if is_recording { Some(path) } else { recorded_file(&path) }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn no_path_leads_to_another_file() {
    let setup = Setup::new("h264", 3).await;
    let dir = setup.manager.dir().path().join("recordings");
    let file = recorded_file(&dir).expect("a file");
    let file = file.strip_prefix(&dir).expect("a path").to_str().expect("a path");
    let playlist = setup.playlist("stream.m3u8", &setup.query(0, 3000)).await;
    let name = playlist.lines().find(|line| !line.starts_with('#')).expect("a file");
    let addresses = [setup.nginx.address(), setup.manager.address().to_owned()];
    let valid = format!("/recordings/cam/{name}");
    for address in &addresses {
        let response = raw(address, &valid, "Range: bytes=0-9\r\n").await;
        assert_eq!(response.status, 206, "{}", response.text);
    }
    let long = "a".repeat(9000);
    let mut encoded = String::new();
    for byte in name.bytes() {
        write!(encoded, "%{byte:02x}").expect("text");
    }
    let targets = [
        // nginx's own location for recorded files.
        format!("/internal/recordings/0/{file}"),
        format!("//internal/recordings/0/{file}"),
        format!("/internal//recordings/0/{file}"),
        format!("/./internal/recordings/0/{file}"),
        format!("/%69nternal/recordings/0/{file}"),
        format!("/internal%2frecordings/0/{file}"),
        format!("/recordings/../internal/recordings/0/{file}"),
        format!("/recordings/cam/../../internal/recordings/0/{file}"),
        format!("/recordings/cam/..%2f..%2finternal/recordings/0/{file}"),
        format!("/play/x/cam/recordings/../../../../internal/recordings/0/{file}"),
        format!("/internal/recordings/0/{file}?x=1"),
        format!("/INTERNAL/recordings/0/{file}"),
        "/internal/recordings/0/.stream-manager-recordings".to_owned(),
        "/internal/recordings/0/".to_owned(),
        "/internal/recordings/".to_owned(),
        "/internal/recordings/0/../../streams.db".to_owned(),
        "/internal/recordings/1/x.mp4".to_owned(),
        // Other files.
        format!("/recordings/{file}"),
        format!("/recordings/cam/{file}"),
        "/recordings/cam/../../../../../../etc/passwd".to_owned(),
        "/recordings/cam/..%2f..%2f..%2f..%2f..%2fetc%2fpasswd".to_owned(),
        "/recordings/cam/%2e%2e/%2e%2e/etc/passwd".to_owned(),
        "/recordings/cam/%252e%252e%252fetc%252fpasswd".to_owned(),
        "/recordings/cam/..\\..\\etc\\passwd".to_owned(),
        "/recordings/cam/%c0%ae%c0%ae%c0%afetc/passwd".to_owned(),
        "/recordings/cam/.stream-manager-recordings".to_owned(),
        "/recordings/cam/h264/../.stream-manager-recordings".to_owned(),
        "/recordings/cam/h264/..%2f..%2fstreams.db".to_owned(),
        // Other names for a file or a camera.
        format!("/recordings/cam/{name}%00"),
        format!("/recordings/cam/{name}%00.mp4"),
        format!("/recordings/cam/{name}%2f"),
        format!("/recordings/cam/0{name}"),
        format!("/recordings/cam/+{name}"),
        format!("/recordings/cam/%20{name}"),
        format!("/recordings/cam/{name}%0d%0aX-Accel-Redirect:%20/internal/recordings/0/{file}"),
        format!("/recordings/cam%00/{name}"),
        format!("/recordings/cam%2f..%2fother/{name}"),
        format!("/recordings/CAM/{name}"),
        format!("/recordings/cam~main/{name}"),
        format!("/recordings/cam~sub/{name}"),
        format!("/recordings/cam~sub~sub/{name}"),
        format!("/recordings/other/{name}"),
        format!("/recordings/*/{name}"),
        format!("/recordings//{name}"),
        format!("/recordings/./{name}"),
        format!("/recordings/{long}/{name}"),
        format!("/recordings/cam/{long}.mp4"),
        format!("/recordings/cam/{}-{}.mp4", "9".repeat(400), "9".repeat(400)),
        "/recordings/cam/9223372036854775807-9223372036854775807.mp4".to_owned(),
        "/recordings/cam/9223372036854775808-0.mp4".to_owned(),
        "/recordings/cam/-1-1.mp4".to_owned(),
        format!(
            "/recordings/cam/h264/{}",
            name.replace(".mp4", "-18446744073709551615-18446744073709551615.m4s")
        ),
        format!("/recordings/cam/h264/{}", name.replace(".mp4", "-0-1.m4s")),
        format!("/recordings/cam/h264/{}", name.replace(".mp4", "-0-0.m4s")),
        format!("/play//cam/recordings/{name}"),
        format!("/play/{long}/cam/recordings/{name}"),
        format!("/api/recordings/cam%2f..%2fother/export?from={}", text(setup.from)),
    ];
    for target in &targets {
        for address in &addresses {
            let response = raw(address, target, "").await;
            let is_refused = [400, 401, 403, 404, 414, 431].contains(&response.status);
            assert!(
                is_refused,
                "{target} at {address}: {}",
                &response.text[..response.text.len().min(600)]
            );
            let (head, body) = response.text.split_once("\r\n\r\n").unwrap_or_default();
            for secret in ["ftyp", "root:", "SQLite"] {
                assert!(!body.contains(secret), "{target} at {address}: {body}");
            }
            assert!(!head.to_ascii_lowercase().contains("\nx-accel-"), "{target}: {head}");
        }
    }
    // nginx decodes these to the valid path. The manager does not decode file names.
    for (target, expected) in [
        (format!("/recordings/cam/{encoded}"), [206, 404]),
        (format!("/recordings/x/../cam/{name}"), [206, 404]),
        (format!("//recordings//cam//{name}"), [206, 404]),
        (format!("/recordings/cam%2f/{name}"), [206, 400]),
        (format!("/play/%2e%2e/recordings/cam/{name}"), [206, 404]),
    ] {
        for (address, expected) in addresses.iter().zip(expected) {
            let response = raw(address, &target, "Range: bytes=0-9\r\n").await;
            assert_eq!(response.status, expected, "{target} at {address}: {}", response.text);
        }
    }
    // A client cannot ask nginx for a file, and gets no path from the manager through nginx.
    for headers in [
        format!("X-Accel-Redirect: /internal/recordings/0/{file}\r\n"),
        "X-Sendfile-Type: none\r\n".to_owned(),
        "X-Sendfile-Type: X-Accel-Redirect\r\nX-Accel-Mapping: /=/\r\n".to_owned(),
    ] {
        let response = raw(&addresses[0], &valid, &format!("{headers}Range: bytes=4-7\r\n")).await;
        assert_eq!(response.status, 206, "{headers}");
        assert!(response.text.ends_with("ftyp"), "{}", response.text);
        assert!(!response.text.contains("/internal"), "{}", response.text);
    }
    assert!(!setup.nginx.log().contains("Permission denied"), "{}", setup.nginx.log());
}

/// Values that are no times in the form of RFC 3339, percent-encoded.
const BAD_TIMES: [&str; 30] = [
    "",
    "0",
    "-1",
    "1795986123",
    "1795986123007",
    "NaN",
    "inf",
    "now",
    "null",
    "2026-02-30T00:00:00Z",
    "2026-13-01T00:00:00Z",
    "2026-02-03T24:00:00Z",
    "2026-02-03T04:60:00Z",
    "2026-02-03T04:05:61Z",
    "2026-02-03",
    "2026-02-03T04:05:06",
    "2026-02-03T04:05:06+24:00",
    "2026-02-03T04:05:06%2B01:99",
    "10000-01-01T00:00:00Z",
    "-0001-01-01T00:00:00Z",
    "1969-12-31T23:59:59Z",
    "2026-02-03T04:05:06Z%00",
    "2026-02-03T04:05:06Z%0d%0aX:%20y",
    "%00",
    "%ff%fe",
    "%c0%af",
    "2026-02-03T04:05:06.999999999999999999999Z",
    "%F0%9F%98%80",
    "٢٠٢٦-02-03T04:05:06Z",
    "../../etc/passwd",
];
/// Values that are no widths of pictures, percent-encoded.
const BAD_WIDTHS: [&str; 19] = [
    "",
    "0",
    "-1",
    "-320",
    "15",
    "3841",
    "4294967296",
    "18446744073709551616",
    "NaN",
    "inf",
    "1e3",
    "320.5",
    "+320",
    "%20320",
    "0x140",
    "320px",
    "320%00",
    "320,iw*9",
    "2'[out]",
];

#[tokio::test(flavor = "multi_thread")]
async fn every_parameter_is_checked() {
    let setup = Setup::new("h264", 3).await;
    let at = text(setup.from + 500);
    let (from, to) = (text(setup.from), text(setup.from + 2000));
    let long = "1".repeat(7000);
    let mut targets = Vec::new();
    for time in BAD_TIMES.into_iter().chain([long.as_str()]) {
        for name in [
            "index.m3u8",
            "stream.m3u8",
            "iframes.m3u8",
            "export.mp4",
            "timeline.json",
            "activity.json",
        ] {
            targets.push(format!("{name}?from={time}&to={to}"));
            // Without a value, the end has its default.
            if !time.is_empty() {
                targets.push(format!("{name}?from={from}&to={time}"));
            }
        }
        targets.push(format!("snapshot.jpg?at={time}"));
        targets.push(format!("thumbnail.jpg?at={time}"));
        targets.push(format!("days.json?limits={from},{time}"));
    }
    for width in BAD_WIDTHS.into_iter().chain([long.as_str()]) {
        targets.push(format!("snapshot.jpg?at={at}&width={width}"));
        targets.push(format!("thumbnail.jpg?at={at}&width={width}"));
    }
    for codec in ["", "H264", "hevc", "h264%00", "h264,hevc", "../x", "copy%20-i%20/etc/passwd"] {
        targets.push(format!("stream.m3u8?from={from}&to={to}&codec={codec}"));
    }
    targets.extend([
        format!("stream.m3u8?from={to}&to={from}"),
        format!("stream.m3u8?from={from}&to={from}"),
        format!("stream.m3u8?from={from}&to={to}&from={from}"),
        format!("stream.m3u8?from={from}&to={to}&codec=h264&codec=h264"),
        format!("snapshot.jpg?at={at}&at={at}"),
        format!("snapshot.jpg?at={at}&width=320&width=320"),
        format!("snapshot.jpg?at={at}&at="),
        format!("stream.m3u8?from={from}&to=9999-12-31T23:59:59Z"),
        format!("days.json?limits={}", vec![from.as_str(); 402].join(",")),
        "days.json?limits=,".to_owned(),
        format!("days.json?limits={from}&limits={to}"),
    ]);
    let [nginx, manager] = [setup.nginx.address(), setup.manager.address().to_owned()];
    for (number, name) in targets.iter().enumerate() {
        // Both need not see all of them.
        let addresses: &[&String] = if number % 7 == 0 { &[&nginx, &manager] } else { &[&manager] };
        for address in addresses {
            let response = raw(address, &format!("/recordings/cam/{name}"), "").await;
            let shown = &name[..name.len().min(200)];
            // An infinite number of digits after the point can be cut off.
            let is_refused = [400, 404, 414].contains(&response.status);
            assert!(is_refused, "{shown}: {}", &response.text[..response.text.len().min(600)]);
            let (head, body) = response.text.split_once("\r\n\r\n").expect("a body");
            assert!(!head.contains("X: y") && !head.contains("x: y"), "{head}");
            if response.status == 400 && body.starts_with('{') {
                let problem: Value = serde_json::from_str(body).expect("a problem");
                assert!(
                    ["invalid_request", "invalid_id"]
                        .contains(&problem["code"].as_str().expect("a code"))
                );
                assert!(!problem["detail"].as_str().expect("a text").contains('\n'), "{problem}");
            }
        }
    }
    // These are valid.
    for name in [
        format!("stream.m3u8?from={from}&to={to}&_=17&token=x"),
        format!("stream.m3u8?from={}%2B00:00&to={to}", from.trim_end_matches('Z')),
        format!("stream.m3u8?from={}+00:00&to={to}", from.trim_end_matches('Z')),
        format!("stream.m3u8?from={}&to={to}", from.to_lowercase()),
        format!("snapshot.jpg?at={at}&width=16"),
        format!("snapshot.jpg?at={at}&width=3840"),
    ] {
        assert_eq!(setup.get(&format!("/recordings/cam/{name}")).await.status(), 200, "{name}");
    }
    // Seconds that are inserted into UTC count as the next second.
    let leap = setup.get("/recordings/cam/stream.m3u8?from=2016-12-31T23:59:60Z").await;
    assert_eq!(leap.status(), 404);
}
