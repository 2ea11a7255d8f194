//! WebRTC sessions. Viewers negotiate a session by WHEP, and then get a stream's frames as RTP.
//!
//! | Module | Owns |
//! |---|---|
//! | [`addresses`] | the addresses in the answers to offers |
//! | [`routes`] | which session gets which datagram |
//! | [`socket`] | the sockets of all sessions: one UDP port, and TCP on the same number |
//! | [`tcp`] | connections of viewers whose network blocks UDP |
//! | [`offer`] | the check of an offer, and its answer |
//! | [`timeline`] | the RTP times of a session's frames |
//! | [`order`] | whether pictures arrive in the order in which they are shown |
//! | [`packets`] | sending a session's packets |
//! | [`repeats`] | second copies of packets, behind a network that loses some |
//! | [`frames`] | the frames of a session, in the form that the library takes |
//! | [`opus`] | converting the sound of streams to Opus |
//! | [`keyframes`] | when a session asks the camera for a keyframe |
//! | [`lag`] | whether a viewer with a TCP connection has fallen behind |
//! | [`capacity`] | whether the network is fast enough for the video, and whether it loses packets |
//! | [`session`] | one viewer's session, from the answer to its end |
//! | [`outcome`] | why a session ends |
//! | [`running`] | the sockets and the announced addresses while WebRTC is on |
//! | [`server`] | all sessions, and their limits |

pub(crate) mod addresses;
mod capacity;
pub(crate) mod frames;
mod keyframes;
mod lag;
pub(crate) mod offer;
pub(crate) mod opus;
pub(crate) mod order;
pub(crate) mod outcome;
mod packets;
mod repeats;
mod routes;
pub(crate) mod running;
pub(crate) mod server;
pub(crate) mod session;
mod socket;
mod tcp;
mod timeline;
