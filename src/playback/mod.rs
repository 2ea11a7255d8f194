//! Playback sessions: the permission of one user to watch certain cameras until a time.
//!
//! A session is a token that its holder shows with every file. Tokens are made here, or by a back end
//! that has a key of its own. Sessions can be ended before their time, which takes hold with the next
//! request; both survive a restart of the manager.
//!
//! | Module | Does |
//! |---|---|
//! | [`token`] | making and judging tokens |

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use crate::error::{Error, ErrorKind};
use crate::store::db::{Database, SessionRow};
use crate::stream::key::CameraId;
use token::{AUDIENCE, Claims, Signer, Verifier};

pub mod token;

/// Sessions known at once. More than there can be players; tokens of a back end beyond that are good,
/// but cannot be listed or ended.
const MAX_SESSIONS: usize = 100_000;
/// Characters of a session's id.
const ID_LENGTH: usize = 24;

/// A session as it stands.
#[derive(Debug, Clone)]
pub struct Session {
    /// What its token says.
    pub claims: Claims,
    /// The API key that asked for it; `None` for a token that a back end made.
    pub made_by: Option<String>,
    /// When its holder last asked for a file, in Unix seconds; `None` since the manager's start.
    pub last_seen: Option<u64>,
    /// Whether it was ended before its time.
    pub is_ended: bool,
}

/// All sessions.
pub struct Playback {
    signer: Signer,
    verifier: Verifier,
    database: Database,
    sessions: DashMap<String, Session>,
}

impl Playback {
    /// The sessions of an earlier manager go on. `public_keys` are those of back ends that make
    /// tokens themselves, in PEM or as JWKS. The error is one line for the operator.
    pub async fn open(
        database: Database,
        secret: &[u8],
        public_keys: Option<&str>,
    ) -> Result<Self, String> {
        let mut verifier = Verifier::new(secret)?;
        if let Some(keys) = public_keys {
            verifier = verifier.with_public_keys(keys)?;
        }
        let rows = database.sessions(as_i64(now())).await;
        let rows = rows.map_err(|error| format!("the sessions cannot be read: {error}"))?;
        let sessions = rows.into_iter().map(|row| (row.id.clone(), Session::from(row))).collect();
        Ok(Self { signer: Signer::new(secret)?, verifier, database, sessions })
    }

    /// Begins a session for `user` and `cameras`; returns it with its token.
    pub async fn begin(
        &self,
        user: String,
        cameras: Vec<String>,
        time: Duration,
        made_by: &str,
    ) -> Result<(Session, String), Error> {
        self.forget_old();
        if self.sessions.len() >= MAX_SESSIONS {
            let detail =
                format!("{MAX_SESSIONS} playback sessions are open, as many as there may be");
            return Err(
                Error::new(ErrorKind::TooManySessions, detail).retry_after(Duration::from_mins(1))
            );
        }
        let now = now();
        let claims = Claims {
            jti: (0..ID_LENGTH).map(|_| fastrand::alphanumeric()).collect(),
            sub: user,
            cameras,
            iat: now,
            nbf: None,
            exp: now + time.as_secs(),
            aud: AUDIENCE.to_owned(),
        };
        let token = self.signer.mint(&claims)?;
        let made_by = Some(made_by.to_owned());
        let session = Session { claims, made_by, last_seen: None, is_ended: false };
        self.database.put_session(&session.row()).await.map_err(fails)?;
        self.sessions.insert(session.claims.jti.clone(), session.clone());
        Ok((session, token))
    }

    /// Judges a token that is shown for a camera. Returns who watches.
    pub fn admit(&self, token: &str, camera: &CameraId) -> Result<String, Error> {
        let claims = self.verifier.verify(token)?;
        if !claims.allows(camera.as_str()) {
            let detail = format!("the token is not for camera {camera}");
            return Err(Error::new(ErrorKind::Forbidden, detail));
        }
        let user = claims.sub.clone();
        // Before the entry is held: looking at the whole map then would wait for itself.
        let is_full = self.sessions.len() >= MAX_SESSIONS;
        match self.sessions.entry(claims.jti.clone()) {
            Entry::Occupied(session) if session.get().is_ended => {
                return Err(Error::new(ErrorKind::Unauthorized, "the playback session was ended"));
            }
            Entry::Occupied(mut session) => session.get_mut().last_seen = Some(now()),
            // A back end made it. It is as good as ours, and can be listed and ended from now on.
            Entry::Vacant(free) if !is_full => {
                let last_seen = Some(now());
                free.insert(Session { claims, made_by: None, last_seen, is_ended: false });
            }
            Entry::Vacant(_) => {}
        }
        Ok(user)
    }

    /// Sessions whose time is not over, the newest first.
    pub fn list(&self) -> Vec<Session> {
        self.forget_old();
        let mut sessions: Vec<_> = self.sessions.iter().map(|one| one.value().clone()).collect();
        sessions.sort_by(|a, b| (b.claims.iat, &b.claims.jti).cmp(&(a.claims.iat, &a.claims.jti)));
        sessions
    }

    /// One session.
    pub fn get(&self, id: &str) -> Option<Session> {
        self.sessions.get(id).map(|session| session.value().clone())
    }

    /// Ends a session before its time. False when there is none.
    pub async fn end(&self, id: &str) -> Result<bool, Error> {
        let Some(session) = self.get(id) else { return Ok(false) };
        let ended = Session { is_ended: true, ..session };
        // What was promised must hold after a restart too.
        self.database.put_session(&ended.row()).await.map_err(fails)?;
        self.sessions.insert(id.to_owned(), ended);
        Ok(true)
    }

    fn forget_old(&self) {
        let now = now();
        self.sessions.retain(|_, session| session.claims.exp > now);
    }
}

impl Session {
    fn row(&self) -> SessionRow {
        SessionRow {
            id: self.claims.jti.clone(),
            viewer: self.claims.sub.clone(),
            cameras: self.claims.cameras.join(","),
            made_by: self.made_by.clone(),
            created_at: as_i64(self.claims.iat),
            expires_at: as_i64(self.claims.exp),
            is_ended: self.is_ended,
        }
    }
}

impl From<SessionRow> for Session {
    fn from(row: SessionRow) -> Self {
        let claims = Claims {
            jti: row.id,
            sub: row.viewer,
            cameras: row.cameras.split(',').map(str::to_owned).collect(),
            iat: row.created_at.unsigned_abs(),
            nbf: None,
            exp: row.expires_at.unsigned_abs(),
            aud: AUDIENCE.to_owned(),
        };
        Self { claims, made_by: row.made_by, last_seen: None, is_ended: row.is_ended }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "what map_err hands over")]
fn fails(error: sqlx::Error) -> Error {
    Error::new(ErrorKind::StorageUnavailable, format!("the session cannot be kept: {error}"))
}

/// Unix seconds.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn as_i64(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX)
}
