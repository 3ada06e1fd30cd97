-- A log that was made from an export alone: it has none of the keys it was written with, so nothing is added to it or signed
-- anew. It shows the checkpoint that came with the export.
CREATE TABLE log_archive
(
    single       boolean PRIMARY KEY CHECK (single),
    checkpoint   text NOT NULL,
    verifier_key text NOT NULL
);
