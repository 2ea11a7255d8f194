//! Fingerprints of certificates.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// The SHA-256 fingerprint of a certificate, displayed as `openssl x509 -fingerprint -sha256` does:
/// `A1:B2:…`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Parses 64 hexadecimal digits, and ignores colons and white space. Returns `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let is_separator = |byte: &u8| *byte == b':' || byte.is_ascii_whitespace();
        let digits = text.bytes().filter(|byte| !is_separator(byte));
        let values: Option<Vec<_>> = digits.map(|digit| char::from(digit).to_digit(16)).collect();
        let values = values?;
        let bytes = values.chunks(2).map(|pair| match pair {
            [high, low] => u8::try_from(high << 4 | low).ok(),
            _ => None,
        });
        Some(Self(bytes.collect::<Option<Vec<_>>>()?.try_into().ok()?))
    }

    /// Returns the fingerprint of a certificate in DER.
    pub(super) fn of(certificate: &[u8]) -> Self {
        Self(Sha256::digest(certificate).into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ":" };
            write!(f, "{separator}{byte:02X}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_parsed_in_the_usual_forms() {
        let hex = "0123456789abcdef".repeat(4);
        let pairs = |separator: &str| {
            let pairs = hex.as_bytes().chunks(2).map(|pair| String::from_utf8_lossy(pair));
            pairs.collect::<Vec<_>>().join(separator)
        };
        let shown = pairs(":").to_uppercase();
        for text in [hex.clone(), pairs(":"), pairs(" "), format!(" {shown}\n")] {
            let parsed = Fingerprint::parse(&text).expect("a fingerprint");
            assert_eq!(parsed.to_string(), shown, "{text}");
        }
        let (short, long) = (&hex[1..], format!("{hex}0"));
        for text in
            ["", "x", short, &hex[2..], &long, &hex.replace('a', "g"), &hex.replace('a', "ä")]
        {
            assert_eq!(Fingerprint::parse(text), None, "{text}");
        }
    }
}
