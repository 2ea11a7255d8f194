//! The two kinds of storage for recordings, and values of which each kind has its own.

/// Where a recorded file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Storage {
    /// On a disk of this machine.
    Local,
    /// Off-site, on a server that can be slow or not respond at all.
    Offsite,
}

/// A value for each kind of storage, such as a number of places. If an off-site server does not respond, requests for
/// its files take all places for off-site files, and those for local files stay free.
#[derive(Debug)]
pub(crate) struct ByStorage<T> {
    local: T,
    offsite: T,
}

impl<T> ByStorage<T> {
    /// Creates both values.
    pub(crate) const fn new(local: T, offsite: T) -> Self {
        Self { local, offsite }
    }

    /// Returns the value for a kind of storage.
    pub(crate) const fn of(&self, storage: Storage) -> &T {
        match storage {
            Storage::Local => &self.local,
            Storage::Offsite => &self.offsite,
        }
    }
}
