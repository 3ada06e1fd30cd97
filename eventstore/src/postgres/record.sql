-- Writes all of a batch. No two parts touch the same row, so that they need not see each other.
WITH written AS (
    INSERT INTO events
        (position, aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata,
         commit_position, account_id, account_number, recorded_at, forgets)
    SELECT e.position, e.aggregate_type, e.aggregate_id, e.sequence, e.event_type, e.event_version, e.payload::json,
           e.metadata::json, e.commit_position, e.account_id, e.account_number, $1::timestamptz, e.forgets
    FROM unnest($2::bigint[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::text[], $8::text[], $9::text[],
                $10::bigint[], $11::text[], $12::bigint[], $13::boolean[])
        AS e (position, aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata,
              commit_position, account_id, account_number, forgets)
), moved AS (
    UPDATE log_head
    SET position = $14::bigint, last_at = $1::timestamptz
    WHERE position < $14::bigint
), numbered AS (
    INSERT INTO account_heads (account_id, number)
    SELECT * FROM unnest($15::text[], $16::bigint[])
    ON CONFLICT (account_id) DO UPDATE SET number = excluded.number
), taken AS (
    INSERT INTO claims (account_id, kind, key, owner)
    SELECT * FROM unnest($17::text[], $18::text[], $19::text[], $20::text[])
    ON CONFLICT DO NOTHING
), released AS (
    DELETE FROM claims AS c
    USING unnest($21::text[], $22::text[], $23::text[], $24::text[]) AS q (account_id, kind, key, owner)
    WHERE c.account_id = q.account_id AND c.kind = q.kind AND c.key = q.key AND c.owner = q.owner
), keyed AS (
    INSERT INTO stream_keys (aggregate_type, aggregate_id, wrapped)
    SELECT * FROM unnest($25::text[], $26::text[], $27::bytea[])
    ON CONFLICT (aggregate_type, aggregate_id) DO UPDATE SET wrapped = excluded.wrapped
), forgotten AS (
    DELETE FROM side_rows AS s
    USING unnest($25::text[], $26::text[], $27::bytea[]) AS q (aggregate_type, aggregate_id, wrapped)
    WHERE q.wrapped IS NULL AND s.aggregate_type = q.aggregate_type AND s.aggregate_id = q.aggregate_id
), placed AS (
    INSERT INTO side_rows (aggregate_type, aggregate_id, kind, value)
    SELECT * FROM unnest($28::text[], $29::text[], $30::text[], $31::bytea[])
    ON CONFLICT (aggregate_type, aggregate_id, kind) DO UPDATE SET value = excluded.value
), removed AS (
    DELETE FROM side_rows AS s
    USING unnest($32::text[], $33::text[], $34::text[]) AS q (aggregate_type, aggregate_id, kind)
    WHERE s.aggregate_type = q.aggregate_type AND s.aggregate_id = q.aggregate_id AND s.kind = q.kind
), requested AS (
    INSERT INTO requests (account_id, request_id, digest, first_position, last_position, recorded_at, outcome)
    SELECT q.account_id, q.request_id, q.digest, q.first_position, q.last_position, $1::timestamptz, q.outcome
    FROM unnest($35::text[], $36::uuid[], $37::bytea[], $38::bigint[], $39::bigint[], $40::bytea[])
        AS q (account_id, request_id, digest, first_position, last_position, outcome)
    ON CONFLICT (account_id, request_id) DO UPDATE
    SET digest = excluded.digest, first_position = excluded.first_position, last_position = excluded.last_position,
        recorded_at = excluded.recorded_at, outcome = excluded.outcome
)
SELECT pg_current_xact_id()::text AS transaction, pg_notify('rollbook_log', $14::text || ' ' || $41::text)
