-- The first seven columns are those of postgres-es, which reads this table as its own. Names compare by their bytes.
CREATE TABLE events
(
    aggregate_type  text COLLATE "C" NOT NULL,
    aggregate_id    text COLLATE "C" NOT NULL,
    sequence        bigint           NOT NULL CHECK (sequence >= 1),
    event_type      text             NOT NULL,
    event_version   text             NOT NULL,
    payload         json             NOT NULL,
    metadata        json             NOT NULL,
    position        bigint           NOT NULL UNIQUE,
    commit_position bigint           NOT NULL,
    account_id      text COLLATE "C" NOT NULL,
    account_number  bigint           NOT NULL,
    recorded_at     timestamptz      NOT NULL,
    forgets         boolean          NOT NULL,
    PRIMARY KEY (aggregate_type, aggregate_id, sequence),
    UNIQUE (account_id, account_number)
);

CREATE INDEX events_of_account ON events (account_id, position);

CREATE FUNCTION refuse_to_change_events() RETURNS trigger
    LANGUAGE plpgsql
AS
$$
BEGIN
    RAISE EXCEPTION 'events are never changed or removed' USING ERRCODE = 'object_not_in_prerequisite_state';
END
$$;

CREATE TRIGGER events_are_never_changed
    BEFORE UPDATE OR DELETE OR TRUNCATE
    ON events
    FOR EACH STATEMENT
EXECUTE FUNCTION refuse_to_change_events();

-- A session that calls itself a replica is refused as well.
ALTER TABLE events ENABLE ALWAYS TRIGGER events_are_never_changed;

CREATE TABLE log_head
(
    single   boolean PRIMARY KEY CHECK (single),
    log_id   uuid        NOT NULL,
    position bigint      NOT NULL,
    last_at  timestamptz NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE log_keys
(
    name    text PRIMARY KEY,
    wrapped bytea NOT NULL
);

CREATE TABLE account_heads
(
    account_id text COLLATE "C" PRIMARY KEY,
    number     bigint NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE claims
(
    account_id text COLLATE "C" NOT NULL,
    kind       text COLLATE "C" NOT NULL,
    key        text COLLATE "C" NOT NULL,
    owner      text COLLATE "C" NOT NULL,
    PRIMARY KEY (account_id, kind, key, owner)
);

CREATE TABLE requests
(
    account_id     text COLLATE "C" NOT NULL,
    request_id     uuid             NOT NULL,
    digest         bytea            NOT NULL,
    first_position bigint           NOT NULL,
    last_position  bigint           NOT NULL,
    recorded_at    timestamptz      NOT NULL,
    outcome        bytea            NOT NULL,
    PRIMARY KEY (account_id, request_id)
);

CREATE INDEX requests_by_age ON requests (recorded_at);

-- A stream whose key was destroyed keeps its row, without the key. A single dead row is reason enough to vacuum this
-- table and the next, so that what was destroyed leaves the data files too.
CREATE TABLE stream_keys
(
    aggregate_type text COLLATE "C" NOT NULL,
    aggregate_id   text COLLATE "C" NOT NULL,
    wrapped        bytea,
    PRIMARY KEY (aggregate_type, aggregate_id)
) WITH (autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0);

CREATE TABLE side_rows
(
    aggregate_type text COLLATE "C" NOT NULL,
    aggregate_id   text COLLATE "C" NOT NULL,
    kind           text COLLATE "C" NOT NULL,
    value          bytea            NOT NULL,
    PRIMARY KEY (aggregate_type, aggregate_id, kind)
) WITH (autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0);
