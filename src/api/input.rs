//! Reading the input of requests: queries, JSON and forms, within limits of size and time.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use tokio::time::timeout;

use super::form::{self, ContentType, FormField};
use crate::base::error::{Error, ErrorKind};

/// The largest body, in bytes, unless an endpoint has its own limit.
const MAX_BODY: usize = 64 * 1024;
/// The time within which a body must arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// The most bytes that are read and dropped after a body that is too large. nginx sends bodies of at most 1 MiB to most
/// endpoints.
const MAX_DROPPED: usize = 1024 * 1024;
/// The longest time for which such bytes are read.
const DROP_TIMEOUT: Duration = Duration::from_secs(2);
/// The mark that some editors and frameworks write at the beginning of a text to show that the text is UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// The longest name of an unknown field that an error repeats.
const MAX_SHOWN_NAME: usize = 64;

/// The body of a request.
pub(crate) enum RequestBody {
    /// The body that the client sends.
    Incoming(Incoming),
    /// The body of a request that a handler has made.
    Made(Bytes),
}

/// Reads the input of a request. For GET and HEAD, the input is the query. For other methods, the
/// input is the body, as JSON or as a form, or the query if there is no body. PUT requires a body,
/// because it replaces a whole resource.
pub(super) async fn read<T: DeserializeOwned>(
    head: &Parts,
    body: &mut RequestBody,
) -> Result<T, Error> {
    if matches!(head.method, Method::GET | Method::HEAD) {
        return query(head);
    }
    let body = read_body(body, MAX_BODY).await?;
    if body.is_empty() && head.method == Method::PUT {
        return Err(Error::new(ErrorKind::InvalidRequest, "the body is missing"));
    } else if body.is_empty() {
        return query(head);
    }
    match form::content_type(&head.headers)? {
        ContentType::Form => from_form(&body),
        ContentType::Multipart(boundary) => {
            let fields = form::multipart(boundary, body).await?.into_iter().map(FormField::text);
            from_fields(fields, UnknownField::IsNamed)
        }
        ContentType::Other => from_json_body(without_mark(&body)),
    }
}

/// Returns a file: the body of the request, or the first file of a multipart form.
pub(super) async fn file(headers: &HeaderMap, body: Vec<u8>) -> Result<Vec<u8>, Error> {
    let ContentType::Multipart(boundary) = form::content_type(headers)? else { return Ok(body) };
    let fields = form::multipart(boundary, body).await?;
    let file = fields.into_iter().find(|field| field.is_file);
    file.map(|file| file.value.into()).ok_or_else(|| {
        let detail =
            "the form contains no file; send the file as a field of the form or as the body";
        Error::new(ErrorKind::InvalidRequest, detail)
    })
}

/// Returns an error if a request has a body with fields.
pub(super) async fn ensure_no_body(body: &mut RequestBody) -> Result<(), Error> {
    // Some clients send an empty value instead of no body.
    if matches!(read_body(body, MAX_BODY).await?.trim_ascii(), b"" | b"{}" | b"null") {
        return Ok(());
    }
    let detail = "the body must be empty; send the fields in the query, for example ?from=…&to=…";
    Err(Error::new(ErrorKind::InvalidRequest, detail))
}

/// Reads the query of a request.
pub(super) fn query<T: DeserializeOwned>(head: &Parts) -> Result<T, Error> {
    from_form(head.uri.query().unwrap_or_default().as_bytes())
}

/// Reads JSON.
pub(super) fn from_json<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value = deserialize(&mut deserializer, UnknownField::IsNamed)?;
    deserializer.end().map_err(|error| invalid("", &error, UnknownField::IsNamed))?;
    Ok(value)
}

/// Reads a list of JSON texts, which the caller then reads one by one.
pub(super) fn raw_json<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, Error> {
    serde_json::from_slice(text).map_err(|error| invalid("", &error, UnknownField::IsNamed))
}

/// Reads a JSON value.
pub(super) fn from_value<T: DeserializeOwned>(value: Value) -> Result<T, Error> {
    deserialize(value, UnknownField::IsNamed)
}

/// Reads a JSON body, without the fields that frameworks add to an object.
fn from_json_body<T: DeserializeOwned>(text: &[u8]) -> Result<T, Error> {
    let read = from_json(text);
    // Usually there are no such fields, so they are removed only after an error.
    if read.is_err()
        && let Ok(mut fields) = serde_json::from_slice::<Map<String, Value>>(text)
        && fields.keys().any(|name| form::is_of_framework(name))
    {
        fields.retain(|name, _| !form::is_of_framework(name));
        return from_value(Value::Object(fields));
    }
    read
}

/// Reads a body, which is limited to `max` bytes.
pub(super) async fn read_body(body: &mut RequestBody, max: usize) -> Result<Vec<u8>, Error> {
    let body = match body {
        RequestBody::Incoming(body) => body,
        RequestBody::Made(body) => return Ok(std::mem::take(body).into()),
    };
    let read = timeout(BODY_TIMEOUT, collect(body, max)).await;
    let Ok(read) = read else {
        return Err(Error::new(ErrorKind::RequestTimeout, "the body did not arrive within 10 s"));
    };
    match read {
        Ok(Some(body)) => Ok(body),
        Ok(None) => {
            Err(Error::new(ErrorKind::BodyTooLarge, format!("the body is larger than {max} bytes")))
        }
        Err(error) => {
            Err(Error::new(ErrorKind::InvalidRequest, format!("the body cannot be read: {error}")))
        }
    }
}

/// Reads a body; returns `None` if it is larger than `max` bytes.
async fn collect(body: &mut Incoming, max: usize) -> Result<Option<Vec<u8>>, hyper::Error> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        if bytes.len() + data.len() > max {
            let _ = timeout(DROP_TIMEOUT, drop_rest(body)).await;
            return Ok(None);
        }
        bytes.extend_from_slice(&data);
    }
    Ok(Some(bytes))
}

/// Reads and drops the rest of a body, up to [`MAX_DROPPED`] bytes. If a connection is closed while bytes are unread, it is
/// reset, and a client or a proxy that is still sending may not get the response.
async fn drop_rest(body: &mut Incoming) {
    let mut length = 0;
    while length < MAX_DROPPED
        && let Some(Ok(frame)) = body.frame().await
    {
        length += frame.data_ref().map_or(0, Bytes::len);
    }
}

fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text)
}

/// The way in which an error refers to a field that is unknown or given twice.
#[derive(Clone, Copy, PartialEq, Eq)]
enum UnknownField {
    /// The error names the field.
    IsNamed,
    /// The error does not name the field, because its name may be a part of a password.
    IsPerhapsSecret,
}

/// Reads a form or a query. A link or a password that is not percent-encoded ends at its first `&`, and its rest becomes
/// further fields. If this may have happened, an error does not name a field that is unknown or given twice.
fn from_form<T: DeserializeOwned>(form: &[u8]) -> Result<T, Error> {
    let form = without_mark(form);
    let is_perhaps_cut = form.split(|byte| *byte == b'&').any(may_be_cut);
    let unknown_field =
        if is_perhaps_cut { UnknownField::IsPerhapsSecret } else { UnknownField::IsNamed };
    let fields = url::form_urlencoded::parse(form);
    let fields = fields.map(|(name, value)| Ok((name.into_owned(), value.into_owned())));
    from_fields(fields, unknown_field)
}

/// Returns whether a field of a form or a query is a password, or contains a link that is not percent-encoded. The
/// next fields can then be the rest of the password or of the link.
fn may_be_cut(field: &[u8]) -> bool {
    let links = |text: &str| text.matches("://").count();
    let encoded = field.windows(9).filter(|part| part.eq_ignore_ascii_case(b"%3A%2F%2F")).count();
    url::form_urlencoded::parse(field)
        .any(|(name, value)| name.contains("password") || links(&name) + links(&value) > encoded)
}

/// Reads the fields of a form or a query, without the fields that frameworks add.
fn from_fields<T: DeserializeOwned>(
    form: impl Iterator<Item = Result<(String, String), Error>>,
    unknown_field: UnknownField,
) -> Result<T, Error> {
    let mut fields = Map::new();
    for field in form {
        let (name, value) = field?;
        if form::is_of_framework(&name) {
            continue;
        }
        if fields.contains_key(&name) {
            let field = if unknown_field == UnknownField::IsNamed && is_shown(&name) {
                format!("the field `{name}`")
            } else {
                "a field".to_owned()
            };
            let detail = format!("invalid request: {field} is given twice; send each field once");
            return Err(Error::new(ErrorKind::InvalidRequest, detail));
        }
        fields.insert(name, Value::String(value));
    }
    deserialize(Value::Object(fields), unknown_field)
}

fn deserialize<'de, T, D>(deserializer: D, unknown_field: UnknownField) -> Result<T, Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de, Error = serde_json::Error>,
{
    serde_path_to_error::deserialize(deserializer)
        .map_err(|error| invalid(&error.path().to_string(), error.inner(), unknown_field))
}

/// Returns an error that names the mistake and, if known, the field. The error repeats nothing else of the input,
/// because the input may contain a password in the wrong place.
fn invalid(field: &str, error: &serde_json::Error, unknown_field: UnknownField) -> Error {
    let text = error.to_string();
    // The position is useful only for syntax errors. In forms, it is unknown.
    let text = text.split(" at line ").next().unwrap_or_default();
    let field = match field {
        "" | "." | "?" => "a value".to_owned(),
        field => format!("`{field}`"),
    };
    let reason = if error.is_syntax() || error.is_eof() {
        format!("invalid JSON (line {}, column {})", error.line(), error.column())
    } else if let Some(rest) = text.strip_prefix("unknown field `") {
        unknown_field_reason(rest, unknown_field)
    } else if text.starts_with("missing field") || text.starts_with("duplicate field") {
        text.to_owned()
    } else if text.starts_with("must be ") {
        format!("{field} {text}")
    } else if let Some((_, allowed)) = text.split_once("expected ")
        && text.starts_with("unknown variant")
    {
        format!("{field} must be {allowed}")
    } else {
        format!("{field} has the wrong type or is out of range")
    };
    let detail = format!("invalid request: {reason}");
    Error::new(ErrorKind::InvalidRequest, detail)
}

/// Returns the reason of an error for an unknown field, with the allowed fields. `text` is Serde's message from the
/// name of the field on.
fn unknown_field_reason(text: &str, unknown_field: UnknownField) -> String {
    let (name, allowed) = text.rsplit_once("`, expected ").unwrap_or((text, ""));
    let allowed = match allowed.strip_prefix("one of ").unwrap_or(allowed) {
        "" => "there are no fields".to_owned(),
        allowed => format!("allowed: {allowed}"),
    };
    if unknown_field == UnknownField::IsPerhapsSecret {
        format!(
            "unknown field; a link or a password must be percent-encoded, so that & becomes %26, or be sent as JSON \
             in the body of a POST or PUT; {allowed}"
        )
    } else if name.starts_with(['{', '[']) {
        "the body is JSON, but the header Content-Type says that it is a form; send the request with \
         Content-Type: application/json"
            .to_owned()
    } else if is_shown(name) {
        format!("unknown field `{name}`; {allowed}")
    } else {
        format!("unknown field, whose name is too long or contains special characters; {allowed}")
    }
}

/// Returns whether an error can repeat the name of a field. Text that is not a name can contain anything.
fn is_shown(name: &str) -> bool {
    let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    (1..=MAX_SHOWN_NAME).contains(&name.len()) && name.bytes().all(is_of_name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::cameras::input::CameraInput;
    use crate::api::streams::input::StartInput;

    #[test]
    fn a_query_can_hold_the_input_of_a_start() {
        let query =
            b"indicator_id=7&rtsp_link=rtsp%3A%2F%2Fu%3Ap%40h%2Fx%3Fa%3D1%26b%3D2&wait=false";
        let input: StartInput = from_form(query).expect("a query");
        let source = input.rtsp_link.expect("a link").source().expect("a link").expect("a link");
        assert_eq!(source.expose(), "rtsp://u:p@h/x?a=1&b=2");
        assert_eq!((input.indicator_id.as_str(), input.wait), ("7", false));
    }

    #[test]
    fn ids_are_strings_or_numbers() {
        for json in [r#"{"indicator_id":"12"}"#, r#"{"indicator_id":12}"#] {
            let input: StartInput = serde_json::from_str(json).expect(json);
            assert_eq!((input.indicator_id.as_str(), input.wait), ("12", true));
        }
    }

    #[test]
    fn errors_name_the_mistake_but_not_the_input() {
        let table: [(&[u8], &str); 8] = [
            (b"", "missing field `indicator_id`"),
            (b"indicator_id=1&indicator_id=2", "the field `indicator_id` is given twice"),
            (b"indicator_id=1&wait=maybe", "`wait` must be true or false"),
            (b"_=1700000000&_token=x", "missing field `indicator_id`"),
            (b"indicator_id=1&profile=third", "`profile` must be `main` or `sub`"),
            (b"indicator_id=1&wait=1&token=x", "unknown field `token`; allowed: `indicator_id`, "),
            (
                b"indicator_id=1&rtsp=x",
                "unknown field `rtsp`; allowed: `indicator_id`, `profile`, `rtsp_link`",
            ),
            (b"indicator_id=1&audio=loud", "`audio` must be one of `auto`, `aac`, `off`"),
        ];
        for (query, reason) in table {
            let error = from_form::<StartInput>(query).expect_err(reason);
            assert_eq!(error.kind, ErrorKind::InvalidRequest);
            assert!(error.detail.contains(reason), "{error}");
        }
        let table = [
            (r#""rtsp://u:secret@h""#, "has the wrong type"),
            (r#"{"rtsp://u:secret@h":1}"#, "unknown field, whose name"),
            (r#"{"indicator_id":["secret"]}"#, "must be a string"),
            (
                r#"{"indicator_id":1,"link":"secret"}"#,
                "unknown field `link`; allowed: `indicator_id`, ",
            ),
        ];
        for (json, reason) in table {
            let error = from_json::<StartInput>(json.as_bytes()).expect_err(json).detail;
            assert!(error.contains(reason) && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_link_in_a_query_must_be_percent_encoded_and_the_error_does_not_repeat_its_parts() {
        for query in [
            "indicator_id=1&rtsp_link=rtsp://h/cam?channel=1&secret=0",
            "rtsp_link=rtsp://u:p&secret@h/x&indicator_id=1",
            "rtsp_link=rtsp:%2F%2Fu:p&secret=@h/x",
            "indicator_id=1&rtsp_link=rtsp://u:p&secret&secret@h",
            "rtsp://u:p&secret@h/x",
            // Only the first link is percent-encoded.
            "rtsp_link=rtsp%3A%2F%2Fh%2F1&rtsp_link_sub=rtsp://u:pa&Secret1=x@h/",
            "rtsp_link=rtsp%3A%2F%2Fh%2F1%3Fu=rtsp://u:pa&Secret1=x@h/",
        ] {
            let error = from_form::<StartInput>(query.as_bytes()).expect_err(query).detail;
            assert!(!error.to_lowercase().contains("secret"), "{error}");
            let error = from_form::<CameraInput>(query.as_bytes()).err().expect(query).detail;
            assert!(!error.to_lowercase().contains("secret"), "{error}");
        }
        let form = b"username=a&password=p&secret=x";
        let error =
            from_form::<CameraInput>(form).err().expect("a password that is cut off").detail;
        assert!(error.contains("& becomes %26") && !error.contains("secret"), "{error}");
        let query = b"indicator_id=1&rtsp_link=rtsp://h/cam?channel=1&subtype=0";
        let error = from_form::<StartInput>(query).expect_err("a link that is cut off").detail;
        for part in ["unknown field; a link", "& becomes %26", "`rtsp_link`"] {
            assert!(error.contains(part), "{error}");
        }
        // A link that is percent-encoded does not hide which field is unknown.
        let query = b"indicator_id=1&rtsp_link=rtsp%3a%2f%2Fh/cam&subtype=0";
        let error = from_form::<StartInput>(query).expect_err("an unknown field").detail;
        assert!(error.contains("unknown field `subtype`"), "{error}");
    }

    #[test]
    fn json_that_is_sent_as_a_form_is_recognized() {
        for json in [r#"{"indicator_id":"secret"}"#, r#"[{"indicator_id":"secret"}]"#] {
            let error = from_form::<StartInput>(json.as_bytes()).expect_err(json).detail;
            assert!(error.contains("Content-Type: application/json"), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
