//! Fuzz targets for what WebRTC players send.

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Instant;

use str0m::change::SdpAnswer;
use str0m::net::{Protocol, Receive};
use str0m::{Input, Output, Rtc};

use crate::base::lock::lock;
use crate::output::webrtc::offer::{Local, Negotiated, Sound, negotiate};

/// An offer of Chromium.
const OFFER: &str = include_str!("../output/webrtc/offer/chromium.sdp");

static LOCAL: LazyLock<Local> = LazyLock::new(|| {
    let crypto = str0m::crypto::from_feature_flags();
    let certificate = crypto.dtls_provider.generate_certificate().expect("a certificate");
    let addresses = vec!["192.0.2.1".parse().expect("an address")];
    Local { crypto: Arc::new(crypto), certificate, addresses, port: 8189 }
});

/// Reads `data` as an offer. Checks that the answer to an accepted offer is valid, and contains no candidates but those
/// of the manager. Checks that the same offer can be answered without sound.
pub fn sdp_offer(data: &[u8]) {
    let offer = String::from_utf8_lossy(data);
    let Ok(negotiated) = negotiate(&offer, Sound::AsOffered, &LOCAL) else { return };
    let silent =
        negotiate(&offer, Sound::Refused, &LOCAL).expect("an answer without sound as well");
    assert!(!silent.wants_audio(), "{}", silent.answer);
    let sections = |answer: &str| answer.lines().filter(|line| line.starts_with("m=")).count();
    assert_eq!(sections(&silent.answer), sections(&negotiated.answer));
    SdpAnswer::from_sdp_string(&negotiated.answer).expect("a valid answer");
    let mut candidates = negotiated.answer.lines().filter(|line| line.starts_with("a=candidate"));
    assert!(candidates.all(|line| line.contains(" 192.0.2.1 8189 ")), "{}", negotiated.answer);
    assert_is_silent(&mut into_rtc(negotiated));
}

/// Reads `data` as a datagram for a session that waits for its viewer. Checks that the manager does not reply, because
/// the datagram does not have the session's password.
pub fn webrtc_datagram(data: &[u8]) {
    /// One session for all inputs, because its creation takes much longer than the rest.
    static SESSION: LazyLock<Mutex<Rtc>> = LazyLock::new(|| {
        Mutex::new(into_rtc(negotiate(OFFER, Sound::AsOffered, &LOCAL).expect("a good offer")))
    });
    let mut rtc = lock(&SESSION);
    let source = SocketAddr::from(([198, 51, 100, 1], 5000));
    let destination = SocketAddr::from(([192, 0, 2, 1], 8189));
    let Ok(receive) = Receive::new(Protocol::Udp, source, destination, data) else { return };
    let input = Input::Receive(Instant::now(), receive);
    assert!(!rtc.accepts(&input), "a datagram without the password");
    assert_is_silent(&mut rtc);
}

fn into_rtc(negotiated: Negotiated) -> Rtc {
    let mut rtc = negotiated.into_rtc();
    rtc.handle_input(Input::Timeout(Instant::now())).expect("a new session");
    rtc
}

fn assert_is_silent(rtc: &mut Rtc) {
    for _ in 0..100 {
        match rtc.poll_output() {
            Ok(Output::Transmit(packet)) => panic!("sent to {}", packet.destination),
            Ok(Output::Event(_)) => {}
            Ok(Output::Timeout(_)) | Err(_) => return,
        }
    }
    panic!("endless output");
}
