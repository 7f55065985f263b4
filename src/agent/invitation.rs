//! An invitation: what a newcomer's program needs to reach the broker, and to believe nobody else.
//!
//! ```text
//! text = "mandatum:" ‖ base64url without padding (format (1 byte) ‖ postcard(places, vault, root, token, whose) ‖ check)
//! check = the first 4 bytes of SHA-256 over everything before it
//! ```
//! The token is good for one pair of keys, once, and for a day; what is handed in by it is nobody's until an owner
//! compared the fingerprint. It is a secret all the same: whoever else uses it first makes the invitation worthless.

use super::Profile;
use crate::api::{Served, token_digest};
use crate::crypto::{Entropy, PublicKey, hash};
use crate::model::{Digest, FIRST_DEVICE, MemberId, Name, Nonce, VaultId};
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

const SCHEME: &str = "mandatum:";
const FORMAT: u8 = 1;
/// Longer than any invitation: a text of more is not read at all.
const LONGEST: usize = 4096;
/// The broker of the same machine and account, reached in the same process.
pub const LOCAL: &str = "local:";

/// Why a text is not an invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvitationError {
    /// Not one at all, or not whole.
    #[error("is not an invitation, or not all of it: copy everything from 'mandatum:' to the last character")]
    Form,
    /// Of another version.
    #[error("is an invitation of another version; install the program the agency uses")]
    Version,
    /// It names no place that could be reached safely.
    #[error("names no place that can be reached safely: https:// with a pinned key, or unix: with a path")]
    Places,
}

/// An invitation.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// Where the broker is.
    pub served: Served,
    /// The vault.
    pub vault: VaultId,
    /// The owner root that everything is verified from.
    pub root: PublicKey,
    token: [u8; 16],
    /// The name the keys must carry.
    pub name: Name,
    /// The member whose further device it is for; none for a new member.
    pub member: Option<MemberId>,
    /// What the device is called.
    pub device: Name,
}

impl Invitation {
    /// A new one, with a fresh token.
    ///
    /// # Errors
    /// [`InvitationError::Places`].
    pub fn new(
        served: Served,
        (vault, root): (VaultId, PublicKey),
        name: Name,
        device: Option<(MemberId, Name)>,
        entropy: &dyn Entropy,
    ) -> Result<Self, InvitationError> {
        let mut token = [0; 16];
        entropy.fill(&mut token);
        let (member, device) = match device {
            Some((member, device)) => (Some(member), device),
            None => (None, first_device()),
        };
        let made = Self { served, vault, root, token, name, member, device };
        if made.is_reachable() { Ok(made) } else { Err(InvitationError::Places) }
    }

    /// Parses an invitation, strictly: one has one spelling. White space around and within it is a mail program's.
    ///
    /// # Errors
    /// [`InvitationError`].
    pub fn parse(text: &str) -> Result<Self, InvitationError> {
        if text.len() > LONGEST {
            return Err(InvitationError::Form);
        }
        let text: Zeroizing<String> = Zeroizing::new(text.split_whitespace().collect());
        let encoded = text.strip_prefix(SCHEME).ok_or(InvitationError::Form)?;
        let bytes = BASE64URL_NOPAD.decode(encoded.as_bytes()).map_err(|_| InvitationError::Form)?;
        let bytes = Zeroizing::new(bytes);
        let (content, check) = bytes.split_at_checked(bytes.len().saturating_sub(4)).ok_or(InvitationError::Form)?;
        if !hash(content).bytes().starts_with(check) || check.len() != 4 {
            return Err(InvitationError::Form);
        }
        let (format, content) = content.split_first().ok_or(InvitationError::Form)?;
        if *format != FORMAT {
            return Err(InvitationError::Version);
        }
        let parsed: Self = postcard::from_bytes(content).map_err(|_| InvitationError::Form)?;
        if *parsed.text() != *text {
            return Err(InvitationError::Form);
        }
        if parsed.is_reachable() { Ok(parsed) } else { Err(InvitationError::Places) }
    }

    /// The text to hand over.
    pub fn text(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new(vec![FORMAT]);
        bytes.extend(postcard::to_stdvec(self).unwrap_or_else(|_| unreachable!("plain data")));
        let check = hash(&bytes);
        bytes.extend(check.bytes().iter().take(4));
        Zeroizing::new(format!("{SCHEME}{}", BASE64URL_NOPAD.encode(&bytes)))
    }

    /// The token, as it is handed in.
    pub fn token(&self) -> Zeroizing<String> {
        Zeroizing::new(Nonce(self.token).to_string())
    }

    /// What the broker keeps of the token.
    pub fn token_digest(&self) -> Digest {
        token_digest(&self.token())
    }

    /// Four groups to read out, so that both know they hold the same invitation; they tell nothing of the token.
    pub fn fingerprint(&self) -> String {
        let digest = hash(self.text().as_bytes()).to_string();
        let groups: Vec<&str> = (0..4).filter_map(|group| digest.get(4 * group..4 * group + 4)).collect();
        groups.join("-")
    }

    /// Whether the broker is this machine's own.
    pub fn is_local(&self) -> bool {
        self.served.urls.iter().all(|url| url == LOCAL)
    }

    /// How the newcomer's program reaches the broker from now on.
    pub fn profile(&self) -> Profile {
        Profile::new(self.served.urls.clone(), self.served.pin, self.vault, self.root)
    }

    fn is_reachable(&self) -> bool {
        let safe = |url: &String| {
            let path = |scheme| url.strip_prefix(scheme).is_some_and(|rest: &str| !rest.is_empty());
            path("unix:") || (path("https://") && self.served.pin.is_some())
        };
        !self.served.urls.is_empty() && (self.is_local() || self.served.urls.iter().all(safe))
    }
}

/// What the first device of a member is called.
pub fn first_device() -> Name {
    Name::parse(FIRST_DEVICE).unwrap_or_else(|_| unreachable!("a constant"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::System;

    fn made(urls: &[&str], pin: Option<Digest>) -> Result<Invitation, InvitationError> {
        let served = Served { urls: urls.iter().map(|url| (*url).to_owned()).collect(), pin };
        let name = Name::parse("Катя Иванова").unwrap();
        let laptop = (MemberId([4; 16]), Name::parse("laptop").unwrap());
        Invitation::new(served, (VaultId([1; 16]), Digest([2; 32])), name, Some(laptop), &System)
    }

    #[test]
    fn it_comes_back_whole_and_in_one_spelling_only() {
        let invitation =
            made(&["https://vault.test:8443", "unix:/run/mandatum/broker"], Some(Digest([3; 32]))).unwrap();
        let text = invitation.text();
        assert!(Invitation::parse(&text).unwrap() == invitation);
        let wrapped = format!(" {}\r\n {}\n", &text[..40], &text[40..]);
        assert!(Invitation::parse(&wrapped).unwrap() == invitation, "as a mail program breaks it");
        for place in 0..text.len() {
            let mut bytes = text.as_bytes().to_vec();
            bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
            assert!(Invitation::parse(std::str::from_utf8(&bytes).unwrap()).is_err(), "changed at {place}");
            assert!(Invitation::parse(&text[..place]).is_err(), "cut at {place}");
        }
        for bad in ["", "mandatum:", "mandatum:AA", "otpauth://totp/x", &format!("{}A", *text), &"A".repeat(5000)] {
            assert!(Invitation::parse(bad).is_err(), "{bad}");
        }
        assert_ne!(invitation.fingerprint(), made(&["unix:/x"], None).unwrap().fingerprint());
    }

    #[test]
    fn it_names_only_places_that_can_be_reached_safely() {
        let pin = Some(Digest([3; 32]));
        let good: [(&[&str], Option<Digest>); 3] =
            [(&["local:"], None), (&["unix:/x"], None), (&["https://a.test"], pin)];
        let bad: [(&[&str], Option<Digest>); 5] = [
            (&[], pin),
            (&["http://a.test"], pin),
            (&["https://a.test"], None),
            (&["unix:"], None),
            (&["local:", "x"], pin),
        ];
        for (urls, pin) in good {
            assert!(made(urls, pin).is_ok(), "{urls:?}");
        }
        for (urls, pin) in bad {
            assert!(made(urls, pin).is_err(), "{urls:?}");
        }
    }
}
