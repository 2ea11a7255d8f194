//! The old names of fields in requests and responses.

use std::collections::HashMap;

use http_body_util::{BodyExt, Collected};
use hyper::header::CONTENT_LENGTH;
use serde_json::{Map, Value};

use crate::api::media::PLAYLIST_PATH;
use crate::api::reply::{self, Reply};
use crate::api::route::Call;
use crate::base::error::{Error, ErrorKind};
use crate::base::public_url::PublicUrl;

/// The fields of an old request. Contains secrets, so there is no `Debug`.
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    /// Reads the input of a request.
    pub(super) async fn read(call: &mut Call<'_>) -> Result<Self, Error> {
        Ok(Self(call.input().await?))
    }

    /// Removes a required id from the fields, and returns it. The id is a string or a number. `meaning` describes
    /// the id for the error.
    pub(super) fn id(&mut self, name: &str, meaning: &str) -> Result<String, Error> {
        let problem = match self.0.remove(name) {
            Some(Value::String(text)) if !text.trim().is_empty() => {
                return Ok(text.trim().to_owned());
            }
            Some(Value::Number(number)) => return Ok(number.to_string()),
            None | Some(Value::Null) => "is missing",
            Some(Value::String(_)) => "is empty",
            Some(_) => "has the wrong type",
        };
        let detail = format!(
            "invalid request: the field `{name}` {problem}; it must contain {meaning}, as a string or a number"
        );
        Err(Error::new(ErrorKind::InvalidRequest, detail))
    }

    /// Gives a field its present name.
    pub(super) fn rename(&mut self, old: &str, new: &str) {
        if let Some(value) = self.0.remove(old) {
            self.0.insert(new.to_owned(), value);
        }
    }

    /// Sets a field.
    pub(super) fn set(&mut self, name: &str, value: String) {
        self.0.insert(name.to_owned(), value.into());
    }
}

impl From<Fields> for Value {
    fn from(fields: Fields) -> Self {
        Self::Object(fields.0)
    }
}

/// Returns the JSON body of a response.
pub(super) async fn body(reply: Reply) -> Result<Value, Error> {
    let bytes = reply.into_body().collect().await.map(Collected::to_bytes);
    let value = bytes.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    value.ok_or_else(|| Error::new(ErrorKind::Internal, "a response has no JSON body"))
}

/// Returns a response whose JSON object also has the field `success` and the fields that `old` returns for the
/// object. `old` can also change the object.
pub(in crate::api) async fn extended(
    reply: Reply,
    old: impl FnOnce(&mut Value) -> Map<String, Value>,
) -> Result<Reply, Error> {
    let (mut head, body_of_reply) = reply.into_parts();
    head.headers.remove(CONTENT_LENGTH);
    let mut value = body(Reply::new(body_of_reply)).await?;
    let fields = old(&mut value);
    if let Value::Object(object) = &mut value {
        object.insert("success".to_owned(), true.into());
        object.extend(fields);
    }
    Ok(Reply::from_parts(head, reply::json(&value).into_body()))
}

/// Returns the old fields of a camera.
pub(in crate::api) fn of_camera(camera: &mut Value, public_url: &PublicUrl) -> Map<String, Value> {
    let id = camera["id"].as_str().unwrap_or_default();
    let fields = [
        ("camera_id", id.into()),
        ("rtsp_url", camera["source"].clone()),
        ("enable_analytics", camera["analytics"].clone()),
        ("profile_name", "main".into()),
        ("hls_url", playlist(id, public_url).into()),
    ];
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Returns the old fields of the response to a start, to a stop, or to a request for the status of a stream.
pub(in crate::api) fn of_stream(stream: &mut Value, public_url: &PublicUrl) -> Map<String, Value> {
    let state = [&stream["status"], &stream["state"]].into_iter().find_map(Value::as_str);
    let is_streaming = matches!(state, Some("started" | "active" | "live"));
    let stream_url = stream["stream_path"].as_str().map(|path| public_url.absolute(path));
    let fields = [
        ("camera_id", stream["indicator_id"].clone()),
        ("stream_url", stream_url.into()),
        ("streaming", is_streaming.into()),
    ];
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Returns the old fields of a playback session.
pub(super) fn of_session(session: &mut Value) -> Map<String, Value> {
    let fields =
        [("camera_id", session["cameras"][0].clone()), ("user_id", session["user"].clone())];
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Adds the old fields to every object in the list `name` of `value`. Returns an empty map, because `value` itself has
/// no old fields.
pub(super) fn with_list(
    value: &mut Value,
    name: &str,
    old: impl Fn(&mut Value) -> Map<String, Value>,
) -> Map<String, Value> {
    for entry in value[name].as_array_mut().into_iter().flatten() {
        let fields = old(entry);
        if let Value::Object(object) = entry {
            object.extend(fields);
        }
    }
    Map::new()
}

/// Returns a response with only the list of cameras in `reply`, and adds the old fields to each camera.
pub(in crate::api) async fn camera_array(
    reply: Reply,
    public_url: &PublicUrl,
) -> Result<Reply, Error> {
    let mut list = body(reply).await?;
    with_list(&mut list, "cameras", |camera| of_camera(camera, public_url));
    Ok(reply::json(&list["cameras"]))
}

/// Replaces the list of streams with a list of all cameras and their states. Removes `streams` from the object
/// `streams`, and returns the field `cameras`.
pub(super) fn of_status(
    streams: &mut Value,
    cameras: &[Value],
    public_url: &PublicUrl,
) -> Map<String, Value> {
    let streams =
        streams.as_object_mut().and_then(|list| list.remove("streams")).unwrap_or_default();
    let main =
        streams.as_array().into_iter().flatten().filter(|stream| stream["profile"] == "main");
    let states: HashMap<_, _> = main
        .filter_map(|stream| Some((stream["indicator_id"].as_str()?, &stream["state"])))
        .collect();
    let stopped = Value::from("stopped");
    let entries = cameras.iter().map(|camera| {
        let id = camera["id"].as_str().unwrap_or_default();
        let state = states.get(id).copied().unwrap_or(&stopped);
        serde_json::json!({
            "camera_id": id,
            "name": camera["name"],
            "status": state,
            "streaming": *state == "live",
            "stream_url": playlist(id, public_url),
        })
    });
    [("cameras".to_owned(), entries.collect())].into_iter().collect()
}

/// Returns the URL of the playlist of a camera's main stream.
fn playlist(id: &str, public_url: &PublicUrl) -> String {
    public_url.url(&PLAYLIST_PATH.replace("{id}", id))
}
