//! Processes that never outlive the test, and queries about other processes in `/proc`.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

/// A child process in its own process group. Dropping the value kills the whole group.
pub(crate) struct Process {
    child: Child,
}

impl Process {
    /// Starts `program` in its own process group. `setpriv` makes the kernel kill the program if the
    /// test process dies without dropping this value.
    pub(crate) fn start(program: &str, configure: impl FnOnce(&mut Command)) -> Self {
        use std::os::unix::process::CommandExt as _;
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", program]).process_group(0);
        configure(&mut command);
        let child = command.spawn();
        Self { child: child.unwrap_or_else(|error| panic!("cannot run {program}: {error}")) }
    }

    /// Returns the process ID.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Sends `signal` to the process, but not to the rest of its group.
    pub(crate) fn signal(&self, signal: Signal) {
        send_signal(self.pid(), signal);
    }

    /// Returns the exit code, -1 if a signal ended the process, or `None` if the process is still running.
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        let status = self.child.try_wait().expect("a child of this process")?;
        Some(status.code().unwrap_or(-1))
    }

    /// Kills the whole process group and reaps the process.
    pub(crate) fn kill(&mut self) {
        let _ = killpg(to_pid(self.pid()), Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Collects the lines that a child writes to `pipe`. A thread appends each line when it arrives.
pub(crate) fn lines_of(pipe: impl Read + Send + 'static) -> Arc<Mutex<Vec<String>>> {
    let lines = Arc::<Mutex<Vec<String>>>::default();
    let collected = Arc::clone(&lines);
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            collected.lock().expect("lines").push(line);
        }
    });
    lines
}

fn to_pid(id: u32) -> Pid {
    Pid::from_raw(id.try_into().expect("a process ID"))
}

/// Sends `signal` to the process `pid`.
pub(crate) fn send_signal(pid: u32, signal: Signal) {
    kill(to_pid(pid), signal).expect("a running process");
}

/// Returns whether the process exists and is not a zombie.
pub(crate) fn is_running(pid: u32) -> bool {
    stat(pid).is_some_and(|stat| stat.state != "Z")
}

/// Returns the process IDs of the running children of `parent`.
pub(crate) fn children_of(parent: u32) -> Vec<u32> {
    let is_child = |pid: &u32| stat(*pid).is_some_and(|s| s.parent == parent && s.state != "Z");
    all_pids().filter(is_child).collect()
}

/// Returns the IDs of the processes whose arguments or environment contain `text`.
pub(crate) fn processes_that_show(text: &str) -> Vec<u32> {
    let shows = |pid: &u32| {
        ["cmdline", "environ"].iter().any(|file| {
            let bytes = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
            String::from_utf8_lossy(&bytes).contains(text)
        })
    };
    all_pids().filter(shows).collect()
}

struct Stat {
    state: String,
    parent: u32,
}

/// Returns the state and the parent of a process, or `None` if the process does not exist.
fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses, which can contain spaces.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    Some(Stat { state: fields.next()?.to_owned(), parent: fields.next()?.parse().ok()? })
}

/// Returns the IDs of all processes.
fn all_pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").expect("/proc");
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}
