//! Who may do what with a vault, under all of its policies together: judged by an evaluator that
//! follows IAM's evaluation logic, written into docs/security.md as a table, and compared with it.

#![allow(clippy::unwrap_used)]

mod evaluate;
mod table;
mod world;

use evaluate::{Outcome, Step};
use iam_policy::Context;
use serde_json::{Value, json};
use std::path::Path;
use table::{ROWS, is_asked, page, render};
use uploader::vault::{Part, Setting};
use world::{ACTORS, Actor, World};

const BLESS: &str = "UPLOADER_BLESS";

fn security_page() -> (std::path::PathBuf, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/security.md");
    let text = std::fs::read_to_string(&path).unwrap();
    (path, text)
}

#[test]
fn the_table_in_the_docs_is_what_the_policies_say() {
    let (path, text) = security_page();
    let now = page(&text, &render(&World::new()));
    if std::env::var_os(BLESS).is_some() {
        std::fs::write(path, now).unwrap();
        return;
    }
    assert!(
        text == now,
        "docs/security.md is not up to date: {BLESS}=1 cargo test writes it anew"
    );
}

/// Each statement, and each action of a statement, is there for something: without it, the table
/// is another.
#[test]
fn no_statement_and_no_action_is_idle() {
    let whole = render(&World::new());
    let world = World::new();
    for (part, setting) in world.documents() {
        let count = world.statements(part, setting).len();
        for index in 0..count {
            let mut without = World::new();
            let removed = without.statements(part, setting).remove(index);
            let sid = removed["Sid"].as_str().unwrap().to_owned();
            without.change(part, setting, |all| {
                all.remove(index);
            });
            // A policy needs one statement: this one is about nothing here.
            without.change(part, setting, |all| {
                if all.is_empty() {
                    all.push(World::about_nothing(setting));
                }
            });
            assert_ne!(
                render(&without),
                whole,
                "{part} {setting}: {sid} changes nothing"
            );
            let actions = removed["Action"].as_array().cloned().unwrap_or_default();
            for action in &actions {
                let mut without = World::new();
                without.change(part, setting, |all| {
                    let left: Vec<&Value> = actions.iter().filter(|it| *it != action).collect();
                    all[index]["Action"] = if left.is_empty() {
                        json!(["s3:Nothing"])
                    } else {
                        json!(left)
                    };
                });
                assert_ne!(render(&without), whole, "{sid}: {action} changes nothing");
            }
        }
    }
}

/// Conditions, too: a statement without one of its conditions says something else.
#[test]
fn no_condition_is_idle() {
    let whole = render(&World::new());
    let world = World::new();
    for (part, setting) in world.documents() {
        for (index, statement) in world.statements(part, setting).iter().enumerate() {
            let operators = statement["Condition"]
                .as_object()
                .cloned()
                .unwrap_or_default();
            for (operator, keys) in &operators {
                for key in keys.as_object().unwrap().keys() {
                    let mut without = World::new();
                    without.change(part, setting, |all| {
                        let condition = all[index]["Condition"][operator].as_object_mut().unwrap();
                        condition.remove(key);
                    });
                    let sid = &statement["Sid"];
                    assert_ne!(
                        render(&without),
                        whole,
                        "{part} {setting} {sid}: {operator} {key} changes nothing"
                    );
                }
            }
        }
    }
}

/// What a publisher is given is what they need: without any of it, the table is another.
#[test]
fn a_publisher_is_given_nothing_idle() {
    let whole = render(&World::new());
    let statements = World::new().publisher["Statement"].clone();
    let changes = |sid: &str, change: &dyn Fn(&mut Value)| {
        let mut without = World::new();
        let all = without.publisher["Statement"].as_array_mut().unwrap();
        change(all.iter_mut().find(|it| it["Sid"] == sid).unwrap());
        render(&without) != whole
    };
    for statement in statements.as_array().unwrap() {
        let sid = statement["Sid"].as_str().unwrap();
        let list = |key: &str| match &statement[key] {
            Value::Array(all) => all.clone(),
            one => vec![one.clone()],
        };
        for key in ["Action", "Resource"] {
            for one in list(key) {
                let left: Vec<Value> = list(key).into_iter().filter(|it| *it != one).collect();
                let nothing = json!("s3:Nothing");
                let left = if left.is_empty() {
                    nothing
                } else {
                    json!(left)
                };
                let left = match (key, left) {
                    ("Resource", Value::String(_)) => json!("arn:x"),
                    (_, left) => left,
                };
                let is_needed = changes(sid, &|it| it[key] = left.clone());
                assert!(is_needed, "{sid}: {one} changes nothing");
            }
        }
        let conditions = statement["Condition"].as_object().cloned();
        for (operator, keys) in conditions.unwrap_or_default() {
            for key in keys.as_object().unwrap().keys() {
                let is_needed = changes(sid, &|it| {
                    let keys = it["Condition"][&operator].as_object_mut().unwrap();
                    keys.remove(key);
                });
                assert!(is_needed, "{sid}: {operator} {key} changes nothing");
            }
        }
    }
}

#[test]
fn every_statement_is_explained() {
    let (_, text) = security_page();
    let world = World::new();
    for (part, setting) in world.documents() {
        for statement in world.statements(part, setting) {
            let sid = statement["Sid"].as_str().unwrap();
            assert!(
                text.contains(&format!("`{sid}`")),
                "{part} {setting}: {sid}"
            );
        }
    }
}

/// Whatever somebody adds to the bucket's policy or the queue's: other accounts and plain HTTP stay
/// out.
#[test]
fn an_allow_for_everyone_lets_nobody_in_from_outside() {
    let mut world = World::new();
    for (part, action) in [(Part::Bucket, "s3:*"), (Part::Queue, "sqs:*")] {
        let resources = world.statements(part, Setting::Policy)[0]["Resource"].clone();
        world.change(part, Setting::Policy, |all| {
            all.push(
                json!({"Sid": "Mistake", "Effect": "Allow", "Principal": "*",
                            "Action": action, "Resource": resources}),
            );
        });
    }
    let mut let_in = 0;
    for row in ROWS {
        let steps = row.steps(&world);
        let outside = [Actor::OtherAccount, Actor::Anonymous, Actor::PlainHttp];
        for actor in outside.into_iter().filter(|it| is_asked(*it, &steps)) {
            let outcome = world.judge(actor, &steps);
            assert!(outcome != Outcome::Yes, "{}: {actor:?}", row.what);
        }
        // The evaluator did see it: somebody without permissions gets in.
        let_in += usize::from(world.judge(Actor::Nobody, &steps) == Outcome::Yes);
    }
    assert!(let_in > 0);
}

/// Even if somebody attaches AdministratorAccess to it.
#[test]
fn the_converter_never_signs_and_stays_within_the_bucket_rules() {
    let mut world = World::new();
    let everything = json!({"Sid": "All", "Effect": "Allow", "Action": "*", "Resource": "*"});
    world.change(Part::Role, Setting::Permissions, |all| all.push(everything));
    for what in [
        "sign a request",
        "store with the account's aws/s3 key",
        "store with SSE-S3",
    ] {
        let row = ROWS.iter().find(|it| it.what == what).unwrap();
        let outcome = world.judge(Actor::Converter, &row.steps(&world));
        assert!(matches!(outcome, Outcome::No(_)), "{what}: {outcome:?}");
    }
    let take = ROWS
        .iter()
        .find(|it| it.what == "change the key's policy")
        .unwrap();
    assert_eq!(
        world.judge(Actor::Converter, &take.steps(&world)),
        Outcome::Yes
    );
}

#[test]
fn only_instances_take_on_the_role() {
    let world = World::new();
    let role = world.names.role_arn();
    for actor in ACTORS {
        let step = Step::new("sts:AssumeRole", role.as_str(), Context::default());
        let outcome = world.judge_trust(*actor, &step);
        assert!(matches!(outcome, Outcome::No(_)), "{actor:?}: {outcome:?}");
    }
}
