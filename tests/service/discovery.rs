//! Discovery of cameras on the network, including devices that misbehave.
//!
//! The devices are on the loopback interface, which supports multicast like other interfaces. A test that searches
//! the loopback interface runs in its own network namespace if possible. Otherwise, the search also finds the
//! devices of tests that run in parallel. Each test therefore checks only its own devices. The tests of the command
//! `discover` create an interface.

use std::process::{Command, Output};

use serde_json::{Value, json};

use tempfile::TempDir;

use crate::support::{
    ApiResponse, Manager, OnvifDevice, certificate, in_own_network, merged, project_dir,
};

/// Searches for devices on the loopback interface. If the additional `fields` of the request contain an `address`,
/// queries only the device at this address.
async fn discover(manager: &Manager, fields: &Value) -> ApiResponse {
    let body = merged(json!({ "interface": "lo", "timeout_seconds": "2" }), fields.clone());
    manager.post("/api/discovery", &body).await
}

/// Returns the entry of this device in the response, or `None` if the response has no such entry. Panics if the
/// request failed.
fn find_entry<'a>(response: &'a ApiResponse, device: &OnvifDevice) -> Option<&'a Value> {
    assert_eq!(response.status, 200, "{response:?}");
    let mut devices = response.body["devices"].as_array().expect("devices").iter();
    devices.find(|entry| entry["address"] == device.ip_address())
}

/// Returns the error of a device's entry.
fn error(entry: &Value) -> &str {
    entry["error"].as_str().unwrap_or_else(|| panic!("no error: {entry}"))
}

#[test]
fn a_search_accepts_the_certificates_that_were_confirmed_for_cameras() {
    in_own_network(
        "discovery::a_search_accepts_the_certificates_that_were_confirmed_for_cameras",
        search_with_confirmed_certificates,
    );
}

async fn search_with_confirmed_certificates() {
    let dir = TempDir::new().expect("a directory");
    let (pem, fingerprint) = certificate(dir.path());
    let device = OnvifDevice::start(&["--certificate", &pem]).await;
    let manager = Manager::start(&[]).await;
    let unknown = discover(&manager, &json!({})).await;
    let unknown = find_entry(&unknown, &device).expect("the device");
    assert_eq!(unknown["error_code"], "onvif_certificate_unknown", "{unknown}");

    let onvif = format!("https://{}/onvif/device_service", device.address_and_port());
    let link = format!("rtsp://{}/live", device.ip_address());
    let camera = json!({ "rtsp_link": link, "onvif": onvif, "onvif_certificate": fingerprint });
    assert_eq!(manager.put("/api/cameras/gate", &camera).await.status, 201);
    for fields in [json!({}), json!({ "address": onvif })] {
        let known = discover(&manager, &fields).await;
        let known = find_entry(&known, &device).expect("the device");
        assert_eq!((&known["error"], &known["error_code"]), (&Value::Null, &Value::Null));
        assert_eq!(known["onvif_certificate"], fingerprint, "{known}");
        assert_eq!(known["profiles"].as_array().expect("profiles").len(), 3, "{known}");
    }

    let changed =
        json!({ "rtsp_link": link, "onvif": onvif, "onvif_certificate": "00".repeat(32) });
    assert_eq!(manager.put("/api/cameras/gate", &changed).await.status, 200);
    let changed = discover(&manager, &json!({})).await;
    let changed = find_entry(&changed, &device).expect("the device");
    assert_eq!(changed["error_code"], "onvif_certificate_changed", "{changed}");
    assert_eq!(changed["onvif_certificate"], fingerprint, "{changed}");
}

#[test]
fn devices_are_found_with_their_streams() {
    in_own_network(
        "discovery::devices_are_found_with_their_streams",
        find_devices_with_their_streams,
    );
}

async fn find_devices_with_their_streams() {
    let device = OnvifDevice::start(&["--rtsp-port", "8554"]).await;
    let old_device = OnvifDevice::start(&["--old"]).await;
    let manager = Manager::start(&[]).await;
    let link = format!("rtsp://x:y@{}:8554/other", device.ip_address());
    let camera = json!({ "rtsp_link": link });
    assert_eq!(manager.put("/api/cameras/gate", &camera).await.status, 201);

    let response = discover(&manager, &json!({})).await;
    let entry = find_entry(&response, &device).expect("the device");
    let link_of = |token: &str| format!("rtsp://{}:8554/{token}", device.ip_address());
    assert_eq!(format!("{}:{}", device.ip_address(), entry["port"]), device.address_and_port());
    assert_eq!(
        entry["onvif"],
        format!("http://{}/onvif/device_service", device.address_and_port())
    );
    assert_eq!(
        (
            &entry["name"],
            &entry["manufacturer"],
            &entry["model"],
            &entry["firmware"],
            &entry["serial"]
        ),
        (
            &json!("Front Door"),
            &json!("Example & Sons"),
            &json!("EX-1"),
            &json!("1.2.3"),
            &json!("0042")
        )
    );
    assert_eq!((&entry["needs_credentials"], &entry["error"]), (&json!(false), &Value::Null));
    assert_eq!(entry["profiles"].as_array().expect("profiles").len(), 3, "{entry}");
    let main = json!({
        "token": "profile_main", "name": "mainStream & more", "video_codec": "H264",
        "width": 640, "height": 360, "frame_rate": 25.0, "rtsp_link": link_of("profile_main"),
    });
    assert_eq!(entry["profiles"][2], main);
    assert_eq!(
        entry["main"],
        link_of("profile_main"),
        "`main` must be the largest stream that is not JPEG"
    );
    assert_eq!(entry["sub"], link_of("profile_sub"));
    assert_eq!(entry["known_as"], "gate");
    let interfaces = response.body["interfaces"].as_array().expect("interfaces");
    assert!(!interfaces.contains(&json!("lo")), "{interfaces:?}");

    let entry = find_entry(&response, &old_device).expect("the device");
    let link = format!("rtsp://{}:554/profile_main", old_device.ip_address());
    assert_eq!(entry["main"], link, "{entry}");
    assert_eq!(entry["known_as"], Value::Null);
}

#[test]
fn missing_credentials_are_reported_and_valid_ones_work_despite_the_devices_wrong_clock() {
    in_own_network(
        "discovery::missing_credentials_are_reported_and_valid_ones_work_despite_the_devices_wrong_clock",
        find_device_with_wrong_clock,
    );
}

async fn find_device_with_wrong_clock() {
    let arguments = ["--user", "admin", "--password", "pw-discovery-1", "--clock", "-100000000"];
    let device = OnvifDevice::start(&arguments).await;
    let manager = Manager::start(&[]).await;
    let address = device.address_and_port();

    for (body, has_error) in [
        (json!({ "address": address }), false),
        (json!({ "address": address, "username": "admin", "password": "pw-discovery-2" }), true),
    ] {
        let response = discover(&manager, &body).await;
        let entry = find_entry(&response, &device).expect("the device");
        assert_eq!(entry["needs_credentials"], true, "{entry}");
        assert_eq!((&entry["profiles"], &entry["main"]), (&json!([]), &Value::Null), "{entry}");
        if has_error {
            assert!(error(entry).contains("password"), "{entry}");
        } else {
            assert_eq!(entry["error"], Value::Null, "{entry}");
        }
    }
    let body = json!({ "username": "admin", "password": "pw-discovery-1" });
    let response = discover(&manager, &body).await;
    let entry = find_entry(&response, &device).expect("the device");
    assert_eq!(entry["needs_credentials"], false, "{entry}");
    assert_eq!(entry["profiles"].as_array().expect("profiles").len(), 3, "{entry}");
    for secret in ["pw-discovery-1", "pw-discovery-2"] {
        assert!(!response.body.to_string().contains(secret) && !manager.log().contains(secret));
    }
}

#[tokio::test]
async fn links_are_rewritten_to_the_devices_address_and_never_contain_a_password() {
    let device = OnvifDevice::start(&[
        "--own",
        "http://10.11.12.13:8000",
        "--link",
        "profile_main=rtsp://admin:pw-in-link@0.0.0.0:8554/main?x=1&y=2",
        "--link",
        "profile_sub=rtsp://192.168.99.1/sub",
        "--link",
        "profile_jpeg=rtsp://192.168.99.1/user=a&password=pw-in-link",
    ])
    .await;
    let manager = Manager::start(&[]).await;
    let response = discover(&manager, &json!({ "address": device.address_and_port() })).await;
    let entry = find_entry(&response, &device).expect("the device");
    assert_eq!(
        entry["main"],
        format!("rtsp://{}:8554/main?x=1&y=2", device.ip_address()),
        "{entry}"
    );
    assert_eq!(entry["sub"], format!("rtsp://{}/sub", device.ip_address()), "{entry}");
    assert_eq!(entry["profiles"][0]["rtsp_link"], Value::Null, "{entry}");
    assert!(error(entry).contains("password"), "{entry}");
    assert!(!response.body.to_string().contains("pw-in-link"), "{entry}");
    assert!(!manager.log().contains("pw-in-link"));
}

#[test]
fn faulty_devices_are_reported_with_an_error_and_do_not_delay_others() {
    in_own_network(
        "discovery::faulty_devices_are_reported_with_an_error_and_do_not_delay_others",
        find_faulty_devices,
    );
}

async fn find_faulty_devices() {
    let good = OnvifDevice::start(&[]).await;
    let mut faulty = Vec::new();
    for (habit, cause) in [
        ("silent", "time"),
        ("page", "ONVIF"),
        ("deep", "ONVIF"),
        ("endless", "too large"),
        ("redirect", "ONVIF"),
    ] {
        faulty.push((OnvifDevice::start(&["--habit", habit]).await, habit, cause));
    }
    let garbage = OnvifDevice::start(&["--habit", "garbage"]).await;
    let manager = Manager::start(&[]).await;
    let response = discover(&manager, &json!({})).await;
    let entry = find_entry(&response, &good).expect("the good device");
    assert!(entry["main"].is_string(), "{entry}");
    for (device, habit, cause) in &faulty {
        let entry = find_entry(&response, device)
            .unwrap_or_else(|| panic!("the response lacks the device with habit {habit}"));
        assert!(error(entry).contains(cause), "{habit}: {entry}");
        assert_eq!((&entry["main"], &entry["profiles"]), (&Value::Null, &json!([])), "{habit}");
    }
    assert_eq!(
        find_entry(&response, &garbage),
        None,
        "a device with an invalid response is listed"
    );
    let response = discover(&manager, &json!({ "address": garbage.address_and_port() })).await;
    let entry = find_entry(&response, &garbage).expect("the device");
    assert!(error(entry).contains("ONVIF"), "{entry}");
}

#[test]
fn devices_outside_the_allowed_networks_are_never_contacted() {
    in_own_network(
        "discovery::devices_outside_the_allowed_networks_are_never_contacted",
        find_only_permitted_devices,
    );
}

async fn find_only_permitted_devices() {
    let allowed = OnvifDevice::start(&[]).await;
    let denied = OnvifDevice::start(&[]).await;
    let manager = Manager::start(&[("CAMERA_ALLOW_NETS", allowed.ip_address())]).await;
    let response = discover(&manager, &json!({})).await;
    assert!(find_entry(&response, &allowed).expect("the device")["main"].is_string());
    assert_eq!(find_entry(&response, &denied), None);
    let warnings = response.body["warnings"].to_string();
    assert!(warnings.contains("address"), "{warnings}");
    assert!(!warnings.contains(denied.ip_address()), "{warnings}");
    let response = discover(&manager, &json!({ "address": denied.address_and_port() })).await;
    assert_eq!(
        (response.status.as_u16(), &response.body["code"]),
        (403, &json!("source_forbidden"))
    );
    assert_eq!(denied.events("request"), Vec::<Value>::new(), "the denied device was contacted");
}

#[tokio::test]
async fn invalid_and_forbidden_searches_are_rejected() {
    let manager =
        Manager::start(&[("API_KEYS", "wall:viewer:viewer-secret-01,42:user:user-secret-0001")])
            .await;
    let send = |key: &'static str, body: Value| {
        let request = manager.client().post(manager.url("/api/discovery")).json(&body);
        manager.send(request.header("X-API-Key", key))
    };
    let table = [
        ("viewer-secret-01", json!({}), 403, "forbidden"),
        ("user-secret-0001", json!({ "interface": "no-such" }), 400, "invalid_request"),
        ("user-secret-0001", json!({ "timeout_seconds": 60 }), 400, "invalid_request"),
        ("user-secret-0001", json!({ "password": "x" }), 400, "invalid_request"),
        ("user-secret-0001", json!({ "address": "ftp://127.0.0.1/" }), 400, "invalid_source"),
        ("user-secret-0001", json!({ "address": "a:pw-0001@127.0.0.1" }), 400, "invalid_source"),
        ("user-secret-0001", json!({ "address": "no.invalid" }), 502, "source_unreachable"),
    ];
    for (key, body, status, code) in table {
        let response = send(key, body.clone()).await;
        assert_eq!(
            (response.status.as_u16(), &response.body["code"]),
            (status, &json!(code)),
            "{body}"
        );
        assert!(!response.body.to_string().contains("pw-0001"));
    }
    assert!(!manager.log().contains("pw-0001"));
    // A key with the role `user` can search.
    let device = OnvifDevice::start(&[]).await;
    let response = send("user-secret-0001", json!({ "address": device.address_and_port() })).await;
    assert!(find_entry(&response, &device).expect("the device")["main"].is_string());
}

/// Runs a script in a new network namespace, in which no interface is up. If the process lacks the privileges to
/// create the namespace, prints a message and returns `None`.
fn run_in_new_network(script: &str, dir: &TempDir) -> Option<Output> {
    // Root can create network namespaces. Other users can if the kernel allows user namespaces.
    let allowed = [&["-n"][..], &["-r", "-n"]].into_iter().find(|options| {
        let output = Command::new("unshare").args(*options).arg("true").output();
        output.is_ok_and(|output| output.status.success())
    });
    let Some(options) = allowed else {
        #[expect(clippy::print_stderr, reason = "the test program captures this line")]
        {
            eprintln!("SKIPPED: cannot create a network namespace; run this test as root");
        }
        return None;
    };
    let mut command = Command::new("timeout");
    Manager::configure(&mut command, dir.path(), &[("CAMERA_PASSWORD", "pw-command-1")]);
    command.args(["60", "unshare"]).args(options).args(["sh", "-eu", "-c", script]);
    command.env("MANAGER", env!("CARGO_BIN_EXE_stream-manager"));
    command.env("DEVICE", project_dir().join("tests/camera/onvif.py"));
    Some(command.output().expect("unshare"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_discover_command_lists_a_device_and_its_streams() {
    let dir = TempDir::new().expect("a directory");
    let script = r#"
        ip link add cam0 type veth peer name cam1
        ip address add 10.99.0.1/24 dev cam0
        ip link set cam0 up
        # The device is at the other end of the link, in another network namespace.
        unshare -n sh -euc '
            until ip address add 10.99.0.2/24 dev cam1 2>/dev/null; do sleep 0.1; done
            ip link set cam1 up
            exec "$DEVICE" --address 10.99.0.2 --interface 10.99.0.2 --port 8000 --user admin \
                --password "$CAMERA_PASSWORD"' >events &
        trap "kill $!" EXIT
        until [ "$(readlink /proc/$!/ns/net)" != "$(readlink /proc/$$/ns/net)" ]; do
            sleep 0.1
        done
        ip link set cam1 netns $!
        until grep -q ready events; do sleep 0.1; done
        "$MANAGER" discover --timeout 2
        "$MANAGER" discover --timeout 2 --username admin
        "$MANAGER" discover --timeout 2 --address 10.99.0.2:8000 --username admin --json
    "#;
    let Some(output) = run_in_new_network(script, &dir) else { return };
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success() && stderr.is_empty(), "{stdout}\n{stderr}");
    let (tables, json) = stdout.split_once('{').expect("JSON");
    let collapse_spaces =
        |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ");
    let mut lines: Vec<_> = tables.lines().map(collapse_spaces).collect();
    let head = "ADDRESS NAME MODEL PROFILE VIDEO LINK";
    let device = "10.99.0.2:8000 Front Door";
    let with_maker = format!("{device} Example & Sons EX-1");
    let link = "rtsp://10.99.0.2:554";
    let without_credentials = lines.remove(1);
    assert!(without_credentials.starts_with(&format!("{device} EX-1 - - (")), "{tables}");
    assert!(without_credentials.contains("password"), "{tables}");
    let expected = [
        head.to_owned(),
        head.to_owned(),
        format!("{with_maker} snapshots JPEG 2592x1944 1/s {link}/profile_jpeg"),
        format!("{with_maker} subStream (sub) H264 320x180 15/s {link}/profile_sub"),
        format!("{with_maker} mainStream & more (main) H264 640x360 25/s {link}/profile_main"),
    ];
    assert_eq!(lines, expected, "{tables}");
    let json: Value = serde_json::from_str(&format!("{{{json}")).expect("JSON");
    assert_eq!(json["devices"][0]["main"], format!("{link}/profile_main"));
    assert_eq!(json["interfaces"], json!(["cam0"]));
    assert!(!stdout.contains("pw-command-1"));
}

#[test]
fn the_discover_command_explains_what_to_do_when_no_camera_responds() {
    let dir = TempDir::new().expect("a directory");
    let script = r#"
        "$MANAGER" discover --timeout 0.2
        ip link add cam0 type veth peer name cam1
        ip address add 10.99.0.1/24 dev cam0
        ip link set cam0 up
        "$MANAGER" discover --timeout 0.2
        "$MANAGER" discover --timeout 0.2 --interface eth9 || echo "exit code $?"
        "$MANAGER" discover --password x || echo "exit code $?"
    "#;
    let Some(output) = run_in_new_network(script, &dir) else { return };
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(
        stdout, "no cameras found\nno cameras found\nexit code 1\nexit code 64\n",
        "{stderr}"
    );
    for words in ["no network interface", "no camera", "cam0", "usage: stream-manager discover"] {
        assert!(stderr.contains(words), "{words}: {stderr}");
    }
}
