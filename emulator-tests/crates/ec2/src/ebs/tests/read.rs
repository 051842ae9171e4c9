use crate::ebs::testing::*;
use emulator_protocol::AwsError;
use emulator_testing::{DISABLED, caller_of};
use serde_json::{Value, json};
use time::Duration;

fn error<T>(result: Result<T, AwsError>) -> (u16, String, Option<&'static str>) {
    fault(result.err().unwrap())
}

fn encoded(token: &str) -> String {
    form_urlencoded::byte_serialize(token.as_bytes()).collect()
}

#[tokio::test]
async fn a_block_token_is_for_one_block_and_seven_days() {
    let api = Api::new();
    let id = api.completed(json!({}), &[(0, 1), (1, 1)]).await;
    let other = api.completed(json!({}), &[(0, 1)]).await;
    let blocks = api.blocks(&id).await;
    let token = blocks[0].1.as_str();
    assert!(token.len() <= 256);
    let bad = invalid("INVALID_BLOCK_TOKEN");
    assert_eq!(
        error(api.get(&id, 1, token).await),
        bad,
        "another block of the same content"
    );
    assert_eq!(
        error(api.get(&other, 0, token).await),
        bad,
        "another snapshot"
    );
    assert_eq!(
        error(api.get(&id, 2, token).await),
        bad,
        "a block that was never put"
    );
    for forged in [
        "AAAA",
        "?",
        &token[..40],
        &token.replace(&token[20..21], "/"),
    ] {
        assert_eq!(error(api.get(&id, 0, forged).await), bad, "{forged}");
    }
    let missing = api.get_json(&format!("/snapshots/{id}/blocks/0")).await;
    assert_eq!(error(missing), bad);
    assert_eq!(
        error(api.get(&id, 2048, token).await),
        invalid("INVALID_BLOCK")
    );

    api.world
        .clock
        .advance(Duration::days(7) - Duration::seconds(1));
    assert_eq!(api.get(&id, 0, token).await.unwrap().body, block(1));
    api.world.clock.advance(Duration::seconds(2));
    assert_eq!(error(api.get(&id, 0, token).await), bad);
}

#[tokio::test]
async fn tokens_outlive_the_process() {
    let mut api = Api::new();
    let id = api.completed(json!({}), &[(0, 1)]).await;
    let token = api.blocks(&id).await.remove(0).1;
    let services = &mut api.world.services;
    services.ebs = crate::ebs::State::open(
        api.world.dir.path(),
        &emulator_state::ids::Ids::new(99),
        services.clock.now(),
    )
    .unwrap();
    assert_eq!(api.get(&id, 0, &token).await.unwrap().body, block(1));
}

#[tokio::test]
async fn pages() {
    let api = Api::new();
    let blocks: Vec<(u32, u64)> = (0..250).map(|n| (n * 3, u64::from(n % 7))).collect();
    let id = api.completed(json!({}), &blocks).await;
    let path = format!("/snapshots/{id}/blocks");
    for bad in ["99", "10001", "0", "-100", "x"] {
        let page = api.get_json(&format!("{path}?maxResults={bad}")).await;
        assert_eq!(error(page), invalid("INVALID_PARAMETER_VALUE"), "{bad}");
    }
    let mut seen = Vec::new();
    let mut query = "maxResults=100&startingBlockIndex=4".to_owned();
    loop {
        let page = api.get_json(&format!("{path}?{query}")).await.unwrap();
        assert_eq!(
            (&page["VolumeSize"], &page["BlockSize"]),
            (&json!(1), &json!(524_288))
        );
        let listed = page["Blocks"].as_array().unwrap();
        assert!(listed.len() <= 100);
        seen.extend(listed.iter().map(|it| it["BlockIndex"].as_u64().unwrap()));
        let Some(next) = page.get("NextToken").and_then(Value::as_str) else {
            break;
        };
        // The starting index is ignored where there is a token.
        query = format!(
            "maxResults=100&startingBlockIndex=700&pageToken={}",
            encoded(next)
        );
    }
    let expected: Vec<u64> = (2..250).map(|n| n * 3).collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_page_token_is_for_one_listing_and_an_hour() {
    let api = Api::new();
    let blocks: Vec<(u32, u64)> = (0..101).map(|n| (n, 1)).collect();
    let id = api.completed(json!({}), &blocks).await;
    let other = api.completed(json!({"ParentSnapshotId": id}), &[]).await;
    let page = api
        .get_json(&format!("/snapshots/{id}/blocks?maxResults=100"))
        .await
        .unwrap();
    let token = page["NextToken"].as_str().unwrap().to_owned();
    assert!(token.len() <= 256);
    let bad = invalid("INVALID_PAGE_TOKEN");
    let token = encoded(&token);
    for path in [
        format!("/snapshots/{other}/blocks?pageToken={token}"),
        format!("/snapshots/{id}/changedblocks?pageToken={token}"),
        format!("/snapshots/{id}/blocks?pageToken=AAAA"),
        format!("/snapshots/{id}/blocks?pageToken=%00"),
    ] {
        assert_eq!(error(api.get_json(&path).await), bad, "{path}");
    }
    let path = format!("/snapshots/{id}/blocks?pageToken={token}");
    api.world.clock.advance(Duration::minutes(60));
    assert_eq!(
        api.get_json(&path).await.unwrap()["Blocks"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    api.world.clock.advance(Duration::seconds(1));
    assert_eq!(error(api.get_json(&path).await), bad);
}

#[tokio::test]
async fn only_completed_snapshots_of_ones_own_or_shared_are_read() {
    let api = Api::new();
    let pending = api.started(json!({})).await;
    let id = api.completed(json!({"Encrypted": true}), &[(0, 1)]).await;
    let token = api.blocks(&id).await.remove(0).1;
    for path in ["blocks", "changedblocks"] {
        let listed = api.get_json(&format!("/snapshots/{pending}/{path}")).await;
        assert_eq!(error(listed), invalid("INVALID_SNAPSHOT_ID"));
    }
    let api = Api {
        caller: caller_of("222222222222", "us-east-1"),
        ..api
    };
    let path = format!("/snapshots/{id}/blocks");
    assert_eq!(
        error(api.get_json(&path).await).2,
        Some("SNAPSHOT_NOT_FOUND")
    );
    assert_eq!(
        error(api.get(&id, 0, &token).await).2,
        Some("SNAPSHOT_NOT_FOUND")
    );
    api.edit(&id, |it| {
        it.permissions.accounts.insert(api.caller.account.clone());
    });
    assert_eq!(api.blocks(&id).await.len(), 1);
    // The key of an encrypted one has to be usable still.
    api.edit(&id, |it| {
        it.kms_key = Some(format!("arn:aws:kms:us-east-1:111111111111:key/{DISABLED}"));
    });
    let denied = (
        403,
        "AccessDeniedException".to_owned(),
        Some("DEPENDENCY_ACCESS_DENIED"),
    );
    assert_eq!(error(api.get_json(&path).await), denied);
    assert_eq!(error(api.get(&id, 0, &token).await), denied);
}

#[tokio::test]
async fn a_child_reads_as_its_parent_where_nothing_was_put() {
    let api = Api::new();
    let parent = api.completed(json!({}), &[(0, 1), (1, 2)]).await;
    let child = api
        .completed(json!({"ParentSnapshotId": parent}), &[(1, 3), (2, 4)])
        .await;
    let mut read = Vec::new();
    for (index, token) in api.blocks(&child).await {
        read.push((index, api.get(&child, index, &token).await.unwrap().body));
    }
    assert_eq!(read, [(0, block(1)), (1, block(3)), (2, block(4))]);
}

#[tokio::test]
async fn changed_blocks() {
    let api = Api::new();
    let root = api.completed(json!({}), &[(0, 1), (1, 2), (2, 3)]).await;
    // 1 changes, 2 is put again as it was, 3 is new.
    let more = json!({"ParentSnapshotId": root, "VolumeSize": 2});
    let child = api.completed(more, &[(1, 9), (2, 3), (3, 4)]).await;
    let sibling = api
        .completed(json!({"ParentSnapshotId": root}), &[(0, 7)])
        .await;
    let stranger = api.completed(json!({}), &[(0, 1)]).await;
    let changed = async |first: &str, second: &str| {
        let path = format!("/snapshots/{second}/changedblocks?firstSnapshotId={first}");
        let listed = api.get_json(&path).await?;
        let shape: Vec<(u64, bool, bool)> = listed["ChangedBlocks"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| {
                let has = |name| it.get(name).is_some();
                let index = it["BlockIndex"].as_u64().unwrap();
                (index, has("FirstBlockToken"), has("SecondBlockToken"))
            })
            .collect();
        Ok::<_, AwsError>((listed, shape))
    };
    let (listed, shape) = changed(&root, &child).await.unwrap();
    assert_eq!(shape, [(1, true, true), (3, false, true)]);
    assert_eq!(listed["VolumeSize"], 2);
    let token = |name: &str| {
        listed["ChangedBlocks"][0][name]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let first = api.get(&root, 1, &token("FirstBlockToken")).await.unwrap();
    let second = api
        .get(&child, 1, &token("SecondBlockToken"))
        .await
        .unwrap();
    assert_eq!((first.body, second.body), (block(2), block(9)));

    let shape = |result: Result<(Value, Vec<_>), AwsError>| result.unwrap().1;
    assert_eq!(
        shape(changed(&child, &root).await),
        [(1, true, true), (3, true, false)]
    );
    assert_eq!(
        shape(changed(&sibling, &child).await),
        [(0, true, true), (1, true, true), (3, false, true)]
    );
    assert_eq!(shape(changed(&child, &child).await), []);
    assert_eq!(
        error(changed(&stranger, &child).await),
        invalid("UNRELATED_SNAPSHOTS")
    );
    assert_eq!(
        error(changed("snap-00000000000000000", &child).await).2,
        Some("SNAPSHOT_NOT_FOUND")
    );
    // Without a first one, all there is.
    let listed = api
        .get_json(&format!("/snapshots/{child}/changedblocks"))
        .await
        .unwrap();
    assert_eq!(listed["ChangedBlocks"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn what_is_public_is_hidden_while_its_owner_blocks_that() {
    let api = Api::new();
    let id = api.completed(json!({}), &[(0, 1)]).await;
    api.edit(&id, |it| it.permissions.public = true);
    let mut settings =
        emulator_state::world::Settings::new(api.caller.account.clone(), api.caller.region.clone());
    let api = Api {
        caller: caller_of("222222222222", "us-east-1"),
        ..api
    };
    let child = json!({"VolumeSize": 1, "ParentSnapshotId": id});
    assert_eq!(api.blocks(&id).await.len(), 1);
    api.start(child.clone()).await.unwrap();
    settings.snapshot_sharing = emulator_state::world::PublicSharing::BlockAll;
    api.world
        .services
        .store
        .write(|_, changes| {
            changes.push(emulator_state::world::Change::Settings(settings));
            Ok(())
        })
        .unwrap();
    let hidden = Some("SNAPSHOT_NOT_FOUND");
    let listed = api.get_json(&format!("/snapshots/{id}/blocks")).await;
    assert_eq!(error(listed).2, hidden);
    assert_eq!(error(api.start(child).await).2, hidden);
}

#[tokio::test]
async fn a_full_size_counts_each_block_once() {
    let api = Api::new();
    let parent = api.completed(json!({}), &[(0, 1), (5, 1), (2047, 2)]).await;
    let with = json!({"ParentSnapshotId": parent});
    let child = api.completed(with, &[(0, 9), (1, 9)]).await;
    for (id, blocks) in [(parent, 3), (child, 4)] {
        let size = api
            .world
            .services
            .store
            .read(|world| world.snapshots[&id].full_size);
        assert_eq!(size, blocks * 524_288);
    }
}
