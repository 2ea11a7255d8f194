//! ONVIF devices with unusual habits: clocks, addresses, versions of the media service, HTTP authentication,
//! and certificates. Each device is queried at its own address, without multicast.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{ApiResponse, Camera, Manager, OnvifDevice, certificate, merged, until};

const USER: &str = "admin";
const PASSWORD: &str = "pw-onvif-1";

/// Starts a device that requires a login.
async fn start_device(arguments: &[&str]) -> OnvifDevice {
    let login = ["--user", USER, "--password", PASSWORD];
    OnvifDevice::start(&[&login, arguments].concat()).await
}

/// Queries the device at `address` with this password, and returns the device's entry.
async fn query(manager: &Manager, address: &str, password: &str, fields: Value) -> Value {
    let body = json!({ "address": address, "username": USER, "password": password });
    let response = manager.post("/api/discovery", &merged(body, fields)).await;
    assert_eq!(response.status, 200, "{response:?}");
    response.body["devices"][0].clone()
}

/// Checks that the device accepts the login and reports its three streams.
async fn assert_complete(manager: &Manager, device: &OnvifDevice, arguments: &[&str]) {
    let entry = query(manager, &device.address_and_port(), PASSWORD, json!({})).await;
    assert_eq!(entry["needs_credentials"], false, "{arguments:?}: {entry}");
    assert_eq!(entry["error"], Value::Null, "{arguments:?}: {entry}");
    assert_eq!(entry["profiles"].as_array().map(Vec::len), Some(3), "{arguments:?}: {entry}");
    assert!(entry["main"].is_string() && entry["sub"].is_string(), "{arguments:?}: {entry}");
}

/// Returns the number of requests whose login the device rejected. Requests for the device's time do not count.
fn rejected_logins(device: &OnvifDevice) -> usize {
    let requests = device.events("request").into_iter();
    let is_rejected = |event: &Value| {
        event["operation"] != "GetSystemDateAndTime" && event["authorized"] == false
    };
    requests.filter(is_rejected).count()
}

#[tokio::test]
async fn logins_succeed_although_the_device_reports_a_wrong_time_or_none() {
    let manager = Manager::start(&[]).await;
    for (arguments, rejected) in [
        (&["--time", "local"][..], 0),
        (&["--time", "local", "--zone", "-3.5", "--clock", "100"], 0),
        (&["--time", "wrong", "--zone", "8"], 1),
        (&["--time", "wrong", "--zone", "-5", "--clock", "60"], 1),
        (&["--time", "wrong", "--zone", "5.75", "--clock", "-90000000"], 1),
        (&["--time", "login"], 0),
        (&["--time", "login", "--clock", "-5000"], 0),
        (&["--time", "none"], 0),
        (&["--time", "none", "--clock", "-5000"], 0),
    ] {
        let device = start_device(arguments).await;
        assert_complete(&manager, &device, arguments).await;
        assert_eq!(rejected_logins(&device), rejected, "{arguments:?}");
    }
}

#[tokio::test]
async fn a_wrong_password_is_sent_at_most_three_times() {
    let manager = Manager::start(&[]).await;
    for (arguments, most) in [
        (&[][..], 1),
        (&["--time", "wrong"], 2),
        (&["--time", "local", "--clock", "-90000000"], 3),
        (&["--time", "login"], 1),
        (&["--http-auth", "md5"], 1),
    ] {
        let device = start_device(arguments).await;
        let entry = query(&manager, &device.address_and_port(), "pw-wrong", json!({})).await;
        assert_eq!(entry["needs_credentials"], true, "{arguments:?}: {entry}");
        assert!(entry["error"].as_str().is_some_and(|error| error.contains("password")), "{entry}");
        let in_headers = device.events("rejected").into_iter();
        let in_headers = in_headers.filter(|event| event["credentials"] == true).count();
        let sent = rejected_logins(&device) + in_headers;
        assert!((1..=most).contains(&sent), "{arguments:?}: {sent}");
    }
    assert!(!manager.log().contains("pw-wrong"));
}

#[tokio::test]
async fn media_services_are_found_although_their_addresses_are_wrong_or_malformed() {
    let manager = Manager::start(&[]).await;
    for format in [
        "{host}:{port}{path}",
        "{path}",
        "http://{host}:0{path}",
        "http://{host}:null{path}",
        "https://{host}{path}",
        "https://{host}:{port}{path}",
        "http://10.255.255.1:{port}{path}",
        "http://camera.invalid{path}",
        "http://[2001:db8::7]:81{path}",
        "http://2001:db8::7{path}",
    ] {
        let arguments = ["--media-address", format];
        let device = start_device(&arguments).await;
        assert_complete(&manager, &device, &arguments).await;
    }
}

#[tokio::test]
async fn version_1_of_the_media_service_is_used_if_version_2_does_not_work() {
    let manager = Manager::start(&[]).await;
    for behaviour in ["refuses", "empty", "linkless"] {
        let arguments = ["--media2", behaviour];
        let device = start_device(&arguments).await;
        assert_complete(&manager, &device, &arguments).await;
    }
}

#[tokio::test]
async fn devices_with_http_digest_authentication_accept_the_login() {
    let manager = Manager::start(&[]).await;
    for arguments in [
        &["--http-auth", "md5"][..],
        &["--http-auth", "sha256"],
        &["--http-auth", "both"],
        &["--http-auth", "md5", "--nonce-uses", "1"],
        &["--http-auth", "md5", "--time", "login"],
        &["--http-auth", "md5", "--clock", "-5000", "--time", "none"],
    ] {
        let device = start_device(arguments).await;
        assert_complete(&manager, &device, arguments).await;
        let wrong = device.events("rejected").into_iter();
        assert_eq!(wrong.filter(|event| event["credentials"] == true).count(), 0, "{arguments:?}");
    }
}

#[tokio::test]
async fn a_password_is_sent_in_clear_text_only_over_https() {
    let dir = TempDir::new().expect("a directory");
    let (pem, fingerprint) = certificate(dir.path());
    let manager = Manager::start(&[]).await;
    let device = start_device(&["--http-auth", "basic"]).await;
    let entry = query(&manager, &device.address_and_port(), PASSWORD, json!({})).await;
    assert!(entry["error"].as_str().is_some_and(|error| error.contains("HTTPS")), "{entry}");
    assert_eq!((&entry["profiles"], &entry["error_code"]), (&json!([]), &Value::Null), "{entry}");
    let in_clear_text = device.events("rejected").into_iter();
    assert_eq!(in_clear_text.filter(|event| event["credentials"] == true).count(), 0);

    let device = start_device(&["--http-auth", "basic", "--certificate", &pem]).await;
    let address = format!("https://{}", device.address_and_port());
    let fields = json!({ "onvif_certificate": fingerprint });
    let entry = query(&manager, &address, PASSWORD, fields).await;
    assert_eq!((&entry["error"], &entry["needs_credentials"]), (&Value::Null, &json!(false)));
    assert!(entry["main"].is_string(), "{entry}");
    assert!(!manager.log().contains(PASSWORD));
}

#[tokio::test]
async fn a_self_signed_certificate_must_be_confirmed_before_credentials_are_sent() {
    let dir = TempDir::new().expect("a directory");
    let (pem, fingerprint) = certificate(dir.path());
    let manager = Manager::start(&[]).await;
    let device = start_device(&["--certificate", &pem]).await;
    let address = format!("https://{}", device.address_and_port());

    let entry = query(&manager, &address, PASSWORD, json!({})).await;
    assert_eq!(entry["error_code"], "onvif_certificate_unknown", "{entry}");
    assert_eq!(entry["onvif_certificate"], fingerprint, "{entry}");
    assert_eq!(entry["onvif"], format!("{address}/onvif/device_service"));
    assert_eq!(entry["profiles"], json!([]));

    let other = "00:".repeat(31) + "00";
    let fields = json!({ "onvif_certificate": other });
    let entry = query(&manager, &address, PASSWORD, fields).await;
    assert_eq!(entry["error_code"], "onvif_certificate_changed", "{entry}");
    assert_eq!(entry["onvif_certificate"], fingerprint, "{entry}");
    assert_eq!(device.events("request"), Vec::<Value>::new(), "a request was sent");

    let lower_case = fingerprint.replace(':', "").to_lowercase();
    let fields = json!({ "onvif_certificate": lower_case });
    let entry = query(&manager, &address, PASSWORD, fields).await;
    assert_eq!((&entry["error"], &entry["error_code"]), (&Value::Null, &Value::Null), "{entry}");
    assert_eq!(entry["onvif_certificate"], fingerprint, "{entry}");
    assert!(entry["main"].is_string(), "{entry}");

    for (address, fingerprint) in
        [(address.as_str(), "00"), ("127.0.0.1", &fingerprint), ("", &fingerprint)]
    {
        let body = json!({ "address": address, "onvif_certificate": fingerprint });
        let response = manager.post("/api/discovery", &body).await;
        assert_eq!(response.body["code"], "invalid_request", "{body}: {response:?}");
    }
}

/// Adds or replaces camera "cam" with these fields.
async fn put(manager: &Manager, camera: &Camera, fields: Value) -> ApiResponse {
    let body = json!({ "rtsp_link": camera.link_with_credentials("h264") });
    manager.put("/api/cameras/cam", &merged(body, fields)).await
}

/// Stops the stream of camera "cam" and starts it again.
async fn restart(manager: &Manager) {
    manager.stop_stream("cam").await;
    let response = manager.post("/api/cameras/cam/stream/start", &json!({})).await;
    assert_eq!(response.status, 200, "{response:?}\n{}", manager.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keyframe_is_requested_with_the_login_that_the_device_accepted_before() {
    let camera = Camera::start_with(&["--running", "h264", "--gop-seconds", "60"]).await;
    let login = ["--user", "viewer", "--password", camera.password()];
    let habits = ["--http-auth", "sha256", "--media2", "refuses"];
    let device = OnvifDevice::start_for(&camera, &[login.as_slice(), &habits].concat()).await;
    let manager = Manager::start(&[]).await;
    let response = put(&manager, &camera, json!({ "onvif": device.address_and_port() })).await;
    assert_eq!(response.status, 201, "{response:?}");
    restart(&manager).await;
    let rejected = device.events("rejected").len();
    for keyframes in 2..=3 {
        restart(&manager).await;
        assert_eq!(device.events("keyframe").len(), keyframes, "{}", manager.log());
    }
    assert_eq!(device.events("rejected").len(), rejected);
    assert!(!manager.log().contains(camera.password()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_keeps_the_confirmed_certificate_of_its_onvif_service() {
    let dir = TempDir::new().expect("a directory");
    let (pem, fingerprint) = certificate(dir.path());
    let camera = Camera::start_with(&["--running", "h264", "--gop-seconds", "60"]).await;
    let arguments = ["--user", "viewer", "--password", camera.password(), "--certificate", &pem];
    let device = OnvifDevice::start_for(&camera, &arguments).await;
    let manager = Manager::start(&[]).await;
    let onvif = format!("https://{}/onvif/device_service", device.address_and_port());

    let response = put(&manager, &camera, json!({ "onvif": onvif })).await;
    assert_eq!(response.status, 409, "{response:?}");
    assert_eq!(response.body["code"], "onvif_certificate_unknown", "{response:?}");
    assert_eq!(response.body["onvif_certificate"], fingerprint, "{response:?}");
    assert_eq!(manager.get("/api/cameras/cam").await.status, 404, "the camera was stored");

    let confirmed = json!({ "onvif": onvif, "onvif_certificate": fingerprint });
    for (fields, status) in [(&confirmed, 201), (&json!({ "onvif": onvif }), 200)] {
        let response = put(&manager, &camera, fields.clone()).await;
        assert_eq!(response.status, status, "{response:?}");
        assert_eq!(response.body["onvif"], onvif, "{response:?}");
        assert_eq!(response.body["onvif_certificate"], fingerprint, "{response:?}");
    }
    let export = manager.get("/api/cameras.json").await.body;
    assert_eq!(export[0]["onvif_certificate"], fingerprint);
    assert_eq!(manager.put("/api/cameras.json", &export).await.body["unchanged"], 1);

    restart(&manager).await;
    assert_eq!(device.events("keyframe").len(), 1, "{}", manager.log());

    // If the confirmed certificate is not the device's, the manager sends no request, and logs the reason.
    let other = "00:".repeat(31) + "00";
    let changed = json!({ "onvif": onvif, "onvif_certificate": other });
    let response = put(&manager, &camera, changed).await;
    assert_eq!(response.body["onvif_certificate"], other, "{response:?}");
    let requests = device.events("request").len();
    manager.stop_stream("cam").await;
    manager.post("/api/cameras/cam/stream/start", &json!({ "wait": false })).await;
    until("the log explains the failure", || async {
        let is_warning = |line: &str| {
            line.contains("\"WARN\"") && line.contains("the device's certificate has changed")
        };
        manager.log().lines().any(is_warning)
    })
    .await;
    assert_eq!(device.events("request").len(), requests, "a request was sent");

    let response = put(&manager, &camera, json!({ "onvif_certificate": fingerprint })).await;
    assert_eq!(response.body["code"], "invalid_request", "{response:?}");
    assert!(!manager.log().contains(camera.password()));
}

#[tokio::test]
async fn a_certificate_from_a_certificate_authority_needs_no_confirmation() {
    let dir = TempDir::new().expect("a directory");
    let (pem, fingerprint) = certificate(dir.path());
    let authority = dir.path().join("certificate.pem");
    let camera = Camera::start().await;
    let device = OnvifDevice::start_for(&camera, &["--certificate", &pem]).await;
    let manager = Manager::start(&[("SSL_CERT_FILE", authority.to_str().expect("a path"))]).await;
    let port = device.address_and_port();
    let port = port.strip_prefix("127.0.0.1:").expect("a port");
    let link = camera.link("h264").replace("127.0.0.1", "localhost");
    let onvif = format!("https://localhost:{port}/onvif/device_service");
    let body = json!({ "rtsp_link": link, "onvif": onvif });
    let response = manager.put("/api/cameras/cam", &body).await;
    assert_eq!(response.status, 201, "{response:?}");
    assert_eq!(response.body["onvif_certificate"], Value::Null);
    let entry = query(&manager, &onvif, PASSWORD, json!({})).await;
    assert_eq!(entry["error"], Value::Null, "{entry}");
    assert_eq!(entry["onvif_certificate"], Value::Null, "{entry}");

    // The certificate is for localhost, not for 127.0.0.1.
    let response =
        put(&manager, &camera, json!({ "onvif": format!("https://127.0.0.1:{port}") })).await;
    assert_eq!(response.body["code"], "onvif_certificate_unknown", "{response:?}");
    assert_eq!(response.body["onvif_certificate"], fingerprint);
}

#[tokio::test]
async fn https_services_that_cannot_be_checked_are_refused() {
    let camera = Camera::start().await;
    let plain = OnvifDevice::start_for(&camera, &[]).await;
    let manager = Manager::start(&[]).await;
    for (address, status, code) in [
        (plain.address_and_port(), 502, "source_unsupported"),
        ("127.0.0.1:1".to_owned(), 502, "source_unreachable"),
    ] {
        let onvif = format!("https://{address}/onvif/device_service");
        let response = put(&manager, &camera, json!({ "onvif": onvif })).await;
        assert_eq!((response.status.as_u16(), &response.body["code"]), (status, &json!(code)));
        let entry = query(&manager, &onvif, PASSWORD, json!({})).await;
        assert!(entry["error"].is_string(), "{entry}");
        // With a confirmed certificate, the manager does not check the service.
        let fingerprint = "00".repeat(32);
        let fields = json!({ "onvif": onvif, "onvif_certificate": fingerprint });
        let response = put(&manager, &camera, fields).await;
        assert!(response.status.is_success(), "{response:?}");
    }
}
