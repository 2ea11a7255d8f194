//! Recordings while the manager is killed again and again.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::signal::Signal;
use serde_json::json;

use crate::support::recordings::{
    CLOCK_BITS, RECORDINGS, assert_index_agrees, put_recorded, recorded_files,
};
use crate::support::{Camera, Manager, is_running, until};

/// The usual time from a kill until the next manager listens, in milliseconds. If the machine is busy and needs longer, the
/// gap can be longer by the difference.
const USUAL_RESTART: u32 = 500;
/// The time for which the test camera shows a picture, in milliseconds.
const PICTURE: u32 = 40;

/// Returns the present time as the test camera shows it.
fn clock() -> u32 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_millis();
    u32::try_from(now % (1 << CLOCK_BITS)).expect("32 bits")
}

/// Kills the manager `kills` times while `cameras` cameras are recorded. The gap around each kill must not be longer than
/// `longest_gap` milliseconds: the fragment that was being collected (1 s), the restart, and the wait for the next keyframe (2 s).
async fn kill_again_and_again(kills: usize, cameras: usize, longest_gap: u32) {
    // Each connection joins in the middle of a group of pictures of two seconds.
    let camera = Camera::start_with(&["--running", "h264"]).await;
    let mut manager = Manager::start(&[RECORDINGS]).await;
    let dir = manager.dir().path().join("recordings");
    let ids: Vec<_> = (0..cameras).map(|number| format!("cam{number}")).collect();
    for id in &ids {
        put_recorded(id, &manager, &camera.link("h264"), json!({ "mode": "continuous" })).await;
    }
    let (mut killed_at, mut restarts) = (Vec::new(), Vec::new());
    for kill in 0..=kills {
        until("all cameras are recorded again", || async {
            let found = recorded_files(&dir);
            let is_of = |id: &String| {
                let of = found.iter().filter(|path| {
                    let text = path.to_string_lossy();
                    text.contains(&format!("/{id}-"))
                        && path.metadata().is_ok_and(|it| it.len() > 50_000)
                });
                of.count() > kill
            };
            ids.iter().all(is_of)
        })
        .await;
        // The kills are at different moments of a file's life.
        tokio::time::sleep(Duration::from_millis(fastrand::u64(500..3_000))).await;
        if kill == kills {
            break;
        }
        killed_at.push(clock());
        manager.signal(Signal::SIGKILL);
        // A thread that waits for the disk ends later than the others, and keeps the locks of the process.
        let threads = format!("/proc/{}/task", manager.pid());
        until("the manager is gone", || async {
            let is_alone = fs::read_dir(&threads).is_ok_and(|threads| threads.count() <= 1);
            is_alone && !is_running(manager.pid())
        })
        .await;
        manager = manager.start_again(&[RECORDINGS]).await;
        restarts.push(clock().wrapping_sub(killed_at[kill]));
    }
    manager.signal(Signal::SIGTERM);
    assert_eq!(manager.exit_code().await, 0);
    let files = assert_index_agrees(&manager, &dir).await;
    for id in &ids {
        let files: Vec<_> = files.iter().filter(|(file, _)| file.camera == *id).collect();
        assert_eq!(files.len(), kills + 1, "{id}: {files:?}");
        for (_, clocks) in &files {
            assert!(clocks.len() > 10, "{id}: {} pictures", clocks.len());
        }
        for (pair, (at, restart)) in files.windows(2).zip(killed_at.iter().zip(&restarts)) {
            let last = *pair[0].1.last().expect("a picture");
            // The gap begins when the last picture has been shown.
            let gap = pair[1].1[0].wrapping_sub(last).saturating_sub(PICTURE);
            let until_kill = at.wrapping_sub(last).saturating_sub(PICTURE);
            let limit = longest_gap + restart.saturating_sub(USUAL_RESTART);
            assert!(
                gap <= limit && until_kill < gap,
                "{id}: {gap} ms, {until_kill} ms before the kill, with a restart in {restart} ms"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_manager_leaves_files_that_play() {
    // Other tests can keep the machine busy at the same time.
    kill_again_and_again(3, 1, 8_000).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes two minutes; ./deploy/test --long runs it"]
async fn twenty_kills_leave_files_that_play() {
    kill_again_and_again(20, 5, 4_000).await;
}
