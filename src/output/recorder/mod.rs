//! The recorder: stores the frames of streams in files of about a minute, and keeps their index in the database.
//!
//! | Module | Owns |
//! |---|---|
//! | [`shared`] | the parts that the recordings of all streams share |
//! | [`stream_task`] | recording one stream while it runs |
//! | [`session`] | from frames to files, and their entries in the database |
//! | [`preroll`] | the frames of the last seconds, for recordings that begin before an event |
//! | [`fragmenter`] | joining frames into fragments |
//! | [`cutter`] | dividing fragments into files and spans, and their wall-clock times |
//! | [`writers`] | the threads that write files |
//! | [`file_writer`] | writing one file |
//! | [`open_files`] | the fragments of the files that are being written |
//! | [`directories`] | the directories with recordings, and their markers |
//! | [`layout`] | the names of files |
//! | [`recovery`] | bringing the index in line with the files that an interrupted manager has left |
//! | [`repair`] | reading and repairing one file |
//! | [`retention`] | deleting old recordings |
//! | [`copies`] | which files are copied to another place |
//! | [`counters`] | counters for metrics |
//! | [`clip`] | recording given frames at once, for tests and benchmarks |
//! | [`index_sample`] | filling an index with weeks of files, for benchmarks |

pub(crate) mod clip;
pub(crate) mod copies;
pub(crate) mod counters;
pub(crate) mod cutter;
pub(crate) mod directories;
pub(crate) mod file_writer;
pub(crate) mod fragmenter;
pub(crate) mod index_sample;
pub(crate) mod layout;
pub(crate) mod open_files;
pub(crate) mod preroll;
pub(crate) mod recovery;
pub(crate) mod repair;
pub(crate) mod retention;
pub(crate) mod session;
pub(crate) mod shared;
pub(crate) mod stream_task;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod writers;
