//! Requests to a device: SOAP over HTTP. The credentials are sent as a `UsernameToken`: the user
//! name in clear text, and a digest of the password.
//!
//! Connections go only to the device's own address, redirections are not followed, and the size of
//! responses is limited. Callers limit the time. HTTPS is not supported: devices have self-signed
//! certificates, which would not prove their identity.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use sha1::{Digest, Sha1};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::xml::{XmlNode, escaped};

use crate::camera::onvif_address::{OnvifAddress, USUAL_PATH};

/// The namespace of the device service.
pub(crate) const DEVICE: &str = "http://www.onvif.org/ver10/device/wsdl";
/// The largest response, in bytes.
const MAX_RESPONSE: usize = 512 * 1024;
/// The longest reason for a refusal that is passed on, in characters. Longer reasons are cut.
const MAX_REASON: usize = 120;
/// The length of a nonce, in bytes.
const NONCE_LENGTH: usize = 16;
/// The beginning of the year 10000, in Unix seconds. Later times cannot be written as a date.
const LATEST: u64 = 253_402_300_800;

/// The credentials for a device. The type does not implement `Debug`, so that the password is never
/// shown.
#[derive(Clone)]
pub(crate) struct Login {
    /// The user name.
    pub username: String,
    /// The password.
    pub password: String,
}

/// The reason why a request to a device failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OnvifError {
    /// The device requires credentials, or has rejected the given ones.
    #[error("the device requires a user name and password, or rejected those that were given")]
    Unauthorized,
    /// No connection to the device can be made.
    #[error("cannot connect to the device: {0}")]
    Unreachable(String),
    /// The response does not come from an ONVIF device.
    #[error(
        "the device at this address does not support ONVIF; check the port, and that ONVIF is enabled"
    )]
    NotOnvif,
    /// The response is longer than the limit.
    #[error(
        "the device's response is too large; add its cameras manually, by RTSP link or manufacturer"
    )]
    TooLarge,
    /// The device refused the request, did not respond in time, or does not have what the request needs.
    /// The text is the reason.
    #[error("the device refused the request: {0}")]
    Refused(String),
}

/// Sends requests to one device.
pub(crate) struct OnvifClient {
    /// The address and port of the device service.
    pub address: SocketAddr,
    login: Option<Login>,
    clock: DeviceClock,
}

/// The difference between a device's clock and this machine's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeviceClock {
    /// The device's clock is ahead.
    Ahead(Duration),
    /// The device's clock is behind, or shows the same time.
    Behind(Duration),
}

impl DeviceClock {
    /// The clock of a device without a difference.
    pub(crate) const RIGHT: Self = Self::Behind(Duration::ZERO);

    /// Returns the clock of a device that currently reports this time.
    pub(crate) fn of(reported: SystemTime) -> Self {
        match reported.duration_since(SystemTime::now()) {
            Ok(ahead) => Self::Ahead(ahead),
            Err(behind) => Self::Behind(behind.duration()),
        }
    }

    /// Returns the device's current time; `None` if it cannot be written as a date.
    fn now(self) -> Option<SystemTime> {
        let now = match self {
            Self::Ahead(by) => SystemTime::now().checked_add(by)?,
            Self::Behind(by) => SystemTime::now().checked_sub(by)?,
        };
        let since = now.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        (since.as_secs() < LATEST).then_some(now)
    }
}

impl OnvifClient {
    /// Creates a client of the device at `address`. Until [`OnvifClient::set_clock`] is called, the
    /// device's clock is assumed to show the same time as this machine's.
    pub(crate) fn new(address: SocketAddr, login: Option<Login>) -> Self {
        Self { address, login, clock: DeviceClock::RIGHT }
    }

    /// Sets the device's clock, which digests are based on. Devices reject digests with a wrong time.
    pub(crate) fn set_clock(&mut self, clock: DeviceClock) {
        self.clock = clock;
    }

    /// Returns whether the client has credentials.
    pub(crate) fn has_login(&self) -> bool {
        self.login.is_some()
    }

    /// Calls an `action` of a service, such as `http://www.onvif.org/ver10/device/wsdl/GetServices`.
    /// `content` is the XML inside the request's element. Returns the response.
    pub(crate) async fn call(
        &self,
        service: &OnvifService,
        action: &str,
        content: &str,
    ) -> Result<XmlNode, OnvifError> {
        self.call_as(self.login.as_ref(), service, action, content).await
    }

    /// Calls an `action` without credentials. Until the device's clock is known, the device could count
    /// a request with credentials as a failed login.
    pub(crate) async fn call_anonymously(
        &self,
        service: &OnvifService,
        action: &str,
    ) -> Result<XmlNode, OnvifError> {
        self.call_as(None, service, action, "").await
    }

    async fn call_as(
        &self,
        login: Option<&Login>,
        service: &OnvifService,
        action: &str,
        content: &str,
    ) -> Result<XmlNode, OnvifError> {
        let (namespace, operation) = action.rsplit_once('/').unwrap_or_default();
        let security = login.map(|login| self.security(login)).unwrap_or_default();
        let envelope = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
             <s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\">\
             <s:Header>{security}</s:Header>\
             <s:Body xmlns:tt=\"http://www.onvif.org/ver10/schema\">\
             <{operation} xmlns=\"{namespace}\">{content}</{operation}></s:Body></s:Envelope>"
        );
        let (status, text) = self.post(service, action, envelope).await?;
        read(status, &text)
    }

    async fn post(
        &self,
        service: &OnvifService,
        action: &str,
        envelope: String,
    ) -> Result<(StatusCode, String), OnvifError> {
        let address = SocketAddr::new(self.address.ip(), service.port);
        let request = Request::post(service.path.as_str())
            .header(HOST, address.to_string())
            .header(CONNECTION, "close")
            .header(
                CONTENT_TYPE,
                format!("application/soap+xml; charset=utf-8; action=\"{action}\""),
            )
            .body(Full::new(Bytes::from(envelope)))
            .map_err(|_| OnvifError::NotOnvif)?;
        let connection = TcpStream::connect(address).await;
        let connection = connection.map_err(|error| OnvifError::Unreachable(cause(&error)))?;
        // The device accepted the connection, so any failure from here on means that it is not an ONVIF
        // device.
        let not_http = |_| OnvifError::NotOnvif;
        let (mut sender, driver) = hyper::client::conn::http1::handshake(TokioIo::new(connection))
            .await
            .map_err(not_http)?;
        // Dropping the set at the end of this function aborts the task.
        let mut drivers = JoinSet::new();
        drivers.spawn(driver);
        let answer = sender.send_request(request).await.map_err(not_http)?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MAX_RESPONSE).collect().await;
        let body = body.map_err(|error| {
            if error.is::<LengthLimitError>() { OnvifError::TooLarge } else { OnvifError::NotOnvif }
        })?;
        Ok((status, String::from_utf8_lossy(&body.to_bytes()).into_owned()))
    }

    /// Returns the security header, with a digest of a nonce, the device's time and the password.
    fn security(&self, login: &Login) -> String {
        // A nonce must differ each time, but may be predictable.
        let nonce: [u8; NONCE_LENGTH] = std::array::from_fn(|_| fastrand::u8(..));
        let now = self.clock.now().unwrap_or_else(SystemTime::now);
        let created = humantime::format_rfc3339_millis(now).to_string();
        let digest = digest(&nonce, &created, &login.password);
        let oasis = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss";
        format!(
            "<w:Security s:mustUnderstand=\"1\" xmlns:w=\"{oasis}-wssecurity-secext-1.0.xsd\">\
             <w:UsernameToken><w:Username>{}</w:Username>\
             <w:Password Type=\"{oasis}-username-token-profile-1.0#PasswordDigest\">{digest}\
             </w:Password>\
             <w:Nonce EncodingType=\"{oasis}-soap-message-security-1.0#Base64Binary\">{}</w:Nonce>\
             <u:Created xmlns:u=\"{oasis}-wssecurity-utility-1.0.xsd\">{created}</u:Created>\
             </w:UsernameToken></w:Security>",
            escaped(&login.username),
            BASE64.encode(nonce),
        )
    }
}

/// The port and path of one of a device's services. Its host is always the device's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OnvifService {
    /// The TCP port.
    pub port: u16,
    /// The path and query.
    pub path: String,
}

impl OnvifService {
    /// Returns the device service at `port`, with the path that most devices use.
    pub(crate) fn usual(port: u16) -> Self {
        Self { port, path: USUAL_PATH.to_owned() }
    }
}

impl From<&OnvifAddress> for OnvifService {
    fn from(address: &OnvifAddress) -> Self {
        Self { port: address.port, path: address.path.to_string() }
    }
}

fn digest(nonce: &[u8], created: &str, password: &str) -> String {
    let digest = Sha1::new().chain_update(nonce).chain_update(created).chain_update(password);
    BASE64.encode(digest.finalize())
}

/// Parses a response. Fails if the response is a refusal or does not come from an ONVIF device.
pub(crate) fn read(status: StatusCode, text: &str) -> Result<XmlNode, OnvifError> {
    let answer = XmlNode::parse(text);
    if let Some(fault) = answer.as_ref().and_then(|answer| answer.find("Fault")) {
        return Err(failure(status, fault));
    }
    match (status, answer) {
        (StatusCode::UNAUTHORIZED, _) => Err(OnvifError::Unauthorized),
        (StatusCode::OK, Some(answer)) if answer.find("Body").is_some() => Ok(answer),
        (StatusCode::FORBIDDEN, _) => Err(OnvifError::Refused("403 Forbidden".into())),
        _ => Err(OnvifError::NotOnvif),
    }
}

fn failure(status: StatusCode, fault: &XmlNode) -> OnvifError {
    let code = fault.find("Code").map(all_text).unwrap_or_default();
    let reason = fault.text_of("Text").or_else(|| fault.text_of("faultstring")).unwrap_or_default();
    let text = format!("{code} {reason}").to_ascii_lowercase();
    let is_about_login =
        ["notauthorized", "not authorized", "failedauthentication", "unauthorized"]
            .iter()
            .any(|words| text.contains(words));
    if status == StatusCode::UNAUTHORIZED || is_about_login {
        return OnvifError::Unauthorized;
    }
    OnvifError::Refused(plain(if reason.is_empty() { code.trim() } else { reason }, MAX_REASON))
}

fn all_text(node: &XmlNode) -> String {
    let value = node.text_of("Value").unwrap_or_default();
    let more = node.find("Subcode").map(all_text).unwrap_or_default();
    format!("{value} {more}")
}

/// Returns a device's text as one line of at most `max` characters, without control characters.
pub(crate) fn plain(text: &str, max: usize) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    words.chars().filter(|character| !character.is_control()).take(max).collect()
}

/// Returns the reason why a connection failed, without the address.
fn cause(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "connection refused; check the port".into(),
        std::io::ErrorKind::HostUnreachable | std::io::ErrorKind::NetworkUnreachable => {
            "no route to host; check the network".into()
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_matches_the_example_of_the_specification() {
        // The example in ONVIF's Application Programmer's Guide, section 6.1.1.3.
        let nonce = BASE64.decode("LKqI6G/AikKCQrN0zqZFlg==").expect("base64");
        let digest = digest(&nonce, "2010-09-16T07:50:45Z", "userpassword");
        assert_eq!(digest, "tuOSpGlFlIXsozq4HFNeeGeFLEI=");
    }

    #[test]
    fn responses_and_their_errors() {
        let fault = |code: &str, reason: &str| {
            format!(
                "<s:Envelope><s:Body><s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode>\
                 <s:Value>{code}</s:Value></s:Subcode></s:Code><s:Reason><s:Text>{reason}</s:Text>\
                 </s:Reason></s:Fault></s:Body></s:Envelope>"
            )
        };
        let table = [
            (200, fault("ter:NotAuthorized", "x"), OnvifError::Unauthorized),
            (400, fault("wsse:FailedAuthentication", ""), OnvifError::Unauthorized),
            (500, fault("ter:Other", "Sender not authorized"), OnvifError::Unauthorized),
            (401, String::new(), OnvifError::Unauthorized),
            (400, fault("ter:NoProfile", "no\n such"), OnvifError::Refused("no such".into())),
            (403, "<html>".into(), OnvifError::Refused("403 Forbidden".into())),
            (200, "<html><p>Login</html>".into(), OnvifError::NotOnvif),
            (404, "<a><Body/></a>".into(), OnvifError::NotOnvif),
            (200, "garbage".into(), OnvifError::NotOnvif),
        ];
        for (status, text, expected) in table {
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(read(status, &text).err(), Some(expected), "{text}");
        }
        let fine = read(StatusCode::OK, "<e><Body><GetServicesResponse/></Body></e>");
        assert!(fine.expect("a response").find("GetServicesResponse").is_some());
    }

    #[test]
    fn the_header_contains_the_devices_time_and_no_password() {
        let login = Login { username: "a<b".into(), password: "s3cret-pw".into() };
        let mut client = OnvifClient::new(([192, 0, 2, 1], 80).into(), Some(login.clone()));
        client.set_clock(DeviceClock::of(SystemTime::UNIX_EPOCH + Duration::from_hours(24)));
        let header = client.security(&login);
        assert!(header.contains(">1970-01-02T00:00:00"), "{header}");
        assert!(header.contains("a&lt;b") && !header.contains("s3cret-pw"), "{header}");
    }
}
