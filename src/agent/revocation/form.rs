//! The form of a revocation or an introspection, and the client's name on it, in buffers that are wiped.

use super::{Client, Order};
use data_encoding::BASE64;
use zeroize::Zeroizing;

/// A form to be posted.
pub(super) struct Form {
    /// `application/x-www-form-urlencoded`.
    pub body: Zeroizing<Vec<u8>>,
    /// `Basic …`, where the client names itself so.
    pub authorization: Option<Zeroizing<Vec<u8>>>,
}

/// `token`, `token_type_hint` and the client: the same for both endpoints (RFC 7009, 2.1; RFC 7662, 2.1).
pub(super) fn of(order: &Order<'_>) -> Form {
    let mut fields = vec![("token", order.token.expose())];
    fields.extend(order.hint.map(|hint| ("token_type_hint", hint.word().as_bytes())));
    let mut authorization = None;
    match order.client {
        Client::Public("") => {}
        Client::Public(id) => fields.push(("client_id", id.as_bytes())),
        Client::Basic(id, secret) => authorization = Some(basic(id.as_bytes(), secret.expose())),
        Client::Post(id, secret) => {
            fields.extend([("client_id", id.as_bytes()), ("client_secret", secret.expose())]);
        }
    }
    Form { body: encode(&fields), authorization }
}

/// `Bearer <token>`; none where the token holds what no header carries (RFC 6750, 2.1).
pub(super) fn bearer(token: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    if token.is_empty() || !token.iter().all(u8::is_ascii_graphic) {
        return None;
    }
    Some(joined(&[b"Bearer ", token]))
}

/// Both halves are form-encoded before they are joined (RFC 6749, 2.3.1): a colon in an id stays unambiguous.
fn basic(id: &[u8], secret: &[u8]) -> Zeroizing<Vec<u8>> {
    let pair = joined(&[&percent(id), b":", &percent(secret)]);
    let mut text = Zeroizing::new(vec![0; BASE64.encode_len(pair.len())]);
    BASE64.encode_mut(&pair, &mut text);
    joined(&[b"Basic ", &text])
}

fn encode(fields: &[(&str, &[u8])]) -> Zeroizing<Vec<u8>> {
    let encoded: Vec<Zeroizing<Vec<u8>>> = fields.iter().map(|(_, value)| percent(value)).collect();
    let mut parts: Vec<&[u8]> = Vec::new();
    for ((name, _), value) in fields.iter().zip(&encoded) {
        if !parts.is_empty() {
            parts.push(b"&");
        }
        parts.extend([name.as_bytes(), b"=", value]);
    }
    joined(&parts)
}

/// Into a buffer of the exact size: growing one would leave a copy behind.
fn joined(parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    let mut all = Zeroizing::new(Vec::with_capacity(parts.iter().map(|part| part.len()).sum()));
    parts.iter().for_each(|part| all.extend_from_slice(part));
    all
}

/// The form encoding of the URL standard: letters, digits and `*-._` stay, a space is `+`.
fn percent(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut text = Zeroizing::new(Vec::with_capacity(bytes.len() * 3));
    for &byte in bytes {
        match byte {
            b' ' => text.push(b'+'),
            b'*' | b'-' | b'.' | b'_' => text.push(byte),
            _ if byte.is_ascii_alphanumeric() => text.push(byte),
            _ => text.extend([b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_add_a_field() {
        let body = encode(&[("token", b"a&client_id=b c+\xD1\x8F%~"), ("client_id", b"x")]);
        assert_eq!(&body[..], b"token=a%26client_id%3Db+c%2B%D1%8F%25%7E&client_id=x");
    }

    #[test]
    fn both_halves_of_basic_are_encoded_first() {
        let header = basic(b"my:client", b"p w/d");
        let pair = BASE64.decode(header.strip_prefix(b"Basic ").unwrap()).unwrap();
        assert_eq!(pair, b"my%3Aclient:p+w%2Fd");
    }

    #[test]
    fn a_token_that_would_break_a_header_goes_into_none() {
        assert_eq!(&bearer(b"abc.DEF-1~+/=").unwrap()[..], b"Bearer abc.DEF-1~+/=");
        for bad in [&b""[..], b"a b", b"a\r\nHost: x", "тк".as_bytes()] {
            assert!(bearer(bad).is_none());
        }
    }
}
