//! Cameras at link-local IPv6 addresses, which require the name of a network interface.

use std::process::Command;

use serde_json::json;

use crate::support::{Camera, Manager, in_own_network, until};

/// Returns whether this process can create network interfaces. Otherwise prints a message.
fn can_connect_networks() -> bool {
    let options = ["link", "add", "probe0", "type", "veth", "peer", "name", "probe1"];
    let is_allowed = Command::new("ip").args(options).output().expect("ip").status.success();
    if !is_allowed {
        #[expect(clippy::print_stderr, reason = "the test program captures this line")]
        {
            eprintln!("SKIPPED: cannot create a network interface; run this test as root");
        }
    }
    is_allowed
}

#[test]
fn a_camera_at_a_link_local_address_plays_and_its_links_keep_the_interface() {
    in_own_network(
        "link_local::a_camera_at_a_link_local_address_plays_and_its_links_keep_the_interface",
        play_link_local,
    );
}

async fn play_link_local() {
    if !can_connect_networks() {
        return;
    }
    let camera = Camera::start_link_local().await;
    let manager = Manager::start(&[
        ("CHECK_INTERVAL_SECONDS", "1"),
        ("CAMERA_ALLOW_NETS", "fe80::/16"),
        ("CAMERA_DENY_NETS", "fe80::bad"),
    ])
    .await;
    let (password, port) = (camera.password(), camera.port());
    let link = |host: &str| format!("rtsp://viewer:{password}@[{host}]:{port}/h264");
    let shown = format!("rtsp://***@[fe80::b%25cam0]:{port}/h264");

    // Users paste links with an unescaped %. The database, responses and the log contain the form
    // of RFC 6874.
    manager.play("pasted", &link("fe80::b%cam0")).await;
    let status = manager.status("pasted").await;
    assert_eq!(status["source"], shown.as_str(), "{status}");
    assert!(manager.log().contains(&shown) && !manager.log().contains(password));

    let parts = json!({
        "ip": "fe80::b%cam0", "port": port, "path": "/h264", "username": "viewer", "password": password,
    });
    assert_eq!(manager.put("/api/cameras/parts", &parts).await.status, 201);
    until("the camera is reachable", || async {
        manager.get("/api/cameras/parts").await.body["reachability"]["reachable"] == true
    })
    .await;
    let url = manager.url("/streams/parts/snapshot.jpg");
    let picture = manager.client().get(url).send().await.expect("a response");
    assert_eq!(picture.status(), 200, "{picture:?}");
    let test =
        manager.post("/api/cameras/test", &json!({ "rtsp_link": link("fe80::b%25cam0") })).await;
    assert_eq!(test.status, 200, "{test:?}");

    // The interface is part of an export, and an import restores it.
    let export = manager.get("/api/cameras.json").await.body;
    manager.delete("/api/cameras/parts").await;
    let imported = manager.put("/api/cameras.json", &export).await;
    assert_eq!(imported.body["created"], 1, "{imported:?}");
    let parts = manager.get("/api/cameras/parts").await.body;
    assert_eq!((&parts["ip"], &parts["source"]), (&json!("fe80::b%cam0"), &json!(shown)));

    let failures = [
        ("fe80::b", 400, "invalid_source", "write [fe80::b%25eth0] in a link"),
        ("2001:db8::b%25cam0", 400, "invalid_source", "only a link-local IPv6 address"),
        ("fe80::b%25no-such-name-016", 400, "invalid_source", "the name of a network interface"),
        ("fe80::b%25cam9", 502, "source_unreachable", "has no network interface cam9"),
        ("fe80::bad%25cam0", 403, "source_forbidden", "not permitted"),
    ];
    for (host, status, code, detail) in failures {
        let response = manager.start_stream("failing", &link(host)).await;
        assert_eq!(response.status, status, "{host}: {response:?}");
        assert_eq!(response.body["code"], code, "{host}: {response:?}");
        let shown_error = response.body["detail"].as_str().expect("a string");
        assert!(
            shown_error.contains(detail) && !shown_error.contains(password),
            "{host}: {shown_error}"
        );
    }
}
