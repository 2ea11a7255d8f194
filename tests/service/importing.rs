//! Imports of cameras: the command `import`, and files of other systems in requests.

use std::fmt::Write as _;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{ApiResponse, Manager, Nginx, start_service, until};

/// The result of the command.
#[derive(Debug)]
struct Outcome {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs `stream-manager import` for a file with the contents `file`, and with the manager's URL (`--url`).
fn import(manager: &Manager, file: &str, options: &[&str], variables: &[(&str, &str)]) -> Outcome {
    let url = manager.url("");
    run(manager, file, &[&["--url", url.as_str()], options].concat(), variables)
}

/// Runs `stream-manager import` for a file with the contents `file`, in the manager's directory. Without `--url`,
/// the command finds the service by the settings in `variables`.
fn run(manager: &Manager, file: &str, options: &[&str], variables: &[(&str, &str)]) -> Outcome {
    let path = manager.dir().path().join("file-to-import");
    std::fs::write(&path, file).expect("a file");
    let output = Command::new(env!("CARGO_BIN_EXE_stream-manager"))
        .arg("import")
        .arg(&path)
        .args(options)
        .current_dir(manager.dir().path())
        .env_clear()
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output()
        .expect("the command");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    Outcome { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Sends a file to the API, which imports it.
async fn send(manager: &Manager, query: &str, file: impl Into<reqwest::Body>) -> ApiResponse {
    let url = manager.url(&format!("/api/cameras.json{query}"));
    manager.send(manager.client().put(url).body(file)).await
}

async fn count(manager: &Manager) -> Value {
    manager.get("/api/cameras").await.body["total"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_of_frigate_is_shown_and_then_imported_by_the_command() {
    let (camera, manager, _nginx) = start_service(&[]).await;
    let port = camera.port();
    let file = format!(
        r#"
go2rtc:
  streams:
    gate: ["rtsp://viewer:{{FRIGATE_RTSP_PASSWORD}}@127.0.0.1:{port}/private"]
cameras:
  gate:
    detect: {{width: 640, height: 360}}
    ffmpeg:
      output_args: {{record: preset-record-generic-audio-aac}}
      inputs:
        - {{path: "rtsp://127.0.0.1:{port}/h264", roles: [detect]}}
        - {{path: "rtsp://127.0.0.1:8554/gate", roles: [record]}}
  web:
    ffmpeg:
      inputs: [{{path: "http://127.0.0.1/secret", roles: [detect]}}]
"#
    );
    let variables = [("FRIGATE_RTSP_PASSWORD", camera.password())];

    // Without the variable, nothing can be imported.
    let shown = import(&manager, &file, &[], &[]);
    assert_eq!(shown.code, Some(0), "{shown:?}");
    assert!(shown.stdout.contains("variables without a value: FRIGATE_RTSP_PASSWORD"), "{shown:?}");
    let refused = import(&manager, &file, &["--apply"], &[]);
    assert_eq!(refused.code, Some(64), "{refused:?}");
    assert!(refused.stderr.contains("set FRIGATE_RTSP_PASSWORD"), "{refused:?}");

    let shown = import(&manager, &file, &[], &variables);
    assert_eq!(shown.code, Some(0), "{shown:?}");
    let main = format!("rtsp://***@127.0.0.1:{port}/private");
    let sub = format!("rtsp://127.0.0.1:{port}/h264");
    let expected = format!(
        "gate: added
  main     {main}
  sub      {sub}
  note     the link comes from the stream gate of the file
  note     left out, because there is no counterpart: detect, output_args
left out: web: input 1 cannot be used: http is not supported; add the camera's RTSP link instead
an import would add 1 camera; to import, run the command again with --apply
"
    );
    assert_eq!(shown.stdout, expected);
    assert_eq!(count(&manager).await, 0, "a dry run changes nothing");

    let applied = import(&manager, &file, &["--apply"], &variables);
    assert_eq!(applied.code, Some(0), "{applied:?}");
    assert!(applied.stdout.contains("imported: 1 added, 0 changed, 0 unchanged"), "{applied:?}");
    for outcome in [&shown, &applied, &refused] {
        let text = format!("{outcome:?}");
        assert!(!text.contains(camera.password()) && !text.contains("/secret"), "{text}");
    }
    assert!(!manager.log().contains(camera.password()), "{}", manager.log());
    for profile in ["main", "sub"] {
        let start = json!({ "profile": profile });
        let started = manager.post("/api/cameras/gate/stream/start", &start).await;
        assert_eq!((started.status.as_u16(), &started.body["status"]), (200, &json!("started")));
    }

    // A change applies to the running streams.
    let file = file.replace("/h264", "/h264-aac");
    let shown = import(&manager, &file, &[], &variables);
    assert!(shown.stdout.contains("an import would change 1 camera;"), "{shown:?}");
    assert_eq!(import(&manager, &file, &["--apply"], &variables).code, Some(0));
    until("the sub stream has the audio of its new source", || async {
        let status = manager.get("/api/cameras/gate/stream/status?profile=sub").await.body;
        !status["media"]["audio_codec"].is_null()
    })
    .await;
    let again = import(&manager, &file, &["--apply"], &variables);
    assert!(again.stdout.contains("0 added, 0 changed, 1 unchanged"), "{again:?}");
}

/// A file of another system, and the expected output and cameras.
struct Case {
    file: &'static str,
    variables: &'static [(&'static str, &'static str)],
    shown: &'static str,
    /// The cameras, each with its main and sub stream and its transport.
    cameras: &'static [(&'static str, &'static str, Option<&'static str>, &'static str)],
}

/// Shows and imports the file of a case.
async fn check(case: Case) {
    let Case { file, variables, shown: expected, cameras } = case;
    let manager = Manager::start(&[]).await;
    let shown = import(&manager, file, &[], variables);
    assert_eq!(shown.stdout, expected, "{}", shown.stderr);
    assert_eq!(count(&manager).await, 0);
    let applied = import(&manager, file, &["--apply"], variables);
    let counts = format!("imported: {} added, 0 changed, 0 unchanged\n", cameras.len());
    assert!(applied.stdout.ends_with(&counts), "{applied:?}");
    for (id, main, sub, transport) in cameras {
        let camera = manager.get(&format!("/api/cameras/{id}")).await.body;
        let found = (&camera["source"], &camera["source_sub"], &camera["transport"]);
        assert_eq!(found, (&json!(main), &json!(sub), &json!(transport)), "{camera}");
    }
    for text in [&shown.stdout, &applied.stdout, &applied.stderr, &manager.log()] {
        assert!(!text.contains("topsecret"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_inputs_of_a_configuration_of_frigate_become_streams() {
    check(Case {
        file: r#"
mqtt:
  host: mqtt.example
  password: "{FRIGATE_MQTT_PASSWORD}"
environment_vars:
  FRIGATE_RTSP_USER: viewer
ffmpeg:
  hwaccel_args: preset-vaapi
  input_args: -rtsp_transport tcp
go2rtc:
  streams:
    back:
      - rtsp://{FRIGATE_RTSP_USER}:{FRIGATE_RTSP_PASSWORD}@192.0.2.10:554/main#backchannel=0
      - "ffmpeg:back#audio=opus#hardware"
    old:
      - "ffmpeg:http://192.0.2.11/flv?user=u&password=topsecret#video=copy#audio=copy"
      - rtsp://u:topsecret@192.0.2.11/sub
cameras:
  back:
    friendly_name: Back garden
    ffmpeg:
      inputs:
        - path: rtsp://127.0.0.1:8554/back?video=copy&audio=aac
          input_args: preset-rtsp-restream
          roles: [record]
        - path: rtsp://viewer:topsecret@192.0.2.10:554/sub
          roles: [detect]
    detect: {width: 1280, height: 720}
    record: {enabled: true}
  wifi:
    ffmpeg:
      input_args: preset-rtsp-udp
      inputs:
        - {path: "rtsp://192.0.2.12/1", roles: [detect, record]}
  old:
    ffmpeg:
      inputs:
        - {path: "rtsp://frigate:8554/old", roles: [detect, record]}
  lost:
    ffmpeg:
      inputs:
        - {path: "rtsp://localhost:8554/gone", roles: [detect, record]}
  off:
    enabled: false
    ffmpeg:
      inputs:
        - {path: "rtsp://u:{FRIGATE_OTHER}@192.0.2.13/1", roles: [detect]}
"#,
        variables: &[("FRIGATE_RTSP_PASSWORD", "topsecret@1"), ("FRIGATE_RTSP_USER", "other")],
        shown: "\
back: added
  name     Back garden
  main     rtsp://***@192.0.2.10:554/main
  sub      rtsp://***@192.0.2.10:554/sub
  note     the link comes from the stream back of the file
  note     transport: tcp of the sub stream is left out, because both streams of a camera have the same options
  note     left out, because there is no counterpart: detect, record, #backchannel
wifi: added
  main     rtsp://192.0.2.12/1
  options  transport: udp
old: added
  main     rtsp://***@192.0.2.11/sub
  note     source 1 of the stream old is left out: http is not supported; add the camera's RTSP link instead
  note     the link comes from the stream old of the file
left out: lost: input 1 leads to the stream gone, which the file does not contain; add the camera's own RTSP \
link
left out: off: is disabled (enabled: false); enable it in the file to import it
an import would add 3 cameras; to import, run the command again with --apply
",
        cameras: &[
            (
                "back",
                "rtsp://***@192.0.2.10:554/main",
                Some("rtsp://***@192.0.2.10:554/sub"),
                "auto",
            ),
            ("wifi", "rtsp://192.0.2.12/1", None, "udp"),
            ("old", "rtsp://***@192.0.2.11/sub", None, "auto"),
        ],
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_of_go2rtc_is_imported_by_the_command() {
    check(Case {
        file: r#"
api:
  listen: ":1984"
ffmpeg:
  bin: ffmpeg
streams:
  porch:
    - rtsp://admin:${CAMERA_PASSWORD}@192.0.2.21:554/Streaming/Channels/101#backchannel=0#transport=udp
    - rtsp://admin:${CAMERA_PASSWORD}@192.0.2.21:554/Streaming/Channels/102#backchannel=0
    - "ffmpeg:porch#audio=opus#async"
  yard_main: rtsps://admin:topsecret@192.0.2.22:7441/main
  yard_sub: rtsps://admin:topsecret@192.0.2.22:7441/sub
  Tür: "ffmpeg:rtsp://admin:topsecret@192.0.2.23/cam#video=h264#hardware=vaapi#rotate=180"
  wall: rtsp://127.0.0.1:8554/porch?video&audio
  doorbell: "exec:ffmpeg -i rtsp://u:topsecret@h/x -f rtsp {output}"
  office: onvif://admin:topsecret@192.0.2.24
  loop_a: ffmpeg:loop_b
  loop_b: ffmpeg:loop_a
webrtc:
  candidates: [stun:8555]
"#,
        variables: &[("CAMERA_PASSWORD", "topsecret@1")],
        shown: "\
porch: added
  main     rtsp://***@192.0.2.21:554/Streaming/Channels/101
  sub      rtsp://***@192.0.2.21:554/Streaming/Channels/102
  options  transport: udp
  note     not needed: source 3; the manager converts video and audio itself
  note     transport: udp also applies to the sub stream, because both streams of a camera have the same options
  note     left out, because there is no counterpart: #backchannel
yard: added
  main     rtsps://***@192.0.2.22:7441/main
  sub      rtsps://***@192.0.2.22:7441/sub
  note     consists of yard_main and yard_sub
Tur: added
  name     Tür
  main     rtsp://***@192.0.2.23/cam
  options  video: h264
  note     left out, because there is no counterpart: #hardware, #rotate
wall: added
  main     rtsp://***@192.0.2.21:554/Streaming/Channels/101
  options  transport: udp
  note     the link comes from the stream porch of the file
  note     left out, because there is no counterpart: #backchannel
left out: doorbell: the source: exec is not supported; if the command reads a camera, add the camera's own \
RTSP link
left out: office: the source: onvif is not supported; search for the camera's RTSP links with stream-manager \
discover, and add one of them
left out: loop_a: the source: leads in a circle through the stream loop_a; add the camera's own RTSP link
left out: loop_b: the source: leads in a circle through the stream loop_b; add the camera's own RTSP link
an import would add 4 cameras; to import, run the command again with --apply
",
        cameras: &[
            (
                "porch",
                "rtsp://***@192.0.2.21:554/Streaming/Channels/101",
                Some("rtsp://***@192.0.2.21:554/Streaming/Channels/102"),
                "udp",
            ),
            ("yard", "rtsps://***@192.0.2.22:7441/main", Some("rtsps://***@192.0.2.22:7441/sub"), "auto"),
            ("Tur", "rtsp://***@192.0.2.23/cam", None, "auto"),
            ("wall", "rtsp://***@192.0.2.21:554/Streaming/Channels/101", None, "udp"),
        ],
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_of_mediamtx_is_imported_by_the_command() {
    check(Case {
        file: r"
logLevel: info
rtspAddress: :8554
pathDefaults:
  source: publisher
  sourceFingerprint:
  sourceOnDemand: false
  record: no
  recordPath: ./recordings/%path/%Y-%m-%d_%H-%M-%S-%f
  rtspTransport: automatic
  runOnDemandRestart: no
paths:
  gate:
    source: rtsp://admin:topsecret@192.0.2.20:554/stream1
    rtspTransport: tcp
    sourceOnDemand: yes
    record: yes
  gate_sub:
    source: rtsp://admin:topsecret@192.0.2.20:554/stream2
    rtspTransport: tcp
  cams/yard:
    source: rtsps://admin:topsecret@192.0.2.25/live
    sourceFingerprint: 33949E05FFFB5FF3E8AA16F8213A6251B4D9363804BA53233C4DA9A46D6F2739
  mirror:
    source: rtsp://localhost:8554/cams/yard
  camera3:
  garage:
    runOnDemand: ffmpeg -i rtsp://u:topsecret@h/x -c copy -f rtsp rtsp://localhost:$RTSP_PORT/$MTX_PATH
  tv:
    source: http://192.0.2.26/live/stream.m3u8?key=topsecret
  all_others:
",
        variables: &[("MTX_PATHS_CAMERA3_SOURCE", "rtsp://u:topsecret@192.0.2.27/1")],
        shown: "\
gate: added
  main     rtsp://***@192.0.2.20:554/stream1
  sub      rtsp://***@192.0.2.20:554/stream2
  options  transport: tcp
  note     consists of gate and gate_sub
  note     left out, because the manager decides this itself: sourceOnDemand
  note     left out, because there is no counterpart: record
cams-yard: added
  name     cams/yard
  main     rtsps://***@192.0.2.25/live
  note     sourceFingerprint is left out: the manager accepts every certificate of an RTSPS camera
mirror: added
  main     rtsps://***@192.0.2.25/live
  note     sourceFingerprint is left out: the manager accepts every certificate of an RTSPS camera
  note     the link comes from the path cams/yard of the file
camera3: added
  main     rtsp://***@192.0.2.27/1
left out: garage: gets its stream from a command (runOnInit, runOnDemand); if the command reads a camera, add \
the camera's own RTSP link
left out: tv: http is not supported; add the camera's RTSP link instead
left out: all_others: is a pattern for several paths
an import would add 4 cameras; to import, run the command again with --apply
",
        cameras: &[
            ("gate", "rtsp://***@192.0.2.20:554/stream1", Some("rtsp://***@192.0.2.20:554/stream2"), "tcp"),
            ("cams-yard", "rtsps://***@192.0.2.25/live", None, "auto"),
            ("mirror", "rtsps://***@192.0.2.25/live", None, "auto"),
            ("camera3", "rtsp://***@192.0.2.27/1", None, "auto"),
        ],
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_imported_by_the_command() {
    check(Case {
        file: "\u{feff}Name;Vendor;IP;Username;Password;RTSP URL;Transport\r\n\
               Über der Tür;hikvision;192.0.2.30;admin;topsecret;;tcp\r\n\
               Hof;;;;;\"rtsp://admin:topsecret@192.0.2.31/1\";\r\n\
               ;;;;;;\r\n",
        variables: &[],
        shown: "\
Uber-der-Tur: added
  name     Über der Tür
  main     rtsp://***@192.0.2.30:554/Streaming/Channels/101
  sub      rtsp://***@192.0.2.30:554/Streaming/Channels/102
  options  transport: tcp
Hof: added
  main     rtsp://***@192.0.2.31/1
an import would add 2 cameras; to import, run the command again with --apply
",
        cameras: &[
            (
                "Uber-der-Tur",
                "rtsp://***@192.0.2.30:554/Streaming/Channels/101",
                Some("rtsp://***@192.0.2.30:554/Streaming/Channels/102"),
                "tcp",
            ),
            ("Hof", "rtsp://***@192.0.2.31/1", None, "auto"),
        ],
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_needs_the_service_and_a_key_for_administrators() {
    const KEYS: &str = "boss:admin:admin-secret-000001,wall:viewer:viewer-secret-00001";
    let mut manager = Manager::start(&[("API_KEYS", KEYS)]).await;
    let file = r#"[{ "id": "gate", "rtsp_link": "rtsp://192.0.2.7/1" }]"#;
    for (variables, reason) in [
        (&[][..], "set API_KEY"),
        (&[("API_KEY", "another-secret-0001")], "set API_KEY"),
        (&[("API_KEY", "viewer-secret-00001")], "role"),
    ] {
        let refused = import(&manager, file, &["--apply"], variables);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.stderr.contains(reason), "{refused:?}");
    }
    let key = [("API_KEY", "admin-secret-000001")];
    let imported = import(&manager, file, &["--apply"], &key);
    assert_eq!(imported.code, Some(0), "{imported:?}");
    for (file, options, reason) in [
        ("[", &[][..], "line 1"),
        (r#"[{ "id": "gate" }, { "id": "yard", "port": "x" }]"#, &[], "entry 2 (yard)"),
        ("logLevel: info", &[], "format of the file is unknown"),
        ("streams: {a: exec:x}", &["--format", "mediamtx"], "looks like a configuration of go2rtc"),
        ("streams: {a: exec:x}", &["--apply"], "left out: a: the source: exec is not supported"),
        ("streams: {a: exec:x}", &["--apply"], "the file contains no camera that can be imported"),
        ("id,rtsp_link\na,rtsp://u:topsecret@h:0/x", &["--apply"], "entry 1 (a)"),
    ] {
        let refused = import(&manager, file, options, &key);
        assert!(refused.code.is_some_and(|code| code != 0), "{refused:?}");
        assert!(refused.stderr.contains(reason), "{refused:?}");
        assert!(!refused.stderr.contains("topsecret"), "{refused:?}");
    }
    manager.signal(nix::sys::signal::Signal::SIGTERM);
    manager.exit_code().await;
    let unreachable = import(&manager, file, &[], &key);
    assert_eq!(unreachable.code, Some(1), "{unreachable:?}");
    assert!(unreachable.stderr.contains("connection refused"), "{unreachable:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_puts_no_secret_of_the_service_into_a_link() {
    let manager = Manager::start(&[("API_KEYS", "boss:admin:admin-secret-000001")]).await;
    let variables = [
        ("API_KEY", "admin-secret-000001"),
        ("api_keys", "boss:admin:admin-secret-000001"),
        ("CAMERA_PASSWORD", "of-the-camera"),
    ];
    for name in ["API_KEY", "api_keys"] {
        let file = format!("streams:\n  gate: rtsp://192.0.2.7/${{{name}}}\n");
        let refused = import(&manager, &file, &["--apply"], &variables);
        assert_ne!(refused.code, Some(0), "{refused:?}");
        assert!(refused.stderr.contains(name), "{refused:?}");
        assert!(!format!("{refused:?}").contains("admin-secret"), "{refused:?}");
    }
    let file = "streams:\n  gate: rtsp://u:${CAMERA_PASSWORD}@192.0.2.7/x\n";
    let imported = import(&manager, file, &["--apply"], &variables);
    assert_eq!(imported.code, Some(0), "{imported:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_uses_the_key_that_the_service_has_created() {
    let manager = Manager::start(&[("ALLOW_ANONYMOUS", "")]).await;
    let file = r#"[{ "id": "gate", "rtsp_link": "rtsp://192.0.2.7/1" }]"#;
    let (_, port) = manager.address().rsplit_once(':').expect("a port");
    // The command has the same settings as the service, and finds the key next to the database.
    let port = [("PORT", port)];
    let imported = run(&manager, file, &["--apply"], &port);
    assert_eq!(imported.code, Some(0), "{imported:?}");
    assert!(imported.stdout.contains("1 added"), "{imported:?}");
    // The command gets `BIND_ADDR=::`, but the manager listens on IPv4 only, as it does with that setting in
    // a container without IPv6. The command then has to find it over IPv4.
    let again = run(&manager, file, &["--apply"], &[port[0], ("BIND_ADDR", "::")]);
    assert!(again.stdout.contains("1 unchanged"), "{again:?}");
    // With `--url`, the command does not send this key, even if the URL belongs to the same service.
    let refused = import(&manager, file, &["--apply"], &port);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("set API_KEY"), "{refused:?}");

    // This database has no key yet. The message names the file in which the command has searched for the key.
    let other = [port[0], ("DATABASE_URL", "sqlite:./other.db")];
    let key_file = manager.dir().path().join("other.db.admin-key");
    let refused = run(&manager, file, &["--apply"], &other);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(
        refused.stderr.contains(&format!("no admin key in {}:", key_file.display())),
        "{refused:?}"
    );
    assert!(refused.stderr.contains("DATABASE_URL"), "{refused:?}");
    std::fs::write(&key_file, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n").expect("a file");
    std::fs::set_permissions(&key_file, Permissions::from_mode(0o600)).expect("permissions");
    let refused = run(&manager, file, &["--apply"], &other);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("does not accept the admin key in /"), "{refused:?}");

    std::fs::write(manager.dir().path().join("streams.db.admin-key"), "garbage").expect("a file");
    let refused = run(&manager, file, &["--apply"], &port);
    assert_eq!(refused.code, Some(64), "{refused:?}");
    assert!(refused.stderr.contains("streams.db.admin-key contains no key"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_other_systems_are_imported_over_the_api() {
    let manager = Manager::start(&[]).await;
    let nginx = Nginx::start(&manager).await;
    let files = [
        ("mediamtx", "paths:\n  a:\n    source: rtsp://u:topsecret@192.0.2.1/x\n  p:\n"),
        ("go2rtc", "streams:\n  b: rtsp://u:topsecret@192.0.2.2/x\n  q: exec:true\n"),
        (
            "frigate",
            "cameras:\n  c:\n    ffmpeg:\n      inputs:\n        - path: rtsp://u:topsecret@192.0.2.3/x\n  r:\n",
        ),
        ("csv", "\u{feff}ID;URL\r\nd;rtsp://u:topsecret@192.0.2.4/x\r\n"),
        ("json", r#"{"cameras":[{"id":"e","rtsp_link":"rtsp://u:topsecret@192.0.2.5/x"}]}"#),
    ];
    for (index, (format, file)) in files.into_iter().enumerate() {
        let shown = send(&manager, "?dry_run=true", file).await;
        assert_eq!((shown.status.as_u16(), &shown.body["format"]), (200, &json!(format)));
        assert_eq!(shown.body["cameras"][0]["effect"], "created", "{shown:?}");
        assert_eq!(count(&manager).await, index);
        // nginx also passes these files on to the manager.
        let url = nginx.url(&format!("/api/cameras.json?format={format}"));
        let imported = nginx.client().put(url).body(file).send().await.expect("a response");
        let body: Value = imported.json().await.expect("JSON");
        assert_eq!(body["created"], 1, "{body}");
        let has_rest = !matches!(format, "csv" | "json");
        assert_eq!(
            body["left_out"].as_array().map_or(0, Vec::len),
            usize::from(has_rest),
            "{body}"
        );
        for text in [shown.body.to_string(), body.to_string(), manager.log()] {
            assert!(!text.contains("topsecret"), "{text}");
        }
    }
    let all = manager.get("/api/cameras").await.body;
    assert_eq!(all["total"], 5);
    assert!(all["cameras"].as_array().expect("a list").iter().all(|camera| {
        camera["source"].as_str().is_some_and(|source| source.starts_with("rtsp://***@192.0.2."))
    }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_imported_completely_changes_nothing() {
    let manager = Manager::start(&[]).await;
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let before = format!("*a{}", level - 1);
        let aliases = vec![before; 10].join(", ");
        writeln!(bomb, "a{level}: &a{level} [{aliases}]").expect("memory");
    }
    bomb += "paths:\n  a:\n    source: rtsp://h/x\n";
    let table = [
        ("a,b\n".to_owned(), "format of the file is unknown"),
        (bomb, "limits for values, nesting and aliases"),
        ("streams:\n  a: rtsp://h/x\n  a: rtsp://h/y\n".to_owned(), "repeats a key"),
        ("streams:\n  a: rtsp://${USER}@h/x\n".to_owned(), "variables USER"),
        ("streams:\n  a: exec:true\n".to_owned(), "no camera that can be imported"),
        ("id,rtsp_link\na,rtsp://h/x\nb,http://h/x\n".to_owned(), "entry 2 (b)"),
        (
            "id,rtsp_link\na,rtsp://h/x\na,rtsp://h/y\n".to_owned(),
            "line 3 of the file has the same id",
        ),
        (
            r#"[{"id":"a","rtsp_link":"rtsp://h/x"},{"id":"a","rtsp_link":"rtsp://h/y"}]"#
                .to_owned(),
            "entry 1 has the same id",
        ),
        ("id,rtsp_link,colour\na,rtsp://h/x,red\n".to_owned(), "column 3"),
    ];
    for (file, reason) in table {
        let refused = send(&manager, "", file).await;
        assert_eq!(refused.status, 400, "{refused:?}");
        assert!(
            refused.body["detail"].as_str().is_some_and(|it| it.contains(reason)),
            "{refused:?}"
        );
    }
    let refused = send(&manager, "?format=frigate", "streams:\n  a: rtsp://h/x\n").await;
    assert_eq!(refused.status, 400, "{refused:?}");
    let detail = refused.body["detail"].as_str().expect("a detail");
    assert!(detail.contains("looks like a configuration of go2rtc"), "{detail}");
    let path = "/api/cameras.json?format=xml";
    let refused = manager.send(manager.request(Method::PUT, path, &json!([]))).await;
    assert_eq!((refused.status.as_u16(), &refused.body["code"]), (400, &json!("invalid_request")));
    assert_eq!(count(&manager).await, 0);
}
