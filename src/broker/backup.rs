//! `backup`: a copy of the database while it is in use. The anchor is never in it.

use super::caller::Caller;
use super::vault::Vault;
use crate::api::{BackupAnswer, BackupAsk, Refusal, Request};
use crate::ledger::{Assurance, Outcome};
use crate::model::{RosterEvent, UnitId};
use std::path::PathBuf;

/// Copies the database into a new file and records which mandates the copy holds, so that a closing act can name the
/// copies to destroy.
///
/// # Errors
/// Input where the file exists.
pub fn backup(
    vault: &mut Vault<'_>,
    caller: &Caller,
    request: Request<BackupAsk>,
    (): (),
) -> Result<BackupAnswer, Refusal> {
    if vault.settings.assurance != Assurance::Solo {
        let sentence =
            "a backup is a file on the broker's machine; run 'mandatum backup' there, as the broker's account";
        return Err(Refusal::input("backup", sentence));
    }
    let path = PathBuf::from(request.ask.path);
    if path.exists() {
        return Err(Refusal::input("file", "exists already; a backup never writes over anything, name a new file"));
    }
    let roster = vault.roster.unit;
    let units: Vec<UnitId> = vault.store.sizes()?.into_iter().map(|(unit, _)| unit).filter(|u| *u != roster).collect();
    let mandates = u64::try_from(units.len()).unwrap_or(u64::MAX);
    // Recorded first: a copy nobody knows of is worse than a record of a copy that failed.
    vault.record_one(Some(caller), roster, Outcome::Roster(RosterEvent::BackedUp { units }))?;
    create_private(&path).map_err(|error| Refusal::input("file", format!("cannot be made: {error}")))?;
    if let Err(error) = vault.store.copy_to(&path) {
        // A torn copy is none.
        let _ = std::fs::remove_file(&path);
        return Err(error.into());
    }
    Ok(BackupAnswer { mandates })
}

fn create_private(path: &PathBuf) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}
