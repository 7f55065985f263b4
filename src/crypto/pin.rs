//! What a TLS key is pinned by.

use super::digest::hash;
use crate::model::Digest;

/// SHA-256 of the subject public key info (RFC 5280, 4.1) of a certificate in DER; none where it is not one.
pub fn pin_of(certificate: &[u8]) -> Option<Digest> {
    let certificate = rustls::pki_types::CertificateDer::from(certificate);
    let leaf = webpki::EndEntityCert::try_from(&certificate).ok()?;
    Some(hash(&leaf.subject_public_key_info()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, PublicKeyData};

    #[test]
    fn the_pin_is_of_the_key_and_not_of_the_certificate() {
        let key = KeyPair::generate().unwrap();
        for name in ["one.test", "two.test"] {
            let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
            let certificate = params.self_signed(&key).unwrap();
            assert_eq!(pin_of(certificate.der()), Some(hash(&key.subject_public_key_info())));
            assert_eq!(pin_of(&certificate.der()[1..]), None);
        }
        assert_eq!(pin_of(b""), None);
    }
}
