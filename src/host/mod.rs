//! What the host runs: founding, restoring, restarting, health; and its clock.
//!
//! Guarantees: directories are private to the account and not behind links; a vault is never written over; the anchor
//! is never in a backup.

mod clock;
mod copy;
mod doctor;
pub mod notices;
mod places;
#[cfg(unix)]
mod serve;
#[cfg(unix)]
mod tls;
#[cfg(unix)]
mod watch;

pub use clock::SystemClock;
pub use notices::Notices;
#[cfg(unix)]
pub use serve::until as serve_until;
#[cfg(unix)]
pub use tls::load as load_tls;

use crate::anchor::{EpochKeys, FileKeys, Home, OsKeys, RealDisk, Slot};
use crate::api::{
    EpochKeyPlace, Finding, Founding, Gate, Host, NoticesReport, Places, Recovery, Refusal, RestartReport,
    ServeOptions, StoreCopied, StorePlace,
};
use crate::broker::{Broker, Door, Pace, Settings, found, restart};
use crate::crypto::Entropy;
use crate::ledger::Assurance;
use crate::model::{Clock, VaultId};
use crate::store::{Database, Store};
use places::Config;
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
        let config = places::read_config(places)?;
        let vault = self.vault_id(places)?;
        self.settings_with(places, vault, &config)
    }

    /// The broker of a vault, for what this machine itself does with it.
    ///
    /// # Errors
    /// [`Refusal`] where there is no vault.
    pub fn broker(&self, places: &Places) -> Result<Broker, Refusal> {
        places::check_private(&places.vault)?;
        places::check_private(&places.state)?;
        Ok(Broker::new(self.settings(places)?))
    }

    fn settings_with(&self, places: &Places, vault: VaultId, config: &Config) -> Result<Settings, Refusal> {
        let home = Home {
            dir: places.state.clone(),
            disk: Arc::new(RealDisk),
            keys: self.epoch_keys(vault, &config.epoch_key),
            entropy: Arc::clone(&self.entropy),
        };
        Ok(Settings {
            database: places::database(places, &config.store)?,
            home,
            clock: Arc::clone(&self.clock),
            assurance: Assurance::Solo,
            pace: Pace::FREE,
            served: places::read_served(places),
        })
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
        Ok(Arc::new(Door::new(Arc::new(self.broker(places)?), Assurance::Solo)))
    }

    fn vault_id(&self, places: &Places) -> Result<VaultId, Refusal> {
        places::vault_id(places)
    }

    fn prepare(
        &self,
        places: &Places,
        vault: VaultId,
        epoch_key: &EpochKeyPlace,
        store: &StorePlace,
    ) -> Result<(), Refusal> {
        if !store.is_file() {
            let vacant = Store::check_vacant(&places::address(store)?);
            vacant.map_err(|error| Refusal::input("store", error.to_string()))?;
        }
        places::refuse_existing(places, epoch_key)?;
        places::make_private(&places.vault)?;
        places::make_private(&places.identities())?;
        places::make_private(&places.state)?;
        places::mark_as_cache(&places.state)?;
        // Tried now, before anybody has typed anything: a keyring that does not work is said so, never worked around.
        let keys = self.epoch_keys(vault, epoch_key);
        keys.read(Slot::Current).map(drop).map_err(|error| Refusal::input("epoch-key", error.to_string()))
    }

    fn found(
        &self,
        places: &Places,
        epoch_key: &EpochKeyPlace,
        store: &StorePlace,
        founding: Founding,
    ) -> Result<(), Refusal> {
        let (vault, config) = (founding.vault, Config::new(epoch_key, store));
        let settings = self.settings_with(places, vault, &config)?;
        if store.is_file() {
            places::create_database_file(&places.database())?;
        }
        let founded = found(&settings, founding).and_then(|_| places::write_config(places, &config));
        #[cfg(unix)]
        let founded = founded.and_then(|()| tls::ensure(places, &*self.clock));
        if founded.is_err() {
            match settings.database {
                Database::File(_) => places::remove_database(places),
                // What cannot be taken away now is found, and named, by the next `init`.
                Database::Postgres(address) => drop(Store::discard(&address, vault)),
            }
        }
        founded
    }

    fn take_back(&self, places: &Places, store: Option<&StorePlace>) {
        match store.cloned().unwrap_or_else(|| places::known_store(places)) {
            StorePlace::File => places::take_back(places),
            server => drop(places::address(&server).map(|address| Store::take_back(&address))),
        }
    }

    fn copy_store(&self, places: &Places, to: &StorePlace, switch: bool) -> Result<StoreCopied, Refusal> {
        copy::copy_store(places, to, switch)
    }

    fn restore(
        &self,
        places: &Places,
        store: Option<&StorePlace>,
        backup: &Path,
        vault: VaultId,
    ) -> Result<(), Refusal> {
        let place = store.cloned().unwrap_or_else(|| places::known_store(places));
        places::make_private(&places.vault)?;
        places::make_private(&places.identities())?;
        // Held to the end; where there is no such file, no broker was ever served from here.
        let is_served_at_times = places.state.join("active").exists();
        let turn = if is_served_at_times { places::try_lock(&places.state, "active")? } else { None };
        if is_served_at_times && turn.is_none() {
            let sentence = "is served by a broker now; stop 'mandatum serve' first, on every machine";
            return Err(Refusal::input("vault", sentence));
        }
        // What a server holds is moved aside only if it is this vault, or nothing that opens.
        if !place.is_file() && places::database_vault_id(places, &place).is_ok_and(|there| there != vault) {
            return Err(Refusal::input("store", "holds another vault; name a database of its own"));
        }
        let refused = |error: crate::store::StoreError| Refusal::input("file", error.to_string());
        let restored = places.vault.join("vault.db.restored");
        places::copy_private(backup, &restored)?;
        let adopted = Store::adopt(&restored).map_err(refused);
        let checked = adopted.as_ref().map_err(Clone::clone).and_then(|store| {
            store.check_file().map_err(refused)?;
            store.vault().map_err(refused)
        });
        let known = places::vault_id(places).unwrap_or(vault);
        let same = checked.and_then(|found| match (known == vault, found == vault) {
            (true, true) => Ok(()),
            (true, false) => Err(Refusal::input("file", "is a backup of another vault")),
            (false, _) => Err(Refusal::input("kit", "is another vault's")),
        });
        let placed = same.and(adopted).and_then(|store| match &place {
            StorePlace::File => {
                drop(store);
                places::swap_database(places, &restored)
            }
            server => Ok(store.replace(&places::address(server)?)?),
        });
        if placed.is_err() || !place.is_file() {
            places::remove_file_set(&restored);
        }
        placed
    }

    fn restart(
        &self,
        places: &Places,
        epoch_key: Option<&EpochKeyPlace>,
        store: Option<&StorePlace>,
        recovery: Recovery<'_>,
    ) -> Result<RestartReport, Refusal> {
        let store = store.cloned().unwrap_or_else(|| places::known_store(places));
        let config = match (epoch_key, places::read_config(places)) {
            (Some(place), _) => Config::new(place, &store),
            (None, known) => Config::new(&known?.epoch_key, &store),
        };
        places::make_private(&places.state)?;
        places::mark_as_cache(&places.state)?;
        let vault = places::database_vault_id(places, &config.store)?;
        let report = restart(&self.settings_with(places, vault, &config)?, recovery)?;
        places::write_config(places, &config)?;
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

    fn examine(&self, places: &Places) -> Vec<Finding> {
        doctor::examine(self, places)
    }

    fn notices(&self, places: &Places, dry_run: bool) -> Result<NoticesReport, Refusal> {
        let broker = self.broker(places)?;
        if dry_run {
            return notices::preview(&broker, places, self.clock.now());
        }
        let config = notices::Config::read(places)?;
        Notices::new(Arc::new(broker), Arc::clone(&self.clock), places.state.clone(), config).tick()
    }
}
