//! Tests of the whole service: the manager's binary, FFmpeg, nginx with the shipped configuration,
//! and a test camera that is a real RTSP server. Each module covers one subject. `support` starts
//! the processes.

mod access;
mod aliases;
mod bad_children;
mod camera_store;
mod cameras;
mod causes;
mod clocks;
mod codecs;
mod discovery;
mod examples;
mod faults;
mod habits;
mod http_edge;
mod importing;
mod keep;
mod keyframes;
mod lifetime;
mod limits;
mod link_local;
mod links;
mod live_socket;
mod logging;
mod low_latency;
mod media;
mod metrics;
mod mjpeg;
mod monitoring;
mod onvif;
mod outputs;
mod parts;
mod playback;
mod playing;
mod proxies;
mod reachability;
mod renditions;
mod restart;
mod shutdown;
mod snapshots;
mod storage;
mod support;
mod testing;
mod tls;
mod webhooks;
mod webrtc;
