//! What the host runs: founding, restoring, restarting, health; and its clock.
//!
//! Guarantees: directories are private to the account and not behind links; a vault is never written over; the anchor
//! is never in a backup.

mod clock;
mod doctor;
mod places;
#[cfg(unix)]
mod serve;
#[cfg(unix)]
mod tls;

pub use clock::SystemClock;
#[cfg(unix)]
pub use serve::until as serve_until;
#[cfg(unix)]
pub use tls::load as load_tls;

use crate::anchor::{EpochKeys, FileKeys, Home, OsKeys, RealDisk, Slot};
use crate::api::{
    Doors, EpochKeyPlace, Finding, Founding, Gate, Host, Places, Recovery, Refusal, RestartReport, ServeOptions,
};
use crate::broker::{Broker, Settings, found, restart};
use crate::crypto::Entropy;
use crate::ledger::Assurance;
use crate::model::{Clock, VaultId};
use crate::store::Store;
use std::path::Path;
use std::sync::Arc;

/// This machine, as the one that runs the broker in the member's own process (`solo`).
pub struct LocalHost {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Epoch keys other than the machine's own: tests pass theirs.
    pub keys: Option<Arc<dyn EpochKeys>>,
}

impl LocalHost {
    fn settings(&self, places: &Places) -> Result<Settings, Refusal> {
        let place = places::read_config(places)?;
        let vault = self.vault_id(places)?;
        Ok(self.settings_with(places, vault, &place))
    }

    fn settings_with(&self, places: &Places, vault: VaultId, place: &EpochKeyPlace) -> Settings {
        let home = Home {
            dir: places.state.clone(),
            disk: Arc::new(RealDisk),
            keys: self.epoch_keys(vault, place),
            entropy: Arc::clone(&self.entropy),
        };
        Settings { database: places.database(), home, clock: Arc::clone(&self.clock), assurance: Assurance::Solo }
    }

    fn epoch_keys(&self, vault: VaultId, place: &EpochKeyPlace) -> Arc<dyn EpochKeys> {
        match (&self.keys, place) {
            (Some(keys), _) => Arc::clone(keys),
            (None, EpochKeyPlace::Keyring) => Arc::new(OsKeys::new(vault)),
            (None, EpochKeyPlace::File(path)) => Arc::new(FileKeys::new(path.clone())),
        }
    }
}

impl Host for LocalHost {
    fn gate(&self, places: &Places) -> Result<Arc<dyn Gate>, Refusal> {
        places::check_private(&places.vault)?;
        places::check_private(&places.state)?;
        Ok(Arc::new(Broker::new(self.settings(places)?)))
    }

    fn vault_id(&self, places: &Places) -> Result<VaultId, Refusal> {
        places::vault_id(places)
    }

    fn prepare(&self, places: &Places, vault: VaultId, epoch_key: &EpochKeyPlace) -> Result<(), Refusal> {
        places::refuse_existing(places, epoch_key)?;
        places::make_private(&places.vault)?;
        places::make_private(&places.identities())?;
        places::make_private(&places.state)?;
        places::mark_as_cache(&places.state)?;
        // Tried now, before anybody has typed anything: a keyring that does not work is said so, never worked around.
        let keys = self.epoch_keys(vault, epoch_key);
        keys.read(Slot::Current).map(drop).map_err(|error| Refusal::input("epoch-key", error.to_string()))
    }

    fn found(&self, places: &Places, epoch_key: &EpochKeyPlace, founding: Founding) -> Result<(), Refusal> {
        let settings = self.settings_with(places, founding.vault, epoch_key);
        places::create_database_file(&places.database())?;
        let founded = found(&settings, founding).and_then(|_| places::write_config(places, epoch_key));
        #[cfg(unix)]
        let founded = founded.and_then(|()| tls::ensure(places, &*self.clock));
        if founded.is_err() {
            places::remove_database(places);
        }
        founded
    }

    fn take_back(&self, places: &Places) {
        places::take_back(places);
    }

    fn restore(&self, places: &Places, backup: &Path, vault: VaultId) -> Result<(), Refusal> {
        places::make_private(&places.vault)?;
        places::make_private(&places.identities())?;
        let refused = |error: crate::store::StoreError| Refusal::input("file", error.to_string());
        let restored = places.vault.join("vault.db.restored");
        places::copy_private(backup, &restored)?;
        let store = Store::adopt(&restored).map_err(refused);
        let checked = store.and_then(|store| {
            store.check_file().map_err(refused)?;
            store.vault().map_err(refused)
        });
        let known = places::vault_id(places).unwrap_or(vault);
        let same = checked.and_then(|found| match (known == vault, found == vault) {
            (true, true) => Ok(()),
            (true, false) => Err(Refusal::input("file", "is a backup of another vault")),
            (false, _) => Err(Refusal::input("kit", "is another vault's")),
        });
        if let Err(error) = same {
            places::remove_file_set(&restored);
            return Err(error);
        }
        places::swap_database(places, &restored)
    }

    fn restart(
        &self,
        places: &Places,
        epoch_key: Option<&EpochKeyPlace>,
        recovery: Recovery<'_>,
    ) -> Result<RestartReport, Refusal> {
        let place = match (epoch_key, places::read_config(places)) {
            (Some(place), _) => place.clone(),
            (None, place) => place?,
        };
        places::make_private(&places.state)?;
        places::mark_as_cache(&places.state)?;
        let vault = places::database_vault_id(places)?;
        let report = restart(&self.settings_with(places, vault, &place), recovery)?;
        places::write_config(places, &place)?;
        Ok(report)
    }

    fn serve(&self, places: &Places, options: ServeOptions) -> Result<(), Refusal> {
        #[cfg(unix)]
        return serve::serve(self, places, options);
        #[cfg(not(unix))]
        {
            let _ = (places, options);
            Err(Refusal::input("serve", "a broker is served on Unix systems only"))
        }
    }

    fn doors(&self, places: &Places) -> Result<Option<Doors>, Refusal> {
        places::read_doors(places)
    }

    fn examine(&self, places: &Places) -> Vec<Finding> {
        doctor::examine(self, places)
    }
}
