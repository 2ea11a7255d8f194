//! Checks whether cameras can be reached, even while no client watches them.
//!
//! | Module | Owns |
//! |---|---|
//! | [`check`] | one check of a camera: a connection, and the RTSP request `OPTIONS` |
//! | [`state`] | when a camera counts as offline, and when as online again |
//! | [`monitor`] | the states of all cameras, their events, and the numbers of checks |
//!
//! `crate::service::checking` decides when a camera is checked.

pub(crate) mod check;
pub(crate) mod monitor;
pub(crate) mod state;
