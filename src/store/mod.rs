//! The camera store: the known cameras with their sources, owners and options, and the plans that were
//! learned for their streams.
//!
//! The cameras are in a database, and survive a restart of the manager. Their sources are sealed: encrypted, and
//! bound to the camera's id. The database also holds the numbers of streams, the playback sessions, the events, and the
//! subscriptions of push notifications. The plans are in memory only.
//!
//! | Module | Owns |
//! |---|---|
//! | [`cameras`] | all cameras: reading and changing them |
//! | [`cache`] | recently used cameras in memory |
//! | [`rows`] | conversions between cameras and rows, with sealed sources |
//! | [`numbers`] | the next numbers of segments, epochs and discontinuities of all streams |
//! | [`event_log`] | storing and finding events |
//! | [`db`] | the database and its tables |
//! | [`seal`] | sealing of secrets |
//! | [`key_files`] | the file with the key, and the check that a key belongs to a database |
//! | [`lock_file`] | the lock that excludes other managers |
//! | [`rotate`] | sealing the sources of all cameras with another key |
//! | [`error`] | the errors of the store |

mod cache;
pub(crate) mod cameras;
pub(crate) mod db;
pub(crate) mod error;
pub(crate) mod event_log;
pub(crate) mod key_files;
pub(crate) mod lock_file;
pub(crate) mod numbers;
pub(crate) mod rotate;
pub(crate) mod rows;
pub(crate) mod seal;

pub(crate) use cameras::{AnalysedCamera, Cameras, Change, RecordedCamera};
pub(crate) use error::StoreError;
pub(crate) use event_log::EventLog;
pub(crate) use rotate::rotate_key;
