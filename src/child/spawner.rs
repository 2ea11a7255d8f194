//! Child processes that are always reaped and never survive the manager.
//!
//! A child leads a process group of its own, so that what it starts itself is ended with it. The
//! kernel kills it when the *thread* that started it ends (`PR_SET_PDEATHSIG`), so all children
//! are started by one thread that lives as long as the process: the [`Spawner`]'s.
//!
//! A child has to set its own limits before it becomes FFmpeg. Forking the manager for that takes
//! longer the more memory it has, and stops all its threads in the meantime. So the manager starts
//! its own program once more, which sets the limits and then becomes FFmpeg: [`become_child`].

use std::convert::Infallible;
use std::ffi::OsString;
use std::fmt::Display;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::str::FromStr;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{AccessFlags, Pid, access, getpid, getppid};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tracing::warn;

use crate::base::error::{Error, ErrorKind};

/// The argument that makes the program a child; see [`become_child`].
pub const CHILD: &str = "child";
/// The exit code of a child that could not become FFmpeg; shells use the same.
pub(crate) const EXIT_CANNOT_RUN: u8 = 127;
/// The running program, even when its file was replaced by a newer one.
const OWN_PROGRAM: &str = "/proc/self/exe";

/// Requests that can wait for the spawner's thread; further callers wait for a place in the queue.
const QUEUE: usize = 64;

/// Stack of each of a child's threads, in bytes. The usual 8 MiB count against its memory limit, used
/// or not; this is more than any codec needs.
const STACK: u64 = 2 * 1024 * 1024;

/// The limits of a child.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Its niceness: 0 is the usual priority, 19 the lowest.
    pub nice: i32,
    /// Memory of its own, in bytes.
    pub memory: u64,
    /// Number of open files.
    pub open_files: u64,
}

/// A child to start, the runtime that will read its pipes, and where to send it.
struct Request {
    program: PathBuf,
    arguments: Vec<String>,
    runtime: Handle,
    reply: oneshot::Sender<io::Result<Child>>,
}

/// Starts all children from one long-lived thread. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Spawner {
    requests: mpsc::Sender<Request>,
}

impl Spawner {
    /// Starts the thread. Its children live within `bounds` and do not inherit the environment
    /// variables `hidden`, which can hold secrets. All children die with the last clone, so the
    /// manager keeps one until it ends.
    pub fn start(bounds: Bounds, hidden: &[&str]) -> io::Result<Self> {
        let bounds = Bounds {
            memory: allowed(Resource::RLIMIT_DATA, "FFMPEG_MAX_MEMORY_MB", bounds.memory)?,
            open_files: allowed(
                Resource::RLIMIT_NOFILE,
                "FFMPEG_MAX_OPEN_FILES",
                bounds.open_files,
            )?,
            ..bounds
        };
        let hidden = hidden_variables(std::env::vars_os().map(|(name, _)| name), hidden);
        let (requests, mut queue) = mpsc::channel::<Request>(QUEUE);
        std::thread::Builder::new().name("spawner".into()).spawn(move || {
            while let Some(request) = queue.blocking_recv() {
                let _entered = request.runtime.enter();
                let program = executable(&request.program);
                let child = program
                    .and_then(|program| command(&program, &request, bounds, &hidden).spawn());
                // If the caller has left, the child dies as its handle is dropped.
                let _ = request.reply.send(child);
            }
        })?;
        Ok(Self { requests })
    }

    /// Starts `program` in a process group of its own, with stdin, stdout and stderr as pipes.
    pub async fn spawn(&self, program: &Path, arguments: Vec<String>) -> io::Result<Process> {
        let gone = || io::Error::other("the spawner's thread has ended");
        let (reply, answer) = oneshot::channel();
        let (program, runtime) = (program.to_owned(), Handle::current());
        let request = Request { program, arguments, runtime, reply };
        self.requests.send(request).await.map_err(|_| gone())?;
        Process::new(answer.await.map_err(|_| gone())??)
    }
}

fn command(program: &Path, request: &Request, bounds: Bounds, hidden: &[OsString]) -> Command {
    let mut command = Command::new(OWN_PROGRAM);
    command
        .arg(CHILD)
        .arg(getpid().to_string())
        .args([bounds.nice.to_string(), bounds.memory.to_string(), bounds.open_files.to_string()])
        .arg(program)
        .args(&request.arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    hidden.iter().fold(&mut command, Command::env_remove);
    command
}

/// Finds `program` as a shell would, and checks that it can be executed.
fn executable(program: &Path) -> io::Result<PathBuf> {
    let check = |path: &Path| {
        access(path, AccessFlags::X_OK)?;
        if path.is_dir() { Err(io::ErrorKind::IsADirectory.into()) } else { Ok(()) }
    };
    if program.components().count() > 1 {
        return check(program).map(|()| program.to_owned());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&path).map(|place| place.join(program));
    let found = places.find(|place| check(place).is_ok());
    found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such program in PATH"))
}

/// The error of an FFmpeg (`program`) that does not start, or ends at once.
pub(crate) fn cannot_run(program: &Path, reason: impl Display) -> Error {
    let detail = format!("FFmpeg ({}) cannot be run: {reason}", program.display());
    Error::new(ErrorKind::FfmpegUnavailable, detail)
}

/// Why a child that ended with `status` did not become FFmpeg; `None` if it did.
pub(crate) fn not_begun(status: Option<ExitStatus>) -> Option<&'static str> {
    let code = status.and_then(|status| status.code());
    (code == Some(EXIT_CANNOT_RUN.into())).then_some("the system cannot execute it")
}

/// The variables of `environment` that must be hidden. Settings count in any case, so their names
/// here do as well.
fn hidden_variables(environment: impl Iterator<Item = OsString>, hidden: &[&str]) -> Vec<OsString> {
    environment.filter(|name| hidden.iter().any(|it| name.eq_ignore_ascii_case(it))).collect()
}

/// In a child: sets the limits of this process, and replaces it by the program that
/// [`Spawner::spawn`] was called for. `arguments` are those after [`CHILD`]. Returns only on failure.
pub fn become_child(arguments: impl Iterator<Item = OsString>) -> io::Error {
    let Err(error) = limit_and_exec(arguments);
    error
}

fn limit_and_exec(mut arguments: impl Iterator<Item = OsString>) -> io::Result<Infallible> {
    let parent = Pid::from_raw(number(&mut arguments)?);
    let bounds = Bounds {
        nice: number(&mut arguments)?,
        memory: number(&mut arguments)?,
        open_files: number(&mut arguments)?,
    };
    let program = arguments.next().ok_or(io::ErrorKind::InvalidInput)?;
    // For a manager that dies without a chance to clean up.
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    if getppid() != parent {
        // It died before the line above took effect.
        return Err(io::ErrorKind::BrokenPipe.into());
    }
    // A core dump would hold the camera's password.
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    setrlimit(Resource::RLIMIT_STACK, STACK, STACK)?;
    setrlimit(Resource::RLIMIT_DATA, bounds.memory, bounds.memory)?;
    setrlimit(Resource::RLIMIT_NOFILE, bounds.open_files, bounds.open_files)?;
    // Not permitted where the manager itself has a lower priority already, which is fine.
    let _ = set_priority(bounds.nice);
    Err(std::process::Command::new(program).args(arguments).exec())
}

fn number<T: FromStr>(arguments: &mut impl Iterator<Item = OsString>) -> io::Result<T> {
    let number = arguments.next().and_then(|text| text.to_str()?.parse().ok());
    number.ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

/// The part of a limit that the system allows.
fn allowed(resource: Resource, setting: &str, wanted: u64) -> io::Result<u64> {
    let (_, hard) = getrlimit(resource)?;
    if wanted > hard {
        warn!(setting, wanted, allowed = hard, "the system allows less than this setting");
    }
    Ok(wanted.min(hard))
}

fn set_priority(nice: i32) -> io::Result<()> {
    // SAFETY: a system call that takes only numbers and changes only this process.
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

    /// The process id.
    pub fn pid(&self) -> Pid {
        self.group
    }

    /// Takes the child's stdin, stdout and stderr. Fails on a second call.
    pub fn take_pipes(&mut self) -> io::Result<(ChildStdin, ChildStdout, ChildStderr)> {
        let child = &mut self.child;
        match (child.stdin.take(), child.stdout.take(), child.stderr.take()) {
            (Some(stdin), Some(stdout), Some(stderr)) => Ok((stdin, stdout, stderr)),
            _ => Err(io::Error::other("the pipes were taken before")),
        }
    }

    /// Sends `signal` to the child and to all processes that it has started.
    pub fn signal(&self, signal: Signal) {
        // ESRCH means that the whole group has ended already.
        let _ = killpg(self.group, signal);
    }

    /// Waits until the child ends, reaps it, and kills what is left of its group.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait().await?;
        // The group's number cannot belong to another group yet: the kernel assigns process ids in
        // turn, and a member that lives keeps the number taken.
        self.signal(Signal::SIGKILL);
        Ok(status)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A reaped child has no id, and `wait` has killed its group.
        if self.child.id().is_some() {
            self.signal(Signal::SIGKILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_hidden_in_any_case() {
        let environment = ["PATH", "SECRET", "sEcReT", "SECRET_2", "HOME"].map(OsString::from);
        let hidden = hidden_variables(environment.into_iter(), &["SECRET", "OTHER"]);
        assert_eq!(hidden, ["SECRET", "sEcReT"]);
    }
}
