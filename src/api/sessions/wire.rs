//! Playback sessions on the wire.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::base::time::rfc3339;
use crate::playback::Session;
use crate::service::sessions::{Begun, NewSession};

/// The lifetime of a session by default, in seconds.
const USUAL_LIFETIME: u64 = 30 * 60;

/// Input of a new session.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "user": "anna", "camera": "front-door" }))]
pub(crate) struct SessionInput {
    /// The user who watches, in the back end's words.
    user: String,
    /// The camera.
    #[serde(default)]
    camera: Option<String>,
    /// Or several; `["*"]` for all.
    #[serde(default)]
    #[schema(max_items = 100)]
    cameras: Vec<String>,
    /// The lifetime in seconds.
    #[serde(default = "usual_lifetime")]
    #[schema(minimum = 1, maximum = 86_400, default = 1800)]
    pub(super) ttl_seconds: u64,
    /// If true, the answer sets the token as a cookie, for a browser that sends this request itself.
    #[serde(default)]
    pub(super) cookie: bool,
}

fn usual_lifetime() -> u64 {
    USUAL_LIFETIME
}

impl SessionInput {
    pub(super) fn session(self) -> NewSession {
        NewSession {
            user: self.user,
            cameras: self.cameras.into_iter().chain(self.camera).collect(),
            lifetime: self.ttl_seconds,
        }
    }
}

/// Answer to a new session. The token is secret, so it has no `Debug`.
#[derive(Serialize, ToSchema)]
pub(crate) struct NewSessionOutput {
    /// The token that its holder shows to watch.
    token: String,
    /// Path of the playlist of the first camera, with the token in it; null for all cameras.
    hls_url: Option<String>,
    #[serde(flatten)]
    session: SessionOutput,
}

impl NewSessionOutput {
    pub(super) fn new(begun: Begun) -> Self {
        let Begun { session, token, camera } = begun;
        Self {
            hls_url: camera.map(|id| format!("/play/{token}/{id}/stream.m3u8")),
            token,
            session: SessionOutput::new(&session),
        }
    }
}

/// A session.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SessionOutput {
    /// Its id.
    session_id: String,
    /// The user who watches, in the back end's words.
    user: String,
    /// The cameras' ids, or `*` for all.
    cameras: Vec<String>,
    /// The API key that asked for it; null when a back end made the token.
    made_by: Option<String>,
    /// When it was created, RFC 3339.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it expires, RFC 3339.
    #[schema(format = DateTime)]
    expires_at: String,
    /// When its holder last asked for a file; null when not since the manager's start.
    #[schema(format = DateTime)]
    last_seen: Option<String>,
    /// The validity of its token.
    state: SessionState,
}

/// The validity of a session's token.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SessionState {
    /// It is valid until it expires.
    Active,
    /// The session was ended before its time.
    Ended,
}

impl SessionOutput {
    fn new(session: &Session) -> Self {
        let claims = &session.claims;
        Self {
            session_id: claims.jti.clone(),
            user: claims.sub.clone(),
            cameras: claims.cameras.clone(),
            made_by: session.made_by.clone(),
            created_at: rfc3339(claims.iat),
            expires_at: rfc3339(claims.exp),
            last_seen: session.last_seen.map(rfc3339),
            state: if session.is_ended() { SessionState::Ended } else { SessionState::Active },
        }
    }
}

/// Answer to the list of sessions.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SessionsOutput {
    /// The sessions that have not expired.
    sessions: Vec<SessionOutput>,
}

impl SessionsOutput {
    pub(super) fn new(sessions: &[Session]) -> Self {
        Self { sessions: sessions.iter().map(SessionOutput::new).collect() }
    }
}
