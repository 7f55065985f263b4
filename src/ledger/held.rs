//! What an operator kept from before: an earlier checkpoint, held against a later extract.
//!
//! A broker that holds its own keys can write a ledger anew, and the extract of it verifies. It cannot take back a
//! checkpoint that left the agency: the extract either grows from it, or it does not.

use super::checkpoint::{Checkpoint, NoteError};
use super::extract::Verified;
use super::record::Outcome;
use super::tree::Edge;
use crate::model::Event;

/// Why an earlier checkpoint and an extract do not go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// It is not a checkpoint of this mandate under a key of this agency.
    #[error("{0}")]
    Note(#[from] NoteError),
    /// The extract is shorter than what the operator was shown before.
    #[error("covers {size} records and the extract holds {found}: records are missing{}", said(.restarted))]
    Missing {
        /// Records under the checkpoint.
        size: u64,
        /// Records in the extract.
        found: u64,
        /// The record that says so itself, if one does.
        restarted: Option<u64>,
    },
    /// Other records stand where the operator was shown these.
    #[error("covers {size} records that are not the first {size} of the extract: history was rewritten{}", said(.restarted))]
    Rewritten {
        /// Records under the checkpoint.
        size: u64,
        /// The record that says so itself, if one does.
        restarted: Option<u64>,
    },
}

fn said(restarted: &Option<u64>) -> String {
    restarted.map_or_else(String::new, |seq| {
        format!("; record {seq} says that the vault went on from an older state, ask the agency what was lost")
    })
}

impl Verified {
    /// Holds an earlier checkpoint against this extract: its records must be the first ones of the extract.
    ///
    /// # Errors
    /// [`Misfit`].
    pub fn hold_against(&self, note: &str) -> Result<Checkpoint, Misfit> {
        let held = self.open_held(note)?;
        let restarted = self.restart_before(held.size);
        let found = self.checkpoint.size;
        let Some(covered) = usize::try_from(held.size).ok().and_then(|size| self.leaves.get(..size)) else {
            return Err(Misfit::Missing { size: held.size, found, restarted });
        };
        let mut edge = Edge::default();
        covered.iter().for_each(|leaf| edge.push(*leaf));
        if edge.root() == held.root { Ok(held) } else { Err(Misfit::Rewritten { size: held.size, restarted }) }
    }

    /// Opens it under any checkpoint key there was: a new anchor has new keys, and old notes stay good.
    fn open_held(&self, note: &str) -> Result<Checkpoint, NoteError> {
        let opened = |key| Checkpoint::open(note, self.directory.vault(), self.mandate.unit, key);
        let mut last = NoteError::Signature;
        for key in self.directory.checkpoint_keys() {
            match opened(key) {
                Ok(held) => return Ok(held),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// The record by which the ledger itself says that it lost records this far.
    fn restart_before(&self, size: u64) -> Option<u64> {
        let lost = self
            .records
            .iter()
            .find(|record| matches!(record.outcome, Outcome::Mandate(Event::Restarted { found, .. }) if found < size));
        lost.map(|record| record.seq)
    }
}
