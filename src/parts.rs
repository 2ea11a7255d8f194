//! The items that `benches/`, `tests/` and doc tests use directly. This is not a stable API.
//!
//! Apart from these items, only `cli` and `fuzzing` are public. Everything else is private to the crate, so
//! that the compiler reports unused items.

pub use crate::app::{StartError, run_with};
pub use crate::base::atomic_instant::AtomicInstant;
pub use crate::base::counters::Counters;
pub use crate::base::error::{Error, ErrorKind};
pub use crate::camera::Camera;
pub use crate::camera::id::{CameraId, StreamId};
pub use crate::camera::networks::{CameraNetworks, Networks};
pub use crate::camera::options::StreamOptions;
pub use crate::camera::plan::{Audio, Hevc, Lesson, Plan};
pub use crate::camera::source::Source;
pub use crate::child::spawner::{CHILD, Spawner, become_child};
pub use crate::config::Config;
pub use crate::events::bus::Bus;
pub use crate::ingest::ffmpeg::args::{Shape, Transcode, rendition_arguments};
pub use crate::ingest::rendition::{RenditionRequest, Transcoder};
pub use crate::ingest::{Ingest, IngestRequest, RunOutcome, RunningIngest, Stop, StopRequests};
pub use crate::media::aac::AacConfig;
pub use crate::media::access_unit::AccessUnit;
pub use crate::media::codec::VideoCodec;
pub use crate::media::demuxer::{Arrival, Demuxer};
pub use crate::media::error::MediaError;
pub use crate::media::frame::{AudioFormat, Format, Frame, Track};
pub use crate::media::frame_budget::FrameBudget;
pub use crate::media::hub::{FrameHub, Gap, HubReader, ReadFrom};
pub use crate::media::mp4::fragments::{Sample, SampleRun, fragment, fragment_head};
pub use crate::media::mp4::init::{AudioConfig, init_segment};
pub use crate::media::mp4::track::{Mp4Error, VIDEO_TIMESCALE};
pub use crate::media::muxer::VideoMuxer;
pub use crate::media::nal::{Framing, Units};
pub use crate::media::nut::error::NutError;
pub use crate::media::nut::reader::NutReader;
pub use crate::media::nut::stream::{NutItem, NutKind, NutPacket, NutStream, TimeBase};
pub use crate::media::nut::writer::{nut_headers, write_nut_frame};
pub use crate::media::opus::OpusConfig;
pub use crate::media::parameter_set::picture::PictureParameters;
pub use crate::media::parameter_set::sets::ParameterSets;
pub use crate::media::rendition::RenditionDemuxer;
pub use crate::motion::boxes::MotionBox;
pub use crate::motion::detector::{Detector, DetectorOptions};
pub use crate::motion::episode::{Began, Change, Episode, Peak, Sample as MotionSample};
pub use crate::motion::sensitivity::Sensitivity;
pub use crate::motion::shrink::{
    HEIGHT as MOTION_HEIGHT, Luma, PIXELS as MOTION_PIXELS, WIDTH as MOTION_WIDTH, shrink,
};
pub use crate::motion::zones::{Zone, ZoneEffect, ZoneError, ZoneMask};
pub use crate::output::disk_budget::DiskBudget;
pub use crate::output::hls::cutter::SegmentPolicy;
pub use crate::output::hls::layout::Layout;
pub use crate::output::hls::output::Hls;
pub use crate::output::recorder::clip::{Clip, record_clip};
pub use crate::output::recorder::index_sample::{IndexSample, fill_index};
pub use crate::stream::limits::Limits;
pub use crate::stream::output::WantedOutput;
pub use crate::stream::reaper;
pub use crate::stream::registry::Registry;
pub use crate::stream::resources::StreamResources;
pub use crate::stream::start_queue::StartQueue;
pub use crate::stream::threads::Threads;
