//! A moment that later managers on the same machine understand, even if the machine's clock was set.

use std::fs;
use std::io;
use std::sync::OnceLock;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// A moment on a clock that cannot be set, and that continues while the machine sleeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Moment {
    /// The random id that Linux chose when the machine was started; empty if the id cannot be read.
    boot: String,
    /// The milliseconds since the machine was started.
    millis: u64,
}

impl Moment {
    /// Returns the time since this moment, which must be later than the machine's last start. Returns
    /// [`Duration::MAX`] if the time is unknown.
    pub(crate) fn elapsed(&self) -> Duration {
        let since = |now: Self| now.millis.checked_sub(self.millis);
        Self::now().ok().and_then(since).map_or(Duration::MAX, Duration::from_millis)
    }

    /// Returns the moment `time` before this one.
    #[cfg(test)]
    pub(crate) fn earlier_by(&self, time: Duration) -> Self {
        let millis = u64::try_from(time.as_millis()).expect("a short time");
        Self { millis: self.millis.saturating_sub(millis), ..self.clone() }
    }

    /// Returns the present moment.
    pub(crate) fn now() -> io::Result<Self> {
        let now = Duration::from(clock_gettime(ClockId::CLOCK_BOOTTIME)?);
        let millis = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        Ok(Self { boot: boot_id().to_owned(), millis })
    }

    /// Returns the time since this moment; `None` if the machine has restarted, or if the time is unknown.
    pub(super) fn age(&self) -> Option<Duration> {
        self.age_at(&Self::now().ok()?)
    }

    /// Returns the time from this moment to `now`; `None` if the machine has restarted, or if that is unknown.
    fn age_at(&self, now: &Self) -> Option<Duration> {
        if self.boot.is_empty() || now.boot != self.boot {
            return None;
        }
        Some(Duration::from_millis(now.millis.checked_sub(self.millis)?))
    }
}

fn boot_id() -> &'static str {
    static ID: OnceLock<String> = OnceLock::new();
    ID.get_or_init(|| {
        let id = fs::read_to_string("/proc/sys/kernel/random/boot_id");
        id.unwrap_or_default().trim().to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_of_a_moment_is_unknown_unless_the_machine_has_run_since() {
        let moment = |boot: &str, millis| Moment { boot: boot.to_owned(), millis };
        let table = [
            (moment("a", 1000), moment("a", 1500), Some(Duration::from_millis(500))),
            (moment("a", 1000), moment("b", 1500), None),
            (moment("a", 1000), moment("a", 500), None),
            // The id cannot be read.
            (moment("", 1000), moment("", 1500), None),
        ];
        for (then, now, expected) in table {
            assert_eq!(then.age_at(&now), expected, "{} {}", then.boot, now.boot);
        }
        assert!(!Moment::now().expect("a clock").boot.is_empty());
    }
}
