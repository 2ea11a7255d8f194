//! ONVIF: finds cameras on the network, and requests keyframes and the links of streams from them.
//!
//! | Module | Owns |
//! |---|---|
//! | [`finder`] | searches the networks for devices, or queries or checks one device |
//! | [`ws_discovery`] | finds devices on the local networks (WS-Discovery) |
//! | [`device`] | a device's description of itself and its streams |
//! | [`media`] | a device's media service: its profiles, their links, and keyframes |
//! | [`profile`] | one of a device's streams |
//! | [`link`] | makes a device's links usable, and chooses the main and the sub stream |
//! | [`keyframe`] | requests for a keyframe when a stream starts |
//! | [`soap`], [`xml`] | requests to a device, and its responses |
//! | [`error`], [`login`] | the reasons why requests fail; the credentials for a device |
//! | [`clock`] | the clock of a device, on which digests are based |
//! | [`http`], [`http_auth`] | HTTP and HTTPS: certificates, and HTTP authentication |
//! | [`xaddr`] | addresses of services as devices report them |
//!
//! Devices are not trusted: the size, number and time of their responses are limited, and requests are
//! sent only to permitted addresses. Nothing is written to the database.

pub(crate) mod clock;
pub(crate) mod device;
pub(crate) mod error;
pub(crate) mod finder;
pub(crate) mod http;
pub(crate) mod http_auth;
pub(crate) mod keyframe;
pub(crate) mod link;
pub(crate) mod login;
pub(crate) mod media;
pub(crate) mod profile;
pub(crate) mod soap;
pub(crate) mod ws_discovery;
pub(crate) mod xaddr;
pub(crate) mod xml;
