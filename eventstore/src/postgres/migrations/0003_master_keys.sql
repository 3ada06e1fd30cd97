-- The master keys that this log has had, the last of which wraps what is new. Where its rotation is not finished, the one
-- before it still wraps what is old.
CREATE TABLE master_keys
(
    number      integer PRIMARY KEY,
    key_id      bytea       NOT NULL,
    begun_at    timestamptz NOT NULL,
    begun_by    text        NOT NULL,
    finished_at timestamptz
);
