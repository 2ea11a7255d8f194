use futures_util::FutureExt as _;
use serde_json::Value;
use tokio::time::{advance, timeout};

use super::*;
use crate::media::aac::AacConfig;
use crate::media::frame::{AudioFormat, testing};
use crate::media::frame_budget::FrameBudget;
use crate::media::hub::FrameHub;
use crate::stream::playable::testing::playable;

/// The time between two frames.
const FRAME: Duration = Duration::from_millis(40);

/// Returns a hub, and the messages with the format `raw` for a client that joins now.
fn join(acknowledged: &Acknowledged) -> (FrameHub, LiveFeed) {
    let hub = FrameHub::new(&FrameBudget::new(u64::MAX));
    let feed = raw_feed(&hub, acknowledged);
    (hub, feed)
}

fn raw_feed(hub: &FrameHub, acknowledged: &Acknowledged) -> LiveFeed {
    let codecs = vec!["avc1".to_owned(), "mp4a".to_owned()];
    let watch = Watch { format: MessageFormat::Raw, codecs, audio: true };
    LiveFeed::new(&playable(hub), &watch, acknowledged.clone(), Counters::default())
}

/// Returns a frame of video that arrives now, with its number as its time.
fn video(format: &Arc<Format>, is_keyframe: bool, number: u64) -> Frame {
    let frame = testing::video(format, is_keyframe, number * 40, 40);
    Frame { received_at: Instant::now(), ..frame }
}

/// Returns the messages that can be sent now: their type, with the number of frames of `gap`, or their track and flags.
fn messages(feed: &mut LiveFeed) -> Vec<String> {
    let mut all = Vec::new();
    while let Some(next) = feed.next().now_or_never() {
        all.push(match next.expect("video").expect("a stream") {
            Outgoing::Media { text, .. } | Outgoing::Text(text) => {
                let message: Value = serde_json::from_str(&text).expect("JSON");
                let kind = message["type"].as_str().expect("a type").to_owned();
                message["frames"].as_u64().map_or(kind, |frames| format!("gap {frames}"))
            }
            Outgoing::Bytes([head, _]) => {
                format!("{} {}", if head[0] == 0 { "video" } else { "audio" }, head[1])
            }
        });
    }
    all
}

#[tokio::test(start_paused = true)]
async fn a_joiner_whose_burst_is_cut_off_is_told_so() {
    let (format, acknowledged) = (testing::format(7), Acknowledged::default());
    let hub = FrameHub::new(&FrameBudget::new(u64::MAX));
    hub.publish((0..20).map(|number| video(&format, number == 0, number)));
    advance(FRAME).await;
    let mut feed = raw_feed(&hub, &acknowledged);
    assert!(matches!(feed.next().await, Ok(Some(Outgoing::Media { .. }))), "the description");
    let keyframe = feed.next().await.expect("video").expect("a stream");
    let Outgoing::Bytes([head, _]) = keyframe else { panic!("not a frame") };
    assert_eq!(head[1], 3, "an old keyframe");
    let sending = timeout(Duration::from_secs(2), feed.discard_late()).await;
    assert!(sending.is_err(), "the keyframe is being sent");
    assert_eq!(messages(&mut feed), ["gap 19"]);
    hub.publish([video(&format, true, 70)]);
    assert_eq!(messages(&mut feed), ["video 1"]);
}

#[tokio::test(start_paused = true)]
async fn late_audio_does_not_stop_the_picture() {
    let format = with_aac(7, true);
    let (hub, mut feed) = join(&Acknowledged::default());
    hub.publish([video(&format, true, 0)]);
    assert_eq!(messages(&mut feed), ["media", "video 1"]);
    let sound = Frame { track: Track::Audio, ..video(&format, true, 1) };
    advance(Duration::from_secs(2)).await;
    hub.publish([sound, video(&format, false, 1)]);
    assert_eq!(messages(&mut feed), ["audio 1", "video 0"]);
}

#[tokio::test(start_paused = true)]
async fn a_gap_of_the_stream_is_reported_before_the_keyframe() {
    let (hub, mut feed) = join(&Acknowledged::default());
    let format = testing::format(7);
    hub.publish([video(&format, true, 0), video(&format, false, 1)]);
    assert_eq!(messages(&mut feed), ["media", "video 1", "video 0"]);
    hub.publish([video(&format, true, 125)]);
    assert_eq!(messages(&mut feed), ["gap 123", "video 1"]);
}

/// Publishes frames `numbers`, of which every 25th is a keyframe, and returns the messages.
async fn play(
    (hub, feed): (&FrameHub, &mut LiveFeed),
    numbers: std::ops::Range<u64>,
) -> Vec<String> {
    let format = testing::format(7);
    let mut all = Vec::new();
    for number in numbers {
        hub.publish([video(&format, number.is_multiple_of(25), number)]);
        all.extend(messages(feed));
        advance(FRAME).await;
    }
    all
}

#[tokio::test(start_paused = true)]
async fn a_client_that_acknowledges_late_skips_and_continues() {
    let acknowledged = Acknowledged::default();
    let (hub, mut feed) = join(&acknowledged);
    assert_eq!(play((&hub, &mut feed), 0..1).await, ["media", "video 1"]);
    acknowledged.set(1);
    // Frame 1 is sent at 40 ms. At frame 39, it has been without acknowledgement for 1.52 s.
    let sent = play((&hub, &mut feed), 1..50).await;
    assert_eq!((sent.len(), sent[38].as_str()), (39, "gap 1"));
    acknowledged.set(39);
    assert_eq!(play((&hub, &mut feed), 50..51).await, ["gap 10", "video 1"]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stops_to_acknowledge_continues_after_three_seconds() {
    let acknowledged = Acknowledged::default();
    let (hub, mut feed) = join(&acknowledged);
    assert_eq!(play((&hub, &mut feed), 0..1).await, ["media", "video 1"]);
    acknowledged.set(1);
    let sent = play((&hub, &mut feed), 1..126).await;
    // The client skips from frame 39 on. The first keyframe that is three seconds later is frame 125.
    assert_eq!(sent[38..], ["gap 1", "gap 85", "video 1"]);
}

/// Returns a feed for a plain player, who gets at most this many bytes at once.
fn plain_feed(hub: &FrameHub, max_burst: usize) -> LiveFeed {
    let codecs = vec!["avc1".to_owned(), "mp4a".to_owned()];
    let watch = Watch { format: MessageFormat::Mp4, codecs, audio: true };
    let (acknowledged, counters) = (Acknowledged::default(), Counters::default());
    LiveFeed::new(&playable(hub), &watch, acknowledged, counters)
        .for_plain_player(PlainPlayer { max_burst })
}

/// Returns the messages for a plain player that can be sent now: `mime`, `init`, or the track with the begin and the end
/// of the frame in milliseconds.
fn plain_messages(feed: &mut LiveFeed) -> Vec<String> {
    let mut all = Vec::new();
    while let Some(next) = feed.next().now_or_never() {
        match next.expect("video").expect("a stream") {
            Outgoing::Media { mime, .. } => all.push(mime.expect("a MIME type")),
            Outgoing::Text(_) => {}
            Outgoing::Bytes(parts) => {
                let bytes = parts.concat();
                let Some((is_video, begin, duration)) = fragment(&bytes) else {
                    all.push("init".to_owned());
                    continue;
                };
                let kind = if is_video { "video" } else { "audio" };
                let rate = if is_video { 90 } else { 32 };
                let end = begin + u64::from(duration);
                all.push(format!("{kind} {}-{}", begin / rate, end / rate));
            }
        }
    }
    all
}

/// Returns whether a fragment contains video, its decode time and its duration; `None` for an init segment.
fn fragment(bytes: &[u8]) -> Option<(bool, u64, u32)> {
    let at = |name: &[u8]| bytes.windows(4).position(|it| it == name);
    let number =
        |from: usize| u32::from_be_bytes(bytes[from..from + 4].try_into().expect("4 bytes"));
    let (tfhd, tfdt, trun) = (at(b"tfhd")?, at(b"tfdt")?, at(b"trun")?);
    let time = u64::from_be_bytes(bytes[tfdt + 8..tfdt + 16].try_into().expect("8 bytes"));
    Some((number(tfhd + 8) == 1, time, number(trun + 16)))
}

/// Returns the format of a stream with AAC of 32 kHz, in this epoch.
fn with_aac(epoch: u64, has_audio: bool) -> Arc<Format> {
    let plain = testing::format(7);
    let aac = AacConfig::low_complexity(32_000, 1).map(AudioFormat::Aac);
    Arc::new(Format {
        audio: aac.filter(|_| has_audio),
        epoch,
        version: plain.version,
        is_converted: plain.is_converted,
        parameter_sets: plain.parameter_sets.clone(),
        picture: plain.picture.clone(),
        aac: None,
        awaits_audio: false,
    })
}

/// Returns a packet of AAC of 32 ms that arrives now and begins at this time in milliseconds.
fn sound(format: &Arc<Format>, time: u64) -> Frame {
    let frame = testing::video(format, true, time, 32);
    Frame { track: Track::Audio, received_at: Instant::now(), ..frame }
}

#[tokio::test(start_paused = true)]
async fn a_plain_player_gets_the_newest_frame_of_the_burst_at_once() {
    let hub = FrameHub::new(&FrameBudget::new(u64::MAX));
    let format = with_aac(7, true);
    hub.publish((0..100).map(|number| video(&format, number == 0, number)));
    hub.publish([sound(&format, 3800)]);
    advance(FRAME).await;
    let mut feed = plain_feed(&hub, usize::MAX);
    let burst = plain_messages(&mut feed);
    assert!(burst[0].ends_with(",mp4a.40.2\"") && burst[1] == "init", "{burst:?}");
    assert_eq!(burst.len(), 102, "video only");
    assert_eq!((&*burst[2], &*burst[100], &*burst[101]), ("video 0-0", "video 9-9", "video 9-49"));
    hub.publish([video(&format, false, 100), sound(&format, 4000)]);
    // The audio begins with the video.
    assert_eq!(plain_messages(&mut feed), ["video 49-89", "audio 0-32", "audio 32-64"]);
}

#[tokio::test(start_paused = true)]
async fn a_plain_player_begins_with_the_next_keyframe_if_the_burst_is_too_long() {
    let hub = FrameHub::new(&FrameBudget::new(u64::MAX));
    let format = testing::format(7);
    hub.publish((0..3).map(|number| video(&format, number == 0, number)));
    advance(FRAME).await;
    let bytes = video(&format, true, 0).data.len();
    let mut feed = plain_feed(&hub, 2 * bytes);
    assert!(plain_messages(&mut feed).is_empty());
    hub.publish([video(&format, false, 3)]);
    assert!(plain_messages(&mut feed).is_empty());
    hub.publish([video(&format, true, 4), video(&format, false, 5)]);
    assert_eq!(plain_messages(&mut feed)[2..], ["video 0-40", "video 40-80"]);
}

#[tokio::test(start_paused = true)]
async fn the_times_of_a_plain_player_have_no_gap_in_a_new_epoch() {
    let hub = FrameHub::new(&FrameBudget::new(u64::MAX));
    let mut feed = plain_feed(&hub, usize::MAX);
    let format = with_aac(7, true);
    hub.publish([video(&format, true, 5), sound(&format, 200), video(&format, false, 6)]);
    hub.publish([video(&format, false, 7)]);
    let first = plain_messages(&mut feed);
    assert_eq!(first[2..], ["video 0-40", "audio 0-32", "video 40-80", "video 80-120"]);
    // The new epoch has no audio at first.
    let silent = with_aac(8, false);
    hub.publish([video(&silent, true, 0)]);
    // Silence replaces the audio that is missing before the new epoch.
    let next = plain_messages(&mut feed);
    assert_eq!(next, ["audio 32-64", "audio 64-96", "video 120-160"]);
    hub.publish((1..20).map(|number| video(&silent, false, number)));
    let later = plain_messages(&mut feed);
    assert!(later.iter().any(|it| it.starts_with("audio 120-")), "silence: {later:?}");
    let format = with_aac(8, true);
    hub.publish([video(&format, true, 20), sound(&format, 800)]);
    let last = plain_messages(&mut feed);
    assert!(last.contains(&"video 920-960".to_owned()), "{last:?}");
    assert!(last.last().expect("messages").starts_with("audio 9"), "{last:?}");
}

#[tokio::test(start_paused = true)]
async fn a_plain_player_does_not_get_a_track_that_is_added() {
    let hub = FrameHub::new(&FrameBudget::new(u64::MAX));
    let mut feed = plain_feed(&hub, usize::MAX);
    hub.publish([video(&with_aac(7, false), true, 0)]);
    assert_eq!(plain_messages(&mut feed)[2..], ["video 0-40"]);
    let format = with_aac(7, true);
    hub.publish([video(&format, true, 1), sound(&format, 40), video(&format, false, 2)]);
    assert_eq!(plain_messages(&mut feed), ["video 40-80", "video 80-120"]);
}

#[tokio::test(start_paused = true)]
async fn a_feed_continues_the_messages_of_another_one() {
    let hub = FrameHub::new(&FrameBudget::new(u64::MAX));
    let mut feed = plain_feed(&hub, usize::MAX);
    let format = testing::format(7);
    hub.publish([video(&format, true, 0), video(&format, false, 1)]);
    assert_eq!(plain_messages(&mut feed)[2..], ["video 0-40", "video 40-80"]);
    let past = feed.into_past();
    let hub = FrameHub::new(&FrameBudget::new(u64::MAX));
    hub.publish([video(&format, true, 1), video(&format, false, 2)]);
    advance(FRAME).await;
    let mut feed = plain_feed(&hub, usize::MAX).continuing(past);
    assert_eq!(plain_messages(&mut feed), ["video 80-80", "video 80-120"]);
}

#[tokio::test(start_paused = true)]
async fn a_plain_player_that_cannot_get_the_burst_needs_a_keyframe() {
    let hub = FrameHub::new(&FrameBudget::new(u64::MAX));
    let format = testing::format(7);
    hub.publish((0..100).map(|number| video(&format, number == 0, number)));
    advance(FRAME).await;
    let mut feed = plain_feed(&hub, usize::MAX);
    assert_eq!(plain_messages(&mut feed).len(), 102);
    assert!(hub.keyframe_needed().now_or_never().is_none(), "it has got the burst");

    let mut feed = plain_feed(&hub, 1);
    assert!(plain_messages(&mut feed).is_empty());
    assert!(hub.keyframe_needed().now_or_never().is_some(), "it waits for a keyframe");
    hub.publish([video(&format, false, 100)]);
    assert!(plain_messages(&mut feed).is_empty());
    assert!(hub.keyframe_needed().now_or_never().is_none(), "one request is enough");
}
