//! The text messages of the live socket: JSON objects with a `type`. Pure.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::error::Category;

use crate::base::error::{Error, ErrorKind};

/// A message of a client.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum ClientMessage {
    /// The first message: the media that the client wants.
    Watch(Watch),
    /// The client has shown or skipped all frames up to this one.
    Ack {
        /// The number of the message that contained the frame.
        number: u64,
    },
}

/// The media that a client wants.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Watch {
    /// The form of the frames.
    #[serde(default)]
    pub(crate) format: MessageFormat,
    /// The codecs that the client can decode, such as `avc1.640029`.
    pub(crate) codecs: Vec<String>,
    /// False if the client wants no audio.
    #[serde(default = "yes")]
    pub(crate) audio: bool,
}

fn yes() -> bool {
    true
}

/// The form of the frames that a client gets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MessageFormat {
    /// Fragments of MP4, for Media Source Extensions.
    #[default]
    Mp4,
    /// Frames after a short header, for `WebCodecs`.
    Raw,
}

impl ClientMessage {
    /// Parses a message. Error: the text is not a message of a client.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        serde_json::from_str(text).map_err(|error| {
            // The text of the library's error could repeat the client's whole message.
            let reason = match error.classify() {
                Category::Data => {
                    "the type is unknown, or a field is missing or has an invalid value"
                }
                Category::Io | Category::Syntax | Category::Eof => "it is not valid JSON",
            };
            let column = error.column();
            let detail = format!("cannot read the message, at column {column}: {reason}");
            Error::new(ErrorKind::InvalidRequest, detail)
        })
    }
}

/// A message of the server.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum ServerMessage<'a> {
    /// The description of the frames that follow.
    Media {
        /// Number of the epoch.
        epoch: u64,
        /// The media, in the form that the client wants.
        #[serde(flatten)]
        media: MediaDescription<'a>,
    },
    /// The client has missed frames.
    Gap {
        /// The number of frames of video.
        frames: u64,
    },
    /// The camera is away, or is back.
    State {
        /// `live` or `reconnecting`.
        state: &'a str,
        /// The reason, for people; not with `live`.
        #[serde(skip_serializing_if = "Option::is_none")]
        detail: Option<&'a str>,
    },
    /// The last message.
    End {
        /// The code of the error that ends the socket.
        code: ErrorKind,
        /// The reason, for people.
        detail: &'a str,
    },
}

/// The description of media in the form that a client wants.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum MediaDescription<'a> {
    /// With the format `mp4`.
    Mp4 {
        /// The MIME type for Media Source Extensions.
        mime: String,
    },
    /// With the format `raw`.
    Raw {
        /// The video.
        video: RawVideo<'a>,
        /// The audio; `None` without audio.
        #[serde(skip_serializing_if = "Option::is_none")]
        audio: Option<RawAudio>,
    },
}

/// The video that a `VideoDecoder` gets, as Annex B.
#[derive(Debug, Serialize)]
pub(crate) struct RawVideo<'a> {
    /// RFC 6381 codec.
    pub(crate) codec: &'a str,
    /// Width in pixels.
    pub(crate) width: u16,
    /// Height in pixels.
    pub(crate) height: u16,
}

/// The audio that an `AudioDecoder` gets.
#[derive(Debug, Serialize)]
pub(crate) struct RawAudio {
    /// RFC 6381 codec, or `ulaw` or `alaw`.
    pub(crate) codec: String,
    /// Samples per second.
    pub(crate) sample_rate: u32,
    /// Number of channels.
    pub(crate) channels: u8,
    /// The `AudioSpecificConfig` of AAC as base64; `None` for other codecs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
}

impl ServerMessage<'_> {
    /// Returns the text of the message.
    pub(crate) fn text(&self) -> String {
        // A message of these types can always be serialized.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Returns bytes as base64.
pub(super) fn base64(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn messages_of_clients_are_parsed_or_refused() {
        let watch = |format, codecs: &[&str], audio| {
            let codecs = codecs.iter().map(|codec| (*codec).to_owned()).collect();
            Some(ClientMessage::Watch(Watch { format, codecs, audio }))
        };
        let (mp4, raw) = (MessageFormat::Mp4, MessageFormat::Raw);
        let table = [
            (r#"{"type":"watch","codecs":[]}"#, watch(mp4, &[], true)),
            (
                r#"{"audio":false,"codecs":["avc1.640029","ulaw"],"format":"raw","new":1,"type":"watch"}"#,
                watch(raw, &["avc1.640029", "ulaw"], false),
            ),
            (r#"{"type":"ack","number":7}"#, Some(ClientMessage::Ack { number: 7 })),
            (r#"{"type":"watch"}"#, None),
            (r#"{"type":"watch","codecs":"avc1"}"#, None),
            (r#"{"type":"watch","codecs":[1]}"#, None),
            (r#"{"type":"watch","codecs":[],"format":"flv"}"#, None),
            (r#"{"type":"ack","number":-1}"#, None),
            (r#"{"type":"ack"}"#, None),
            (r#"{"type":"other"}"#, None),
            (r#"{"codecs":[]}"#, None),
            ("[]", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(ClientMessage::parse(text).ok(), expected, "{text}");
        }
        let deep = "[".repeat(4000);
        let error = ClientMessage::parse(&deep).expect_err("refused");
        assert_eq!(error.kind, ErrorKind::InvalidRequest);
    }

    #[test]
    fn messages_of_the_server_have_the_documented_form() {
        let json_of = |message: ServerMessage<'_>| -> Value {
            serde_json::from_str(&message.text()).expect("JSON")
        };
        let mime = r#"video/mp4; codecs="avc1.64002A""#.to_owned();
        let media = MediaDescription::Mp4 { mime: mime.clone() };
        assert_eq!(
            json_of(ServerMessage::Media { epoch: 7, media }),
            json!({"type": "media", "epoch": 7, "mime": mime})
        );
        let video = RawVideo { codec: "avc1.64002A", width: 1920, height: 1080 };
        let audio =
            RawAudio { codec: "ulaw".into(), sample_rate: 8000, channels: 1, description: None };
        let media = MediaDescription::Raw { video, audio: Some(audio) };
        assert_eq!(
            json_of(ServerMessage::Media { epoch: 7, media }),
            json!({
                "type": "media",
                "epoch": 7,
                "video": {"codec": "avc1.64002A", "width": 1920, "height": 1080},
                "audio": {"codec": "ulaw", "sample_rate": 8000, "channels": 1},
            })
        );
        assert_eq!(json_of(ServerMessage::Gap { frames: 3 }), json!({"type": "gap", "frames": 3}));
        assert_eq!(
            json_of(ServerMessage::State { state: "live", detail: None }),
            json!({"type": "state", "state": "live"})
        );
        assert_eq!(
            json_of(ServerMessage::End { code: ErrorKind::StreamEnded, detail: "over" }),
            json!({"type": "end", "code": "stream_ended", "detail": "over"})
        );
    }
}
