use super::*;

/// An offer of Chromium 156 for video.
const CHROMIUM: &str = include_str!("chromium.sdp");

fn local() -> Local {
    let crypto = str0m::crypto::from_feature_flags();
    let certificate = crypto.dtls_provider.generate_certificate().expect("a certificate");
    let addresses = vec!["192.0.2.1".parse().expect("an address")];
    Local { crypto: Arc::new(crypto), certificate, addresses, port: 8189 }
}

#[test]
fn chromium_gets_h264_in_packetization_mode_1() {
    let negotiated = negotiate(CHROMIUM, &local()).expect("an answer");
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
