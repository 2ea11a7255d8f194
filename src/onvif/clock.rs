//! The clock of a device. The digest of a password contains a time, and a device rejects the digest if this time
//! differs too much from the device's clock. Many devices report local time instead of UTC, or no time.

use std::time::{Duration, SystemTime};

use super::xml::XmlNode;

/// The beginning of the year 10000, in Unix seconds. Only earlier times can be written as a date.
const LATEST: u64 = 253_402_300_800;
/// The largest number of clocks that are tried. Each wrong clock counts as a failed login, and devices lock an
/// account after several failed logins.
const MAX_CLOCKS: usize = 3;
/// The largest difference, in seconds, between clocks that count as the same clock. Devices accept such
/// differences.
const TOLERANCE: i64 = 5;
/// Differences between time zones are multiples of this, in seconds.
const ZONE_STEP: i64 = 15 * 60;
/// The largest difference between local time and UTC, in seconds.
const MAX_ZONE: i64 = 14 * 3600;

/// The difference between a device's clock and this machine's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeviceClock {
    /// The device's clock is ahead.
    Ahead(Duration),
    /// The device's clock is behind, or shows the same time.
    Behind(Duration),
}

impl DeviceClock {
    /// A device's clock that shows the same time as this machine's clock.
    pub(crate) const RIGHT: Self = Self::Behind(Duration::ZERO);

    /// Returns the clock of a device that reported the time `reported` when this machine's clock showed
    /// `now`.
    pub(super) fn of(reported: SystemTime, now: SystemTime) -> Self {
        match reported.duration_since(now) {
            Ok(ahead) => Self::Ahead(ahead),
            Err(behind) => Self::Behind(behind.duration()),
        }
    }

    /// Returns the device's current time; `None` if it cannot be written as a date.
    pub(super) fn now(self) -> Option<SystemTime> {
        let now = match self {
            Self::Ahead(by) => SystemTime::now().checked_add(by)?,
            Self::Behind(by) => SystemTime::now().checked_sub(by)?,
        };
        let since = now.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        (since.as_secs() < LATEST).then_some(now)
    }
}

/// The times that a device reports.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ReportedTime {
    /// `UTCDateTime`, which contains local time on some devices.
    utc: Option<SystemTime>,
    /// `LocalDateTime`, read as if it were in UTC.
    local: Option<SystemTime>,
    /// The HTTP header `Date`.
    date: Option<SystemTime>,
}

impl ReportedTime {
    /// Reads the times from the response to `GetSystemDateAndTime`, if there is one, and adds `date`, the time
    /// in the header `Date`.
    pub(crate) fn read(answer: Option<&XmlNode>, date: Option<SystemTime>) -> Self {
        let field = |name| answer?.find(name).and_then(time);
        Self { utc: field("UTCDateTime"), local: field("LocalDateTime"), date }
    }

    /// Returns the clocks that the device may have, the most probable one first. `now` is the current time of
    /// this machine. Returns at least one clock, and at most `MAX_CLOCKS`.
    pub(crate) fn clocks(self, now: SystemTime) -> Vec<DeviceClock> {
        let in_utc = self.utc.or(self.local).and_then(|reported| without_zone(reported, now));
        let candidates = match (self.utc, self.local) {
            (Some(utc), _) => vec![Some(utc), self.date, in_utc],
            (None, Some(local)) => vec![self.date, in_utc, Some(local), Some(now)],
            (None, None) => vec![self.date, Some(now)],
        };
        let mut times: Vec<SystemTime> = Vec::new();
        for time in candidates.into_iter().flatten() {
            if times.iter().all(|known| seconds_between(*known, time).abs() > TOLERANCE) {
                times.push(time);
            }
        }
        times.into_iter().take(MAX_CLOCKS).map(|time| DeviceClock::of(time, now)).collect()
    }
}

/// Converts `reported` from local time to UTC. The time zone is the difference from `now`, rounded to a multiple
/// of [`ZONE_STEP`]. Returns `None` if the rounded difference is zero or larger than [`MAX_ZONE`].
fn without_zone(reported: SystemTime, now: SystemTime) -> Option<SystemTime> {
    let behind = seconds_between(reported, now);
    let zone = (behind + behind.signum() * ZONE_STEP / 2) / ZONE_STEP * ZONE_STEP;
    let step = Duration::from_secs(zone.unsigned_abs());
    match zone {
        0 => None,
        _ if zone.abs() > MAX_ZONE => None,
        _ if zone > 0 => reported.checked_add(step),
        _ => reported.checked_sub(step),
    }
}

/// Returns the seconds from `earlier` to `later`. The number is negative if `later` is the earlier time.
fn seconds_between(earlier: SystemTime, later: SystemTime) -> i64 {
    match later.duration_since(earlier) {
        Ok(passed) => i64::try_from(passed.as_secs()).unwrap_or(i64::MAX),
        Err(ahead) => i64::try_from(ahead.duration().as_secs()).map_or(i64::MIN, |ahead| -ahead),
    }
}

/// Parses a date and time; `None` if they are invalid.
fn time(node: &XmlNode) -> Option<SystemTime> {
    let number = |name| node.text_of(name)?.parse::<u64>().ok();
    let text = format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        number("Year")?,
        number("Month")?,
        number("Day")?,
        number("Hour")?,
        number("Minute")?,
        // A leap second counts as second 59.
        number("Second")?.min(59),
    );
    humantime::parse_rfc3339(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The UTC field, the local time, the header `Date`, and the expected clocks.
    type Case<'a> = (Option<&'a str>, Option<&'a str>, Option<&'a str>, &'a [&'a str]);

    fn at(text: &str) -> SystemTime {
        humantime::parse_rfc3339(text).expect(text)
    }

    #[test]
    fn the_time_of_a_device_is_parsed() {
        let node = |text: &str| XmlNode::parse(text).expect("a document");
        let text = "<U><Time><Hour>7</Hour><Minute>5</Minute><Second>60</Second></Time><Date>\
                    <Year>2004</Year><Month>2</Month><Day>29</Day></Date></U>";
        assert_eq!(time(&node(text)), Some(at("2004-02-29T07:05:59Z")));
        assert_eq!(time(&node("<U><Year>2004</Year></U>")), None);
        assert_eq!(time(&node(&text.replace("2004", "99999"))), None);
        let both = text.replace('U', "LocalDateTime");
        let reported = ReportedTime::read(Some(&node(&format!("<a>{both}</a>"))), None);
        assert_eq!((reported.utc, reported.local), (None, Some(at("2004-02-29T07:05:59Z"))));
    }

    #[test]
    fn possible_clocks_are_sorted_by_probability() {
        let now = at("2026-01-02T12:00:00Z");
        let table: [Case<'_>; 12] = [
            (None, None, None, &["2026-01-02T12:00:00Z"]),
            (Some("2026-01-02T12:00:03Z"), None, None, &["2026-01-02T12:00:03Z"]),
            (
                Some("2026-01-02T12:00:03Z"),
                Some("2026-01-02T20:00:03Z"),
                Some("2026-01-02T12:00:04Z"),
                &["2026-01-02T12:00:03Z"],
            ),
            // A wrong clock.
            (Some("2000-01-01T00:00:00Z"), None, None, &["2000-01-01T00:00:00Z"]),
            (Some("2026-01-02T12:03:00Z"), None, None, &["2026-01-02T12:03:00Z"]),
            // Local time in the UTC field.
            (
                Some("2026-01-02T20:01:00Z"),
                None,
                None,
                &["2026-01-02T20:01:00Z", "2026-01-02T12:01:00Z"],
            ),
            (
                Some("2026-01-02T06:15:00Z"),
                None,
                Some("2026-01-02T12:00:00Z"),
                &["2026-01-02T06:15:00Z", "2026-01-02T12:00:00Z"],
            ),
            // Local time alone.
            (
                None,
                Some("2026-01-02T17:31:00Z"),
                None,
                &["2026-01-02T12:01:00Z", "2026-01-02T17:31:00Z", "2026-01-02T12:00:00Z"],
            ),
            (
                None,
                Some("2000-01-01T08:00:00Z"),
                Some("2000-01-01T00:00:00Z"),
                &["2000-01-01T00:00:00Z", "2000-01-01T08:00:00Z", "2026-01-02T12:00:00Z"],
            ),
            (
                None,
                Some("2026-01-02T11:59:00Z"),
                None,
                &["2026-01-02T11:59:00Z", "2026-01-02T12:00:00Z"],
            ),
            // No time in the response.
            (None, None, Some("2026-01-02T12:00:02Z"), &["2026-01-02T12:00:02Z"]),
            (
                None,
                None,
                Some("2000-01-01T00:00:00Z"),
                &["2000-01-01T00:00:00Z", "2026-01-02T12:00:00Z"],
            ),
        ];
        for (utc, local, date, expected) in table {
            let reported =
                ReportedTime { utc: utc.map(at), local: local.map(at), date: date.map(at) };
            let expected: Vec<_> =
                expected.iter().map(|time| DeviceClock::of(at(time), now)).collect();
            assert_eq!(reported.clocks(now), expected, "{reported:?}");
        }
    }
}
