//! How the HTTP server handles invalid requests and slow clients, and its health endpoints.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Manager, Nginx, TIMEOUT, until};

/// Sends a request, and checks the response's `Cache-Control` and, for an error, `Content-Type`. Returns the
/// response's status code, JSON body and `Allow` header.
async fn send(
    manager: &Manager,
    method: Method,
    path: &str,
    body: &str,
) -> (u16, Value, Option<String>) {
    let request = manager
        .client()
        .request(method, manager.url(path))
        .header("content-type", "application/json")
        .body(body.to_owned());
    let response = request.send().await.expect("a response");
    let status = response.status().as_u16();
    let allow =
        response.headers().get("allow").map(|value| value.to_str().expect("text").to_owned());
    if status >= 400 {
        assert_eq!(response.headers()["content-type"], "application/problem+json", "{path}");
    }
    assert_eq!(response.headers()["cache-control"], "no-store", "{path}");
    (status, response.json().await.unwrap_or_default(), allow)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_error_is_a_problem_document_with_a_code() {
    let manager = Manager::start(&[]).await;
    let large = format!(r#"{{"indicator_id":"{}"}}"#, "x".repeat(70_000));
    let get = Method::GET;
    let post = Method::POST;
    let table = [
        (get.clone(), "/nothing", "", 404, "not_found"),
        (get.clone(), "/api/stream/other/", "", 404, "not_found"),
        (get.clone(), "/livez/", "", 404, "not_found"),
        (get.clone(), "/api/stream/stop", "", 405, "method_not_allowed"),
        (Method::from_bytes(b"BREW").expect("a method"), "/livez", "", 405, "method_not_allowed"),
        (Method::DELETE, "/api/stream/start", "", 405, "method_not_allowed"),
        (get.clone(), "/api/stream/status", "", 400, "invalid_request"),
        (get.clone(), "/api/stream/status?indicator_id=x", "", 404, "unknown_camera"),
        (get, "/api/stream/status?indicator_id=../x", "", 400, "invalid_id"),
        (post.clone(), "/api/stream/start", "{", 400, "invalid_request"),
        (post.clone(), "/api/stream/start", "[]", 400, "invalid_request"),
        (post.clone(), "/api/stream/start", r#"{"indicator_id":{}}"#, 400, "invalid_request"),
        (
            post.clone(),
            "/api/stream/start",
            r#"{"indicator_id":"x","extra":1}"#,
            400,
            "invalid_request",
        ),
        (post.clone(), "/api/stream/start", r#"{"indicator_id":"x"}"#, 404, "unknown_camera"),
        (post.clone(), "/api/stream/stop", "\u{0}", 400, "invalid_request"),
        // An empty body must not reset the camera's name, owner and options.
        (Method::PUT, "/api/cameras/x", "", 400, "invalid_request"),
        (post, "/api/stream/start", large.as_str(), 413, "body_too_large"),
    ];
    for (method, path, body, status, code) in table {
        let (actual, problem, allow) = send(&manager, method.clone(), path, body).await;
        let status_and_code = (actual, &problem["code"]);
        assert_eq!(status_and_code, (status, &code.into()), "{method} {path} {body:.40}");
        assert_eq!(problem["status"], status);
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()));
        assert_eq!(allow.is_some(), status == 405, "{method} {path}");
    }
    let (_, _, allow) = send(&manager, Method::PUT, "/api/stream/start", "").await;
    assert_eq!(allow.as_deref(), Some("GET, POST"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_large_gets_its_error_through_nginx() {
    let manager = Manager::start(&[]).await;
    let nginx = Nginx::start(&manager).await;
    let body = format!(r#"{{"indicator_id":"{}"}}"#, "x".repeat(900_000));
    for attempt in 0..10 {
        let request = nginx.client().post(nginx.url("/api/stream/start")).body(body.clone());
        let response = request.header("content-type", "application/json").send().await;
        let response = response.expect("a response");
        assert_eq!(response.status(), 413, "attempt {attempt}");
        let problem: Value = response.json().await.expect("JSON");
        assert_eq!(problem["code"], "body_too_large", "attempt {attempt}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_error_for_an_unknown_field_names_it_and_the_allowed_ones() {
    let manager = Manager::start(&[]).await;
    let (get, post, put) = (Method::GET, Method::POST, Method::PUT);
    let input = r#"{"colour":1}"#;
    let table = [
        (&post, "/api/stream/start", input, "`rtsp_link`"),
        (&get, "/api/stream/start?colour=1", "", "`rtsp_link`"),
        (&post, "/api/stream/stop", input, "`indicator_id`"),
        (&get, "/api/stream/status?colour=1", "", "`indicator_id`"),
        (&post, "/api/cameras/x/stream/start", input, "`rtsp_port`"),
        (&post, "/api/cameras/x/stream/stop", input, "`profile`"),
        (&get, "/api/cameras?colour=1", "", "`search`"),
        (&post, "/api/cameras", input, "`rtsp_link_sub`"),
        (&put, "/api/cameras/x", input, "`rtsp_link_sub`"),
        (&post, "/api/cameras/test", input, "`profile`, `id`"),
        (&put, "/api/cameras.json", r#"[{"id":"x","colour":1}]"#, "`rtsp_link_sub`"),
        (&put, "/api/cameras.json?colour=1", "[]", "`dry_run`"),
        (&post, "/api/discovery", input, "`interface`"),
        (&post, "/api/playback/sessions", input, "`ttl_seconds`"),
    ];
    for (method, path, body, allowed) in table {
        let (status, problem, _) = send(&manager, method.clone(), path, body).await;
        assert_eq!((status, &problem["code"]), (400, &"invalid_request".into()), "{path}");
        let detail = problem["detail"].as_str().expect("a detail");
        let (_, list) = detail.split_once("unknown field `colour`; allowed: ").expect(detail);
        assert!(list.contains(allowed), "{path}: {detail}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn form_encoded_bodies_are_accepted() {
    let manager = Manager::start(&[]).await;
    let form = [("indicator_id", "x"), ("rtsp_link", "ftp://camera")];
    let encoded = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let request = manager
        .client()
        .post(manager.url("/api/stream/start"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(encoded);
    let response = manager.send(request).await;
    assert_eq!(response.body["code"], "invalid_source", "{response:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_from_common_web_frameworks_are_accepted() {
    let manager = Manager::start(&[]).await;
    let nginx = Nginx::start(&manager).await;
    let camera = r#"{"rtsp_link":"rtsp://192.0.2.1/x"}"#;
    let start = r#"{"indicator_id":" 7 ","rtsp_link":"rtsp://127.0.0.1:1/x","wait":"False"}"#;
    let with_mark = format!("\u{feff}{camera}");
    let form = "application/x-www-form-urlencoded";
    let multipart = "Multipart/Form-Data; boundary=----WebKit";
    let part = |name: &str, value: &str| {
        format!(
            "------WebKit\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        )
    };
    let end = "------WebKit--\r\n";
    let parts =
        [part("_token", "x"), part("ip", "192.0.2.2"), part("port", "8554"), part("path", "/x")];
    let in_parts = parts.concat() + end;
    let upload = "------WebKit\r\nContent-Disposition: form-data; name=\"file\"; filename=\"go2rtc.yaml\"\r\n\
                  Content-Type: application/yaml\r\n\r\nstreams:\n  up: rtsp://192.0.2.3/x\n\r\n";
    let upload = upload.to_owned() + end;
    let (put, post, get) = (Method::PUT, Method::POST, Method::GET);
    let table = [
        (&put, "/api/cameras/mark", "application/json", &*with_mark, 201),
        (&put, "/api/cameras/slash/", "APPLICATION/JSON; charset=UTF-8", camera, 201),
        (&put, "/api/cameras/%20blank%20", "application/json", camera, 201),
        (&post, "/api/stream/start/", "application/json", start, 200),
        (
            &post,
            "/api/stream/start",
            "Application/X-WWW-Form-Urlencoded; Charset=UTF-8",
            "indicator_id=7&wait=off&_token=a&csrfmiddlewaretoken=b",
            200,
        ),
        (&post, "/api/stream/stop", "application/json", r#"{"indicator_id":7,"_token":"x"}"#, 200),
        (&get, "/api/stream/status?indicator_id=+7+&_=1700000000000", "", "", 200),
        (&get, "/api/cameras/?limit=5&_=1", "", "", 200),
        (&get, "/streams/slash/snapshot.jpg?start=False&_=1", "", "", 404),
        (&put, "/api/cameras/form", form, "ip=192.0.2.2&port=8554&path=%2Fx&_method=PUT", 201),
        (&put, "/api/cameras/parts", multipart, &in_parts, 201),
        (&put, "/api/cameras.json/", multipart, &upload, 200),
        (
            &put,
            "/api/cameras.json",
            "application/json",
            r#"{"cameras":[{"id":" wrapped ","rtsp_link":"rtsp://192.0.2.4/x"}]}"#,
            200,
        ),
        (
            &post,
            "/api/playback/sessions",
            form,
            "user=anna&camera=+form+&ttl_seconds=60&cookie=True",
            201,
        ),
    ];
    for (method, path, content_type, body, status) in table {
        let request = nginx.client().request(method.clone(), nginx.url(path));
        let request = request.header("content-type", content_type).body(body.to_owned());
        let response = request.send().await.expect("a response");
        assert_eq!(response.status(), status, "{path} {body}: {:?}", response.text().await);
    }
    for id in ["mark", "slash", "blank", "form", "parts", "up", "wrapped", "7"] {
        assert_eq!(manager.get(&format!("/api/cameras/{id}")).await.status, 200, "{id}");
    }
    for (path, body, reason) in [
        ("/api/cameras/x", r#"{"ip":"192.0.2.1","port":"8o"}"#, "`port` must be"),
        ("/api/cameras/x", r#"{"ip":"192.0.2.1","port":true}"#, "`port` must be"),
        ("/api/cameras/x", r#"{"ip":["192.0.2.1"]}"#, "`ip` has the wrong type"),
        ("/api/cameras.json", r#"[{"id":"a","name":7}]"#, "entry 1 (a): invalid request: `name`"),
        ("/api/cameras.json", r#"{"camera":[]}"#, "missing field `cameras`"),
        (
            "/api/cameras.json",
            r#"[{"rtsp_link":"rtsp://h/x"}]"#,
            "entry 1: the id of the camera is missing",
        ),
    ] {
        let (status, problem, _) = send(&manager, Method::PUT, path, body).await;
        assert_eq!(status, 400, "{body}");
        assert!(
            problem["detail"].as_str().is_some_and(|it| it.contains(reason)),
            "{body}: {problem}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_ffmpeg_or_stream_directory_the_manager_is_live_but_not_ready() {
    let manager = Manager::start(&[]).await;
    assert_eq!(manager.get("/livez").await.status, 200);
    assert_eq!(manager.get("/readyz").await.status, 200);
    let head = manager.client().head(manager.url("/readyz")).send().await.expect("a response");
    assert_eq!(head.status(), 200);

    let directory = tempfile::tempdir().expect("a directory");
    let broken = directory.path().join("ffmpeg");
    std::fs::write(&broken, "#!/no/such/interpreter\n").expect("a file");
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&broken, executable).expect("a mode");
    let hanging = directory.path().join("hanging");
    std::fs::write(&hanging, "#!/bin/sh\nexec sleep 1000\n").expect("a file");
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&hanging, executable).expect("a mode");
    let not_executable = directory.path().join("document");
    std::fs::write(&not_executable, "text").expect("a file");
    let programs = ["/no/such/ffmpeg", "/tmp", "/bin/true", "/bin/false", "/bin/echo", "yes"];
    let files = [&broken, &hanging, &not_executable].map(|file| file.to_str().expect("a path"));
    for program in programs.into_iter().chain(files) {
        let manager =
            Manager::start(&[("FFMPEG_BIN", program), ("START_TIMEOUT_SECONDS", "4")]).await;
        let ready = manager.get("/readyz").await;
        let expected = (503, &"ffmpeg_unavailable".into());
        assert_eq!((ready.status.as_u16(), &ready.body["code"]), expected, "{program}");
        assert_eq!(manager.get("/livez").await.status, 200);
        let reported = manager.log_fields().into_iter().any(|line| {
            line["problem"]
                .as_str()
                .is_some_and(|text| text.contains(&format!("FFMPEG_BIN={program}")))
        });
        assert!(reported, "{}", manager.log());
        let link = json!({ "rtsp_link": "rtsp://127.0.0.1:1/x" });
        let start = manager.start_stream("cam", "rtsp://127.0.0.1:1/x").await;
        let test = manager.post("/api/cameras/test", &link).await;
        for (status, body) in
            [(start.status.as_u16(), start.body), (test.status.as_u16(), test.body)]
        {
            assert_eq!((status, &body["code"]), expected, "{program}");
            assert!(body["detail"].as_str().expect("a text").contains("FFMPEG_BIN="), "{body}");
        }
    }

    std::fs::remove_dir_all(manager.stream_dir()).expect("the stream directory");
    // The manager caches a successful check for some seconds.
    until("/readyz reports the missing STREAM_DIR", || async {
        manager.get("/readyz").await.body["code"] == "storage_unavailable"
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_with_slow_headers_or_bodies_are_aborted() {
    let manager = Manager::start(&[]).await;
    let slow_head = async {
        let mut stream = TcpStream::connect(manager.address()).await.expect("a connection");
        stream
            .write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Slow:")
            .await
            .expect("a write");
        let mut response = Vec::new();
        // The manager closes the connection, with or without a 408 response.
        let _ = stream.read_to_end(&mut response).await;
    };
    let slow_body = async {
        let mut stream = TcpStream::connect(manager.address()).await.expect("a connection");
        let head =
            b"POST /api/stream/stop HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{";
        stream.write_all(head).await.expect("a write");
        let mut response = [0; 12];
        stream.read_exact(&mut response).await.expect("a response");
        assert_eq!(&response, b"HTTP/1.1 408");
    };
    let start = Instant::now();
    tokio::time::timeout(TIMEOUT, async { tokio::join!(slow_head, slow_body) })
        .await
        .expect("both requests are aborted");
    assert!(start.elapsed() > Duration::from_secs(5), "aborted after {:?}", start.elapsed());
    assert_eq!(manager.get("/livez").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes 70 s"]
async fn a_connection_can_be_used_again_after_seventy_seconds() {
    let manager = Manager::start(&[]).await;
    let mut stream = TcpStream::connect(manager.address()).await.expect("a connection");
    for pause in [70, 0] {
        let request = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";
        stream.write_all(request).await.expect("a write");
        let mut response = vec![0; 1000];
        let count = stream.read(&mut response).await.expect("a response");
        assert!(response[..count].starts_with(b"HTTP/1.1 200"), "the connection was closed");
        tokio::time::sleep(Duration::from_secs(pause)).await;
    }
}
