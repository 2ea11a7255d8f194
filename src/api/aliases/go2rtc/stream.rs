//! A stream as MP4: a response that ends with the permission, with the stream, or after `duration`.

use std::time::Duration;

use bytes::Bytes;
use hyper::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tracing::{Instrument as _, debug};

use super::mp4::Mp4;
use super::query::Parameters;
use crate::api::media::playlists::visitor;
use crate::api::reply::{self, Reply};
use crate::api::route::Call;
use crate::base::error::{Error, ErrorKind, chain};
use crate::output::live_socket::feed::Outgoing;
use crate::service::live;

/// The content type, without the codecs.
const CONTENT_TYPE_MP4: HeaderValue = HeaderValue::from_static("video/mp4");
/// The codecs of clients that do not accept more.
const CODECS: [&str; 3] = ["avc1", "hvc1", "mp4a"];
/// The values of the parameter `mp4` with which clients do not accept Opus.
const WITHOUT_OPUS: [&str; 2] = ["", "flac"];
/// The durations, in seconds.
const DURATIONS: std::ops::RangeInclusive<u32> = 1..=86_400;
/// The longest name of a file, in bytes.
const MAX_NAME: usize = 128;
/// The number of pieces that wait for the connection.
const PIECES: usize = 4;
/// The time within which a client must take a frame.
const TAKEN_WITHIN: Duration = Duration::from_secs(30);

/// The parameters of a request.
#[derive(Debug, Default, PartialEq, Eq)]
struct Input {
    accepts_opus: bool,
    duration: Option<Duration>,
    file: Option<String>,
}

impl Input {
    /// Reads the parameters.
    fn read(parameters: &Parameters<'_>) -> Result<Self, Error> {
        let seconds = parameters.number(&["duration"], DURATIONS);
        let name = parameters.get(&["filename"]).filter(|name| !name.is_empty());
        Ok(Self {
            accepts_opus: parameters.get(&["mp4"]).is_some_and(|it| !WITHOUT_OPUS.contains(&&*it)),
            duration: seconds.map(|seconds| Duration::from_secs(seconds.into())),
            file: name.map(|name| file_name(&name)).transpose()?,
        })
    }
}

/// Checks the name of a file. Other characters would need an encoding that old clients do not know.
fn file_name(name: &str) -> Result<String, Error> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_. ".contains(&byte);
    if (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(is_allowed) {
        return Ok(name.to_owned());
    }
    let detail =
        "filename must have 1 to 128 letters, digits, blanks, dots, hyphens or underscores";
    Err(Error::new(ErrorKind::InvalidRequest, detail))
}

/// Returns the stream. Starts it if necessary.
pub(super) async fn get(call: Call<'_>) -> Result<Reply, Error> {
    let parameters = Parameters::of(&call);
    let (id, input) = (parameters.source()?, Input::read(&parameters)?);
    let core = &call.api.core;
    let view = live::request(core, &id, visitor(&call)).await?.open(core).await?;
    let further = input.accepts_opus.then_some("opus");
    let codecs: Vec<_> = CODECS.into_iter().chain(further).map(str::to_owned).collect();
    let mut mp4 = Mp4::new(core, view, &codecs, usize::MAX, None);
    let Outgoing::Media { mime: Some(mime), .. } = mp4.next().await? else {
        return Err(Error::new(ErrorKind::Internal, "the first message describes no media"));
    };
    let (pieces, body) = mpsc::channel(PIECES);
    let mut reply = reply::streaming(CONTENT_TYPE_MP4, body);
    if let Ok(mime) = HeaderValue::try_from(mime) {
        reply.headers_mut().insert(CONTENT_TYPE, mime);
    }
    let disposition = input.file.map(|file| format!("attachment; filename=\"{file}\""));
    if let Some(disposition) = disposition.and_then(|it| HeaderValue::try_from(it).ok()) {
        reply.headers_mut().insert(CONTENT_DISPOSITION, disposition);
    }
    let send = async move {
        let over = async {
            match input.duration {
                Some(duration) => sleep(duration).await,
                None => std::future::pending().await,
            }
        };
        let error = tokio::select! {
            error = send_all(&mut mp4, &pieces) => error,
            () = over => None,
            () = pieces.closed() => None,
        };
        let reason = error.map(|error| chain(&error));
        debug!(camera = %id, reason, "a viewer's MP4 has ended");
    };
    tokio::spawn(send.in_current_span());
    Ok(reply)
}

/// Sends frames, and returns the reason why there are no more; `None` if the client takes no more. A file has only one
/// description, so it ends when the description changes.
async fn send_all(mp4: &mut Mp4, pieces: &mpsc::Sender<Bytes>) -> Option<Error> {
    loop {
        let parts = match mp4.next().await {
            Ok(Outgoing::Bytes(parts)) => parts,
            Ok(Outgoing::Text(_)) => continue,
            Ok(Outgoing::Media { .. }) => {
                let detail = "the description of the media has changed";
                return Some(Error::new(ErrorKind::StreamEnded, detail));
            }
            Err(error) => return Some(error),
        };
        let send = async {
            for part in parts.into_iter().filter(|part| !part.is_empty()) {
                pieces.send(part).await.ok()?;
            }
            Some(())
        };
        tokio::select! {
            biased;
            taken = timeout(TAKEN_WITHIN, send) => taken.ok()??,
            error = mp4.discard_late() => return Some(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_or_refused() {
        let read = |query| Input::read(&Parameters::from(query)).map_err(|it| it.detail);
        let expected = Input {
            accepts_opus: true,
            duration: Some(Duration::from_secs(5)),
            file: Some("gate 1.mp4".to_owned()),
        };
        let query = "src=7&mp4=all&duration=5&filename=gate+1.mp4&rotate=90";
        assert_eq!(read(query), Ok(expected));
        for query in ["src=7&mp4", "mp4=flac", "duration=0", "duration=x", "filename="] {
            assert_eq!(read(query), Ok(Input::default()), "{query}");
        }
        for refused in ["filename=a%22b", "filename=a%0d%0ab", "filename=%C3%A9"] {
            assert!(read(refused).is_err(), "{refused}");
        }
    }
}
