//! Pictures as parts of one response that never ends (`multipart/x-mixed-replace`), which browsers show in an `<img>`.
//!
//! A picture is sent only after the previous one was written to the connection, so the manager keeps at most one picture
//! for a client that reads slowly. This client gets the newest picture next.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use hyper::header::HeaderValue;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tracing::{Instrument as _, debug};

use crate::api::reply::{self, JPEG, Reply};
use crate::base::error::{Error, ErrorKind};
use crate::base::random;
use crate::pictures::picture::Picture;
use crate::service::live_pictures::PictureView;

/// The content type, without its parameter.
pub(crate) const MULTIPART: &str = "multipart/x-mixed-replace";
/// The number of characters of a boundary. Each has 5.9 bits, so a camera cannot guess the boundary and place it in a
/// picture.
const BOUNDARY_LENGTH: usize = 24;
/// The number of pieces of one part.
const PIECES: usize = 3;
/// If there is no new picture for this time, the last one is sent again, so that neither clients nor proxies close the
/// connection. nginx waits 60 s by default.
const REPEAT_AFTER: Duration = Duration::from_secs(10);
/// The time within which a client must take a picture.
const TAKEN_WITHIN: Duration = Duration::from_secs(30);

/// Returns the response with the pictures of `view`, beginning with `first`.
pub(in crate::api) fn reply(view: PictureView, first: Arc<Picture>) -> Result<Reply, Error> {
    let boundary = random::text(BOUNDARY_LENGTH)?;
    let content_type = HeaderValue::try_from(format!("{MULTIPART}; boundary={boundary}"))
        .map_err(|error| Error::new(ErrorKind::Internal, "invalid boundary").caused_by(error))?;
    let (parts, body) = mpsc::channel(PIECES);
    let send = async move {
        let error = send_all(view, first, &boundary, &parts).await;
        debug!(reason = error.map(|error| error.detail), "a viewer's pictures have ended");
    };
    tokio::spawn(send.in_current_span());
    Ok(reply::streaming(content_type, body))
}

/// Sends pictures until the view ends, and returns the reason; `None` if the client has left or does not read.
async fn send_all(
    mut view: PictureView,
    first: Arc<Picture>,
    boundary: &str,
    parts: &mpsc::Sender<Bytes>,
) -> Option<Error> {
    let mut picture = first;
    parts.send(format!("--{boundary}\r\n").into()).await.ok()?;
    // The end of each part, and the beginning of the next one. Browsers show a picture only when they have received the
    // next boundary, so it is sent with the picture.
    let boundary = Bytes::from(format!("\r\n--{boundary}\r\n"));
    loop {
        tokio::select! {
            sent = timeout(TAKEN_WITHIN, send(&picture, &boundary, parts)) => sent.ok()??,
            error = view.end() => return Some(error),
            () = parts.closed() => return None,
        }
        tokio::select! {
            next = timeout(REPEAT_AFTER, view.next()) => match next {
                Ok(Ok(next)) => picture = next,
                Ok(Err(error)) => return Some(error),
                Err(_) => {}
            },
            () = parts.closed() => return None,
        }
    }
}

/// Sends a picture, and waits until all of it was written to the connection. Returns `None` if the client has left.
async fn send(picture: &Picture, boundary: &Bytes, parts: &mpsc::Sender<Bytes>) -> Option<()> {
    let (written, is_written) = oneshot::channel();
    let end = Bytes::from_owner(End { boundary: boundary.clone(), _written: written });
    for piece in [Bytes::from(head(picture)), picture.data.clone(), end] {
        parts.send(piece).await.ok()?;
    }
    // The sender is dropped with the bytes.
    let _ = is_written.await;
    Some(())
}

/// Returns the headers of a part. `X-Timestamp` is the time at which the camera took the picture, in Unix seconds.
fn head(picture: &Picture) -> String {
    let taken_at = picture.taken_at.duration_since(UNIX_EPOCH).unwrap_or_default();
    format!(
        "Content-Type: {JPEG}\r\nContent-Length: {}\r\nX-Timestamp: {}.{:06}\r\n\r\n",
        picture.data.len(),
        taken_at.as_secs(),
        taken_at.subsec_micros()
    )
}

/// The bytes after a picture. They are dropped when they were written to the connection.
struct End {
    boundary: Bytes,
    _written: oneshot::Sender<()>,
}

impl AsRef<[u8]> for End {
    fn as_ref(&self) -> &[u8] {
        &self.boundary
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use futures_util::FutureExt as _;

    use super::*;
    use crate::pictures::picture::testing;

    fn picture(millis: u64) -> Picture {
        testing::picture(Duration::from_millis(millis))
    }

    #[test]
    fn a_part_has_length_and_time() {
        let expected = "Content-Type: image/jpeg\r\nContent-Length: 4\r\nX-Timestamp: 1763719201.025000\r\n\r\n";
        assert_eq!(head(&picture(1_763_719_201_025)), expected);
        let early =
            Picture { taken_at: SystemTime::UNIX_EPOCH - Duration::from_secs(1), ..picture(0) };
        assert!(head(&early).contains("X-Timestamp: 0.000000\r\n"));
    }

    #[tokio::test]
    async fn a_picture_is_sent_when_the_connection_has_taken_all_of_it() {
        let (parts, mut body) = mpsc::channel(PIECES);
        let picture = picture(0);
        let boundary = Bytes::from_static(b"\r\n--abc\r\n");
        let mut sending = Box::pin(send(&picture, &boundary, &parts));
        let mut received = Vec::new();
        for _ in 0..PIECES {
            tokio::select! {
                biased;
                _ = &mut sending => panic!("the connection has not taken the picture"),
                piece = body.recv() => received.push(piece.expect("a piece")),
            }
        }
        assert_eq!(received[1..].concat(), b"jpeg\r\n--abc\r\n");
        assert!((&mut sending).now_or_never().is_none());
        drop(received);
        assert_eq!(sending.await, Some(()));
    }
}
