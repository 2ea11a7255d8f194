//! Corrects mistakes in links that people paste, if it is clear what is meant. Compares links by their meaning, and
//! removes the credentials from links in messages.
//!
//! The functions take and return strings, because a link is corrected before it is parsed, and messages may
//! contain links that cannot be parsed.

use percent_encoding::{
    AsciiSet, CONTROLS, percent_decode_str, percent_encode, utf8_percent_encode,
};
use url::Url;

use crate::base::url::path_and_query;
use crate::camera::zone;

/// The ASCII characters that must be percent-encoded in user names and passwords. Either a URL cannot contain
/// them, or they would end the credentials, or they would end the quoted URL in the ffconcat script through which
/// FFmpeg gets the link (see `ingest::ffmpeg::args`).
const SPECIAL: &AsciiSet =
    &CONTROLS.add(b' ').add(b'/').add(b'?').add(b'#').add(b'\'').add(b'"').add(b'\\');
/// The ASCII characters that must be percent-encoded in a password that FFmpeg gets.
const SPECIAL_IN_PASSWORD: &AsciiSet = &SPECIAL.add(b'@').add(b'%');
/// The ASCII characters that must be percent-encoded in a user name that FFmpeg gets.
const SPECIAL_IN_NAME: &AsciiSet = &SPECIAL_IN_PASSWORD.add(b':');

/// Corrects the mistakes that people make in links, and converts the link to the form that FFmpeg understands:
///
/// - white space, invisible characters, quotation marks and angle brackets around the link are removed;
/// - the scheme is converted to lower case;
/// - a colon without a port is removed;
/// - the zone of a link-local address is written after `%25` instead of `%`;
/// - a user name without a colon gets an empty password, because FFmpeg would otherwise not log in;
/// - special characters in the user name and the password are percent-encoded, if it is clear where the
///   password ends. Credentials with a control character are not changed;
/// - the parameter `enableSrtp`, which Ubiquiti adds to the links of its cameras, is removed from `rtsps` links.
///   RTSP over TLS encrypts the media as well, and FFmpeg does not support SRTP in RTSP.
///
/// A string without `://` is not a link. Only the characters around it are removed.
pub(super) fn corrected(text: &str) -> String {
    let text = unwrapped(text);
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let scheme = scheme.to_ascii_lowercase();
    let (user_info, host, path) = split(rest);
    let host = host.strip_suffix(':').unwrap_or(host);
    let user_info = match user_info {
        Some(name) if !name.contains(':') && !name.is_empty() => format!("{}:@", encoded(name)),
        Some(user_info) => format!("{}@", encoded(user_info)),
        None => String::new(),
    };
    let path = if scheme == "rtsps" { without_srtp(path) } else { path.to_owned() };
    let link = format!("{scheme}://{user_info}{host}{path}");
    match zone::cut(&link) {
        (_, Some(zone)) => zone::with(&link, zone).into_owned(),
        (_, None) => link,
    }
}

/// Returns `text` without the white space, invisible characters, quotation marks and angle brackets around it.
fn unwrapped(text: &str) -> &str {
    let is_invisible = |c: char| {
        c.is_whitespace() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}')
    };
    let text = text.trim_matches(is_invisible);
    let marks = [("\"", "\""), ("'", "'"), ("<", ">")];
    let mut inner =
        marks.into_iter().filter_map(|(open, close)| text.strip_prefix(open)?.strip_suffix(close));
    inner.next().map_or(text, |inner| inner.trim_matches(is_invisible))
}

/// Splits a link without its scheme into user name and password, host and port, and the rest. Usually, the first
/// `/`, `?` or `#` ends the host. But if an `@` follows, the `/`, `?` or `#` may be a part of the password. So the
/// link is then split in all possible ways: without credentials, and with each `@` as the end of the credentials.
/// If the host is valid in exactly one of these ways, that way is used, and otherwise the usual one.
fn split(link: &str) -> (Option<&str>, &str, &str) {
    let host_end = |rest: &str| rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = link.split_at(host_end(link));
    let usual = match authority.rsplit_once('@') {
        Some((user_info, host)) => (Some(user_info), host, path),
        None => (None, authority, path),
    };
    if !path.contains('@') {
        return usual;
    }
    let user_infos = link.match_indices('@').map(|(at, _)| Some(&link[..at]));
    let mut ways = [None].into_iter().chain(user_infos).filter_map(|user_info| {
        let rest = &link[user_info.map_or(0, |text| text.len() + 1)..];
        let (host, path) = rest.split_at(host_end(rest));
        is_host(host).then_some((user_info, host, path))
    });
    match (ways.next(), ways.next()) {
        (Some(way), None) => way,
        _ => usual,
    }
}

/// Returns whether `text` is a host name or an address, with or without a port.
fn is_host(text: &str) -> bool {
    let is_in_host = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:[]%".contains(&byte);
    let link = format!("rtsp://{text}");
    let (link, zone) = zone::cut(&link);
    let url = Url::parse(&link).ok();
    text.bytes().all(is_in_host)
        && zone.is_some() == text.contains('%')
        && url.is_some_and(|url| url.host_str().is_some_and(|host| !host.is_empty()))
}

/// Returns user name and password with special characters encoded. If they contain a control character, such as a
/// line break, they are returned unchanged, and the link is refused later, because the character is a mistake.
fn encoded(user_info: &str) -> String {
    if user_info.contains(char::is_control) {
        return user_info.to_owned();
    }
    utf8_percent_encode(user_info, SPECIAL).to_string()
}

/// Returns user name and password, separated by a colon, with as few percent escapes as possible, because FFmpeg
/// limits the length of this part of a URL.
pub(super) fn user_info_for_ffmpeg(user_info: &str) -> String {
    let decoded = |text| percent_decode_str(text).collect::<Vec<u8>>();
    let (name, password) = user_info.split_once(':').unwrap_or((user_info, ""));
    let (name, password) = (decoded(name), decoded(password));
    let name = percent_encode(&name, SPECIAL_IN_NAME);
    format!("{name}:{}", percent_encode(&password, SPECIAL_IN_PASSWORD))
}

/// Returns the path and the query without the parameter `enableSrtp`.
fn without_srtp(path: &str) -> String {
    let Some((path, query)) = path.split_once('?') else { return path.to_owned() };
    let kept: Vec<_> = query.split('&').filter(|it| *it != "enableSrtp").collect();
    if kept.is_empty() { path.to_owned() } else { format!("{path}?{}", kept.join("&")) }
}

/// Returns a string that is equal for all spellings of a link. Spellings can differ in upper and lower case of
/// the host name, in whether they contain the default port or an empty query, and in percent escapes of characters
/// without a special meaning. The string contains the secrets of the link.
pub(super) fn meaning(url: &Url, host: &str, port: u16) -> String {
    let canonical = |text: &str| {
        let decoded: Vec<u8> = percent_decode_str(text).collect();
        percent_encode(&decoded, SPECIAL_IN_NAME).to_string()
    };
    let [name, password] = [url.username(), url.password().unwrap_or_default()].map(canonical);
    // A host in brackets can contain the name of a network interface, which is case-sensitive. The URL parser has
    // already converted the IPv6 address to lower case.
    let host = if host.starts_with('[') { host.to_owned() } else { host.to_ascii_lowercase() };
    let path = path_and_query(url);
    let path = path.strip_suffix('?').unwrap_or(&path);
    let path = if path.is_empty() { "/" } else { path };
    let fragment = url.fragment().unwrap_or_default();
    // No part contains a line break, because control characters are percent-encoded. So the line breaks between
    // the parts are unambiguous.
    [url.scheme(), &name, &password, &host, &port.to_string(), &unescaped(path), fragment]
        .join("\n")
}

/// Returns `text` with percent escapes decoded. Escapes of characters that have a meaning in paths and queries,
/// or that cannot be printed, are kept and converted to upper case.
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

/// The words with which the lean FFmpeg reports the target of a redirect (see `deploy/ffmpeg/redirect.patch`).
pub(crate) const UNFOLLOWED_REDIRECT: &str = "Not following the redirect to ";
/// The words with which Debian's FFmpeg reports the target of a redirect that it follows.
pub(crate) const FOLLOWED_REDIRECT: &str = ": Redirecting to ";

/// Returns the position of the target in a message about a redirect; `None` for other messages. The target
/// extends to the end of the message, and may lack a scheme.
pub(super) fn redirect_target(text: &str) -> Option<usize> {
    let words = [UNFOLLOWED_REDIRECT, FOLLOWED_REDIRECT];
    words.iter().find_map(|words| Some(text.find(words)? + words.len()))
}

/// Returns the target of a redirect with its credentials replaced with `***`. `hide_values` replaces the secret
/// values in the rest of the target.
pub(super) fn target_without_credentials(
    target: &str,
    hide_values: impl Fn(&str) -> String,
) -> String {
    let link = target.split_once("://").filter(|(scheme, _)| is_scheme(scheme));
    let (scheme, rest) =
        link.map_or(("", target), |(scheme, rest)| (&target[..scheme.len() + 3], rest));
    let (user_info, rest) = match rest.rsplit_once('@') {
        Some((_, rest)) => ("***@", rest),
        None => ("", rest),
    };
    let (host, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    format!("{scheme}{user_info}{host}{}", hide_values(path))
}

/// Returns `text` with the credentials of every link in it replaced with `***`. Links of other cameras are
/// included, because a camera may redirect to a link that contains the password of another camera.
/// `hide_values` replaces the secret values in the rest of a link.
pub(super) fn without_credentials(text: &str, hide_values: impl Fn(&str) -> String) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + "://".len());
        result.push_str(before);
        // A password may contain characters that are not encoded, even spaces, so the last @ before the next
        // link ends the credentials.
        let (user_info, after) = match after[..next_link(after)].rfind('@') {
            Some(at) => ("***@", &after[at + 1..]),
            None => ("", after),
        };
        let target = &after[..after.find(ends_link).unwrap_or(after.len())];
        let path = target.find(['/', '?', '#']).unwrap_or(target.len());
        result.push_str(user_info);
        result.push_str(&target[..path]);
        result.push_str(&hide_values(&target[path..]));
        rest = &after[target.len()..];
    }
    result + rest
}

/// Returns the position of the next link in `text`, or the length of `text`. A link begins after white space, a
/// quotation mark or an angle bracket. A `://` in any other position may be part of a password.
fn next_link(text: &str) -> usize {
    let schemes = text.match_indices("://").filter_map(|(end, _)| {
        let begin = text[..end].rfind(ends_link)? + 1;
        text.get(begin..end).filter(|scheme| is_scheme(scheme)).map(|_| begin)
    });
    schemes.min().unwrap_or(text.len())
}

fn ends_link(character: char) -> bool {
    character.is_whitespace() || matches!(character, '\'' | '"' | '<' | '>')
}

fn is_scheme(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
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
            ("rtsp://a:b@[fe80::1%eth0]:/x", "rtsp://a:b@[fe80::1%25eth0]/x"),
            ("rtsp://a:b/@[fe80::1%25eth0]/x", "rtsp://a:b%2F@[fe80::1%25eth0]/x"),
            ("rtsp://admin@cam/x", "rtsp://admin:@cam/x"),
            ("rtsp://admin:@cam/x", "rtsp://admin:@cam/x"),
            ("rtsp://a:p@ss@cam", "rtsp://a:p@ss@cam"),
            ("rtsps://h:7441/KEY?enableSrtp", "rtsps://h:7441/KEY"),
            ("rtsps://h/KEY?a=1&enableSrtp&b=2", "rtsps://h/KEY?a=1&b=2"),
            ("rtsp://h/KEY?enableSrtp", "rtsp://h/KEY?enableSrtp"),
            ("\u{feff}rtsp://h/x\u{200b}\u{a0}", "rtsp://h/x"),
            ("\" rtsp://h/x\"", "rtsp://h/x"),
            ("<rtsp://h/x>", "rtsp://h/x"),
            ("rtsp://a:b%c:d@h/x", "rtsp://a:b%c:d@h/x"),
            ("rtsp://a:b/c?d#e@h:554/x", "rtsp://a:b%2Fc%3Fd%23e@h:554/x"),
            ("rtsp://a:b/@[::1]/x", "rtsp://a:b%2F@[::1]/x"),
            ("rtsp://a:b 'ä\"\\@h/x", "rtsp://a:b%20%27%C3%A4%22%5C@h/x"),
            // In these links, it is unclear where the password ends, or what the host is.
            ("rtsp://a:12/3@h/x", "rtsp://a:12/3@h/x"),
            ("rtsp://a:b@c/d@h/x", "rtsp://a:b@c/d@h/x"),
            ("rtsp://a:b/c@h/x@2", "rtsp://a:b/c@h/x@2"),
            ("rtsp://h/x@y", "rtsp://h/x@y"),
            ("rtsp://a:b/c@h$/x", "rtsp://a:b/c@h$/x"),
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
        let meaning = |link: &str| {
            let url = Url::parse(link).expect(link);
            meaning(&url, url.host_str().expect(link), 554)
        };
        let same = [
            ("rtsp://H/x", "rtsp://h/x"),
            ("rtsp://h", "rtsp://h/"),
            ("rtsp://h/x?", "rtsp://h/x"),
            ("rtsp://a:b%21@h/x%21", "rtsp://a:b!@h/x!"),
            ("rtsp://h/%2f%7e", "rtsp://h/%2F~"),
            ("rtsp://h/%zz%", "rtsp://h/%zz%"),
            ("rtsp://a%0A:%3a@h/x", "rtsp://a%0a::@h/x"),
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
            ("rtsp://a:b%FE@h/x", "rtsp://a:b%FF@h/x"),
            ("rtsp://a:%250A@h/x", "rtsp://a:%0A@h/x"),
        ];
        for (one, other) in different {
            assert_ne!(meaning(one), meaning(other), "{one} {other}");
        }
    }

    #[test]
    fn a_line_break_in_the_credentials_does_not_move_their_boundary() {
        let meaning = |link: &str| {
            let url = Url::parse(link).expect(link);
            meaning(&url, "h", 554)
        };
        assert_ne!(meaning("rtsp://a:b%0A@h/x"), meaning("rtsp://a%0Ab:@h/x"));
        assert_ne!(meaning("rtsp://a:%0A@h/x"), meaning("rtsp://a%0A:@h/x"));
    }

    #[test]
    fn credentials_of_any_link_are_hidden() {
        let hide = |path: &str| path.replace("secret", "***");
        let table = [
            ("Redirecting to rtsp://u:p@h:1/x", "Redirecting to rtsp://***@h:1/x"),
            ("'rtsp://u:p/w@h/x?key=secret' failed", "'rtsp://***@h/x?key=***' failed"),
            ("rtsp://a:b@h rtsp://h/y http://c@d", "rtsp://***@h rtsp://h/y http://***@d"),
            ("rtsp://u:p w'/ä@h 'rtsp://g'", "rtsp://***@h 'rtsp://g'"),
            ("rtsp://u:a://b@h", "rtsp://***@h"),
            ("no link: a@b", "no link: a@b"),
        ];
        for (text, expected) in table {
            assert_eq!(without_credentials(text, hide), expected);
        }
        let targets = [
            ("rtsp://u:p w@h/x?key=secret y", "rtsp://***@h/x?key=*** y"),
            ("/x?key=secret", "/x?key=***"),
            ("u:p@h", "***@h"),
            ("u:p://q@h", "***@h"),
        ];
        for (target, expected) in targets {
            let message = format!("Status 302{FOLLOWED_REDIRECT}{target}");
            let at = redirect_target(&message).expect("a redirect");
            assert_eq!(target_without_credentials(&message[at..], hide), expected);
        }
    }
}
