//! What several targets need.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// The output of a future that never waits.
pub(super) fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the parser waits although all input is there"),
    }
}

/// The part of `whole` that follows the first occurrence of `part`, which must occur.
pub(super) fn after<'a>(whole: &'a [u8], part: &[u8]) -> &'a [u8] {
    let at = (0..=whole.len()).find(|&at| whole[at..].starts_with(part));
    &whole[at.expect("a part of the input") + part.len()..]
}

/// Asserts that `text` can be shown in a log or an answer: it has one line and at most `max`
/// characters.
pub(super) fn assert_is_line(text: &str, max: usize) {
    let is_line = text.chars().count() <= max && !text.contains(char::is_control);
    assert!(is_line, "not one line of {max} characters: {text:?}");
}
