//! What the kernel reports about a process: processor time, memory and file descriptors.
//!
//! Nothing here waits for a disk or for a lock of the process, so that a thousand processes are read
//! in a few milliseconds.

use std::fs;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit};
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::{Pid, SysconfVar, sysconf};

/// The memory of a process, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Memory {
    /// All of its memory, including what it shares with other processes.
    pub resident: u64,
    /// The part of it that does not belong to files: what one more process of the program costs.
    pub anonymous: u64,
}

/// Returns the processor time of all threads of a process, in user and kernel mode; `None` if there is
/// no such process.
///
/// It reads the clock of the process: one system call, exact to the nanosecond, while
/// `/proc/{pid}/stat` counts in hundredths of a second.
pub(crate) fn cpu_time(pid: Pid) -> Option<Duration> {
    let time = clock_gettime(clock_getcpuclockid(pid).ok()?).ok()?;
    Some(time.into())
}

/// Returns the memory of a process; `None` if there is no such process.
///
/// It reads `/proc/{pid}/statm`, whose numbers the kernel maintains. `smaps_rollup` would distribute
/// shared pages fairly, but it walks all of the process's memory and blocks the process while it does.
pub(crate) fn memory(pid: Pid) -> Option<Memory> {
    parse_statm(&fs::read_to_string(format!("/proc/{pid}/statm")).ok()?, page_size())
}

/// Pages: size, resident, shared (of files or shared memory), and more.
fn parse_statm(text: &str, page_size: u64) -> Option<Memory> {
    let mut pages = text.split_ascii_whitespace().skip(1).map(str::parse::<u64>);
    let (resident, shared) = (pages.next()?.ok()?, pages.next()?.ok()?);
    let anonymous = resident.saturating_sub(shared);
    Some(Memory { resident: resident * page_size, anonymous: anonymous * page_size })
}

fn page_size() -> u64 {
    let size = sysconf(SysconfVar::PAGE_SIZE).ok().flatten();
    size.and_then(|size| size.try_into().ok()).unwrap_or(4096)
}

/// Returns the number of open file descriptors of this process.
pub(crate) fn open_files() -> Option<u64> {
    // One of them reads the directory.
    Some((fs::read_dir("/proc/self/fd").ok()?.count() as u64).saturating_sub(1))
}

/// Returns the limit of open file descriptors of this process.
pub(crate) fn max_open_files() -> Option<u64> {
    getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(soft, _)| soft)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statm() {
        let read = parse_statm("5000 1200 900 80 0 700 0\n", 4096);
        assert_eq!(read, Some(Memory { resident: 1200 * 4096, anonymous: 300 * 4096 }));
        for none in ["", "1", "1 2", "1 x 3"] {
            assert_eq!(parse_statm(none, 4096), None, "{none}");
        }
    }

    #[test]
    fn this_process() {
        let own = Pid::this();
        let before = cpu_time(own).expect("a clock");
        while cpu_time(own).expect("a clock") <= before {}
        let memory = memory(own).expect("memory");
        assert!(memory.anonymous > 100_000 && memory.resident > memory.anonymous, "{memory:?}");
        let before = open_files().expect("files");
        let _files: Vec<_> = (0..20).map(|_| fs::File::open("/dev/null")).collect();
        // Other tests open and close files at the same time.
        assert!(open_files().expect("files") > before.saturating_sub(10));
        assert!(max_open_files().expect("a limit") >= 20);
    }

    #[test]
    fn a_process_that_has_ended_has_nothing() {
        let mut child = std::process::Command::new("true").spawn().expect("true");
        child.wait().expect("its end");
        let pid = Pid::from_raw(child.id().try_into().expect("a process id"));
        assert_eq!((cpu_time(pid), memory(pid)), (None, None));
    }
}
