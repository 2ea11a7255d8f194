-- Copies of recordings in another place: in a bucket, or on a share.

-- The places with copies. `marker` is the id in the place's marker, and `url` the URL at which the place was used last.
CREATE TABLE offsite_places (
    id     INTEGER PRIMARY KEY NOT NULL,
    marker TEXT    NOT NULL UNIQUE,
    url    TEXT    NOT NULL
);

-- The place of a file's copy, if `offsite` is 2.
ALTER TABLE recorded_files ADD COLUMN offsite_place INTEGER REFERENCES offsite_places (id);

-- The queue of files to copy. Files with events are first. With the sizes, the sum needs no rows.
CREATE INDEX recorded_files_to_copy ON recorded_files (has_event DESC, id, bytes) WHERE offsite = 1;
-- Copies by age.
CREATE INDEX recorded_files_with_copy ON recorded_files (end_at) WHERE offsite = 2;
-- Local files by age. Without this index, the search for old local files would read all files of which only a copy is left.
CREATE INDEX recorded_files_that_are_local ON recorded_files (stream, start_at) WHERE is_local;

-- `bytes` and `files` count local files. This column has the bytes of the copies.
ALTER TABLE recorded_days ADD COLUMN offsite_bytes BIGINT NOT NULL DEFAULT 0;

-- The uploads in progress. If the manager is killed, the rows show what it has left in the place. `upload` is the id of
-- a multipart upload. The columns from `camera` on are the name of the copy.
CREATE TABLE offsite_uploads (
    file     INTEGER PRIMARY KEY NOT NULL,
    place    INTEGER NOT NULL REFERENCES offsite_places (id),
    upload   TEXT,
    camera   TEXT    NOT NULL,
    identity BIGINT  NOT NULL,
    profile  TEXT    NOT NULL,
    start_at BIGINT  NOT NULL,
    span     BIGINT  NOT NULL
);

-- The queue of copies to delete. Their files are no longer in the index.
CREATE TABLE offsite_deletions (
    id       INTEGER PRIMARY KEY NOT NULL,
    place    INTEGER NOT NULL REFERENCES offsite_places (id),
    camera   TEXT    NOT NULL,
    identity BIGINT  NOT NULL,
    profile  TEXT    NOT NULL,
    start_at BIGINT  NOT NULL,
    span     BIGINT  NOT NULL
);
CREATE INDEX offsite_deletions_by_place ON offsite_deletions (place, id);
