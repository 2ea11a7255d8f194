-- One index of files by time instead of two, because each of them needs 0.2 MB for a week of a camera. Local files are found
-- without reading the entries of those of which only a copy is left. Queries for all files of a time must name both values
-- of `is_local`, or they read all files of the stream.
DROP INDEX recorded_files_by_time;
DROP INDEX recorded_files_that_are_local;
CREATE INDEX recorded_files_by_time ON recorded_files (stream, is_local, start_at);
