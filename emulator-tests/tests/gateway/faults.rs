//! What rules do to requests, one of each kind.

use super::host::Host;
use emulator_tests::gateway::Limits;
use emulator_tests::gateway::fault::{Fault, Refused, Rule, Side, When};
use std::time::{Duration, Instant};

fn rule(service: &str, operation: &str, when: When, fault: Fault) -> Rule {
    Rule {
        service: service.to_owned(),
        operation: Some(operation.to_owned()),
        account: None,
        resource: None,
        when,
        limit: None,
        fault,
    }
}

fn s3_put(fault: Fault) -> Rule {
    rule("s3", "PutObject", When::Always, fault)
}

#[tokio::test]
async fn errors_come_when_the_rule_says_and_are_counted() {
    let host = Host::start().await;
    let admin = host.admin();
    let slow_down = Fault::Error(Refused::default());
    let added = admin
        .add_fault(&rule("s3", "PutObject", When::Every(3), slow_down))
        .await
        .unwrap();
    let mut statuses = Vec::new();
    for _ in 0..6 {
        statuses.push(host.call("s3", "PUT /b/k", "x").await.status.as_u16());
    }
    assert_eq!(statuses, [200, 200, 503, 200, 200, 503]);
    // Not performed, and of no other operation.
    assert_eq!(host.behind.count(), 4);
    assert_eq!(host.call("s3", "GET /b/k", "").await.status.as_u16(), 200);
    let list = admin.faults().await.unwrap();
    assert_eq!((list[0].matched, list[0].fired), (6, 2));
    // Kept.
    let host = Host::start_on(host.stop().await, Limits::default()).await;
    let list = host.admin().faults().await.unwrap();
    assert_eq!((list[0].matched, list[0].fired), (6, 2));
    assert_eq!(list[0].id, added.id);
    host.admin().remove_fault(&added.id).await.unwrap();
    assert!(host.admin().remove_fault(&added.id).await.is_err());
    assert_eq!(host.admin().faults().await.unwrap(), []);
}

#[tokio::test]
async fn throttles_have_the_services_own_codes() {
    let host = Host::start().await;
    let throttled = Fault::Error(Refused {
        reason: Some("ACCOUNT_THROTTLED".to_owned()),
        ..Refused::default()
    });
    let put = rule("ebs", "PutSnapshotBlock", When::Always, throttled);
    host.admin().add_fault(&put).await.unwrap();
    let limited = rule(
        "ec2",
        "DescribeVpcs",
        When::Always,
        Fault::Error(Refused::default()),
    );
    host.admin().add_fault(&limited).await.unwrap();
    let answer = host
        .call("ebs", "PUT /snapshots/snap-1/blocks/0", "x")
        .await;
    assert_eq!(answer.status.as_u16(), 400);
    assert_eq!(
        answer.headers["x-amzn-errortype"],
        "RequestThrottledException"
    );
    assert!(
        answer.body.contains("\"Reason\":\"ACCOUNT_THROTTLED\""),
        "{answer:?}"
    );
    let answer = host.call("ec2", "POST /", "Action=DescribeVpcs").await;
    assert!(
        answer.body.contains("<Code>RequestLimitExceeded</Code>"),
        "{answer:?}"
    );
    assert_eq!(answer.status.as_u16(), 503);
    let slow_down = s3_put(Fault::Error(Refused::default()));
    host.admin().add_fault(&slow_down).await.unwrap();
    let answer = host.call("s3", "PUT /b/k", "x").await;
    assert!(answer.body.contains("<Code>SlowDown</Code>"), "{answer:?}");
}

#[tokio::test]
async fn a_connection_is_cut_in_the_middle_of_a_request_or_an_answer() {
    let host = Host::start().await;
    let cut = |side| Fault::Cut {
        side,
        after_bytes: 1000,
    };
    host.admin()
        .add_fault(&s3_put(cut(Side::Request)))
        .await
        .unwrap();
    let get = rule("s3", "GetObject", When::Always, cut(Side::Answer));
    host.admin().add_fault(&get).await.unwrap();
    let put = host
        .call_with("s3", "PUT /b/k", &[], vec![1; 1 << 20])
        .await;
    assert!(put.is_err(), "{put:?}");
    assert_eq!(host.behind.count(), 0, "nothing is performed");
    let got = host.call_with("s3", "GET /blob/100000", &[], "").await;
    assert!(got.is_err(), "{got:?}");
    assert_eq!(host.behind.count(), 1);
    // An answer that is shorter is cut too.
    assert!(host.call_with("s3", "GET /b/k", &[], "").await.is_err());
    host.admin().clear_faults().await.unwrap();
    assert_eq!(host.call("s3", "PUT /b/k", "x").await.status.as_u16(), 200);
}

#[tokio::test]
async fn an_answer_is_lost_after_the_work_is_done() {
    let host = Host::start().await;
    let once = Rule {
        limit: Some(1),
        ..s3_put(Fault::Lose)
    };
    host.admin().add_fault(&once).await.unwrap();
    assert!(host.call_with("s3", "PUT /b/k", &[], "x").await.is_err());
    assert_eq!(host.behind.last().length, 1);
    assert_eq!(host.call("s3", "PUT /b/k", "x").await.status.as_u16(), 200);
}

#[tokio::test]
async fn one_byte_is_another() {
    let host = Host::start().await;
    let corrupt = |side| Fault::Corrupt { side, offset: 1 };
    host.admin()
        .add_fault(&s3_put(corrupt(Side::Request)))
        .await
        .unwrap();
    let get = rule("s3", "GetObject", When::Always, corrupt(Side::Answer));
    host.admin().add_fault(&get).await.unwrap();
    host.call("s3", "PUT /b/k", "abc").await;
    // `acc`
    assert_eq!(
        host.behind.last().sha256,
        "414322309db5c06d090a2e922ccc3e00708c993b9b96405de127b7fd8da2dd21"
    );
    assert_eq!(host.call("s3", "GET /b/k", "").await.body, "hdre");
}

#[tokio::test]
async fn a_slow_link_takes_its_time() {
    let host = Host::start().await;
    let slow = |side| Fault::Slow {
        side,
        bytes_per_second: 100_000,
    };
    host.admin()
        .add_fault(&s3_put(slow(Side::Request)))
        .await
        .unwrap();
    let get = rule("s3", "GetObject", When::Always, slow(Side::Answer));
    host.admin().add_fault(&get).await.unwrap();
    let delay = Fault::Delay { milliseconds: 300 };
    let head = rule("kms", "ListKeys", When::Always, delay);
    host.admin().add_fault(&head).await.unwrap();
    let target = [("x-amz-target", "TrentService.ListKeys")];
    for (service, line, body) in [
        ("s3", "PUT /b/k", vec![0; 40_000]),
        ("s3", "GET /blob/40000", vec![]),
        ("kms", "POST /", vec![]),
    ] {
        let start = Instant::now();
        let answer = host.call_with(service, line, &target, body).await.unwrap();
        assert_eq!(answer.status.as_u16(), 200);
        let took = start.elapsed();
        assert!(took >= Duration::from_millis(250), "{line}: {took:?}");
    }
    assert_eq!(host.behind.seen.lock().unwrap()[0].length, 40_000);
}

#[tokio::test]
async fn rules_choose_by_account_and_resource() {
    let host = Host::start().await;
    let fault = Fault::Error(Refused::default());
    for (account, resource) in [(Some("222222222222"), None), (None, Some("vpc-other"))] {
        let rule = Rule {
            account: account.map(str::to_owned),
            resource: resource.map(str::to_owned),
            ..rule("ec2", "DescribeVpcs", When::Always, fault.clone())
        };
        host.admin().add_fault(&rule).await.unwrap();
    }
    let answer = host
        .call("ec2", "POST /", "Action=DescribeVpcs&VpcId.1=vpc-1")
        .await;
    assert_eq!(answer.status.as_u16(), 200);
    let answer = host
        .call("ec2", "POST /", "Action=DescribeVpcs&VpcId.1=vpc-other")
        .await;
    assert_eq!(answer.status.as_u16(), 503);
    let matched: Vec<u64> = host
        .admin()
        .faults()
        .await
        .unwrap()
        .iter()
        .map(|it| it.matched)
        .collect();
    assert_eq!(matched, [0, 1]);
}

#[tokio::test]
async fn what_is_no_rule_is_refused() {
    let host = Host::start().await;
    let bad = s3_put(Fault::Error(Refused {
        status: Some(200),
        ..Refused::default()
    }));
    let error = host.admin().add_fault(&bad).await.unwrap_err();
    assert!(error.to_string().contains("200"), "{error}");
    for body in [
        "",
        "{}",
        "[]",
        "{\"service\":\"s3\",\"fault\":\"explode\"}",
        "\u{0}",
    ] {
        let answer = host
            .call("s3", "POST /_emulator/faults", body.to_owned())
            .await;
        assert_eq!(answer.status.as_u16(), 400, "{body}");
    }
    assert_eq!(host.admin().faults().await.unwrap(), []);
}
