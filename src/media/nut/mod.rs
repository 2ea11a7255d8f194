//! The NUT container, as FFmpeg writes and reads it. Pure, without I/O.
//!
//! A NUT stream begins with headers, which describe the streams of media and contain a table of frame codes. Frames
//! follow. Each consists of a code of one byte, the fields that the code's flags announce, and the data. From time
//! to time, a syncpoint states a time. The times of the next frames are relative to it.
//!
//! | Module | Owns |
//! |---|---|
//! | [`reader`] | reading streams and packets from bytes |
//! | [`writer`] | writing streams and packets, for FFmpeg's standard input |
//! | [`stream`] | descriptions of streams, and packets |
//! | [`packet_header`] | start codes, sizes and checksums of everything but frames |
//! | [`main_header`] | the main header with its frame codes |
//! | [`stream_header`] | the headers of streams |
//! | [`timeline`] | syncpoints, and the times of frames |
//! | [`frame_header`] | the headers of frames |
//! | [`cursor`] | fields: numbers of variable length, strings of bytes |
//! | [`crc`] | the checksum |
//! | [`error`] | the reasons to reject bytes |

mod crc;
mod cursor;
pub(crate) mod error;
mod frame_header;
mod main_header;
mod packet_header;
pub(crate) mod reader;
pub(crate) mod stream;
mod stream_header;
#[cfg(test)]
mod tests;
mod timeline;
pub(crate) mod writer;
