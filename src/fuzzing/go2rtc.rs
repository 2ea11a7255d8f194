//! Fuzz target for the text messages that players of go2rtc send.

use super::support::assert_is_line;
use crate::api::aliases::go2rtc::messages::{self, Request};
use crate::output::webrtc::offer::{only_watching, without_audio};

/// Reads `data` as the message of a player, and changes the offer in it.
///
/// Checks that the response to a message that is refused is a line of JSON that is not much longer than an error, and
/// that a changed offer sends nothing, and does not change again.
pub fn go2rtc_message(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Request::parse(text) {
        Ok(Some(Request::Offer { sdp, .. })) => {
            let changed = only_watching(&sdp);
            assert!(changed.lines().all(|it| !["a=sendrecv", "a=sendonly"].contains(&it)));
            assert_eq!(only_watching(&changed), changed);
            assert_eq!(changed.lines().count(), without_audio(&changed).lines().count());
        }
        Ok(_) => {}
        Err(error) => assert_is_line(&messages::error("ws", &error), 300),
    }
}
