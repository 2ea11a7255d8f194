//! Changes of single parts of a stream's source.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::base::error::Error;
use crate::base::secret::Secret;
use crate::camera::source::Source;

/// New values for parts of a source. `None` leaves a part unchanged.
#[derive(Debug, Clone, Default)]
pub(crate) struct SourceParts {
    /// RTSP port.
    pub(crate) port: Option<u16>,
    /// Path and query. Contains secrets of some vendors.
    pub(crate) path: Option<Secret>,
    /// User name at the camera.
    pub(crate) username: Option<String>,
    /// Password at the camera.
    pub(crate) password: Option<Secret>,
}

impl SourceParts {
    /// Returns whether nothing changes.
    pub(crate) fn is_empty(&self) -> bool {
        self.port.is_none()
            && self.path.is_none()
            && self.username.is_none()
            && self.password.is_none()
    }

    /// Returns the source with the new parts. Error: `InvalidSource`.
    pub(crate) fn apply(&self, source: &Source) -> Result<Source, Error> {
        let (known_name, known_password) = source.credentials().unwrap_or_default();
        let name = self.username.clone().unwrap_or(known_name);
        let password = match &self.password {
            Some(password) => password.expose().to_owned(),
            None => known_password,
        };
        let credentials = if name.is_empty() && password.is_empty() {
            String::new()
        } else {
            let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
            format!("{}:{}@", encoded(&name), encoded(&password))
        };
        let scheme = if source.uses_tls() { "rtsps" } else { "rtsp" };
        let (host, port) = (source.host(), self.port.unwrap_or(source.port()));
        let path =
            self.path.as_ref().map_or_else(|| source.path(), |path| path.expose().to_owned());
        let path = path.strip_prefix('/').unwrap_or(&path);
        let source = Source::parse(&format!("{scheme}://{credentials}{host}:{port}/{path}"))?;
        source.ensure_usable()?;
        Ok(source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_that_are_not_given_stay_the_same() {
        let path = |text: &str| Some(Secret::new(text));
        let table = [
            ("rtsp://u:p%40@h/x?a=1", SourceParts::default(), "rtsp://u:p%40@h:554/x?a=1"),
            (
                "rtsps://u:p@[::1]:7441/x",
                SourceParts { path: path("y?z"), ..SourceParts::default() },
                "rtsps://u:p@[::1]:7441/y?z",
            ),
            (
                "rtsp://u:p@[fe80::1%eth0]/x",
                SourceParts { port: Some(8554), ..SourceParts::default() },
                "rtsp://u:p@[fe80::1%25eth0]:8554/x",
            ),
            (
                "rtsp://h/x",
                SourceParts {
                    port: Some(8554),
                    path: path("/y"),
                    username: Some("me".to_owned()),
                    password: path("a@b/c"),
                },
                "rtsp://me:a%40b%2Fc@h:8554/y",
            ),
        ];
        for (link, parts, expected) in table {
            let source = Source::parse(link).expect(link);
            let changed = parts.apply(&source).expect(link);
            assert_eq!(changed, Source::parse(expected).expect(expected), "{link}");
            assert_eq!(parts.is_empty(), changed == source, "{link}");
        }
        let bad = SourceParts { path: path("/a b"), ..SourceParts::default() };
        assert!(bad.apply(&Source::parse("rtsp://h/x").expect("a link")).is_err());
    }
}
