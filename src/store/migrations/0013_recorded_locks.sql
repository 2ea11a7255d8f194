-- The times of a stream for which its recordings are locked. The column `is_locked` of files decides whether a file is
-- locked. These times are for files that enter the index later, for example because they were copied back.
CREATE TABLE recorded_locks (
    id       INTEGER PRIMARY KEY NOT NULL,
    stream   INTEGER NOT NULL REFERENCES recorded_streams (id) ON DELETE CASCADE,
    begin_at BIGINT  NOT NULL,
    end_at   BIGINT  NOT NULL
);
CREATE INDEX recorded_locks_by_time ON recorded_locks (stream, end_at);

INSERT INTO recorded_locks (stream, begin_at, end_at)
    SELECT stream, start_at, end_at FROM recorded_files WHERE is_locked AND end_at > start_at;
