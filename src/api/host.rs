//! What the machine that runs the broker does for its owner, as the command line sees it: founding, restoring, health.

use super::{Gate, NoticesReport, Refusal};
use crate::crypto::{AgeKey, Secret, SignKey, Signed};
use crate::model::{Blob, Instant, MemberId, Name, Text, VaultId, Zone};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Where a vault lives.
#[derive(Clone, Debug)]
pub struct Places {
    /// The vault's directory: database and identities; all that a backup takes.
    pub vault: PathBuf,
    /// The state directory: the anchor; never in a backup.
    pub state: PathBuf,
}

impl Places {
    /// The database.
    pub fn database(&self) -> PathBuf {
        self.vault.join("vault.db")
    }

    /// The sealed identities.
    pub fn identities(&self) -> PathBuf {
        self.vault.join("identities")
    }
}

/// Where epoch keys are kept.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EpochKeyPlace {
    /// The operating system's keyring.
    Keyring,
    /// A file, chosen explicitly.
    File(PathBuf),
}

/// Where a vault's database is.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StorePlace {
    /// The file in the vault's directory.
    #[default]
    File,
    /// A PostgreSQL database, by its address; a password may be in it.
    Postgres(Zeroizing<String>),
}

impl StorePlace {
    /// Whether it is the file: what nobody needs to write down.
    pub fn is_file(&self) -> bool {
        *self == Self::File
    }
}

/// Shows nothing of an address.
impl std::fmt::Debug for StorePlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.is_file() { "File" } else { "Postgres" })
    }
}

/// What a copy of the store is.
#[derive(Clone, Debug, Serialize)]
pub struct StoreCopied {
    /// The database that was copied, and is untouched.
    pub from: String,
    /// The new one.
    pub to: String,
    /// Rows that were copied and compared.
    pub rows: u64,
    /// Whether the vault uses the new one from now on.
    pub switched: bool,
}

/// What an owner's program brings to the founding.
pub struct Founding {
    /// The vault's id.
    pub vault: VaultId,
    /// The agency's zone.
    pub zone: Zone,
    /// The owner root signs the charter the broker drafts.
    pub sign_charter: Box<dyn FnOnce(Vec<u8>) -> Signed>,
    /// The recovery recipient.
    pub recovery: String,
    /// The first owner's admission, signed by the owner root.
    pub admission: Signed,
    /// The reuse key, wrapped to the first owner.
    pub reuse_key: Blob,
    /// The first owner's encoded TOTP seed.
    pub seed: Zeroizing<Vec<u8>>,
    /// A code that confirms it, and is used up by that.
    pub code: String,
}

/// An opened recovery kit, and what the owner decides with it.
pub struct Recovery<'a> {
    /// The owner root.
    pub root: SignKey,
    /// The recovery key.
    pub recovery: AgeKey,
    /// The owner who is at the keyboard.
    pub owner: Name,
    /// Asks for a new second factor where the old one was lost with the anchor: gives the encoded seed and a code.
    pub enrol: &'a mut AskEnrol<'a>,
    /// Shows the grants that would be made anew after the anchor was lost; gives back which of them to make.
    pub confirm: &'a mut AskConfirm<'a>,
}

/// Asks for a fresh second factor: the encoded seed and a code that confirms it.
pub type AskEnrol<'a> = dyn FnMut() -> Result<(Secret, String), Refusal> + 'a;

/// Asks which of these grants to make anew.
pub type AskConfirm<'a> = dyn FnMut(&[Reissue]) -> Result<Vec<bool>, Refusal> + 'a;

/// A grant that would be made anew.
#[derive(Clone, Debug, Serialize)]
pub struct Reissue {
    /// Whose.
    pub member: Name,
    /// The member's id.
    pub id: MemberId,
    /// Operator.
    pub operator: Name,
    /// System.
    pub system: Name,
    /// Until when.
    pub until: Instant,
}

/// What a restart did.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RestartReport {
    /// Whether the anchor was made anew.
    pub new_anchor: bool,
    /// Ledgers that lost records: `operator or roster: known → found`.
    pub gaps: Vec<String>,
    /// Mandates that are gone with the lost records.
    pub lost: u64,
    /// Grants made anew.
    pub reissued: u64,
    /// Grants that stay dead.
    pub dead: u64,
    /// Members and devices that were removed since and work again, because the restored roster has no other owner:
    /// `member` or `member, device`.
    pub back: Vec<String>,
}

/// One finding of `doctor`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub what: String,
    /// Whether it is as it should be.
    pub fine: bool,
    /// What was found.
    pub found: Text,
    /// What to do.
    pub fix: Option<Text>,
}

/// How a broker is served to others.
#[derive(Clone, Default, Debug)]
pub struct ServeOptions {
    /// A Unix socket for members with accounts on this machine.
    pub socket: Option<PathBuf>,
    /// The group the socket is for, by name or number; none: every account may try.
    pub socket_group: Option<String>,
    /// Where HTTPS is listened on, for members on other machines.
    pub listen: Option<SocketAddr>,
    /// Certificate chain and key, PEM, in place of the vault's own.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Where members reach it from outside, to be named in invitations.
    pub public: Vec<String>,
    /// Where metrics are read, on this machine alone.
    pub metrics: Option<SocketAddr>,
    /// Requests a second that one member may make for long; none: 100.
    pub pace: Option<u32>,
}

/// The host, handed to the command line by `main`.
pub trait Host {
    /// The broker of a vault, in this process.
    ///
    /// # Errors
    /// [`Refusal`] where there is no vault.
    fn gate(&self, places: &Places) -> Result<Arc<dyn Gate>, Refusal>;

    /// The id of the vault there.
    ///
    /// # Errors
    /// [`Refusal`] where there is no vault.
    fn vault_id(&self, places: &Places) -> Result<VaultId, Refusal>;

    /// Prepares the directories of a new vault and tries the epoch key's place and the database's, before anybody is
    /// asked anything.
    ///
    /// # Errors
    /// Input where a vault is there already, or one of the places does not work.
    fn prepare(
        &self,
        places: &Places,
        vault: VaultId,
        epoch_key: &EpochKeyPlace,
        store: &StorePlace,
    ) -> Result<(), Refusal>;

    /// Founds the prepared vault.
    ///
    /// # Errors
    /// [`Refusal`].
    fn found(
        &self,
        places: &Places,
        epoch_key: &EpochKeyPlace,
        store: &StorePlace,
        founding: Founding,
    ) -> Result<(), Refusal>;

    /// Puts a backup of the kit's vault in place of the database; what was there is kept beside it.
    ///
    /// # Errors
    /// Input where the file is not a backup of this vault; then everything is as it was.
    fn restore(
        &self,
        places: &Places,
        store: Option<&StorePlace>,
        backup: &std::path::Path,
        vault: VaultId,
    ) -> Result<(), Refusal>;

    /// Puts the database that a restore replaced back, after going on from the backup was refused.
    fn take_back(&self, places: &Places, store: Option<&StorePlace>);

    /// Copies the database into an empty one of the other kind, compares the two row by row, and lets the vault use the
    /// new one where `switch` says so. The old one stays as it is.
    ///
    /// # Errors
    /// [`Refusal`]; then the vault uses what it used.
    fn copy_store(&self, places: &Places, to: &StorePlace, switch: bool) -> Result<StoreCopied, Refusal>;

    /// Goes on from the database as it is, by order of the owner root.
    ///
    /// # Errors
    /// [`Refusal`]; then everything is as it was.
    fn restart(
        &self,
        places: &Places,
        epoch_key: Option<&EpochKeyPlace>,
        store: Option<&StorePlace>,
        recovery: Recovery<'_>,
    ) -> Result<RestartReport, Refusal>;

    /// Runs the broker for others until the process is told to stop.
    ///
    /// # Errors
    /// [`Refusal`] where it cannot begin.
    fn serve(&self, places: &Places, options: ServeOptions) -> Result<(), Refusal>;

    /// Looks at files, permissions, keys and backups without opening anything secret.
    fn examine(&self, places: &Places) -> Vec<Finding>;

    /// One round of what is sent by the clock; dry: what would be, and nothing is sent or remembered.
    ///
    /// # Errors
    /// Input where the configuration is not there or not right.
    fn notices(&self, places: &Places, dry_run: bool) -> Result<NoticesReport, Refusal>;
}
