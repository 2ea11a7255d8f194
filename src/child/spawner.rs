//! Child processes that are always reaped and never survive the manager.
//!
//! Each child leads a separate process group, so that the processes that the child starts are killed together
//! with the child. The kernel kills a child when the *thread* that started the child ends
//! (`PR_SET_PDEATHSIG`). Therefore one thread, which runs as long as the manager, starts all children: the
//! thread of the [`Spawner`].
//!
//! A child must set its limits before it executes FFmpeg. For this purpose, the manager could fork. But the
//! more memory the manager uses, the longer a fork takes, and a fork blocks all threads of the manager.
//! Therefore the manager starts its own program again, which sets the limits and then executes FFmpeg:
//! [`become_child`].

use std::convert::Infallible;
use std::ffi::OsString;
use std::fmt::Display;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::str::FromStr;
use std::time::Duration;

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{AccessFlags, Pid, access, getpid, getppid, pipe2};
use tokio::net::unix::pipe;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tracing::warn;

use crate::base::error::{Error, ErrorKind};

/// The first argument with which the manager starts its own program as a child; see [`become_child`].
pub const CHILD: &str = "child";
/// The exit code of a child that could not execute FFmpeg.
pub(crate) const EXIT_CANNOT_RUN: u8 = 127;
/// The path of the running program, which is valid even if the program's file was replaced.
const OWN_PROGRAM: &str = "/proc/self/exe";

/// The largest number of requests in the queue of the spawner's thread. If the queue is full, callers
/// wait.
const QUEUE: usize = 64;

/// The stack size of each thread of a child, in bytes, which is more than any codec needs. The whole
/// stack counts toward the memory limit of the child, even if it is not used, so the usual 8 MiB would
/// be too much.
const STACK: u64 = 2 * 1024 * 1024;

/// The environment variable with the settings of glibc's allocator, and its value for children. If the
/// manager's own environment contains the variable, children inherit the manager's value instead.
///
/// glibc returns a freed block to the system at once only if the block is larger than a threshold. By default,
/// glibc raises the threshold to the size of the largest block that was freed. FFmpeg decodes a few pictures when
/// it opens a camera. Afterwards, the lean FFmpeg would keep about 3 MB of freed memory. A fixed threshold prevents
/// this. The system fills each block above the threshold with zeros, which takes time, so the threshold is larger
/// than most keyframes.
const ALLOCATOR: (&str, &str) = ("GLIBC_TUNABLES", "glibc.malloc.mmap_threshold=262144");

/// The limits of a child.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Niceness: 0 is the normal priority, 19 the lowest.
    pub nice: i32,
    /// Private writable memory (`RLIMIT_DATA`), in bytes.
    pub memory: u64,
    /// Number of open file descriptors (`RLIMIT_NOFILE`).
    pub open_files: u64,
}

/// A child to start, the runtime in which the pipes are read, and the channel for the reply.
struct Request {
    program: PathBuf,
    arguments: Vec<String>,
    outputs: usize,
    runtime: Handle,
    reply: oneshot::Sender<io::Result<(Child, Vec<pipe::Receiver>)>>,
}

/// A handle of the thread that starts all children. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Spawner {
    requests: mpsc::Sender<Request>,
}

impl Spawner {
    /// Starts the thread. `bounds` limits each child. Bounds that are above a hard limit of the system are
    /// reduced to the hard limit. Children do not inherit the environment variables in `hidden`, which may
    /// contain secrets. When the last clone is dropped, the thread ends and the kernel kills all
    /// children, so the manager keeps a clone for as long as it runs.
    pub fn start(bounds: Bounds, hidden: &[&str]) -> io::Result<Self> {
        let bounds = Bounds {
            memory: allowed(
                Resource::RLIMIT_DATA,
                "FFMPEG_MAX_MEMORY_MB",
                1024 * 1024,
                bounds.memory,
            )?,
            open_files: allowed(
                Resource::RLIMIT_NOFILE,
                "FFMPEG_MAX_OPEN_FILES",
                1,
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
                let child = program.and_then(|program| start(&program, &request, bounds, &hidden));
                // If the caller no longer waits, the child is killed when its handle is dropped.
                let _ = request.reply.send(child);
            }
        })?;
        Ok(Self { requests })
    }

    /// Starts `program` in a separate process group, with stdin, stdout and stderr as pipes. `outputs` is
    /// the number of additional pipes that the child can write to. [`output_pipe`] returns the arguments
    /// that refer to these pipes.
    pub async fn spawn(
        &self,
        program: &Path,
        arguments: Vec<String>,
        outputs: usize,
    ) -> io::Result<Process> {
        let gone = || io::Error::other("the spawner's thread has ended");
        let (reply, answer) = oneshot::channel();
        let (program, runtime) = (program.to_owned(), Handle::current());
        let request = Request { program, arguments, outputs, runtime, reply };
        self.requests.send(request).await.map_err(|_| gone())?;
        let (child, outputs) = answer.await.map_err(|_| gone())??;
        Process::new(child, outputs)
    }
}

/// Returns the placeholder for the additional pipe with this index. In the arguments, the spawner replaces
/// the placeholder with FFmpeg's name of the pipe, which contains the number of the file descriptor.
pub(crate) fn output_pipe(index: usize) -> String {
    format!("pipe:+{index}")
}

fn start(
    program: &Path,
    request: &Request,
    bounds: Bounds,
    hidden: &[OsString],
) -> io::Result<(Child, Vec<pipe::Receiver>)> {
    let mut arguments = request.arguments.clone();
    let (mut readers, mut writers) = (Vec::new(), Vec::new());
    for index in 0..request.outputs {
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        // The child inherits only the writing end. Programs expect that writing to a pipe blocks.
        fcntl(&writer, FcntlArg::F_SETFL(OFlag::empty()))?;
        fcntl(&writer, FcntlArg::F_SETFD(FdFlag::empty()))?;
        let (placeholder, name) = (output_pipe(index), format!("pipe:{}", writer.as_raw_fd()));
        arguments.iter_mut().filter(|it| **it == placeholder).for_each(|it| it.clone_from(&name));
        readers.push(pipe::Receiver::from_owned_fd(reader)?);
        writers.push(writer);
    }
    // The manager's copies of the writing ends are closed when this function returns, so that reading
    // ends when the child does. No other thread starts children, so no other child inherits the copies.
    Ok((command(program, &arguments, bounds, hidden).spawn()?, readers))
}

fn command(program: &Path, arguments: &[String], bounds: Bounds, hidden: &[OsString]) -> Command {
    let mut command = Command::new(OWN_PROGRAM);
    command
        .arg(CHILD)
        .arg(getpid().to_string())
        .args([bounds.nice.to_string(), bounds.memory.to_string(), bounds.open_files.to_string()])
        .arg(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    hidden.iter().fold(&mut command, Command::env_remove);
    let (name, value) = ALLOCATOR;
    if std::env::var_os(name).is_none() {
        command.env(name, value);
    }
    command
}

/// Returns the path of `program`. A path with more than one component is used as it is; a single name is
/// looked up in `PATH`. Fails if the program cannot be executed.
pub(crate) fn executable(program: &Path) -> io::Result<PathBuf> {
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

/// Returns the error that FFmpeg (`program`) cannot be run for this `reason`.
pub(crate) fn cannot_run(program: &Path, reason: impl Display) -> Error {
    let detail = format!("FFmpeg (FFMPEG_BIN={}) cannot be run: {reason}", program.display());
    Error::new(ErrorKind::FfmpegUnavailable, detail)
}

/// Returns a reason if a child that ended with `status` could not execute FFmpeg; otherwise `None`.
pub(crate) fn exec_failure(status: Option<ExitStatus>) -> Option<&'static str> {
    let code = status.and_then(|status| status.code());
    (code == Some(EXIT_CANNOT_RUN.into())).then_some("the system cannot execute it")
}

/// Returns the variables of `environment` that must be hidden. Names are compared case-insensitively,
/// because the names of settings are case-insensitive.
fn hidden_variables(environment: impl Iterator<Item = OsString>, hidden: &[&str]) -> Vec<OsString> {
    environment.filter(|name| hidden.iter().any(|it| name.eq_ignore_ascii_case(it))).collect()
}

/// In a child: sets the limits of this process, and replaces the process with the program that was passed to
/// [`Spawner::spawn`]. `arguments` are the arguments after [`CHILD`]. Returns only if this fails.
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
    // The kernel kills the child even if the manager dies without cleaning up.
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    if getppid() != parent {
        // The manager died before the line above took effect.
        return Err(io::ErrorKind::BrokenPipe.into());
    }
    // A core dump would contain the camera's password.
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    setrlimit(Resource::RLIMIT_STACK, STACK, STACK)?;
    setrlimit(Resource::RLIMIT_DATA, bounds.memory, bounds.memory)?;
    setrlimit(Resource::RLIMIT_NOFILE, bounds.open_files, bounds.open_files)?;
    // Fails if the priority of the manager itself is already lower, which is fine.
    let _ = set_priority(bounds.nice);
    Err(std::process::Command::new(program).args(arguments).exec())
}

fn number<T: FromStr>(arguments: &mut impl Iterator<Item = OsString>) -> io::Result<T> {
    let number = arguments.next().and_then(|text| text.to_str()?.parse().ok());
    number.ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

/// Returns `wanted`, capped at the system's hard limit. Logs a warning if the hard limit is lower. The warning
/// shows both values in the unit of the setting. `unit` is this unit in the unit of the resource, for example
/// 1024 * 1024 if the setting is in mebibytes and the resource is in bytes.
fn allowed(resource: Resource, setting: &str, unit: u64, wanted: u64) -> io::Result<u64> {
    let (_, hard) = getrlimit(resource)?;
    if wanted > hard {
        warn!(
            setting,
            wanted = wanted / unit,
            allowed = hard / unit,
            "this setting is above the hard limit of the system, so the hard limit is used"
        );
    }
    Ok(wanted.min(hard))
}

fn set_priority(nice: i32) -> io::Result<()> {
    // SAFETY: a system call that takes only numbers and changes only this process.
    #[expect(unsafe_code, reason = "nix has no setpriority")]
    let result = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A running child. Dropping it kills its whole process group.
#[derive(Debug)]
pub struct Process {
    child: Child,
    outputs: Vec<pipe::Receiver>,
    group: Pid,
}

impl Process {
    fn new(child: Child, outputs: Vec<pipe::Receiver>) -> io::Result<Self> {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        let id = id.ok_or_else(|| io::Error::other("the child has no process id"))?;
        Ok(Self { child, outputs, group: Pid::from_raw(id) })
    }

    /// Returns the process id, which is also the id of the process group.
    pub fn pid(&self) -> Pid {
        self.group
    }

    /// Takes the child's stdin, stdout and stderr. Fails on a second call.
    pub fn take_pipes(&mut self) -> io::Result<(ChildStdin, ChildStdout, ChildStderr)> {
        let child = &mut self.child;
        match (child.stdin.take(), child.stdout.take(), child.stderr.take()) {
            (Some(stdin), Some(stdout), Some(stderr)) => Ok((stdin, stdout, stderr)),
            _ => Err(io::Error::other("the pipes were already taken")),
        }
    }

    /// Takes the additional pipes that the child writes to, in the order of their indexes.
    pub(crate) fn take_outputs(&mut self) -> Vec<pipe::Receiver> {
        std::mem::take(&mut self.outputs)
    }

    /// Requests that the child and all processes that it has started end.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::SIGTERM);
    }

    /// Kills the child and all processes that it has started.
    pub(crate) fn kill(&self) {
        self.signal(Signal::SIGKILL);
    }

    fn signal(&self, signal: Signal) {
        // Fails with ESRCH if the whole group has already ended.
        let _ = killpg(self.group, signal);
    }

    /// Waits until the child ends, and reaps it. Kills the group if the child has not ended `within` this time.
    /// Returns the child's status, and whether the child was killed.
    pub(crate) async fn wait_or_kill(
        &mut self,
        within: Duration,
    ) -> (io::Result<ExitStatus>, bool) {
        if let Ok(status) = timeout(within, self.wait()).await {
            return (status, false);
        }
        self.kill();
        (self.wait().await, true)
    }

    /// Waits until the child ends, reaps it, and kills what is left of its group.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait().await?;
        // This cannot kill another group, because the kernel hands out process ids in ascending order, and
        // does not reuse the group's id while a member of the group is alive.
        self.kill();
        Ok(status)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Without an id, the child was reaped by `wait`, which has also killed the group.
        if self.child.id().is_some() {
            self.kill();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_get_the_allocator_settings_unless_the_environment_has_others() {
        let bounds = Bounds { nice: 0, memory: 1 << 30, open_files: 64 };
        let command = command(Path::new("/bin/true"), &[], bounds, &[]);
        let set: Vec<_> = command.as_std().get_envs().collect();
        let (name, value) = ALLOCATOR;
        let expected =
            std::env::var_os(name).is_none().then_some((name.as_ref(), Some(value.as_ref())));
        assert_eq!(set, Vec::from_iter(expected));
    }

    #[test]
    fn variables_are_hidden_case_insensitively() {
        let environment = ["PATH", "SECRET", "sEcReT", "SECRET_2", "HOME"].map(OsString::from);
        let hidden = hidden_variables(environment.into_iter(), &["SECRET", "OTHER"]);
        assert_eq!(hidden, ["SECRET", "sEcReT"]);
    }
}
