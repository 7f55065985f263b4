//! Configuration and secrets in files of their own, private to this account.

use serde::de::DeserializeOwned;
use std::io::Read;
use std::path::{Path, PathBuf};
use ureq::tls::{Certificate, PemItem, parse_pem};
use zeroize::Zeroizing;

/// The longest configuration or secret that is read, bytes.
const FILE_MAX: u64 = 64 * 1024;

/// Why a configuration is refused: the file, the place in it, and what is accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {sentence}", file.display())]
pub struct ConfigError {
    /// The file.
    pub file: PathBuf,
    /// Place and reason.
    pub sentence: String,
}

impl ConfigError {
    /// Of a file.
    pub fn new(file: &Path, sentence: impl Into<String>) -> Self {
        Self { file: file.to_owned(), sentence: sentence.into() }
    }
}

/// Reads a file that is this account's own and nobody else's to read.
///
/// # Errors
/// What is wrong with it; never what stands in it.
pub fn read_private(path: &Path) -> Result<Zeroizing<Vec<u8>>, ConfigError> {
    let refused = |sentence: &str| Err(ConfigError::new(path, sentence));
    let mut options = std::fs::OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        // Not through a link, and not waiting on a pipe.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, flags.bits().cast_signed());
    }
    let file = options.open(path).map_err(|error| ConfigError::new(path, error.to_string()))?;
    let meta = file.metadata().map_err(|error| ConfigError::new(path, error.to_string()))?;
    if !meta.is_file() {
        return refused("is not a file");
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, PermissionsExt};
        if meta.uid() != rustix::process::geteuid().as_raw() {
            return refused("belongs to another account");
        }
        if meta.permissions().mode() & 0o077 != 0 {
            return refused("is open to other accounts; run 'chmod 600' on it");
        }
    }
    if meta.len() > FILE_MAX {
        return refused("is longer than 64 KiB");
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(meta.len()).unwrap_or(0) + 1));
    file.take(FILE_MAX).read_to_end(&mut bytes).map_err(|error| ConfigError::new(path, error.to_string()))?;
    Ok(bytes)
}

/// Parses a private configuration file.
///
/// # Errors
/// The line and what is wrong there; a value is never quoted, since somebody may have put a secret in it.
pub fn parse_config<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigError> {
    let bytes = read_private(path)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| ConfigError::new(path, "is not text in UTF-8"))?;
    toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        let line = text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1;
        ConfigError::new(path, format!("line {line}: {}", reason(error.message())))
    })
}

/// Names of fields are said, as the parser says them; anything that may hold a value is not.
fn reason(said: &str) -> &str {
    let names_fields = ["unknown field `", "missing field `", "duplicate field `"];
    if names_fields.iter().any(|known| said.starts_with(known)) && !said.contains('\n') {
        said
    } else {
        "is not of the form that is accepted here; docs/operating.md shows it"
    }
}

/// A secret from its own file, without its last line end.
///
/// # Errors
/// As [`read_private`]; an empty file is refused.
pub(super) fn read_secret(path: &Path) -> Result<crate::crypto::Secret, ConfigError> {
    let bytes = read_private(path)?;
    let secret = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let secret = secret.strip_suffix(b"\r").unwrap_or(secret);
    if secret.is_empty() { Err(ConfigError::new(path, "is empty")) } else { Ok(crate::crypto::Secret::copy_of(secret)) }
}

/// The certificates of a PEM file, in place of the built-in roots; `which` names the field in an error.
///
/// # Errors
/// As [`read_private`]; a file without a certificate is refused.
pub(super) fn read_roots(config: &Path, which: &str, path: &Path) -> Result<Vec<Certificate<'static>>, ConfigError> {
    let pem = read_private(path)?;
    let certificate = |item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    };
    let roots: Vec<_> = parse_pem(&pem).filter_map(certificate).collect();
    if roots.is_empty() {
        return Err(ConfigError::new(config, format!("{which} holds no certificate in PEM")));
    }
    Ok(roots)
}
