//! Records, the Merkle tree over them, checkpoints, extracts, and their verification.
//!
//! Guarantees: pure; it holds no private key. [`Record::open`] is the one choke point through which a record's bytes
//! become facts: the signature is verified over the stored bytes, then they are parsed strictly. A ledger verifies
//! only as a whole: every record, every member's request inside it, the tree, the checkpoint and the fold.
//! `docs/ledger.md` is the specification from which another verifier can be written.

mod asked;
mod audit;
mod checkpoint;
mod cores;
mod directory;
mod extract;
mod held;
mod record;
mod tree;

pub use asked::follows_request;
pub use audit::{Audit, Audited, Flaw};
pub use checkpoint::{Checkpoint, NoteError, origin};
pub use cores::on_all_cores;
pub use directory::{
    Admission, Charter, Directory, DirectoryError, Restart, bundle_fingerprint, from_blob, open_bundle,
    recipient_digest, to_blob,
};
pub use extract::{Extract, ExtractError, ExtractWriter, Verified, verify_extract};
pub use held::Misfit;
pub use record::{Assurance, ClockMark, Entry, Outcome, Record, RecordError, leaf_of};
pub use tree::{Edge, Node, append, consistency_proof, inclusion_proof, root, verify_consistency, verify_inclusion};
