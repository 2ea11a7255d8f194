//! Media without I/O: the frames that an ingest delivers, the hub that passes frames to all consumers of
//! a stream, and the containers that frames are read from and written to.
//!
//! | Module | Owns |
//! |---|---|
//! | [`frame`] | a frame, and the description of a stream's tracks |
//! | [`hub`] | the hub, in which frames are published and read |
//! | [`frame_budget`] | the limit for the memory that all hubs use together |
//! | `kept_frames` | the frames that a hub keeps |
//! | [`flow`] | rates of the media in a hub, and its signs of life |
//! | [`demuxer`] | frames, made of the packets that FFmpeg writes |
//! | [`muxer`] | video written as NUT, for an FFmpeg to read |
//! | [`rendition`] | the frames of a rendition, with a transcoder's video and the source's audio |
//! | `camera_clock` | times on the epoch's clock |
//! | `pace` | the rate of a camera's clock |
//! | `timeline` | decode times |
//! | `wall_clock` | dates of frames |
//! | [`access_unit`] | pictures of H.264 and H.265, in the form that MP4 needs |
//! | `video_track` | pictures, made of the packets of one NUT stream |
//! | `jpeg` | size and sampling of a picture of Motion JPEG |
//! | [`annex_b`] | pictures of H.264 and H.265 with start codes |
//! | [`nal`] | NAL units, the elements of H.264 and H.265 |
//! | [`parameter_set`] | parameter sets of H.264 and H.265 |
//! | [`bits`] | fields of a NAL unit, and of AAC's configuration |
//! | [`codec`] | video codecs and their names |
//! | [`aac`], [`opus`] | parameters of AAC and Opus |
//! | [`nut`] | the NUT container: packets to and from FFmpeg |
//! | [`mp4`] | MP4 for players |
//! | [`error`] | the reasons why media cannot be used |

pub(crate) mod aac;
pub(crate) mod access_unit;
pub(crate) mod annex_b;
pub(crate) mod bits;
mod camera_clock;
pub(crate) mod codec;
pub(crate) mod demuxer;
pub(crate) mod error;
pub(crate) mod flow;
pub(crate) mod frame;
pub(crate) mod frame_budget;
pub(crate) mod hub;
pub(crate) mod jpeg;
mod kept_frames;
pub(crate) mod mp4;
pub(crate) mod muxer;
pub(crate) mod nal;
pub(crate) mod nut;
pub(crate) mod opus;
mod pace;
pub(crate) mod parameter_set;
pub(crate) mod rendition;
mod timeline;
mod video_track;
mod wall_clock;
