//! What the nouns that write themselves look like in JSON, for `docs/openapi.json`. Every other schema is derived.

use super::name::{NAME_MAX, TEXT_MAX};
use super::{
    Blob, CredentialId, Date, Digest, GrantId, IncidentId, MemberId, Name, Nonce, RequestId, ReuseTag, RowId,
    SessionId, Text, UnitId, VaultId, Zone,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;

macro_rules! text_forms {
    ($($type:ident = $description:literal { $($keyword:literal: $value:expr),+ };)+) => {
        $(
            impl JsonSchema for $type {
                fn schema_name() -> Cow<'static, str> {
                    stringify!($type).into()
                }
                fn json_schema(_: &mut SchemaGenerator) -> Schema {
                    json_schema!({ "type": "string", "description": $description, $($keyword: $value),+ })
                }
            }
        )+
    };
}

/// 16 bytes.
const ID: &str = "^[0-9a-f]{32}$";
/// 32 bytes.
const DIGEST: &str = "^[0-9a-f]{64}$";

text_forms! {
    VaultId = "One vault." { "pattern": ID };
    UnitId = "One unit of state and ledger: a mandate, or the roster." { "pattern": ID };
    RowId = "One row of a mandate's access table." { "pattern": ID };
    CredentialId = "One credential under a row." { "pattern": ID };
    GrantId = "One grant: a member under a row." { "pattern": ID };
    RequestId = "One request for access." { "pattern": ID };
    IncidentId = "One incident, in every mandate it reaches." { "pattern": ID };
    MemberId = "One member of the agency." { "pattern": ID };
    SessionId = "One authenticated session of a member." { "pattern": ID };
    Nonce = "A one-use number from the broker." { "pattern": ID };
    ReuseTag = "A keyed fingerprint of a secret: equal for equal secrets in one vault." { "pattern": ID };
    Digest = "A SHA-256 digest, a public key or a fingerprint." { "pattern": DIGEST };
    Blob = "Opaque bytes: a signed document or a wrap." { "contentEncoding": "base64" };
    Name = "A name of an operator, system, credential or member: trimmed, NFC, without unsafe characters, line feed, \
            tab or `/`."
        { "minLength": 1, "maxLength": NAME_MAX };
    Text = "Free text, safe to show: trimmed, NFC, without unsafe characters; may be empty." { "maxLength": TEXT_MAX };
    Date = "A civil date; years 2000 to 2199." { "format": "date" };
    Zone = "A time zone of the IANA database, by name." { "maxLength": 64 };
}
