//! A span of wall-clock time.

use std::fmt;

use super::time::rfc3339_millis;

/// A span of wall-clock time, in UTC milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimeSpan {
    /// The beginning.
    pub(crate) from: i64,
    /// The end, which does not belong to the span.
    pub(crate) to: i64,
}

impl TimeSpan {
    /// Creates a span; `None` if it would be empty.
    pub(crate) fn new(from: i64, to: i64) -> Option<Self> {
        (from < to).then_some(Self { from, to })
    }

    /// Returns the duration in milliseconds.
    pub(crate) fn duration_ms(self) -> i64 {
        self.to.saturating_sub(self.from)
    }

    /// Returns whether `other` is completely in this span.
    pub(crate) fn contains(self, other: Self) -> bool {
        self.from <= other.from && other.to <= self.to
    }

    /// Returns the time that both spans have in common; `None` if there is no such time.
    pub(crate) fn intersection(self, other: Self) -> Option<Self> {
        Self::new(self.from.max(other.from), self.to.min(other.to))
    }
}

/// The beginning and the end in the form of RFC 3339, for people.
impl fmt::Display for TimeSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", rfc3339_millis(self.from), rfc3339_millis(self.to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_compared() {
        let span = |from, to| TimeSpan::new(from, to).expect("a span");
        let table = [
            (span(0, 10), span(0, 10), true, Some(span(0, 10))),
            (span(0, 10), span(3, 10), true, Some(span(3, 10))),
            (span(0, 10), span(3, 11), false, Some(span(3, 10))),
            (span(5, 10), span(4, 6), false, Some(span(5, 6))),
            (span(0, 10), span(10, 11), false, None),
        ];
        for (one, other, contains, intersection) in table {
            assert_eq!(one.contains(other), contains, "{one} {other}");
            assert_eq!(one.intersection(other), intersection, "{one} {other}");
        }
        assert_eq!(TimeSpan::new(5, 5), None);
        assert_eq!(span(3, 10).duration_ms(), 7);
    }
}
