-- A random number that distinguishes the camera from earlier and later cameras with the same id.
ALTER TABLE cameras ADD COLUMN incarnation BIGINT NOT NULL DEFAULT 0;
UPDATE cameras SET incarnation = 1 + (random() & 4611686018427387903);

-- What happened to cameras and to the service. Times are Unix milliseconds. `id` and `change` come from one sequence of
-- numbers: `id` is the number of the event, and `change` the number of its last change, which is `id` until the event
-- changes. `camera` is NULL for events of the service. `incarnation` and `owner` are those of the camera at the time of
-- the event. `topic` is the part of `type` before the dot. `data` is a JSON object. `reported_id` is the id that a back end has given to an event. `repeats` counts
-- later events that were not stored as rows of their own.
CREATE TABLE events (
    id          INTEGER PRIMARY KEY NOT NULL,
    change      BIGINT  NOT NULL,
    at          BIGINT  NOT NULL,
    until       BIGINT,
    camera      TEXT,
    incarnation BIGINT  NOT NULL,
    owner       TEXT,
    topic       TEXT    NOT NULL,
    type        TEXT    NOT NULL,
    label       TEXT,
    data        TEXT    NOT NULL,
    reported_id TEXT,
    repeats     BIGINT  NOT NULL,
    seen        BOOLEAN NOT NULL
);
CREATE UNIQUE INDEX events_by_change ON events (change);
CREATE INDEX events_by_time ON events (at, id);
CREATE INDEX events_by_camera ON events (camera, at, id);
CREATE INDEX events_by_end ON events (camera, until) WHERE until IS NOT NULL;
CREATE INDEX events_by_topic ON events (topic, at, id);
CREATE INDEX events_by_type ON events (type, at, id);
CREATE INDEX events_by_owner ON events (owner, at, id) WHERE owner IS NOT NULL;
CREATE UNIQUE INDEX events_by_report ON events (camera, incarnation, reported_id)
    WHERE reported_id IS NOT NULL;

-- One row. `last` is the last number that was used. `forgotten` is the greatest number of a change of an event that was
-- deleted because of its age or because there were too many events.
CREATE TABLE event_log (
    id        INTEGER PRIMARY KEY NOT NULL,
    last      BIGINT  NOT NULL,
    forgotten BIGINT  NOT NULL
);
INSERT INTO event_log (id, last, forgotten) VALUES (1, 0, 0);
