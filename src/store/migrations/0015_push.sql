-- Push notifications. The private key that signs them, sealed. There is at most one row.
CREATE TABLE push_key (
    id     INTEGER PRIMARY KEY NOT NULL CHECK (id = 1),
    sealed BLOB    NOT NULL
);

-- The subscriptions. `sealed` has the URL and the keys that the browser has chosen. `made_by` is the name of the API key
-- that made the subscription, and `role` and `rights` are those of the key at that time; `rights` has commas between the
-- names. `user_name` and `owner` limit the subscription to a user of a back end. `preferences` is a JSON object. Times are Unix
-- seconds; `opened_at` is the time at which the page was last open in the browser.
CREATE TABLE push_subscriptions (
    id          TEXT   PRIMARY KEY NOT NULL,
    sealed      BLOB   NOT NULL,
    made_by     TEXT   NOT NULL,
    role        TEXT   NOT NULL,
    rights      TEXT   NOT NULL,
    user_name   TEXT,
    owner       TEXT,
    preferences TEXT   NOT NULL,
    created_at  BIGINT NOT NULL,
    opened_at   BIGINT NOT NULL
);
