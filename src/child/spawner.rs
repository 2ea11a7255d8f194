//! Child processes that are always reaped and never survive the manager.
//!
//! A child leads a process group of its own, so that what it starts itself is ended with it. The
//! kernel kills it when the *thread* that started it ends (`PR_SET_PDEATHSIG`), so all children
//! are started by one thread that lives as long as the process: the [`Spawner`]'s.
//!
//! What binds a child it must do itself before it becomes FFmpeg. To fork the manager for that takes
//! as long as its memory is large, and holds up all of its threads meanwhile; so what is started is
//! the manager's own program once more, which binds itself and then becomes FFmpeg: [`become_child`].

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
use crate::cli::discover::PASSWORD;
use crate::config::SETTINGS;

/// The argument by which the manager's program becomes a child; see [`become_child`].
pub const CHILD: &str = "child";
/// The exit code of a child that did not become what it should, as shells have it.
pub const EXIT_CANNOT_RUN: u8 = 127;
/// The program that runs, even when its file was replaced by a newer one.
const OWN_PROGRAM: &str = "/proc/self/exe";

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

/// What to start, on whose runtime its pipes will be read, and where to send it.
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
    /// Starts the thread; its children live within `bounds`. All children die with the last clone, so
    /// the manager keeps one until its end.
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
        std::thread::Builder::new().name("spawner".into()).spawn(move || {
            while let Some(request) = queue.blocking_recv() {
                let _entered = request.runtime.enter();
                let program = executable(&request.program);
                let child = program.and_then(|program| command(&program, &request, bounds).spawn());
                // A caller who has left gets nothing: the child dies as its handle is dropped.
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

fn command(program: &Path, request: &Request, bounds: Bounds) -> Command {
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
    keep_secrets_from(&mut command);
    command
}

/// Where `program` is, as a shell would find it, if it can be run.
fn executable(program: &Path) -> io::Result<PathBuf> {
    let may_run = |path: &Path| {
        access(path, AccessFlags::X_OK)?;
        if path.is_dir() { Err(io::ErrorKind::IsADirectory.into()) } else { Ok(()) }
    };
    if program.components().count() > 1 {
        return may_run(program).map(|()| program.to_owned());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&path).map(|place| place.join(program));
    let found = places.find(|place| may_run(place).is_ok());
    found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such program in PATH"))
}

/// FFmpeg, which is `program`, does not start, or ends at once.
pub fn cannot_run(program: &Path, reason: impl Display) -> Error {
    let detail = format!("FFmpeg ({}) cannot be run: {reason}", program.display());
    Error::new(ErrorKind::FfmpegUnavailable, detail)
}

/// Why a child that ended with `status` did not become what it should, if it did not.
pub fn not_begun(status: Option<ExitStatus>) -> Option<&'static str> {
    let code = status.and_then(|status| status.code());
    (code == Some(EXIT_CANNOT_RUN.into())).then_some("the system does not execute it")
}

/// Settings are none of a child's business, and some are secret: who reads what cameras send should
/// not have them.
fn keep_secrets_from(command: &mut Command) {
    for name in SETTINGS.iter().map(|setting| setting.name).chain(["NEW_SOURCE_KEY", PASSWORD]) {
        command.env_remove(name);
    }
}

/// In a child: binds this process, and makes it what [`Spawner::spawn`] was asked for. `arguments` are
/// those after [`CHILD`]. Returns only when that failed.
pub fn become_child(arguments: impl Iterator<Item = OsString>) -> io::Error {
    let Err(error) = bind_and_run(arguments);
    error
}

fn bind_and_run(mut arguments: impl Iterator<Item = OsString>) -> io::Result<Infallible> {
    let parent = Pid::from_raw(number(&mut arguments)?);
    let bounds = Bounds {
        nice: number(&mut arguments)?,
        memory: number(&mut arguments)?,
        open_files: number(&mut arguments)?,
    };
    let program = arguments.next().ok_or(io::ErrorKind::InvalidInput)?;
    // When the manager dies in a way that lets it clean up nothing.
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    if getppid() != parent {
        // It died before the line above took hold.
        return Err(io::ErrorKind::BrokenPipe.into());
    }
    // A core dump would hold the camera's password.
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    setrlimit(Resource::RLIMIT_STACK, STACK, STACK)?;
    setrlimit(Resource::RLIMIT_DATA, bounds.memory, bounds.memory)?;
    setrlimit(Resource::RLIMIT_NOFILE, bounds.open_files, bounds.open_files)?;
    // Not allowed where the manager itself has less priority than this already: fine.
    let _ = set_priority(bounds.nice);
    Err(std::process::Command::new(program).args(arguments).exec())
}

fn number<T: FromStr>(arguments: &mut impl Iterator<Item = OsString>) -> io::Result<T> {
    let number = arguments.next().and_then(|text| text.to_str()?.parse().ok());
    number.ok_or_else(|| io::ErrorKind::InvalidInput.into())
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
