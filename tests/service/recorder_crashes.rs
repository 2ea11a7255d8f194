//! Recordings while the manager is killed again and again.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::signal::Signal;
use serde_json::json;

use crate::support::recordings::{
    CLOCK_BITS, RECORDINGS, assert_index_agrees, assert_plays, put_recorded, recorded_files,
};
use crate::support::{Camera, Manager, is_running, until};

/// The longest gap around a kill, in milliseconds, with a keyframe every two seconds: the fragment that was being
/// collected, the restart, and the wait for the next keyframe.
const LONGEST_GAP: u32 = 4_000;

/// Returns the present time as the test camera shows it.
fn clock() -> u32 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_millis();
    u32::try_from(now % (1 << CLOCK_BITS)).expect("32 bits")
}

/// Kills the manager `kills` times while `cameras` cameras are recorded.
async fn kill_again_and_again(kills: usize, cameras: usize) {
    // Each connection joins in the middle of a group of pictures of two seconds.
    let camera = Camera::start_with(&["--running", "h264"]).await;
    let mut manager = Manager::start(&[RECORDINGS]).await;
    let dir = manager.dir().path().join("recordings");
    let ids: Vec<_> = (0..cameras).map(|number| format!("cam{number}")).collect();
    for id in &ids {
        put_recorded(id, &manager, &camera.link("h264"), json!({ "mode": "continuous" })).await;
    }
    let mut killed_at = Vec::new();
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
    }
    manager.signal(Signal::SIGTERM);
    assert_eq!(manager.exit_code().await, 0);
    let files = assert_index_agrees(&manager, &dir).await;
    let mut longest = 0;
    for id in &ids {
        let files: Vec<_> = files.iter().filter(|(file, _)| file.camera == *id).collect();
        assert_eq!(files.len(), kills + 1, "{id}: {files:?}");
        for (_, clocks) in &files {
            assert_plays(clocks);
        }
        for (pair, at) in files.windows(2).zip(&killed_at) {
            let last = *pair[0].1.last().expect("a picture");
            let (gap, until_kill) = (pair[1].1[0].wrapping_sub(last), at.wrapping_sub(last));
            longest = longest.max(gap);
            assert!(
                gap < LONGEST_GAP && until_kill < gap,
                "{id}: {gap} ms, {until_kill} ms before the kill"
            );
        }
    }
    println!("the longest of {} gaps lasts for {longest} ms", kills * cameras);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_manager_leaves_files_that_play() {
    kill_again_and_again(3, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes two minutes; ./deploy/test --long runs it"]
async fn twenty_kills_leave_files_that_play() {
    kill_again_and_again(20, 5).await;
}
