//! The messages of go2rtc's WebSocket: JSON objects with a `type` and a `value`. Pure.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::base::error::{Error, ErrorKind};

/// The type of requests for MP4.
pub(super) const MSE: &str = "mse";
/// The type of requests for pictures.
pub(super) const MJPEG: &str = "mjpeg";
/// The codecs of a client that names none, as with go2rtc.
const DEFAULT_CODECS: [&str; 3] = ["avc1", "hvc1", "mp4a"];

/// A request of a client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// MP4 for Media Source Extensions, with these codecs.
    Mse(Vec<String>),
    /// Pictures.
    Mjpeg,
    /// An offer of WebRTC.
    Offer {
        /// The SDP.
        sdp: String,
        /// The form in which the client sends it, and expects the answer.
        form: OfferForm,
    },
    /// A request that go2rtc supports, but the manager does not.
    Unsupported(&'static str),
}

/// The form of offers and answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OfferForm {
    /// Only the SDP, as go2rtc's player sends it.
    Text,
    /// An object with `type` and `sdp`.
    Object,
}

#[derive(Debug, Serialize, Deserialize)]
struct Message {
    r#type: String,
    #[serde(default)]
    value: Value,
}

impl Request {
    /// Parses a message. Returns `None` for messages that need no response: unknown ones, as go2rtc does, and ICE
    /// candidates of the client, because the client sends the first packet. Error: the text is not a message.
    pub(crate) fn parse(text: &str) -> Result<Option<Self>, Error> {
        let Message { r#type, value } = serde_json::from_str(text).map_err(|_| {
            // The text of the library's error could repeat the client's whole message.
            let detail = "cannot read the message; it must be a JSON object with a type";
            Error::new(ErrorKind::InvalidRequest, detail)
        })?;
        let given = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok(match r#type.as_str() {
            MSE => Some(Self::Mse(codecs(&given(&value)))),
            MJPEG => Some(Self::Mjpeg),
            "webrtc/offer" => Some(Self::Offer { sdp: given(&value), form: OfferForm::Text }),
            "webrtc" => Some(Self::Offer { sdp: given(&value["sdp"]), form: OfferForm::Object }),
            "hls" => Some(Self::Unsupported("hls")),
            "mp4" => Some(Self::Unsupported("mp4")),
            _ => None,
        })
    }
}

impl OfferForm {
    /// Returns the type of a message with an offer.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Text => "webrtc/offer",
            Self::Object => "webrtc",
        }
    }

    /// Returns the message with the answer.
    pub(super) fn answer(self, sdp: String) -> String {
        match self {
            Self::Text => message("webrtc/answer", sdp.into()),
            Self::Object => message("webrtc", json!({ "type": "answer", "sdp": sdp })),
        }
    }
}

/// Returns the codecs in a list that is separated by commas. A client that names none gets [`DEFAULT_CODECS`].
fn codecs(list: &str) -> Vec<String> {
    let named: Vec<_> =
        list.split(',').map(|codec| codec.trim().to_owned()).filter(|it| !it.is_empty()).collect();
    if named.is_empty() { DEFAULT_CODECS.map(str::to_owned).to_vec() } else { named }
}

/// Returns the message that describes the MP4 that follows.
pub(super) fn mse(mime: &str) -> String {
    message(MSE, mime.into())
}

/// Returns the message that announces pictures.
pub(super) fn mjpeg() -> String {
    json!({ "type": MJPEG }).to_string()
}

/// Returns the message with an error of the request of this type. go2rtc's player compares the beginning.
pub(crate) fn error(kind: &str, error: &Error) -> String {
    message("error", format!("{kind}: {}", error.detail).into())
}

fn message(kind: &str, value: Value) -> String {
    // A message of this type can always be serialized.
    serde_json::to_string(&Message { r#type: kind.to_owned(), value }).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_clients_are_parsed_or_refused() {
        let mse = |codecs: &[&str]| {
            Ok(Some(Request::Mse(codecs.iter().map(|codec| (*codec).to_owned()).collect())))
        };
        let offer = |sdp: &str, form| Ok(Some(Request::Offer { sdp: sdp.to_owned(), form }));
        let table = [
            (r#"{"type":"mse","value":"avc1.640029, opus,"}"#, mse(&["avc1.640029", "opus"])),
            (r#"{"type":"mse","value":""}"#, mse(&DEFAULT_CODECS)),
            (r#"{"type":"mse","value":[1]}"#, mse(&DEFAULT_CODECS)),
            (r#"{"type":"mse"}"#, mse(&DEFAULT_CODECS)),
            (r#"{"type":"mjpeg","other":1}"#, Ok(Some(Request::Mjpeg))),
            (r#"{"type":"webrtc/offer","value":"v=0"}"#, offer("v=0", OfferForm::Text)),
            (
                r#"{"type":"webrtc","value":{"type":"offer","sdp":"v=0"}}"#,
                offer("v=0", OfferForm::Object),
            ),
            (r#"{"type":"webrtc","value":"v=0"}"#, offer("", OfferForm::Object)),
            (r#"{"type":"webrtc/candidate","value":"candidate:1"}"#, Ok(None)),
            (r#"{"type":"other"}"#, Ok(None)),
            (r#"{"type":"hls","value":""}"#, Ok(Some(Request::Unsupported("hls")))),
            (r#"{"value":1}"#, Err(())),
            (r#"{"type":1}"#, Err(())),
            ("[]", Err(())),
            ("", Err(())),
        ];
        for (text, expected) in table {
            assert_eq!(Request::parse(text).map_err(|_| ()), expected, "{text}");
        }
        let deep = format!(r#"{{"type":"webrtc","value":{}"#, "[".repeat(4000));
        assert!(Request::parse(&deep).is_err());
    }

    #[test]
    fn responses_have_the_form_of_go2rtc() {
        let read = |text: String| serde_json::from_str::<Value>(&text).expect("JSON");
        assert_eq!(
            read(OfferForm::Text.answer("v=0".to_owned())),
            json!({ "type": "webrtc/answer", "value": "v=0" })
        );
        assert_eq!(
            read(OfferForm::Object.answer("v=0".to_owned())),
            json!({ "type": "webrtc", "value": { "type": "answer", "sdp": "v=0" } })
        );
        let failed = Error::new(ErrorKind::CodecUnsupported, "no such codec");
        assert_eq!(
            read(error("mse", &failed)),
            json!({ "type": "error", "value": "mse: no such codec" })
        );
    }
}
