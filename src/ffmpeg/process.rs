//! Child processes that are always reaped and never survive the manager.
//!
//! A child leads a process group of its own, so that what it starts itself is ended with it. The
//! kernel kills it when the *thread* that forked it ends (`PR_SET_PDEATHSIG`), so all children
//! are forked by one thread that lives as long as the process: the [`Spawner`]'s.

use std::fmt::Display;
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::{mpsc, oneshot};
use tracing::warn;

use crate::config::SETTINGS;
use crate::error::{Error, ErrorKind};
use crate::onvif::command::PASSWORD;

/// Spawns that may wait for the spawner's thread; further callers wait in line for a place.
const QUEUE: usize = 64;

/// Bytes of stack for each of a child's threads. The usual 8 MiB count as memory that it takes, whether
/// it uses them or not; this is more than any codec needs.
const STACK: u64 = 2 * 1024 * 1024;

/// What a child may take of the machine.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Its priority: 0 is that of others, 19 the least.
    pub nice: i32,
    /// Bytes of memory of its own.
    pub memory: u64,
    /// Open files.
    pub open_files: u64,
}

type Request = (Command, oneshot::Sender<io::Result<Child>>);

/// Forks all children from one long-lived thread. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Spawner {
    requests: mpsc::Sender<Request>,
    bounds: Bounds,
}

impl Spawner {
    /// Starts the thread; its children live within `bounds`. Must be called within a tokio runtime. All children die with the last
    /// clone, so the manager keeps one until its end.
    pub fn start(bounds: Bounds) -> io::Result<Self> {
        let bounds = Bounds {
            memory: allowed(Resource::RLIMIT_DATA, "FFMPEG_MAX_MEMORY_MB", bounds.memory)?,
            open_files: allowed(
                Resource::RLIMIT_NOFILE,
                "FFMPEG_MAX_OPEN_FILES",
                bounds.open_files,
            )?,
            ..bounds
        };
        let (requests, mut queue) = mpsc::channel::<Request>(QUEUE);
        let runtime = tokio::runtime::Handle::current();
        std::thread::Builder::new().name("spawner".into()).spawn(move || {
            let _entered = runtime.enter();
            while let Some((mut command, reply)) = queue.blocking_recv() {
                // A caller who has left gets nothing: the child dies as its handle is dropped.
                let _ = reply.send(command.spawn());
            }
        })?;
        Ok(Self { requests, bounds })
    }

    /// Starts `command` in a process group of its own, with stdin, stdout and stderr as pipes.
    pub async fn spawn(&self, mut command: Command) -> io::Result<Process> {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        keep_secrets_from(&mut command);
        prepare(&mut command, self.bounds);
        let gone = || io::Error::other("the spawner's thread has ended");
        let (reply, answer) = oneshot::channel();
        self.requests.send((command, reply)).await.map_err(|_| gone())?;
        Process::new(answer.await.map_err(|_| gone())??)
    }
}

/// FFmpeg, which is `program`, does not start, or ends at once.
pub fn cannot_run(program: &Path, reason: impl Display) -> Error {
    let detail = format!("FFmpeg ({}) cannot be run: {reason}", program.display());
    Error::new(ErrorKind::FfmpegUnavailable, detail)
}

/// Settings are none of a child's business, and some are secret: who reads what cameras send should
/// not have them.
fn keep_secrets_from(command: &mut Command) {
    for name in SETTINGS.iter().map(|setting| setting.name).chain(["NEW_SOURCE_KEY", PASSWORD]) {
        command.env_remove(name);
    }
}

/// Has the child set its bounds, and the kernel kill it when the manager dies in a way that lets it
/// clean up nothing.
fn prepare(command: &mut Command, bounds: Bounds) {
    let parent = nix::unistd::getpid();
    let in_child = move || {
        nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
        // A core dump would hold the camera's password.
        setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
        setrlimit(Resource::RLIMIT_STACK, STACK, STACK)?;
        setrlimit(Resource::RLIMIT_DATA, bounds.memory, bounds.memory)?;
        setrlimit(Resource::RLIMIT_NOFILE, bounds.open_files, bounds.open_files)?;
        // Not allowed where the manager itself has less priority than this already: fine.
        let _ = set_priority(bounds.nice);
        // The parent may have died before the line above took hold.
        if nix::unistd::getppid() == parent {
            Ok(())
        } else {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    };
    // SAFETY: between fork and exec only prctl, setrlimit, setpriority and getppid are called, which
    // are plain system calls; nothing is allocated and no lock is taken.
    #[expect(unsafe_code, reason = "pre_exec is the only way to set the parent-death signal")]
    unsafe {
        command.pre_exec(in_child);
    }
}

/// What of a bound the system allows.
fn allowed(resource: Resource, setting: &str, wanted: u64) -> io::Result<u64> {
    let (_, hard) = getrlimit(resource)?;
    if wanted > hard {
        warn!(setting, wanted, allowed = hard, "the system allows less");
    }
    Ok(wanted.min(hard))
}

fn set_priority(nice: i32) -> io::Result<()> {
    // SAFETY: a system call that takes numbers and changes this process alone.
    #[expect(unsafe_code, reason = "nix has no setpriority")]
    let result = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A running child. Dropping it kills its whole group.
#[derive(Debug)]
pub struct Process {
    child: Child,
    group: Pid,
}

impl Process {
    fn new(child: Child) -> io::Result<Self> {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        let id = id.ok_or_else(|| io::Error::other("the child has no process id"))?;
        Ok(Self { child, group: Pid::from_raw(id) })
    }

    /// Process id, as in `ps`.
    pub fn pid(&self) -> Pid {
        self.group
    }

    /// The child's stdin, stdout and stderr. Can be taken once.
    pub fn take_pipes(&mut self) -> io::Result<(ChildStdin, ChildStdout, ChildStderr)> {
        let child = &mut self.child;
        match (child.stdin.take(), child.stdout.take(), child.stderr.take()) {
            (Some(stdin), Some(stdout), Some(stderr)) => Ok((stdin, stdout, stderr)),
            _ => Err(io::Error::other("the pipes were taken before")),
        }
    }

    /// Sends `signal` to the child and all it has started.
    pub fn signal(&self, signal: Signal) {
        // ESRCH: the whole group has gone already, which is all one can want.
        let _ = killpg(self.group, signal);
    }

    /// Waits for the child's end, reaps it, and kills what it left behind in its group.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait().await?;
        // The group's number cannot belong to others yet: the kernel gives out process ids in
        // turn, and as long as a member lives it keeps the number taken.
        self.signal(Signal::SIGKILL);
        Ok(status)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Reaped children have no id, and their group was killed by `wait`.
        if self.child.id().is_some() {
            self.signal(Signal::SIGKILL);
        }
    }
}
