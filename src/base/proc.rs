//! CPU time, memory and open files of processes, as the kernel reports them.
//!
//! No function waits for a disk or for a lock of the process, so measuring a thousand processes takes a
//! few milliseconds.

use std::fs;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit};
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::{Pid, SysconfVar, sysconf};

/// The memory of a process, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Memory {
    /// All memory in RAM, including memory that is shared with other processes.
    pub resident: u64,
    /// Memory in RAM except shared memory and pages of files, such as the program's code. One more process
    /// of the same program needs about this much additional memory.
    pub anonymous: u64,
}

/// Returns the CPU time of all threads of a process, in user and kernel mode; `None` if the process does
/// not exist.
///
/// Reads the CPU clock of the process, which has a resolution of nanoseconds. `/proc/{pid}/stat` has a
/// resolution of 10 ms.
pub(crate) fn cpu_time(pid: Pid) -> Option<Duration> {
    let time = clock_gettime(clock_getcpuclockid(pid).ok()?).ok()?;
    Some(time.into())
}

/// Returns the memory of a process; `None` if the process does not exist.
///
/// Reads `/proc/{pid}/statm`, whose numbers the kernel keeps up to date. `smaps_rollup` would distribute
/// shared pages among processes, but the kernel would have to walk all memory of the process, and would
/// block the process in the meantime.
pub(crate) fn memory(pid: Pid) -> Option<Memory> {
    parse_statm(&fs::read_to_string(format!("/proc/{pid}/statm")).ok()?, page_size())
}

/// Parses `statm`, which contains numbers of pages: total size, resident, shared (files and shared
/// memory), and others.
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

/// Returns the number of open file descriptors of this process; `None` if `/proc` cannot be read.
pub(crate) fn open_files() -> Option<u64> {
    // The descriptor with which this function reads the directory does not count.
    Some((fs::read_dir("/proc/self/fd").ok()?.count() as u64).saturating_sub(1))
}

/// Returns the soft limit of open file descriptors of this process; `None` if it cannot be read.
pub(crate) fn max_open_files() -> Option<u64> {
    getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(soft, _)| soft)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statm_is_parsed() {
        let read = parse_statm("5000 1200 900 80 0 700 0\n", 4096);
        assert_eq!(read, Some(Memory { resident: 1200 * 4096, anonymous: 300 * 4096 }));
        for none in ["", "1", "1 2", "1 x 3"] {
            assert_eq!(parse_statm(none, 4096), None, "{none}");
        }
    }

    #[test]
    fn this_process_can_be_measured() {
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
    fn a_process_that_has_ended_cannot_be_measured() {
        let mut child = std::process::Command::new("true").spawn().expect("true");
        child.wait().expect("its end");
        let pid = Pid::from_raw(child.id().try_into().expect("a process id"));
        assert_eq!((cpu_time(pid), memory(pid)), (None, None));
    }
}
