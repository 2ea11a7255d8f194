//! Requests to a device: SOAP over HTTP, with the credentials as a `UsernameToken` digest.
//!
//! A device gets connections at its own address alone, its redirections are not followed, and its
//! answers are bounded in size; how long all of it may take, callers say. HTTPS is not spoken:
//! devices' certificates are their own, so that it would prove nothing.

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

use super::xml::{Node, escaped};

use crate::camera::onvif_address::OnvifAddress;

/// Bytes of an answer.
const MAX_ANSWER: usize = 512 * 1024;
/// Characters of what a device says that are passed on.
const MAX_REASON: usize = 120;
const NONCE_LENGTH: usize = 16;
/// The year 10000, in Unix time: a clock that says so cannot be written as a date.
const LATEST: u64 = 253_402_300_800;

/// User name and password of a device. Has no `Debug`.
#[derive(Clone)]
pub struct Login {
    /// The user.
    pub username: String,
    /// Secret.
    pub password: String,
}

/// Why a device did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// It wants credentials, or others.
    Unauthorized,
    /// There is no connection to it.
    Unreachable(String),
    /// What answers is no ONVIF device.
    NotOnvif,
    /// Its answer is longer than what is read.
    TooLarge,
    /// It says no, in its own words.
    Refused(String),
}

/// A device that can be asked.
pub struct Client {
    /// Where it is.
    pub address: SocketAddr,
    login: Option<Login>,
    clock: Clock,
}

/// By how much a device's clock differs from this machine's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// It is ahead.
    Ahead(Duration),
    /// It is behind, or right.
    Behind(Duration),
}

impl Clock {
    /// One that is right.
    pub const RIGHT: Self = Self::Behind(Duration::ZERO);

    /// Of a device on which it is this time now.
    pub fn of(there: SystemTime) -> Self {
        match there.duration_since(SystemTime::now()) {
            Ok(ahead) => Self::Ahead(ahead),
            Err(behind) => Self::Behind(behind.duration()),
        }
    }

    fn now(self) -> Option<SystemTime> {
        let now = match self {
            Self::Ahead(by) => SystemTime::now().checked_add(by)?,
            Self::Behind(by) => SystemTime::now().checked_sub(by)?,
        };
        let since = now.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        (since.as_secs() < LATEST).then_some(now)
    }
}

impl Client {
    /// A client of the device at `address`, whose clock is taken for right until [`Client::set`].
    pub fn new(address: SocketAddr, login: Option<Login>) -> Self {
        Self { address, login, clock: Clock::RIGHT }
    }

    /// Sets what the device's clock is like: it refuses a digest of another time.
    pub fn set(&mut self, clock: Clock) {
        self.clock = clock;
    }

    /// Whether there are credentials.
    pub fn has_login(&self) -> bool {
        self.login.is_some()
    }

    /// Calls `action` (`http://www.onvif.org/ver10/device/wsdl/GetServices`) of the service at
    /// `port` and `path`, with the `content` of the request's own element, and returns the answer's
    /// body.
    pub async fn call(
        &self,
        service: &Service,
        action: &str,
        content: &str,
    ) -> Result<Node, Failure> {
        self.call_as(self.login.as_ref(), service, action, content).await
    }

    /// The same without credentials: with a digest of a wrong time it would be a failed login.
    pub async fn call_as_nobody(&self, service: &Service, action: &str) -> Result<Node, Failure> {
        self.call_as(None, service, action, "").await
    }

    async fn call_as(
        &self,
        login: Option<&Login>,
        service: &Service,
        action: &str,
        content: &str,
    ) -> Result<Node, Failure> {
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
        service: &Service,
        action: &str,
        envelope: String,
    ) -> Result<(StatusCode, String), Failure> {
        let address = SocketAddr::new(self.address.ip(), service.port);
        let request = Request::post(service.path.as_str())
            .header(HOST, address.to_string())
            .header(CONNECTION, "close")
            .header(
                CONTENT_TYPE,
                format!("application/soap+xml; charset=utf-8; action=\"{action}\""),
            )
            .body(Full::new(Bytes::from(envelope)))
            .map_err(|_| Failure::NotOnvif)?;
        let connection = TcpStream::connect(address).await;
        let connection = connection.map_err(|error| Failure::Unreachable(cause(&error)))?;
        // What breaks off from here on, somebody did answer.
        let not_http = |_| Failure::NotOnvif;
        let (mut sender, driver) = hyper::client::conn::http1::handshake(TokioIo::new(connection))
            .await
            .map_err(not_http)?;
        // Ended when this is left, in whatever way.
        let mut drivers = JoinSet::new();
        drivers.spawn(driver);
        let answer = sender.send_request(request).await.map_err(not_http)?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
        let body = body.map_err(|error| {
            if error.is::<LengthLimitError>() { Failure::TooLarge } else { Failure::NotOnvif }
        })?;
        Ok((status, String::from_utf8_lossy(&body.to_bytes()).into_owned()))
    }

    /// The header with the digest of the device's time, a number used once, and the password.
    fn security(&self, login: &Login) -> String {
        // What is random here has to be new each time, and need not be secret.
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

/// Where one of a device's services is, at the device's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// TCP port.
    pub port: u16,
    /// Path and query.
    pub path: String,
}

impl From<&OnvifAddress> for Service {
    fn from(address: &OnvifAddress) -> Self {
        Self { port: address.port, path: address.path.to_string() }
    }
}

fn digest(nonce: &[u8], created: &str, password: &str) -> String {
    let digest = Sha1::new().chain_update(nonce).chain_update(created).chain_update(password);
    BASE64.encode(digest.finalize())
}

/// The body of an answer, or what the device has against the request.
fn read(status: StatusCode, text: &str) -> Result<Node, Failure> {
    let answer = Node::parse(text);
    if let Some(fault) = answer.as_ref().and_then(|answer| answer.find("Fault")) {
        return Err(failure(status, fault));
    }
    match (status, answer) {
        (StatusCode::UNAUTHORIZED, _) => Err(Failure::Unauthorized),
        (StatusCode::OK, Some(answer)) if answer.find("Body").is_some() => Ok(answer),
        (StatusCode::FORBIDDEN, _) => Err(Failure::Refused("403 Forbidden".into())),
        _ => Err(Failure::NotOnvif),
    }
}

fn failure(status: StatusCode, fault: &Node) -> Failure {
    let code = fault.find("Code").map(all_text).unwrap_or_default();
    let reason = fault.text_of("Text").or_else(|| fault.text_of("faultstring")).unwrap_or_default();
    let said = format!("{code} {reason}").to_ascii_lowercase();
    let is_about_login =
        ["notauthorized", "not authorized", "failedauthentication", "unauthorized"]
            .iter()
            .any(|words| said.contains(words));
    if status == StatusCode::UNAUTHORIZED || is_about_login {
        return Failure::Unauthorized;
    }
    Failure::Refused(plain(if reason.is_empty() { code.trim() } else { reason }, MAX_REASON))
}

fn all_text(node: &Node) -> String {
    let value = node.text_of("Value").unwrap_or_default();
    let more = node.find("Subcode").map(all_text).unwrap_or_default();
    format!("{value} {more}")
}

/// What a device says, on one line of at most `max` characters.
pub fn plain(text: &str, max: usize) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    words.chars().filter(|character| !character.is_control()).take(max).collect()
}

/// Without the address, which the caller knows.
fn cause(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "it refuses connections; check the port".into(),
        std::io::ErrorKind::HostUnreachable | std::io::ErrorKind::NetworkUnreachable => {
            "there is no way to its address; check the network".into()
        }
        _ => format!("there is no connection to it ({error})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_that_of_the_specification() {
        // The example in ONVIF's Application Programmer's Guide, section 6.1.1.3.
        let nonce = BASE64.decode("LKqI6G/AikKCQrN0zqZFlg==").expect("base64");
        let digest = digest(&nonce, "2010-09-16T07:50:45Z", "userpassword");
        assert_eq!(digest, "tuOSpGlFlIXsozq4HFNeeGeFLEI=");
    }

    #[test]
    fn what_answers_mean() {
        let fault = |code: &str, reason: &str| {
            format!(
                "<s:Envelope><s:Body><s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode>\
                 <s:Value>{code}</s:Value></s:Subcode></s:Code><s:Reason><s:Text>{reason}</s:Text>\
                 </s:Reason></s:Fault></s:Body></s:Envelope>"
            )
        };
        let table = [
            (200, fault("ter:NotAuthorized", "x"), Failure::Unauthorized),
            (400, fault("wsse:FailedAuthentication", ""), Failure::Unauthorized),
            (500, fault("ter:Other", "Sender not authorized"), Failure::Unauthorized),
            (401, String::new(), Failure::Unauthorized),
            (400, fault("ter:NoProfile", "no\n such"), Failure::Refused("no such".into())),
            (403, "<html>".into(), Failure::Refused("403 Forbidden".into())),
            (200, "<html><p>Login</html>".into(), Failure::NotOnvif),
            (404, "<a><Body/></a>".into(), Failure::NotOnvif),
            (200, "garbage".into(), Failure::NotOnvif),
        ];
        for (status, text, expected) in table {
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(read(status, &text).err(), Some(expected), "{text}");
        }
        let fine = read(StatusCode::OK, "<e><Body><GetServicesResponse/></Body></e>");
        assert!(fine.expect("an answer").find("GetServicesResponse").is_some());
    }

    #[test]
    fn the_header_has_the_devices_time_and_no_password() {
        let login = Login { username: "a<b".into(), password: "s3cret-pw".into() };
        let mut client = Client::new(([192, 0, 2, 1], 80).into(), Some(login.clone()));
        client.set(Clock::of(SystemTime::UNIX_EPOCH + Duration::from_hours(24)));
        let header = client.security(&login);
        assert!(header.contains(">1970-01-02T00:00:00"), "{header}");
        assert!(header.contains("a&lt;b") && !header.contains("s3cret-pw"), "{header}");
    }
}
