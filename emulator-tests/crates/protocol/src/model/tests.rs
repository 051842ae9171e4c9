//! Values around every limit of the tables: what is inside is taken, what is outside is refused
//! with the right code, and nothing is an error of ours.
#![allow(clippy::unwrap_used)]

use super::ebs::EBS;
use super::ec2::{EC2, MOST_ITEMS};
use super::*;
use crate::Params;
use crate::operation::EbsOperation;
use proptest::prelude::*;
use std::collections::BTreeMap;

type Form = BTreeMap<String, String>;

fn ec2() -> &'static Model {
    EC2.as_ref().unwrap()
}

fn check(action: &str, form: &Form) -> Result<(), AwsError> {
    let text: String = form_urlencoded::Serializer::new(String::new())
        .append_pair("Action", action)
        .append_pair("Version", "2016-11-15")
        .extend_pairs(form)
        .finish();
    check_ec2(action, &Params::parse(text.as_bytes()).unwrap())
}

/// A value that is as short, or small, as it may be.
fn least(shape: &Shape) -> String {
    match shape.kind {
        Kind::String if !shape.values.is_empty() => shape.values[0].clone(),
        Kind::String => "a".repeat(usize::try_from(shape.min.unwrap_or(1)).unwrap()),
        Kind::Integer | Kind::Long => shape.min.unwrap_or(0).to_string(),
        Kind::Boolean => "true".to_owned(),
        Kind::Timestamp => "2026-01-31T23:59:59.000Z".to_owned(),
        Kind::Blob => "QUJD".to_owned(),
        Kind::Structure | Kind::List => unreachable!("no value"),
    }
}

/// Puts in a value for `shape` at `path`, with all that the model requires there.
fn put_least(name: &str, path: &str, form: &mut Form) {
    let shape = ec2().shape(name).unwrap();
    match shape.kind {
        Kind::Structure => {
            put_required(shape, path, form);
            // It is there only if some member of it is.
            let value = |member: &&Member| {
                let kind = ec2().shape(&member.shape).unwrap().kind;
                !matches!(kind, Kind::Structure | Kind::List)
            };
            let some = shape.members.iter().find(|(_, member)| value(member));
            if let Some((name, member)) = some {
                put_least(&member.shape, &join(path, name), form);
            }
        }
        Kind::List => put_least(shape.member.as_deref().unwrap(), &format!("{path}.1"), form),
        _ => {
            form.insert(path.to_owned(), least(shape));
        }
    }
}

fn put_required(shape: &Shape, path: &str, form: &mut Form) {
    for (name, member) in shape.members.iter().filter(|(_, member)| member.required) {
        put_least(&member.shape, &join(path, name), form);
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

/// Every member of an action, also deep ones: its path, its shape's name, whether it is required,
/// and the smallest form in which it can stand.
fn walk(action: &str) -> Vec<(String, String, bool, Form)> {
    let input = ec2().input(action).unwrap();
    let mut base = Form::new();
    put_required(input, "", &mut base);
    let mut out = Vec::new();
    walk_structure(input, "", &base, 0, &mut out);
    out
}

fn walk_structure(
    shape: &Shape,
    path: &str,
    base: &Form,
    depth: usize,
    out: &mut Vec<(String, String, bool, Form)>,
) {
    let mut base = base.clone();
    put_required(shape, path, &mut base);
    for (name, member) in &shape.members {
        let mut path = join(path, name);
        let mut shape_name = member.shape.clone();
        let mut required = member.required;
        let mut inner = ec2().shape(&shape_name).unwrap();
        while inner.kind == Kind::List {
            out.push((path.clone(), shape_name.clone(), required, base.clone()));
            path += ".1";
            shape_name = inner.member.clone().unwrap();
            inner = ec2().shape(&shape_name).unwrap();
            required = false;
        }
        if inner.kind == Kind::Structure {
            if depth < 6 {
                walk_structure(inner, &path, &base, depth + 1, out);
            }
        } else {
            out.push((path, shape_name, required, base.clone()));
        }
    }
}

/// Values inside and outside of a shape.
fn around(shape: &Shape) -> (Vec<String>, Vec<String>) {
    let mut good = vec![least(shape)];
    let mut bad = Vec::new();
    match shape.kind {
        Kind::String => {
            good.extend(shape.values.iter().cloned());
            if !shape.values.is_empty() {
                bad.push("no-such-value".to_owned());
                bad.push(String::new());
            }
            let text = |length: i64| "é".repeat(usize::try_from(length).unwrap());
            if let Some(min) = shape.min.filter(|min| *min > 0) {
                good.push(text(min));
                bad.push(text(min - 1));
            }
            if let Some(max) = shape.max {
                good.push(text(max));
                bad.push(text(max + 1));
            }
        }
        Kind::Integer | Kind::Long => {
            bad.extend(["", "x", "1.5", "0x10", " 1", "99999999999999999999"].map(String::from));
            if let Some(min) = shape.min {
                bad.push((min - 1).to_string());
            }
            if let Some(max) = shape.max {
                good.push(max.to_string());
                bad.push((max + 1).to_string());
            }
        }
        Kind::Boolean => {
            good.extend(["false", "True"].map(String::from));
            bad.extend(["", "1", "yes"].map(String::from));
        }
        Kind::Timestamp => {
            good.extend(["2026-01-31T23:59:59Z", "2026-01-31"].map(String::from));
            bad.extend(["", "tomorrow", "2026-02-30T00:00:00Z"].map(String::from));
        }
        Kind::Blob => bad.push("*".to_owned()),
        Kind::Structure | Kind::List => {}
    }
    (good, bad)
}

#[test]
fn every_member_of_every_action_around_its_limits() {
    for action in ec2().inputs.keys() {
        let mut base = Form::new();
        put_required(ec2().input(action).unwrap(), "", &mut base);
        check(action, &base).unwrap();
        for (path, name, required, base) in walk(action) {
            let shape = ec2().shape(&name).unwrap();
            if required {
                let mut form = base.clone();
                form.retain(|name, _| *name != path && !name.starts_with(&format!("{path}.")));
                // A structure of which nothing is left is not there, and needs no members.
                let parent = path.rsplit_once('.').map_or("", |(parent, _)| parent);
                let there = parent.is_empty()
                    || form
                        .keys()
                        .any(|name| name.starts_with(&format!("{parent}.")));
                if there {
                    let got = check(action, &form).unwrap_err();
                    assert_eq!(got.code, "MissingParameter", "{action} without {path}");
                }
            }
            let with = |path: &str, value: &str| {
                let mut form = base.clone();
                form.insert(path.to_owned(), value.to_owned());
                check(action, &form)
            };
            if shape.kind == Kind::List {
                let got = with(&format!("{path}.x"), "1").unwrap_err();
                assert_eq!(got.code, "UnknownParameter", "{action} {path}");
                for number in ["0", "10001"] {
                    let got = with(&format!("{path}.{number}"), "1").unwrap_err();
                    assert_eq!(
                        got.code, "InvalidParameterValue",
                        "{action} {path}.{number}"
                    );
                }
                continue;
            }
            let got = with(&format!("{path}.More"), "1").unwrap_err();
            assert_eq!(got.code, "UnknownParameter", "{action} {path}.More");
            let (good, bad) = around(shape);
            for value in good {
                let got = with(&path, &value);
                assert!(got.is_ok(), "{action} {path}={value:.50}: {got:?}");
            }
            for value in bad {
                let got = with(&path, &value).unwrap_err();
                let code = match (name.as_str(), required && value.is_empty()) {
                    (_, true) => "MissingParameter",
                    ("ImageNameRequest", _) => "InvalidAMIName.Malformed",
                    _ => "InvalidParameterValue",
                };
                assert_eq!(got.code, code, "{action} {path}={value:.50}");
                assert_eq!(got.status, 400);
            }
        }
    }
}

#[test]
fn lists_have_limits() {
    let ids = |count: usize| -> Form {
        (1..=count)
            .map(|at| (format!("SnapshotId.{at}"), "snap-1".to_owned()))
            .collect()
    };
    check("DescribeSnapshots", &ids(MOST_ITEMS)).unwrap();
    let got = check("DescribeSnapshots", &ids(MOST_ITEMS + 1)).unwrap_err();
    assert_eq!(got.code, "InvalidParameterValue");
    let images = |count: usize| -> Form {
        (1..=count)
            .map(|at| (format!("ImageId.{at}"), "ami-1".to_owned()))
            .collect()
    };
    check("DescribeImageReferences", &images(10)).unwrap();
    check("DescribeImageReferences", &images(11)).unwrap_err();
}

#[test]
fn an_action_that_is_not_ours_is_not_looked_at() {
    check(
        "CreateVpc",
        &Form::from([("Any".to_owned(), "x".to_owned())]),
    )
    .unwrap();
}

fn any_name() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec![
        "BlockDeviceMapping",
        "Ebs",
        "1",
        "2",
        "0",
        "SnapshotId",
        "Name",
        "ImageId",
        "Filter",
        "Value",
        "TagSpecification",
        "Tag",
        "Key",
        "",
        "99999999999",
        "networkInterface",
    ]);
    prop_oneof![
        prop::collection::vec(part, 1..20).prop_map(|parts| parts.join(".")),
        any::<String>(),
    ]
}

proptest! {
    /// Whatever a form has, the answer is one of the three codes, and 400.
    #[test]
    fn any_form_is_taken_or_refused(
        action in prop::sample::select(ec2().inputs.keys().collect::<Vec<_>>()),
        form in prop::collection::btree_map(any_name(), any::<String>(), 0..12),
    ) {
        let form: Form = form
            .into_iter()
            .filter(|(name, _)| name != "Action" && name != "Version")
            .collect();
        if let Err(error) = check(action, &form) {
            prop_assert_eq!(error.status, 400);
            prop_assert!(matches!(
                &*error.code,
                "UnknownParameter" | "MissingParameter" | "InvalidParameterValue"
                    | "InvalidAMIName.Malformed"
            ));
        }
    }

    #[test]
    fn any_body_for_ebs_is_taken_or_refused(text in "[\\[\\]{}\":,a-zA-Z0-9]{0,60}") {
        if let Ok(body) = serde_json::from_str(&text)
            && let Err(error) = check_ebs_body("StartSnapshot", &body)
        {
            prop_assert_eq!(&*error.code, "ValidationException");
            prop_assert!(error.reason.is_some());
        }
    }
}

#[test]
fn every_pattern_can_be_read() {
    for model in [ec2(), EBS.as_ref().unwrap()] {
        for pattern in model.shapes.values().filter_map(|it| it.pattern.as_ref()) {
            Regex::new(&pattern.text).unwrap();
        }
    }
}

#[test]
fn ebs_headers_and_queries() {
    let put: &[(&str, &str)] = &[
        ("x-amz-Data-Length", "524288"),
        ("x-amz-Checksum", "q83v"),
        ("x-amz-Checksum-Algorithm", "SHA256"),
    ];
    let complete: &[(&str, &str)] = &[("x-amz-ChangedBlocksCount", "1")];
    let wrong_algorithm: &[(&str, &str)] = &[put[0], put[1], ("x-amz-Checksum-Algorithm", "MD5")];
    let progress: &[(&str, &str)] = &[put[0], put[1], put[2], ("x-amz-Progress", "101")];
    for (line, headers, reason) in [
        ("PUT /snapshots/snap-0a/blocks/0", put, None),
        (
            "PUT /snapshots/snap-0a/blocks/-1",
            put,
            Some("INVALID_BLOCK"),
        ),
        (
            "PUT /snapshots/snap-0a/blocks/x",
            put,
            Some("INVALID_BLOCK"),
        ),
        (
            "PUT /snapshots/vol-0a/blocks/0",
            put,
            Some("INVALID_SNAPSHOT_ID"),
        ),
        (
            "PUT /snapshots/snap-0a/blocks/0",
            &put[..2],
            Some("INVALID_PARAMETER_VALUE"),
        ),
        (
            "PUT /snapshots/snap-0a/blocks/0",
            wrong_algorithm,
            Some("INVALID_PARAMETER_VALUE"),
        ),
        (
            "PUT /snapshots/snap-0a/blocks/0",
            progress,
            Some("INVALID_PARAMETER_VALUE"),
        ),
        (
            "GET /snapshots/snap-0a/blocks/0?blockToken=QQ%3D%3D",
            &[],
            None,
        ),
        (
            "GET /snapshots/snap-0a/blocks/0",
            &[],
            Some("INVALID_BLOCK_TOKEN"),
        ),
        (
            "GET /snapshots/snap-0a/blocks/0?blockToken=*",
            &[],
            Some("INVALID_BLOCK_TOKEN"),
        ),
        ("GET /snapshots/snap-0a/blocks?maxResults=100", &[], None),
        (
            "GET /snapshots/snap-0a/blocks?maxResults=99",
            &[],
            Some("INVALID_PARAMETER_VALUE"),
        ),
        (
            "GET /snapshots/snap-0a/blocks?maxResults=10001",
            &[],
            Some("INVALID_PARAMETER_VALUE"),
        ),
        (
            "GET /snapshots/snap-0a/blocks?pageToken=*",
            &[],
            Some("INVALID_PAGE_TOKEN"),
        ),
        (
            "GET /snapshots/snap-0a/changedblocks?firstSnapshotId=x",
            &[],
            Some("INVALID_SNAPSHOT_ID"),
        ),
        ("POST /snapshots/completion/snap-0a", complete, None),
        (
            "POST /snapshots/completion/snap-0a",
            &[],
            Some("INVALID_PARAMETER_VALUE"),
        ),
    ] {
        let (method, uri) = line.split_once(' ').unwrap();
        let mut builder = http::Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        let (parts, ()) = builder.body(()).unwrap().into_parts();
        let operation = EbsOperation::of(&parts.method, parts.uri.path()).unwrap();
        let got = check_ebs(&operation, &parts)
            .err()
            .map(|error| error.reason.unwrap());
        assert_eq!(got, reason, "{line} {headers:?}");
    }
}

#[test]
fn ebs_bodies() {
    use serde_json::json;
    for (body, reason) in [
        (json!({"VolumeSize": 1}), None),
        (
            json!({"VolumeSize": 1, "Timeout": 10, "Encrypted": true, "Tags": []}),
            None,
        ),
        (json!({}), Some("INVALID_VOLUME_SIZE")),
        (json!([]), Some("INVALID_PARAMETER_VALUE")),
        (json!({"VolumeSize": 0}), Some("INVALID_VOLUME_SIZE")),
        (json!({"VolumeSize": 1.5}), Some("INVALID_VOLUME_SIZE")),
        (json!({"VolumeSize": "1"}), Some("INVALID_VOLUME_SIZE")),
        (
            json!({"VolumeSize": 1, "Timeout": 9}),
            Some("INVALID_PARAMETER_VALUE"),
        ),
        (
            json!({"VolumeSize": 1, "Timeout": 4321}),
            Some("INVALID_PARAMETER_VALUE"),
        ),
        (
            json!({"VolumeSize": 1, "KmsKeyArn": "alias/x"}),
            Some("INVALID_CUSTOMER_KEY"),
        ),
        (
            json!({"VolumeSize": 1, "ClientToken": "a b"}),
            Some("INVALID_PARAMETER_VALUE"),
        ),
        (
            json!({"VolumeSize": 1, "ParentSnapshotId": "x"}),
            Some("INVALID_SNAPSHOT_ID"),
        ),
        (
            json!({"VolumeSize": 1, "Description": "x".repeat(256)}),
            Some("INVALID_PARAMETER_VALUE"),
        ),
        (
            json!({"VolumeSize": 1, "Tags": [{"Key": "k".repeat(128)}]}),
            Some("INVALID_TAG"),
        ),
        (
            json!({"VolumeSize": 1, "Tags": {"Key": "k"}}),
            Some("INVALID_TAG"),
        ),
    ] {
        let got = check_ebs_body("StartSnapshot", &body).err();
        let got = got.map(|error| error.reason.unwrap());
        assert_eq!(got, reason, "{body}");
    }
}
