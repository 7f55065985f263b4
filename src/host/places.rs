//! Directories and files of a vault: private, this account's own, never behind a link, never written over.

use crate::api::{EpochKeyPlace, Places, Refusal, Served, StorePlace};
use crate::model::VaultId;
use crate::store::{Address, Database, Store};
use serde::{Deserialize, Serialize};
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// The version of [`Config`].
const FORMAT: u32 = 1;

/// What the state directory says of the broker: private to its account, since the store's address may hold a password.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    format: u32,
    /// Where its epoch keys are.
    pub epoch_key: EpochKeyPlace,
    /// Where its database is.
    #[serde(default, skip_serializing_if = "StorePlace::is_file")]
    pub store: StorePlace,
}

impl Config {
    /// Of this version.
    pub fn new(epoch_key: &EpochKeyPlace, store: &StorePlace) -> Self {
        Self { format: FORMAT, epoch_key: epoch_key.clone(), store: store.clone() }
    }
}

fn config_path(places: &Places) -> PathBuf {
    places.state.join("broker.json")
}

/// Where this vault's epoch keys and its database are.
pub fn read_config(places: &Places) -> Result<Config, Refusal> {
    let path = config_path(places);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(no_vault(places)),
        Err(error) => return Err(failed(&path, &error)),
    };
    let config: Option<Config> = serde_json::from_slice(&text).ok();
    config
        .filter(|config| config.format == FORMAT)
        .ok_or_else(|| Refusal::input(path.display().to_string(), "is not a broker configuration of this version"))
}

/// Where `serve` serves this vault's broker, as it says in `served.json`; nowhere where it never did.
pub fn read_served(places: &Places) -> Served {
    let text = fs::read(places.state.join("served.json")).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

/// Remembers where the broker is served, for invitations.
pub fn write_served(places: &Places, served: &Served) -> Result<(), Refusal> {
    let text = serde_json::to_vec_pretty(served).map_err(|e| Refusal::Failed(e.to_string()))?;
    replace_private(&places.state, "served.json", &text)
}

/// Remembers where this vault's epoch keys and its database are.
pub fn write_config(places: &Places, config: &Config) -> Result<(), Refusal> {
    let text = serde_json::to_vec_pretty(config).map_err(|e| Refusal::Failed(e.to_string()))?;
    replace_private(&places.state, "broker.json", &text)
}

/// Writes a private file anew as a whole, or leaves it as it was.
pub fn replace_private(dir: &Path, name: &str, bytes: &[u8]) -> Result<(), Refusal> {
    let (path, new) = (dir.join(name), dir.join(format!("{name}.new")));
    let _ = fs::remove_file(&new);
    let written = private_new(&new).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        // Which file is in force must not be forgotten by a crash.
        fs::File::open(dir)?.sync_all()
    });
    written.map_err(|error| failed(&path, &error))
}

/// A lock another process may hold; none where one does. Freed on drop, and by the operating system.
pub fn try_lock(dir: &Path, name: &str) -> Result<Option<fs::File>, Refusal> {
    let path = dir.join(name);
    let file = match private_new(&path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => OpenOptions::new().write(true).open(&path),
        made => made,
    };
    let file = file.map_err(|error| failed(&path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(error)) => Err(failed(&path, &error)),
    }
}

fn no_vault(places: &Places) -> Refusal {
    let sentence = format!(
        "there is no vault here ({}); name one with --vault, or make one with 'mandatum init --owner NAME --kit FILE'",
        places.vault.display()
    );
    Refusal::input("vault", sentence)
}

/// The vault's id: from the anchor's header, else from the database. Both stand there in clear.
pub fn vault_id(places: &Places) -> Result<VaultId, Refusal> {
    let mut header = [0; 26];
    let read =
        fs::File::open(crate::anchor::anchor_path(&places.state)).and_then(|mut file| file.read_exact(&mut header));
    match (read, VaultId::from_slice(&header[10..])) {
        (Ok(()), Some(vault)) => Ok(vault),
        _ => database_vault_id(places, &known_store(places)),
    }
}

/// Where the database is, as far as that is written down: a vault in a file needs no word for it.
pub fn known_store(places: &Places) -> StorePlace {
    read_config(places).map(|config| config.store).unwrap_or_default()
}

/// The vault's id as the database says it.
pub fn database_vault_id(places: &Places, store: &StorePlace) -> Result<VaultId, Refusal> {
    let database = database(places, store)?;
    if let Database::File(path) = &database
        && !path.exists()
    {
        return Err(no_vault(places));
    }
    Ok(Store::open(&database)?.vault()?)
}

/// The database that is meant.
pub fn database(places: &Places, store: &StorePlace) -> Result<Database, Refusal> {
    match store {
        StorePlace::File => Ok(Database::File(places.database())),
        StorePlace::Postgres(_) => Ok(Database::Postgres(address(store)?)),
    }
}

/// The address of a server.
pub fn address(store: &StorePlace) -> Result<Address, Refusal> {
    let StorePlace::Postgres(text) = store else { return Err(Refusal::input("store", "is no PostgreSQL database")) };
    Address::parse(text).map_err(|error| Refusal::input("store", error.to_string()))
}

/// Refuses to make a vault where something of one is.
pub fn refuse_existing(places: &Places, epoch_key: &EpochKeyPlace) -> Result<(), Refusal> {
    for path in [places.database(), crate::anchor::anchor_path(&places.state)] {
        if path.symlink_metadata().is_ok() {
            let sentence = format!("{} exists: there is a vault here already; choose another --vault", path.display());
            return Err(Refusal::input("vault", sentence));
        }
    }
    match epoch_key {
        EpochKeyPlace::File(path) if path.symlink_metadata().is_ok() => {
            Err(Refusal::input("epoch-key", format!("{} exists; name a new file", path.display())))
        }
        EpochKeyPlace::File(path) if path.starts_with(&places.vault) => {
            Err(Refusal::input("epoch-key", "lies inside the vault's directory, which backups take; put it elsewhere"))
        }
        _ => Ok(()),
    }
}

/// Makes a directory for this account alone; an existing one must be that already.
pub fn make_private(dir: &Path) -> Result<(), Refusal> {
    if dir.symlink_metadata().is_err() {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(dir).map_err(|error| failed(dir, &error))?;
    }
    check_private(dir)
}

/// Refuses a directory that is a link, another account's, or open to others.
pub fn check_private(dir: &Path) -> Result<(), Refusal> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, PermissionsExt};
        let meta = match dir.symlink_metadata() {
            Ok(meta) => meta,
            Err(_) => return Ok(()),
        };
        let refused = |why: &str| Err(Refusal::input("vault", format!("{} {why}", dir.display())));
        if !meta.is_dir() {
            return refused("is not a directory (a link is not followed)");
        }
        if meta.uid() != rustix::process::geteuid().as_raw() {
            return refused("belongs to another account");
        }
        if meta.permissions().mode() & 0o077 != 0 {
            return refused("is open to other accounts; run 'chmod 700' on it");
        }
    }
    Ok(())
}

/// Tells backup programs to leave the state directory out (Cache Directory Tagging Specification).
pub fn mark_as_cache(state: &Path) -> Result<(), Refusal> {
    let path = state.join("CACHEDIR.TAG");
    if path.exists() {
        return Ok(());
    }
    let text = "Signature: 8a477f597d28d172789f06886806bc55\n# mandatum: the anchor is never part of a backup.\n";
    private_new(&path).and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| failed(&path, &error))
}

/// An empty database file, private from the first moment.
pub fn create_database_file(path: &Path) -> Result<(), Refusal> {
    private_new(path).map(drop).map_err(|error| failed(path, &error))
}

/// A new file for this account alone; never over an existing one.
pub fn write_private_new(path: &Path, bytes: &[u8]) -> Result<(), Refusal> {
    let written = private_new(path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(|error| failed(path, &error))
}

/// Takes back a database that was never founded.
pub fn remove_database(places: &Places) {
    remove_file_set(&places.database());
}

/// A database with its log and its index.
pub fn remove_file_set(database: &Path) {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let _ = fs::remove_file(with_suffix(database, suffix));
    }
}

/// Copies a file into a new private one.
pub fn copy_private(from: &Path, to: &Path) -> Result<(), Refusal> {
    remove_file_set(to);
    let mut input = fs::File::open(from).map_err(|error| Refusal::input("file", format!("cannot be read: {error}")))?;
    let copied = private_new(to).and_then(|mut file| {
        io::copy(&mut input, &mut file)?;
        file.sync_all()
    });
    copied.map_err(|error| failed(to, &error))
}

/// Puts a checked database in place of the present one, which is kept beside it.
pub fn swap_database(places: &Places, restored: &Path) -> Result<(), Refusal> {
    let database = places.database();
    let kept = places.vault.join("vault.db.before-restore");
    remove_file_set(&kept);
    for suffix in ["", "-wal", "-shm"] {
        let (from, to) = (with_suffix(&database, suffix), with_suffix(&kept, suffix));
        if from.exists() {
            fs::rename(&from, &to).map_err(|error| failed(&from, &error))?;
        }
        let (from, to) = (with_suffix(restored, suffix), with_suffix(&database, suffix));
        if from.exists() {
            fs::rename(&from, &to).map_err(|error| failed(&from, &error))?;
        }
    }
    Ok(())
}

/// Puts the database that was kept back in place; without one, takes the restored one away again.
pub fn take_back(places: &Places) {
    let kept = places.vault.join("vault.db.before-restore");
    remove_file_set(&places.database());
    for suffix in ["-wal", "-shm", ""] {
        let _ = fs::rename(with_suffix(&kept, suffix), with_suffix(&places.database(), suffix));
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn private_new(path: &Path) -> io::Result<fs::File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Something about a file failed.
pub fn failed(path: &Path, error: &io::Error) -> Refusal {
    Refusal::Failed(format!("{}: {error}", path.display()))
}
