use crate::ebs::testing::*;
use emulator_protocol::http::full;
use emulator_state::layers::Blank;
use emulator_state::world::{Change, Settings, SnapshotState};
use emulator_testing::{DISABLED, KEY, caller_of};
use serde_json::{Value, json};
use time::Duration;

fn arn(key: &str) -> String {
    format!("arn:aws:kms:us-east-1:111111111111:key/{key}")
}

impl Api {
    fn encrypt_by_default(&self) {
        let mut settings = Settings::new(self.caller.account.clone(), self.caller.region.clone());
        settings.encrypt_by_default = true;
        self.world
            .services
            .store
            .write(|_, changes| {
                changes.push(Change::Settings(settings));
                Ok(())
            })
            .unwrap();
    }

    async fn refused(&self, input: Value) -> (u16, String, Option<&'static str>) {
        fault(self.start(input).await.err().unwrap())
    }

    fn snapshots(&self) -> usize {
        self.world
            .services
            .store
            .read(|world| world.snapshots.len())
    }

    fn layer_files(&self) -> usize {
        std::fs::read_dir(self.world.dir.path().join("layers"))
            .unwrap()
            .count()
    }
}

#[tokio::test]
async fn the_answer_has_every_field() {
    let api = Api::new();
    let answer = api
        .start(json!({
            "VolumeSize": 8, "Description": "d", "Timeout": 4320, "Encrypted": true,
            "KmsKeyArn": arn(KEY), "Tags": [{"Key": "k", "Value": "v"}, {"Key": "e"}],
        }))
        .await
        .unwrap();
    let id = id(&answer);
    assert_eq!(
        answer,
        json!({
            "Description": "d", "SnapshotId": id, "OwnerId": "111111111111", "Status": "pending",
            "StartTime": 1_767_225_600.0, "VolumeSize": 8, "BlockSize": 524_288,
            "Tags": [{"Key": "e", "Value": ""}, {"Key": "k", "Value": "v"}],
            "KmsKeyArn": arn(KEY), "SseType": "sse-kms",
        })
    );
    let plain = api.start(json!({"VolumeSize": 1})).await.unwrap();
    assert_eq!(plain["SseType"], "none");
    assert_eq!(plain.get("KmsKeyArn"), None);
}

#[tokio::test]
async fn limits() {
    let api = Api::new();
    let long = |n: usize| "x".repeat(n);
    for (input, reason) in [
        (json!({}), "INVALID_VOLUME_SIZE"),
        (json!({"VolumeSize": null}), "INVALID_VOLUME_SIZE"),
        (json!({"VolumeSize": 0}), "INVALID_VOLUME_SIZE"),
        (json!({"VolumeSize": -1}), "INVALID_VOLUME_SIZE"),
        (json!({"VolumeSize": 65_537}), "INVALID_VOLUME_SIZE"),
        (json!({"VolumeSize": i64::MAX}), "INVALID_VOLUME_SIZE"),
        (
            json!({"VolumeSize": 1, "Timeout": 9}),
            "INVALID_PARAMETER_VALUE",
        ),
        (
            json!({"VolumeSize": 1, "Timeout": 4321}),
            "INVALID_PARAMETER_VALUE",
        ),
        (
            json!({"VolumeSize": 1, "Description": ""}),
            "INVALID_PARAMETER_VALUE",
        ),
        (
            json!({"VolumeSize": 1, "Description": long(256)}),
            "INVALID_PARAMETER_VALUE",
        ),
        (
            json!({"VolumeSize": 1, "ClientToken": ""}),
            "INVALID_PARAMETER_VALUE",
        ),
        (
            json!({"VolumeSize": 1, "ClientToken": "a b"}),
            "INVALID_PARAMETER_VALUE",
        ),
        (
            json!({"VolumeSize": 1, "ClientToken": long(256)}),
            "INVALID_PARAMETER_VALUE",
        ),
        (
            json!({"VolumeSize": 1, "ParentSnapshotId": "snap-X"}),
            "INVALID_SNAPSHOT_ID",
        ),
        (
            json!({"VolumeSize": 1, "Tags": [{"Value": "v"}]}),
            "INVALID_TAG",
        ),
        (
            json!({"VolumeSize": 1, "Tags": [{"Key": "aws:x"}]}),
            "INVALID_TAG",
        ),
        (
            json!({"VolumeSize": 1, "Tags": [{"Key": long(128)}]}),
            "INVALID_TAG",
        ),
        (
            json!({"VolumeSize": 1, "Tags": [{"Key": "k", "Value": long(256)}]}),
            "INVALID_TAG",
        ),
        (
            json!({"VolumeSize": 1, "Tags": [{"Key": "k"}, {"Key": "k"}]}),
            "INVALID_TAG",
        ),
        (
            json!({"VolumeSize": 1, "Tags": (0..51).map(|n| json!({"Key": n.to_string()})).collect::<Vec<_>>()}),
            "INVALID_TAG",
        ),
    ] {
        assert_eq!(api.refused(input.clone()).await, invalid(reason), "{input}");
    }
    assert_eq!(api.snapshots(), 0);
    assert_eq!(api.layer_files(), 0);
    api.start(json!({
        "VolumeSize": 65_536, "Timeout": 10, "Description": long(255), "ClientToken": long(255),
        "Tags": (0..50).map(|n| json!({"Key": n.to_string(), "Value": long(255)})).collect::<Vec<_>>(),
        "Unknown": {},
    }))
    .await
    .unwrap();
}

#[tokio::test]
async fn what_is_not_the_json_is_a_serialization_exception() {
    let api = Api::new();
    for body in [
        "",
        "{",
        "[]",
        r#"{"VolumeSize": "8"}"#,
        r#"{"VolumeSize": 1.5}"#,
        r#"{"VolumeSize": 1, "Tags": {}}"#,
        &" ".repeat(300_000),
    ] {
        let error = api
            .call("POST", "/snapshots", &[], full(body.to_owned()))
            .await
            .err()
            .unwrap();
        assert_eq!(
            (error.status, &*error.code),
            (400, "SerializationException")
        );
    }
}

#[tokio::test]
async fn encryption_without_a_parent() {
    let api = Api::new();
    for (input, reason) in [
        (json!({"KmsKeyArn": arn(KEY)}), "INVALID_PARAMETER_VALUE"),
        (
            json!({"KmsKeyArn": arn(KEY), "Encrypted": false}),
            "INVALID_PARAMETER_VALUE",
        ),
        (
            json!({"KmsKeyArn": KEY, "Encrypted": true}),
            "INVALID_CUSTOMER_KEY",
        ),
        (
            json!({"KmsKeyArn": "alias/aws/ebs", "Encrypted": true}),
            "INVALID_CUSTOMER_KEY",
        ),
        (
            json!({"KmsKeyArn": "", "Encrypted": true}),
            "INVALID_CUSTOMER_KEY",
        ),
        (
            json!({"KmsKeyArn": format!("{}{}", arn(KEY), "x".repeat(2048)), "Encrypted": true}),
            "INVALID_CUSTOMER_KEY",
        ),
        (
            json!({"KmsKeyArn": arn("nobody"), "Encrypted": true}),
            "INVALID_CUSTOMER_KEY",
        ),
        (
            json!({"KmsKeyArn": arn(DISABLED), "Encrypted": true}),
            "INVALID_CUSTOMER_KEY",
        ),
        (
            json!({"KmsKeyArn": arn(KEY).replace("us-east-1", "eu-west-1"), "Encrypted": true}),
            "INVALID_CUSTOMER_KEY",
        ),
    ] {
        let mut input = input;
        input["VolumeSize"] = json!(1);
        assert_eq!(api.refused(input.clone()).await, invalid(reason), "{input}");
    }
    let key_of = |answer: Value| answer.get("KmsKeyArn").cloned();
    let start = async |input: Value| key_of(api.start(input).await.unwrap());
    assert_eq!(
        start(json!({"VolumeSize": 1, "Encrypted": true})).await,
        Some(json!(arn("ebs")))
    );
    assert_eq!(
        start(json!({"VolumeSize": 1, "Encrypted": false})).await,
        None
    );
    api.encrypt_by_default();
    assert_eq!(
        start(json!({"VolumeSize": 1})).await,
        Some(json!(arn("ebs")))
    );
}

#[tokio::test]
async fn parents() {
    let api = Api::new();
    let parent = api.completed(json!({"VolumeSize": 2}), &[(0, 1)]).await;
    let pending = api.started(json!({})).await;
    let with = |id: &str| json!({"VolumeSize": 2, "ParentSnapshotId": id});
    assert_eq!(
        api.refused(with("snap-00000000000000000")).await,
        (
            404,
            "ResourceNotFoundException".to_owned(),
            Some("SNAPSHOT_NOT_FOUND")
        )
    );
    assert_eq!(
        api.refused(with(&pending)).await,
        invalid("INVALID_SNAPSHOT_ID")
    );
    assert_eq!(
        api.refused(json!({"VolumeSize": 1, "ParentSnapshotId": parent}))
            .await,
        invalid("INVALID_VOLUME_SIZE")
    );
    for (name, value) in [
        ("Encrypted", json!(true)),
        ("Encrypted", json!(false)),
        ("KmsKeyArn", json!(arn(KEY))),
    ] {
        let mut input = with(&parent);
        input[name] = value;
        assert_eq!(
            api.refused(input).await,
            invalid("INVALID_PARAMETER_VALUE"),
            "{name}"
        );
    }
    let answer = api.start(with(&parent)).await.unwrap();
    assert_eq!(answer["ParentSnapshotId"], json!(parent));
    assert_eq!(answer["SseType"], "none");

    // Another account's, and another region's.
    let elsewhere = Api {
        caller: caller_of("111111111111", "eu-west-1"),
        ..api
    };
    assert_eq!(
        elsewhere.refused(with(&parent)).await.2,
        Some("SNAPSHOT_NOT_FOUND")
    );
    let other = Api {
        caller: caller_of("222222222222", "us-east-1"),
        ..elsewhere
    };
    assert_eq!(
        other.refused(with(&parent)).await.2,
        Some("SNAPSHOT_NOT_FOUND")
    );
    other.edit(&parent, |it| {
        it.permissions.accounts.insert(other.caller.account.clone());
    });
    other.start(with(&parent)).await.unwrap();
    // With encryption by default nothing plain can be built upon.
    other.encrypt_by_default();
    assert_eq!(
        other.refused(with(&parent)).await,
        invalid("INVALID_PARAMETER_VALUE")
    );
}

#[tokio::test]
async fn a_child_inherits_its_parents_key_and_noise() {
    let api = Api::new();
    let input = json!({"Encrypted": true, "KmsKeyArn": arn(KEY)});
    let parent = api.completed(input, &[(0, 1)]).await;
    let child = api
        .start(json!({"VolumeSize": 1, "ParentSnapshotId": parent}))
        .await
        .unwrap();
    assert_eq!(child["KmsKeyArn"], json!(arn(KEY)));
    let records = api
        .world
        .services
        .store
        .read(|world| world.snapshots.clone());
    let (child, parent_record) = (&records[&id(&child)], &records[&parent]);
    assert!(child.encrypted);
    assert_eq!(child.blank, Blank::Noise);
    assert_eq!(child.layers[1..], parent_record.layers);
    // The key has to be usable still.
    api.edit(&parent, |it| it.kms_key = Some(arn(DISABLED)));
    assert_eq!(
        api.refused(json!({"VolumeSize": 1, "ParentSnapshotId": parent}))
            .await,
        (
            403,
            "AccessDeniedException".to_owned(),
            Some("DEPENDENCY_ACCESS_DENIED")
        )
    );
}

#[tokio::test]
async fn a_client_token_makes_it_idempotent() {
    let api = Api::new();
    let input = json!({"VolumeSize": 1, "ClientToken": "t", "Tags": [{"Key": "a"}]});
    let first = api.start(input.clone()).await.unwrap();
    api.world.clock.advance(Duration::minutes(5));
    assert_eq!(api.start(input.clone()).await.unwrap(), first);
    assert_eq!(api.snapshots(), 1);
    assert_eq!(api.layer_files(), 2);
    let other = json!({"VolumeSize": 2, "ClientToken": "t", "Tags": [{"Key": "a"}]});
    assert_eq!(
        api.refused(other).await,
        (409, "ConflictException".to_owned(), None)
    );
    let tags = json!({"VolumeSize": 1, "ClientToken": "t"});
    assert_eq!(api.refused(tags).await.0, 409);
    // A token is its account's and region's own.
    let api = Api {
        caller: caller_of("222222222222", "us-east-1"),
        ..api
    };
    assert_ne!(api.start(input.clone()).await.unwrap(), first);
    let api = Api {
        caller: caller_of("111111111111", "eu-west-1"),
        ..api
    };
    assert_ne!(api.start(input).await.unwrap(), first);
}

#[tokio::test]
async fn time_runs_out() {
    let api = Api::new();
    let id = api.started(json!({"Timeout": 10})).await;
    let state = || {
        crate::ebs::expire(&api.world.services).unwrap();
        api.world
            .services
            .store
            .read(|world| world.snapshots[&id].state.clone())
    };
    api.world.clock.advance(Duration::minutes(9));
    assert_eq!(state(), SnapshotState::Pending);
    // A block starts it anew.
    api.put(&id, 0, block(1)).await.unwrap();
    api.world.clock.advance(Duration::minutes(9));
    api.put(&id, 0, block(2)).await.unwrap();
    api.world.clock.advance(Duration::minutes(11));
    let late = fault(api.put(&id, 1, block(3)).await.err().unwrap());
    assert_eq!(late, invalid("INVALID_SNAPSHOT_ID"));
    let SnapshotState::Error { message } = state() else {
        unreachable!("{:?}", state())
    };
    assert!(message.contains("timed out"), "{message}");
    let late = fault(api.complete(&id, 1, None).await.err().unwrap());
    assert_eq!(late, invalid("INVALID_SNAPSHOT_ID"));
}
