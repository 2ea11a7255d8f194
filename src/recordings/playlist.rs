//! Media playlists and I-frame playlists of recordings (RFC 8216). Their segments are byte ranges of recorded files, of
//! which nothing is copied. Pure.
//!
//! A playlist of the past never changes (`VOD`). While its span is still being recorded, further segments are added at the
//! end (`EVENT`).
//!
//! Segments that are converted to H.264 have URLs of their own instead of ranges.

use std::fmt::Write as _;

use super::file_url::{ConvertedUrl, FileUrl};
use super::footage::{Footage, RecordedFootage};
use super::segments::{MAX_SEGMENT_MS, Segment};
use crate::base::time::rfc3339_millis;
use crate::store::db::recording_table::RecordedFile;

/// The kind of a playlist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PlaylistKind {
    /// All frames.
    Media,
    /// Only keyframes, for scrubbing.
    Keyframes,
}

/// Renders a playlist; `None` if it would have no segments. The segments of files with the formats `converted` are converted
/// to H.264.
pub(crate) fn render(footage: &Footage, kind: PlaylistKind, converted: &[i64]) -> Option<String> {
    let segments = |file: &RecordedFootage| match kind {
        PlaylistKind::Media => footage.needed(file).segments(),
        PlaylistKind::Keyframes => footage.needed(file).keyframes(),
    };
    let files = footage.files.iter().map(|file| (file, segments(file)));
    let files: Vec<_> = files.filter(|(_, segments)| !segments.is_empty()).collect();
    let (first, first_segments) = files.first()?;
    let count: usize = files.iter().map(|(_, segments)| segments.len()).sum();
    let mut text = String::with_capacity(512 + 100 * count);
    let longest = files.iter().flat_map(|(_, segments)| segments).map(|it| it.duration_ms).max();
    let start = first_segments.first().map(|segment| start_offset(footage, first, segment));
    render_head(&mut text, footage, kind, longest.unwrap_or(0), start.unwrap_or(0));
    let mut before: Option<&RecordedFootage> = None;
    for (file, segments) in &files {
        let is_continuous = before.is_some_and(|before| before.file.is_continued_by(&file.file));
        if before.is_some() && !is_continuous {
            line(&mut text, format_args!("#EXT-X-DISCONTINUITY"));
        }
        let name = FileUrl::of(&file.file);
        let is_converted = converted.contains(&file.file.format);
        if !is_continuous {
            render_map(&mut text, &file.file, is_converted);
        }
        for (index, segment) in segments.iter().enumerate() {
            if index == 0 {
                let date = file.file.start_at.saturating_add(segment.begin_ms.into());
                line(&mut text, format_args!("#EXT-X-PROGRAM-DATE-TIME:{}", rfc3339_millis(date)));
            }
            let Segment { offset, size, duration_ms, .. } = *segment;
            let (seconds, millis) = (duration_ms / 1000, duration_ms % 1000);
            line(&mut text, format_args!("#EXTINF:{seconds}.{millis:03},"));
            if is_converted {
                let url = ConvertedUrl { file: name, bytes: Some((offset, size)) };
                line(&mut text, format_args!("{url}"));
            } else {
                line(&mut text, format_args!("#EXT-X-BYTERANGE:{size}@{offset}\n{name}"));
            }
        }
        before = Some(file);
    }
    if footage.is_complete {
        line(&mut text, format_args!("#EXT-X-ENDLIST"));
    }
    Some(text)
}

/// Returns the time in milliseconds between the beginning of the first segment and the beginning of the span.
fn start_offset(footage: &Footage, first: &RecordedFootage, segment: &Segment) -> i64 {
    let begin = first.file.start_at.saturating_add(segment.begin_ms.into());
    footage.span.from.saturating_sub(begin).clamp(0, segment.duration_ms.into())
}

fn render_head(
    text: &mut String,
    footage: &Footage,
    kind: PlaylistKind,
    longest_ms: u32,
    start_ms: i64,
) {
    // Playlists that grow must not change the target duration. A segment exceeds it only if the camera has sent nothing for
    // seconds. Keyframes last until the next one, which can take longer.
    let target = longest_ms.max(MAX_SEGMENT_MS).div_ceil(1000);
    let playlist_type = if footage.is_complete { "VOD" } else { "EVENT" };
    line(text, format_args!("#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:{target}"));
    line(text, format_args!("#EXT-X-PLAYLIST-TYPE:{playlist_type}\n#EXT-X-MEDIA-SEQUENCE:0"));
    match kind {
        // Without this tag, players would begin near the end of a playlist that grows.
        PlaylistKind::Media => {
            let (seconds, millis) = (start_ms / 1000, start_ms % 1000);
            let start = format_args!("#EXT-X-START:TIME-OFFSET={seconds}.{millis:03},PRECISE=YES");
            line(text, start);
        }
        PlaylistKind::Keyframes => line(text, format_args!("#EXT-X-I-FRAMES-ONLY")),
    }
}

/// Renders the reference to the init segment of a file.
fn render_map(text: &mut String, file: &RecordedFile, is_converted: bool) {
    let name = FileUrl::of(file);
    if is_converted {
        let url = ConvertedUrl { file: name, bytes: None };
        line(text, format_args!("#EXT-X-MAP:URI=\"{url}\""));
    } else {
        let length = file.init_bytes;
        line(text, format_args!("#EXT-X-MAP:URI=\"{name}\",BYTERANGE=\"{length}@0\""));
    }
}

fn line(text: &mut String, content: std::fmt::Arguments<'_>) {
    // Writing to a String does not fail.
    let _ = writeln!(text, "{content}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time_span::TimeSpan;
    use crate::recordings::testing::file;

    const START: i64 = 1_795_986_120_000;

    fn footage(files: Vec<RecordedFootage>, is_complete: bool) -> Footage {
        Footage { span: TimeSpan { from: START + 2_500, to: START + 90_000 }, files, is_complete }
    }

    #[test]
    fn a_playlist_of_the_past_is_rendered() {
        let files =
            vec![file(1, 7, START, 3), file(2, 7, START + 6_000, 1), file(3, 9, START + 60_000, 1)];
        let text = render(&footage(files, true), PlaylistKind::Media, &[]).expect("a playlist");
        let expected = "\
#EXTM3U
#EXT-X-VERSION:7
#EXT-X-TARGETDURATION:10
#EXT-X-PLAYLIST-TYPE:VOD
#EXT-X-MEDIA-SEQUENCE:0
#EXT-X-START:TIME-OFFSET=0.500,PRECISE=YES
#EXT-X-MAP:URI=\"1795986120000-7.mp4\",BYTERANGE=\"900@0\"
#EXT-X-PROGRAM-DATE-TIME:2026-11-29T21:02:02.000Z
#EXTINF:2.000,
#EXT-X-BYTERANGE:450@1350
1795986120000-7.mp4
#EXTINF:2.000,
#EXT-X-BYTERANGE:450@1800
1795986120000-7.mp4
#EXT-X-PROGRAM-DATE-TIME:2026-11-29T21:02:06.000Z
#EXTINF:2.000,
#EXT-X-BYTERANGE:450@900
1795986126000-7.mp4
#EXT-X-DISCONTINUITY
#EXT-X-MAP:URI=\"1795986180000-9.mp4\",BYTERANGE=\"900@0\"
#EXT-X-PROGRAM-DATE-TIME:2026-11-29T21:03:00.000Z
#EXTINF:2.000,
#EXT-X-BYTERANGE:450@900
1795986180000-9.mp4
#EXT-X-ENDLIST
";
        assert_eq!(text, expected);
    }

    #[test]
    fn keyframes_are_listed_alone() {
        let files = vec![file(1, 7, START, 3)];
        let text = render(&footage(files, true), PlaylistKind::Keyframes, &[]).expect("a playlist");
        let lines: Vec<_> = text.lines().skip(5).collect();
        let expected = [
            "#EXT-X-I-FRAMES-ONLY",
            "#EXT-X-MAP:URI=\"1795986120000-7.mp4\",BYTERANGE=\"900@0\"",
            "#EXT-X-PROGRAM-DATE-TIME:2026-11-29T21:02:02.000Z",
            "#EXTINF:2.000,",
            "#EXT-X-BYTERANGE:100@1350",
            "1795986120000-7.mp4",
            "#EXTINF:2.000,",
            "#EXT-X-BYTERANGE:100@1800",
            "1795986120000-7.mp4",
            "#EXT-X-ENDLIST",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn converted_segments_have_urls_of_their_own() {
        let mut files = vec![file(1, 7, START, 2), file(2, 9, START + 60_000, 1)];
        files[1].file.format = 2;
        let rendered =
            |kind| render(&footage(files.clone(), true), kind, &[1]).expect("a playlist");
        let text = rendered(PlaylistKind::Media);
        let lines: Vec<_> = text.lines().skip(6).filter(|it| !it.contains("DATE")).collect();
        let expected = [
            "#EXT-X-MAP:URI=\"h264/1795986120000-7.mp4\"",
            "#EXTINF:2.000,",
            "h264/1795986120000-7-1350-450.m4s",
            "#EXT-X-DISCONTINUITY",
            "#EXT-X-MAP:URI=\"1795986180000-9.mp4\",BYTERANGE=\"900@0\"",
            "#EXTINF:2.000,",
            "#EXT-X-BYTERANGE:450@900",
            "1795986180000-9.mp4",
            "#EXT-X-ENDLIST",
        ];
        assert_eq!(lines, expected);
        let keyframes = rendered(PlaylistKind::Keyframes);
        assert!(keyframes.contains("\nh264/1795986120000-7-1350-100.m4s\n"), "{keyframes}");
    }

    #[test]
    fn a_playlist_grows_only_at_its_end() {
        let all = file(1, 7, START, 20);
        let mut before = String::new();
        for length in 4..all.fragments.len() {
            let file = RecordedFile { is_open: true, ..all.file.clone() };
            let fragments = all.fragments[..length].to_vec();
            let growing = footage(vec![RecordedFootage { file, fragments }], false);
            for kind in [PlaylistKind::Media, PlaylistKind::Keyframes] {
                let text = render(&growing, kind, &[]);
                let Some(text) = text.filter(|_| kind == PlaylistKind::Media) else { continue };
                assert!(text.contains(":EVENT\n") && !text.contains("ENDLIST"), "{text}");
                assert!(text.starts_with(&before), "{text}");
                before = text;
            }
        }
        assert!(before.lines().filter(|line| line.starts_with("#EXTINF")).count() > 10);
    }

    #[test]
    fn there_is_no_playlist_without_segments() {
        assert_eq!(render(&footage(Vec::new(), true), PlaylistKind::Media, &[]), None);
        let open = RecordedFile { is_open: true, ..file(1, 7, START, 1).file };
        let growing = RecordedFootage { file: open, ..file(1, 7, START, 1) };
        assert_eq!(render(&footage(vec![growing], false), PlaylistKind::Media, &[]), None);
    }
}
