//! Playback sessions: the permission of one user to watch certain cameras for a limited time.
//!
//! A session has a token that its holder sends with every request for media. Tokens are issued here, or
//! by a back end that has a key of its own. A session can be ended early, which takes effect with the
//! next request. Sessions and their ends survive a restart of the manager.
//!
//! | Module | Owns |
//! |---|---|
//! | [`token`] | issuing and verifying tokens |
//! | [`secret`] | the file of the secret that signs them |

use std::time::Duration;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use tokio::sync::watch;

use crate::access::Caller;
use crate::access::permit::Permit;
use crate::base::error::{Error, ErrorKind};
use crate::base::time;
use crate::camera::id::CameraId;
use crate::store::db::{Database, SessionRow};
use token::key::PublicKeyError;
use token::{AUDIENCE, Claims, LEEWAY, MAX_LIFETIME, ShortSecret, Signer, Verifier};

pub(crate) mod secret;
pub(crate) mod token;

/// The largest number of known sessions, which exceeds the number of possible players. Further tokens of
/// a back end are valid, but cannot be listed or ended.
const MAX_SESSIONS: usize = 100_000;
/// The largest number of sessions of one API key, so that others can have some too.
const MAX_SESSIONS_OF_A_KEY: usize = 50_000;
/// The length of a session's id, in characters.
const ID_LENGTH: usize = 24;

/// A playback session.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    /// The claims of its token.
    pub claims: Claims,
    /// The API key that created it; `None` for a token of a back end.
    pub made_by: Option<String>,
    /// When its holder last requested media, in Unix seconds; `None` if not since the manager's start.
    pub last_seen: Option<u64>,
    /// Becomes true when the session is ended early; permits follow it.
    ended: watch::Sender<bool>,
    /// The owner that its cameras must have, if a user created it; `None` for any owner.
    pub owner: Option<String>,
    /// Unix seconds from which on every token with this id has expired.
    kept_until: u64,
}

/// Why the playback sessions cannot be opened. Its text and causes are for the operator.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlaybackError {
    /// The secret cannot be used.
    #[error("PLAYBACK_SECRET is invalid")]
    Secret(#[from] ShortSecret),
    /// The public keys cannot be used.
    #[error("PLAYBACK_PUBLIC_KEYS is invalid")]
    PublicKeys(#[from] PublicKeyError),
    /// The database failed.
    #[error("the playback sessions cannot be read")]
    Database(#[from] sqlx::Error),
}

/// All playback sessions.
pub(crate) struct Playback {
    signer: Signer,
    verifier: Verifier,
    database: Database,
    sessions: DashMap<String, Session>,
}

impl Playback {
    /// Opens the sessions in the database. `public_keys` are those of back ends that issue tokens
    /// themselves, in PEM or as JWKS.
    pub(crate) async fn open(
        database: Database,
        secret: &[u8],
        public_keys: Option<&str>,
    ) -> Result<Self, PlaybackError> {
        let mut verifier = Verifier::new(secret)?;
        if let Some(keys) = public_keys {
            verifier = verifier.with_public_keys(keys)?;
        }
        let rows = database.sessions(time::to_i64(time::unix_now())).await?;
        let sessions = rows.into_iter().map(|row| (row.id.clone(), Session::from(row))).collect();
        Ok(Self { signer: Signer::new(secret)?, verifier, database, sessions })
    }

    /// Begins a session for `user` and `cameras`. Returns it with its token.
    pub(crate) async fn begin(
        &self,
        user: String,
        cameras: Vec<String>,
        lifetime: Duration,
        caller: &Caller,
    ) -> Result<(Session, String), Error> {
        self.forget_expired();
        let made_by = Some(caller.name().to_owned());
        self.ensure_capacity(made_by.as_deref())?;
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
        let token = self.signer.issue(&claims)?;
        let mut session = Session::new(claims);
        session.made_by = made_by;
        session.owner = caller.owner().map(str::to_owned);
        self.database.put_session(&session.row()).await.map_err(fails)?;
        self.sessions.insert(session.claims.jti.clone(), session.clone());
        Ok((session, token))
    }

    /// Verifies a token that is sent for a camera. Returns the permission of its holder; whether the
    /// camera has the owner that the permission requires remains to be checked.
    pub(crate) fn admit(&self, token: &str, camera: &CameraId) -> Result<Permit, Error> {
        let claims = self.verifier.verify(token)?;
        if !claims.allows(camera.as_str()) {
            let detail = format!("the token is not for camera {camera}");
            return Err(Error::new(ErrorKind::Forbidden, detail));
        }
        let (user, until) = (claims.sub.clone(), valid_until(&claims));
        // Before the entry is locked: counting the whole map would deadlock then.
        let is_full = self.sessions.len() >= MAX_SESSIONS;
        match self.sessions.entry(claims.jti.clone()) {
            Entry::Occupied(session) if session.get().is_ended() => {
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
                let permit = Permit::of_session(user, session.owner.clone(), until);
                Ok(permit.until_revoked(session.ended.subscribe()))
            }
            // The first use of a back end's token. From now on it can be listed and ended.
            Entry::Vacant(free) if !is_full => {
                let session = Session { last_seen: Some(time::unix_now()), ..Session::new(claims) };
                let ended = session.ended.subscribe();
                free.insert(session);
                Ok(Permit::of_session(user, None, until).until_revoked(ended))
            }
            Entry::Vacant(_) => Ok(Permit::of_session(user, None, until)),
        }
    }

    /// Returns the sessions that have not expired, the newest first.
    pub(crate) fn list(&self) -> Vec<Session> {
        self.forget_expired();
        let now = time::unix_now();
        let sessions = self.sessions.iter().map(|one| one.value().clone());
        let mut sessions: Vec<_> = sessions.filter(|one| one.claims.exp > now).collect();
        sessions.sort_by(|a, b| (b.claims.iat, &b.claims.jti).cmp(&(a.claims.iat, &a.claims.jti)));
        sessions
    }

    /// Returns a session.
    pub(crate) fn get(&self, id: &str) -> Option<Session> {
        self.sessions.get(id).map(|session| session.value().clone())
    }

    /// Ends a session early, also one of a back end whose token was not used yet.
    pub(crate) async fn end(&self, id: &str) -> Result<(), Error> {
        let mut session = self.get(id).unwrap_or_else(|| Session::not_used(id));
        if session.made_by.is_none() {
            // A back end can have issued more tokens with this id, which live this long at most.
            let latest = time::unix_now() + MAX_LIFETIME + LEEWAY + 1;
            session.kept_until = session.kept_until.max(latest);
        }
        // First in the database, since the end must survive a restart.
        let row = SessionRow { is_ended: true, ..session.row() };
        self.database.put_session(&row).await.map_err(fails)?;
        let kept_until = session.kept_until;
        let mut ended = self.sessions.entry(id.to_owned()).or_insert(session);
        ended.kept_until = ended.kept_until.max(kept_until);
        ended.ended.send_replace(true);
        Ok(())
    }

    /// Refuses a further session of an API key when there are too many.
    fn ensure_capacity(&self, key: Option<&str>) -> Result<(), Error> {
        let of_key = self.sessions.iter().filter(|one| one.made_by.as_deref() == key).count();
        let detail = if of_key >= MAX_SESSIONS_OF_A_KEY {
            format!(
                "this API key has reached its limit of {MAX_SESSIONS_OF_A_KEY} playback sessions"
            )
        } else if self.sessions.len() >= MAX_SESSIONS {
            format!("the manager has reached its limit of {MAX_SESSIONS} playback sessions")
        } else {
            return Ok(());
        };
        Err(Error::new(ErrorKind::TooManySessions, detail).retry_after(Duration::from_mins(1)))
    }

    fn forget_expired(&self) {
        let now = time::unix_now();
        self.sessions.retain(|_, session| session.kept_until > now);
    }
}

/// Returns the end of a token's validity, including the tolerated difference between clocks.
fn valid_until(claims: &Claims) -> u64 {
    claims.exp + LEEWAY
}

fn kept_until(claims: &Claims) -> u64 {
    valid_until(claims) + 1
}

impl Session {
    fn new(claims: Claims) -> Self {
        let (kept_until, ended) = (kept_until(&claims), watch::Sender::new(false));
        Self { claims, made_by: None, last_seen: None, ended, owner: None, kept_until }
    }

    /// A back end's session whose token was not used yet: only its id is known.
    fn not_used(id: &str) -> Self {
        let now = time::unix_now();
        Self::new(Claims {
            jti: id.to_owned(),
            sub: "?".into(),
            cameras: Vec::new(),
            iat: now,
            nbf: None,
            exp: now + MAX_LIFETIME,
            aud: AUDIENCE.to_owned(),
        })
    }

    /// Returns whether the session was ended early.
    pub(crate) fn is_ended(&self) -> bool {
        *self.ended.borrow()
    }

    fn row(&self) -> SessionRow {
        SessionRow {
            id: self.claims.jti.clone(),
            viewer: self.claims.sub.clone(),
            cameras: self.claims.cameras.join(","),
            made_by: self.made_by.clone(),
            created_at: time::to_i64(self.claims.iat),
            expires_at: time::to_i64(self.claims.exp),
            is_ended: self.is_ended(),
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
        let (made_by, ended, owner) = (row.made_by, watch::Sender::new(row.is_ended), row.owner);
        Self { claims, made_by, last_seen: None, ended, owner, kept_until }
    }
}

fn fails(error: sqlx::Error) -> Error {
    Error::new(ErrorKind::StorageUnavailable, "the session cannot be stored").caused_by(error)
}
