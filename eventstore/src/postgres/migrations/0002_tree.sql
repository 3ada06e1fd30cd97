-- The tree over the events: tiles of 256 hashes, where level 0 has the leaves and each level above the roots of full tiles.
CREATE TABLE tree_tiles
(
    level  smallint NOT NULL,
    number bigint   NOT NULL,
    hashes bytea    NOT NULL,
    PRIMARY KEY (level, number)
) WITH (fillfactor = 70);

-- Hashes do not compress.
ALTER TABLE tree_tiles ALTER COLUMN hashes SET STORAGE EXTERNAL;

CREATE TABLE tree_head
(
    single boolean PRIMARY KEY CHECK (single),
    size   bigint NOT NULL,
    root   bytea  NOT NULL
) WITH (fillfactor = 50);

-- The tree of nothing has the hash of nothing for its root.
INSERT INTO tree_head (single, size, root)
VALUES (true, 0, '\xe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
