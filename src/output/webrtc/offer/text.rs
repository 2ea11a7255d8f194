//! The check of an offer's text, before and after the library parses it.
//!
//! The library expects the offers of well-behaved players. It panics if two codecs share a payload type. The time that it
//! needs grows with the third power of the number of attributes. So offers with too many attributes never reach it, and
//! it uses no offer that contradicts itself.

use std::collections::{HashMap, HashSet};

use str0m::change::SdpOffer;
use str0m::media::{Direction, Mid};

use crate::base::error::{Error, ErrorKind};

/// The largest number of media sections. Browsers offer one for video and one for audio.
const MAX_SECTIONS: usize = 8;
/// The largest number of lines of a section, without those that are ignored. Chromium's section for video has 170.
const MAX_LINES: usize = 256;
/// The largest number of parameters of one format. Browsers send up to 4.
const MAX_PARAMETERS: usize = 32;
/// Lines that are ignored: the viewer's candidates, which are not used; several encodings of one track; and bandwidths.
const IGNORED: [&str; 6] =
    ["a=candidate:", "a=end-of-candidates", "a=simulcast:", "a=rid:", "a=ssrc-group:SIM", "b="];

/// Parses an offer. Returns the names of its media sections as well.
pub(super) fn parse(text: &str) -> Result<(SdpOffer, Vec<Mid>), Error> {
    let text = used_lines(text)?;
    let offer = SdpOffer::from_sdp_string(&text).map_err(|error| invalid(&error.to_string()))?;
    let names = ensure_consistent(&offer)?;
    Ok((offer, names))
}

/// Returns the lines that are used.
fn used_lines(text: &str) -> Result<String, Error> {
    let mut used = String::with_capacity(text.len());
    let (mut sections, mut lines) = (0, 0);
    // The payload types of the current section.
    let mut mapped = HashSet::new();
    for line in text.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
        if IGNORED.iter().any(|ignored| line.starts_with(ignored)) {
            continue;
        }
        if line.contains('\r') {
            return Err(invalid("it has a line that does not end with CR LF"));
        }
        if line.starts_with("m=") {
            (sections, lines) = (sections + 1, 0);
            mapped.clear();
        }
        lines += 1;
        if sections > MAX_SECTIONS {
            return Err(invalid(&format!("it has more than {MAX_SECTIONS} media sections")));
        }
        if lines > MAX_LINES {
            return Err(invalid(&format!("a media section has more than {MAX_LINES} lines")));
        }
        if line.starts_with("m=application") {
            return Err(invalid("it has a data channel, which the manager does not support"));
        }
        if let Some(value) = line.strip_prefix("a=rtpmap:")
            && !mapped.insert(value.split(' ').next())
        {
            return Err(invalid("a payload type stands for two codecs"));
        }
        let Some(line) = in_one_line(line)? else { continue };
        used.push_str(line);
        used.push_str("\r\n");
    }
    Ok(used)
}

/// Returns a line in a form from which the library does not read on into the next line; `None` if the line has no such
/// form.
fn in_one_line(line: &str) -> Result<Option<&str>, Error> {
    if line.starts_with("a=extmap:") && !line.contains(' ') {
        return Ok(None);
    }
    if !line.starts_with("a=fmtp:") {
        return Ok(Some(line));
    }
    if line.split(';').count() > MAX_PARAMETERS {
        return Err(invalid(&format!("a format has more than {MAX_PARAMETERS} parameters")));
    }
    // After a semicolon, the library takes the next line as a parameter.
    Ok(Some(line.trim_end_matches(|c: char| c == ';' || c.is_whitespace())))
}

/// Fails if the offer contradicts itself, or if it offers to send something. Returns the names of its media sections.
fn ensure_consistent(offer: &SdpOffer) -> Result<Vec<Mid>, Error> {
    let (mut names, mut types) = (Vec::new(), HashMap::new());
    for section in &offer.media_lines {
        let name = section.mid();
        if names.contains(&name) {
            return Err(invalid(&format!("two media sections have the name {name}")));
        }
        names.push(name);
        if !matches!(section.direction(), Direction::RecvOnly | Direction::Inactive) {
            let reason =
                format!("media section {name} must be recvonly, because players only watch");
            return Err(invalid(&reason));
        }
        for format in section.rtp_params() {
            // Browsers use a payload type in several sections, but always for the same codec.
            let used = [(Some(format.pt()), None), (format.resend(), Some(format.pt()))];
            for (number, repeats) in used {
                let Some(number) = number else { continue };
                let meaning = (format.spec(), repeats);
                let before = types.insert(number, (name, meaning));
                if before.is_some_and(|before| before.0 == name || before.1 != meaning) {
                    return Err(invalid(&format!("payload type {number} is used twice")));
                }
            }
        }
    }
    Ok(names)
}

/// Returns the error of an offer that cannot be used, for this reason.
pub(super) fn invalid(reason: &str) -> Error {
    Error::new(ErrorKind::InvalidRequest, format!("the SDP offer cannot be used: {reason}"))
}
