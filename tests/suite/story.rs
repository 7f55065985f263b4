//! The main job from the first day to the last.

use crate::support::World;

/// A specialist gets what was granted, a code, and nothing else; after the end nothing opens; the extract verifies.
#[test]
pub fn the_whole_story() {
    let world = World::with_mandate();
    let secret = world.as_member("Sasha", "fetch Romashka/CRM --field password").done().stdout;
    assert_eq!(secret.trim_end().len(), 24);
    let by_platform = world.as_member("Sasha", "fetch romashka/AMOCRM --json").done().json();
    assert_eq!(by_platform["fields"]["password"], secret.trim_end());
    assert_eq!(by_platform["fields"]["user"], "crm@Romashka.test");

    // RFC 6238's seed: the code is what any authenticator shows now.
    let code = world.as_member("Sasha", "code Romashka/CRM --json").done().json();
    let seed = mandatum::agent::Seed::parse("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").unwrap();
    let now = mandatum::model::Clock::now(&*world.clock).unix_seconds();
    assert_eq!(code["code"], seed.code(now).0);

    // Not granted and not there answer the same.
    let (foreign, absent) = (
        world.as_member("Sasha", "fetch Romashka/Bot --field token").ended(4),
        world.as_member("Sasha", "fetch Romashka/Nothing --field token").ended(4),
    );
    assert_eq!(foreign.stderr, absent.stderr);

    let exposed = world.as_member("Lena", "exposure Romashka --json").done().json();
    assert!(exposed.as_array().unwrap().iter().any(|line| line["member"] == "Sasha" && line["times"] == 2));
    world.as_member("Lena", "credential rotate Romashka/CRM --generate").done();
    let exposed = world.as_member("Lena", "exposure Romashka --json").done().json();
    assert_eq!(exposed, serde_json::json!([]));
    let rotated = world.as_member("Sasha", "fetch Romashka/CRM --field password").done().stdout;
    assert_ne!(rotated, secret);

    world.as_member("Lena", "mandate end Romashka -y").done();
    world.as_member("Sasha", "fetch Romashka/CRM --field password").denied("MANDATE_NOT_ACTIVE");
    world.as_member("Lena", "mandate close Romashka -y").ended(7);
    world.run("Lena", &["mandate", "settle", "Romashka/CRM", "--because", "changed by the operator"]).done();
    world.as_member("Lena", "mandate close Romashka -y").ended(7);
    world.as_member("Lena", "mandate revoked Romashka --all --how deactivated --by Ivanov").done();
    world.as_member("Lena", "mandate choice Romashka delete --by Ivanov").done();
    world.as_member("Lena", "mandate copies Romashka --none --by Petrova").done();
    world.as_member("Lena", "mandate close Romashka -y").done();
    let out = world.path("extract.jsonl");
    world.as_member("Olga", &format!("extract Romashka --out {}", out.display())).done();
    let verified = world.as_member("Olga", &format!("verify {} --json", out.display())).done().json();
    assert_eq!(verified["operator"], "Romashka");
    assert_eq!(verified["assurance"], "solo");
    world.as_member("Olga", "verify").done();
}
