//! `store copy`: a vault's database moves from a file to a server, or back.

use super::places::{self, Config};
use crate::anchor::StateLock;
use crate::api::{Places, Refusal, StoreCopied, StorePlace};
use crate::store::{Database, Store};

/// Copies everything into an empty database, compares it row by row, and lets the vault use it from now on.
pub fn copy_store(places: &Places, to: &StorePlace, switch: bool) -> Result<StoreCopied, Refusal> {
    places::check_private(&places.vault)?;
    places::check_private(&places.state)?;
    let config = places::read_config(places)?;
    if config.store.is_file() == to.is_file() {
        return Err(Refusal::input(
            "store",
            "is of the kind the vault uses already; a copy goes from one kind to the other",
        ));
    }
    // Until the new one is in use nobody may write into the old one.
    let _lock = StateLock::take(&places.state).map_err(|e| Refusal::Failed(format!("state lock: {e}")))?;
    let (from, target) = (places::database(places, &config.store)?, places::database(places, to)?);
    let store = Store::open(&from)?;
    store.check_file()?;
    if let Database::File(path) = &target {
        if path.exists() {
            let sentence = format!("{} is there still; move it and its -wal file away first", path.display());
            return Err(Refusal::input("store", sentence));
        }
        places::create_database_file(path)?;
    }
    let copied = store.copy_into(&target);
    if copied.is_err() && to.is_file() {
        places::remove_database(places);
    }
    let rows = copied.map_err(|error| match error.is_damage() {
        true => Refusal::Integrity(error.to_string()),
        false => Refusal::input("store", error.to_string()),
    })?;
    if switch {
        places::write_config(places, &Config::new(&config.epoch_key, to))?;
    }
    Ok(StoreCopied { from: from.to_string(), to: target.to_string(), rows, switched: switch })
}
