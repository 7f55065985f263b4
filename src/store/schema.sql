-- The database of a vault. It holds bytes it cannot open: no operator, system, login, URL, purpose or member name in
-- clear. Ids are 16 random bytes, times do not occur.
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- One unit: a mandate, or the roster. `label` is a keyed hash of the operator's name; `size` counts its records, and
-- changes with each of them.
CREATE TABLE units (
    unit       BLOB PRIMARY KEY,
    label      BLOB NOT NULL,
    size       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX units_by_label ON units (label);

-- What is sealed of a unit. Apart from its size: a release writes a few bytes there, and a state has many thousands.
CREATE TABLE states (
    unit       BLOB PRIMARY KEY,
    state      BLOB NOT NULL,
    keys       BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- The ledger: sealed entries, and the perfect subtrees' roots.
CREATE TABLE records (
    unit  BLOB NOT NULL,
    seq   INTEGER NOT NULL,
    entry BLOB NOT NULL,
    PRIMARY KEY (unit, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE nodes (
    unit  BLOB NOT NULL,
    level INTEGER NOT NULL,
    idx   INTEGER NOT NULL,
    hash  BLOB NOT NULL,
    PRIMARY KEY (unit, level, idx)
) STRICT, WITHOUT ROWID;

-- One version of a credential's secret, and its recovery wrap with the author's statement.
CREATE TABLE secrets (
    unit       BLOB NOT NULL,
    credential BLOB NOT NULL,
    version    INTEGER NOT NULL,
    ct         BLOB NOT NULL,
    rec        BLOB NOT NULL,
    statement  BLOB NOT NULL,
    PRIMARY KEY (unit, credential, version)
) STRICT, WITHOUT ROWID;

-- One wrap of a version to one device under one grant: the outer layer, and the author's statement. `recipient` is a
-- digest over grant and device: it says nothing of whose device it is, nor which other wraps are for the same one.
CREATE TABLE wraps (
    unit       BLOB NOT NULL,
    grant_id   BLOB NOT NULL,
    credential BLOB NOT NULL,
    recipient  BLOB NOT NULL,
    outer_wrap BLOB NOT NULL,
    statement  BLOB NOT NULL,
    PRIMARY KEY (unit, grant_id, credential, recipient)
) STRICT, WITHOUT ROWID;

-- Sealed TOTP seeds of the clients' accounts.
CREATE TABLE seeds (
    unit       BLOB NOT NULL,
    credential BLOB NOT NULL,
    seed       BLOB NOT NULL,
    PRIMARY KEY (unit, credential)
) STRICT, WITHOUT ROWID;

-- Keyed fingerprints of current secrets, to find reuse; a cache of what the states say.
CREATE TABLE reuse (
    tag        BLOB NOT NULL,
    unit       BLOB NOT NULL,
    credential BLOB NOT NULL,
    PRIMARY KEY (tag, unit, credential)
) STRICT, WITHOUT ROWID;
