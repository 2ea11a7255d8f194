//! Playback sessions: creating, listing and ending them.

use std::future;
use std::time::Duration;

use hyper::header::{HeaderValue, SET_COOKIE};
use hyper::{HeaderMap, Method, StatusCode};

use super::credentials::{TOKEN_COOKIE, text};
use super::failures;
use super::operation::Operation;
use super::reply::{self, Reply};
use super::route::{Audience, Call, Row};
use crate::access::role::Role;
use crate::base::error::{Error, ErrorKind};
use crate::service::sessions;
use wire::{NewSessionOutput, SessionInput, SessionsOutput};

pub(crate) mod wire;

/// The largest length of a cookie, in characters. Browsers and nginx's header buffers accept cookies of
/// this length.
const MAX_COOKIE: usize = 3500;

const VIEWERS: Audience = Audience::Callers(Role::Viewer);

/// The endpoints.
pub(super) fn routes() -> Vec<Row> {
    let path = "/api/playback/sessions";
    vec![
        Row::new(
            Method::GET,
            path,
            VIEWERS,
            |call| Box::pin(future::ready(Ok(list(&call)))),
            || {
                operation("listSessions", "Returns the playback sessions")
                    .returns::<SessionsOutput>("The sessions that the caller can see.")
            },
        ),
        Row::new(
            Method::POST,
            path,
            VIEWERS,
            |call| Box::pin(begin(call)),
            || {
                operation("beginSession", "Creates a playback session")
                    .describe(
                        "If `cookie` is true, the response also sets the token as the cookie `playback`.",
                    )
                    .takes::<SessionInput>()
                    .creates::<NewSessionOutput>(
                        "The session and its token, which is not shown again.",
                        None,
                    )
                    .fails(failures::CAMERA)
                    .fails(failures::DATABASE)
                    .fails(&[ErrorKind::TooManySessions])
            },
        ),
        Row::new(
            Method::DELETE,
            "/api/playback/sessions/{id}",
            VIEWERS,
            |call| Box::pin(end(call)),
            || {
                operation("endSession", "Ends a playback session early")
                    .of(None, "The session's id.")
                    .returns_nothing("The token of the session is no longer valid.")
                    .fails(&[ErrorKind::UnknownSession])
                    .fails(failures::DATABASE)
            },
        ),
    ]
}

fn operation(id: &'static str, summary: &'static str) -> Operation {
    Operation::new("playback", id, summary)
}

fn list(call: &Call<'_>) -> Reply {
    reply::json(&SessionsOutput::new(&sessions::list(&call.api.core, &call.caller)))
}

async fn begin(mut call: Call<'_>) -> Result<Reply, Error> {
    let input: SessionInput = call.input().await?;
    let (wants_cookie, lifetime) = (input.cookie, Duration::from_secs(input.ttl_seconds));
    let new = input.session()?;
    let created = sessions::begin(&call.api.core, &call.caller, new).await?;
    let public_url = &call.api.public_url;
    let attributes = &call.api.cookie_attributes;
    let is_secure = attributes.is_secure || is_secure(&call.head.headers);
    let cookie = || cookie(&created.token, lifetime, &attributes.text, is_secure);
    let cookie = match wants_cookie.then(cookie).transpose() {
        Ok(cookie) => cookie,
        Err(error) => {
            // A request that fails must leave no session.
            sessions::end(&call.api.core, &call.caller, &created.session.claims.jti).await?;
            return Err(error);
        }
    };
    let mut reply = reply::json(&NewSessionOutput::new(created, public_url));
    *reply.status_mut() = StatusCode::CREATED;
    if let Some(cookie) = cookie {
        reply.headers_mut().insert(SET_COOKIE, cookie);
    }
    Ok(reply)
}

async fn end(call: Call<'_>) -> Result<Reply, Error> {
    sessions::end(&call.api.core, &call.caller, &call.id).await?;
    Ok(reply::no_content())
}

/// Returns whether the browser's connection is encrypted, as the proxy in front reports it.
fn is_secure(headers: &HeaderMap) -> bool {
    text(headers, "x-forwarded-proto") == Some("https")
}

/// Returns the value of the header that sets the cookie with a token. Scripts of the page cannot read the cookie. If
/// `is_secure`, browsers send the cookie only over encrypted connections.
fn cookie(
    token: &str,
    lifetime: Duration,
    attributes: &str,
    is_secure: bool,
) -> Result<HeaderValue, Error> {
    let secure = if is_secure { "; Secure" } else { "" };
    let seconds = lifetime.as_secs();
    let text = format!("{TOKEN_COOKIE}={token}; {attributes}; Max-Age={seconds}; HttpOnly{secure}");
    let too_long = || {
        let detail = "the token is too long for a cookie; name fewer cameras";
        Error::new(ErrorKind::InvalidRequest, detail)
    };
    if text.len() > MAX_COOKIE {
        return Err(too_long());
    }
    HeaderValue::try_from(text).map_err(|_| too_long())
}
