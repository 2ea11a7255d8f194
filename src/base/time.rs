//! Wall-clock time as Unix seconds and as strings.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Returns the time of the system's clock. Tests replace the function.
pub(crate) type SystemClock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// The last second of the year 9999, in Unix seconds. RFC 3339 has no later times. They are written as this one.
pub(crate) const MAX_SECONDS: u64 = 253_402_300_799;

/// Returns the current time in Unix seconds; 0 if the clock is set to a time before 1970.
pub(crate) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Converts Unix seconds to an RFC 3339 string, such as `2026-02-03T04:05:06Z`.
pub(crate) fn rfc3339(unix_seconds: u64) -> String {
    let time = UNIX_EPOCH + Duration::from_secs(unix_seconds.min(MAX_SECONDS));
    humantime::format_rfc3339_seconds(time).to_string()
}

/// Parses an RFC 3339 string, such as `2026-02-03T04:05:06.789+01:00`; `None` if it is invalid. A space counts as `+`,
/// because a `+` that is not percent-encoded becomes a space in a query.
pub(crate) fn parse_rfc3339(text: &str) -> Option<SystemTime> {
    if text.ends_with(['Z', 'z']) {
        return humantime::parse_rfc3339(&text.to_ascii_uppercase()).ok();
    }
    let (time, offset) = text.split_at_checked(text.len().checked_sub("+00:00".len())?)?;
    let time = humantime::parse_rfc3339(&format!("{}Z", time.to_ascii_uppercase())).ok()?;
    let (hours, minutes) = offset.get(1..)?.split_once(':')?;
    let number = |digits: &str, max: u64| {
        let is_number = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse::<u64>().ok().filter(|number| is_number && *number <= max)
    };
    let minutes = number(hours, 23)? * 60 + number(minutes, 59)?;
    let offset_length = Duration::from_mins(minutes);
    match offset.get(..1)? {
        "+" | " " => time.checked_sub(offset_length),
        "-" => time.checked_add(offset_length),
        _ => None,
    }
}

/// Converts Unix milliseconds to an RFC 3339 string with milliseconds, such as `2026-02-03T04:05:06.789Z`.
pub(crate) fn rfc3339_millis(unix_millis: i64) -> String {
    let millis = unix_millis.max(0).unsigned_abs().min(MAX_SECONDS * 1000 + 999);
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(millis)).to_string()
}

/// Converts a time to Unix milliseconds; 0 if it is before 1970.
pub(crate) fn unix_millis(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Converts Unix milliseconds to a time; 1970 if they are negative.
pub(crate) fn from_unix_millis(unix_millis: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(unix_millis).unwrap_or_default())
}

/// Converts Unix seconds to a signed integer for the database, at most `i64::MAX`.
pub(crate) fn to_i64(unix_seconds: u64) -> i64 {
    i64::try_from(unix_seconds).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unix_seconds_are_converted_to_rfc3339() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(1_763_719_201), "2025-11-21T10:00:01Z");
    }

    #[test]
    fn times_with_and_without_an_offset_are_parsed() {
        let table = [
            ("1970-01-01T00:00:01Z", Some(1000)),
            ("2026-02-03T04:05:06.789Z", Some(1_770_091_506_789)),
            ("2026-02-03t04:05:06.789z", Some(1_770_091_506_789)),
            ("2026-02-03T05:05:06.789+01:00", Some(1_770_091_506_789)),
            ("2026-02-03T05:05:06.789 01:00", Some(1_770_091_506_789)),
            ("2026-02-02T22:35:06.789-05:30", Some(1_770_091_506_789)),
            ("2026-02-03T04:05:06", None),
            ("2026-02-03T04:05:06+24:00", None),
            ("2026-02-03T04:05:06+1:000", None),
            ("2026-02-03T04:05:06+-1:00", None),
            ("2026-02-30T04:05:06Z", None),
            ("2026-02-03", None),
            ("\u{e9}\u{e9}\u{e9}\u{e9}", None),
            ("Z", None),
            ("", None),
        ];
        for (text, expected) in table {
            let parsed = parse_rfc3339(text).map(unix_millis);
            assert_eq!(parsed, expected, "{text}");
        }
        assert_eq!(rfc3339_millis(1_770_091_506_789), "2026-02-03T04:05:06.789Z");
        assert_eq!(rfc3339_millis(-1), "1970-01-01T00:00:00.000Z");
        assert!(rfc3339_millis(i64::MAX).starts_with("9999"));
    }

    #[test]
    fn unix_seconds_are_converted_for_the_database() {
        assert_eq!(to_i64(7), 7);
        assert_eq!(to_i64(u64::MAX), i64::MAX);
    }
}
