-- The master keys that this log has had, the last of which wraps what is new. Where its rotation is not finished, the one
-- before it still wraps what is old.
CREATE TABLE master_keys
(
    number      INTEGER PRIMARY KEY,
    key_id      BLOB    NOT NULL,
    begun_at    INTEGER NOT NULL,
    begun_by    TEXT    NOT NULL,
    finished_at INTEGER
) STRICT;
