//! The check of an offer's text, before and after the library parses it.
//!
//! The library expects the offers of well-behaved players. It panics if two codecs share a payload type. The time that it
//! needs grows with the third power of the number of attributes. So offers with too many attributes never reach it, and
//! it uses no offer that contradicts itself.

use std::collections::{HashMap, HashSet};

use str0m::change::SdpOffer;
use str0m::media::Mid;

use crate::base::error::{Error, ErrorKind};

/// The largest number of media sections. Browsers offer one for video and one for audio.
const MAX_SECTIONS: usize = 8;
/// The largest number of lines of a section, without those that are ignored. Chromium's section for video has 170.
const MAX_LINES: usize = 256;
/// The largest number of parameters of one format. Browsers send up to 4.
const MAX_PARAMETERS: usize = 32;
/// Lines that are ignored: the viewer's candidates, which are not used; several encodings of one track; what the viewer
/// would send; and bandwidths.
const IGNORED: [&str; 7] =
    ["a=candidate:", "a=end-of-candidates", "a=simulcast:", "a=rid:", "a=ssrc", "a=msid:", "b="];
/// The directions of a section. Without a direction, the first one applies.
const DIRECTIONS: [&str; 4] = [SENDRECV, RECVONLY, "a=sendonly", INACTIVE];
const SENDRECV: &str = "a=sendrecv";
const RECVONLY: &str = "a=recvonly";
const INACTIVE: &str = "a=inactive";
/// The begin of the line with the names of the sections that share a connection.
const BUNDLE: &str = "a=group:BUNDLE ";
/// The begin of a section for audio.
const AUDIO: &str = "m=audio";
/// A payload type without a codec.
const NO_TYPE: &str = "127";
/// Lines that describe the codecs of a section.
const CODECS: [&str; 3] = ["a=rtpmap:", "a=fmtp:", "a=rtcp-fb:"];

/// The sound that an answer promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sound {
    /// The sound that the viewer wants.
    AsOffered,
    /// None, because the stream has no sound that the viewer can get.
    Refused,
}

/// Parses an offer. Returns the names of its media sections as well.
pub(super) fn parse(text: &str, sound: Sound) -> Result<(SdpOffer, Vec<Mid>), Error> {
    let text = used_lines(text, sound)?;
    let offer = SdpOffer::from_sdp_string(&text).map_err(|error| invalid(&error.to_string()))?;
    let names = ensure_consistent(&offer)?;
    Ok((offer, names))
}

/// Returns the lines that are used.
fn used_lines(text: &str, sound: Sound) -> Result<String, Error> {
    // The lines before the first section, and those of each section.
    let mut parts = vec![Vec::new()];
    // The payload types of the current section.
    let mut mapped = HashSet::new();
    for line in text.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
        if IGNORED.iter().any(|ignored| line.starts_with(ignored)) {
            continue;
        }
        if line.contains('\r') {
            return Err(invalid("it has a line that does not end with CR LF"));
        }
        if line.starts_with("m=application") {
            return Err(invalid("it has a data channel, which the manager does not support"));
        }
        if line.starts_with("m=") {
            parts.push(Vec::new());
            mapped.clear();
        }
        if parts.len() > 1 + MAX_SECTIONS {
            return Err(invalid(&format!("it has more than {MAX_SECTIONS} media sections")));
        }
        if let Some(value) = line.strip_prefix("a=rtpmap:")
            && !mapped.insert(value.split(' ').next())
        {
            return Err(invalid("a payload type stands for two codecs"));
        }
        let lines = parts.last_mut().map(|lines| {
            lines.push(line);
            lines.len()
        });
        if lines.is_some_and(|lines| lines > MAX_LINES) {
            return Err(invalid(&format!("a media section has more than {MAX_LINES} lines")));
        }
    }
    let Some((session, sections)) = parts.split_first() else { return Ok(String::new()) };
    sections.iter().try_for_each(|lines| ensure_complete(lines))?;
    let default = direction(session).unwrap_or(SENDRECV);
    let is_possible = |lines: &[&str]| {
        sound == Sound::AsOffered || lines.first().is_none_or(|line| !line.starts_with(AUDIO))
    };
    let is_wanted = |lines: &[&str]| {
        [SENDRECV, RECVONLY].contains(&direction(lines).unwrap_or(default)) && is_possible(lines)
    };
    let refused: Vec<_> =
        sections.iter().filter(|lines| !is_wanted(lines)).filter_map(|lines| name(lines)).collect();
    if refused.len() == sections.len() && !sections.is_empty() {
        return Err(no_video());
    }
    let mut used = String::with_capacity(text.len());
    for line in session.iter().filter(|line| !DIRECTIONS.contains(line)) {
        match line.strip_prefix(BUNDLE) {
            Some(names) => add(&without(names, &refused), &mut used),
            None => add(line, &mut used),
        }
    }
    for lines in sections {
        if is_wanted(lines) {
            for line in lines.iter().filter(|line| !DIRECTIONS.contains(line)) {
                let Some(line) = in_one_line(line)? else { continue };
                add(line, &mut used);
            }
            // The viewer's microphone is not used, so the manager answers as if the viewer did not offer to send.
            add(RECVONLY, &mut used);
        } else {
            add_refused(lines, &mut used);
        }
    }
    Ok(used)
}

/// Fails if a section has no name or no payload type. The library would ignore it, and the answer would have fewer sections
/// than the offer.
fn ensure_complete(lines: &[&str]) -> Result<(), Error> {
    if name(lines).is_none() {
        return Err(invalid("a media section has no name (a=mid)"));
    }
    let types = lines.first().and_then(|line| line.split(' ').nth(3)).unwrap_or_default();
    if types.is_empty() {
        return Err(invalid("a media section has no payload type"));
    }
    Ok(())
}

/// Returns the direction in these lines.
fn direction<'a>(lines: &[&'a str]) -> Option<&'a str> {
    lines.iter().find(|line| DIRECTIONS.contains(line)).copied()
}

/// Returns the name of the section with these lines.
fn name<'a>(lines: &[&'a str]) -> Option<&'a str> {
    lines.iter().find_map(|line| line.strip_prefix("a=mid:"))
}

/// Returns the group of the sections with these names, except for those that are refused.
fn without(names: &str, refused: &[&str]) -> String {
    let kept: Vec<_> = names.split(' ').filter(|name| !refused.contains(name)).collect();
    format!("{BUNDLE}{}", kept.join(" "))
}

/// Adds a section in which the viewer receives nothing, in the form of a refused section: with port 0, and without
/// codecs. The payload types of such a section can contradict those of other sections, for example if the viewer has a
/// section for the microphone.
fn add_refused(lines: &[&str], used: &mut String) {
    for line in lines.iter().filter(|line| !DIRECTIONS.contains(line)) {
        if line.starts_with("m=") {
            let mut fields = line.split(' ');
            let (kind, protocol) = (fields.next().unwrap_or_default(), fields.nth(1));
            add(&format!("{kind} 0 {} {NO_TYPE}", protocol.unwrap_or_default()), used);
        } else if !CODECS.iter().any(|prefix| line.starts_with(prefix)) {
            add(line, used);
        }
    }
    add(&format!("a=rtpmap:{NO_TYPE} none/90000"), used);
    add(INACTIVE, used);
}

fn add(line: &str, lines: &mut String) {
    lines.push_str(line);
    lines.push_str("\r\n");
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

/// Returns an answer of the library in a form that browsers accept. The library puts the candidates into the first section
/// even if that section is refused, and leaves out the payload type of refused sections.
pub(super) fn complete(answer: &str) -> String {
    let (candidates, lines): (Vec<_>, Vec<_>) =
        answer.lines().partition(|line| line.starts_with("a=candidate:"));
    let mut candidates = Some(candidates);
    let (mut complete, mut is_refused) = (String::with_capacity(answer.len()), true);
    for line in lines {
        if line.starts_with("m=") {
            is_refused = line.split(' ').nth(1) == Some("0");
        }
        let lacks_type = line.starts_with("m=") && line.ends_with(' ');
        add(&format!("{line}{}", if lacks_type { "0" } else { "" }), &mut complete);
        if line.starts_with("c=") && !is_refused {
            candidates.take().into_iter().flatten().for_each(|line| add(line, &mut complete));
        }
    }
    complete
}

/// Fails if the offer contradicts itself. Returns the names of its media sections.
fn ensure_consistent(offer: &SdpOffer) -> Result<Vec<Mid>, Error> {
    let (mut names, mut types) = (Vec::new(), HashMap::new());
    for section in &offer.media_lines {
        let name = section.mid();
        if names.contains(&name) {
            return Err(invalid(&format!("two media sections have the name {name}")));
        }
        names.push(name);
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

/// Returns the error of an offer without video that the manager can send.
pub(super) fn no_video() -> Error {
    let detail = "the offer has no video that the manager can send: it needs an active video section with H.264 in \
                  packetization mode 1";
    Error::new(ErrorKind::WebrtcUnsupported, detail)
}

/// Returns the error of an offer that cannot be used, for this reason.
pub(super) fn invalid(reason: &str) -> Error {
    Error::new(ErrorKind::InvalidRequest, format!("the SDP offer cannot be used: {reason}"))
}
