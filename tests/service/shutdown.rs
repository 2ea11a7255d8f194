//! Clean and unclean shutdowns of the manager, and its startup checks.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::support::{Camera, Manager, Nginx, SilentCamera, is_running, send_signal, until};

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_streams_and_pending_starts() {
    let camera = Camera::start().await;
    let mut manager = Manager::start(&[]).await;
    manager.play("a", &camera.link("h264")).await;
    manager.play("b", &camera.link("h264-pcma")).await;
    let ffmpegs = manager.ffmpegs();
    assert_eq!(ffmpegs.len(), 2);
    let silent = SilentCamera::start().await;
    let link = silent.link();
    let (pending, _connection) = tokio::join!(manager.start_stream("c", &link), async {
        let connection = silent.accept().await;
        manager.signal(Signal::SIGTERM);
        connection
    });
    assert_eq!((pending.status.as_u16(), &pending.body["code"]), (503, &"shutting_down".into()));
    let start = Instant::now();
    assert_eq!(manager.exit_code().await, 0, "{}", manager.log());
    let duration = start.elapsed();
    assert!(duration < Duration::from_secs(8), "the shutdown took {duration:?}");
    assert!(!ffmpegs.into_iter().any(is_running));
    // The manager has kept the files with which the playlists of these streams can continue.
    for id in ["a", "b"] {
        assert!(manager.stream_dir().join(id).join("continuation.json").exists(), "{id}");
    }
    assert!(!manager.stream_dir().join("c").exists(), "the directory still exists");
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_that_make_other_programs_reload_have_no_effect() {
    let camera = Camera::start().await;
    let mut manager = Manager::start(&[]).await;
    manager.play("cam", &camera.link("h264")).await;
    for signal in [Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2] {
        manager.signal(signal);
        let line = format!("ignoring {signal}");
        until("the signal is logged", || async { manager.log().contains(&line) }).await;
    }
    assert_eq!(manager.status("cam").await["state"], "live");
    manager.signal(Signal::SIGTERM);
    assert_eq!(manager.exit_code().await, 0, "{}", manager.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_the_manager_immediately() {
    let mut manager = Manager::start(&[("STOP_GRACE_SECONDS", "60")]).await;
    let silent = SilentCamera::start().await;
    let path = format!("/api/stream/start?indicator_id=c&wait=false&rtsp_link={}", silent.link());
    assert_eq!(manager.get(&path).await.status, 200);
    let _connection = silent.accept().await;
    let ffmpegs = manager.ffmpegs();
    // After SIGSTOP, a process does not react to SIGTERM.
    for ffmpeg in &ffmpegs {
        send_signal(*ffmpeg, Signal::SIGSTOP);
    }
    manager.signal(Signal::SIGTERM);
    until("the shutdown has begun", || async { manager.log().contains("shutting down") }).await;
    manager.signal(Signal::SIGTERM);
    assert_eq!(manager.exit_code().await, 1);
    until("all FFmpegs have exited", || async { !ffmpegs.iter().any(|id| is_running(*id)) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigkill_leaves_no_ffmpeg_and_the_next_start_deletes_files_that_are_not_needed() {
    let camera = Camera::start().await;
    let mut manager = Manager::start(&[]).await;
    manager.play("cam", &camera.link("h264")).await;
    let ffmpegs = manager.ffmpegs();
    manager.signal(Signal::SIGKILL);
    manager.exit_code().await;
    until("all FFmpegs have exited", || async { !ffmpegs.iter().any(|id| is_running(*id)) }).await;
    let old_files = manager.stream_dir().join("cam");
    // Without this file, the playlist cannot continue, so the other files are not needed.
    std::fs::remove_file(old_files.join("continuation.json")).expect("files to delete");

    let manager = manager.start_again(&[]).await;
    assert!(!old_files.exists(), "the next start did not delete the old files");
    manager.play("cam", &camera.link("h264")).await;
}

#[test]
fn the_manager_exits_with_code_64_and_one_line_if_a_setting_is_invalid() {
    let dir = TempDir::new().expect("a directory");
    std::fs::write(dir.path().join("file"), "").expect("a file");
    // A setting, an invalid value, and words that the message must contain.
    let table: [(&str, &str, &[&str]); 4] = [
        ("PORT", "eighty", &["0", "65535"]),
        ("CLEANUP_DELAY_SECONDS", "0", &["seconds", "1", "86400"]),
        ("LOG_FORMAT", "xml", &["text", "json"]),
        ("STREAM_DIR", "file", &["File exists"]),
    ];
    for (name, value, words) in table {
        let (code, stderr) = Manager::run_to_exit(&dir, &[(name, value)]);
        assert_eq!(code, Some(64), "{name}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        for word in [name, value].iter().chain(words) {
            assert!(stderr.contains(word), "{word}: {stderr}");
        }
    }
}

#[test]
fn the_environment_takes_precedence_over_the_dotenv_file() {
    let dir = TempDir::new().expect("a directory");
    std::fs::write(dir.path().join(".env"), "# a comment\nMAX_STREAMS=none\nPORT=x\n")
        .expect(".env");
    let (code, stderr) = Manager::run_to_exit(&dir, &[]);
    assert_eq!(code, Some(64));
    // The environment sets PORT=0, which replaces the invalid PORT of .env. So only MAX_STREAMS is
    // invalid.
    assert!(stderr.contains("MAX_STREAMS") && stderr.contains("none"), "{stderr}");
}

#[test]
fn the_error_for_an_invalid_line_of_the_dotenv_file_contains_the_line_number() {
    let dir = TempDir::new().expect("a directory");
    std::fs::write(dir.path().join(".env"), "\u{feff}MAX_STREAMS=\"5\"\nsecret-text\n")
        .expect(".env");
    let (code, stderr) = Manager::run_to_exit(&dir, &[]);
    assert_eq!(code, Some(64), "{stderr}");
    assert!(stderr.contains(".env, line 2") && !stderr.contains("secret-text"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_managers_cannot_share_a_stream_directory() {
    let manager = Manager::start(&[]).await;
    let other = TempDir::new().expect("a directory");
    let shared = manager.stream_dir();
    let (code, stderr) =
        Manager::run_to_exit(&other, &[("STREAM_DIR", shared.to_str().expect("a path"))]);
    assert_eq!(code, Some(64), "{stderr}");
    assert!(stderr.contains("STREAM_DIR") && stderr.contains("another stream-manager"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_socket_of_a_dead_manager_is_replaced() {
    let mut killed = Manager::start(&[]).await;
    killed.signal(Signal::SIGKILL);
    killed.exit_code().await;
    assert!(killed.socket().exists(), "the socket no longer exists");
    let manager = killed.start_again(&[]).await;
    let nginx = Nginx::start(&manager).await;
    assert_eq!(nginx.get("/api/health").await.status(), 200);

    let other = TempDir::new().expect("a directory");
    let file = other.path().join("notes");
    std::fs::write(&file, "precious").expect("a file");
    for path in [&manager.socket(), &file] {
        let settings = [("BIND_SOCKET", path.to_str().expect("a path"))];
        let (code, stderr) = Manager::run_to_exit(&other, &settings);
        assert_eq!(code, Some(1), "{stderr}");
        assert!(stderr.contains("BIND_SOCKET"), "{stderr}");
    }
    assert_eq!(std::fs::read_to_string(&file).expect("the file"), "precious");
    assert_eq!(nginx.get("/api/health").await.status(), 200);
}
