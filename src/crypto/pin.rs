//! What a TLS key is pinned by.

use super::digest::hash;
use crate::model::Digest;

/// SHA-256 of the subject public key info (RFC 5280, 4.1) of a certificate in DER; none where it is not one.
pub fn pin_of(certificate: &[u8]) -> Option<Digest> {
    let certificate = rustls::pki_types::CertificateDer::from(certificate);
    let leaf = webpki::EndEntityCert::try_from(&certificate).ok()?;
    Some(hash(&leaf.subject_public_key_info()))
}
