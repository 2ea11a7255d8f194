//! Playback sessions: the permission of one user to watch certain cameras for a limited time. A share link is the
//! session of everyone who has the link; it permits only what was recorded of one camera in a limited time.
//!
//! Each session has a token. The session's holder sends the token with every request for media. The manager
//! issues tokens. A back end that has its own key can also issue tokens. A session can be ended early; requests
//! with its token are then refused. Sessions that the manager created, and the early end of any session,
//! are stored in the database and survive a restart.
//!
//! | Module | Owns |
//! |---|---|
//! | [`token`] | issuing and verifying tokens |
//! | [`secret`] | the file with the secret that signs the manager's tokens |

use std::time::Duration;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use tokio::sync::watch;
use tracing::warn;

use crate::access::Caller;
use crate::access::permit::Permit;
use crate::access::rights::Rights;
use crate::base::error::{Error, ErrorKind};
use crate::base::time;
use crate::camera::id::CameraId;
use crate::store::db::Database;
use crate::store::db::session_table::SessionRow;
use token::error::TokenError;
use token::key::PublicKeyError;
use token::{
    AUDIENCE, Claims, MAX_CLOCK_SKEW, MAX_LIFETIME, SHARE_AUDIENCE, ShortSecret, Signer, Verifier,
};

pub(crate) mod secret;
pub(crate) mod token;

/// The largest number of known sessions, which limits the memory for sessions. Once this number has been
/// reached, the manager creates no sessions. Back ends can still issue valid tokens, but their new sessions are
/// not listed.
const MAX_SESSIONS: usize = 100_000;
/// The largest number of sessions of one API key, so that one key cannot use up [`MAX_SESSIONS`].
const MAX_SESSIONS_OF_A_KEY: usize = 50_000;
/// The length of a session's id, in characters.
const ID_LENGTH: usize = 24;

/// What a new session permits.
#[derive(Debug)]
pub(crate) struct Grant {
    /// The user who watches.
    pub(crate) user: String,
    /// The ids of the cameras, or `*` alone for all.
    pub(crate) cameras: Vec<String>,
    /// The lifetime of the session.
    pub(crate) lifetime: Duration,
    /// The rights in addition to `live`, or all rights of a share link.
    pub(crate) rights: Rights,
    /// The time to which the right `recordings` is limited, in Unix seconds; `None` for all times.
    pub(crate) span: Option<(u64, u64)>,
    /// True for a share link.
    pub(crate) is_share: bool,
}

/// A playback session.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    /// The claims of the session's token.
    pub claims: Claims,
    /// The name of the API key that created the session, or `anybody` if there were no keys; `None` if a
    /// back end issued the token.
    pub made_by: Option<String>,
    /// When the session's holder last requested media, in Unix seconds; `None` if the holder has not
    /// requested media since the start of the manager.
    pub last_seen: Option<u64>,
    /// Becomes true when the session is ended early, which revokes its permits.
    ended: watch::Sender<bool>,
    /// The owner that the session's cameras must have, if a key of role `user` created the session;
    /// `None` if the owner does not matter.
    pub owner: Option<String>,
    /// The time in Unix seconds at which all tokens with this id have expired, so that the session can be
    /// forgotten.
    kept_until: u64,
}

/// The reason why the playback sessions cannot be loaded. The texts are for the operator.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlaybackError {
    /// `PLAYBACK_SECRET` cannot be used.
    #[error("PLAYBACK_SECRET is invalid")]
    Secret(#[from] ShortSecret),
    /// `PLAYBACK_PUBLIC_KEYS` cannot be used.
    #[error("PLAYBACK_PUBLIC_KEYS is invalid")]
    PublicKeys(#[from] PublicKeyError),
    /// The database failed.
    #[error("the playback sessions cannot be read from the database")]
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
    /// Loads the sessions from the database. `secret` signs the manager's tokens, and verifies all tokens that the
    /// manager or a back end has signed with it. `public_keys`, in PEM or as JWKS, verify the other tokens of back
    /// ends. The clocks of back ends and the manager may differ by `clock_skew` seconds.
    pub(crate) async fn open(
        database: Database,
        secret: &[u8],
        public_keys: Option<&str>,
        clock_skew: u64,
    ) -> Result<Self, PlaybackError> {
        let mut verifier = Verifier::new(secret, clock_skew)?;
        if let Some(keys) = public_keys {
            verifier = verifier.with_public_keys(keys)?;
        }
        let rows = database.sessions(time::to_i64(time::unix_now())).await?;
        let sessions = rows.into_iter().map(|row| (row.id.clone(), Session::from(row))).collect();
        Ok(Self { signer: Signer::new(secret)?, verifier, database, sessions })
    }

    /// Refuses the share links of all other API keys than those for which `is_permitted` returns true. A link must not outlive
    /// the key that created it.
    pub(crate) fn keep_shares_of(&self, is_permitted: impl Fn(&str, Option<&str>) -> bool) {
        self.sessions.retain(|_, session| {
            let made_by = session.made_by.as_deref().unwrap_or_default();
            let owner = session.owner.as_deref();
            let is_kept = !session.claims.is_share() || is_permitted(made_by, owner);
            if !is_kept {
                warn!(made_by, share = %session.claims.jti, "a share link is refused, because no API key of this name has the right recordings and can access the camera");
            }
            is_kept
        });
    }

    /// Creates a session, which permits what is in `grant`. Returns the session and its token.
    pub(crate) async fn begin(
        &self,
        grant: Grant,
        caller: &Caller,
    ) -> Result<(Session, String), Error> {
        self.forget_expired();
        let made_by = Some(caller.name().to_owned());
        self.ensure_capacity(made_by.as_deref())?;
        let now = time::unix_now();
        let claims = Claims {
            jti: (0..ID_LENGTH).map(|_| fastrand::alphanumeric()).collect(),
            sub: grant.user,
            cameras: grant.cameras,
            iat: now,
            nbf: None,
            exp: now + grant.lifetime.as_secs(),
            aud: audience(grant.is_share).to_owned(),
            rights: grant.rights,
            from: grant.span.map(|(from, _)| from),
            to: grant.span.map(|(_, to)| to),
        };
        let token = self.signer.issue(&claims)?;
        let mut session = Session::new(claims);
        session.made_by = made_by;
        session.owner = caller.owner().map(str::to_owned);
        self.database.put_session(&session.row()).await.map_err(not_stored)?;
        self.sessions.insert(session.claims.jti.clone(), session.clone());
        Ok((session, token))
    }

    /// Verifies a token that was sent for a camera. Returns the permission that the token gives.
    /// The function's caller must check that the camera has the owner that the permission requires.
    pub(crate) fn admit(&self, token: &str, camera: &CameraId) -> Result<Permit, Error> {
        let claims = self.verifier.verify(token)?;
        if !claims.allows(camera.as_str()) {
            let detail = format!("the token is not for camera {camera}");
            return Err(Error::new(ErrorKind::Forbidden, detail));
        }
        let (user, rights, span) = (claims.sub.clone(), claims.all_rights(), claims.span());
        let mut until = self.verifier.valid_until(&claims);
        // The map is counted before the entry is locked, because counting it with a locked entry would
        // deadlock.
        let is_full = self.sessions.len() >= MAX_SESSIONS;
        match self.sessions.entry(claims.jti.clone()) {
            Entry::Occupied(session) if session.get().is_ended() => {
                let ended = "the playback session or share link was ended";
                Err(Error::new(ErrorKind::Unauthorized, ended))
            }
            Entry::Occupied(mut session) => {
                let session = session.get_mut();
                if session.made_by.is_some() {
                    if session.claims != claims {
                        let detail = "the token has the id of another session";
                        return Err(Error::new(ErrorKind::Unauthorized, detail));
                    }
                    // The manager issued this token, so no difference between clocks is tolerated.
                    until = session.claims.exp;
                    if time::unix_now() >= until {
                        return Err(TokenError::Expired.into());
                    }
                } else if session.claims != claims {
                    // Back ends renew tokens under the same id.
                    session.kept_until = session.kept_until.max(kept_until(&claims));
                    session.claims = claims;
                }
                session.last_seen = Some(time::unix_now());
                let owner = session.owner.clone();
                let permit = Permit::of_session(user, owner, rights, until).limited_to(span);
                Ok(permit.until_revoked(session.ended.subscribe()))
            }
            // Only the manager creates share links, so this one was deleted.
            Entry::Vacant(_) if claims.is_share() => {
                Err(Error::new(ErrorKind::Unauthorized, "the share link was deleted"))
            }
            // This is the first use of a back end's token, after which its session is listed.
            Entry::Vacant(free) if !is_full => {
                let session = Session { last_seen: Some(time::unix_now()), ..Session::new(claims) };
                let ended = session.ended.subscribe();
                free.insert(session);
                let permit = Permit::of_session(user, None, rights, until).limited_to(span);
                Ok(permit.until_revoked(ended))
            }
            Entry::Vacant(_) => Ok(Permit::of_session(user, None, rights, until).limited_to(span)),
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

    /// Returns the session with this id, if it is known.
    pub(crate) fn get(&self, id: &str) -> Option<Session> {
        self.sessions.get(id).map(|session| session.value().clone())
    }

    /// Ends a session early. Also accepts the id of a back end's session that is not known yet.
    pub(crate) async fn end(&self, id: &str) -> Result<(), Error> {
        let mut session = self.get(id).unwrap_or_else(|| Session::not_used(id));
        if session.made_by.is_none() {
            // The back end may have issued several tokens with this id. All of them have expired at this
            // time.
            let latest = time::unix_now() + MAX_LIFETIME + MAX_CLOCK_SKEW + 1;
            session.kept_until = session.kept_until.max(latest);
        }
        // The end is stored first, because it must survive a restart.
        let row = SessionRow { is_ended: true, ..session.row() };
        self.database.put_session(&row).await.map_err(not_stored)?;
        let kept_until = session.kept_until;
        let mut ended = self.sessions.entry(id.to_owned()).or_insert(session);
        ended.kept_until = ended.kept_until.max(kept_until);
        ended.ended.send_replace(true);
        Ok(())
    }

    /// Returns an error if the API key, or the manager as a whole, has reached its limit of
    /// sessions.
    fn ensure_capacity(&self, key: Option<&str>) -> Result<(), Error> {
        let of_key = self.sessions.iter().filter(|one| one.made_by.as_deref() == key).count();
        let detail = if of_key >= MAX_SESSIONS_OF_A_KEY {
            format!(
                "this API key has reached its limit of {MAX_SESSIONS_OF_A_KEY} playback sessions; \
                 end sessions that are no longer needed"
            )
        } else if self.sessions.len() >= MAX_SESSIONS {
            format!(
                "the manager has reached its limit of {MAX_SESSIONS} playback sessions; \
                 end sessions that are no longer needed"
            )
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

/// Returns the time until which a session must be known, in Unix seconds. From this time on, the session's
/// token is refused even with the largest value of `PLAYBACK_CLOCK_SKEW_SECONDS`.
fn kept_until(claims: &Claims) -> u64 {
    claims.exp.saturating_add(MAX_CLOCK_SKEW + 1)
}

impl Session {
    fn new(claims: Claims) -> Self {
        let (kept_until, ended) = (kept_until(&claims), watch::Sender::new(false));
        Self { claims, made_by: None, last_seen: None, ended, owner: None, kept_until }
    }

    /// Creates the session of a back end's token that has not been used yet. Only the id is known.
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
            rights: Rights::default(),
            from: None,
            to: None,
        })
    }

    /// Returns whether the session has expired.
    pub(crate) fn has_expired(&self) -> bool {
        self.claims.exp <= time::unix_now()
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
            is_share: self.claims.is_share(),
            rights: self.claims.rights.to_text(),
            recordings_from: self.claims.from.map(time::to_i64),
            recordings_to: self.claims.to.map(time::to_i64),
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
            aud: audience(row.is_share).to_owned(),
            rights: Rights::from_text(&row.rights),
            from: row.recordings_from.map(i64::unsigned_abs),
            to: row.recordings_to.map(i64::unsigned_abs),
        };
        let kept_until = row.kept_until.unsigned_abs();
        let (made_by, ended, owner) = (row.made_by, watch::Sender::new(row.is_ended), row.owner);
        Self { claims, made_by, last_seen: None, ended, owner, kept_until }
    }
}

fn audience(is_share: bool) -> &'static str {
    if is_share { SHARE_AUDIENCE } else { AUDIENCE }
}

fn not_stored(error: sqlx::Error) -> Error {
    Error::new(ErrorKind::StorageUnavailable, "the playback session cannot be stored")
        .caused_by(error)
}
