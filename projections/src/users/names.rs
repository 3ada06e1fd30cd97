//! The names that the users of an account bear, each once, with how many bear it as their first and as their last name.
//!
//! Names are far fewer than users: a pattern is held against each name, and not against each of its bearers. Their runs of
//! letters are those of the [index of grams](super::grams). They follow the rows of users by triggers, so no change of a row
//! can forget them, and a name is gone with the last who bears it.

pub(super) const TABLES: &str = "
    CREATE TABLE user_names (
        account_id TEXT NOT NULL,
        name_key TEXT NOT NULL,
        as_first INTEGER NOT NULL,
        as_last INTEGER NOT NULL,
        PRIMARY KEY (account_id, name_key)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE user_name_runs (
        account_id TEXT NOT NULL,
        run TEXT NOT NULL,
        name_key TEXT NOT NULL,
        PRIMARY KEY (account_id, run, name_key)
    ) STRICT, WITHOUT ROWID;
";

/// Takes up the rows that are there, and from then on every change.
pub(super) const INDEX: &str = "
    CREATE TRIGGER user_name_put AFTER INSERT ON user_names
    BEGIN
        INSERT INTO user_name_runs (account_id, run, name_key)
        SELECT new.account_id, value, new.name_key
        FROM json_each('[\"' || replace(runs(new.name_key), ' ', '\",\"') || '\"]')
        WHERE value <> '';
    END;

    CREATE TRIGGER user_name_unborne AFTER UPDATE ON user_names
    WHEN new.as_first = 0 AND new.as_last = 0
    BEGIN
        DELETE FROM user_names
        WHERE account_id = new.account_id AND name_key = new.name_key;

        DELETE FROM user_name_runs
        WHERE account_id = new.account_id AND name_key = new.name_key
            AND run IN (
                SELECT value
                FROM json_each('[\"' || replace(runs(new.name_key), ' ', '\",\"') || '\"]')
            );
    END;

    INSERT INTO user_names (account_id, name_key, as_first, as_last)
    SELECT account_id, name_key, sum(as_first), sum(as_last)
    FROM (
        SELECT account_id, first_name_key AS name_key, count(*) AS as_first, 0 AS as_last
        FROM users
        GROUP BY account_id, first_name_key
        UNION ALL
        SELECT account_id, last_name_key, 0, count(*)
        FROM users
        GROUP BY account_id, last_name_key
    )
    GROUP BY account_id, name_key;

    CREATE TRIGGER user_names_borne AFTER INSERT ON users
    BEGIN
        INSERT INTO user_names (account_id, name_key, as_first, as_last)
        VALUES (new.account_id, new.first_name_key, 1, 0)
        ON CONFLICT (account_id, name_key) DO UPDATE
        SET as_first = as_first + 1;

        INSERT INTO user_names (account_id, name_key, as_first, as_last)
        VALUES (new.account_id, new.last_name_key, 0, 1)
        ON CONFLICT (account_id, name_key) DO UPDATE
        SET as_last = as_last + 1;
    END;

    CREATE TRIGGER user_names_given_up AFTER DELETE ON users
    BEGIN
        UPDATE user_names
        SET as_first = as_first - 1
        WHERE account_id = old.account_id AND name_key = old.first_name_key;

        UPDATE user_names
        SET as_last = as_last - 1
        WHERE account_id = old.account_id AND name_key = old.last_name_key;
    END;

    CREATE TRIGGER user_first_name_changed AFTER UPDATE OF first_name_key ON users
    WHEN new.first_name_key <> old.first_name_key
    BEGIN
        INSERT INTO user_names (account_id, name_key, as_first, as_last)
        VALUES (new.account_id, new.first_name_key, 1, 0)
        ON CONFLICT (account_id, name_key) DO UPDATE
        SET as_first = as_first + 1;

        UPDATE user_names
        SET as_first = as_first - 1
        WHERE account_id = old.account_id AND name_key = old.first_name_key;
    END;

    CREATE TRIGGER user_last_name_changed AFTER UPDATE OF last_name_key ON users
    WHEN new.last_name_key <> old.last_name_key
    BEGIN
        INSERT INTO user_names (account_id, name_key, as_first, as_last)
        VALUES (new.account_id, new.last_name_key, 0, 1)
        ON CONFLICT (account_id, name_key) DO UPDATE
        SET as_last = as_last + 1;

        UPDATE user_names
        SET as_last = as_last - 1
        WHERE account_id = old.account_id AND name_key = old.last_name_key;
    END;
";
