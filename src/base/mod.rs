//! Basic types and functions for all other modules. Modules in `base` import nothing from outside `base`.
//!
//! | Module | Owns |
//! |---|---|
//! | [`error`] | the error of requests and streams, and the table of its kinds |
//! | [`age_clock`] | noticing that the system's clock was set forward |
//! | [`atomic_instant`] | a point in time that any task can move forward and read |
//! | [`backoff`] | delays between attempts |
//! | [`blocking`] | work that can wait for a disk |
//! | [`counters`] | counters of the starts, interruptions, output and snapshots of streams |
//! | [`dirs`] | files and directories below a mount point, without following links |
//! | [`fingerprint`] | fingerprints of certificates |
//! | [`host`] | names and addresses of hosts |
//! | [`https`] | connections to HTTP servers, with or without TLS |
//! | [`kept_bytes`] | the results that were used most recently, up to a total size |
//! | [`lock`] | locking a mutex, even after a panic |
//! | [`log_writer`] | writing the log to stderr in a separate thread |
//! | [`open_files`] | the division of the limit of open files between streams and connections |
//! | [`own_file`] | files that only the manager writes, such as keys and locks |
//! | [`proc`] | CPU time, memory and open files of processes |
//! | [`public_url`] | the address at which browsers reach the service |
//! | [`random`] | random texts that cannot be guessed |
//! | [`secret`] | strings that must not be shown |
//! | [`storage`] | the kinds of storage for recordings |
//! | [`tasks`] | waiting for several tasks, and noticing that long-lived tasks have ended |
//! | [`time`] | Unix seconds and RFC 3339 |
//! | [`time_span`] | a span of wall-clock time |
//! | [`tls`] | TLS connections to cameras |
//! | [`url`] | parts of URLs |
//! | [`varint`] | numbers of variable length |

pub(crate) mod age_clock;
pub(crate) mod atomic_instant;
pub(crate) mod backoff;
pub(crate) mod blocking;
pub(crate) mod counters;
pub(crate) mod dirs;
pub(crate) mod error;
pub(crate) mod fingerprint;
pub(crate) mod hex;
pub(crate) mod host;
pub(crate) mod https;
pub(crate) mod kept_bytes;
pub(crate) mod lock;
pub(crate) mod log_writer;
pub(crate) mod open_files;
pub(crate) mod own_file;
pub(crate) mod proc;
pub(crate) mod public_url;
pub(crate) mod random;
pub(crate) mod secret;
pub(crate) mod storage;
pub(crate) mod tasks;
pub(crate) mod time;
pub(crate) mod time_span;
pub(crate) mod tls;
pub(crate) mod url;
pub(crate) mod varint;
