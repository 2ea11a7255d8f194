//! Access to the service through other proxies and from the machine itself: which requests need a key, and
//! which address the manager logs for a client.

use std::os::unix::fs::PermissionsExt as _;

use nix::sys::signal::Signal;
use reqwest::header::{AUTHORIZATION, HOST};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder, Version};
use serde_json::{Value, json};

use crate::support::{Camera, Manager, Nginx, OuterProxy, start_live, until};

const KEY: &str = "boss-secret-000001";
const KEYS: &[(&str, &str)] = &[("API_KEYS", "boss:admin:boss-secret-000001")];

/// Returns the status of the response to a request.
async fn status(request: RequestBuilder) -> u16 {
    request.send().await.expect("a response").status().as_u16()
}

/// Returns the status and the `detail` of the response to a request.
async fn problem(request: RequestBuilder) -> (u16, String) {
    let response = request.send().await.expect("a response");
    let status = response.status().as_u16();
    let body: Value = response.json().await.expect("a problem");
    (status, body["detail"].as_str().unwrap_or_default().to_owned())
}

/// Returns the name of the first segment in a playlist.
fn segment_of(playlist: &str) -> &str {
    playlist.lines().find(|line| !line.is_empty() && !line.starts_with('#')).expect("a segment")
}

/// Returns proxies as they are often configured, in front of this address: nginx with `proxy_pass` alone,
/// nginx with the usual headers, and Caddy.
async fn proxies_of(address: &str) -> [OuterProxy; 3] {
    let pass = format!("proxy_pass http://{address};");
    let headers = "proxy_set_header Host $host; \
                   proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;";
    [
        OuterProxy::nginx(&format!("location / {{ {pass} }}")).await,
        OuterProxy::nginx(&format!("location / {{ {pass} {headers} }}")).await,
        OuterProxy::caddy(&format!("reverse_proxy {address}")).await,
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn without_settings_an_admin_key_is_created_at_the_first_start() {
    let settings = [("ALLOW_ANONYMOUS", "")];
    let mut manager = Manager::start(&settings).await;
    let refused = manager.get("/api/streams").await;
    assert_eq!(refused.status, 401, "{refused:?}");
    let detail = refused.body["detail"].as_str().expect("a detail");
    assert!(detail.contains("link") && detail.contains("ALLOW_ANONYMOUS=true"), "{detail}");
    assert_eq!(manager.get("/streams/cam/stream.m3u8").await.status, 401);

    let file = manager.dir().path().join("streams.db.admin-key");
    let mode = file.metadata().expect("a key file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let key = std::fs::read_to_string(&file).expect("a key").trim().to_owned();
    let link = |manager: &Manager| {
        let fields = manager.log_fields();
        fields.iter().find_map(|fields| fields["link"].as_str().map(str::to_owned))
    };
    until("the log shows the link", || async { link(&manager).is_some() }).await;
    assert_eq!(link(&manager), Some(format!("http://localhost:8080/#key={key}")));
    let caller = manager.call(&key, Method::GET, "/api/caller", &json!({})).await;
    let expected = json!({ "name": "admin", "role": "admin", "rights": ["live"] });
    assert_eq!(caller.body, expected);

    manager.signal(Signal::SIGTERM);
    assert_eq!(manager.exit_code().await, 0);
    let again = manager.start_again(&settings).await;
    let caller = again.call(&key, Method::GET, "/api/caller", &json!({})).await;
    assert_eq!(caller.body["role"], "admin", "the key must still work after a restart: {caller:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_have_passed_a_proxy_are_refused_if_there_are_no_api_keys() {
    let (_camera, manager, nginx) = start_live("h264", &[]).await;
    let client = nginx.client();
    let playlist = nginx.get("/streams/cam/stream.m3u8").await.text().await.expect("a playlist");
    let segment = segment_of(&playlist);
    let segment = format!("/streams/cam/{segment}");
    let paths = ["/api/caller", "/streams/cam/stream.m3u8", "/streams/cam/snapshot.jpg", &segment];
    let forwarding = [
        ("Forwarded", "for=192.0.2.1"),
        ("Via", "1.1 proxy"),
        ("X-Forwarded-For", "127.0.0.1"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "localhost"),
        ("Host", "cameras.example"),
    ];
    for path in paths {
        let request = || client.get(nginx.url(path));
        assert_eq!(status(request()).await, 200, "{path}");
        for (name, value) in forwarding {
            assert_eq!(status(request().header(name, value)).await, 403, "{path}, {name}");
        }
        assert_eq!(status(request().version(Version::HTTP_10)).await, 403, "{path}, HTTP/1.0");
    }
    for proxy in proxies_of(&nginx.address()).await {
        for path in paths {
            let request = client.get(proxy.url(path)).header(HOST, "cameras.example");
            assert_eq!(status(request).await, 403, "{path} through {}", proxy.url("/"));
        }
    }
    // The manager also refuses such requests on its own port.
    let direct = || client.get(manager.url("/api/caller"));
    assert_eq!(status(direct()).await, 200);
    for (name, value) in forwarding {
        let (status, detail) = problem(direct().header(name, value)).await;
        assert!(status == 403 && detail.contains("ALLOW_ANONYMOUS"), "{name}: {status} {detail}");
    }
    for proxy in proxies_of(manager.address()).await {
        let request = client.get(proxy.url("/api/caller")).header(HOST, "cameras.example");
        assert_eq!(status(request).await, 403, "{}", proxy.url("/"));
    }
    // A proxy can serve the page at another address. The manager refuses the requests of such a page even if
    // the proxy adds no headers.
    let elsewhere = direct().header("Referer", "http://cameras.example/");
    assert_eq!(status(elsewhere).await, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_keys_pages_of_other_sites_cannot_change_anything_even_with_get() {
    let manager = Manager::start(&[]).await;
    let nginx = Nginx::start(&manager).await;
    let start = "/api/stream/start?indicator_id=cam&wait=false&rtsp_link=rtsp://127.0.0.1:9/x";
    for url in [nginx.url(start), manager.url(start)] {
        for (name, value) in [
            ("Sec-Fetch-Site", "cross-site"),
            ("Referer", "https://cameras.example/"),
            ("Origin", "https://cameras.example"),
            ("Origin", "null"),
        ] {
            let (status, detail) = problem(nginx.client().get(&url).header(name, value)).await;
            assert!(status == 403 && detail.contains("other sites"), "{name}: {detail}");
        }
    }
    assert_eq!(manager.get("/api/cameras/cam").await.status, 404, "a camera was added");
    // Requests of the page itself, or of another page on this machine, are accepted.
    for site in ["same-origin", "same-site"] {
        let request = nginx.client().get(nginx.url(start)).header("Sec-Fetch-Site", site);
        assert_eq!(status(request).await, 200, "{site}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_key_the_service_works_through_proxies_even_if_they_require_passwords() {
    let manager = Manager::start(KEYS).await;
    let nginx = Nginx::start(&manager).await;
    let client = nginx.client();
    for proxy in proxies_of(&nginx.address()).await {
        let request = || client.get(proxy.url("/api/caller")).header(HOST, "cameras.example");
        assert_eq!(status(request()).await, 401);
        assert_eq!(status(request().bearer_auth(KEY)).await, 200);
    }
    let directives = format!(
        "location / {{ auth_basic cameras; auth_basic_user_file ACCOUNTS; proxy_pass http://{}; }}",
        nginx.address()
    );
    let proxy = OuterProxy::nginx(&directives).await;
    let request = || client.get(proxy.url("/api/caller")).header("X-API-Key", KEY);
    assert_eq!(status(request()).await, 401, "the proxy must require a password");
    assert_eq!(status(request().basic_auth("anna", Some("secret"))).await, 200);
    let other_user = request().header(AUTHORIZATION, "Bearer of-the-outer-proxy-0001");
    assert_eq!(status(other_user).await, 401, "the proxy must require a password");
    let direct = client.get(nginx.url("/api/caller")).header("X-API-Key", KEY);
    let with_both = direct.header(AUTHORIZATION, "Bearer of-the-outer-proxy-0001");
    assert_eq!(status(with_both).await, 200, "X-API-Key must take precedence");
}

#[tokio::test(flavor = "multi_thread")]
async fn trusted_proxies_report_the_clients_address() {
    let proxies = [("TRUSTED_PROXIES", "127.0.0.1 10.0.0.0/8")];
    let manager = Manager::start(&[KEYS, &proxies].concat()).await;
    let nginx = Nginx::start_with_settings(&manager, &proxies).await;
    let (nginx_address, headers) = (nginx.address(), "proxy_set_header X-Forwarded-For");
    let appending = format!("{headers} $proxy_add_x_forwarded_for;");
    let in_front = async |address: &str| {
        let location = format!("location / {{ proxy_pass http://{address}; {appending} }}");
        OuterProxy::nginx(&location).await
    };
    let proxies = [
        in_front(&nginx_address).await,
        OuterProxy::caddy(&format!("reverse_proxy {nginx_address}")).await,
        in_front(manager.address()).await,
    ];
    for (number, proxy) in proxies.iter().enumerate() {
        let own = format!("127.0.1.{number}");
        let address = own.parse::<std::net::IpAddr>().expect("an address");
        let client = Client::builder().local_address(address).build().expect("a client");
        // A client cannot choose its address: the proxy appends the real one.
        let request = || {
            let request = client.get(proxy.url("/api/caller")).bearer_auth("wrong-secret-0001");
            request.header("X-Forwarded-For", "198.51.100.1").header("X-Real-IP", "198.51.100.1")
        };
        assert_eq!(status(request()).await, 401);
        let is_logged = || {
            let fields = manager.log_fields();
            fields.iter().any(|fields| {
                fields["message"] == "wrong API key" && fields["address"] == own.as_str()
            })
        };
        until("the manager logs the client's address", || async { is_logged() }).await;
        for _ in 1..20 {
            assert_eq!(status(request()).await, 401);
        }
        assert_eq!(status(request()).await, 429, "{own} has sent too many wrong keys");
    }
    let in_log = |address: &str| nginx.log().lines().any(|line| line.starts_with(address));
    assert!(in_log("127.0.1.0 ") && in_log("127.0.1.1 "), "{}", nginx.log());
    assert!(!in_log("198.51.100.1 "), "{}", nginx.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn urls_cookies_and_media_work_below_a_path_whether_or_not_a_proxy_removes_the_path() {
    let public = [("PUBLIC_URL", "https://example.com/cameras/")];
    let settings = [KEYS, &public].concat();
    let camera = Camera::start().await;
    let manager = Manager::start(&settings).await;
    let nginx = Nginx::start_with_settings(&manager, &public).await;
    let address = nginx.address();
    let proxies = [
        OuterProxy::nginx(&format!("location /cameras/ {{ proxy_pass http://{address}/; }}")).await,
        OuterProxy::nginx(&format!("location /cameras {{ proxy_pass http://{address}; }}")).await,
        OuterProxy::caddy(&format!("handle_path /cameras/* {{\nreverse_proxy {address}\n}}")).await,
    ];
    let client = Client::builder().redirect(Policy::none()).build().expect("a client");
    for (number, proxy) in proxies.iter().enumerate() {
        let page = client.get(proxy.url("/cameras/")).send().await.expect("the page");
        assert_eq!(page.status(), 200);
        let id = format!("cam-{number}");
        let request = client.post(proxy.url("/cameras/api/cameras")).header("X-API-Key", KEY);
        let added = request.json(&json!({ "id": id, "rtsp_link": camera.link("h264") }));
        let added = added.send().await.expect("a response");
        let location = format!("https://example.com/cameras/api/cameras/{id}");
        assert_eq!(added.headers()["location"], location.as_str());
        let request = client.post(proxy.url("/cameras/api/stream/start")).bearer_auth(KEY);
        let started = request.json(&json!({ "indicator_id": id })).send().await.expect("a start");
        let started: Value = started.json().await.expect("JSON");
        let path = format!("/cameras/streams/{id}/stream.m3u8");
        assert_eq!(started["stream_path"], path.as_str());

        let request = client.post(proxy.url("/cameras/api/playback/sessions")).bearer_auth(KEY);
        let input = json!({ "user": "anna", "camera": id, "cookie": true });
        let session = request.json(&input).send().await.expect("a session");
        let cookie = session.headers()["set-cookie"].to_str().expect("text").to_owned();
        assert!(cookie.contains("; Path=/cameras/streams;"), "{cookie}");
        assert!(cookie.ends_with("; Secure"), "PUBLIC_URL begins with https: {cookie}");
        let session: Value = session.json().await.expect("JSON");
        let url = session["hls_url"].as_str().expect("a URL");
        let path = url.strip_prefix("https://example.com").expect(url);
        let playlist = client.get(proxy.url(path)).send().await.expect("a playlist");
        assert_eq!(playlist.status(), 200, "{path}");
        let playlist = playlist.text().await.expect("a playlist");
        let segment = segment_of(&playlist);
        let folder = path.strip_suffix("stream.m3u8").expect(path);
        assert_eq!(status(client.get(proxy.url(&format!("{folder}{segment}")))).await, 200);
    }
    // The service's nginx adds the missing slash. Without it, relative URLs of the page would lead to other paths.
    let redirect = client.get(proxies[1].url("/cameras")).send().await.expect("a redirect");
    assert_eq!(redirect.status(), 301);
    assert_eq!(redirect.headers()["location"], "/cameras/");
    let log = nginx.log();
    assert!(
        log.contains("GET /play/***/cam-0/stream.m3u8 "),
        "nginx must log the URL without the path prefix and the token: {log}"
    );
}
