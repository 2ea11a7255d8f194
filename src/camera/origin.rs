//! The origin of a stream's media: which camera of which owner it came from, so that no player gets media of another
//! camera with the same id.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex};

use crate::base::lock::lock;

/// The length of an origin, in bytes.
const LENGTH: usize = 16;

/// A keyed digest of a camera's source and owner and of the time at which the camera was added. Two streams with equal
/// origins show the same camera to the same people. The digest reveals none of these, because only the manager
/// has the key. Displayed as hexadecimal digits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Origin([u8; LENGTH]);

impl Origin {
    /// Creates an origin from the first bytes of a digest.
    pub(crate) fn from_digest(digest: &[u8; 32]) -> Self {
        Self(std::array::from_fn(|index| digest[index]))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Origin {
    type Err = ();

    /// Parses the digits that [`Origin`] displays.
    fn from_str(text: &str) -> Result<Self, ()> {
        let digits = text.bytes().map(|digit| char::from(digit).to_digit(16));
        let digits = digits.collect::<Option<Vec<_>>>().ok_or(())?;
        if digits.len() != 2 * LENGTH {
            return Err(());
        }
        let byte = |index: usize| u8::try_from(digits[2 * index] << 4 | digits[2 * index + 1]);
        let mut bytes = [0; LENGTH];
        for (index, value) in bytes.iter_mut().enumerate() {
            *value = byte(index).map_err(|_| ())?;
        }
        Ok(Self(bytes))
    }
}

/// The origin of a running stream's media. The origin changes when the stream gets another source. Clones share the
/// origin.
#[derive(Debug, Clone)]
pub struct CurrentOrigin(Arc<Mutex<Since>>);

#[derive(Debug)]
struct Since {
    origin: Origin,
    /// The first epoch whose media has this origin.
    epoch: u64,
}

impl CurrentOrigin {
    /// Creates the origin of a stream that starts.
    pub(crate) fn new(origin: Origin) -> Self {
        Self(Arc::new(Mutex::new(Since { origin, epoch: 0 })))
    }

    /// Records that media has this origin from `epoch` on.
    pub(crate) fn change(&self, origin: Origin, epoch: u64) {
        let mut since = lock(&self.0);
        if since.origin != origin {
            *since = Since { origin, epoch };
        }
    }

    /// Returns the newest origin.
    pub(crate) fn newest(&self) -> Origin {
        lock(&self.0).origin
    }

    /// Returns the origin of the media of `epoch`; `None` if the source was changed after that epoch.
    pub(crate) fn of(&self, epoch: u64) -> Option<Origin> {
        let since = lock(&self.0);
        (epoch >= since.epoch).then_some(since.origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_read_as_it_is_displayed() {
        let origin = Origin::from_digest(&std::array::from_fn(|index| {
            u8::try_from(index * 8).expect("a byte")
        }));
        let text = origin.to_string();
        assert_eq!((text.len(), text.parse()), (32, Ok(origin)));
        for other in
            ["", "00", &text[1..], &format!("{text}00"), &text.replace('0', "g"), &"ä".repeat(16)]
        {
            assert_eq!(other.parse::<Origin>(), Err(()), "{other}");
        }
    }

    #[test]
    fn media_before_a_change_of_the_source_has_no_known_origin() {
        let [one, other] = [1, 2].map(|byte| Origin::from_digest(&[byte; 32]));
        let current = CurrentOrigin::new(one);
        current.change(one, 8);
        assert_eq!(current.of(7), Some(one), "the source is the same");
        current.change(other, 8);
        assert_eq!((current.of(7), current.of(8), current.newest()), (None, Some(other), other));
    }
}
