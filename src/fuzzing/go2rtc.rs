//! Fuzz target for the text messages that players of go2rtc send.

use super::support::assert_is_line;
use crate::api::aliases::go2rtc::messages::{self, Request};

/// Reads `data` as the message of a player. Checks that the response to a message that is refused is a line of JSON that
/// is not much longer than an error.
pub fn go2rtc_message(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Err(error) = Request::parse(text) {
        assert_is_line(&messages::error("ws", &error), 300);
    }
}
