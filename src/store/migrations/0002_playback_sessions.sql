-- Playback sessions: kept so that they can be ended, and stay ended, until their time is over. Times
-- are Unix seconds. `cameras` has commas between the ids; `made_by` is the name of an API key, `owner`
-- the owner that the cameras must have; ended sessions are kept for as long as their token counts.
CREATE TABLE playback_sessions (
    id         TEXT    PRIMARY KEY NOT NULL,
    viewer     TEXT    NOT NULL,
    cameras    TEXT    NOT NULL,
    made_by    TEXT,
    created_at BIGINT  NOT NULL,
    expires_at BIGINT  NOT NULL,
    is_ended   BOOLEAN NOT NULL,
    owner      TEXT,
    kept_until BIGINT  NOT NULL
);
CREATE INDEX playback_sessions_by_end ON playback_sessions (kept_until);
