//! Functions that several fuzz targets use.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// Returns the output of a future that does not wait. Panics if the future waits.
pub(super) fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the parser waits although all input is available"),
    }
}

/// Asserts that `text` can be shown in a log or a response: it has no control characters, and at most
/// `max` characters.
pub(super) fn assert_is_line(text: &str, max: usize) {
    let is_line = text.chars().count() <= max && !text.contains(char::is_control);
    assert!(is_line, "the text must be one line of at most {max} characters: {text:?}");
}
