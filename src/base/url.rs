//! Parts of URLs that several modules read.

use std::net::IpAddr;

use percent_encoding::percent_decode_str;
use url::Url;

/// Returns the IP address in a URL; `None` if the URL has a host name or no host.
pub(crate) fn host_address(url: &Url) -> Option<IpAddr> {
    url.host_str()?.trim_matches(['[', ']']).parse().ok()
}

/// Returns the path and the query of a URL.
pub(crate) fn path_and_query(url: &Url) -> String {
    match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    }
}

/// Returns `text` with percent escapes decoded. Replaces invalid UTF-8 with U+FFFD. A `+` is kept,
/// because it means a space only in forms.
pub(crate) fn percent_decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_and_the_path_of_a_url_are_read() {
        let table = [
            ("http://192.0.2.7:81/a/b?c=d&e", Some("192.0.2.7"), "/a/b?c=d&e"),
            ("http://[2001:db8::7]", Some("2001:db8::7"), "/"),
            ("rtsp://camera/x#y", None, "/x"),
        ];
        for (text, address, path) in table {
            let url = Url::parse(text).expect(text);
            let expected = address.map(|text| text.parse().expect("an address"));
            assert_eq!((host_address(&url), path_and_query(&url)), (expected, path.into()));
        }
    }

    #[test]
    fn percent_escapes_are_decoded() {
        let table =
            [("a%20b%26+c", "a b&+c"), ("%C3%A4", "ä"), ("%ff", "\u{fffd}"), ("100%", "100%")];
        for (text, expected) in table {
            assert_eq!(percent_decoded(text), expected, "{text}");
        }
    }
}
