//! Reading the input of requests: queries, JSON and forms, within limits of size and time.

use std::time::Duration;

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::Method;
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::time::timeout;

use crate::base::error::{Error, ErrorKind};

/// The largest body, in bytes, unless an endpoint has its own limit.
const MAX_BODY: usize = 64 * 1024;
/// The time within which a body must arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads the input of a request. For GET and HEAD, the input is the query. For other methods, the
/// input is the body, as JSON or as a form, or the query if there is no body. PUT requires a body,
/// because it replaces a whole resource.
pub(super) async fn read<T: DeserializeOwned>(
    head: &Parts,
    body: &mut Incoming,
) -> Result<T, Error> {
    if matches!(head.method, Method::GET | Method::HEAD) {
        return query(head);
    }
    let is_form = head
        .headers
        .get(CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/x-www-form-urlencoded"));
    let body = read_body(body, MAX_BODY).await?;
    if body.is_empty() && head.method == Method::PUT {
        Err(Error::new(ErrorKind::InvalidRequest, "the body is missing"))
    } else if body.is_empty() {
        query(head)
    } else if is_form {
        from_form(&body)
    } else {
        from_json(&body)
    }
}

/// Reads the query of a request.
pub(super) fn query<T: DeserializeOwned>(head: &Parts) -> Result<T, Error> {
    from_form(head.uri.query().unwrap_or_default().as_bytes())
}

/// Reads JSON.
pub(super) fn from_json<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, Error> {
    serde_json::from_slice(text).map_err(|error| invalid(&error))
}

/// Reads a JSON value.
pub(super) fn from_value<T: DeserializeOwned>(value: Value) -> Result<T, Error> {
    T::deserialize(value).map_err(|error| invalid(&error))
}

/// Reads a body, which is limited to `max` bytes.
pub(super) async fn read_body(body: &mut Incoming, max: usize) -> Result<Vec<u8>, Error> {
    let read = timeout(BODY_TIMEOUT, Limited::new(body, max).collect()).await;
    let Ok(read) = read else {
        return Err(Error::new(ErrorKind::RequestTimeout, "the body did not arrive within 10 s"));
    };
    match read {
        Ok(body) => Ok(body.to_bytes().into()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(Error::new(ErrorKind::BodyTooLarge, format!("the body is larger than {max} bytes")))
        }
        Err(error) => {
            Err(Error::new(ErrorKind::InvalidRequest, format!("the body cannot be read: {error}")))
        }
    }
}

fn from_form<T: DeserializeOwned>(form: &[u8]) -> Result<T, Error> {
    let mut fields = Map::new();
    for (name, value) in url::form_urlencoded::parse(form) {
        if fields.insert(name.into_owned(), Value::String(value.into_owned())).is_some() {
            let detail = "a field is given twice";
            return Err(Error::new(ErrorKind::InvalidRequest, detail));
        }
    }
    from_value(Value::Object(fields))
}

/// Returns an error that names the mistake, but repeats nothing of the input: the input may contain
/// a password in the wrong place.
fn invalid(error: &serde_json::Error) -> Error {
    let text = error.to_string();
    let reason = if error.is_syntax() || error.is_eof() {
        format!("invalid JSON (line {}, column {})", error.line(), error.column())
    } else if text.starts_with("unknown field") {
        "a field is not known; a link in a query must be percent-encoded".to_owned()
    } else if text.starts_with("missing field") || text.contains(" must be ") {
        text
    } else if let Some((_, allowed)) = text.split_once("expected one of ")
        && text.starts_with("unknown variant")
    {
        format!("the value of an option must be one of {allowed}")
    } else {
        "a value has the wrong type or is out of range".to_owned()
    };
    let detail = format!("invalid request: {reason}");
    Error::new(ErrorKind::InvalidRequest, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
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
        let table: [(&[u8], &str); 6] = [
            (b"", "missing field `indicator_id`"),
            (b"indicator_id=1&indicator_id=2", "given twice"),
            (b"indicator_id=1&rtsp_link=rtsp://h/cam?channel=1&subtype=0", "percent-encoded"),
            (b"indicator_id=1&wait=maybe", "true or false"),
            (b"indicator_id=1&rtsp=x", "not known"),
            (b"indicator_id=1&audio=loud", "one of `auto`, `aac`, `off`"),
        ];
        for (query, reason) in table {
            let error = from_form::<StartInput>(query).expect_err(reason);
            assert_eq!(error.kind, ErrorKind::InvalidRequest);
            assert!(error.detail.contains(reason), "{error}");
        }
        for json in [r#""rtsp://u:secret@h""#, r#"{"secret":1}"#, r#"{"indicator_id":["secret"]}"#]
        {
            let error = serde_json::from_str::<StartInput>(json).expect_err(json);
            let error = invalid(&error).detail;
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
