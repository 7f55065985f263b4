//! Health of the host's side: what can be seen without opening anything secret, each with its fix.

use super::{LocalHost, places};
use crate::anchor::{Anchor, Slot};
use crate::api::{EpochKeyPlace, Finding, Places, Refusal};
use crate::model::Text;
use crate::store::Store;

/// Free space under which the next records are in danger, bytes.
const SPACE_MIN: u64 = 64 * 1024 * 1024;

/// Looks at directories, database, epoch key, anchor, clock and space.
pub fn examine(host: &LocalHost, at: &Places) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut look = |what: &str, found: Result<String, String>, fix: &str| {
        let (fine, found) = match found {
            Ok(found) => (true, found),
            Err(found) => (false, found),
        };
        findings.push(Finding { what: what.to_owned(), fine, found: text(&found), fix: (!fine).then(|| text(fix)) });
    };
    for (what, dir) in [("vault directory", &at.vault), ("state directory", &at.state)] {
        let found = places::check_private(dir).map(|()| dir.display().to_string()).map_err(say);
        look(what, found, "make the directory this account's own and run 'chmod 700' on it");
    }
    look("database", database(at), "bring its server back, or restore a backup: 'mandatum restore FILE --kit KIT'");
    look(
        "epoch key",
        epoch_key(host, at),
        "unlock the keyring, or put the key file back; without it the recovery kit makes a new anchor: 'mandatum restart --kit KIT'",
    );
    look("anchor", anchor(host, at), "'mandatum restart --kit KIT' goes on from the database with the recovery kit");
    look(
        "clock",
        clock(host, at),
        "set the clock right; after a long pause the owner runs 'mandatum doctor --confirm-clock'",
    );
    look(
        "notices",
        super::notices::health(at, host.clock.now()),
        "see notices.toml in the state directory; 'mandatum notices' makes a round now, 'serve' or a timer every minute",
    );
    look("disk space", space(at), "free some space: without room for a record nothing is released");
    findings
}

fn database(at: &Places) -> Result<String, String> {
    let database = places::database(at, &places::known_store(at)).map_err(say)?;
    let store = Store::open(&database).map_err(|e| e.to_string())?;
    store.check_file().map_err(|e| e.to_string())?;
    store.sizes().map(|units| format!("{} ledgers in {database}", units.len())).map_err(|e| e.to_string())
}

fn epoch_key(host: &LocalHost, at: &Places) -> Result<String, String> {
    let place = places::read_config(at).map_err(say)?.epoch_key;
    let vault = places::vault_id(at).map_err(say)?;
    let held = host.epoch_keys(vault, &place).read(Slot::Current).map_err(|e| e.to_string())?;
    let (epoch, _) = held.ok_or("there is none")?;
    Ok(match place {
        EpochKeyPlace::Keyring => format!("epoch {epoch}, in the keyring"),
        EpochKeyPlace::File(path) => format!("epoch {epoch}, in {}; keep it out of every backup", path.display()),
    })
}

fn anchor(host: &LocalHost, at: &Places) -> Result<String, String> {
    let settings = host.settings(at).map_err(say)?;
    let _lock = crate::anchor::StateLock::take(&at.state).map_err(|e| e.to_string())?;
    let anchor = Anchor::open(&settings.home).map_err(|e| e.to_string())?;
    let store = Store::open(&settings.database).map_err(|e| e.to_string())?;
    let (there, known) = (store.counter().map_err(|e| e.to_string())?, anchor.core().counter);
    if anchor.core().rolled_back || there < known {
        return Err(format!(
            "the database holds {there} records, the anchor knows {known}: it was put back to an earlier time"
        ));
    }
    Ok(format!("epoch {}, {known} records known", anchor.epoch()))
}

fn clock(host: &LocalHost, at: &Places) -> Result<String, String> {
    let settings = host.settings(at).map_err(say)?;
    let _lock = crate::anchor::StateLock::take(&at.state).map_err(|e| e.to_string())?;
    let anchor = Anchor::open(&settings.home).map_err(|e| e.to_string())?;
    let (now, high) = (host.clock.now(), anchor.core().high.at);
    if now.plus(2 * 60 * 1000) < high {
        return Err(format!("{now} stands behind the latest record of {high}: everything is denied"));
    }
    Ok(format!("{now}; the latest record is of {high}"))
}

fn space(at: &Places) -> Result<String, String> {
    #[cfg(unix)]
    {
        let stat = rustix::fs::statvfs(&at.vault).map_err(|e| e.to_string())?;
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        let said = format!("{} MiB free", free / (1024 * 1024));
        if free < SPACE_MIN { Err(said) } else { Ok(said) }
    }
    #[cfg(not(unix))]
    Ok(at.vault.display().to_string())
}

fn say(refusal: Refusal) -> String {
    refusal.to_string()
}

fn text(said: &str) -> Text {
    let short: String = said.chars().filter(|c| !c.is_control()).take(400).collect();
    Text::parse(&short).unwrap_or_default()
}
