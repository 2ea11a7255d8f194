//! Fuzz target for the text messages that clients of live sockets send.

use super::support::assert_is_line;
use crate::base::error::ErrorKind;
use crate::output::live_socket::codecs::ClientCodecs;
use crate::output::live_socket::protocol::{ClientMessage, ServerMessage};

/// Reads `data` as the text message of a client, and the codecs that it lists.
///
/// Checks that the error for a message that is refused has the right kind, and that the message with which the socket
/// ends is a line of valid JSON that is not much longer than the client's message.
pub fn live_socket(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match ClientMessage::parse(text) {
        Ok(ClientMessage::Watch(watch)) => {
            let codecs = ClientCodecs::parse(&watch.codecs);
            let reversed: Vec<_> = watch.codecs.iter().rev().cloned().collect();
            assert_eq!(codecs, ClientCodecs::parse(&reversed), "the order does not matter");
        }
        Ok(ClientMessage::Ack { .. }) => {}
        Err(error) => {
            assert_eq!(error.kind, ErrorKind::InvalidRequest);
            let end = ServerMessage::End { code: error.kind, detail: &error.detail }.text();
            assert_is_line(&end, 300);
            serde_json::from_str::<serde_json::Value>(&end).expect("JSON");
        }
    }
}
