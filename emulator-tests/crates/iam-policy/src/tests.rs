#![allow(clippy::unwrap_used)]

use super::*;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

const KEY: &str = "arn:aws:kms:us-east-1:111111111111:key/11111111-2222-3333-4444-555555555555";

/// What a vault's bucket has: TLS only, and nothing that is not encrypted with its key.
fn vault() -> Json {
    let objects = "arn:aws:s3:::vault/*";
    let put = |sid: &str, condition: Json| {
        json!({"Sid": sid, "Effect": "Deny", "Principal": "*", "Action": "s3:PutObject",
               "Resource": objects, "Condition": condition})
    };
    json!({"Version": "2012-10-17", "Statement": [
        {"Sid": "TlsOnly", "Effect": "Deny", "Principal": "*", "Action": "s3:*",
         "Resource": ["arn:aws:s3:::vault", objects],
         "Condition": {"Bool": {"aws:SecureTransport": "false"}}},
        put("OtherEncryption", json!({"StringNotEqualsIfExists":
            {"s3:x-amz-server-side-encryption": "aws:kms"}})),
        put("NoKey", json!({"Null": {"s3:x-amz-server-side-encryption-aws-kms-key-id": "true"}})),
        put("OtherKey", json!({"StringNotEquals":
            {"s3:x-amz-server-side-encryption-aws-kms-key-id": KEY}})),
    ]})
}

fn read(document: &Json) -> Result<Policy, Malformed> {
    parse(document.to_string().as_bytes())
}

fn asker(account: &str) -> Asker {
    Asker {
        account: account.to_owned(),
        arn: format!("arn:aws:iam::{account}:root"),
        role: None,
    }
}

fn context(values: &[(&str, &str)]) -> Context {
    let mut context = Context::default();
    for (key, value) in values {
        context.set(key, *value);
    }
    context
}

#[test]
fn the_vaults_policy() {
    let policy = read(&vault()).unwrap();
    check_for_bucket(&policy, "vault").unwrap();
    assert!(!is_public(&policy));
    let sse = "s3:x-amz-server-side-encryption";
    let id = "s3:x-amz-server-side-encryption-aws-kms-key-id";
    let tls = ("aws:SecureTransport", "true");
    let kms = (sse, "aws:kms");
    for (action, values, denied) in [
        ("s3:GetObject", vec![tls], None),
        (
            "s3:GetObject",
            vec![("aws:SecureTransport", "false")],
            Some("TlsOnly"),
        ),
        ("s3:PutObject", vec![tls, kms, (id, KEY)], None),
        (
            "s3:PutObject",
            vec![tls, kms, (id, "other")],
            Some("OtherKey"),
        ),
        ("s3:PutObject", vec![tls, kms], Some("NoKey")),
        // The bucket's default would encrypt this with the right key, but the policy does not
        // see that.
        ("s3:PutObject", vec![tls], Some("OtherEncryption")),
        (
            "s3:PutObject",
            vec![tls, (sse, "AES256")],
            Some("OtherEncryption"),
        ),
        (
            "S3:putobject",
            vec![tls, (sse, "AES256")],
            Some("OtherEncryption"),
        ),
    ] {
        let got = policy.judge(
            &asker("111111111111"),
            action,
            "arn:aws:s3:::vault/packs/x",
            &context(&values),
        );
        let want = denied.map_or(Decision::Silent, |sid| Decision::Denied(sid.to_owned()));
        assert_eq!(got, want, "{action} {values:?}");
    }
    let mut part = context(&[tls]);
    part.inherit(sse);
    part.inherit(id);
    let got = policy.judge(
        &asker("111111111111"),
        "s3:PutObject",
        "arn:aws:s3:::vault/x",
        &part,
    );
    assert_eq!(
        got,
        Decision::Silent,
        "a part of an upload that was begun with the right key"
    );
}

/// Each row: what is said of the encryption header, a request's header, and whether the deny
/// applies.
#[test]
fn ways_to_write_deny_of_other_encryption() {
    let key = "s3:x-amz-server-side-encryption";
    for (condition, header, denied) in [
        (json!({"StringNotEquals": {key: "aws:kms"}}), None, true),
        (
            json!({"StringNotEquals": {key: "aws:kms"}}),
            Some("AES256"),
            true,
        ),
        (
            json!({"StringNotEquals": {key: ["aws:kms", "aws:kms:dsse"]}}),
            Some("aws:kms"),
            false,
        ),
        (
            json!({"StringNotEqualsIfExists": {key: "aws:kms"}}),
            None,
            true,
        ),
        (json!({"Null": {key: "true"}}), None, true),
        (json!({"Null": {key: true}}), Some("AES256"), false),
        (
            json!({"Null": {key: "false"}, "StringNotEquals": {key: "aws:kms"}}),
            None,
            false,
        ),
        (
            json!({"Null": {key: "false"}, "StringNotEquals": {key: "aws:kms"}}),
            Some("x"),
            true,
        ),
        (json!({"StringEquals": {key: "AES256"}}), None, false),
        (
            json!({"ForAnyValue:StringNotEquals": {key: "aws:kms"}}),
            None,
            false,
        ),
    ] {
        let document = json!({"Version": "2012-10-17", "Statement": {"Effect": "Deny",
            "Principal": "*", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::b/*",
            "Condition": condition}});
        let values: Vec<_> = header.map(|value| (key, value)).into_iter().collect();
        let got = read(&document).unwrap().judge(
            &asker("111111111111"),
            "s3:PutObject",
            "arn:aws:s3:::b/k",
            &context(&values),
        );
        let is = got == Decision::Denied("number 1".to_owned());
        assert_eq!(is, denied, "{document} {header:?}");
    }
}

#[test]
fn principals() {
    let role = Asker {
        account: "222222222222".to_owned(),
        arn: "arn:aws:sts::222222222222:assumed-role/r/s".to_owned(),
        role: Some("arn:aws:iam::222222222222:role/r".to_owned()),
    };
    let other = asker("222222222222");
    for (principal, who, is) in [
        (json!("*"), &other, true),
        (json!({"AWS": "*"}), &other, true),
        (json!({"AWS": "222222222222"}), &other, true),
        (
            json!({"AWS": ["111111111111", "arn:aws:iam::222222222222:root"]}),
            &role,
            true,
        ),
        (
            json!({"AWS": "arn:aws:iam::222222222222:role/r"}),
            &role,
            true,
        ),
        (
            json!({"AWS": "arn:aws:sts::222222222222:assumed-role/r/s"}),
            &role,
            true,
        ),
        (
            json!({"AWS": "arn:aws:iam::222222222222:role/r"}),
            &other,
            false,
        ),
        (json!({"AWS": "333333333333"}), &other, false),
        (
            json!({"Service": "logging.s3.amazonaws.com"}),
            &other,
            false,
        ),
    ] {
        let statement = |name: &str, effect: &str| {
            json!({"Statement": [{"Sid": "S", "Effect": effect, name: principal, "NotAction":
                "s3:DeleteBucket", "Resource": "arn:aws:s3:::b/*"}]})
        };
        let judge = |document: Json| {
            let policy = read(&document).unwrap();
            policy.judge(who, "s3:GetObject", "arn:aws:s3:::b/k", &context(&[]))
        };
        let want = if is {
            Decision::Allowed
        } else {
            Decision::Silent
        };
        assert_eq!(judge(statement("Principal", "Allow")), want, "{principal}");
        let want = if is {
            Decision::Silent
        } else {
            Decision::Denied("S".to_owned())
        };
        assert_eq!(
            judge(statement("NotPrincipal", "Deny")),
            want,
            "not {principal}"
        );
    }
}

#[test]
fn variables_only_in_the_new_version() {
    let statement = json!({"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject",
        "Resource": "arn:aws:s3:::b/${aws:PrincipalAccount}/*"});
    let judge = |version: &str| {
        let document = json!({"Version": version, "Statement": [statement]});
        read(&document).unwrap().judge(
            &asker("222222222222"),
            "s3:GetObject",
            "arn:aws:s3:::b/222222222222/k",
            &context(&[("aws:PrincipalAccount", "222222222222")]),
        )
    };
    assert_eq!(judge("2012-10-17"), Decision::Allowed);
    assert_eq!(judge("2008-10-17"), Decision::Silent);
}

#[test]
fn malformed_documents() {
    let good = json!({"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject",
                      "Resource": "arn:aws:s3:::b/*"});
    let with = |name: &str, value: Json| {
        let mut statement = good.clone();
        statement[name] = value;
        json!({"Statement": [statement]}).to_string()
    };
    let without = |name: &str| {
        let mut statement = good.clone();
        statement.as_object_mut().unwrap().remove(name);
        json!({"Statement": [statement]}).to_string()
    };
    let deep = format!(
        "{{\"Statement\":{}1{}}}",
        "[".repeat(9000),
        "]".repeat(9000)
    );
    for (document, says) in [
        (String::new(), "valid JSON"),
        ("[]".to_owned(), "valid JSON"),
        (" {}".to_owned(), "first byte"),
        ("{\"Statement\":".to_owned(), "valid JSON"),
        (deep, "valid JSON"),
        ("{}".to_owned(), "Missing required field Statement"),
        ("{\"Statement\":[]}".to_owned(), "empty"),
        ("{\"Statement\":[1]}".to_owned(), "syntax"),
        (
            "{\"Statement\":[],\"Other\":1}".to_owned(),
            "Unknown field Other",
        ),
        (format!("{{\"Id\":\"{}\"}}", "x".repeat(20_481)), "20 KB"),
        (
            json!({"Version": "2026-01-01", "Statement": [good]}).to_string(),
            "version",
        ),
        (without("Effect"), "Missing required field Effect"),
        (without("Principal"), "Missing required field Principal"),
        (without("Action"), "Missing required field Action"),
        (without("Resource"), "Missing required field Resource"),
        (with("Effect", json!("allow")), "Invalid effect: allow"),
        (
            with("Principal", json!({"AWS": "arn:aws:iam::*:root"})),
            "Invalid principal",
        ),
        (with("Principal", json!({})), "Invalid principal"),
        (with("Principal", json!({"AWS": []})), "Invalid principal"),
        (
            with("Principal", json!("111111111111")),
            "Invalid principal",
        ),
        (with("Action", json!("GetObject")), "invalid action"),
        (with("Action", json!("ec2:RunInstances")), "invalid action"),
        (with("Action", json!([])), "invalid action"),
        (with("NotAction", json!("s3:*")), "syntax"),
        (with("Resource", json!("b/*")), "invalid resource"),
        (with("Condition", json!([])), "Invalid Condition"),
        (
            with("Condition", json!({"StringIs": {"aws:a": "b"}})),
            "Condition type : StringIs",
        ),
        (
            with("Condition", json!({"Bool": {"aws:a": "b"}})),
            "Condition value",
        ),
        (
            with("Condition", json!({"Bool": {"s3:x-amz-sse": true}})),
            "condition key",
        ),
    ] {
        let got = parse(document.as_bytes()).unwrap_err().0;
        assert!(got.contains(says), "{document:.200}: {got}");
    }
    let twice = json!({"Statement": [with_sid(&good), with_sid(&good)]});
    assert!(read(&twice).unwrap_err().0.contains("unique"));
}

fn with_sid(statement: &Json) -> Json {
    let mut statement = statement.clone();
    statement["Sid"] = json!("S");
    statement
}

#[test]
fn policies_for_another_bucket() {
    for (action, resource, fine) in [
        ("s3:GetObject", "arn:aws:s3:::b/*", true),
        ("s3:GetObject", "arn:aws:s3:::b*", true),
        ("s3:*", "arn:aws:s3:::b", true),
        ("s3:ListBucket", "arn:aws:s3:::b", true),
        ("s3:ListBucket", "arn:aws:s3:::b/*", false),
        ("s3:GetObject", "arn:aws:s3:::b", false),
        (
            "s3:PutBucketObjectLockConfiguration",
            "arn:aws:s3:::b",
            true,
        ),
        ("s3:GetObject", "arn:aws:s3:::c/*", false),
        ("s3:GetObject", "arn:aws:s3:::*", false),
        ("s3:GetObject", "*", false),
        (
            "s3:GetObject",
            "arn:aws:sqs:us-east-1:111111111111:b",
            false,
        ),
    ] {
        let policy = read(&json!({"Statement": {"Effect": "Allow", "Principal": "*",
            "Action": action, "Resource": resource}}))
        .unwrap();
        assert_eq!(
            check_for_bucket(&policy, "b").is_ok(),
            fine,
            "{action} {resource}"
        );
    }
}

#[test]
fn public_policies() {
    for (principal, condition, public) in [
        (json!("*"), json!({}), true),
        (json!({"AWS": "111111111111"}), json!({}), false),
        (
            json!("*"),
            json!({"StringEquals": {"aws:PrincipalAccount": "111111111111"}}),
            false,
        ),
        (
            json!("*"),
            json!({"StringLike": {"aws:PrincipalArn": "arn:aws:iam::1*"}}),
            true,
        ),
        (
            json!("*"),
            json!({"IpAddress": {"aws:SourceIp": "0.0.0.0/0"}}),
            true,
        ),
        (
            json!("*"),
            json!({"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}),
            false,
        ),
        (
            json!("*"),
            json!({"StringEqualsIfExists": {"aws:PrincipalOrgID": "o-1"}}),
            true,
        ),
        (
            json!("*"),
            json!({"Bool": {"aws:SecureTransport": true}}),
            true,
        ),
    ] {
        let policy = read(
            &json!({"Statement": {"Effect": "Allow", "Principal": principal,
            "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*", "Condition": condition}}),
        )
        .unwrap();
        assert_eq!(is_public(&policy), public, "{principal} {condition}");
    }
}

/// JSON of any shape, in which words of policies are likely.
fn any_json() -> impl Strategy<Value = Json> {
    let word = prop::sample::select(vec![
        "Version",
        "2012-10-17",
        "Statement",
        "Effect",
        "Allow",
        "Deny",
        "Principal",
        "AWS",
        "*",
        "111111111111",
        "Action",
        "s3:*",
        "s3:PutObject",
        "Resource",
        "arn:aws:s3:::b/*",
        "Condition",
        "StringEquals",
        "Null",
        "true",
        "IpAddress",
        "10.0.0.0/8",
        "${aws:x}",
        "aws:x",
    ]);
    let leaf = prop_oneof![
        word.clone().prop_map(Json::from),
        any::<String>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        any::<bool>().prop_map(Json::from),
        Just(Json::Null),
    ];
    leaf.prop_recursive(5, 60, 6, move |inner| {
        let name = prop_oneof![word.clone().prop_map(String::from), any::<String>()];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Json::from),
            prop::collection::btree_map(name, inner, 0..6)
                .prop_map(|map| Json::Object(map.into_iter().collect())),
        ]
    })
}

/// A statement that S3 takes.
fn any_statement() -> impl Strategy<Value = Json> {
    (
        prop::sample::select(vec!["Allow", "Deny"]),
        prop::sample::select(vec![
            json!("*"),
            json!({"AWS": "111111111111"}),
            json!({"AWS": "222222222222"}),
            json!({"Service": "s3.amazonaws.com"}),
        ]),
        prop::sample::select(vec!["s3:*", "s3:Put*", "s3:PutObject", "s3:GetObject"]),
        prop::sample::select(vec![
            "arn:aws:s3:::b/*",
            "arn:aws:s3:::b/k",
            "arn:aws:s3:::b/l",
        ]),
        prop::sample::select(vec![
            json!({}),
            json!({"Bool": {"aws:SecureTransport": "false"}}),
            json!({"Null": {"s3:x-amz-acl": "true"}}),
        ]),
    )
        .prop_map(|(effect, principal, action, resource, condition)| {
            json!({"Effect": effect, "Principal": principal, "Action": action,
                   "Resource": resource, "Condition": condition})
        })
}

proptest! {
    #[test]
    fn any_document_is_read_or_refused(document in any_json()) {
        if let Ok(policy) = read(&document) {
            policy.judge(&asker("111111111111"), "s3:PutObject", "arn:aws:s3:::b/k", &context(&[]));
            is_public(&policy);
            let _ = check_for_bucket(&policy, "b");
        }
    }

    #[test]
    fn any_values_are_compared_or_refused(
        operator in prop::sample::select(vec![
            "StringLike", "NumericLessThan", "DateEquals", "Bool", "IpAddress", "ArnLike",
        ]),
        wanted in any::<String>(),
        value in any::<String>(),
    ) {
        if let Ok(condition) = Condition::new(operator, "aws:x", vec![wanted]) {
            condition.holds(&context(&[("aws:x", &value)]), Effect::Deny, true);
        }
    }

    /// The oracle judges each statement by itself.
    #[test]
    fn a_deny_wins(
        statements in prop::collection::vec(any_statement(), 1..6),
        secure in any::<bool>(),
        account in prop::sample::select(vec!["111111111111", "222222222222"]),
    ) {
        let context = context(&[("aws:SecureTransport", if secure { "true" } else { "false" })]);
        let judge = |statements: &[Json]| {
            let policy = read(&json!({"Version": "2012-10-17", "Statement": statements})).unwrap();
            policy.judge(&asker(account), "s3:PutObject", "arn:aws:s3:::b/k", &context)
        };
        let each: Vec<Decision> = statements
            .iter()
            .map(|statement| judge(std::slice::from_ref(statement)))
            .collect();
        let denied = each.iter().any(|one| matches!(one, Decision::Denied(_)));
        let allowed = each.contains(&Decision::Allowed);
        match judge(&statements) {
            Decision::Denied(_) => prop_assert!(denied),
            Decision::Allowed => prop_assert!(allowed && !denied),
            Decision::Silent => prop_assert!(!allowed && !denied),
        }
    }
}

#[test]
fn policies_of_identities() {
    let parse = |document: Json| parse_kind(document.to_string().as_bytes(), Kind::Identity);
    let allow = |resource: &str| {
        json!({"Version": "2012-10-17", "Statement": {
            "Effect": "Allow", "Action": "kms:Verify", "Resource": resource}})
    };
    let policy = parse(allow(KEY)).unwrap();
    let me = asker("111111111111");
    let judge = |action: &str, resource: &str| policy.judge(&me, action, resource, &context(&[]));
    assert_eq!(judge("kms:Verify", KEY), Decision::Allowed);
    assert_eq!(judge("kms:Sign", KEY), Decision::Silent);
    assert_eq!(judge("kms:Verify", "arn:aws:kms:::key/x"), Decision::Silent);
    let mut with_principal = allow(KEY);
    with_principal["Statement"]["Principal"] = json!("*");
    assert!(parse(with_principal.clone()).is_err());
    // Of a bucket, it would have to be about S3.
    assert!(read(&with_principal).is_err());
    let of_key = parse_kind(with_principal.to_string().as_bytes(), Kind::Resource);
    assert!(of_key.is_ok());
    // Nor does a role's say which role.
    let as_trust = |document: &Json| parse_kind(document.to_string().as_bytes(), Kind::Trust);
    assert!(as_trust(&with_principal).is_err());
    let statement = with_principal["Statement"].as_object_mut().unwrap();
    statement.remove("Resource");
    assert!(as_trust(&with_principal).is_ok());
}
