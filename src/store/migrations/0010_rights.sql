-- The rights of playback sessions, and share links, which are sessions of another kind. `rights` has the names of rights,
-- separated by commas. `recordings_from` and `recordings_to`, in Unix seconds, limit the right `recordings`.
ALTER TABLE playback_sessions ADD COLUMN is_share BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE playback_sessions ADD COLUMN rights TEXT NOT NULL DEFAULT '';
ALTER TABLE playback_sessions ADD COLUMN recordings_from BIGINT;
ALTER TABLE playback_sessions ADD COLUMN recordings_to BIGINT;
