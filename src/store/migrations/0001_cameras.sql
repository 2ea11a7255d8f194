-- The cameras. What is secret about a camera is sealed in `source`; the rest is there to be listed
-- and searched. Times are Unix seconds.
CREATE TABLE cameras (
    id         TEXT   PRIMARY KEY NOT NULL,
    name       TEXT   NOT NULL,
    owner      TEXT,
    host       TEXT   NOT NULL,
    video      TEXT   NOT NULL,
    audio      TEXT   NOT NULL,
    transport  TEXT   NOT NULL,
    source     BLOB   NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX cameras_by_owner ON cameras (owner, id);

-- One row that is sealed like a source: whether a key fits can be told before anything is written.
CREATE TABLE seal (
    id    INTEGER PRIMARY KEY NOT NULL,
    proof BLOB    NOT NULL
);
