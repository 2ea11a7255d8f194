-- Recordings. Times are UTC milliseconds. Media times are ticks of the video track, 90,000 per second.

-- When the camera is recorded, as JSON; see `camera::recording`.
ALTER TABLE cameras ADD COLUMN recording TEXT NOT NULL DEFAULT '{"mode":"off"}';
-- The time until which the camera is recorded in any case.
ALTER TABLE cameras ADD COLUMN record_until BIGINT;

-- The id of this database, which is also in the marker file of each directory with recordings.
CREATE TABLE recording_store (
    id     INTEGER PRIMARY KEY NOT NULL,
    marker TEXT    NOT NULL
);
INSERT INTO recording_store (id, marker) VALUES (1, lower(hex(randomblob(16))));

-- The directories with recordings. `marker` is the id in the directory's marker file, and `path` the path at which
-- the directory was used last.
CREATE TABLE recording_dirs (
    id     INTEGER PRIMARY KEY NOT NULL,
    marker TEXT    NOT NULL UNIQUE,
    path   TEXT    NOT NULL
);

-- One stream (`main` or `sub`) of a camera that has been recorded. `identity` is a number that is derived from the
-- camera's incarnation and its owner. New files are written into the directory `dir`.
-- If `is_deleted`, all its files are being deleted.
CREATE TABLE recorded_streams (
    id          INTEGER PRIMARY KEY NOT NULL,
    camera      TEXT    NOT NULL,
    identity BIGINT  NOT NULL,
    profile     TEXT    NOT NULL,
    dir         INTEGER NOT NULL REFERENCES recording_dirs (id),
    is_deleted  BOOLEAN NOT NULL DEFAULT FALSE,
    UNIQUE (camera, identity, profile)
);

-- The beginnings of files, up to the first fragment. Most files of a camera begin with the same bytes.
CREATE TABLE recorded_formats (
    id     INTEGER PRIMARY KEY NOT NULL,
    digest BLOB    NOT NULL UNIQUE,
    init   BLOB    NOT NULL,
    codecs TEXT    NOT NULL,
    width  INTEGER NOT NULL,
    height INTEGER NOT NULL
);

-- The files. Ids grow in the order in which recordings were made. Consecutive files with the same `span` continue each
-- other without a gap. `offsite` is 0 for no copy, 1 for a copy that is to be made, 2 for a copy.
CREATE TABLE recorded_files (
    id          INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    stream      INTEGER NOT NULL REFERENCES recorded_streams (id),
    dir         INTEGER NOT NULL REFERENCES recording_dirs (id),
    format      INTEGER NOT NULL REFERENCES recorded_formats (id),
    span        BIGINT  NOT NULL,
    start_at    BIGINT  NOT NULL,
    end_at      BIGINT  NOT NULL,
    decode_time BIGINT  NOT NULL,
    bytes       BIGINT  NOT NULL,
    frames      INTEGER NOT NULL,
    is_open     BOOLEAN NOT NULL,
    is_locked   BOOLEAN NOT NULL,
    has_event   BOOLEAN NOT NULL,
    is_local    BOOLEAN NOT NULL,
    offsite     INTEGER NOT NULL
);
CREATE INDEX recorded_files_by_time ON recorded_files (stream, start_at);
CREATE INDEX recorded_files_that_are_open ON recorded_files (id) WHERE is_open;

-- The fragments of a closed file, in the form of `store::db::fragment_list`.
CREATE TABLE recorded_fragments (
    file      INTEGER PRIMARY KEY NOT NULL REFERENCES recorded_files (id) ON DELETE CASCADE,
    fragments BLOB    NOT NULL
);

-- Bytes and number of the closed files that begin on a UTC day (days since 1970), so that totals need no sum over files.
CREATE TABLE recorded_days (
    stream INTEGER NOT NULL,
    day    INTEGER NOT NULL,
    bytes  BIGINT  NOT NULL,
    files  INTEGER NOT NULL,
    PRIMARY KEY (stream, day)
) WITHOUT ROWID;
