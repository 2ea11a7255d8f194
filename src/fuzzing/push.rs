//! Fuzz target for the push subscriptions that browsers send.

use super::support::assert_is_line;
use crate::base::error::ErrorKind;
use crate::push::subscription::Browser;

/// Reads the lines of `data` as the URL and the two keys of a browser.
///
/// Checks that an accepted URL uses https, that its path is not shown, and that the browser is the same after it was stored.
pub fn push_subscription(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.splitn(3, '\n').chain(["", ""]);
    let mut line = || lines.next().unwrap_or_default();
    match Browser::new(line(), line(), line()) {
        Ok(browser) => {
            assert!(browser.server().starts_with("https://"), "{}", browser.server());
            assert_eq!(format!("{browser:?}"), format!("Browser({}/***)", browser.server()));
            assert_eq!(Browser::from_bytes(&browser.to_bytes()), Some(browser));
        }
        Err(error) => {
            assert_eq!(error.kind, ErrorKind::InvalidRequest);
            assert_is_line(&error.detail, 200);
        }
    }
}
