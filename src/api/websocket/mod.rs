//! A WebSocket (RFC 6455): the upgrade of a request, and the messages of an open connection.
//!
//! A handler checks the request, and then accepts it with a session, which runs in a task of its own:
//!
//! ```text
//! let handshake = Handshake::check(&mut call)?;
//! // Errors until here are responses; later errors are messages.
//! Ok(handshake.accept(|socket| async move { /* … */ }))
//! ```
//!
//! | Module | Owns |
//! |---|---|
//! | [`handshake`] | checking and accepting the request |
//! | [`origin`] | the check that protects cookies from pages of other origins |
//! | `progress` | whether the client takes what is sent |
//! | [`socket`] | messages, pings, the idle limit, closing |

pub(super) mod handshake;
mod origin;
mod progress;
pub(super) mod socket;
