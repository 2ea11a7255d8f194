//! The route table: the rows of all resources.

use super::route::Row;
use super::{
    aliases, cameras, discovery, events, media, metrics, motion, push, recorder, recordings,
    sessions, streams, system,
};

/// Returns all rows, in the order of the documentation.
pub(crate) fn all() -> Vec<Row> {
    [
        streams::routes(),
        cameras::routes(),
        discovery::routes(),
        events::routes(),
        motion::routes(),
        recorder::routes(),
        recordings::routes(),
        sessions::routes(),
        push::routes(),
        media::routes(),
        system::routes(),
        metrics::routes(),
        aliases::routes(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
