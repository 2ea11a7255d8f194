//! JSON types of playback sessions.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::rights::Rights;
use crate::api::wire::{flag, number, span_in_seconds};
use crate::base::error::Error;
use crate::base::public_url::PublicUrl;
use crate::base::time::rfc3339;
use crate::playback::Session;
use crate::service::sessions::{CreatedSession, NewSession};

/// The default lifetime of a session, in seconds.
const USUAL_LIFETIME: u64 = 30 * 60;

/// The parameters of a new session.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "user": "anna", "camera": "front-door" }))]
pub(crate) struct SessionInput {
    /// The user who watches. The back end chooses the name.
    user: String,
    /// The id of a camera. It is added to `cameras`.
    #[serde(default)]
    camera: Option<String>,
    /// The ids of several cameras, or `["*"]` for all cameras.
    #[serde(default)]
    #[schema(max_items = 100)]
    cameras: Vec<String>,
    /// The lifetime in seconds.
    #[serde(default = "usual_lifetime", deserialize_with = "number")]
    #[schema(minimum = 1, maximum = 86_400, default = 1800)]
    pub(super) ttl_seconds: u64,
    /// The rights in addition to watching live. With `recordings`, the user can watch and export what was recorded.
    #[serde(default)]
    #[schema(example = json!(["recordings"]))]
    rights: Vec<String>,
    /// The beginning of the time to which the right `recordings` is limited. Fractions of seconds are cut off.
    #[serde(default)]
    #[schema(format = DateTime)]
    from: Option<String>,
    /// The end of this time. Required if `from` is given.
    #[serde(default)]
    #[schema(format = DateTime)]
    to: Option<String>,
    /// If true, the response also sets the token as a cookie. This is useful if a browser sends
    /// this request.
    #[serde(default, deserialize_with = "flag")]
    #[schema(default = false)]
    pub(super) cookie: bool,
}

fn usual_lifetime() -> u64 {
    USUAL_LIFETIME
}

impl SessionInput {
    pub(super) fn session(self) -> Result<NewSession, Error> {
        let cameras = self.cameras.into_iter().chain(self.camera);
        Ok(NewSession {
            user: self.user,
            cameras: cameras.map(|id| id.trim().to_owned()).collect(),
            lifetime: self.ttl_seconds,
            rights: self.rights,
            span: span_in_seconds(self.from.as_deref(), self.to.as_deref())?,
        })
    }
}

/// A new session and its token.
// The token is secret, so the type has no `Debug`.
#[derive(Serialize, ToSchema)]
pub(crate) struct NewSessionOutput {
    /// The token, which the session's holder sends with every request for media.
    token: String,
    /// URL of the playlist of the first camera, including the token; null if the session is for all cameras.
    /// Without `PUBLIC_URL`, the URL is a path without a host.
    hls_url: Option<String>,
    #[serde(flatten)]
    session: SessionOutput,
}

impl NewSessionOutput {
    pub(super) fn new(created: CreatedSession, public_url: &PublicUrl) -> Self {
        let CreatedSession { session, token, camera } = created;
        Self {
            hls_url: camera.map(|id| public_url.url(&format!("/play/{token}/{id}/stream.m3u8"))),
            token,
            session: SessionOutput::new(&session),
        }
    }
}

/// A session.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SessionOutput {
    /// The session's id.
    session_id: String,
    /// The user who watches. The back end chooses the name.
    user: String,
    /// The cameras' ids, or `*` for all.
    cameras: Vec<String>,
    /// Name of the API key that created the session (`anybody` if the manager has no keys); null if a back
    /// end issued the token.
    made_by: Option<String>,
    /// The rights in addition to watching live.
    #[schema(value_type = Vec<String>)]
    rights: Rights,
    /// The beginning of the time to which the right `recordings` is limited, RFC 3339; null for all times.
    #[schema(format = DateTime)]
    from: Option<String>,
    /// The end of this time, RFC 3339; null for all times.
    #[schema(format = DateTime)]
    to: Option<String>,
    /// When the session was created, RFC 3339.
    #[schema(format = DateTime)]
    created_at: String,
    /// When the session expires, RFC 3339.
    #[schema(format = DateTime)]
    expires_at: String,
    /// When the session's holder last requested media, RFC 3339; null if the holder has requested
    /// none since the manager started.
    #[schema(format = DateTime)]
    last_seen: Option<String>,
    /// The validity of the session's token.
    state: SessionState,
}

/// The validity of a session's token.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SessionState {
    /// The token is valid until it expires.
    Active,
    /// The session was ended early, so the token is no longer valid.
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
            rights: claims.rights,
            from: claims.from.map(rfc3339),
            to: claims.to.map(rfc3339),
            created_at: rfc3339(claims.iat),
            expires_at: rfc3339(claims.exp),
            last_seen: session.last_seen.map(rfc3339),
            state: if session.is_ended() { SessionState::Ended } else { SessionState::Active },
        }
    }
}

/// The list of playback sessions.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SessionsOutput {
    /// The sessions that have not expired and that the caller can see, newest first.
    sessions: Vec<SessionOutput>,
}

impl SessionsOutput {
    pub(super) fn new(sessions: &[Session]) -> Self {
        Self { sessions: sessions.iter().map(SessionOutput::new).collect() }
    }
}
