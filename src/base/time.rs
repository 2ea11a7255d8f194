//! Wall-clock time as Unix seconds and as strings.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Returns the current time in Unix seconds; 0 if the clock is set to a time before 1970.
pub(crate) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Converts Unix seconds to an RFC 3339 string, such as `2026-02-03T04:05:06Z`.
pub(crate) fn rfc3339(unix_seconds: u64) -> String {
    let time = UNIX_EPOCH + Duration::from_secs(unix_seconds);
    humantime::format_rfc3339_seconds(time).to_string()
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
    fn unix_seconds_are_converted_for_the_database() {
        assert_eq!(to_i64(7), 7);
        assert_eq!(to_i64(u64::MAX), i64::MAX);
    }
}
