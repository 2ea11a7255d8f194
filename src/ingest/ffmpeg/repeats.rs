//! Leaves out messages that FFmpeg repeats, for example for each packet that it cannot use. Such messages would
//! push all other messages out of the log.

use std::collections::HashMap;

/// The number of times that a message is kept before repetitions are left out.
const KEPT: u64 = 5;
/// The largest number of different messages whose repetitions are counted. Further messages are all kept.
const MAX_MESSAGES: usize = 64;

/// The messages of one run, and how often each was printed.
#[derive(Debug, Default)]
pub(super) struct Repeats(HashMap<String, u64>);

impl Repeats {
    /// Counts a message, and returns how often it has been printed so far. Messages that differ only in numbers
    /// and addresses count as the same message. Returns 1 for a message that is not counted, see [`MAX_MESSAGES`].
    pub(super) fn count(&mut self, message: &str) -> u64 {
        let is_number = |c: char| c.is_ascii_hexdigit() && !c.is_ascii_uppercase();
        let words = message.split(|c: char| !c.is_ascii_alphanumeric());
        let is_word =
            |word: &&str| !word.is_empty() && !word.trim_start_matches("0x").chars().all(is_number);
        let key: Vec<&str> = words.filter(is_word).collect();
        let key = key.join(" ");
        if self.0.len() >= MAX_MESSAGES && !self.0.contains_key(&key) {
            return 1;
        }
        let count = self.0.entry(key).or_default();
        *count += 1;
        *count
    }
}

/// Returns the line to log for a message that was printed for the `count`th time; `None` if the message is left out.
/// After the first [`KEPT`] times, only the 10th, 100th, 1000th time and so on are logged.
pub(super) fn kept(message: &str, count: u64) -> Option<String> {
    if count <= KEPT {
        return Some(message.to_owned());
    }
    let is_power_of_ten = 10_u64.pow(count.ilog10()) == count;
    is_power_of_ten.then(|| format!("({count} times so far) {message}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_messages_are_kept_less_and_less_often() {
        let mut repeats = Repeats::default();
        let mut kept_lines = Vec::new();
        for number in 0..1000 {
            for message in [
                format!("[nut @ 0x55dad6e8ef{number:02x}] [warning] DTS {number}, next: -{number}"),
                "[rtsp @ 0x1] [error] Error parsing AU headers".to_owned(),
            ] {
                let count = repeats.count(&message);
                kept_lines.extend(kept(&message, count));
            }
        }
        assert_eq!(kept_lines.len(), 2 * 8, "{kept_lines:?}");
        assert!(kept_lines[15].starts_with("(1000 times so far) [rtsp @ 0x1]"));
    }

    #[test]
    fn the_number_of_messages_is_limited() {
        let mut repeats = Repeats::default();
        for number in 0..1000_u32 {
            let word: String =
                number.to_string().chars().map(|c| char::from(c as u8 + 55)).collect();
            assert_eq!(repeats.count(&word), 1, "{word}");
        }
        assert_eq!(repeats.0.len(), MAX_MESSAGES);
    }
}
