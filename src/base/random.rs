//! Random bytes and texts that cannot be guessed.

use super::error::{Error, ErrorKind};

/// The characters of random texts.
const CHARACTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Returns bytes from the random numbers of the operating system.
pub(crate) fn bytes<const LENGTH: usize>() -> Result<[u8; LENGTH], Error> {
    let mut bytes = [0; LENGTH];
    getrandom::fill(&mut bytes).map_err(|error| {
        let detail = "the operating system provides no random numbers";
        Error::new(ErrorKind::Internal, detail).caused_by(std::io::Error::other(error.to_string()))
    })?;
    Ok(bytes)
}

/// Returns a text of letters and digits from the random numbers of the operating system. Each character has 5.9 bits.
pub(crate) fn text(length: usize) -> Result<String, Error> {
    let mut text = String::with_capacity(length);
    while text.len() < length {
        let bytes = bytes::<64>()?;
        // The remainders of larger numbers would be more frequent than others.
        let usable = bytes.iter().filter(|byte| **byte < 248);
        let characters = usable.filter_map(|byte| CHARACTERS.get(usize::from(byte % 62)));
        text.extend(characters.take(length - text.len()).map(|byte| char::from(*byte)));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn texts_have_the_requested_length_and_differ() {
        let texts: HashSet<_> = (0..100).map(|_| text(24).expect("a text")).collect();
        assert_eq!(texts.len(), 100);
        let is_usual = |text: &String| {
            text.len() == 24 && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
        };
        assert!(texts.iter().all(is_usual));
        assert_eq!(text(1000).expect("a text").len(), 1000);
        let used: HashSet<_> = text(10_000).expect("a text").into_bytes().into_iter().collect();
        assert_eq!(used.len(), 62);
    }
}
