//! Sessions: after passphrase and second factor, both are spared until the session ends.
//!
//! The member's keys lie in a file sealed by a random session key; the session key lies in the kernel's keyring with
//! the kernel's own timeout. No daemon, and after `lock`, the timeout or a restart the file opens nowhere.

use super::identity::{Identity, Stored, file_name};
use crate::crypto::{Context, Entropy, Key, Secret, open, seal};
use crate::model::{Blob, Date, Instant, Name, SessionId, Text, VaultId};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why a session cannot be kept or used.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// No place for the session key.
    #[error(
        "there is no kernel or system keyring for the session key here ({0}); give passphrase and code with each command instead"
    )]
    Keys(String),
    /// The file cannot be read or written.
    #[error("the session file cannot be read or written: {0}")]
    Io(#[from] std::io::Error),
}

/// Keeps session keys in memory outside this process, with a timeout.
pub trait SessionKeys: Send + Sync {
    /// The key of a name, while it lives.
    fn read(&self, name: &str) -> Option<Key>;
    /// Keeps a key for so many seconds.
    ///
    /// # Errors
    /// [`SessionError::Keys`].
    fn write(&self, name: &str, key: &Key, seconds: u64) -> Result<(), SessionError>;
    /// Lets a key live so many seconds more.
    fn touch(&self, name: &str, seconds: u64);
    /// Forgets a key; none there is no error.
    fn remove(&self, name: &str);
}

/// The Linux kernel's user keyring; elsewhere the system's keyring, where the broker alone ends the session.
pub struct KernelKeys;

#[cfg(target_os = "linux")]
mod kernel {
    use super::{KernelKeys, Key, SessionError, SessionKeys};
    use linux_keyutils::{KeyError, KeyRing, KeyRingIdentifier};

    /// The user keyring, made readable from any shell of this account: a process that was started without a session
    /// keyring does not possess it, so it is linked into the process's own first.
    fn ring() -> Result<KeyRing, KeyError> {
        static LINKED: std::sync::Once = std::sync::Once::new();
        let ring = KeyRing::from_special_id(KeyRingIdentifier::User, true)?;
        LINKED.call_once(|| {
            if let Ok(process) = KeyRing::from_special_id(KeyRingIdentifier::Process, true) {
                let _ = process.link_keyring_id(KeyRingIdentifier::User);
            }
        });
        Ok(ring)
    }

    fn described(name: &str) -> String {
        format!("mandatum:{name}")
    }

    impl SessionKeys for KernelKeys {
        fn read(&self, name: &str) -> Option<Key> {
            let mut bytes = zeroize::Zeroizing::new([0; 32]);
            let len = ring().ok()?.search(&described(name)).ok()?.read(&mut *bytes).ok()?;
            (len == 32).then(|| Key::from_slice(&*bytes)).flatten()
        }

        fn write(&self, name: &str, key: &Key, seconds: u64) -> Result<(), SessionError> {
            let refused = |error: KeyError| SessionError::Keys(format!("{error:?}"));
            let kept = ring().and_then(|ring| ring.add_key(&described(name), key.expose())).map_err(refused)?;
            let seconds = usize::try_from(seconds).unwrap_or(usize::MAX);
            // A key that would live for ever, or cannot be read back, is worse than none.
            let usable = kept.set_timeout(seconds).is_ok() && self.read(name).is_some();
            if usable {
                return Ok(());
            }
            let _ = kept.invalidate();
            Err(SessionError::Keys("the key cannot be read back or given a timeout".into()))
        }

        fn touch(&self, name: &str, seconds: u64) {
            if let Ok(key) = ring().and_then(|ring| ring.search(&described(name))) {
                let _ = key.set_timeout(usize::try_from(seconds).unwrap_or(usize::MAX));
            }
        }

        fn remove(&self, name: &str) {
            if let Ok(key) = ring().and_then(|ring| ring.search(&described(name))) {
                let _ = key.invalidate();
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
impl SessionKeys for KernelKeys {
    fn read(&self, name: &str) -> Option<Key> {
        let entry = keyring::v1::Entry::new("mandatum-session", name).ok()?;
        Key::from_slice(&zeroize::Zeroizing::new(entry.get_secret().ok()?))
    }

    fn write(&self, name: &str, key: &Key, _seconds: u64) -> Result<(), SessionError> {
        let entry = keyring::v1::Entry::new("mandatum-session", name).map_err(|e| SessionError::Keys(e.to_string()))?;
        entry.set_secret(key.expose()).map_err(|e| SessionError::Keys(e.to_string()))
    }

    fn touch(&self, _name: &str, _seconds: u64) {}

    fn remove(&self, name: &str) {
        if let Ok(entry) = keyring::v1::Entry::new("mandatum-session", name) {
            let _ = entry.delete_credential();
        }
    }
}

/// An unlocked member.
pub struct Session {
    /// Keys and pins.
    pub identity: Identity,
    /// What the broker knows the session by.
    pub id: SessionId,
    /// When it ends at the latest.
    pub until: Instant,
    /// It also ends after this long without use, ms.
    pub idle_ms: i64,
    /// The vault's reuse key, wrapped to the member.
    pub reuse_key: Option<Blob>,
    /// Purposes given today, by what they were given for.
    pub purposes: Vec<(String, Text, Date)>,
}

#[derive(Serialize, Deserialize)]
struct StoredSession {
    identity: Stored,
    id: SessionId,
    until: Instant,
    idle_ms: i64,
    reuse_key: Option<Blob>,
    purposes: Vec<(String, Text, Date)>,
}

/// The sessions of a vault on this machine.
#[derive(Clone)]
pub struct Sessions {
    dir: PathBuf,
    keys: Arc<dyn SessionKeys>,
}

impl Sessions {
    /// Under the state directory.
    pub fn new(state: &Path, keys: Arc<dyn SessionKeys>) -> Self {
        Self { dir: state.join("sessions"), keys }
    }

    /// Keeps a session.
    ///
    /// # Errors
    /// [`SessionError`]; then nothing is kept.
    pub fn keep(&self, session: &Session, now: Instant, entropy: &dyn Entropy) -> Result<(), SessionError> {
        let name = file_name(session.identity.vault, &session.identity.name);
        let key = Key::generate(entropy);
        self.write(&name, session, &key, entropy)?;
        self.keys.write(&name, &key, life_seconds(session, now)).inspect_err(|_| self.forget_file(&name))
    }

    /// The session of a member, while it lives; its idle time begins anew.
    pub fn resume(&self, vault: VaultId, member: &Name, now: Instant) -> Option<Session> {
        self.open(&file_name(vault, member), now)
    }

    /// The one session that lives here, if there is exactly one.
    pub fn resume_only(&self, now: Instant) -> Option<Session> {
        let mut live = self.names().into_iter().filter_map(|name| self.open(&name, now));
        live.next().filter(|_| live.next().is_none())
    }

    /// Writes a session anew, with a purpose it remembers.
    ///
    /// # Errors
    /// [`SessionError::Io`].
    pub fn update(&self, session: &Session, entropy: &dyn Entropy) -> Result<(), SessionError> {
        let name = file_name(session.identity.vault, &session.identity.name);
        match self.keys.read(&name) {
            Some(key) => self.write(&name, session, &key, entropy),
            None => Ok(()),
        }
    }

    /// Leaves nothing usable of a member's session.
    pub fn end(&self, vault: VaultId, member: &Name) {
        let name = file_name(vault, member);
        self.keys.remove(&name);
        self.forget_file(&name);
    }

    /// Leaves nothing usable of any session here.
    pub fn end_all(&self) {
        for name in self.names() {
            self.keys.remove(&name);
            self.forget_file(&name);
        }
    }

    fn open(&self, name: &str, now: Instant) -> Option<Session> {
        let sealed = std::fs::read(self.path(name)).ok()?;
        let key = self.keys.read(name)?;
        let plain = open(&key, &context(name), &sealed).ok()?;
        let stored: StoredSession = postcard::from_bytes(plain.expose()).ok()?;
        let StoredSession { identity, id, until, idle_ms, reuse_key, purposes } = stored;
        let identity = Identity::from_stored(identity)?;
        let session = Session { identity, id, until, idle_ms, reuse_key, purposes };
        if until <= now {
            self.keys.remove(name);
            self.forget_file(name);
            return None;
        }
        self.keys.touch(name, life_seconds(&session, now));
        Some(session)
    }

    fn write(&self, name: &str, session: &Session, key: &Key, entropy: &dyn Entropy) -> Result<(), SessionError> {
        let stored = StoredSession {
            identity: session.identity.stored(),
            id: session.id,
            until: session.until,
            idle_ms: session.idle_ms,
            reuse_key: session.reuse_key.clone(),
            purposes: session.purposes.clone(),
        };
        let plain = Secret::new(postcard::to_stdvec(&stored).unwrap_or_else(|_| unreachable!("plain data")));
        let sealed = seal(key, &context(name), plain.expose(), entropy);
        super::identity::make_private_dir(&self.dir)?;
        let (path, new) = (self.path(name), self.dir.join(format!("{name}.new")));
        let _ = std::fs::remove_file(&new);
        super::identity::write_new(&new, &sealed)?;
        Ok(std::fs::rename(new, path)?)
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.dir).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".session").map(str::to_owned)).collect()
    }

    fn forget_file(&self, name: &str) {
        let _ = std::fs::remove_file(self.path(name));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.session"))
    }
}

fn context(name: &str) -> Context {
    Context::new("mandatum/session/1").at(name.as_bytes())
}

/// Until the idle time or the whole time is over, whichever comes first.
fn life_seconds(session: &Session, now: Instant) -> u64 {
    u64::try_from(session.until.since(now).min(session.idle_ms) / 1000).unwrap_or(0).max(1)
}
