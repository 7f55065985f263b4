//! `docs/openapi.json` and `docs/api.md` against the program: what is said of a request or an answer holds for real
//! ones, and what the page lists is what the source has.
//!
//! The document itself is made and compared in `src/api/openapi.rs`.

use crate::support::World;
use mandatum::api::{Frame, Joining, Refusal};
use mandatum::crypto::{Key, SignKey, Topic};
use mandatum::model::{Role, Verb};
use mandatum::policy::{Scope, needs_step_up, scope_of};
use mandatum::server::Limits;
use serde_json::{Map, Value, json};
use std::sync::OnceLock;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/api.md");

/// The page as it is.
pub fn page() -> String {
    std::fs::read_to_string(PAGE).unwrap()
}

fn document() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| {
        let text = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json")).unwrap();
        serde_json::from_slice(&text).unwrap()
    })
}

fn operation(verb: Verb) -> &'static Value {
    &document()["paths"][format!("/v1/{verb}")]["post"]
}

// ------------------------------------------------------------------------------------------- real requests and answers

/// Fails the test where a call that was answered, or its answer, is not what the document says of its verb.
#[track_caller]
pub fn check(frame: &Frame, answer: &Result<Vec<u8>, Refusal>) {
    let operation = operation(frame.verb);
    let schema = |of: &Value| of.as_object().unwrap().values().next().unwrap()["schema"].clone();
    let (schema, said) = match answer {
        Ok(answer) => {
            let load = (!frame.load.is_empty()).then(|| serde_json::from_slice(&frame.load).unwrap());
            let lines: Vec<Value> = [serde_json::to_value(&frame.request).unwrap()].into_iter().chain(load).collect();
            let asked = faults(&schema(&operation["requestBody"]["content"]), &json!(lines));
            assert!(asked.is_empty(), "{} is asked otherwise than docs/openapi.json says: {asked:?}", frame.verb);
            let said = serde_json::from_slice(answer).unwrap();
            (schema(&operation["responses"]["200"]["content"]), said)
        }
        Err(refusal) => {
            let status = mandatum::api::wire::status_of(refusal).to_string();
            let reference = operation["responses"][&status]["$ref"].as_str().unwrap_or_else(|| panic!("no {status}"));
            (schema(&resolve(reference)["content"]), serde_json::to_value(refusal).unwrap())
        }
    };
    let wrong = faults(&schema, &said);
    assert!(wrong.is_empty(), "{} is answered otherwise than docs/openapi.json says: {wrong:?}", frame.verb);
}

fn resolve(reference: &str) -> &'static Value {
    document().pointer(reference.trim_start_matches('#')).unwrap_or_else(|| panic!("{reference} is not there"))
}

fn faults(schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    judge(schema, value, "", &mut found);
    found
}

/// The keywords of JSON Schema that the document uses; any other fails the test rather than being passed over.
fn judge(schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    let Value::Object(keywords) = schema else { return assert_eq!(schema, true, "no schema: {schema}") };
    let fits = |schema: &Value| faults(schema, value).is_empty();
    let all = |rule: &Value| rule.as_array().unwrap().clone();
    for (keyword, rule) in keywords {
        let holds = match keyword.as_str() {
            "$ref" => {
                judge(resolve(rule.as_str().unwrap()), value, at, found);
                true
            }
            "allOf" => {
                all(rule).iter().for_each(|schema| judge(schema, value, at, found));
                true
            }
            "anyOf" => all(rule).iter().any(fits),
            "oneOf" => all(rule).iter().filter(|schema| fits(schema)).count() == 1,
            "const" => rule == value,
            "enum" => all(rule).contains(value),
            "type" => rule.as_array().unwrap_or(&vec![rule.clone()]).iter().any(|name| is_of_type(value, name)),
            "properties" | "patternProperties" | "required" | "additionalProperties" => match value {
                Value::Object(members) => judge_members(keyword, rule, keywords, members, at, found),
                _ => true,
            },
            "items" | "prefixItems" | "minItems" | "maxItems" | "uniqueItems" => match value {
                Value::Array(items) => judge_items(keyword, rule, keywords, items, at, found),
                _ => true,
            },
            "minimum" => value.as_f64().is_none_or(|number| number >= rule.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|number| number <= rule.as_f64().unwrap()),
            "minLength" => value.as_str().is_none_or(|text| text.chars().count() as u64 >= rule.as_u64().unwrap()),
            "maxLength" => value.as_str().is_none_or(|text| text.chars().count() as u64 <= rule.as_u64().unwrap()),
            "pattern" => value.as_str().is_none_or(|text| is_hex_of(text, rule.as_str().unwrap())),
            "contentEncoding" => value.as_str().is_none_or(|text| decoded(text).is_some()),
            "contentSchema" => {
                let inside = value.as_str().and_then(decoded).and_then(|bytes| serde_json::from_slice(&bytes).ok());
                inside.is_some_and(|inside: Value| {
                    judge(rule, &inside, &format!("{at}/decoded"), found);
                    true
                })
            }
            "description" | "contentMediaType" | "format" => true,
            unknown => panic!("the document uses {unknown}, which nothing here judges"),
        };
        if !holds {
            found.push(format!("{at}: {keyword} {rule} does not hold for {value}"));
        }
    }
}

fn is_of_type(value: &Value, name: &Value) -> bool {
    match name.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        unknown => panic!("the document uses the type {unknown}"),
    }
}

fn judge_members(
    keyword: &str,
    rule: &Value,
    beside: &Map<String, Value>,
    members: &Map<String, Value>,
    at: &str,
    found: &mut Vec<String>,
) -> bool {
    let named = |name: &str| beside.get("properties").is_some_and(|known| known.get(name).is_some());
    let patterns = beside.get("patternProperties").and_then(Value::as_object);
    let known =
        |name: &str| named(name) || patterns.is_some_and(|all| all.keys().any(|pattern| is_hex_of(name, pattern)));
    match keyword {
        "required" => rule.as_array().unwrap().iter().all(|name| members.contains_key(name.as_str().unwrap())),
        "properties" => {
            for (name, schema) in rule.as_object().unwrap() {
                members.get(name).into_iter().for_each(|value| judge(schema, value, &format!("{at}/{name}"), found));
            }
            true
        }
        "patternProperties" => {
            for (pattern, schema) in rule.as_object().unwrap() {
                let matching = members.iter().filter(|(name, _)| is_hex_of(name, pattern));
                matching.for_each(|(name, value)| judge(schema, value, &format!("{at}/{name}"), found));
            }
            true
        }
        _ => {
            let mut others = members.iter().filter(|(name, _)| !known(name));
            if *rule == false {
                return others.next().is_none();
            }
            others.for_each(|(name, value)| judge(rule, value, &format!("{at}/{name}"), found));
            true
        }
    }
}

fn judge_items(
    keyword: &str,
    rule: &Value,
    beside: &Map<String, Value>,
    items: &[Value],
    at: &str,
    found: &mut Vec<String>,
) -> bool {
    let first = beside.get("prefixItems").and_then(Value::as_array).map_or(0, Vec::len);
    let bound = || usize::try_from(rule.as_u64().unwrap()).unwrap();
    match keyword {
        "minItems" => items.len() >= bound(),
        "maxItems" => items.len() <= bound(),
        "uniqueItems" => items.iter().enumerate().all(|(place, item)| !items[..place].contains(item)),
        "prefixItems" => {
            let pairs = rule.as_array().unwrap().iter().zip(items).enumerate();
            pairs.for_each(|(place, (schema, item))| judge(schema, item, &format!("{at}/{place}"), found));
            true
        }
        _ => {
            let others = items.iter().enumerate().skip(first);
            others.for_each(|(place, item)| judge(rule, item, &format!("{at}/{place}"), found));
            true
        }
    }
}

fn is_hex_of(text: &str, pattern: &str) -> bool {
    let length = pattern.strip_prefix("^[0-9a-f]{").and_then(|rest| rest.strip_suffix("}$"));
    let length: usize = length.and_then(|length| length.parse().ok()).unwrap_or_else(|| panic!("pattern {pattern}"));
    text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    data_encoding::BASE64.decode(text.as_bytes()).ok()
}

/// The two routes that are no verb.
#[test]
fn hello_and_join_are_as_documented() {
    let world = World::new();
    let said = serde_json::to_value(world.gate().hello().unwrap()).unwrap();
    assert_eq!(faults(&json!({ "$ref": "#/components/schemas/Hello" }), &said), Vec::<String>::new());
    for seed in [None, Some(vec![1, 6, 30, 0])] {
        let bundle = world.identity("Sasha").signed_bundle();
        let (token, code) = ("ab".repeat(16).into(), "123456".into());
        let joining = serde_json::to_value(Joining { token, bundle, seed: seed.map(Into::into), code }).unwrap();
        assert_eq!(faults(&json!({ "$ref": "#/components/schemas/Joining" }), &joining), Vec::<String>::new());
    }
}

/// The judge above can say no: each of these is one change of an answer that holds.
#[test]
fn an_answer_that_is_otherwise_is_noticed() {
    let schema = json!({ "$ref": "#/components/schemas/CodeAnswer" });
    let signed = json!({ "bytes": "e30=", "key": "ab".repeat(32), "sig": "AA==" });
    let proof = json!({ "unit": "ab".repeat(16), "salt": "ab".repeat(32), "record": signed, "seq": 0, "checkpoint": "",
        "inclusion": [], "consistency": ["ab".repeat(32)] });
    let answer = json!({ "code": "123456", "seconds": 7, "proof": proof });
    assert_eq!(faults(&schema, &answer), Vec::<String>::new());
    let changes: [(&str, Value); 8] = [
        ("/code", json!(123_456)),
        ("/seconds", json!(-1)),
        ("/seconds", json!(1.5)),
        ("/proof", json!(null)),
        ("/proof/unit", json!("AB".repeat(16))),
        ("/proof/consistency/0", json!("ab")),
        ("/proof/record/bytes", json!("e30")),
        ("/proof/record", json!({ "bytes": "e30=", "key": "ab".repeat(32) })),
    ];
    for (place, value) in changes {
        let mut changed = answer.clone();
        *changed.pointer_mut(place).unwrap() = value;
        assert!(!faults(&schema, &changed).is_empty(), "{place}");
    }
    let mut more = answer.clone();
    more["more"] = json!(1);
    assert!(!faults(&schema, &more).is_empty(), "a field more");
}

// --------------------------------------------------------------------------------------------------- what the page lists

/// Run with `MANDATUM_WRITE_OPENAPI=1` to write the lists anew.
#[test]
fn the_page_lists_what_there_is() {
    let there = page();
    let made = with_block(&with_block(&there, "verbs", &verb_table()), "limits", &limit_table());
    if std::env::var_os("MANDATUM_WRITE_OPENAPI").is_some() {
        std::fs::write(PAGE, &made).unwrap();
    }
    assert!(
        page() == made,
        "the tables of docs/api.md are not what the source says; write them anew with \
         MANDATUM_WRITE_OPENAPI=1 cargo test --test suite openapi::"
    );
}

fn with_block(page: &str, name: &str, block: &str) -> String {
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let (before, rest) = page.split_once(&begin).unwrap();
    let (_, after) = rest.split_once(&end).unwrap();
    format!("{before}{begin}{block}{end}{after}")
}

fn verb_table() -> String {
    let reach = |verb| {
        Role::ALL.map(|role| match scope_of(role, verb) {
            Scope::Never => "–",
            Scope::OwnRecords => "own records",
            Scope::Granted => "granted",
            Scope::Own => "own",
            Scope::All => "all",
        })
    };
    let line = |verb: Verb| {
        let operation = operation(verb);
        let body = &operation["requestBody"]["content"]["application/jsonl"]["schema"];
        let mark = |marked| if marked { "yes" } else { "" };
        let (load, step_up) = (mark(body["minItems"] == 2), mark(needs_step_up(verb)));
        let (what, reach) = (operation["summary"].as_str().unwrap(), reach(verb).join(" | "));
        format!("| `{verb}` | {what} | {reach} | {step_up} | {load} |\n")
    };
    let head = "| `POST /v1/…` | | owner | lead | specialist | auditor | fresh code | load |\n|---|---|---|---|---|---|---|---|\n";
    head.to_owned() + &Verb::ALL.iter().map(|verb| line(*verb)).collect::<String>()
}

fn limit_table() -> String {
    let limits = Limits::default();
    let seconds = |time: std::time::Duration| format!("{} s", time.as_secs());
    let lines = [
        ("head of a request", format!("{} KiB, within {}", limits.head_max / 1024, seconds(limits.head))),
        ("body", format!("within {}", seconds(limits.body))),
        ("a request with its answer", format!("within {}", seconds(limits.whole))),
        ("between requests", seconds(limits.idle)),
        ("TLS handshake", format!("within {}", seconds(limits.handshake))),
        ("connections", format!("{}, of one address or account {}", limits.connections, limits.per_source)),
        ("requests that run or wait", limits.waiting.to_string()),
        ("bodies over 1 MiB, held at a time", format!("{} MiB in all", limits.large_kib / 1024)),
        ("failed authentications of one address or account", format!("{} at once, then one a second", limits.failures)),
    ];
    let lines = lines.map(|(what, limit)| format!("| {what} | {limit} |\n"));
    "| | |\n|---|---|\n".to_owned() + &lines.concat()
}

/// The page's vector of a signed request is what the program signs.
#[test]
fn the_vector_is_what_we_sign() {
    let page = page();
    let (_, vector) = page.split_once("```text\nseed ").unwrap();
    let vector = format!("seed {vector}");
    let value = |name: &str| vector.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim();
    let hex = |text: &str| data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap();
    let key = SignKey::from_seed(&Key::from_slice(&hex(value("seed   "))).unwrap());
    let bytes = value("bytes  {\"");
    let signed = key.sign(Topic::Request, format!("{{\"{bytes}").into_bytes());
    assert_eq!(key.public().to_string(), value("key    "));
    assert_eq!(data_encoding::HEXLOWER.encode(signed.signature()), value("sig    "));
    let asked = json!([serde_json::to_value(&signed).unwrap()]);
    let schema = &operation(Verb::Status)["requestBody"]["content"]["application/jsonl"]["schema"];
    assert_eq!(faults(schema, &asked), Vec::<String>::new());
}
