use super::*;

/// An offer of Chromium 156 for video.
const CHROMIUM: &str = include_str!("chromium.sdp");

/// An offer for video and audio.
const SHORT: &str = include_str!("../../../../fuzz/corpus/sdp_offer/short.sdp");

/// Returns the reason for which an offer is refused.
fn refusal(offer: &str) -> String {
    negotiate(offer, Sound::AsOffered, &local()).expect_err("a refusal").detail
}

fn local() -> Local {
    let crypto = str0m::crypto::from_feature_flags();
    let certificate = crypto.dtls_provider.generate_certificate().expect("a certificate");
    let addresses = vec!["192.0.2.1".parse().expect("an address")];
    Local { crypto: Arc::new(crypto), certificate, addresses, port: 8189 }
}

#[test]
fn chromium_gets_h264_in_packetization_mode_1() {
    let negotiated = negotiate(CHROMIUM, Sound::AsOffered, &local()).expect("an answer");
    assert!(negotiated.accepts(VideoCodec::H264) && !negotiated.accepts(VideoCodec::H265));
    assert!(negotiated.audio.is_none());
    // High is sent with a payload type that Chromium offers.
    let high = negotiated.video.payload_type(VideoCodec::H264, Some(0x64));
    assert_eq!(high, Some(102.into()));
    let main = negotiated.video.payload_type(VideoCodec::H264, Some(0x4d));
    assert_eq!(main, Some(116.into()));
    let answer = &negotiated.answer;
    for line in [
        "a=ice-lite",
        "a=setup:passive",
        "a=sendonly",
        "a=extmap:5 http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
        "a=rtpmap:103 rtx/90000",
        "a=rtcp-fb:102 nack",
        "a=rtcp-fb:102 nack pli",
    ] {
        assert!(answer.lines().any(|it| it == line), "{line} in {answer}");
    }
    assert!(!answer.contains("packetization-mode=0"));
    let candidates: Vec<_> = answer.lines().filter(|it| it.starts_with("a=candidate:")).collect();
    assert_eq!(candidates.len(), 2, "{candidates:?}");
    assert!(candidates[0].contains("udp") && candidates[0].contains("192.0.2.1 8189 typ host"));
    let tcp = candidates[1];
    assert!(tcp.contains("tcp") && tcp.contains("tcptype passive"), "{tcp}");
}

#[test]
fn offers_that_contradict_themselves_are_refused() {
    negotiate(SHORT, Sound::AsOffered, &local()).expect("a good offer");
    for (from, to, reason) in [
        ("a=mid:1\r\n", "", "has no name (a=mid)"),
        ("a=mid:1\r\n", "a=mid:1\r\na=mid:2\r\n", "more than one a=mid"),
        ("a=mid:1", "a=mid:0", "the name 0"),
        ("a=rtpmap:0 PCMU", "a=rtpmap:102 PCMU", "payload type 102 is used twice"),
        ("a=rtpmap:49 H265", "a=rtpmap:102 H265", "stands for two codecs"),
        ("a=fmtp:49 level-id=180", "a=fmtp:103 apt=49;level-id=180", "103 is used twice"),
    ] {
        let offer = SHORT.replace('\n', "\r\n");
        assert!(offer.contains(from), "{from:?}");
        let changed = offer.replace(from, to);
        let refusal = refusal(&changed);
        assert!(refusal.contains(reason), "{to:?}: {refusal}");
    }
}

#[test]
fn a_line_does_not_hide_the_next_one() {
    // The library would take the name of the section as a part of these lines.
    for line in ["a=fmtp:111 x=1;", "a=fmtp:111 x=1; ;", "a=fmtp:111 ", "b=AS", "a=extmap:1"] {
        let offer = SHORT.replace("a=mid:1", &format!("{line}\r\na=mid:1"));
        let negotiated = negotiate(&offer, Sound::AsOffered, &local()).expect("an answer");
        assert!(negotiated.audio.is_some(), "{line}");
    }
    assert!(refusal(&SHORT.replace("a=mid:1", "a=x\ra=mid:1")).contains("CR LF"));
}

/// Returns an offer that go2rtc's player makes if it sends a microphone: a first section of its own for the microphone,
/// with the same payload types as the other section for audio.
fn with_microphone(direction: &str) -> String {
    let (video, audio) = (SHORT.find("m=video"), SHORT.find("m=audio"));
    let (head, sections) = SHORT.split_at(video.expect("a section"));
    let audio = &SHORT[audio.expect("a section")..];
    let microphone = audio.replace("a=mid:1", "a=mid:2").replace("a=recvonly", direction);
    let head = head.replace("BUNDLE 0 1", "BUNDLE 2 0 1");
    format!("{head}{microphone}a=ssrc:1 cname:x\na=msid:x y\n{sections}")
}

#[test]
fn a_viewer_with_a_microphone_can_watch() {
    let directions = |offer: &str| {
        let negotiated = negotiate(offer, Sound::AsOffered, &local()).expect("an answer");
        assert!(negotiated.audio.is_some());
        let (_, first) = negotiated.answer.split_once("m=video 9 ").expect("a section");
        let (section, others) = first.split_once("m=").expect("another section");
        assert!(section.contains("a=candidate:") && !others.contains("a=candidate:"));
        let found = negotiated
            .answer
            .lines()
            .filter(|line| ["a=sendrecv", "a=recvonly", "a=sendonly", "a=inactive"].contains(line));
        assert!(!negotiated.answer.contains(" \r\n"), "{}", negotiated.answer);
        found.map(str::to_owned).collect::<Vec<_>>()
    };
    for (from, to) in [("a=recvonly", "a=sendrecv"), ("a=recvonly\r\n", ""), ("a=recvonly\n", "")] {
        assert_eq!(directions(&SHORT.replace(from, to)), ["a=sendonly"; 2]);
    }
    for direction in ["a=sendonly", "a=inactive"] {
        let offer = with_microphone(direction);
        assert_eq!(directions(&offer), ["a=inactive", "a=sendonly", "a=sendonly"]);
        let third = SHORT.find("m=audio").map(|at| SHORT[at..].replace("a=mid:1", "a=mid:3"));
        let third = third.expect("a section").replace("a=recvonly", direction);
        assert_eq!(directions(&(offer + &third)).len(), 4);
    }
}

#[test]
fn sound_that_the_stream_does_not_have_is_refused() {
    for (from, to) in
        [("a=recvonly", "a=recvonly"), ("a=recvonly", "a=sendrecv"), ("a=recvonly\n", "")]
    {
        let offer = SHORT.replace(from, to);
        let negotiated = negotiate(&offer, Sound::Refused, &local()).expect("an answer");
        assert!(!negotiated.wants_audio() && negotiated.accepts(VideoCodec::H264));
        let (video, audio) = negotiated.answer.split_once("m=audio 0 ").expect("a refused section");
        assert!(video.contains("a=sendonly") && audio.contains("a=inactive"), "{to}");
    }
}

#[test]
fn a_section_that_the_library_would_ignore_is_refused() {
    let (video, _) = SHORT.split_at(SHORT.find("m=audio").expect("a section"));
    let audio = "m=audio 9 UDP/TLS/RTP/SAVPF ";
    let refused = refusal(&format!("{video}{audio}111\r\na=rtpmap:111 opus/48000/2\r\n"));
    assert!(refused.contains("no name"), "{refused}");
    let refused = refusal(&format!("{video}{audio}\r\na=mid:1\r\n"));
    assert!(refused.contains("no payload type"), "{refused}");
}

#[test]
fn two_active_sections_of_a_kind_are_refused() {
    let second =
        "m=audio 9 UDP/TLS/RTP/SAVPF 9\r\na=mid:2\r\na=recvonly\r\na=rtpmap:9 G722/8000\r\n";
    let refused = refusal(&format!("{SHORT}{second}"));
    assert!(refused.contains("two active sections"), "{refused}");
}

#[test]
fn large_offers_take_little_time() {
    let begun = std::time::Instant::now();
    let head = SHORT.split("m=video").next().expect("a head");
    let mut offer = format!("{head}m=video 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\na=recvonly\r\n");
    for _ in 0..1500 {
        offer.push_str("a=rtpmap:96 H264/90000\r\na=fmtp:97 apt=96;apt=96;apt=96\r\n");
    }
    assert!(refusal(&offer).contains("two codecs"));
    let lines = "a=x:y\r\n".repeat(300);
    assert!(refusal(&format!("{SHORT}{lines}")).contains("more than 256 lines"));
    let values = "a=fmtp:97 apt=96".to_owned() + &";apt=96".repeat(100);
    assert!(refusal(&format!("{SHORT}{values}\r\n")).contains("more than 32 parameters"));
    // The largest offer that the library parses.
    let numbers = (1..120).filter(|number| ![8, 111].contains(number));
    let apt = ";apt=96".repeat(31);
    let maps = numbers.flat_map(|number| {
        [format!("a=rtpmap:{number} rtx/90000\r\n"), format!("a=fmtp:{number} x=1{apt}\r\n")]
    });
    let largest = SHORT.to_owned() + &maps.collect::<String>();
    let _ = negotiate(&largest, Sound::AsOffered, &local());
    let extensions = "a=extmap:1\r\n".repeat(200);
    let _ = negotiate(&format!("{SHORT}{extensions}"), Sound::AsOffered, &local());
    assert!(begun.elapsed() < std::time::Duration::from_secs(5), "{:?}", begun.elapsed());
}
