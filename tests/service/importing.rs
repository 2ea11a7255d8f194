//! Imports of cameras: the command `import`, and files of other systems in requests.

use std::fmt::Write as _;
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

/// Runs `stream-manager import` with the file contents `file` and the manager's URL (`--url`).
fn import(manager: &Manager, file: &str, options: &[&str], variables: &[(&str, &str)]) -> Outcome {
    let url = manager.url("");
    run(manager, file, &[&["--url", url.as_str()], options].concat(), variables)
}

/// Runs `stream-manager import` with the file contents `file`, in the manager's directory. Without `--url`, the
/// command finds the service by the settings in `variables`.
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

/// Sends a file in an import.
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
    ffmpeg:
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
    let row = format!("gate    gate  {main}  {sub}  added");
    assert!(
        shown.stdout.lines().any(|line| line.split_whitespace().eq(row.split_whitespace())),
        "{shown:?}"
    );
    assert!(shown.stdout.contains("left out: web: input 1 cannot be used: http"), "{shown:?}");
    assert!(shown.stdout.contains("add 1, change 0"), "{shown:?}");
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
    assert!(shown.stdout.contains("add 0, change 1"), "{shown:?}");
    assert_eq!(import(&manager, &file, &["--apply"], &variables).code, Some(0));
    until("the sub stream has the audio of its new source", || async {
        let status = manager.get("/api/cameras/gate/stream/status?profile=sub").await.body;
        !status["media"]["audio_codec"].is_null()
    })
    .await;
    let again = import(&manager, &file, &["--apply"], &variables);
    assert!(again.stdout.contains("0 added, 0 changed, 1 unchanged"), "{again:?}");
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
async fn the_command_uses_the_key_that_the_service_has_created() {
    let manager = Manager::start(&[("ALLOW_ANONYMOUS", "")]).await;
    let file = r#"[{ "id": "gate", "rtsp_link": "rtsp://192.0.2.7/1" }]"#;
    let (_, port) = manager.address().rsplit_once(':').expect("a port");
    // The command has the same settings as the service, and finds the key next to the database.
    let port = [("PORT", port)];
    let imported = run(&manager, file, &["--apply"], &port);
    assert_eq!(imported.code, Some(0), "{imported:?}");
    assert!(imported.stdout.contains("1 added"), "{imported:?}");
    // With `--url`, the command does not send this key, even if the URL belongs to the same service.
    let refused = import(&manager, file, &["--apply"], &port);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("set API_KEY"), "{refused:?}");

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
        // nginx passes such files on as well.
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
        ("id,rtsp_link\na,rtsp://h/x\na,rtsp://h/y\n".to_owned(), "entry 1 has the same id"),
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
    let path = "/api/cameras.json?format=xml";
    let refused = manager.send(manager.request(Method::PUT, path, &json!([]))).await;
    assert_eq!((refused.status.as_u16(), &refused.body["code"]), (400, &json!("invalid_request")));
    assert_eq!(count(&manager).await, 0);
}
