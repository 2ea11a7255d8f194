//! Processes that do not outlive the test, and a look at all the others.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

/// A child with its process group; both are killed when the test ends, however it ends.
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts `program` in a group of its own. setpriv lets the kernel kill it with the test.
    pub fn start(program: &str, configure: impl FnOnce(&mut Command)) -> Self {
        use std::os::unix::process::CommandExt as _;
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", program]).process_group(0);
        configure(&mut command);
        let child = command.spawn();
        Self { child: child.unwrap_or_else(|error| panic!("{program} cannot be run: {error}")) }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Sends `signal` to the process alone.
    pub fn signal(&self, signal: Signal) {
        kill(pid(self.id()), signal).expect("a process that is there");
    }

    /// Its exit code, when it has ended by itself.
    pub fn exit_code(&mut self) -> Option<i32> {
        let status = self.child.try_wait().expect("a child of ours")?;
        Some(status.code().unwrap_or(-1))
    }

    /// Kills it and all of its group, and waits for its end.
    pub fn kill(&mut self) {
        let _ = killpg(pid(self.id()), Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The lines that a child writes to `pipe`, as they come.
pub fn lines_of(pipe: impl Read + Send + 'static) -> Arc<Mutex<Vec<String>>> {
    let lines = Arc::<Mutex<Vec<String>>>::default();
    let collected = Arc::clone(&lines);
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            collected.lock().expect("lines").push(line);
        }
    });
    lines
}

fn pid(id: u32) -> Pid {
    Pid::from_raw(id.try_into().expect("a process id"))
}

/// Whether a process of this id runs. One that has ended and waits for its parent does not.
pub fn is_running(id: u32) -> bool {
    stat(id).is_some_and(|stat| stat.state != "Z")
}

/// The processes that `parent` has started and that run.
pub fn children_of(parent: u32) -> Vec<u32> {
    let is_child = |id: &u32| stat(*id).is_some_and(|s| s.parent == parent && s.state != "Z");
    all().filter(is_child).collect()
}

/// The processes whose arguments or environment show `text`.
pub fn processes_that_show(text: &str) -> Vec<u32> {
    let shows = |id: &u32| {
        ["cmdline", "environ"].iter().any(|file| {
            let bytes = fs::read(format!("/proc/{id}/{file}")).unwrap_or_default();
            String::from_utf8_lossy(&bytes).contains(text)
        })
    };
    all().filter(shows).collect()
}

struct Stat {
    state: String,
    parent: u32,
}

fn stat(id: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name in parentheses can hold anything.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    Some(Stat { state: fields.next()?.to_owned(), parent: fields.next()?.parse().ok()? })
}

fn all() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").expect("/proc");
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}
