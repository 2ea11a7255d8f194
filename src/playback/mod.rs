//! Playback sessions: the permission of one user to watch certain cameras until a time.
//!
//! A session is a token that its holder shows with every file. Tokens are made here, or by a back end
//! that has a key of its own. Sessions can be ended before their time, which takes hold with the next
//! request; both survive a restart of the manager.
//!
//! | Module | Does |
//! |---|---|
//! | [`token`] | making and judging tokens |

use std::time::Duration;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use crate::access::Caller;
use crate::base::error::{Error, ErrorKind};
use crate::base::time;
use crate::camera::id::CameraId;
use crate::store::db::{Database, SessionRow};
use token::{AUDIENCE, Claims, LEEWAY, MAX_LIFETIME, Signer, Verifier};

pub mod token;

/// Sessions known at once. More than there can be players; tokens of a back end beyond that are good,
/// but cannot be listed or ended.
const MAX_SESSIONS: usize = 100_000;
/// So that one key's sessions leave room for those of others.
const MAX_SESSIONS_OF_A_KEY: usize = 50_000;
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
    /// The owner that its cameras must have, for one that a user made; `None` for all.
    pub owner: Option<String>,
    /// Unix seconds from which on no token of this id can count any more.
    kept_until: u64,
}

/// What a good token says of its holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    /// The user who watches.
    pub user: String,
    /// The owner that the camera must have, for a session that a user made.
    pub owner: Option<String>,
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
        let rows = database.sessions(time::to_i64(time::unix_now())).await;
        let rows = rows.map_err(|error| format!("the sessions cannot be read: {error}"))?;
        let sessions = rows.into_iter().map(|row| (row.id.clone(), Session::from(row))).collect();
        Ok(Self { signer: Signer::new(secret)?, verifier, database, sessions })
    }

    /// Begins a session for `user` and `cameras`; returns it with its token.
    pub async fn begin(
        &self,
        user: String,
        cameras: Vec<String>,
        lifetime: Duration,
        caller: &Caller,
    ) -> Result<(Session, String), Error> {
        self.forget_old();
        let made_by = Some(caller.name().to_owned());
        let own = self.sessions.iter().filter(|one| one.made_by == made_by).count();
        if own >= MAX_SESSIONS_OF_A_KEY {
            let detail = format!("{MAX_SESSIONS_OF_A_KEY} sessions of this API key are open");
            return Err(
                Error::new(ErrorKind::TooManySessions, detail).retry_after(Duration::from_mins(1))
            );
        }
        if self.sessions.len() >= MAX_SESSIONS {
            let detail =
                format!("{MAX_SESSIONS} playback sessions are open, as many as there may be");
            return Err(
                Error::new(ErrorKind::TooManySessions, detail).retry_after(Duration::from_mins(1))
            );
        }
        let now = time::unix_now();
        let claims = Claims {
            jti: (0..ID_LENGTH).map(|_| fastrand::alphanumeric()).collect(),
            sub: user,
            cameras,
            iat: now,
            nbf: None,
            exp: now + lifetime.as_secs(),
            aud: AUDIENCE.to_owned(),
        };
        let token = self.signer.mint(&claims)?;
        let mut session = Session::new(claims);
        session.made_by = made_by;
        session.owner = caller.owner().map(str::to_owned);
        self.database.put_session(&session.row()).await.map_err(fails)?;
        self.sessions.insert(session.claims.jti.clone(), session.clone());
        Ok((session, token))
    }

    /// Judges a token that is shown for a camera.
    pub fn admit(&self, token: &str, camera: &CameraId) -> Result<Admitted, Error> {
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
                Err(Error::new(ErrorKind::Unauthorized, "the playback session was ended"))
            }
            Entry::Occupied(mut session) => {
                let session = session.get_mut();
                if session.claims != claims {
                    if session.made_by.is_some() {
                        let detail = "the token has the id of another session";
                        return Err(Error::new(ErrorKind::Unauthorized, detail));
                    }
                    // Back ends renew tokens under the same id.
                    session.kept_until = session.kept_until.max(kept_until(&claims));
                    session.claims = claims;
                }
                session.last_seen = Some(time::unix_now());
                Ok(Admitted { user, owner: session.owner.clone() })
            }
            // A back end made it. It is as good as ours, and can be listed and ended from now on.
            Entry::Vacant(free) if !is_full => {
                free.insert(Session { last_seen: Some(time::unix_now()), ..Session::new(claims) });
                Ok(Admitted { user, owner: None })
            }
            Entry::Vacant(_) => Ok(Admitted { user, owner: None }),
        }
    }

    /// Sessions whose time is not over, the newest first.
    pub fn list(&self) -> Vec<Session> {
        self.forget_old();
        let now = time::unix_now();
        let sessions = self.sessions.iter().map(|one| one.value().clone());
        let mut sessions: Vec<_> = sessions.filter(|one| one.claims.exp > now).collect();
        sessions.sort_by(|a, b| (b.claims.iat, &b.claims.jti).cmp(&(a.claims.iat, &a.claims.jti)));
        sessions
    }

    /// One session.
    pub fn get(&self, id: &str) -> Option<Session> {
        self.sessions.get(id).map(|session| session.value().clone())
    }

    /// Ends a session before its time, also one of a back end whose token was not shown yet.
    pub async fn end(&self, id: &str) -> Result<(), Error> {
        let now = time::unix_now();
        let mut session = self.get(id).unwrap_or_else(|| {
            let cameras = Vec::new();
            let (jti, aud) = (id.to_owned(), AUDIENCE.to_owned());
            let exp = now + MAX_LIFETIME;
            Session::new(Claims { jti, sub: "?".into(), cameras, iat: now, nbf: None, exp, aud })
        });
        session.is_ended = true;
        if session.made_by.is_none() {
            // A back end may have made more tokens of this id, which live as long at most.
            session.kept_until = session.kept_until.max(now + MAX_LIFETIME + LEEWAY + 1);
        }
        // What was promised must hold after a restart too.
        self.database.put_session(&session.row()).await.map_err(fails)?;
        self.sessions.insert(id.to_owned(), session);
        Ok(())
    }

    fn forget_old(&self) {
        let now = time::unix_now();
        self.sessions.retain(|_, session| session.kept_until > now);
    }
}

/// A token counts for a little longer than it says.
fn kept_until(claims: &Claims) -> u64 {
    claims.exp + LEEWAY + 1
}

impl Session {
    fn new(claims: Claims) -> Self {
        let kept_until = kept_until(&claims);
        Self { claims, made_by: None, last_seen: None, is_ended: false, owner: None, kept_until }
    }

    fn row(&self) -> SessionRow {
        SessionRow {
            id: self.claims.jti.clone(),
            viewer: self.claims.sub.clone(),
            cameras: self.claims.cameras.join(","),
            made_by: self.made_by.clone(),
            created_at: time::to_i64(self.claims.iat),
            expires_at: time::to_i64(self.claims.exp),
            is_ended: self.is_ended,
            owner: self.owner.clone(),
            kept_until: time::to_i64(self.kept_until),
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
        let kept_until = row.kept_until.unsigned_abs();
        let (made_by, is_ended, owner) = (row.made_by, row.is_ended, row.owner);
        Self { claims, made_by, last_seen: None, is_ended, owner, kept_until }
    }
}

fn fails(error: sqlx::Error) -> Error {
    Error::new(ErrorKind::StorageUnavailable, "the session cannot be stored").caused_by(error)
}
