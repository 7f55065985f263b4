-- The database of a vault. It holds bytes it cannot open: no operator, system, login, URL, purpose or member name in
-- clear. Ids are 16 random bytes, times do not occur.
--
-- Tables with long rows have rowids: where the key is the table, SQLite reads a row whole, with its overflow pages, each
-- time it compares a key. And releases of many mandates at once then write their entries side by side.
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- One unit: a mandate, or the roster. `label` is a keyed hash of the operator's name.
CREATE TABLE units (
    unit       BLOB NOT NULL PRIMARY KEY,
    label      BLOB NOT NULL,
    state      BLOB NOT NULL,
    keys       BLOB NOT NULL
) STRICT;
CREATE INDEX units_by_label ON units (label);

-- The ledgers: a sealed entry, and the roots of the perfect subtrees that it completes, lowest first.
CREATE TABLE records (
    unit  BLOB NOT NULL,
    seq   INTEGER NOT NULL,
    nodes BLOB NOT NULL,
    entry BLOB NOT NULL,
    PRIMARY KEY (unit, seq)
) STRICT;

-- One version of a credential's secret, and its recovery wrap with the author's statement.
CREATE TABLE secrets (
    unit       BLOB NOT NULL,
    credential BLOB NOT NULL,
    version    INTEGER NOT NULL,
    ct         BLOB NOT NULL,
    rec        BLOB NOT NULL,
    statement  BLOB NOT NULL,
    PRIMARY KEY (unit, credential, version)
) STRICT;

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
) STRICT;

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
