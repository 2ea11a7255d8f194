//! Requests to a device: SOAP over HTTP or HTTPS. The credentials are sent as a `UsernameToken`: the user
//! name in clear text, and a digest of the password. If the device requires HTTP authentication, the
//! credentials are sent with Digest or, only over HTTPS, with Basic instead.
//!
//! Connections go only to the device's own address, redirections are not followed, and the size of
//! responses is limited. Callers limit the time.

use std::net::SocketAddr;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, DATE, HOST};
use hyper::{HeaderMap, Request, StatusCode};
use sha1::{Digest, Sha1};

use super::clock::DeviceClock;
use super::error::OnvifError;
use super::http::{self, HttpResponse, TrustedCertificates};
use super::http_auth::HttpAuth;
use super::login::Login;
use super::xml::{XmlNode, escaped};
use crate::camera::onvif_address::{OnvifAddress, USUAL_PATH};

/// The namespace of the device service.
pub(crate) const DEVICE: &str = "http://www.onvif.org/ver10/device/wsdl";
/// The longest reason for a refusal that is passed on, in characters. Longer reasons are cut.
const MAX_REASON: usize = 120;
/// The length of a nonce, in bytes.
const NONCE_LENGTH: usize = 16;
/// Operations that many devices permit without credentials. If such an operation succeeds, the credentials, and the
/// clock on which their digest is based, may still be wrong.
const OPEN_OPERATIONS: [&str; 4] =
    ["GetSystemDateAndTime", "GetServices", "GetCapabilities", "GetDeviceInformation"];

/// Sends requests to one device.
pub(crate) struct OnvifClient {
    /// The address and port of the device service.
    pub address: SocketAddr,
    certificates: TrustedCertificates,
    login: Option<Login>,
    method: LoginMethod,
    /// The time in the header `Date` of the last response.
    date: Option<SystemTime>,
}

/// How a device accepts credentials, as far as this is known.
#[derive(Debug, Clone, Default)]
pub(crate) struct LoginMethod {
    /// The possible clocks of the device. The first one is in use. If the list is empty, the device's clock
    /// counts as right.
    clocks: Vec<DeviceClock>,
    /// The HTTP authentication that the device requires. Without it, a `UsernameToken` is sent.
    http: Option<HttpAuth>,
    /// True if the device has accepted this HTTP authentication.
    is_accepted: bool,
}

impl OnvifClient {
    /// Creates a client of the device at `address`. The device's clock is assumed to be right until
    /// [`OnvifClient::set_clocks`] is called. Over HTTPS, certificates must be from a certificate authority
    /// unless [`OnvifClient::trust`] is called.
    pub(crate) fn new(address: SocketAddr, login: Option<Login>) -> Self {
        let certificates = TrustedCertificates::of_address(address);
        Self { address, certificates, login, method: LoginMethod::default(), date: None }
    }

    /// Sets the certificates that are accepted from the device.
    pub(crate) fn trust(&mut self, certificates: TrustedCertificates) {
        self.certificates = certificates;
    }

    /// Sets the possible clocks of the device, the most probable one first. If the device rejects a digest
    /// because of its time, the next clock is used.
    pub(crate) fn set_clocks(&mut self, clocks: Vec<DeviceClock>) {
        self.method.clocks = clocks;
    }

    /// Returns how the device accepts credentials.
    pub(crate) fn login_method(&self) -> LoginMethod {
        self.method.clone()
    }

    /// Sets how the device accepts credentials.
    pub(crate) fn set_login_method(&mut self, method: LoginMethod) {
        self.method = method;
    }

    /// Returns the time in the header `Date` of the last response.
    pub(crate) fn date(&self) -> Option<SystemTime> {
        self.date
    }

    /// Returns whether the client has credentials.
    pub(crate) fn has_login(&self) -> bool {
        self.login.is_some()
    }

    /// Calls an `action` of a service, such as `http://www.onvif.org/ver10/device/wsdl/GetServices`.
    /// `content` is the XML inside the request's element. Returns the response. If the device rejects the
    /// credentials and does not use HTTP authentication, repeats the call with the device's other possible clocks.
    /// If the device rejects the credentials with every clock, later calls use only the first clock.
    pub(crate) async fn call(
        &mut self,
        service: &OnvifService,
        action: &str,
        content: &str,
    ) -> Result<XmlNode, OnvifError> {
        let mut answer = self.call_once(true, service, action, content).await;
        let first = self.method.clocks.first().copied();
        while self.login.is_some()
            && matches!(answer, Err(OnvifError::Unauthorized))
            && self.method.http.is_none()
            && self.method.clocks.len() > 1
        {
            self.method.clocks.remove(0);
            answer = self.call_once(true, service, action, content).await;
        }
        match &answer {
            // The clock is probably not the reason, so later calls use only the first clock.
            Err(OnvifError::Unauthorized) => self.method.clocks = first.into_iter().collect(),
            Ok(_) if !OPEN_OPERATIONS.iter().any(|open| action.ends_with(open)) => {
                self.method.clocks.truncate(1);
            }
            _ => {}
        }
        answer
    }

    /// Calls an `action` without credentials. Until the device's clock is known, the device could count
    /// a request with credentials as a failed login.
    pub(crate) async fn call_anonymously(
        &mut self,
        service: &OnvifService,
        action: &str,
    ) -> Result<XmlNode, OnvifError> {
        self.call_once(false, service, action, "").await
    }

    /// Calls an `action`, with credentials if `has_login` is true. Their digest is based on the first of the
    /// device's possible clocks. If the device requires HTTP authentication, repeats the call with HTTP
    /// authentication.
    pub(crate) async fn call_once(
        &mut self,
        has_login: bool,
        service: &OnvifService,
        action: &str,
        content: &str,
    ) -> Result<XmlNode, OnvifError> {
        let login = self.login.clone().filter(|_| has_login);
        let login = login.as_ref();
        let mut response = self.send(login, service, action, content).await?;
        if login.is_some()
            && response.status == StatusCode::UNAUTHORIZED
            && self.accept_challenge(&response.headers, service)?
        {
            response = self.send(login, service, action, content).await?;
        }
        let is_rejected = response.status == StatusCode::UNAUTHORIZED;
        self.method.is_accepted = self.method.http.is_some() && !is_rejected;
        read(response.status, &response.text)
    }

    /// Reads the HTTP authentication that a rejected request requires. Returns whether the request should be
    /// repeated: false if the device offers no supported authentication, or if the device has rejected the
    /// credentials. Fails if the device offers only Basic, and the request was sent without HTTPS.
    fn accept_challenge(
        &mut self,
        headers: &HeaderMap,
        service: &OnvifService,
    ) -> Result<bool, OnvifError> {
        let Some(offered) = HttpAuth::offered(headers) else { return Ok(false) };
        // A device that accepted the credentials of the previous request now rejects only the age of the
        // nonce.
        if self.method.http.is_some() && !self.method.is_accepted && !offered.is_stale() {
            return Ok(false);
        }
        if offered == HttpAuth::Basic && !service.is_https {
            return Err(OnvifError::ClearTextPassword);
        }
        self.method.http = Some(offered);
        Ok(true)
    }

    /// Sends a request, with credentials if there is a `login`.
    async fn send(
        &mut self,
        login: Option<&Login>,
        service: &OnvifService,
        action: &str,
        content: &str,
    ) -> Result<HttpResponse, OnvifError> {
        let (namespace, operation) = action.rsplit_once('/').unwrap_or_default();
        let http = self.method.http.as_mut().zip(login);
        let authorization = http.map(|(http, login)| {
            http.authorization(login, &service.path).ok_or(OnvifError::Unauthorized)
        });
        let authorization = authorization.transpose()?;
        let token = login.filter(|_| authorization.is_none());
        let security = token.map(|login| self.security(login)).unwrap_or_default();
        let envelope = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
             <s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\">\
             <s:Header>{security}</s:Header>\
             <s:Body xmlns:tt=\"http://www.onvif.org/ver10/schema\">\
             <{operation} xmlns=\"{namespace}\">{content}</{operation}></s:Body></s:Envelope>"
        );
        let mut address = self.address;
        address.set_port(service.port);
        let mut request = Request::post(service.path.as_str())
            // The header omits the zone, which means nothing to the device.
            .header(HOST, SocketAddr::new(address.ip(), service.port).to_string())
            .header(CONNECTION, "close")
            .header(
                CONTENT_TYPE,
                format!("application/soap+xml; charset=utf-8; action=\"{action}\""),
            )
            .body(Full::new(Bytes::from(envelope)))
            .map_err(|_| OnvifError::NotOnvif)?;
        request.headers_mut().extend(authorization.map(|value| (AUTHORIZATION, value)));
        let certificates = service.is_https.then_some(&self.certificates);
        let response = http::send(address, certificates, request).await?;
        let date = response.headers.get(DATE).and_then(|date| date.to_str().ok());
        self.date = date.and_then(|date| httpdate::parse_http_date(date).ok());
        Ok(response)
    }

    /// Returns the security header, with a digest of a nonce, the device's time and the password.
    fn security(&self, login: &Login) -> String {
        // A nonce must differ each time, but may be predictable.
        let nonce: [u8; NONCE_LENGTH] = std::array::from_fn(|_| fastrand::u8(..));
        let clock = self.method.clocks.first().copied().unwrap_or(DeviceClock::RIGHT);
        let now = clock.now().unwrap_or_else(SystemTime::now);
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

/// The scheme, port and path of one of a device's services. The host is always the device's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OnvifService {
    /// True if the service uses HTTPS.
    pub is_https: bool,
    /// The TCP port.
    pub port: u16,
    /// The path and query.
    pub path: String,
}

impl OnvifService {
    /// Returns the device service at `port` over HTTP, with the path that most devices use.
    pub(crate) fn usual(port: u16) -> Self {
        Self { is_https: false, port, path: USUAL_PATH.to_owned() }
    }
}

impl From<&OnvifAddress> for OnvifService {
    fn from(address: &OnvifAddress) -> Self {
        let (is_https, port) = (address.is_https, address.port);
        Self { is_https, port, path: address.path.to_string() }
    }
}

fn digest(nonce: &[u8], created: &str, password: &str) -> String {
    let digest = Sha1::new().chain_update(nonce).chain_update(created).chain_update(password);
    BASE64.encode(digest.finalize())
}

/// Parses a response. Fails if the device refuses or redirects the request, or is not an ONVIF device.
pub(crate) fn read(status: StatusCode, text: &str) -> Result<XmlNode, OnvifError> {
    let answer = XmlNode::parse(text);
    if let Some(fault) = answer.as_ref().and_then(|answer| answer.find("Fault")) {
        return Err(failure(status, fault));
    }
    match (status, answer) {
        (StatusCode::UNAUTHORIZED, _) => Err(OnvifError::Unauthorized),
        (StatusCode::OK, Some(answer)) if answer.find("Body").is_some() => Ok(answer),
        (status, _) if status.is_redirection() => Err(OnvifError::Redirected),
        (StatusCode::FORBIDDEN, _) => Err(OnvifError::Refused("403 Forbidden".into())),
        _ => Err(OnvifError::NotOnvif),
    }
}

fn failure(status: StatusCode, fault: &XmlNode) -> OnvifError {
    let code = fault.find("Code").map(all_text).unwrap_or_default();
    let reason = fault.text_of("Text").or_else(|| fault.text_of("faultstring")).unwrap_or_default();
    let text = format!("{code} {reason}").to_ascii_lowercase();
    let is_about_login = [
        "notauthorized",
        "not authorized",
        "failedauthentication",
        "unauthorized",
        "messageexpired",
    ]
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_digest_matches_the_example_in_onvifs_guide() {
        // The example in ONVIF's Application Programmer's Guide, section 6.1.1.3.
        let nonce = BASE64.decode("LKqI6G/AikKCQrN0zqZFlg==").expect("base64");
        let digest = digest(&nonce, "2010-09-16T07:50:45Z", "userpassword");
        assert_eq!(digest, "tuOSpGlFlIXsozq4HFNeeGeFLEI=");
    }

    #[test]
    fn errors_in_responses_are_recognized() {
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
            (400, fault("wsse:MessageExpired", ""), OnvifError::Unauthorized),
            (500, fault("ter:Other", "Sender not authorized"), OnvifError::Unauthorized),
            (401, String::new(), OnvifError::Unauthorized),
            (400, fault("ter:NoProfile", "no\n such"), OnvifError::Refused("no such".into())),
            (403, "<html>".into(), OnvifError::Refused("403 Forbidden".into())),
            (301, "<html>".into(), OnvifError::Redirected),
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
        let tomorrow = SystemTime::UNIX_EPOCH + Duration::from_hours(24);
        client.set_clocks(vec![DeviceClock::of(tomorrow, SystemTime::now())]);
        let header = client.security(&login);
        assert!(header.contains(">1970-01-02T00:00:00"), "{header}");
        assert!(header.contains("a&lt;b") && !header.contains("s3cret-pw"), "{header}");
    }
}
