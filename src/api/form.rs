//! Forms: their content types, the parts of multipart forms, and the fields that frameworks add.

use std::convert::Infallible;
use std::future::ready;

use bytes::Bytes;
use futures_util::stream;
use hyper::HeaderMap;
use hyper::header::CONTENT_TYPE;
use multer::Multipart;

use super::credentials;
use crate::base::error::{Error, ErrorKind};

/// The fields that frameworks add to forms, except for those whose name begins with an underscore.
const FRAMEWORK_FIELDS: [&str; 3] = ["csrfmiddlewaretoken", "authenticity_token", "utf8"];
/// The largest number of fields of a multipart form.
const MAX_FIELDS: usize = 64;

/// The content type of a body, as far as it matters.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ContentType {
    /// A form, encoded like a query.
    Form,
    /// A form with this boundary between its parts.
    Multipart(String),
    /// JSON, or a type that is treated as JSON.
    Other,
}

/// A field of a multipart form. May contain secrets, so there is no `Debug`.
pub(super) struct FormField {
    /// The name of the field.
    name: String,
    /// True if the field is a file.
    pub(super) is_file: bool,
    /// The value.
    pub(super) value: Bytes,
}

impl FormField {
    /// Returns name and value. Fails if the field is a file, or is not text.
    pub(super) fn text(self) -> Result<(String, String), Error> {
        let value = String::from_utf8(self.value.into()).ok().filter(|_| !self.is_file);
        value.map(|value| (self.name, value)).ok_or_else(|| {
            let detail =
                "invalid request: the fields of a form must be text in UTF-8, and not files";
            Error::new(ErrorKind::InvalidRequest, detail)
        })
    }
}

/// Returns whether a framework added the field to the request, for example a token against forged requests or
/// a value that prevents caching.
pub(super) fn is_of_framework(name: &str) -> bool {
    name.starts_with('_') || FRAMEWORK_FIELDS.contains(&name)
}

/// Returns the content type of a body. The case of the letters and the charset do not matter. Fails if the
/// boundary of a multipart form is missing.
pub(super) fn content_type(headers: &HeaderMap) -> Result<ContentType, Error> {
    let text = credentials::text(headers, CONTENT_TYPE.as_str()).unwrap_or_default();
    let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    Ok(match essence.as_str() {
        "application/x-www-form-urlencoded" => ContentType::Form,
        "multipart/form-data" => {
            ContentType::Multipart(multer::parse_boundary(text).map_err(|_| {
                let detail = "the content type multipart/form-data has no valid boundary";
                Error::new(ErrorKind::InvalidRequest, detail)
            })?)
        }
        _ => ContentType::Other,
    })
}

/// Returns the fields of a multipart form.
pub(super) async fn multipart(boundary: String, body: Vec<u8>) -> Result<Vec<FormField>, Error> {
    let invalid = |reason: &str| {
        let detail = format!("invalid request: the multipart form {reason}");
        Error::new(ErrorKind::InvalidRequest, detail)
    };
    let damaged = |_| invalid("is damaged or incomplete");
    let body = stream::once(ready(Ok::<_, Infallible>(Bytes::from(body))));
    let mut parts = Multipart::new(body, boundary);
    let mut fields = Vec::new();
    while let Some(part) = parts.next_field().await.map_err(damaged)? {
        if fields.len() == MAX_FIELDS {
            return Err(invalid("has too many fields"));
        }
        fields.push(FormField {
            name: part.name().unwrap_or_default().to_owned(),
            is_file: part.file_name().is_some(),
            value: part.bytes().await.map_err(damaged)?,
        });
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn type_of(text: &'static str) -> Result<ContentType, Error> {
        content_type(&[(CONTENT_TYPE, text.parse().expect("a value"))].into_iter().collect())
    }

    #[test]
    fn the_case_and_the_charset_of_a_content_type_do_not_matter() {
        let table = [
            ("application/x-www-form-urlencoded", ContentType::Form),
            ("Application/X-WWW-Form-URLencoded ; charset=UTF-8", ContentType::Form),
            ("Multipart/Form-Data; boundary=\"a b\"", ContentType::Multipart("a b".to_owned())),
            ("APPLICATION/JSON;charset=utf-8", ContentType::Other),
            ("text/plain", ContentType::Other),
        ];
        for (text, expected) in table {
            assert_eq!(type_of(text), Ok(expected), "{text}");
        }
        assert!(type_of("multipart/form-data").is_err());
    }

    #[tokio::test]
    async fn the_parts_of_a_multipart_form_are_read() {
        let body = "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--x\r\n\
                    Content-Disposition: form-data; name=\"b\"; filename=\"f\"\r\n\r\n2\r\n--x--\r\n";
        let fields = multipart("x".to_owned(), body.into()).await.expect("fields");
        let mut fields = fields.into_iter().map(FormField::text);
        assert_eq!(fields.next(), Some(Ok(("a".to_owned(), "1".to_owned()))));
        assert!(matches!(fields.next(), Some(Err(_))), "a file");
        for damaged in ["", "--x\r\nContent", &body[..body.len() - 6]] {
            let error = multipart("x".to_owned(), damaged.into()).await.err().expect(damaged);
            assert_eq!(error.kind, ErrorKind::InvalidRequest);
        }
        let many = "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n".repeat(65)
            + "--x--\r\n";
        assert!(multipart("x".to_owned(), many.into()).await.is_err());
    }
}
