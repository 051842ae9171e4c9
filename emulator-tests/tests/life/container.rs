//! LocalStack in a container; skipped, and said so, where there is no engine or no image.

use crate::command::{env, foreground};
use crate::host::{
    assert_listens_on_loopback_only, assert_loopback_only, builder, eventually, has_container,
    state,
};
use emulator_localstack::{Choice, DEFAULT_IMAGE, Kind, Lease};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::tempdir;

/// Our containers that mount this directory.
fn containers_of(data: &Path) -> String {
    let lease = data.join("localstack/lease");
    let filter = format!("label=emulator-tests.lease={}", lease.display());
    let out = Command::new("docker")
        .args(["ps", "--all", "--quiet", "--filter", &filter])
        .output()
        .unwrap();
    assert!(out.status.success());
    String::from_utf8(out.stdout).unwrap()
}

#[test]
fn a_dropped_emulator_leaves_no_container() {
    if !has_container() {
        return;
    }
    // What `auto` takes, too.
    let emulator = builder(Choice::Auto).start().unwrap();
    let parts = emulator.parts().clone();
    assert_eq!(parts.kind, Kind::Container);
    assert_loopback_only(parts.localstack);
    assert_loopback_only(parts.address);
    assert_listens_on_loopback_only(std::process::id());
    assert_eq!(containers_of(&parts.data).lines().count(), 1);
    drop(emulator);
    assert_eq!(containers_of(&parts.data), "");
}

#[test]
fn state_survives_in_both_ways_and_from_one_to_the_other() {
    if !has_container() {
        return;
    }
    let dir = tempdir().unwrap();
    let (data, ids) = (dir.path().join("data"), dir.path().join("ids.json"));
    let emulator = builder(Choice::Container).data(&data).start().unwrap();
    state(emulator.env(), "put", &ids);
    drop(emulator);
    // Once through a container that only passes it on, then as a process.
    drop(builder(Choice::Container).data(&data).start().unwrap());
    let emulator = builder(Choice::Process).data(&data).start().unwrap();
    state(emulator.env(), "check", &ids);
}

#[test]
fn a_killed_parent_leaves_no_container_and_loses_no_state() {
    if !has_container() {
        return;
    }
    let dir = tempdir().unwrap();
    let (data, ids) = (dir.path().join("data"), dir.path().join("ids.json"));
    let mut parent = foreground(&data, "container");
    state(env(&parent.wait_until_ready()), "put", &ids);
    assert_eq!(containers_of(&data).lines().count(), 1);
    let since = Instant::now();
    parent.kill();
    eventually("the container's end", || containers_of(&data).is_empty());
    assert!(
        since.elapsed() < Duration::from_secs(45),
        "{:?}",
        since.elapsed()
    );
    let mut parent = foreground(&data, "container");
    state(env(&parent.wait_until_ready()), "check", &ids);
    parent.kill();
    eventually("the container's end", || containers_of(&data).is_empty());
}

/// Makes a container as if it were of the emulator that has this directory.
fn create(data: &Path) {
    let lease = data.join("localstack/lease");
    let label = format!("emulator-tests.lease={}", lease.display());
    let out = Command::new("docker")
        .args(["create", "--label", &label, DEFAULT_IMAGE])
        .output()
        .unwrap();
    assert!(out.status.success(), "{out:?}");
}

#[test]
fn containers_of_dead_parents_are_removed_at_the_next_start() {
    if !has_container() {
        return;
    }
    let dir = tempdir().unwrap();
    let [dead, removed, alive] = ["dead", "removed", "alive"].map(|name| dir.path().join(name));
    for data in [&dead, &removed, &alive] {
        std::fs::create_dir_all(data.join("localstack")).unwrap();
        create(data);
    }
    drop(Lease::try_take(&dead.join("localstack/lease")).unwrap());
    std::fs::remove_dir_all(&removed).unwrap();
    let lease = Lease::try_take(&alive.join("localstack/lease")).unwrap();
    let start = || drop(builder(Choice::Container).start().unwrap());
    start();
    assert_eq!(containers_of(&dead), "");
    assert_eq!(containers_of(&removed), "");
    assert_eq!(containers_of(&alive).lines().count(), 1);
    drop(lease);
    start();
    assert_eq!(containers_of(&alive), "");
}

#[test]
fn a_damaged_state_file_is_refused_by_name() {
    if !has_container() {
        return;
    }
    let dir = tempdir().unwrap();
    let state = dir.path().join("localstack/state");
    std::fs::create_dir_all(&state).unwrap();
    std::fs::write(state.join("sqs.state"), "emulator").unwrap();
    let Err(error) = builder(Choice::Container).data(dir.path()).start() else {
        panic!("a damaged file was loaded");
    };
    let text = error.to_string();
    assert!(text.contains("sqs.state is not a state file"), "{text}");
    eventually("its end", || containers_of(dir.path()).is_empty());
}
