//! Changes of an offer's text that leave out what a player would also like. Each line stays in its section, so that the
//! answer fits the offer. Pure.

/// Returns an offer in which the player only receives. Players of go2rtc also offer a microphone: its section becomes
/// inactive, or recvonly if the player would receive in the same section.
pub(crate) fn only_watching(offer: &str) -> String {
    changed(offer, |line, _| match line {
        "a=sendrecv" => Some("a=recvonly"),
        "a=sendonly" => Some("a=inactive"),
        // These lines describe what the player would send.
        _ if ["a=ssrc:", "a=ssrc-group:", "a=msid:"].iter().any(|it| line.starts_with(it)) => None,
        _ => Some(line),
    })
}

/// Returns an offer whose audio is inactive.
pub(crate) fn without_audio(offer: &str) -> String {
    changed(offer, |line, is_audio| match line {
        "a=recvonly" | "a=sendrecv" if is_audio => Some("a=inactive"),
        _ => Some(line),
    })
}

/// Returns the offer with the lines that `change` returns for each line. `change` also gets whether the line is part of
/// a section for audio.
fn changed<'a>(offer: &'a str, change: impl Fn(&'a str, bool) -> Option<&'a str>) -> String {
    let mut changed = String::with_capacity(offer.len());
    let mut is_audio = false;
    for line in offer.lines().map(str::trim_end) {
        if line.starts_with("m=") {
            is_audio = line.starts_with("m=audio");
        }
        if let Some(line) = change(line, is_audio) {
            changed.push_str(line);
            changed.push_str("\r\n");
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: &str = "v=0\r\nm=audio 9\r\na=sendonly\r\na=ssrc:1 cname:x\r\nm=video 9\r\na=recvonly\r\nm=audio 9\r\na=sendrecv\r\na=mid:2\r\n";

    #[test]
    fn a_player_only_receives() {
        let expected = "v=0\r\nm=audio 9\r\na=inactive\r\nm=video 9\r\na=recvonly\r\nm=audio 9\r\na=recvonly\r\na=mid:2\r\n";
        assert_eq!(only_watching(OFFER), expected);
    }

    #[test]
    fn only_audio_becomes_inactive() {
        let expected = "v=0\r\nm=audio 9\r\na=inactive\r\nm=video 9\r\na=recvonly\r\nm=audio 9\r\na=inactive\r\na=mid:2\r\n";
        assert_eq!(without_audio(&only_watching(OFFER)), expected);
    }
}
