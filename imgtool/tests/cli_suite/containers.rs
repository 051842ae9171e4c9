//! OCI image layouts and `docker save` archives.

use super::bench::{Bench, Case};
use serde_json::{Value, json};
use testutils::{Entry, elf, executable, gz, hex_digest, tar};

/// An image layout that can be spoiled.
struct Layout {
    layer: Vec<u8>,
    config: Value,
    manifest: Value,
    index: Value,
    marker: &'static str,
}

fn blob(bytes: &[u8], kind: &str) -> Value {
    json!({
        "mediaType": format!("application/vnd.oci.image.{kind}"),
        "digest": format!("sha256:{}", hex_digest(bytes)),
        "size": bytes.len(),
    })
}

impl Layout {
    fn new() -> Layout {
        let plain = tar(&[executable("app", &elf(62, 2))]);
        Layout::with_layer(&plain, gz(&plain))
    }

    fn with_layer(plain: &[u8], layer: Vec<u8>) -> Layout {
        let mut layout = Layout {
            config: json!({
                "architecture": "amd64",
                "os": "linux",
                "config": { "Entrypoint": ["/app"] },
                "rootfs": {
                    "type": "layers",
                    "diff_ids": [format!("sha256:{}", hex_digest(plain))],
                },
            }),
            layer,
            manifest: Value::Null,
            index: Value::Null,
            marker: r#"{"imageLayoutVersion":"1.0.0"}"#,
        };
        layout.connect();
        layout
    }

    /// Manifest and index for config and layer.
    fn connect(&mut self) {
        let config = self.config.to_string();
        self.manifest = json!({
            "schemaVersion": 2,
            "config": blob(config.as_bytes(), "config.v1+json"),
            "layers": [blob(&self.layer, "layer.v1.tar+gzip")],
        });
        let manifest = self.manifest.to_string();
        self.index = json!({
            "schemaVersion": 2,
            "manifests": [blob(manifest.as_bytes(), "manifest.v1+json")],
        });
    }

    /// Writes it; `spoil` may change a blob's bytes, or leave it out, by what it is.
    fn put(&self, bench: &Bench, dir: &str, spoil: impl Fn(&str, Vec<u8>) -> Option<Vec<u8>>) {
        bench.put(format!("{dir}/oci-layout"), self.marker);
        bench.put(format!("{dir}/index.json"), self.index.to_string());
        for (what, bytes) in [
            ("layer", self.layer.clone()),
            ("config", self.config.to_string().into_bytes()),
            ("manifest", self.manifest.to_string().into_bytes()),
        ] {
            let path = format!("{dir}/blobs/sha256/{}", hex_digest(&bytes));
            if let Some(bytes) = spoil(what, bytes) {
                bench.put(path, bytes);
            }
        }
    }
}

/// What `docker save` writes, of one layer.
fn docker(layer_path: &str, diff_id: &str) -> Vec<u8> {
    let layer = tar(&[executable("app", b"x")]);
    let config = json!({
        "architecture": "amd64",
        "os": "linux",
        "config": { "Entrypoint": ["/app"] },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{diff_id}")] },
    });
    let manifest = json!([{ "Config": "c.json", "RepoTags": null, "Layers": [layer_path] }]);
    let (config, manifest) = (config.to_string(), manifest.to_string());
    tar(&[
        executable("l.tar", &layer),
        executable("c.json", config.as_bytes()),
        executable("manifest.json", manifest.as_bytes()),
    ])
}

pub(crate) fn cases(bench: &Bench) -> Vec<Case> {
    let good = Layout::new();
    good.put(bench, "oci", |_, bytes| Some(bytes));
    for spoilt in ["layer", "config", "manifest"] {
        good.put(bench, &format!("oci-bad-{spoilt}"), |what, mut bytes| {
            let last = bytes.len() - 1;
            bytes[last] ^= u8::from(what == spoilt);
            Some(bytes)
        });
        good.put(bench, &format!("oci-no-{spoilt}"), |what, bytes| {
            (what != spoilt).then_some(bytes)
        });
    }
    good.put(bench, "oci-cut", |what, mut bytes| {
        bytes.truncate(bytes.len() - usize::from(what == "layer"));
        Some(bytes)
    });
    let whole = |name: &str, change: &dyn Fn(&mut Layout)| {
        let mut layout = Layout::new();
        change(&mut layout);
        layout.put(bench, name, |_, bytes| Some(bytes));
    };
    whole("oci-diff-id", &|l| {
        l.config["rootfs"]["diff_ids"][0] = json!(format!("sha256:{}", "0".repeat(64)));
        l.connect();
    });
    whole("oci-arm64", &|l| {
        l.config["architecture"] = json!("arm64");
        l.connect();
    });
    whole("oci-empty", &|l| l.index["manifests"] = json!([]));
    whole("oci-index", &|l| l.index = json!("nothing"));
    whole("oci-version", &|l| {
        l.marker = r#"{"imageLayoutVersion":"9.0.0"}"#
    });
    whole("oci-digest", &|l| {
        l.index["manifests"][0]["digest"] = json!("sha256:../../../etc/passwd");
    });
    whole("oci-no-command", &|l| {
        l.config["config"] = json!({});
        l.connect();
    });
    let escape = tar(&[
        Entry {
            kind: b'2',
            link: b"/etc",
            ..executable("app", b"")
        },
        executable("../x", b"x"),
    ]);
    Layout::with_layer(&escape, gz(&escape)).put(bench, "oci-escape", |_, bytes| Some(bytes));

    bench.put("docker.tar", docker("l.tar", &"0".repeat(64)));
    let right = hex_digest(&tar(&[executable("app", b"x")]));
    bench.put("docker-none.tar", docker("missing/layer.tar", &right));
    bench.put("docker-up.tar", docker("../../etc/passwd", &right));
    bench.put(
        "docker-json.tar",
        tar(&[
            executable("l.tar", &tar(&[])),
            executable("c.json", b"nothing"),
            executable(
                "manifest.json",
                br#"[{"Config":"c.json","RepoTags":null,"Layers":["l.tar"]}]"#,
            ),
        ]),
    );

    let build = |input, file: &str, parts| Case::build(input, &[file], parts);
    vec![
        build(
            "OCI layer that does not match its digest",
            "oci-bad-layer",
            &["oci-bad-layer", "blob", "digest"],
        ),
        build(
            "OCI configuration that does not match its digest",
            "oci-bad-config",
            &["oci-bad-config", "blob", "digest"],
        ),
        build(
            "OCI manifest that does not match its digest",
            "oci-bad-manifest",
            &["oci-bad-manifest", "blob", "digest"],
        ),
        build(
            "OCI layer that is not there",
            "oci-no-layer",
            &["oci-no-layer", "blob"],
        ),
        build(
            "OCI configuration that is not there",
            "oci-no-config",
            &["oci-no-config", "blob"],
        ),
        build(
            "OCI manifest that is not there",
            "oci-no-manifest",
            &["oci-no-manifest", "blob"],
        ),
        build(
            "OCI layer that is too short",
            "oci-cut",
            &["oci-cut", "blob", "bytes"],
        ),
        build(
            "OCI layer that is not the configuration's",
            "oci-diff-id",
            &["oci-diff-id", "diff_id"],
        ),
        build(
            "OCI image for arm64",
            "oci-arm64",
            &["oci-arm64", "arm64", "amd64"],
        ),
        build("OCI layout without an image", "oci-empty", &["oci-empty"]),
        build(
            "OCI index that is none",
            "oci-index",
            &["oci-index", "index.json"],
        ),
        build(
            "OCI layout of another version",
            "oci-version",
            &["oci-version", "9.0.0"],
        ),
        build("OCI digest that is a path", "oci-digest", &["oci-digest"]),
        build(
            "OCI layer that climbs out",
            "oci-escape",
            &["oci-escape", "../x"],
        ),
        build(
            "OCI image that runs nothing",
            "oci-no-command",
            &["nothing says", "-- COMMAND"],
        ),
        build(
            "docker layer that is not the configuration's",
            "docker.tar",
            &["docker.tar", "l.tar"],
        ),
        build(
            "docker layer that is not there",
            "docker-none.tar",
            &["docker-none.tar", "missing/layer.tar"],
        ),
        build(
            "docker layer outside the archive",
            "docker-up.tar",
            &["docker-up.tar", "../../etc/passwd"],
        ),
        build(
            "docker configuration that is none",
            "docker-json.tar",
            &["docker-json.tar", "configuration"],
        ),
    ]
}
