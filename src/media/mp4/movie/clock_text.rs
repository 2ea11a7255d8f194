//! A text track with the date of each second of a movie. It is off by default; players that show subtitles offer it.

use mp4_atom::{
    Co64, Codec, Dinf, Dref, FourCC, Hdlr, Mdhd, Mdia, Minf, Nmhd, Stbl, Stco, Stsc, StscEntry,
    Stsd, Stsz, StszSamples, Stts, SttsEntry, Tkhd, Trak, Tx3g, Url,
};

use crate::base::time::rfc3339;
use crate::media::mp4::track::{TICKS_PER_MS, VIDEO_TIMESCALE};

/// Number of the text track.
pub(super) const TEXT: u32 = 3;

/// The most texts, which are enough for two days. Damaged recordings could have any duration.
const MAX_TEXTS: u32 = 200_000;

/// The relation between the time of a movie and dates.
#[derive(Debug, Default)]
pub(super) struct ClockText {
    parts: Vec<Part>,
}

/// A part of a movie in which the date advances with the time.
#[derive(Debug, Clone, Copy)]
struct Part {
    /// The beginning, in ticks of the video track.
    begin: i64,
    /// A time of the movie, in the same unit.
    time: i64,
    /// The date of this time, in UTC milliseconds.
    date: i64,
}

/// The texts of a movie.
#[derive(Debug, Default)]
pub(super) struct ClockSamples {
    /// Durations, in ticks of the video track.
    times: Vec<SttsEntry>,
    count: u32,
    /// The size of each text in bytes.
    size: u32,
    /// The texts, each after its length.
    pub(super) data: Vec<u8>,
}

impl ClockText {
    /// Begins a part at the time `begin`, in which the time `time` has this date in UTC milliseconds.
    pub(super) fn begin(&mut self, time: i64, begin: i64, date: i64) {
        self.parts.push(Part { begin, time, date });
    }

    /// Returns the texts for the time from `from` to `until`.
    pub(super) fn samples(&self, from: i64, until: i64) -> ClockSamples {
        let mut samples = ClockSamples::default();
        let ends = self.parts.iter().skip(1).map(|next| next.begin).chain([until]);
        let mut time = from;
        for (part, end) in self.parts.iter().zip(ends) {
            while time < end.min(until) && samples.count < MAX_TEXTS {
                let since = time.saturating_sub(part.time).div_euclid(TICKS_PER_MS);
                let second = part.date.saturating_add(since).div_euclid(1000);
                let next = second.saturating_add(1).saturating_mul(1000).saturating_sub(part.date);
                let next = part.time.saturating_add(next.saturating_mul(TICKS_PER_MS));
                let stop = next.max(time.saturating_add(1)).min(end).min(until);
                samples.add(second, stop.saturating_sub(time));
                time = stop;
            }
        }
        samples
    }
}

impl ClockSamples {
    fn add(&mut self, second: i64, ticks: i64) {
        let date = rfc3339(u64::try_from(second).unwrap_or(0));
        let text = date.replace('T', " ").replace('Z', " UTC");
        let length = u16::try_from(text.len()).unwrap_or(0);
        self.data.extend_from_slice(&length.to_be_bytes());
        self.data.extend_from_slice(text.as_bytes());
        self.size = u32::from(length).saturating_add(2);
        self.count = self.count.saturating_add(1);
        let sample_delta = u32::try_from(ticks).unwrap_or(u32::MAX);
        match self.times.last_mut().filter(|entry| entry.sample_delta == sample_delta) {
            Some(entry) => entry.sample_count = entry.sample_count.saturating_add(1),
            None => self.times.push(SttsEntry { sample_count: 1, sample_delta }),
        }
    }

    /// Returns the track. All texts are one after the other at the position `position`.
    pub(super) fn track(&self, duration: u64, position: u64, is_large: bool) -> Trak {
        let small = u32::try_from(position).unwrap_or(u32::MAX);
        let stbl = Stbl {
            stsd: Stsd {
                codecs: vec![Codec::Tx3g(Tx3g { data_reference_index: 1, ..Tx3g::default() })],
            },
            stts: Stts { entries: self.times.clone() },
            stsc: Stsc {
                entries: vec![StscEntry {
                    first_chunk: 1,
                    samples_per_chunk: self.count,
                    sample_description_index: 1,
                }],
            },
            stsz: Stsz { samples: StszSamples::Identical { count: self.count, size: self.size } },
            stco: (!is_large).then(|| Stco { entries: vec![small] }),
            co64: is_large.then(|| Co64 { entries: vec![position] }),
            ..Stbl::default()
        };
        let dinf = Dinf { dref: Dref { entries: vec![Url::default().into()] } };
        let minf = Minf { nmhd: Some(Nmhd::default()), dinf, stbl, ..Minf::default() };
        let (timescale, language) = (VIDEO_TIMESCALE, "und".to_owned());
        Trak {
            tkhd: Tkhd { track_id: TEXT, duration, in_movie: true, ..Tkhd::default() },
            mdia: Mdia {
                mdhd: Mdhd { timescale, duration, language, ..Mdhd::default() },
                hdlr: Hdlr { handler: FourCC::new(b"sbtl"), name: "Clock".to_owned() },
                minf,
            },
            ..Trak::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_change_with_each_second_and_after_a_gap() {
        let mut text = ClockText::default();
        // The movie begins with a hidden half second.
        text.begin(0, 0, 1_795_986_120_400);
        text.begin(225_000, 225_000, 1_795_989_720_000);
        let samples = text.samples(45_000, 300_000);
        let texts: Vec<_> =
            samples.data.chunks(25).map(|text| String::from_utf8_lossy(&text[2..])).collect();
        let expected = [
            "2026-11-29 21:02:00 UTC",
            "2026-11-29 21:02:01 UTC",
            "2026-11-29 21:02:02 UTC",
            "2026-11-29 22:02:00 UTC",
        ];
        assert_eq!(texts, expected);
        let ticks: Vec<_> =
            samples.times.iter().map(|it| (it.sample_count, it.sample_delta)).collect();
        assert_eq!(ticks, [(1, 9_000), (1, 90_000), (1, 81_000), (1, 75_000)]);
        assert_eq!((samples.count, samples.size), (4, 25));
    }
}
