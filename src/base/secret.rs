//! Strings that must not be shown.

use std::fmt;

/// A secret string. `Debug` shows `***`, and there is no `Display`.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Creates a secret from a string.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the string, which must not appear in a message or a log line.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_hides_the_string() {
        assert_eq!(format!("{:?}", Some(Secret::new("hidden"))), "Some(***)");
        assert_eq!(Secret::new("hidden").expose(), "hidden");
    }
}
