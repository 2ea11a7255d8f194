//! The tracks of a camera, as FFmpeg prints them.

/// The largest number of tracks of each kind that are read.
const MAX_TRACKS: usize = 8;
/// A part of FFmpeg's message about an audio track whose codec FFmpeg does not know.
const UNKNOWN_AUDIO: &str = "(Audio: none";

/// The tracks of FFmpeg's input.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tracks {
    /// FFmpeg's names of the video codecs, such as `h264`.
    pub(super) video: Vec<String>,
    /// FFmpeg's names of the audio codecs, such as `aac`.
    pub(super) audio: Vec<String>,
    /// FFmpeg's names of the audio tracks, such as `#0:1`.
    audio_names: Vec<String>,
    /// True if the camera has a track of audio whose codec FFmpeg does not know. This track is not in `audio`.
    pub(super) has_unknown_audio: bool,
    /// True if FFmpeg has printed all tracks.
    is_complete: bool,
}

impl Tracks {
    /// Reads a line of FFmpeg's output. Returns true for the first line after the tracks.
    pub(super) fn read(&mut self, line: &str) -> bool {
        if self.is_complete {
            return false;
        }
        self.is_complete = line.contains("Output #0") || line.contains("Stream mapping:");
        // FFmpeg lists a track of an unknown codec as `Unknown: none`. Only an earlier message, with `(Audio: none`,
        // shows that the track is audio.
        self.has_unknown_audio |= line.contains(UNKNOWN_AUDIO);
        if let Some((_, codec)) = described(line, "Video") {
            push(&mut self.video, codec);
        }
        if let Some((name, codec)) = described(line, "Audio") {
            push(&mut self.audio, codec);
            push(&mut self.audio_names, name);
        }
        self.is_complete
    }

    /// Returns whether a message names an audio track as a decoder's input.
    pub(super) fn names_audio(&self, message: &str) -> bool {
        self.audio_names.iter().any(|name| message.contains(&format!("input stream {name} ")))
    }
}

/// Returns the name and the codec of the input's track in a line, such as `#0:1` and `aac`; `None` if the line does
/// not describe a track of this kind.
fn described<'a>(line: &'a str, kind: &str) -> Option<(&'a str, &'a str)> {
    let (_, track) = line.split_once("Stream #0:")?;
    let (number, description) = track.split_once(&format!(": {kind}: "))?;
    let digits = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    let start = line.len() - track.len();
    let name = &line[start - "#0:".len()..start + digits];
    let is_of_codec = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let end = description.find(|c| !is_of_codec(c)).unwrap_or(description.len());
    Some((name, &description[..end]))
}

fn push(list: &mut Vec<String>, name: &str) {
    if list.len() < MAX_TRACKS {
        list.push(name.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tracks_of_the_input_are_read() {
        let output = "[info] Input #0, concat, from 'pipe:0':\n\
                      [info]   Stream #0:0: Audio: pcm_mulaw, 8000 Hz, mono, s16, 64 kb/s\n\
                      [info]   Stream #0:1[0x2](eng): Video: h264 (High), yuv420p, 320x192\n\
                      [info]   Stream #0:2(eng): Audio: aac (LC), 48000 Hz, mono, fltp\n\
                      [info]   Stream #0:3: Data: none\n\
                      [info] Output #0, nut, to 'pipe:1':\n\
                      [info]   Stream #0:0: Video: h264 (High) (H264 / 0x34363248), yuv420p";
        let mut tracks = Tracks::default();
        let ends: Vec<_> = output.lines().map(|line| tracks.read(line)).collect();
        assert_eq!(ends, [false, false, false, false, false, true, false]);
        assert_eq!(
            (&*tracks.video, &*tracks.audio),
            (&["h264".into()][..], &["pcm_mulaw".into(), "aac".into()][..])
        );
        assert!(tracks.names_audio("Error while opening decoder for input stream #0:2 : Invalid"));
        assert!(!tracks.names_audio("Error while opening decoder for input stream #0:1 : Invalid"));
    }

    #[test]
    fn a_track_of_audio_with_an_unknown_codec_is_noted() {
        let output = "[rtsp @ 0x1] [warning] Could not find codec parameters for stream 1 (Audio: none, 8000 Hz, \
                      mono): unknown codec\n\
                      [info]   Stream #0:0: Video: h264 (High), yuv420p, 320x192\n\
                      [info]   Stream #0:1: Unknown: none\n\
                      [info] Output #0, nut, to 'pipe:1':";
        let mut tracks = Tracks::default();
        for line in output.lines() {
            tracks.read(line);
        }
        assert!(tracks.has_unknown_audio && tracks.audio.is_empty(), "{tracks:?}");
        let mut tracks = Tracks::default();
        tracks.read(
            "[concat @ 0x1] [warning] Could not find codec parameters for stream 1 (Unknown: none)",
        );
        assert!(!tracks.has_unknown_audio, "{tracks:?}");
    }

    #[test]
    fn the_number_of_tracks_is_limited() {
        let mut tracks = Tracks::default();
        for number in 0..100 {
            tracks.read(&format!("Stream #0:{number}: Audio: aac"));
            tracks.read(&format!("Stream #0:{number}: Video: "));
        }
        assert_eq!((tracks.audio.len(), tracks.video.len()), (MAX_TRACKS, MAX_TRACKS));
    }
}
