//! One check of a camera: connects to the RTSP port and sends the request `OPTIONS`. Every RTSP response
//! shows that the camera is reachable, whatever its status is. The request contains neither credentials nor
//! the path of the link, so that it contains no secret.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use nix::errno::Errno;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::base::error::{Error, ErrorKind, connect_failure};
use crate::base::tls::{self, TlsError};
use crate::camera::networks::CameraNetworks;
use crate::camera::source::Source;

/// The longest time of a check, after the camera's host name was resolved.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);
/// The beginning of every RTSP response.
const RESPONSE: &[u8] = b"RTSP/";

/// The result of a check.
#[derive(Debug)]
pub(crate) enum CheckResult {
    /// The camera responded with RTSP, or offers only TLS that the manager does not support.
    Reachable,
    /// The camera did not respond with RTSP, or cannot be contacted, for this reason.
    Unreachable(Error),
    /// The manager's machine lacks the resources for the check, so the result shows nothing about the camera.
    NotMade(io::Error),
}

/// Checks the camera with this source. Connects only to addresses that `nets` permits.
pub(crate) async fn check(source: &Source, nets: &CameraNetworks) -> CheckResult {
    let address = match nets.resolve(source.host(), source.port()).await {
        Ok(address) => address,
        Err(error) => return CheckResult::Unreachable(error),
    };
    match timeout(CHECK_TIMEOUT, exchange(source, address)).await {
        Ok(result) => result,
        Err(_) => CheckResult::Unreachable(Error::new(
            ErrorKind::SourceTimeout,
            format!("the camera did not respond within {} s", CHECK_TIMEOUT.as_secs()),
        )),
    }
}

async fn exchange(source: &Source, address: SocketAddr) -> CheckResult {
    let stream = match TcpStream::connect(address).await {
        Ok(stream) => stream,
        Err(error) => return refused(error),
    };
    let request = request(source);
    if !source.uses_tls() {
        return options(stream, &request).await;
    }
    match tls::connect(stream, address.ip().into()).await {
        Ok(stream) => options(stream, &request).await,
        // FFmpeg supports more versions and algorithms of TLS than the manager, so FFmpeg may be able to play
        // the camera.
        Err(TlsError::Unsupported(_)) => CheckResult::Reachable,
        Err(error @ TlsError::NotTls) => {
            unreachable(ErrorKind::SourceUnsupported, format!("{error}; check the port"))
        }
        Err(TlsError::Closed(_)) => closed(),
    }
}

fn request(source: &Source) -> String {
    let scheme = if source.uses_tls() { "rtsps" } else { "rtsp" };
    format!(
        "OPTIONS {scheme}://{}:{}/ RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: stream-manager/{}\r\n\r\n",
        source.host(),
        source.port(),
        env!("CARGO_PKG_VERSION"),
    )
}

/// Sends the request, and reads the beginning of the response.
async fn options(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> CheckResult {
    let mut begin = [0; RESPONSE.len()];
    let response = async {
        stream.write_all(request.as_bytes()).await?;
        stream.flush().await?;
        stream.read_exact(&mut begin).await
    };
    match response.await {
        Ok(_) if begin == RESPONSE => CheckResult::Reachable,
        Ok(_) => unreachable(
            ErrorKind::SourceUnsupported,
            "the device at this address is not an RTSP server; check the port",
        ),
        Err(_) => closed(),
    }
}

/// Returns the result of a failed attempt to connect.
fn refused(error: io::Error) -> CheckResult {
    let is_local = error.raw_os_error().is_some_and(|code| {
        matches!(
            Errno::from_raw(code),
            Errno::EMFILE
                | Errno::ENFILE
                | Errno::ENOBUFS
                | Errno::ENOMEM
                | Errno::EADDRNOTAVAIL
                | Errno::EAGAIN
        )
    });
    if is_local {
        return CheckResult::NotMade(error);
    }
    let detail = connect_failure(&error).map(str::to_owned);
    let detail = detail.unwrap_or_else(|| format!("cannot connect to the camera: {error}"));
    unreachable(ErrorKind::SourceUnreachable, detail)
}

fn closed() -> CheckResult {
    let detail = "the camera closed the connection without a response";
    unreachable(ErrorKind::SourceUnreachable, detail)
}

fn unreachable(kind: ErrorKind, detail: impl Into<String>) -> CheckResult {
    CheckResult::Unreachable(Error::new(kind, detail))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// Serves one connection: reads the request, sends `response` and closes the connection. Returns the
    /// link, with credentials, and the task that returns the request.
    async fn serve(response: &'static [u8]) -> (String, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let task = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut request = vec![0; 4096];
            let length = stream.read(&mut request).await.expect("a request");
            stream.write_all(response).await.expect("a client");
            String::from_utf8_lossy(&request[..length]).into_owned()
        });
        (format!("rtsp://admin:pw-secret@{address}/user=a&password=pw-secret"), task)
    }

    async fn code(link: &str) -> Option<ErrorKind> {
        let source = Source::parse(link).expect(link);
        match check(&source, &CameraNetworks::default()).await {
            CheckResult::Reachable => None,
            CheckResult::Unreachable(error) => {
                assert!(!error.detail.contains("pw-secret"), "{error}");
                Some(error.kind)
            }
            CheckResult::NotMade(error) => panic!("{error}"),
        }
    }

    #[tokio::test]
    async fn every_rtsp_response_means_reachable_and_the_request_contains_no_secret() {
        let table: [(&[u8], _); 6] = [
            (b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n", None),
            (b"RTSP/1.0 401 Unauthorized\r\n", None),
            (b"RTSP/2.0 505 x", None),
            (b"HTTP/1.1 400 Bad Request\r\n\r\n", Some(ErrorKind::SourceUnsupported)),
            (b"RTS", Some(ErrorKind::SourceUnreachable)),
            (b"", Some(ErrorKind::SourceUnreachable)),
        ];
        for (response, expected) in table {
            let (link, server) = serve(response).await;
            assert_eq!(code(&link).await, expected, "{}", String::from_utf8_lossy(response));
            let request = server.await.expect("a request");
            assert!(request.starts_with("OPTIONS rtsp://127.0.0.1:"), "{request}");
            assert!(request.ends_with("\r\n\r\n") && !request.contains("admin"), "{request}");
            assert!(!request.contains("pw-secret"), "{request}");
        }
    }

    #[tokio::test]
    async fn a_device_without_tls_is_not_an_rtsps_server() {
        let (link, _server) = serve(b"RTSP/1.0 400 Bad Request\r\n\r\n").await;
        let link = link.replace("rtsp://", "rtsps://");
        assert_eq!(code(&link).await, Some(ErrorKind::SourceUnsupported));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_camera_is_unreachable_after_the_timeout() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let link = format!("rtsp://{}/x", listener.local_addr().expect("an address"));
        assert_eq!(code(&link).await, Some(ErrorKind::SourceTimeout));
    }

    #[tokio::test]
    async fn addresses_that_are_not_permitted_are_not_contacted() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let link = format!("rtsp://{}/x", listener.local_addr().expect("an address"));
        let denied = "127.0.0.0/8".parse().expect("a network");
        let nets = CameraNetworks::new("".parse().expect("no networks"), denied);
        let source = Source::parse(&link).expect("a link");
        let CheckResult::Unreachable(error) = check(&source, &nets).await else {
            panic!("reachable");
        };
        assert_eq!(error.kind, ErrorKind::SourceForbidden);
        let accepted = timeout(Duration::from_millis(50), listener.accept()).await;
        assert!(accepted.is_err(), "the device was contacted");
    }
}
