//! Copies of recordings in another place: in a bucket of an S3 server, or on a share that is mounted.
//!
//! | Module | Owns |
//! |---|---|
//! | [`shared`] | the place in use, its state, and reading copies |
//! | [`queue`] | the task that makes and deletes copies |
//! | [`upload`] | making one copy |
//! | [`place`] | the operations on a place, and its marker |
//! | [`bucket`] | a place in a bucket |
//! | [`share`] | a place in a directory |
//! | [`http`] | the HTTP client for buckets |
//! | [`pace`] | the limit of the bandwidth |
//! | [`counters`] | counters for metrics |

pub(crate) mod bucket;
pub(crate) mod counters;
mod http;
mod pace;
pub(crate) mod place;
pub(crate) mod queue;
pub(crate) mod share;
pub(crate) mod shared;
mod upload;
