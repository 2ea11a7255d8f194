//! Discovery: searching for cameras on the network.

use std::time::Duration;

use hyper::Method;
use serde::Deserialize;
use utoipa::ToSchema;

use super::failures;
use super::operation::Operation;
use super::reply::{self, Reply};
use super::route::{Audience, Call, Row};
use super::wire::{Password, decimal, fingerprint};
use crate::access::role::Role;
use crate::base::error::{Error, ErrorKind};
use crate::onvif::finder::{Discovery, DiscoveryRequest, LONGEST_TIME, SHORTEST_TIME, USUAL_TIME};
use crate::onvif::login::Login;
use crate::service::discovery;

/// The endpoint.
pub(super) fn routes() -> Vec<Row> {
    let users = Audience::Callers(Role::User);
    vec![
        Row::new(
            Method::POST,
            "/api/discovery",
            users,
            |call| Box::pin(discover(call)),
            || {
                let summary = "Searches the network for cameras with ONVIF, or queries one camera";
                Operation::new("cameras", "discoverCameras", summary)
                .describe(
                    "Queries only devices at addresses that the settings permit for cameras. The \
                     user name and a digest of the password are sent to every queried device, except \
                     a device whose HTTPS certificate is not accepted. Over HTTPS, the password \
                     itself is sent to a device that requires HTTP Basic authentication. The \
                     credentials are not stored.",
                )
                .takes_optional::<DiscoveryInput>()
                .returns::<Discovery>("The devices; the list may be empty.")
                .fails(failures::DATABASE)
                .fails(&[
                    ErrorKind::InvalidSource,
                    ErrorKind::SourceForbidden,
                    ErrorKind::SourceUnreachable,
                    ErrorKind::Busy,
                ])
            },
        )
        .waits(),
    ]
}

/// The parameters of a search. All are optional.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "timeout_seconds": 0.1 }))]
pub(crate) struct DiscoveryInput {
    /// Name or IPv4 address of the network interface to search on; by default, all interfaces except
    /// loopback.
    #[serde(default)]
    interface: Option<String>,
    /// How long to wait for devices to respond, in seconds. Each device is also queried for its streams, so
    /// the whole search takes up to three times as long, not counting the lookup of a host name.
    #[serde(default = "usual_time", deserialize_with = "decimal")]
    #[schema(minimum = 0.1, maximum = 5, default = 3.0)]
    timeout_seconds: f64,
    /// User name for every queried device.
    #[serde(default)]
    username: Option<String>,
    /// Password of `username`.
    #[serde(default)]
    password: Option<Password>,
    /// The only device to query, instead of a search: the device's address, with `:port` if the port is not
    /// 80, or the URL of its ONVIF service (`http://` or `https://`).
    #[serde(default)]
    address: Option<String>,
    /// The SHA-256 fingerprint of the only certificate that is accepted from the device. Requires an `https://` URL
    /// in `address`. Without a fingerprint, the manager accepts only the certificate that was confirmed for a known
    /// camera whose ONVIF service has this address. If no certificate was confirmed, the manager accepts certificates
    /// from certificate authorities that it trusts.
    #[serde(default)]
    onvif_certificate: Option<String>,
}

fn usual_time() -> f64 {
    USUAL_TIME
}

impl DiscoveryInput {
    fn request(self) -> Result<DiscoveryRequest, Error> {
        if !(SHORTEST_TIME..=LONGEST_TIME).contains(&self.timeout_seconds) {
            let detail =
                format!("timeout_seconds must be between {SHORTEST_TIME} and {LONGEST_TIME}");
            return Err(Error::new(ErrorKind::InvalidRequest, detail));
        }
        let text = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
        let login = match (text(self.username), self.password) {
            (Some(username), password) => {
                let password = password.map(|password| password.into_secret().expose().to_owned());
                Some(Login { username, password: password.unwrap_or_default() })
            }
            (None, Some(password)) if !password.is_empty() => {
                let detail = "a password requires a username";
                return Err(Error::new(ErrorKind::InvalidRequest, detail));
            }
            (None, _) => None,
        };
        Ok(DiscoveryRequest {
            interface: text(self.interface),
            time: Duration::from_secs_f64(self.timeout_seconds),
            login,
            address: text(self.address),
            certificate: fingerprint(self.onvif_certificate.as_deref())?,
        })
    }
}

async fn discover(mut call: Call<'_>) -> Result<Reply, Error> {
    let request = call.input::<DiscoveryInput>().await?.request()?;
    let (core, finder) = (&call.api.core, &call.api.finder);
    Ok(reply::json(&discovery::discover(core, finder, &call.caller, request).await?))
}
