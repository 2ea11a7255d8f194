//! Cameras on the network: found, asked, and what hostile ones can do.
//!
//! The devices are on loopback, which carries multicast like any other network. Tests that run at
//! the same time see each other's devices, so each looks at its own.

use std::process::{Command, Output};

use serde_json::{Value, json};

use tempfile::TempDir;
use tokio::sync::RwLock;

use crate::support::{Answer, Manager, OnvifDevice, project};

/// Held for writing by a test that nobody else may look around in.
static LOOKING: RwLock<()> = RwLock::const_new(());

/// Looks on loopback with what `more` says.
async fn discover(manager: &Manager, more: &Value) -> Answer {
    let _looking = LOOKING.read().await;
    discover_alone(manager, more).await
}

async fn discover_alone(manager: &Manager, more: &Value) -> Answer {
    let mut body = json!({ "interface": "lo", "timeout_seconds": 2 });
    body.as_object_mut().expect("fields").extend(more.as_object().expect("fields").clone());
    manager.post("/api/discovery", &body).await
}

/// The device among what was found.
fn found<'a>(answer: &'a Answer, device: &OnvifDevice) -> Option<&'a Value> {
    assert_eq!(answer.status, 200, "{answer:?}");
    let mut devices = answer.body["devices"].as_array().expect("devices").iter();
    devices.find(|one| one["address"] == device.address())
}

#[tokio::test]
async fn a_device_is_found_and_tells_its_streams() {
    let device = OnvifDevice::start(&["--rtsp-port", "8554"]).await;
    let old = OnvifDevice::start(&["--old"]).await;
    let manager = Manager::start(&[]).await;
    let link = format!("rtsp://x:y@{}:8554/other", device.address());
    let camera = json!({ "rtsp_link": link });
    assert_eq!(manager.put("/api/cameras/gate", &camera).await.status, 201);

    let answer = discover(&manager, &json!({})).await;
    let one = found(&answer, &device).expect("the device");
    let own_link = |token: &str| format!("rtsp://{}:8554/{token}", device.address());
    assert_eq!(format!("{}:{}", device.address(), one["port"]), device.place());
    assert_eq!(one["onvif"], format!("http://{}/onvif/device_service", device.place()));
    assert_eq!(
        (&one["name"], &one["manufacturer"], &one["model"], &one["firmware"], &one["serial"]),
        (
            &json!("Front Door"),
            &json!("Example & Sons"),
            &json!("EX-1"),
            &json!("1.2.3"),
            &json!("0042")
        )
    );
    assert_eq!((&one["needs_credentials"], &one["error"]), (&json!(false), &Value::Null));
    assert_eq!(one["profiles"].as_array().expect("profiles").len(), 3, "{one}");
    let main = json!({
        "token": "profile_main", "name": "mainStream & more", "video_codec": "H264",
        "width": 640, "height": 360, "frame_rate": 25.0, "rtsp_link": own_link("profile_main"),
    });
    assert_eq!(one["profiles"][2], main);
    assert_eq!(one["main"], own_link("profile_main"), "the largest that is no JPEG");
    assert_eq!(one["sub"], own_link("profile_sub"));
    assert_eq!(one["known_as"], "gate");
    let interfaces = answer.body["interfaces"].as_array().expect("interfaces");
    assert!(interfaces.contains(&json!("lo")), "{interfaces:?}");

    let one = found(&answer, &old).expect("the device");
    assert_eq!(one["main"], format!("rtsp://{}:554/profile_main", old.address()), "{one}");
    assert_eq!(one["known_as"], Value::Null);
}

#[tokio::test]
async fn credentials_are_asked_for_and_fit_the_devices_own_clock() {
    let arguments = ["--user", "admin", "--password", "pw-discovery-1", "--clock", "-100000000"];
    let device = OnvifDevice::start(&arguments).await;
    let manager = Manager::start(&[]).await;
    let address = json!({ "address": device.place() });

    for (body, error) in [
        (json!({}), Value::Null),
        (
            json!({ "username": "admin", "password": "pw-discovery-2" }),
            json!("the device rejects user name or password"),
        ),
    ] {
        let mut body = body;
        body["address"] = address["address"].clone();
        let answer = discover(&manager, &body).await;
        let one = found(&answer, &device).expect("the device");
        assert_eq!((&one["needs_credentials"], &one["error"]), (&json!(true), &error), "{one}");
        assert_eq!((&one["profiles"], &one["main"]), (&json!([]), &Value::Null), "{one}");
    }
    let body = json!({ "username": "admin", "password": "pw-discovery-1" });
    let answer = discover(&manager, &body).await;
    let one = found(&answer, &device).expect("the device");
    assert_eq!(one["needs_credentials"], false, "{one}");
    assert_eq!(one["profiles"].as_array().expect("profiles").len(), 3, "{one}");
    for secret in ["pw-discovery-1", "pw-discovery-2"] {
        assert!(!answer.body.to_string().contains(secret) && !manager.log().contains(secret));
    }
}

#[tokio::test]
async fn links_of_another_address_lead_to_the_device_and_none_has_a_password() {
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
    let answer = discover(&manager, &json!({ "address": device.place() })).await;
    let one = found(&answer, &device).expect("the device");
    assert_eq!(one["main"], format!("rtsp://{}:8554/main?x=1&y=2", device.address()), "{one}");
    assert_eq!(one["sub"], format!("rtsp://{}/sub", device.address()), "{one}");
    assert_eq!(one["profiles"][0]["rtsp_link"], Value::Null, "{one}");
    assert!(one["error"].as_str().expect("a reason").contains("holds a password"), "{one}");
    assert!(!answer.body.to_string().contains("pw-in-link"), "{one}");
    assert!(!manager.log().contains("pw-in-link"));
}

#[tokio::test]
async fn bad_devices_get_an_error_and_do_not_hold_up_the_others() {
    let good = OnvifDevice::start(&[]).await;
    let no_onvif = "what answers is no ONVIF device";
    let mut bad = Vec::new();
    for (habit, error) in [
        ("silent", "did not answer in time"),
        ("page", no_onvif),
        ("deep", no_onvif),
        ("endless", "too large"),
        ("redirect", no_onvif),
    ] {
        bad.push((OnvifDevice::start(&["--habit", habit]).await, habit, error));
    }
    let garbage = OnvifDevice::start(&["--habit", "garbage"]).await;
    let manager = Manager::start(&[]).await;
    let answer = discover(&manager, &json!({})).await;
    assert!(found(&answer, &good).expect("the good one")["main"].is_string(), "{answer:?}");
    for (device, habit, error) in &bad {
        let one = found(&answer, device).unwrap_or_else(|| panic!("{habit}"));
        let said = one["error"].as_str().expect(habit);
        assert!(said.contains(error), "{habit}: {said}");
        assert_eq!((&one["main"], &one["profiles"]), (&Value::Null, &json!([])), "{habit}");
    }
    assert_eq!(found(&answer, &garbage), None, "its answer is none");
    let answer = discover(&manager, &json!({ "address": garbage.place() })).await;
    let said = found(&answer, &garbage).expect("the device")["error"].clone();
    assert!(said.as_str().expect("an error").contains(no_onvif), "{said}");
}

#[tokio::test]
async fn only_addresses_that_cameras_may_have_are_asked() {
    let _alone = LOOKING.write().await;
    let allowed = OnvifDevice::start(&[]).await;
    let denied = OnvifDevice::start(&[]).await;
    let manager = Manager::start(&[("CAMERA_ALLOW_NETS", allowed.address())]).await;
    let answer = discover_alone(&manager, &json!({})).await;
    assert!(found(&answer, &allowed).expect("the device")["main"].is_string());
    assert_eq!(found(&answer, &denied), None);
    let warnings = answer.body["warnings"].to_string();
    assert!(warnings.contains("cameras may not have here"), "{warnings}");
    assert!(!warnings.contains(denied.address()), "{warnings}");
    let answer = discover_alone(&manager, &json!({ "address": denied.place() })).await;
    assert_eq!((answer.status.as_u16(), &answer.body["code"]), (403, &json!("source_forbidden")));
    assert_eq!(denied.events("request"), Vec::<Value>::new(), "nobody may ask it");
}

#[tokio::test]
async fn what_cannot_be_asked_for_is_refused() {
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
        ("user-secret-0001", json!({ "address": "https://127.0.0.1/" }), 400, "invalid_source"),
        ("user-secret-0001", json!({ "address": "a:pw-0001@127.0.0.1" }), 400, "invalid_source"),
        ("user-secret-0001", json!({ "address": "no.invalid" }), 502, "source_unreachable"),
    ];
    for (key, body, status, code) in table {
        let answer = send(key, body.clone()).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.body["code"]),
            (status, &json!(code)),
            "{body}"
        );
        assert!(!answer.body.to_string().contains("pw-0001"));
    }
    assert!(!manager.log().contains("pw-0001"));
    // A user sees which cameras are known only of those that are the user's own.
    let device = OnvifDevice::start(&[]).await;
    let answer = send("user-secret-0001", json!({ "address": device.place() })).await;
    assert!(found(&answer, &device).expect("the device")["main"].is_string());
}

/// Runs a script in a network of its own, with no interface that is up; `None`, and a word
/// about it, where that is not allowed.
fn in_own_network(script: &str, dir: &TempDir) -> Option<Output> {
    // Root may at once; others may where the kernel lets everybody be root of a network alone.
    let allowed = [&["-n"][..], &["-r", "-n"]].into_iter().find(|options| {
        let tried = Command::new("unshare").args(*options).arg("true").output();
        tried.is_ok_and(|output| output.status.success())
    });
    let Some(options) = allowed else {
        eprintln!("SKIPPED: no network namespace may be made here; run this as root");
        return None;
    };
    let mut command = Command::new("timeout");
    Manager::command(&mut command, dir.path(), &[("CAMERA_PASSWORD", "pw-command-1")]);
    command.args(["60", "unshare"]).args(options).args(["sh", "-eu", "-c", script]);
    command.env("MANAGER", env!("CARGO_BIN_EXE_stream-manager"));
    command.env("DEVICE", project().join("tests/camera/onvif.py"));
    Some(command.output().expect("unshare"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_command_finds_a_device_on_a_network() {
    let dir = TempDir::new().expect("a directory");
    let script = r#"
        ip link add cam0 type veth peer name cam1
        ip address add 10.99.0.1/24 dev cam0
        ip link set cam0 up
        # The other end of the cable, in a network of its own too.
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
    let Some(output) = in_own_network(script, &dir) else { return };
    let (said, aside) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success() && aside.is_empty(), "{said}\n{aside}");
    let (tables, json) = said.split_once('{').expect("JSON");
    let words =
        |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ");
    let lines: Vec<_> = tables.lines().map(words).collect();
    let head = "ADDRESS NAME MODEL PROFILE VIDEO LINK";
    let device = "10.99.0.2:8000 Front Door";
    let named = format!("{device} Example & Sons EX-1");
    let link = "rtsp://10.99.0.2:554";
    let expected = [
        head.to_owned(),
        format!("{device} EX-1 - - (wants a user name and a password)"),
        head.to_owned(),
        format!("{named} snapshots JPEG 2592x1944 1/s {link}/profile_jpeg"),
        format!("{named} subStream (sub) H264 320x180 15/s {link}/profile_sub"),
        format!("{named} mainStream & more (main) H264 640x360 25/s {link}/profile_main"),
    ];
    assert_eq!(lines, expected, "{tables}");
    let json: Value = serde_json::from_str(&format!("{{{json}")).expect("JSON");
    assert_eq!(json["devices"][0]["main"], format!("{link}/profile_main"));
    assert_eq!(json["interfaces"], json!(["cam0"]));
    assert!(!said.contains("pw-command-1"));
}

#[test]
fn the_command_says_what_to_do_when_nobody_answers() {
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
    let Some(output) = in_own_network(script, &dir) else { return };
    let (said, aside) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(said, "no cameras\nno cameras\nexit code 1\nexit code 64\n", "{aside}");
    for words in [
        "there is no network interface to look on",
        "no camera answered",
        "there is no such interface with an IPv4 address; there are cam0",
        "usage: stream-manager discover",
    ] {
        assert!(aside.contains(words), "{words}: {aside}");
    }
}
