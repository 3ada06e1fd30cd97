-- The tree over the events: tiles of 256 hashes, where level 0 has the leaves and each level above the roots of full tiles.
CREATE TABLE tree_tiles
(
    level  INTEGER NOT NULL,
    number INTEGER NOT NULL,
    hashes BLOB    NOT NULL,
    PRIMARY KEY (level, number)
) STRICT;

CREATE TABLE tree_head
(
    single INTEGER PRIMARY KEY CHECK (single = 1),
    size   INTEGER NOT NULL,
    root   BLOB    NOT NULL
) STRICT;

-- The tree of nothing has the hash of nothing for its root.
INSERT INTO tree_head (single, size, root)
VALUES (1, 0, x'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
