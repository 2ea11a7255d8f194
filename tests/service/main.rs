//! The real service: the binary, FFmpeg, nginx with the shipped configuration, and a real RTSP
//! camera. One file a subject; how the parts are started is `support`.

mod access;
mod bad_children;
mod cameras;
mod causes;
mod discovery;
mod examples;
mod faults;
mod http_edge;
mod keyframes;
mod lifetime;
mod limits;
mod low_latency;
mod media;
mod metrics;
mod monitoring;
mod playback;
mod playing;
mod registry;
mod shutdown;
mod storage;
mod support;
mod testing;
mod webhooks;
