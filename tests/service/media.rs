//! How nginx serves media and the page: content types, headers, errors, and paths that it hides.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use nix::sys::signal::Signal;
use reqwest::Method;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{
    Manager, Nginx, Playlist, RawCamera, play, project_dir, start_live, start_service,
};

#[tokio::test(flavor = "multi_thread")]
async fn media_has_the_right_content_type_and_headers() {
    let (_camera, _manager, nginx) = start_live("h264", &[]).await;
    let files = Playlist::fetch(&nginx, "cam").await.expect("a playlist").files();
    let playlist = ("stream.m3u8".to_owned(), "application/vnd.apple.mpegurl");
    let media = files.into_iter().map(|file| (file, "video/mp4"));
    for (file, content_type) in media.chain([playlist]) {
        let response = nginx.get(&format!("/streams/cam/{file}")).await;
        assert_eq!(response.status(), 200, "{file}");
        let headers = response.headers();
        assert_eq!(headers["content-type"], content_type, "{file}");
        assert_eq!(headers["cache-control"], "no-store", "{file}");
        assert_eq!(headers["access-control-allow-origin"], "*", "{file}");
    }
    let preflight = nginx
        .client()
        .request(Method::OPTIONS, nginx.playlist("cam"))
        .header("origin", "https://example.org")
        .header("access-control-request-method", "GET")
        .header("access-control-request-headers", "range");
    let preflight = preflight.send().await.expect("a response");
    assert_eq!(preflight.status(), 204);
    assert_eq!(
        preflight.headers()["access-control-allow-headers"],
        "Range, Last-Event-ID, Authorization, X-API-Key, X-Requested-With"
    );
    let post = nginx.client().post(nginx.playlist("cam")).send().await.expect("a response");
    assert_eq!(post.status(), 405);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_pages_of_listed_origins_can_play_and_use_the_api() {
    let (_camera, manager, any_origin) = start_live("h264", &[]).await;
    let listed_origins = Nginx::start_with(&manager, "https://a.example https://b.example").await;
    let allowed = |nginx: &Nginx, path: &str, origin: &str| {
        let request = nginx.client().get(nginx.url(path)).header("origin", origin);
        async move {
            let response = request.send().await.expect("a response");
            let header = response.headers().get("access-control-allow-origin").cloned();
            header.map(|value| value.to_str().expect("text").to_owned())
        }
    };
    let some = |text: &str| Some(text.to_owned());
    let (playlist, api, export) = ("/streams/cam/stream.m3u8", "/api/health", "/api/cameras.json");
    let reload = "/streams/cam/stream.m3u8?_HLS_msn=1";
    for path in [playlist, "/streams/cam/1.m4s", reload, api, export] {
        for origin in ["https://a.example", "https://b.example"] {
            assert_eq!(allowed(&listed_origins, path, origin).await, some(origin), "{path}");
        }
        for origin in ["https://c.example", "https://a.exampl", "a.example", "null", ""] {
            assert_eq!(allowed(&listed_origins, path, origin).await, None, "{path} {origin}");
        }
    }
    assert_eq!(allowed(&any_origin, playlist, "https://c.example").await, some("*"));
    assert_eq!(allowed(&any_origin, api, "https://c.example").await, None);

    // Browsers send a preflight request before they send a key.
    for path in [api, export] {
        let preflight = listed_origins.client().request(Method::OPTIONS, listed_origins.url(path));
        let preflight = preflight.header("origin", "https://a.example").send().await;
        let preflight = preflight.expect("a response");
        assert_eq!(preflight.status(), 204, "{path}");
        let headers = preflight.headers();
        assert_eq!(headers["access-control-allow-origin"], "https://a.example", "{path}");
        assert_eq!(
            headers["access-control-allow-headers"],
            "Content-Type, Last-Event-ID, Authorization, X-API-Key, X-Requested-With",
            "{path}"
        );
    }
    // Pages of listed origins can also read the response that nginx sends after too many requests.
    let get = |_| {
        listed_origins
            .client()
            .get(listed_origins.url(api))
            .header("origin", "https://a.example")
            .send()
    };
    let responses = join_all((0..1000).map(get)).await.into_iter();
    let mut responses = responses.map(|response| response.expect("a response"));
    let too_many = responses.find(|response| response.status() == 429).expect("a 429 response");
    assert_eq!(too_many.headers()["access-control-allow-origin"], "https://a.example");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_404_is_a_problem_document_that_any_page_can_read() {
    let manager = Manager::start(&[]).await;
    let nginx = Nginx::start(&manager).await;
    for (path, code) in [
        ("/streams/unknown/stream.m3u8", "unknown_camera"),
        ("/streams/unknown/1.m4s", "not_found"),
    ] {
        let response = nginx.get(path).await;
        assert_eq!(response.status(), 404, "{path}");
        assert_eq!(response.headers()["access-control-allow-origin"], "*", "{path}");
        assert_eq!(response.headers()["content-type"], "application/problem+json", "{path}");
        let problem: Value = response.json().await.expect("JSON");
        assert_eq!(problem["code"], code, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn internal_paths_and_other_files_are_not_served() {
    let manager = Manager::start(&[]).await;
    let nginx = Nginx::start(&manager).await;
    let root = manager.stream_dir();
    std::fs::write(root.join("secret.m4s"), "x").expect("a file");
    for path in [
        "/internal/viewer",
        "/livez",
        "/readyz",
        "/streams/",
        "/streams/.lock",
        "/streams/cam/",
        "/streams/cam/.ready",
        "/package.json",
        "/node_modules/hls.js/package.json",
    ] {
        assert_eq!(nginx.get(path).await.status(), 404, "{path}");
    }
    // An HTTP library would normalize these paths, so the test writes the requests itself.
    for path in
        ["/streams/../secret.m4s", "/streams/%2e%2e/secret.m4s", "/streams/cam/..%2fsecret.m4s"]
    {
        let response = raw_get(&nginx, path).await;
        let status = response.split_whitespace().nth(1).unwrap_or_default();
        assert!(status == "404" || status == "400", "{path}: {response}");
    }
}

/// Requests a path without normalizing it, and returns the response as text.
async fn raw_get(nginx: &Nginx, path: &str) -> String {
    let mut stream = TcpStream::connect(nginx.address()).await.expect("a connection");
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("a write");
    let mut response = String::new();
    stream.read_to_string(&mut response).await.expect("a response");
    response
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_immediately_responds_with_503_if_the_manager_is_down() {
    let (_camera, mut manager, nginx) = start_live("h264", &[]).await;
    let segment = Playlist::fetch(&nginx, "cam").await.expect("a playlist").files().remove(0);
    manager.signal(Signal::SIGKILL);
    manager.exit_code().await;
    let paths = ["stream.m3u8", &segment].map(|file| format!("/streams/cam/{file}"));
    for path in [paths.as_slice(), &["/api/health".to_owned()]].concat() {
        let start = Instant::now();
        let response = nginx.get(&path).await;
        assert_eq!(response.status(), 503, "{path}");
        assert!(start.elapsed() < Duration::from_secs(3), "{path} took {:?}", start.elapsed());
        assert_eq!(response.headers()["access-control-allow-origin"], "*", "{path}");
        assert!(response.headers().contains_key("retry-after"), "{path}");
        let problem: Value = response.json().await.expect("JSON");
        assert_eq!(problem["code"], "manager_unavailable", "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_serves_the_page_and_every_file_that_the_page_loads() {
    build_page();
    let manager = Manager::start(&[]).await;
    let nginx = Nginx::start(&manager).await;
    let page = nginx.get("/").await;
    assert_eq!(page.headers()["content-type"], "text/html");
    assert_eq!(page.headers()["cache-control"], "no-store");
    let policy = page.headers()["content-security-policy"].to_str().expect("a policy").to_owned();
    assert!(policy.starts_with("default-src 'none';") && !policy.contains("unsafe"), "{policy}");
    let html = page.text().await.expect("a page");
    assert!(!html.contains("https://") && !html.contains("http://"), "{html}");
    let files: Vec<_> = html.split('"').filter_map(|word| word.strip_prefix("./")).collect();
    for kind in [".js", ".css", ".svg"] {
        assert!(files.iter().any(|file| file.ends_with(kind)), "the page loads no {kind} file");
    }
    for file in files {
        let response = nginx.get(&format!("/{file}")).await;
        assert_eq!(response.status(), 200, "{file}");
        let caching = response.headers()["cache-control"].to_str().expect("a string");
        // Only names with a hash of the content are immutable.
        let expected = if file.starts_with("assets/") { "immutable" } else { "max-age=3600" };
        assert!(caching.contains(expected), "{file}: {caching}");
    }
    for path in ["/assets/", "/assets/none.js", "/.sources", "/index.html", "/assets/../index.html"]
    {
        assert_eq!(nginx.get(path).await.status(), 404, "{path}");
    }
}

fn build_page() {
    let build = std::process::Command::new("bash")
        .args(["-euc", ". deploy/lib.sh; web_build"])
        .current_dir(project_dir())
        .status();
    assert!(build.expect("bash").success(), "web_build failed");
}

/// Browsers and FFmpeg reject a frame if its decode time is not later than the previous frame's.
#[tokio::test(flavor = "multi_thread")]
async fn frames_of_a_camera_with_b_frames_have_increasing_decode_times() {
    let (camera, manager, nginx) = start_service(&[]).await;
    let raw = RawCamera::start("--video h264-bframes").await;
    for (id, link) in [("camera", camera.link("h264-bframes")), ("raw", raw.link())] {
        manager.play(id, &link).await;
        play(&nginx.playlist(id), 3).await;
        let mut stream = Vec::new();
        for file in Playlist::fetch(&nginx, id).await.expect("a playlist").files() {
            let response = nginx.get(&format!("/streams/{id}/{file}")).await;
            stream.extend(response.bytes().await.expect("a complete file"));
        }
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("stream.mp4");
        std::fs::write(&path, stream).expect("a file");
        let entries = ["-v", "error", "-select_streams", "v", "-show_entries", "packet=dts"];
        let mut ffprobe = std::process::Command::new("ffprobe");
        let output = ffprobe.args(entries).args(["-of", "csv=p=0"]).arg(&path).output();
        let output = String::from_utf8(output.expect("ffprobe").stdout).expect("text");
        let times = output.lines().map(|line| line.trim_end_matches(',').parse());
        let times: Vec<i64> = times.collect::<Result<_, _>>().expect("numbers");
        let is_increasing = times.is_sorted_by(|before, after| before < after);
        assert!(times.len() > 20 && is_increasing, "{id}: {times:?}");
    }
}
