//! Links as people paste them: corrected where their meaning is clear, and compared by their meaning.
//!
//! The functions take and return text, because a link is corrected before it is parsed.

use url::Url;

use crate::base::url::{path_and_query, percent_decoded};

/// Returns the link without what people add by mistake, and in the form that FFmpeg understands:
///
/// - spaces and line breaks around the link are removed;
/// - the scheme gets small letters;
/// - a colon without a port is removed;
/// - a user name without a colon gets an empty password, because FFmpeg would otherwise not log in;
/// - the parameter `enableSrtp`, with which Ubiquiti cameras show their links, is removed. RTSP over TLS
///   encrypts the media as well, and FFmpeg does not support SRTP in RTSP.
///
/// Other text is returned unchanged, also if it is not a link.
pub(super) fn corrected(text: &str) -> String {
    let text = text.trim_matches(|character: char| character.is_ascii_whitespace());
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let scheme = scheme.to_ascii_lowercase();
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let (user_info, host) = match authority.rsplit_once('@') {
        Some((user_info, host)) => (Some(user_info), host),
        None => (None, authority),
    };
    let host = host.strip_suffix(':').unwrap_or(host);
    let user_info = match user_info {
        Some(name) if !name.contains(':') && !name.is_empty() => format!("{name}:@"),
        Some(user_info) => format!("{user_info}@"),
        None => String::new(),
    };
    let path = if scheme == "rtsps" { without_srtp(path) } else { path.to_owned() };
    format!("{scheme}://{user_info}{host}{path}")
}

/// Returns the path and the query without the parameter `enableSrtp`.
fn without_srtp(path: &str) -> String {
    let Some((path, query)) = path.split_once('?') else { return path.to_owned() };
    let kept: Vec<_> = query.split('&').filter(|it| *it != "enableSrtp").collect();
    if kept.is_empty() { path.to_owned() } else { format!("{path}?{}", kept.join("&")) }
}

/// Returns a text that is equal for two links that mean the same. The links may differ in the case of the
/// host, the default port, an empty query, and percent escapes of characters without a special meaning.
/// The text contains the secrets of the link.
pub(super) fn meaning(url: &Url, port: u16) -> String {
    let user_info = [url.username(), url.password().unwrap_or_default()].map(percent_decoded);
    let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
    let path = path_and_query(url);
    let path = path.strip_suffix('?').unwrap_or(&path);
    let path = if path.is_empty() { "/" } else { path };
    let fragment = url.fragment().unwrap_or_default();
    // A line break cannot be part of a link, so it separates the parts clearly.
    let [name, password] = user_info;
    [url.scheme(), &name, &password, &host, &port.to_string(), &unescaped(path), fragment]
        .join("\n")
}

/// Returns `text` with percent escapes decoded, except for those of characters that have a meaning in paths
/// and queries, and of characters that cannot be printed. The letters of these escapes are capitals.
fn unescaped(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        result.push_str(&rest[..at]);
        let escape = rest.get(at..at + 3);
        let byte = escape.and_then(|escape| u8::from_str_radix(&escape[1..], 16).ok());
        match (byte, escape) {
            (Some(byte), Some(_)) if byte.is_ascii_graphic() && !b"/?#&=;%+".contains(&byte) => {
                result.push(char::from(byte));
            }
            (Some(_), Some(escape)) => result.push_str(&escape.to_ascii_uppercase()),
            _ => {
                result.push('%');
                rest = &rest[at + 1..];
                continue;
            }
        }
        rest = &rest[at + 3..];
    }
    result + rest
}

/// Returns `text` with the credentials of every link in it replaced with `***`, whoever wrote the link: a
/// camera can redirect to a link of another camera, with that camera's password. `hide_values` replaces
/// the secret values in the rest of a link.
pub(super) fn without_credentials(text: &str, hide_values: impl Fn(&str) -> String) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + "://".len());
        result.push_str(before);
        let is_end = |c: char| c.is_whitespace() || matches!(c, '\'' | '"' | '<' | '>');
        let link = &after[..after.find(is_end).unwrap_or(after.len())];
        // A password may contain a slash that is not encoded, so the last @ ends the credentials.
        let (user_info, target) = match link.rsplit_once('@') {
            Some((_, target)) => ("***@", target),
            None => ("", link),
        };
        let path = target.find(['/', '?', '#']).unwrap_or(target.len());
        result.push_str(user_info);
        result.push_str(&target[..path]);
        result.push_str(&hide_values(&target[path..]));
        rest = &after[link.len()..];
    }
    result + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_corrected_where_their_meaning_is_clear() {
        let table = [
            (" \trtsp://cam/x\r\n", "rtsp://cam/x"),
            ("RTSP://Cam/X", "rtsp://Cam/X"),
            ("rtsp://cam:/x", "rtsp://cam/x"),
            ("rtsp://[::1]:/x", "rtsp://[::1]/x"),
            ("rtsp://admin@cam/x", "rtsp://admin:@cam/x"),
            ("rtsp://admin:@cam/x", "rtsp://admin:@cam/x"),
            ("rtsp://a:p@ss@cam", "rtsp://a:p@ss@cam"),
            ("rtsps://h:7441/KEY?enableSrtp", "rtsps://h:7441/KEY"),
            ("rtsps://h/KEY?a=1&enableSrtp&b=2", "rtsps://h/KEY?a=1&b=2"),
            ("rtsp://h/KEY?enableSrtp", "rtsp://h/KEY?enableSrtp"),
            ("camera", "camera"),
            ("", ""),
        ];
        for (link, expected) in table {
            assert_eq!(corrected(link), expected, "{link}");
            assert_eq!(corrected(expected), expected, "a corrected link is not changed");
        }
    }

    #[test]
    fn links_are_compared_by_their_meaning() {
        let meaning = |link: &str| meaning(&Url::parse(link).expect(link), 554);
        let same = [
            ("rtsp://H/x", "rtsp://h/x"),
            ("rtsp://h", "rtsp://h/"),
            ("rtsp://h/x?", "rtsp://h/x"),
            ("rtsp://a:b%21@h/x%21", "rtsp://a:b!@h/x!"),
            ("rtsp://h/%2f%7e", "rtsp://h/%2F~"),
            ("rtsp://h/%zz%", "rtsp://h/%zz%"),
        ];
        for (one, other) in same {
            assert_eq!(meaning(one), meaning(other), "{one} {other}");
        }
        let different = [
            ("rtsp://h/x", "rtsp://h/X"),
            ("rtsp://h/a%2Fb", "rtsp://h/a/b"),
            ("rtsp://h/x?a%26b", "rtsp://h/x?a&b"),
            ("rtsp://a:b@h/x", "rtsp://a:c@h/x"),
            ("rtsp://h/x", "rtsps://h/x"),
            ("rtsp://h/x", "rtsp://h/x#y"),
        ];
        for (one, other) in different {
            assert_ne!(meaning(one), meaning(other), "{one} {other}");
        }
    }

    #[test]
    fn credentials_of_any_link_are_hidden() {
        let hide = |path: &str| path.replace("secret", "***");
        let table = [
            ("Redirecting to rtsp://u:p@h:1/x", "Redirecting to rtsp://***@h:1/x"),
            ("'rtsp://u:p/w@h/x?key=secret' failed", "'rtsp://***@h/x?key=***' failed"),
            ("rtsp://a:b@h rtsp://h/y http://c@d", "rtsp://***@h rtsp://h/y http://***@d"),
            ("no link: a@b", "no link: a@b"),
        ];
        for (text, expected) in table {
            assert_eq!(without_credentials(text, hide), expected);
        }
    }
}
