//! `docs/openapi.json`, made from the types that travel. It says what the types say, or the test fails.

use super::wire::{self, ROOT, Route};
use super::{FORMAT, Hello, Joining, Nothing, Refusal, Request, verbs};
use crate::crypto::{Signed, Statement, Topic};
use crate::ledger::{Admission, Charter, Record};
use crate::model::{Bundle, Deny, Verb};
use schemars::generate::{Contract, SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema};
use serde::Serialize;
use serde_json::ser::PrettyFormatter;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");
const SCHEMAS: &str = "/components/schemas";

const ABOUT: &str = "One verb is one route. A request is signed by the member's own key and travels as JSON; what it is \
                     signed over, how nonces, sessions and second factors work and how an answer is verified is in \
                     `docs/api.md`. The members' program speaks this and nothing else.";

/// Run with `MANDATUM_WRITE_OPENAPI=1` to write the file anew.
#[test]
fn the_document_says_what_the_types_say() {
    let made = written(&document());
    if std::env::var_os("MANDATUM_WRITE_OPENAPI").is_some() {
        std::fs::write(FILE, &made).unwrap();
    }
    let there = std::fs::read_to_string(FILE).unwrap_or_default();
    let lines = there.lines().zip(made.lines()).enumerate().find(|(_, (there, made))| there != made);
    assert!(
        there == made,
        "docs/openapi.json is not what the types say, first at {lines:?}; write it anew with \
         MANDATUM_WRITE_OPENAPI=1 cargo test --lib api::openapi, and look at what changed"
    );
}

#[test]
fn every_verb_has_its_route_and_every_reference_its_schema() {
    let document = document();
    let routes: BTreeSet<String> = document["paths"].as_object().unwrap().keys().cloned().collect();
    let others = ["/v1/hello", "/v1/join", "/livez", "/readyz"].map(str::to_owned);
    let expected: BTreeSet<String> = Verb::ALL.iter().map(|verb| format!("{ROOT}{verb}")).chain(others).collect();
    assert_eq!(routes, expected);
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    for reference in &found {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
    }
    let defined = document["components"]["schemas"].as_object().unwrap().keys();
    for name in defined {
        let signed = ["Charter", "Bundle", "Admission", "Statement"].contains(&name.as_str());
        assert!(signed || found.contains(&format!("#{SCHEMAS}/{name}")), "nothing refers to {name}");
    }
}

fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|member| references(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

/// Indented by one space: the file is long.
fn written(document: &Value) -> String {
    let mut text = Vec::new();
    let indented = PrettyFormatter::with_indent(b" ");
    document.serialize(&mut serde_json::Serializer::with_formatter(&mut text, indented)).unwrap();
    String::from_utf8(text).unwrap() + "\n"
}

fn document() -> Value {
    // What is written, since a broker refuses a request that lacks a field its type has.
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = SCHEMAS.into();
        settings.meta_schema = None;
        settings.contract = Contract::Serialize;
    });
    let mut schemas = settings.into_generator();
    let verbs = verbs::schemas(&mut schemas);
    let summaries = summaries(&mut schemas);
    let probes = [("/livez", "Whether the server runs."), ("/readyz", "Whether this broker holds the vault now.")];
    let mut paths: Map<String, Value> =
        probes.into_iter().map(|(path, summary)| (path.to_owned(), probe(path, summary))).collect();
    paths.insert(format!("{ROOT}hello"), hello(&mut schemas));
    paths.insert(format!("{ROOT}join"), join(&mut schemas));
    let mut requests = Map::new();
    for (verb, [ask, load, answer]) in verbs {
        let name = request_name(verb);
        paths.insert(format!("{ROOT}{verb}"), call(verb, &summaries[verb.name()], &name, &load, &answer));
        requests.insert(name, request(verb, &ask));
    }
    let definitions = definitions(schemas, requests);
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "mandatum broker",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "What a member's program says to a broker.",
            "description": ABOUT,
            "license": { "name": "MIT OR Apache-2.0", "identifier": env!("CARGO_PKG_LICENSE") },
        },
        "servers": [{
            "url": "https://{host}:{port}",
            "description": "TLS 1.3 to one pinned key. The same is spoken over a Unix socket, without TLS.",
            "variables": { "host": { "default": "localhost" }, "port": { "default": "8443" } },
        }],
        "security": [],
        "paths": paths,
        "components": { "schemas": definitions, "responses": responses(), "headers": headers() },
    });
    plain_words(&mut document);
    document
}

/// The first line of each verb's documentation, by its name.
fn summaries(schemas: &mut SchemaGenerator) -> BTreeMap<String, String> {
    let verbs = Verb::json_schema(schemas);
    let named = verbs.get("oneOf").and_then(Value::as_array).unwrap().iter();
    named.map(|one| (string(&one["const"]), string(&one["description"]))).collect()
}

fn string(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn probe(path: &str, summary: &str) -> Value {
    let fine = json!({ "description": "`ok` and a line feed.", "content": { "text/plain": { "schema": { "type": "string" } } } });
    let mut responses = json!({ "200": fine, "400": refused("400"), "405": refused("405") });
    if path == "/readyz" {
        responses["503"] = refused("503");
    }
    json!({ "get": { "operationId": &path[1..], "summary": summary, "responses": responses } })
}

fn hello(schemas: &mut SchemaGenerator) -> Value {
    let answer = schemas.subschema_for::<Hello>();
    operation(Route::Hello, "Ask for two nonces and the charters. The body is empty.", None, &answer)
}

fn join(schemas: &mut SchemaGenerator) -> Value {
    let body = json!({ "application/json": { "schema": schemas.subschema_for::<Joining>() } });
    let answer = schemas.subschema_for::<()>();
    operation(Route::Join, "Hand in a newcomer's own keys under an invitation.", Some(body), &answer)
}

fn call(verb: Verb, summary: &str, request: &str, load: &Schema, answer: &Schema) -> Value {
    let signed = json!({
        "allOf": [{ "$ref": format!("#{SCHEMAS}/Signed") }],
        "properties": { "bytes": {
            "contentMediaType": "application/json",
            "contentSchema": { "$ref": format!("#{SCHEMAS}/{request}") },
        } },
    });
    let bare = load.get("type").is_some_and(|kind| kind == "null");
    let lines = if bare { vec![signed] } else { vec![signed, load.clone().to_value()] };
    let count = lines.len();
    let description = "The lines of the body, in order, with a line feed between them: the signed request, then the \
                       load where the verb has one. The media type is not looked at.";
    let schema = json!({
        "type": "array",
        "description": description,
        "prefixItems": lines,
        "minItems": count,
        "maxItems": count,
    });
    operation(Route::Call(verb), summary, Some(json!({ "application/jsonl": { "schema": schema } })), answer)
}

fn operation(route: Route, summary: &str, body: Option<Value>, answer: &Schema) -> Value {
    let mut responses = Map::new();
    let done = json!({ "description": "Done.", "content": { "application/json": { "schema": answer } } });
    responses.insert("200".to_owned(), done);
    // Saying hello proves nobody, so nothing of it is denied, unknown or wrong.
    let never: &[&str] = match route {
        Route::Hello => &["401", "422"],
        Route::Join | Route::Call(_) => &[],
    };
    let statuses = STATUSES.iter().map(|(status, _)| *status).filter(|status| !never.contains(status));
    responses.extend(statuses.map(|status| (status.to_owned(), refused(status))));
    let limit = format!("The body is {} MiB at most.", route.body_max() / (1024 * 1024));
    let mut post = json!({
        "operationId": route.name(), "summary": summary, "description": limit, "responses": responses,
    });
    if let Some(content) = body {
        post["requestBody"] = json!({ "required": true, "content": content });
    }
    json!({ "post": post })
}

fn refused(status: &str) -> Value {
    json!({ "$ref": format!("#/components/responses/{status}") })
}

/// `FetchRequest` for `fetch`.
fn request_name(verb: Verb) -> String {
    let capital = |word: &str| word[..1].to_uppercase() + &word[1..];
    verb.name().split('_').map(capital).collect::<String>() + "Request"
}

/// A request of one verb: what every request has, and its own ask.
fn request(verb: Verb, ask: &Schema) -> Value {
    json!({
        "description": format!("What is signed for `{verb}`."),
        "allOf": [{ "$ref": format!("#{SCHEMAS}/Request") }],
        "properties": { "verb": { "const": verb.name() }, "ask": ask },
    })
}

fn definitions(mut schemas: SchemaGenerator, requests: Map<String, Value>) -> Map<String, Value> {
    schemas.subschema_for::<Request<Nothing>>();
    schemas.subschema_for::<Refusal>();
    schemas.subschema_for::<Signed>();
    // What stands inside a `Signed` of another topic.
    schemas.subschema_for::<Charter>();
    schemas.subschema_for::<Bundle>();
    schemas.subschema_for::<Admission>();
    schemas.subschema_for::<Statement>();
    schemas.subschema_for::<Record>();
    let mut definitions = schemas.take_definitions(true);
    let parts = &mut definitions["Request"]["properties"];
    parts["format"] = json!({ "const": FORMAT, "description": "The format of requests." });
    parts["ask"] = json!({ "type": "object", "description": "What is asked, by verb." });
    definitions["Signed"]["description"] = "Exact bytes with a signature over them; never written anew.".into();
    definitions.extend(requests);
    definitions
}

/// The statuses of what is refused, and what each means beside what the refusals of [`wire::status_of`] say.
const STATUSES: &[(&str, &str)] = &[
    ("400", "not read: no HTTP/1.1, a body in chunks, several hosts, or a body that broke off"),
    ("401", ""),
    ("403", "not read: a request with an `Origin`, or of the account that runs the broker"),
    ("404", "not read: no such verb"),
    ("405", "not read: another method"),
    ("408", "not read: the body did not come in time"),
    ("413", "not read: the body is longer than its verb allows"),
    ("422", ""),
    ("429", ""),
    ("500", ""),
    ("503", "not read: the server is full (`busy`); or it stands by (header `mandatum-standby`): ask the next one"),
];

fn responses() -> Map<String, Value> {
    let text = String::new;
    let refusals = [
        (Refusal::from(Deny::NotGranted), "`denied`: judged, recorded, and not allowed"),
        (Refusal::NotFound, "`not_found`: nothing there, or not yours"),
        (Refusal::Authentication(text()), "`authentication`: signature, nonce, code or invitation is not good"),
        (Refusal::Integrity(text()), "`integrity`: the vault's own data do not hold together"),
        (Refusal::input("", ""), "`input`: what was asked is not accepted; nothing was stored"),
        (Refusal::Busy { retry_ms: 0 }, "`busy`: asked too fast; nothing was done"),
        (Refusal::Failed(text()), "`failed`: something outside failed; nothing was released"),
    ];
    let said = |status: &str| refusals.iter().find(|(refusal, _)| wire::status_of(refusal).to_string() == status);
    let unsaid = refusals.iter().find(|(refusal, _)| {
        let status = wire::status_of(refusal).to_string();
        STATUSES.iter().all(|(listed, _)| *listed != status)
    });
    assert!(unsaid.is_none(), "{unsaid:?} has a status that is not in the table");
    let response = |&(status, unread): &(&str, &str)| {
        let meanings: Vec<&str> =
            said(status).map(|(_, meaning)| *meaning).into_iter().chain([unread]).filter(|m| !m.is_empty()).collect();
        let mut response = json!({
            "description": format!("{}.", meanings.join(". Or ")),
            "content": { "application/json": { "schema": { "$ref": format!("#{SCHEMAS}/Refusal") } } },
        });
        let header = |name: &str| json!({ "$ref": format!("#/components/headers/{name}") });
        match status {
            "405" => response["headers"] = json!({ "Allow": header("Allow") }),
            "429" => response["headers"] = json!({ "Retry-After": header("Retry-After") }),
            "503" => {
                response["headers"] =
                    json!({ "Retry-After": header("Retry-After"), wire::STANDBY: header(wire::STANDBY) });
            }
            _ => {}
        }
        (status.to_owned(), response)
    };
    STATUSES.iter().map(response).collect()
}

fn headers() -> Value {
    json!({
        "Allow": { "description": "The one method.", "schema": { "enum": ["POST", "GET"] } },
        "Retry-After": { "description": "Seconds, with `busy`.", "schema": { "type": "integer", "minimum": 0 } },
        wire::STANDBY: { "description": "This broker holds no vault now, and nothing was done.", "schema": { "const": "1" } },
    })
}

/// What the source's documentation links to has another name on the wire.
fn plain_words(value: &mut Value) {
    match value {
        Value::Object(members) => members.iter_mut().for_each(|(name, member)| match member {
            Value::String(text) if name == "description" => *text = plain(text),
            other => plain_words(other),
        }),
        Value::Array(items) => items.iter_mut().for_each(plain_words),
        _ => {}
    }
}

fn plain(text: &str) -> String {
    let text = text.replace("[`", "`").replace("`]", "`").replace("`super::", "`").replace("`Gate::hello`", "`hello`");
    let named =
        |text: String, topic: Topic| text.replace(&format!("`Topic::{topic:?}`"), &format!("`{}`", topic.name()));
    let text = Topic::ALL.into_iter().fold(text, named);
    assert!(!text.contains("::"), "this speaks of the source, not of the wire: {text}");
    text
}
