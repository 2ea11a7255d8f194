//! The reference page of errors.

use super::{GENERATED, head, row};
use crate::api::reply::status;
use crate::base::error::ErrorKind;

const ABOUT: &str = r#"
# Errors

The body of every error is `application/problem+json` (RFC 9457). Programs can rely on `code`; `detail`
is for people and may change. Some responses, mostly those with status 429 or 503, have the header
`Retry-After`: the number of seconds to wait before retrying. With status 405, the header `Allow` lists the
methods that the path supports.

```json
{"title":"Bad Gateway","status":502,"code":"source_unauthorized","detail":"the camera rejected the user name or password"}
```

Requests for playlists and pictures can return the errors of a start, with `stream_ended` instead of `stopped`.
`source_changed` occurs only for streams that have been live, mostly in `last_error`.

"#;

/// The errors that nginx sends: status, code and meaning.
const NGINX: [(u16, &str, &str); 2] = [
    (
        429,
        "too_many_requests",
        "Too many API requests came from this address. nginx sends this error.",
    ),
    (503, "manager_unavailable", "nginx cannot reach the manager, and sends this error."),
];

/// Renders the page.
pub(super) fn page() -> String {
    let kinds = ErrorKind::ALL.iter();
    let errors = kinds.map(|kind| (status(*kind).as_u16(), kind.code(), kind.meaning()));
    let mut errors: Vec<_> = errors.chain(NGINX).collect();
    errors.sort_by_key(|(status, ..)| *status);
    let mut page = GENERATED.to_owned() + ABOUT + &head(["Status", "`code`", "Meaning"]);
    for (status, code, meaning) in errors {
        page += &row([&status.to_string(), &format!("`{code}`"), meaning]);
    }
    page
}
