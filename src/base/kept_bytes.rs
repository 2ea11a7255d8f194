//! The results that were used most recently, up to a total size.

use std::collections::HashMap;
use std::hash::Hash;

use bytes::Bytes;

/// Keeps byte strings. If they exceed the limit, those that were used least recently are dropped.
#[derive(Debug)]
pub(crate) struct KeptBytes<K> {
    entries: HashMap<K, (Bytes, u64)>,
    bytes: usize,
    /// The largest total size in bytes.
    limit: usize,
    /// The number of the last use.
    uses: u64,
}

impl<K: Clone + Eq + Hash> KeptBytes<K> {
    /// Creates an empty collection of at most `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self { entries: HashMap::new(), bytes: 0, limit, uses: 0 }
    }

    /// Returns the bytes with this key.
    pub(crate) fn get(&mut self, key: &K) -> Option<Bytes> {
        self.uses += 1;
        let (bytes, used) = self.entries.get_mut(key)?;
        *used = self.uses;
        Some(bytes.clone())
    }

    /// Adds or replaces the bytes with this key.
    pub(crate) fn put(&mut self, key: K, bytes: Bytes) {
        self.uses += 1;
        self.bytes += bytes.len();
        if let Some((before, _)) = self.entries.insert(key, (bytes, self.uses)) {
            self.bytes -= before.len();
        }
        while self.bytes > self.limit {
            let least = self.entries.iter().min_by_key(|(_, (_, used))| *used);
            let Some(key) = least.map(|(key, _)| key.clone()) else { return };
            if let Some((dropped, _)) = self.entries.remove(&key) {
                self.bytes -= dropped.len();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_is_limited() {
        let quarter = || Bytes::from(vec![0; 25]);
        let mut kept = KeptBytes::new(100);
        for key in 0..4 {
            kept.put(key, quarter());
        }
        kept.put(3, quarter());
        assert_eq!(kept.bytes, 100);
        assert!(kept.get(&0).is_some());
        kept.put(4, quarter());
        assert!(kept.get(&1).is_none(), "used least recently");
        assert!(kept.get(&0).is_some() && kept.get(&4).is_some());
        assert_eq!((kept.bytes, kept.entries.len()), (100, 4));
        kept.put(5, Bytes::from(vec![0; 101]));
        assert_eq!((kept.bytes, kept.entries.len()), (0, 0), "larger than the limit");
    }
}
