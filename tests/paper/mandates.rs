//! Every fixture: what the expectation says must be contained in what is read.

use mandatum::model::{Jurisdiction, Zone};
use mandatum::paperwork::catalogue::Catalogue;
use mandatum::paperwork::law::Law;
use mandatum::paperwork::read::{Origin, Reading, read};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

fn fixtures() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/mandates");
    let folders = ["valid", "broken"].map(|folder| root.join(folder));
    let files = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path());
    let mut all: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|end| end == "json")).collect();
    all.sort();
    all
}

fn contains(expected: &Value, found: &Value, place: &str, faults: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            for (key, value) in expected {
                match found.get(key) {
                    Some(found) => contains(value, found, &format!("{place}.{key}"), faults),
                    None => faults.push(format!("{place}.{key}: missing, expected {value}")),
                }
            }
        }
        (Value::Array(expected), Value::Array(found)) if expected.len() == found.len() => {
            for (at, (expected, found)) in expected.iter().zip(found).enumerate() {
                contains(expected, found, &format!("{place}[{at}]"), faults);
            }
        }
        _ if expected == found => {}
        _ => faults.push(format!("{place}: expected {expected}, found {found}")),
    }
}

#[test]
fn every_fixture_reads_as_expected() {
    let (catalogue, law) = (Catalogue::built_in().unwrap(), Law::built_in(Jurisdiction::Ru).unwrap());
    let all = fixtures();
    assert_eq!(all.len(), 13);
    let mut faults = Vec::new();
    for path in all {
        let mut expected: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let as_of = expected["as_of"].as_str().unwrap().parse().unwrap();
        let zone = Zone::parse(expected["timezone"].as_str().unwrap()).unwrap();
        let file = path.with_file_name(expected["file"].as_str().unwrap());
        for key in ["notes", "file"] {
            expected.as_object_mut().unwrap().remove(key);
        }
        let bytes = std::fs::read(&file).unwrap();
        let begun = Instant::now();
        let reading = read(&bytes, Origin::default(), as_of, &zone, &catalogue, &law);
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        assert!(begun.elapsed() < Duration::from_secs(5), "{name} took {:?} in a debug build", begun.elapsed());
        let found = serde_json::to_value(&reading).unwrap();
        contains(&expected, &found, &name, &mut faults);
        let again: Reading = serde_json::from_value(found).unwrap();
        assert_eq!(again, reading, "{name}: a draft survives being stored");
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
