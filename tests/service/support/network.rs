//! Separate networks for tests that search with multicast, so that the tests do not find or query each
//! other's devices.

use std::future::Future;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use tokio::runtime::Builder;

/// Set in a process that runs a single test in its own network.
const IS_INSIDE: &str = "TEST_IS_IN_OWN_NETWORK";
/// Sets up loopback, with a route for multicast, and runs the test `$1` of the test program `$0`.
const SCRIPT: &str = "ip link set lo up
    ip route add 224.0.0.0/4 dev lo
    exec \"$0\" --exact \"$1\" --nocapture";
/// The options with which `unshare` creates a network namespace: for root, and for other users if the kernel
/// allows user namespaces.
const OPTIONS: [&[&str]; 2] = [&["--net"], &["--map-current-user", "--keep-caps", "--net"]];

/// Runs `test` in a network of its own, which has only the loopback interface. For this, another process of
/// the test program runs the calling test. `name` is the full name of that test, such as
/// `discovery::devices_are_found`.
///
/// If this process lacks the privileges to create a network namespace, runs `test` in the machine's network.
/// Tests in that network run one after the other.
pub(crate) fn in_own_network<F: Future<Output = ()>>(name: &str, test: impl FnOnce() -> F) {
    static SHARED_NETWORK: Mutex<()> = Mutex::new(());
    if std::env::var_os(IS_INSIDE).is_some() {
        return run(test);
    }
    let is_allowed = |options: &&&[&str]| {
        let output = Command::new("unshare").args(**options).arg("true").output();
        output.is_ok_and(|output| output.status.success())
    };
    let Some(options) = OPTIONS.iter().find(is_allowed) else {
        // If an earlier test has failed, the lock is poisoned. This test can run nevertheless.
        let _guard = SHARED_NETWORK.lock().unwrap_or_else(PoisonError::into_inner);
        return run(test);
    };
    let program = std::env::current_exe().expect("the test program");
    let mut command = Command::new("unshare");
    command.args(*options).args(["sh", "-eu", "-c", SCRIPT]).arg(program).arg(name);
    let output = command.env(IS_INSIDE, "1").output().expect("unshare");
    let result = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && result.contains("test result: ok. 1 passed"),
        "{name} failed in its own network:\n{result}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn run<F: Future<Output = ()>>(test: impl FnOnce() -> F) {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(test());
}
