//! Finds cameras on the network, and asks them by ONVIF which streams they have.
//!
//! | Module | Owns |
//! |---|---|
//! | [`finder`] | a search of the networks, or of one address, for devices |
//! | [`ws_discovery`] | finding devices on the local networks (WS-Discovery) |
//! | [`device`] | a device, as it describes itself |
//! | [`media`] | a device's media service: its profiles and their links |
//! | [`profile`] | one of a device's streams |
//! | [`link`] | which of a device's links can be used, for what |
//! | [`keyframe`] | requests for a keyframe when a stream starts |
//! | [`soap`], [`xml`] | requests to a device, and its answers |
//!
//! Devices are not trusted: their answers are bounded in size, number and time, and only permitted
//! addresses are asked. Nothing is stored.

pub(crate) mod device;
pub(crate) mod finder;
pub(crate) mod keyframe;
pub(crate) mod link;
pub(crate) mod media;
pub(crate) mod profile;
pub(crate) mod soap;
pub(crate) mod ws_discovery;
pub(crate) mod xml;
