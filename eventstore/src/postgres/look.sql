-- Answers every question of a batch in one statement. It is run after log_head was locked, so its snapshot has all that
-- was committed before. Each row says which question it answers: the kind and the place in that kind's list.
SELECT 0::bigint AS kind, 0::bigint AS place, position AS first, 0::bigint AS last,
       greatest(last_at, clock_timestamp() + $1::bigint * interval '1 microsecond') AS at,
       NULL::bytea AS bytes, NULL::bytea AS more, NULL::text[] AS owners
FROM log_head
UNION ALL
SELECT 1, q.place, e.sequence, 0, NULL, NULL, NULL, NULL
FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS q (aggregate_type, aggregate_id, place)
CROSS JOIN LATERAL (
    SELECT sequence
    FROM events
    WHERE aggregate_type = q.aggregate_type AND aggregate_id = q.aggregate_id
    ORDER BY sequence DESC
    LIMIT 1) AS e
UNION ALL
SELECT 2, q.place, 0, 0, NULL, k.wrapped, NULL, NULL
FROM unnest($4::text[], $5::text[]) WITH ORDINALITY AS q (aggregate_type, aggregate_id, place)
JOIN stream_keys AS k ON k.aggregate_type = q.aggregate_type AND k.aggregate_id = q.aggregate_id
UNION ALL
SELECT 3, q.place, a.number, 0, NULL, NULL, NULL, NULL
FROM unnest($6::text[]) WITH ORDINALITY AS q (account_id, place)
JOIN account_heads AS a ON a.account_id = q.account_id
UNION ALL
SELECT 4, q.place, c.count, 0, NULL, NULL, NULL, c.owners
FROM unnest($7::text[], $8::text[], $9::text[]) WITH ORDINALITY AS q (account_id, kind, key, place)
CROSS JOIN LATERAL (
    SELECT count(*) AS count, (array_agg(owner ORDER BY owner))[1:100] AS owners
    FROM claims
    WHERE account_id = q.account_id AND kind = q.kind AND key = q.key) AS c
WHERE c.count > 0
UNION ALL
SELECT 5, q.place, 0, 0, NULL, NULL, NULL, NULL
FROM unnest($10::text[], $11::text[], $12::text[], $13::text[]) WITH ORDINALITY AS q (account_id, kind, key, owner, place)
JOIN claims AS c ON c.account_id = q.account_id AND c.kind = q.kind AND c.key = q.key AND c.owner = q.owner
UNION ALL
SELECT 6, q.place, r.first_position, r.last_position, r.recorded_at, r.digest, r.outcome, NULL
FROM unnest($14::text[], $15::uuid[]) WITH ORDINALITY AS q (account_id, request_id, place)
JOIN requests AS r ON r.account_id = q.account_id AND r.request_id = q.request_id
UNION ALL
SELECT 7, q.place, 0, 0, NULL, s.value, NULL, NULL
FROM unnest($16::text[], $17::text[], $18::text[]) WITH ORDINALITY AS q (aggregate_type, aggregate_id, kind, place)
JOIN side_rows AS s ON s.aggregate_type = q.aggregate_type AND s.aggregate_id = q.aggregate_id AND s.kind = q.kind
UNION ALL
SELECT 8, 0, 0, 0, NULL, m.key_id, NULL, NULL
FROM (SELECT key_id FROM master_keys WHERE $19::boolean ORDER BY number DESC LIMIT 1) AS m
