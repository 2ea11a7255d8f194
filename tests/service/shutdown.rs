//! The end of the manager, orderly or not, and the next start.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::support::{Camera, Manager, Nginx, is_running, until};

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_all_in_order() {
    let camera = Camera::start().await;
    let mut manager = Manager::start(&[]).await;
    manager.play("a", &camera.link("h264")).await;
    manager.play("b", &camera.link("h264-pcma")).await;
    let ffmpegs = manager.ffmpegs();
    assert_eq!(ffmpegs.len(), 2);
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let link = format!("rtsp://{}/x", silent.local_addr().expect("an address"));
    let (waiting, ()) = tokio::join!(manager.start_stream("c", &link), async {
        silent.accept().await.expect("FFmpeg connects");
        manager.signal(Signal::SIGTERM);
    });
    assert_eq!((waiting.status.as_u16(), &waiting.body["code"]), (503, &"shutting_down".into()));
    let signalled = Instant::now();
    assert_eq!(manager.exit_code().await, 0, "{}", manager.log());
    assert!(signalled.elapsed() < Duration::from_secs(8), "took {:?}", signalled.elapsed());
    assert!(!ffmpegs.into_iter().any(is_running));
    for id in ["a", "b", "c"] {
        assert!(!manager.stream_dir().join(id).exists(), "directory {id} is left");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_at_once() {
    let mut manager = Manager::start(&[("STOP_GRACE_SECONDS", "60")]).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let link = format!("rtsp://{}/x", silent.local_addr().expect("an address"));
    let path = format!("/api/stream/start?indicator_id=c&wait=false&rtsp_link={link}");
    assert_eq!(manager.get(&path).await.status, 200);
    let (_connection, _) = silent.accept().await.expect("FFmpeg connects");
    let ffmpegs = manager.ffmpegs();
    // A stopped process does not hear SIGTERM.
    for ffmpeg in &ffmpegs {
        let id = nix::unistd::Pid::from_raw((*ffmpeg).try_into().expect("a process id"));
        nix::sys::signal::kill(id, Signal::SIGSTOP).expect("a process that is there");
    }
    manager.signal(Signal::SIGTERM);
    until("the manager is ending", || async { manager.log().contains("shutting down") }).await;
    manager.signal(Signal::SIGTERM);
    assert_eq!(manager.exit_code().await, 1);
    until("no FFmpeg is left", || async { !ffmpegs.iter().any(|id| is_running(*id)) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigkill_leaves_no_ffmpeg_and_the_next_start_sweeps() {
    let camera = Camera::start().await;
    let mut manager = Manager::start(&[]).await;
    manager.play("cam", &camera.link("h264")).await;
    let ffmpegs = manager.ffmpegs();
    manager.signal(Signal::SIGKILL);
    manager.exit_code().await;
    until("no FFmpeg is left", || async { !ffmpegs.iter().any(|id| is_running(*id)) }).await;
    let left = manager.stream_dir().join("cam");
    assert!(left.exists(), "there is nothing to sweep");

    let next = manager.start_again(&[]).await;
    assert!(!left.exists(), "the next start did not sweep");
    next.play("cam", &camera.link("h264")).await;
}

#[test]
fn an_unusable_setting_stops_the_start_with_64_and_one_line() {
    let dir = TempDir::new().expect("a directory");
    std::fs::write(dir.path().join("file"), "").expect("a file");
    let table = [
        ("PORT", "eighty", "a port"),
        ("CLEANUP_DELAY_SECONDS", "0", "seconds, 1 to"),
        ("LOG_FORMAT", "xml", "text or json"),
        ("STREAM_DIR", "file", "cannot be used"),
    ];
    for (name, value, reason) in table {
        let (code, said) = Manager::run_to_end(&dir, &[(name, value)]);
        assert_eq!(code, Some(64), "{name}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        for part in [name, value, reason] {
            assert!(said.contains(part), "{said}");
        }
    }
}

#[test]
fn settings_are_read_from_dotenv_too_and_the_environment_wins() {
    let dir = TempDir::new().expect("a directory");
    std::fs::write(dir.path().join(".env"), "# a comment\nMAX_STREAMS=none\nPORT=x\n")
        .expect(".env");
    let (code, said) = Manager::run_to_end(&dir, &[]);
    assert_eq!(code, Some(64));
    assert!(said.contains("MAX_STREAMS=\"none\""), "PORT=0 of the environment did not win: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_managers_do_not_share_a_directory() {
    let manager = Manager::start(&[]).await;
    let other = TempDir::new().expect("a directory");
    let shared = manager.stream_dir();
    let (code, said) =
        Manager::run_to_end(&other, &[("STREAM_DIR", shared.to_str().expect("a path"))]);
    assert_eq!(code, Some(64), "{said}");
    assert!(said.contains("another stream-manager"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_is_taken_over_from_a_dead_manager_and_from_nobody_else() {
    let mut killed = Manager::start(&[]).await;
    killed.signal(Signal::SIGKILL);
    killed.exit_code().await;
    assert!(killed.socket().exists(), "its socket should be left behind");
    let manager = killed.start_again(&[]).await;
    let nginx = Nginx::start(&manager).await;
    assert_eq!(nginx.get("/api/health").await.status(), 200);

    let other = TempDir::new().expect("a directory");
    let file = other.path().join("notes");
    std::fs::write(&file, "precious").expect("a file");
    for path in [&manager.socket(), &file] {
        let set = [("BIND_SOCKET", path.to_str().expect("a path"))];
        let (code, said) = Manager::run_to_end(&other, &set);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("BIND_SOCKET="), "{said}");
    }
    assert_eq!(std::fs::read_to_string(&file).expect("the file"), "precious");
    assert_eq!(nginx.get("/api/health").await.status(), 200);
}
