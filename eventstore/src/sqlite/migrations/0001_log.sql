-- The position is the row id, so that reading in order is reading the table in order.
CREATE TABLE events
(
    position        INTEGER PRIMARY KEY,
    aggregate_type  TEXT    NOT NULL,
    aggregate_id    TEXT    NOT NULL,
    sequence        INTEGER NOT NULL CHECK (sequence >= 1),
    event_type      TEXT    NOT NULL,
    event_version   TEXT    NOT NULL,
    payload         TEXT    NOT NULL,
    metadata        TEXT    NOT NULL,
    commit_position INTEGER NOT NULL,
    account_id      TEXT    NOT NULL,
    account_number  INTEGER NOT NULL,
    recorded_at     INTEGER NOT NULL,
    forgets         INTEGER NOT NULL,
    UNIQUE (aggregate_type, aggregate_id, sequence),
    UNIQUE (account_id, account_number)
) STRICT;

CREATE INDEX events_of_account ON events (account_id, position);

CREATE TRIGGER events_are_never_changed BEFORE UPDATE ON events
BEGIN
    SELECT RAISE(ABORT, 'events are never changed');
END;

CREATE TRIGGER events_are_never_removed BEFORE DELETE ON events
BEGIN
    SELECT RAISE(ABORT, 'events are never removed');
END;

CREATE TABLE log_head
(
    single   INTEGER PRIMARY KEY CHECK (single = 1),
    log_id   TEXT    NOT NULL,
    position INTEGER NOT NULL,
    last_at  INTEGER NOT NULL
) STRICT;

CREATE TABLE log_keys
(
    name    TEXT PRIMARY KEY,
    wrapped BLOB NOT NULL
) STRICT;

CREATE TABLE account_heads
(
    account_id TEXT PRIMARY KEY,
    number     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE claims
(
    account_id TEXT NOT NULL,
    kind       TEXT NOT NULL,
    key        TEXT NOT NULL,
    owner      TEXT NOT NULL,
    PRIMARY KEY (account_id, kind, key, owner)
) STRICT, WITHOUT ROWID;

CREATE TABLE requests
(
    account_id     TEXT    NOT NULL,
    request_id     BLOB    NOT NULL,
    digest         BLOB    NOT NULL,
    first_position INTEGER NOT NULL,
    last_position  INTEGER NOT NULL,
    recorded_at    INTEGER NOT NULL,
    outcome        BLOB    NOT NULL,
    PRIMARY KEY (account_id, request_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX requests_by_age ON requests (recorded_at);

-- A stream whose key was destroyed keeps its row, without the key.
CREATE TABLE stream_keys
(
    aggregate_type TEXT NOT NULL,
    aggregate_id   TEXT NOT NULL,
    wrapped        BLOB,
    PRIMARY KEY (aggregate_type, aggregate_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE side_rows
(
    aggregate_type TEXT NOT NULL,
    aggregate_id   TEXT NOT NULL,
    kind           TEXT NOT NULL,
    value          BLOB NOT NULL,
    PRIMARY KEY (aggregate_type, aggregate_id, kind)
) STRICT, WITHOUT ROWID;
