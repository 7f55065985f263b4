//! Changes, each within one transaction.

use super::engine::{Engine, Value, values};
use super::error::{Result, StoreError};
use super::{SecretRow, WrapRow, int};
use crate::ledger::Node;
use crate::model::{CredentialId, Digest, GrantId, ReuseTag, UnitId};

/// A transaction under way. Every change says how many rows it must touch.
pub struct Write<'a> {
    engine: &'a Engine,
}

impl<'a> Write<'a> {
    pub(super) fn begin(engine: &'a Engine) -> Result<Self> {
        // Made first: what was begun and then refused is taken back by `drop`.
        let write = Self { engine };
        engine.begin_writing()?;
        Ok(write)
    }

    pub(super) fn commit(self) -> Result<()> {
        self.engine.commit()
    }

    fn one(&self, what: &'static str, sql: &str, values: &[Value<'_>]) -> Result<()> {
        match self.engine.execute(sql, values)? {
            1 => Ok(()),
            _ => Err(StoreError::Rows(what)),
        }
    }

    /// A new unit with an empty ledger.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn add_unit(&self, unit: UnitId, label: &Digest, keys: &[u8]) -> Result<()> {
        let sql = "INSERT INTO units (unit, label, state, keys) VALUES ($1, $2, $3, $4)";
        self.one("a unit", sql, values![unit.bytes(), label.bytes(), &[0_u8; 0], keys])
    }

    /// Puts an entry at its place in a ledger, with the nodes of the tree that it completes, lowest first.
    ///
    /// # Errors
    /// [`StoreError`]; also if that place is taken.
    pub fn append(&self, unit: UnitId, seq: u64, entry: &[u8], nodes: &[Node]) -> Result<()> {
        let nodes: Vec<u8> = nodes.iter().flat_map(|(.., hash)| *hash.bytes()).collect();
        let sql = "INSERT INTO records (unit, seq, nodes, entry) VALUES ($1, $2, $3, $4)";
        self.one("a record", sql, values![unit.bytes(), int(seq)?, &nodes, entry])
    }

    /// Counts the records appended in this transaction.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn count(&self, added: u64) -> Result<()> {
        let counter = super::read_counter(self.engine)?.saturating_add(added).to_le_bytes();
        let sql = "UPDATE meta SET value = $1 WHERE name = 'counter'";
        self.one("the counter", sql, values![&counter])
    }

    /// A new state document.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn put_state(&self, unit: UnitId, state: &[u8]) -> Result<()> {
        let sql = "UPDATE units SET state = $1 WHERE unit = $2";
        self.one("a unit", sql, values![state, unit.bytes()])
    }

    /// A new label: after the anchor was made anew, with a new label key.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn put_label(&self, unit: UnitId, label: &Digest) -> Result<()> {
        let sql = "UPDATE units SET label = $1 WHERE unit = $2";
        self.one("a unit", sql, values![label.bytes(), unit.bytes()])
    }

    /// New recovery wraps of a unit's keys.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn put_keys(&self, unit: UnitId, keys: &[u8]) -> Result<()> {
        let sql = "UPDATE units SET keys = $1 WHERE unit = $2";
        self.one("a unit", sql, values![keys, unit.bytes()])
    }

    /// A version of a secret. Earlier versions go: rotation is the end of them here.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn put_secret(&self, unit: UnitId, credential: CredentialId, version: u32, row: &SecretRow) -> Result<()> {
        let sql = "DELETE FROM secrets WHERE unit = $1 AND credential = $2";
        self.engine.execute(sql, values![unit.bytes(), credential.bytes()])?;
        let sql = "INSERT INTO secrets (unit, credential, version, ct, rec, statement) VALUES ($1, $2, $3, $4, $5, $6)";
        let key = (unit.bytes(), credential.bytes());
        self.one("a secret", sql, values![key.0, key.1, version, &row.ct, &row.rec, &row.statement])
    }

    /// The wrap of a credential to a recipient under a grant; in place of an earlier version's.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn put_wrap(
        &self,
        unit: UnitId,
        grant: GrantId,
        credential: CredentialId,
        recipient: &Digest,
        row: &WrapRow,
    ) -> Result<()> {
        let sql = "INSERT INTO wraps (unit, grant_id, credential, recipient, outer_wrap, statement)
                   VALUES ($1, $2, $3, $4, $5, $6)
                   ON CONFLICT (unit, grant_id, credential, recipient)
                   DO UPDATE SET outer_wrap = excluded.outer_wrap, statement = excluded.statement";
        let (unit, grant, credential) = (unit.bytes(), grant.bytes(), credential.bytes());
        self.one("a wrap", sql, values![unit, grant, credential, recipient.bytes(), &row.outer, &row.statement])
    }

    /// The wraps to one recipient under a grant: a device that was removed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn drop_wraps_to(&self, unit: UnitId, grant: GrantId, recipient: &Digest) -> Result<()> {
        let sql = "DELETE FROM wraps WHERE unit = $1 AND grant_id = $2 AND recipient = $3";
        self.engine.execute(sql, values![unit.bytes(), grant.bytes(), recipient.bytes()])?;
        Ok(())
    }

    /// The wraps of a grant that ended: its key is destroyed with it, so they are not written over.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn drop_wraps(&self, unit: UnitId, grant: GrantId) -> Result<()> {
        let sql = "DELETE FROM wraps WHERE unit = $1 AND grant_id = $2";
        self.engine.discard(sql, values![unit.bytes(), grant.bytes()])?;
        Ok(())
    }

    /// A sealed TOTP seed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn put_seed(&self, unit: UnitId, credential: CredentialId, seed: &[u8]) -> Result<()> {
        let sql = "INSERT INTO seeds (unit, credential, seed) VALUES ($1, $2, $3)
                   ON CONFLICT (unit, credential) DO UPDATE SET seed = excluded.seed";
        self.one("a seed", sql, values![unit.bytes(), credential.bytes(), seed])
    }

    /// A credential's TOTP seed goes.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn drop_seed(&self, unit: UnitId, credential: CredentialId) -> Result<()> {
        let sql = "DELETE FROM seeds WHERE unit = $1 AND credential = $2";
        self.engine.execute(sql, values![unit.bytes(), credential.bytes()])?;
        Ok(())
    }

    /// Everything of a mandate that ended, but its secrets' ciphertexts and its ledger: wraps, seeds, fingerprints.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn drop_access(&self, unit: UnitId) -> Result<()> {
        for sql in [
            "DELETE FROM wraps WHERE unit = $1",
            "DELETE FROM seeds WHERE unit = $1",
            "DELETE FROM reuse WHERE unit = $1",
        ] {
            self.engine.execute(sql, values![unit.bytes()])?;
        }
        Ok(())
    }

    /// The ciphertexts of a mandate that was closed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn drop_secrets(&self, unit: UnitId) -> Result<()> {
        self.engine.execute("DELETE FROM secrets WHERE unit = $1", values![unit.bytes()])?;
        Ok(())
    }

    /// A unit whose retention is over, with its ledger.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn drop_unit(&self, unit: UnitId) -> Result<()> {
        self.drop_access(unit)?;
        self.drop_secrets(unit)?;
        self.engine.execute("DELETE FROM records WHERE unit = $1", values![unit.bytes()])?;
        self.one("a unit", "DELETE FROM units WHERE unit = $1", values![unit.bytes()])
    }

    /// The fingerprint of a credential's current secret, in place of an earlier one's.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn put_reuse(
        &self,
        old: Option<&ReuseTag>,
        tag: &ReuseTag,
        unit: UnitId,
        credential: CredentialId,
    ) -> Result<()> {
        let key = (unit.bytes(), credential.bytes());
        if let Some(old) = old {
            let sql = "DELETE FROM reuse WHERE tag = $1 AND unit = $2 AND credential = $3";
            self.engine.execute(sql, values![old.bytes(), key.0, key.1])?;
        }
        let sql = "INSERT INTO reuse (tag, unit, credential) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
        self.engine.execute(sql, values![tag.bytes(), key.0, key.1])?;
        Ok(())
    }

    /// Sets the count of all records: only after an owner's restart.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn set_counter(&self, counter: u64) -> Result<()> {
        let sql = "UPDATE meta SET value = $1 WHERE name = 'counter'";
        self.one("the counter", sql, values![&counter.to_le_bytes()])
    }
}

impl Drop for Write<'_> {
    /// Nothing stays of what was not committed.
    fn drop(&mut self) {
        self.engine.roll_back();
    }
}
