//! TOTP (RFC 6238) seeds: of members, and of the clients' accounts.

use super::entropy::Entropy;
use super::secret::Secret;
use data_encoding::BASE32_NOPAD;
use totp_rs::{Algorithm, Builder, Totp};

/// The step of members' codes, seconds.
pub const MEMBER_STEP_SECONDS: u64 = 30;
const URI_MAX: usize = 2048;

/// Why a text is not a seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SeedError {
    /// Neither a URI nor base32.
    #[error("is neither an otpauth://totp/ URI nor a base32 key")]
    Format,
    /// Parameters outside the list.
    #[error("asks for something else than SHA1, SHA256 or SHA512, 6 to 8 digits and a period of 15 to 120 seconds")]
    Parameters,
    /// Too short or too long.
    #[error("has a key of fewer than 10 or more than 128 bytes")]
    Length,
}

/// A TOTP seed with its parameters. Wiped on drop.
pub struct Seed(Totp);

impl Seed {
    /// A member's fresh seed: 20 random bytes, SHA-1, 6 digits, 30 seconds, as every authenticator app reads it.
    pub fn generate(entropy: &dyn Entropy) -> Self {
        let mut bytes = [0; 20];
        entropy.fill(&mut bytes);
        Self(Builder::new().with_secret(bytes.to_vec().into_boxed_slice()).build_noncompliant())
    }

    /// Reads an `otpauth://totp/` URI, or the bare base32 key that platforms show beside the QR code.
    ///
    /// # Errors
    /// [`SeedError`] for anything outside the list of accepted parameters.
    pub fn parse(text: &str) -> Result<Self, SeedError> {
        let text = text.trim();
        if text.len() > URI_MAX {
            return Err(SeedError::Length);
        }
        let totp = if text.get(..10).is_some_and(|scheme| scheme.eq_ignore_ascii_case("otpauth://")) {
            // The parser takes the last of two equal parameters; we take neither.
            let query = text.split_once('?').ok_or(SeedError::Format)?.1;
            let names: Vec<&str> = query.split('&').map(|pair| pair.split('=').next().unwrap_or("")).collect();
            let twice = names.iter().enumerate().any(|(index, name)| names[..index].contains(name));
            let repaired = repair_secret(text).ok_or(SeedError::Format)?;
            if twice {
                return Err(SeedError::Format);
            }
            // Builds without checking anything; nothing is generated before the checks below.
            Totp::from_url_unchecked(&repaired).map_err(|error| match error {
                totp_rs::TotpError::InvalidAlgorithm { .. }
                | totp_rs::TotpError::DigitsParse { .. }
                | totp_rs::TotpError::StepParse { .. } => SeedError::Parameters,
                _ => SeedError::Format,
            })?
        } else {
            let bytes = BASE32_NOPAD.decode(normal_base32(text).as_bytes()).map_err(|_| SeedError::Format)?;
            Builder::new().with_secret(bytes.into_boxed_slice()).build_noncompliant()
        };
        Self::checked(totp)
    }

    fn checked(totp: Totp) -> Result<Self, SeedError> {
        let known = matches!(totp.algorithm(), Algorithm::SHA1 | Algorithm::SHA256 | Algorithm::SHA512);
        if !known || !(6..=8).contains(&totp.digits()) || !(15..=120).contains(&totp.step()) {
            return Err(SeedError::Parameters);
        }
        if !(10..=128).contains(&totp.secret().as_bytes().len()) {
            return Err(SeedError::Length);
        }
        Ok(Self(totp))
    }

    /// Algorithm, digits, step and key, for documents that are sealed as a whole.
    pub fn encode(&self) -> Secret {
        let algorithm = match self.0.algorithm() {
            Algorithm::SHA256 => 2,
            Algorithm::SHA512 => 3,
            _ => 1,
        };
        let key = self.0.secret();
        let mut bytes = Vec::with_capacity(3 + key.as_bytes().len());
        bytes.extend([algorithm, self.0.digits(), u8::try_from(self.0.step()).unwrap_or(0)]);
        bytes.extend_from_slice(key.as_bytes());
        Secret::new(bytes)
    }

    /// Reads what [`Seed::encode`] wrote.
    pub fn decode(bytes: &Secret) -> Option<Self> {
        let (&[algorithm, digits, step], key) = bytes.expose().split_first_chunk::<3>()?;
        let algorithm = match algorithm {
            1 => Algorithm::SHA1,
            2 => Algorithm::SHA256,
            3 => Algorithm::SHA512,
            _ => return None,
        };
        let builder = Builder::new().with_algorithm(algorithm).with_digits(digits).with_step_duration(step.into());
        Self::checked(builder.with_secret(key.to_vec().into_boxed_slice()).build_noncompliant()).ok()
    }

    /// The code at a time, with the seconds it stays current.
    pub fn code(&self, unix_seconds: u64) -> (String, u64) {
        (self.0.generate(unix_seconds).to_string(), self.0.step() - unix_seconds % self.0.step())
    }

    /// The step a code is for, within one step of the time; none if it is not a code of this seed. Accepting each step
    /// once is the caller's.
    pub fn step_of(&self, code: &str, unix_seconds: u64) -> Option<u64> {
        if !is_six_digits(code) {
            return None;
        }
        self.0.check(code, unix_seconds)
    }

    /// The `otpauth://` URI an authenticator app reads.
    pub fn uri(&self, issuer: &str, account: &str) -> Secret {
        let key = Secret::new(BASE32_NOPAD.encode(self.0.secret().as_bytes()).into_bytes());
        let (issuer, account) = (percent(issuer), percent(account));
        let key = key.expose_str().unwrap_or("");
        Secret::new(format!("otpauth://totp/{issuer}:{account}?secret={key}&issuer={issuer}").into_bytes())
    }
}

/// Exactly six ASCII digits: no spaces, no other scripts' digits, no seventh.
pub fn is_six_digits(code: &str) -> bool {
    code.len() == 6 && code.bytes().all(|b| b.is_ascii_digit())
}

/// Platforms print keys in lower case, in groups, with padding; the parser wants none of it.
fn normal_base32(key: &str) -> String {
    key.chars().filter(|c| !matches!(c, ' ' | '-' | '=')).map(|c| c.to_ascii_uppercase()).collect()
}

fn repair_secret(uri: &str) -> Option<String> {
    let (head, query) = uri.split_once('?')?;
    let pairs = query.split('&').map(|pair| match pair.split_once('=') {
        Some(("secret", key)) => format!("secret={}", normal_base32(&key.replace("%20", "").replace("%3D", ""))),
        _ => pair.to_owned(),
    });
    Some(format!("{head}?{}", pairs.collect::<Vec<_>>().join("&")))
}

fn percent(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seed(key: &[u8], algorithm: Algorithm) -> Seed {
        let builder = Builder::new().with_algorithm(algorithm).with_digits(8);
        Seed(builder.with_secret(key.to_vec().into_boxed_slice()).build_noncompliant())
    }

    /// RFC 6238, appendix B.
    #[test]
    fn rfc_6238_vectors() {
        let digits = b"1234567890".repeat(7);
        let keys =
            [(Algorithm::SHA1, &digits[..20]), (Algorithm::SHA256, &digits[..32]), (Algorithm::SHA512, &digits[..64])];
        let rows = [
            (59, ["94287082", "46119246", "90693936"]),
            (1_111_111_109, ["07081804", "68084774", "25091201"]),
            (1_111_111_111, ["14050471", "67062674", "99943326"]),
            (1_234_567_890, ["89005924", "91819424", "93441116"]),
            (2_000_000_000, ["69279037", "90698825", "38618901"]),
            (20_000_000_000, ["65353130", "77737706", "47863826"]),
        ];
        for (time, codes) in rows {
            for ((algorithm, key), code) in keys.iter().zip(codes) {
                assert_eq!(seed(key, *algorithm).code(time).0, code);
            }
        }
    }

    /// RFC 4226, appendix D: the counter is the step.
    #[test]
    fn rfc_4226_vectors() {
        let seed = Seed::parse("otpauth://totp/x?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").unwrap();
        let codes =
            ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"];
        for (counter, code) in (0u64..).zip(codes) {
            assert_eq!(seed.code(counter * 30), (code.to_owned(), 30));
            assert_eq!(seed.step_of(code, counter * 30 + 29), Some(counter));
            assert_eq!(seed.step_of(code, counter * 30 + 30), Some(counter));
            assert_eq!(seed.step_of(code, counter * 30 + 60), None);
        }
    }

    #[test]
    fn a_code_has_one_spelling() {
        let seed = Seed::parse("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").unwrap();
        for odd in
            [" 755224", "755224 ", "755 224", "755224\n", "７５５２２４", "0755224", "75522", "75522٤", "+75522", ""]
        {
            assert_eq!(seed.step_of(odd, 0), None, "{odd:?}");
            assert!(!is_six_digits(odd), "{odd:?}");
        }
        assert!(is_six_digits("755224"));
        assert_eq!((seed.code(0).1, seed.code(1).1, seed.code(29).1, seed.code(59).1), (30, 29, 1, 1));
    }

    #[test]
    fn uris_are_read_strictly() {
        let key = "secret=GEZDGNBVGY3TQOJQ";
        for good in [
            format!("otpauth://totp/A:b?{key}&issuer=A"),
            format!("otpauth://totp/b?{key}&digits=8&period=60&algorithm=SHA512"),
            format!("otpauth://totp/b?{key}&digits=7&period=15&algorithm=SHA256"),
            "otpauth://totp/b?secret=gezd%20gnbv gy3t-qojq====".into(),
            "gezd gnbv gy3t qojq".into(),
        ] {
            let seed = Seed::parse(&good).unwrap_or_else(|error| panic!("{good}: {error}"));
            let again = Seed::decode(&seed.encode()).unwrap();
            assert_eq!(again.code(59), seed.code(59));
        }
        for bad in [
            "otpauth://totp/b?period=30",
            "otpauth://hotp/b?secret=GEZDGNBVGY3TQOJQ&counter=18446744073709551615",
            "otpauth://totp/b?secret=GEZDGNBVGY3TQOJQ&period=0",
            "otpauth://totp/b?secret=GEZDGNBVGY3TQOJQ&period=-1",
            "otpauth://totp/b?secret=GEZDGNBVGY3TQOJQ&period=300",
            "otpauth://totp/b?secret=GEZDGNBVGY3TQOJQ&digits=0",
            "otpauth://totp/b?secret=GEZDGNBVGY3TQOJQ&digits=100",
            "otpauth://totp/b?secret=GEZDGNBVGY3TQOJQ&digits=10",
            "otpauth://totp/b?secret=GEZDGNBVGY3TQOJQ&algorithm=MD5",
            "otpauth://totp/b?secret=GEZDGNBVGY3TQOJQ&algorithm=SHA3",
            "otpauth://totp/A:b?secret=GEZDGNBVGY3TQOJQ&issuer=C",
            "otpauth://totp/b?secret=GEZDGNBVGY3TQOJQ&secret=AAAAAAAAAAAAAAAA",
            "otpauth://totp/b?secret=01890189",
            "otpauth://totp/b?secret=GEZDG",
            "http://totp/b?secret=GEZDGNBVGY3TQOJQ",
            "short",
            "",
        ] {
            assert!(Seed::parse(bad).is_err(), "{bad}");
        }
        for parameter in ["algorithm=MD5", "digits=x", "digits=10", "period=x", "period=300"] {
            let refused = Seed::parse(&format!("otpauth://totp/b?{key}&{parameter}")).err();
            assert_eq!(refused, Some(SeedError::Parameters), "{parameter}");
        }
        assert!(Seed::parse(&format!("otpauth://totp/b?secret={}", "A".repeat(1 << 20))).is_err());
        let long = |len: usize| format!("otpauth://totp/{}?{key}", "b".repeat(len - 16 - key.len()));
        assert_eq!(Seed::parse(&long(URI_MAX)).err(), None);
        assert_eq!(Seed::parse(&long(URI_MAX + 1)).err(), Some(SeedError::Length));
    }

    #[test]
    fn the_uri_reads_back() {
        let seed = Seed::generate(&super::super::System);
        let uri = seed.uri("mandatum", "Анна П");
        let again = Seed::parse(uri.expose_str().unwrap()).unwrap();
        assert_eq!(again.code(1_000_000), seed.code(1_000_000));
        let key = Seed::parse("GEZDGNBVGY3TQOJQ").unwrap().uri("a b", "Я-._~1");
        assert_eq!(key.expose_str(), Some("otpauth://totp/a%20b:%D0%AF-._~1?secret=GEZDGNBVGY3TQOJQ&issuer=a%20b"));
    }
}
