//! The part of WebRTC that exists only while it is on: its sockets, and the addresses that it announces.

use std::net::IpAddr;
use std::sync::Arc;

use tracing::warn;

use super::addresses;
use super::offer::Local;
use super::routes::Routes;
use super::socket::Sockets;

/// The settings of WebRTC.
#[derive(Debug, Clone)]
pub(crate) struct WebRtcSettings {
    /// The port for UDP and TCP; `None` if WebRTC is off.
    pub(crate) port: Option<u16>,
    /// The addresses to announce; the addresses of the machine if there are none.
    pub(crate) addresses: Vec<IpAddr>,
}

/// The sockets of all sessions, and the manager's identity.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) sockets: Arc<Sockets>,
    pub(super) routes: Routes,
    local: Local,
    /// True if the addresses are those of the machine, which can change.
    is_automatic: bool,
}

/// The reason why WebRTC is off.
pub(super) enum Off {
    /// The settings say so.
    Disabled(String),
    /// WebRTC cannot run.
    Failed(String),
}

impl Running {
    /// Listens on the port of the settings.
    pub(super) fn start(settings: &WebRtcSettings) -> Result<Self, Off> {
        let Some(port) = settings.port else {
            return Err(Off::Disabled("WEBRTC_PORT is off".to_owned()));
        };
        let is_automatic = settings.addresses.is_empty();
        if is_automatic && addresses::is_container() {
            let reason = "the manager runs in a container, whose addresses viewers usually cannot reach; set \
                          WEBRTC_ADDRESSES to the addresses at which viewers reach this machine, and publish \
                          WEBRTC_PORT for UDP and TCP";
            return Err(Off::Disabled(reason.to_owned()));
        }
        let sockets = Sockets::bind(port).map_err(|error| {
            Off::Failed(format!(
                "cannot listen on port {port} with UDP and TCP (WEBRTC_PORT): {error}"
            ))
        })?;
        for address in settings.addresses.iter().filter(|address| !sockets.supports(**address)) {
            warn!(%address, "this address in WEBRTC_ADDRESSES is not announced, because the machine has no IPv6");
        }
        let crypto = str0m::crypto::from_feature_flags();
        let certificate = crypto.dtls_provider.generate_certificate();
        let certificate = certificate
            .ok_or_else(|| Off::Failed("cannot create a certificate for WebRTC".to_owned()))?;
        let local = Local {
            crypto: Arc::new(crypto),
            certificate,
            addresses: settings.addresses.clone(),
            port: sockets.port(),
        };
        Ok(Self { sockets: Arc::new(sockets), routes: Routes::default(), local, is_automatic })
    }

    /// Returns the identity with the addresses that can be announced now. Fails with the reason if there are none.
    pub(super) fn current(&self) -> Result<Local, String> {
        let mut local = self.local.clone();
        if self.is_automatic {
            local.addresses = addresses::local();
        }
        local.addresses.retain(|address| self.sockets.supports(*address));
        if local.addresses.is_empty() {
            return Err("the machine has no address to announce; set WEBRTC_ADDRESSES".to_owned());
        }
        Ok(local)
    }
}
