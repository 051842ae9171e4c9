use super::*;
use emulator_testing::{self as testing, StsDoes, TestClock, TestSts};
use time::macros::datetime;

struct Bench {
    roles: Roles,
    sts: Arc<TestSts>,
    clock: Arc<TestClock>,
}

fn bench() -> Bench {
    let (sts, clock) = (Arc::new(TestSts::default()), testing::state().clock);
    Bench {
        roles: Roles::new(sts.clone(), clock.clone()),
        sts,
        clock,
    }
}

fn instance(profile: Option<&str>) -> Instance {
    let now = datetime!(2026-01-01 00:00 UTC);
    let mut instance = testing::instance(&testing::caller(), "i-1", now);
    instance.profile = profile.map(testing::profile);
    instance
}

impl Bench {
    async fn status(&self) -> Result<RoleStatus, AwsError> {
        self.roles.status(&instance(Some("web"))).await
    }

    async fn key(&self) -> String {
        match self.status().await {
            Ok(RoleStatus::Given(given)) => given.access_key_id,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn new_credentials_come_well_before_the_old_ones_end() {
    let bench = bench();
    let start = bench.clock.now();
    let RoleStatus::Given(first) = bench.status().await.unwrap() else {
        panic!("no credentials");
    };
    assert_eq!(
        (&*first.role, &*first.access_key_id),
        ("web-role", "web-role-0")
    );
    assert_eq!(first.updated, start);
    assert_eq!(first.expires, start + Duration::hours(1));
    bench.clock.advance(Duration::minutes(44));
    assert_eq!(bench.status().await.unwrap(), RoleStatus::Given(first));
    // AWS promises them five minutes before.
    bench.clock.advance(Duration::minutes(1));
    let RoleStatus::Given(second) = bench.status().await.unwrap() else {
        panic!("no credentials");
    };
    assert_eq!(second.access_key_id, "web-role-1");
    assert_eq!(second.updated, start + Duration::minutes(45));
    assert_eq!(second.expires, start + Duration::minutes(105));
    assert_eq!(bench.key().await, "web-role-1");
}

#[tokio::test]
async fn what_is_not_renewed_is_good_to_its_end() {
    for does in [StsDoes::Fails, StsDoes::Refuses] {
        let bench = bench();
        assert_eq!(bench.key().await, "web-role-0");
        bench.sts.does(does);
        for minutes in [45, 14] {
            bench.clock.advance(Duration::minutes(minutes));
            assert_eq!(bench.key().await, "web-role-0");
        }
        bench.clock.advance(Duration::minutes(1));
        match (does, bench.status().await) {
            (StsDoes::Fails, Err(error)) => assert_eq!(error.status, 503),
            (_, Ok(RoleStatus::Refused { role, why })) => {
                assert_eq!((&*role, &*why.code), ("web-role", "AccessDenied"));
            }
            (_, other) => panic!("{other:?}"),
        }
        bench.sts.does(StsDoes::Gives);
        assert_eq!(bench.key().await, "web-role-1");
    }
}

#[tokio::test]
async fn an_sts_that_hangs_keeps_nobody_waiting_while_credentials_are_good() {
    let mut bench = bench();
    bench.roles.waits = std::time::Duration::from_millis(1);
    assert_eq!(bench.key().await, "web-role-0");
    bench.sts.does(StsDoes::Hangs);
    bench.clock.advance(Duration::minutes(50));
    // The second finds that the first asks still.
    for _ in 0..2 {
        assert_eq!(bench.key().await, "web-role-0");
    }
    assert!(bench.roles.turns.try_lock().is_err());
}

#[tokio::test]
async fn who_hangs_up_has_asked_all_the_same() {
    let bench = bench();
    // The first look of a future is where it begins to wait; then it is dropped, as with a client's
    // connection.
    tokio::select! {
        biased;
        _ = bench.status() => panic!("at once"),
        () = std::future::ready(()) => {}
    }
    assert_eq!(bench.key().await, "web-role-0");
    assert_eq!(bench.key().await, "web-role-0");
}

#[tokio::test]
async fn a_role_that_leaves_the_profile_goes_at_the_next_renewal() {
    let bench = bench();
    assert_eq!(bench.key().await, "web-role-0");
    bench.sts.change("web", None);
    assert_eq!(bench.key().await, "web-role-0");
    bench.clock.advance(Duration::minutes(45));
    for _ in 0..2 {
        assert_eq!(bench.status().await.unwrap(), RoleStatus::NoRole);
    }
    // They don't come back with another role, nor when that one can't be asked for.
    bench.sts.change("web", Some("other-role"));
    bench.sts.does(StsDoes::Fails);
    assert_eq!(bench.status().await.unwrap_err().status, 503);
    bench.sts.does(StsDoes::Gives);
    assert_eq!(bench.key().await, "other-role-1");
}

#[tokio::test]
async fn a_profile_that_was_made_again_is_another_one() {
    let bench = bench();
    assert_eq!(bench.key().await, "web-role-0");
    let change = |id: Option<&str>| {
        let mut profiles = bench.sts.profiles.lock().unwrap();
        match id {
            Some(id) => profiles.get_mut("web").unwrap().id = id.to_owned(),
            None => drop(profiles.remove("web")),
        }
    };
    bench.clock.advance(Duration::minutes(45));
    for id in [Some("AIPA2"), None] {
        change(id);
        assert_eq!(bench.status().await.unwrap(), RoleStatus::ProfileGone);
    }
}

#[tokio::test]
async fn credentials_are_of_the_profile_that_the_instance_has() {
    let bench = bench();
    let status = async |profile| bench.roles.status(&instance(profile)).await.unwrap();
    let role = async |profile| match status(profile).await {
        RoleStatus::Given(given) => given.role,
        other => panic!("{other:?}"),
    };
    assert_eq!(status(None).await, RoleStatus::NoProfile);
    assert_eq!(status(Some("bare")).await, RoleStatus::NoRole);
    assert_eq!(role(Some("web")).await, "web-role");
    assert_eq!(role(Some("db")).await, "db-role");
    assert_eq!(status(None).await, RoleStatus::NoProfile);
}
