//! Random sequences of calls and restarts, against a model that fits on a page.

use crate::ebs::testing::*;
use emulator_state::ids::Ids;
use emulator_state::layers::Layers;
use emulator_state::world::Store;
use proptest::prelude::*;
use proptest::test_runner::Config;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use time::Duration;

#[derive(Clone, Debug)]
enum Step {
    /// With the nth snapshot as its parent.
    Start {
        parent: Option<usize>,
    },
    Put {
        snapshot: usize,
        index: u32,
        number: u64,
        honest: bool,
    },
    Complete {
        snapshot: usize,
        off: u32,
        checksum: bool,
    },
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let nth = 0..4_usize;
    prop_oneof![
        2 => proptest::option::of(nth.clone()).prop_map(|parent| Step::Start { parent }),
        8 => (nth.clone(), prop_oneof![0..6_u32, 2040..2050_u32], 0..5_u64, proptest::bool::weighted(0.9))
            .prop_map(|(snapshot, index, number, honest)| Step::Put { snapshot, index, number, honest }),
        3 => (nth, prop_oneof![4 => Just(0), 1 => Just(1)], any::<bool>())
            .prop_map(|(snapshot, off, checksum)| Step::Complete { snapshot, off, checksum }),
        1 => Just(Step::Restart),
    ]
}

/// A snapshot as the model has it.
#[derive(Clone, Default)]
struct Model {
    id: String,
    parent: Option<usize>,
    blocks: BTreeMap<u32, u64>,
    completed: bool,
}

/// What all of the nth snapshot reads as.
fn content(models: &[Model], nth: usize) -> BTreeMap<u32, u64> {
    let mut content = models[nth]
        .parent
        .map_or_else(BTreeMap::new, |it| content(models, it));
    content.extend(&models[nth].blocks);
    content
}

async fn run(steps: Vec<Step>) {
    let mut api = Api::new();
    let mut models: Vec<Model> = Vec::new();
    for step in steps {
        match step {
            Step::Start { parent } => {
                let parent = parent.filter(|nth| *nth < models.len());
                let mut input = json!({"VolumeSize": 1});
                if let Some(nth) = parent {
                    input["ParentSnapshotId"] = json!(models[nth].id);
                }
                let started = api.start(input).await;
                let fine = parent.is_none_or(|nth| models[nth].completed);
                assert_eq!(started.is_ok(), fine);
                if let Ok(answer) = started {
                    models.push(Model {
                        id: id(&answer),
                        parent,
                        ..Model::default()
                    });
                }
            }
            Step::Put {
                snapshot,
                index,
                number,
                honest,
            } => {
                let Some(model) = models.get_mut(snapshot) else {
                    continue;
                };
                let sent = if honest { number } else { number + 100 };
                let path = format!("/snapshots/{}/blocks/{index}", model.id);
                let body = emulator_protocol::http::full(block(sent));
                let put = api
                    .call("PUT", &path, &put_headers(&block(number)), body)
                    .await;
                assert_eq!(put.is_ok(), honest && !model.completed && index < 2048);
                if put.is_ok() {
                    model.blocks.insert(index, number);
                }
            }
            Step::Complete {
                snapshot,
                off,
                checksum,
            } => {
                let Some(model) = models.get_mut(snapshot) else {
                    continue;
                };
                let blocks: Vec<Vec<u8>> = model.blocks.values().map(|it| block(*it)).collect();
                let count = u32::try_from(blocks.len()).unwrap() + off;
                let done = api
                    .complete(&model.id, count, checksum.then(|| linear(&blocks)))
                    .await;
                assert_eq!(done.is_ok(), off == 0 && !model.completed);
                model.completed |= done.is_ok();
                api.world.clock.advance(Duration::seconds(2));
            }
            Step::Restart => restart(&mut api),
        }
    }
    for (nth, model) in models.iter().enumerate().filter(|(_, it)| it.completed) {
        let mut read = BTreeMap::new();
        for (index, token) in api.blocks(&model.id).await {
            read.insert(index, api.get(&model.id, index, &token).await.unwrap().body);
        }
        let expected: BTreeMap<_, _> = content(&models, nth)
            .into_iter()
            .map(|(index, number)| (index, block(number)))
            .collect();
        assert!(read == expected, "{}", model.id);
    }
}

/// Nothing is kept but what is on disk.
fn restart(api: &mut Api) {
    let dir = api.world.dir.path().to_owned();
    let services = &mut api.world.services;
    services.ids = Ids::new(services.ids.number());
    services.store = std::sync::Arc::new(Store::open(&dir).unwrap());
    services.layers = Layers::open(dir.join("layers")).unwrap();
    services.ebs = crate::ebs::State::open(&dir, &services.ids, services.clock.now()).unwrap();
    let live: BTreeSet<String> = services.store.read(|world| {
        world
            .snapshots
            .values()
            .flat_map(|it| it.layers.iter().cloned())
            .collect()
    });
    assert_eq!(services.layers.collect_garbage(&live).unwrap(), 0);
}

proptest! {
    #![proptest_config(Config { cases: 32, failure_persistence: None, ..Config::default() })]

    #[test]
    fn behaves_like_its_model(steps in proptest::collection::vec(step(), 1..40)) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(run(steps));
    }
}
