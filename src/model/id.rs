//! Typed identifiers: 16 random bytes each, lower-case hex in text; and 32-byte digests.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// Bytes that are hex in text formats and raw in binary ones.
macro_rules! hex_bytes {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// The raw bytes.
            pub fn bytes(&self) -> &[u8; $len] {
                &self.0
            }

            /// From exactly the right number of bytes.
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl FromStr for $name {
            type Err = &'static str;

            /// Exactly lower-case hex, so that one id has one spelling.
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let mut bytes = [0u8; $len];
                if text.len() != 2 * $len || !text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
                    return Err(concat!("expected ", $len, " bytes in lower-case hex"));
                }
                for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
                    let digits = std::str::from_utf8(pair).map_err(|_| "not ASCII")?;
                    *byte = u8::from_str_radix(digits, 16).map_err(|_| "not hex")?;
                }
                Ok(Self(bytes))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() { serializer.collect_str(self) } else { self.0.serialize(serializer) }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    std::borrow::Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
                } else {
                    <[u8; $len]>::deserialize(deserializer).map(Self)
                }
            }
        }
    };
}

hex_bytes!(
    /// One vault.
    VaultId, 16
);
hex_bytes!(
    /// One unit of state and ledger: a mandate, or the roster.
    UnitId, 16
);
hex_bytes!(
    /// One row of a mandate's access table.
    RowId, 16
);
hex_bytes!(
    /// One credential under a row.
    CredentialId, 16
);
hex_bytes!(
    /// One grant: a member under a row.
    GrantId, 16
);
hex_bytes!(
    /// One request for access.
    RequestId, 16
);
hex_bytes!(
    /// One incident, in every mandate it reaches.
    IncidentId, 16
);
hex_bytes!(
    /// One member of the agency.
    MemberId, 16
);
hex_bytes!(
    /// One authenticated session of a member.
    SessionId, 16
);
hex_bytes!(
    /// A one-use number from the broker.
    Nonce, 16
);

hex_bytes!(
    /// A keyed fingerprint of a secret: equal for equal secrets in one vault, useless without the vault's key.
    ReuseTag, 16
);
hex_bytes!(
    /// A SHA-256 digest, a public key or a fingerprint.
    Digest, 32
);

/// Opaque bytes that travel inside a record: a signed document or a wrap. Base64 in text, raw in binary formats.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Blob(pub Vec<u8>);

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(&data_encoding::BASE64.encode(&self.0))
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Blob {
    /// Only the canonical base64 is accepted.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
            data_encoding::BASE64.decode(text.as_bytes()).map(Self).map_err(|_| serde::de::Error::custom("not base64"))
        } else {
            Vec::<u8>::deserialize(deserializer).map(Self)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_id_has_one_spelling() {
        let id = UnitId([0xab; 16]);
        assert_eq!(id.to_string().parse::<UnitId>(), Ok(id));
        assert!(id.to_string().to_uppercase().parse::<UnitId>().is_err());
        assert!("ab".parse::<UnitId>().is_err());
        assert!("+b".repeat(16).parse::<UnitId>().is_err());
    }
}
