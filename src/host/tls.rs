//! The broker's TLS key: made with the vault, in the state directory, known to members by its pin.
//!
//! The certificate is only what TLS carries a key in. Members pin the key itself, so that no authority can put another
//! in its place, and nothing has to be renewed.

use super::places;
use crate::api::{Places, Refusal};
use crate::crypto::pin_of;
use crate::model::{Clock, Digest, Zone};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, date_time_ymd};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zeroize::Zeroizing;

/// How long the certificate says it is good for, years.
const YEARS: i32 = 10;

/// The vault's own certificate and key.
pub fn paths(places: &Places) -> (PathBuf, PathBuf) {
    (places.state.join("tls.crt"), places.state.join("tls.key"))
}

/// Makes the vault's own certificate and key where there is none. One without the other is never made up for: a new
/// key would shut every member out.
pub fn ensure(places: &Places, clock: &dyn Clock) -> Result<(), Refusal> {
    let (certificate, key) = paths(places);
    match (certificate.exists(), key.exists()) {
        (true, true) => return Ok(()),
        (false, false) => {}
        (there, _) => {
            let missing = if there { &key } else { &certificate };
            let sentence = format!("{} is missing; put it back, or remove its twin for a new key", missing.display());
            return Err(Refusal::input("tls", sentence));
        }
    }
    let made = |error: rcgen::Error| Refusal::Failed(format!("the TLS key cannot be made: {error}"));
    // The TLS library draws this key itself; it is no key of the vault.
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(made)?;
    let mut params = CertificateParams::new(["mandatum".to_owned()]).map_err(made)?;
    let today = Zone::utc().date_of(clock.now()).map(|date| date.to_string()).unwrap_or_default();
    let year = today.get(..4).and_then(|year| year.parse().ok()).unwrap_or(2026);
    // From before today, so that a clock that is a little behind does not matter.
    (params.not_before, params.not_after) = (date_time_ymd(year - 1, 1, 1), date_time_ymd(year + YEARS, 12, 31));
    params.distinguished_name.push(rcgen::DnType::CommonName, "mandatum");
    let signed = params.self_signed(&pair).map_err(made)?;
    places::write_private_new(&key, Zeroizing::new(pair.serialize_pem()).as_bytes())?;
    places::write_private_new(&certificate, signed.pem().as_bytes())
}

/// TLS 1.3 with this certificate and key, and the pin of the key. No tickets, no resumption, no early data: every
/// connection proves the key anew.
pub fn load(certificate: &Path, key: &Path) -> Result<(Arc<ServerConfig>, Digest), Refusal> {
    let unreadable = |path: &Path| {
        let sentence = format!("{} is not a PEM file with what is needed, or cannot be read", path.display());
        Refusal::input("tls", sentence)
    };
    check_key_file(key)?;
    let chain = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.map_err(|_| unreadable(certificate))?;
    let pin = chain.first().and_then(|leaf| pin_of(leaf)).ok_or_else(|| unreadable(certificate))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|_| unreadable(key))?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key));
    let mut config =
        config.map_err(|error| Refusal::input("tls", format!("certificate and key do not go together: {error}")))?;
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok((Arc::new(config), pin))
}

fn check_key_file(key: &Path) -> Result<(), Refusal> {
    use std::os::unix::fs::PermissionsExt;
    let meta = fs::metadata(key).map_err(|error| Refusal::input("tls", format!("{}: {error}", key.display())))?;
    if meta.permissions().mode() & 0o007 != 0 {
        let sentence = format!("{} can be read by every account; run 'chmod 600' on it", key.display());
        return Err(Refusal::input("tls", sentence));
    }
    Ok(())
}
