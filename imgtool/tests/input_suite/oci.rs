//! Container images made by hand: layouts and `docker save` archives, whole and broken.

use crate::support::*;
use imgtool::input::{InputKind, container_config, detect, load};
use imgtool::tree::Tree;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::Write;
use testutils::*;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

fn sha(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut w = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    w.write_all(bytes).unwrap();
    w.finish().unwrap()
}

/// A layout's files.
#[derive(Clone, Default)]
struct Layout(BTreeMap<String, Vec<u8>>);

impl Layout {
    fn blob(&mut self, media_type: &str, bytes: impl Into<Vec<u8>>) -> String {
        let bytes = bytes.into();
        let (hex, size) = (sha(&bytes), bytes.len());
        self.0.insert(format!("blobs/sha256/{hex}"), bytes);
        format!(r#""mediaType":"{media_type}","digest":"sha256:{hex}","size":{size}"#)
    }

    /// An image of these layers; returns its manifest's descriptor, without braces.
    fn image(&mut self, arch: &str, config: &str, layers: &[(&str, Vec<u8>)]) -> String {
        let mut descriptors = Vec::new();
        let mut diff_ids = Vec::new();
        for (media_type, tar) in layers {
            let blob = match media_type.rsplit('+').next() {
                Some("gzip") => gzip(tar),
                Some("zstd") => zstd::encode_all(&tar[..], 1).unwrap(),
                _ => tar.clone(),
            };
            diff_ids.push(format!(r#""sha256:{}""#, sha(tar)));
            descriptors.push(format!("{{{}}}", self.blob(media_type, blob)));
        }
        let config = format!(
            r#"{{"architecture":"{arch}","os":"linux","config":{config},"rootfs":{{"type":"layers","diff_ids":[{}]}}}}"#,
            diff_ids.join(",")
        );
        let config = self.blob(CONFIG, config);
        let manifest = format!(
            r#"{{"schemaVersion":2,"config":{{{config}}},"layers":[{}]}}"#,
            descriptors.join(",")
        );
        self.blob(MANIFEST, manifest)
    }

    fn index(&self, descriptors: &[String]) -> String {
        let list: Vec<String> = descriptors.iter().map(|d| format!("{{{d}}}")).collect();
        format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, list.join(","))
    }

    fn finish(mut self, descriptors: &[String]) -> Layout {
        let index = self.index(descriptors);
        self.0.insert("index.json".into(), index.into());
        self.0.insert(
            "oci-layout".into(),
            r#"{"imageLayoutVersion":"1.0.0"}"#.into(),
        );
        self
    }

    fn to_tar(&self) -> Vec<u8> {
        let entries: Vec<Entry<'_>> = self.0.iter().map(|(n, b)| file(n, b)).collect();
        tar(&entries)
    }

    fn write_to(&self, dir: &std::path::Path) {
        std::fs::create_dir_all(dir.join("blobs/sha256")).unwrap();
        for (name, bytes) in &self.0 {
            std::fs::write(dir.join(name), bytes).unwrap();
        }
    }
}

const RUN: &str = r#"{"Entrypoint":["/bin/app"],"Cmd":["-v"],"Env":["A=1","B=x=y","bad"],"User":"web","WorkingDir":"/srv","Volumes":null,"ExposedPorts":{"80/tcp":{}}}"#;

/// Three layers that hide, replace and link to each other's files.
fn layers() -> Vec<(&'static str, Vec<u8>)> {
    let base = tar(&[
        file("bin/app", b"v1"),
        file("etc/a", b"a"),
        file("etc/b", b"b"),
        file("opaque/old", b""),
        file("opaque/sub/old", b""),
        entry(b'5', "dir-to-file", ""),
        file("dir-to-file/x", b""),
        file("file-to-dir", b""),
        file("kept/lower", b""),
        entry(b'2', "lib", "usr/lib"),
        file("usr/lib/x", b"x"),
    ]);
    let middle = cut_tar(&[
        file("etc/.wh.a", b""),
        // Hides what is below, wherever it stands; not what this layer has.
        file("opaque/new", b"n"),
        file("opaque/sub/new", b"n"),
        file("opaque/.wh..wh..opq", b""),
        file("dir-to-file", b"f"),
        file("file-to-dir/x", b"x"),
        entry(b'1', "etc/hard", "bin/app"),
        file("lib/y", b"y"),
        entry(b'5', "kept", ""),
        file(".wh.nothing", b""),
        file("etc/.wh..wh.plnk", b""),
    ]);
    // A whiteout and the same name again: the name stays.
    let top = tar(&[
        file("bin/app", b"v2"),
        file("etc/.wh.b", b""),
        file("etc/b", b"again"),
    ]);
    let mut middle = middle;
    // `file-to-dir` has to become a directory first.
    let dir = header(&entry(b'5', "file-to-dir", ""));
    middle.splice(..0, dir);
    vec![
        ("application/vnd.oci.image.layer.v1.tar", base),
        ("application/vnd.oci.image.layer.v1.tar+gzip", middle),
        ("application/vnd.oci.image.layer.v1.tar+zstd", top),
    ]
}

const EXPECTED: &str = "\
/ 0755 0:0 dir
/bin 0755 0:0 dir
/bin/app 0644 0:0 file 2 [(0, 2)] 19a17f24cce1
/dir-to-file 0644 0:0 file 1 [(0, 1)] 252f10c83610
/etc 0755 0:0 dir
/etc/b 0644 0:0 file 5 [(0, 5)] AGAIN
/etc/hard 0644 0:0 file 2 [(0, 2)] V1
/file-to-dir 0755 0:0 dir
/file-to-dir/x 0644 0:0 file 1 [(0, 1)] 2d711642b726
/kept 0755 0:0 dir
/kept/lower 0644 0:0 file 0 [] e3b0c44298fc
/lib 0777 0:0 -> usr/lib
/opaque 0755 0:0 dir
/opaque/new 0644 0:0 file 1 [(0, 1)] 1b16b1df538b
/opaque/sub 0755 0:0 dir
/opaque/sub/new 0644 0:0 file 1 [(0, 1)] 1b16b1df538b
/usr 0755 0:0 dir
/usr/lib 0755 0:0 dir
/usr/lib/x 0644 0:0 file 1 [(0, 1)] 2d711642b726
/usr/lib/y 0644 0:0 file 1 [(0, 1)] a1fce4363854
";

fn expected() -> String {
    EXPECTED
        .replace("AGAIN", &sha(b"again")[..12])
        .replace("V1", &sha(b"v1")[..12])
        .replace("19a17f24cce1", &sha(b"v2")[..12])
}

fn check_image(tree: &Tree) {
    assert_eq!(dump(tree), expected());
    let layer = |path: &str| tree.node(tree.lookup(path.as_bytes()).unwrap()).layer;
    assert_eq!(
        (
            layer("usr/lib/x"),
            layer("lib"),
            layer("kept"),
            layer("bin/app")
        ),
        (0, 0, 1, 2)
    );
}

#[test]
fn layers_of_a_layout_as_directory_and_as_archive() {
    let mut layout = Layout::default();
    let image = layout.image("amd64", RUN, &layers());
    let arm = layout.image("arm64", "{}", &layers()[..1]);
    let nested = layout.index(&[arm, image]);
    let nested = layout.blob(INDEX, nested);
    let layout = layout.finish(&[nested]);

    let (dir, path) = scratch("layout");
    layout.write_to(&path);
    let input = load(&path, &options(dir.path())).unwrap();
    assert_eq!(input.kind, InputKind::OciLayout);
    check_image(&input.tree);
    assert_eq!(input.config.entrypoint, ["/bin/app"]);
    assert_eq!(input.config.cmd, ["-v"]);
    let env = [("A", "1"), ("B", "x=y")].map(|(k, v)| (k.to_string(), v.to_string()));
    assert_eq!(input.config.env, env);
    assert_eq!(input.config.user.as_deref(), Some("web"));
    assert_eq!(input.config.working_dir.as_deref(), Some("/srv"));
    assert!(
        input.warnings[0].contains("\"bad\""),
        "{:?}",
        input.warnings
    );

    for bytes in [layout.to_tar(), gzip(&layout.to_tar())] {
        let archive = dir.path().join("a.tar");
        std::fs::write(&archive, &bytes).unwrap();
        assert_eq!(detect(&archive).unwrap(), InputKind::OciArchive);
        let input = load(&archive, &options(dir.path())).unwrap();
        assert_eq!(input.kind, InputKind::OciArchive);
        check_image(&input.tree);
    }
}

/// A `docker save` archive as old versions write it.
fn docker(layers: &[Vec<u8>], arch: &str) -> Layout {
    let mut files = Layout::default();
    let ids: Vec<String> = layers
        .iter()
        .map(|l| format!("\"sha256:{}\"", sha(l)))
        .collect();
    let config = format!(
        r#"{{"architecture":"{arch}","os":"linux","config":{RUN},"rootfs":{{"type":"layers","diff_ids":[{}]}},"docker_version":"20"}}"#,
        ids.join(",")
    );
    let name = format!("{}.json", sha(config.as_bytes()));
    let mut paths = Vec::new();
    for (i, layer) in layers.iter().enumerate() {
        files.0.insert(format!("id{i}/layer.tar"), layer.clone());
        paths.push(format!("\"id{i}/layer.tar\""));
    }
    let manifest = format!(
        r#"[{{"Config":"{name}","RepoTags":["app:1"],"Layers":[{}]}}]"#,
        paths.join(",")
    );
    files.0.insert(name, config.into());
    files.0.insert("manifest.json".into(), manifest.into());
    files
}

#[test]
fn docker_save_archives() {
    let tars: Vec<Vec<u8>> = layers().into_iter().map(|(_, t)| t).collect();
    let (_dir, path) = scratch("saved.tar");
    for bytes in [
        docker(&tars, "amd64").to_tar(),
        gzip(&docker(&tars, "amd64").to_tar()),
    ] {
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(detect(&path).unwrap(), InputKind::DockerArchive);
        let input = load_bytes(&bytes).unwrap();
        assert_eq!(input.kind, InputKind::DockerArchive);
        check_image(&input.tree);
        assert_eq!(input.config.user.as_deref(), Some("web"));
    }
    // A layer that occurs twice is a link.
    let same = docker(&[tars[0].clone(), tars[0].clone()], "amd64");
    let entries: Vec<Entry<'_>> = same
        .0
        .iter()
        .map(|(name, body)| match name.as_str() {
            "id1/layer.tar" => entry(b'2', name, "../id0/layer.tar"),
            _ => file(name, body),
        })
        .collect();
    let input = load_bytes(&tar(&entries)).unwrap();
    assert_eq!(read(&input.tree, "bin/app"), b"v1");

    let mut two = docker(&tars, "amd64");
    let manifest = String::from_utf8(two.0["manifest.json"].clone()).unwrap();
    let one = &manifest[1..manifest.len() - 1];
    two.0
        .insert("manifest.json".into(), format!("[{one},{one}]").into());
    let mut wrong = docker(&tars, "amd64");
    wrong.0.insert("id1/layer.tar".into(), tars[0].clone());
    let mut config = docker(&tars, "amd64");
    let name = config
        .0
        .keys()
        .find(|k| k.ends_with(".json") && k.len() > 60)
        .unwrap()
        .clone();
    config.0.get_mut(&name).unwrap().push(b' ');
    let mut missing = docker(&tars, "amd64");
    missing.0.remove("id2/layer.tar");
    for (what, files, why) in [
        ("two", two, "it holds 2 images (app:1, app:1)"),
        ("layer", wrong, "id1/layer.tar: its tar archive is sha256:"),
        ("config", config, "digest mismatch"),
        ("missing", missing, "blob id2/layer.tar: it is missing"),
        ("arch", docker(&tars, "arm64"), "it is for linux/arm64"),
    ] {
        let error = message(&load_bytes(&files.to_tar()).err().unwrap());
        assert!(
            error.contains(why) && error.contains("in.tar"),
            "{what}: {error}"
        );
    }
}

#[test]
fn a_manifest_json_that_is_not_dockers_is_just_a_file() {
    let input = load_bytes(&tar(&[file("manifest.json", b"{}"), file("a", b"")])).unwrap();
    assert_eq!(input.kind, InputKind::Tar);
}

#[test]
fn broken_layouts_are_refused_by_name() {
    let mut good = Layout::default();
    let image = good.image("amd64", RUN, &layers());
    let base = good.clone();
    let named = |name: &str| {
        format!(r#"{image},"annotations":{{"org.opencontainers.image.ref.name":"{name}"}}"#)
    };
    let blob = |layout: &Layout, part: &[u8]| -> String {
        let mut found = layout
            .0
            .iter()
            .filter(|(_, b)| b.windows(part.len()).any(|w| w == part));
        found.next().unwrap().0.clone()
    };
    let good = good.finish(std::slice::from_ref(&image));
    let change = |part: &[u8], edit: &dyn Fn(&mut Vec<u8>)| {
        let mut layout = good.clone();
        let name = blob(&layout, part);
        edit(layout.0.get_mut(&name).unwrap());
        layout
    };
    let other = |arch: &str, config: &str| base.clone().image_in(arch, config);
    let with = |media_type: &'static str| {
        let mut layout = Layout::default();
        let image = layout.image("amd64", RUN, &[(media_type, layers().remove(0).1)]);
        layout.finish(&[image])
    };
    let (mut two, second) = other("amd64", "{}");
    two = two.finish(&[
        named("one"),
        format!(r#"{second},"annotations":{{"org.opencontainers.image.ref.name":"two"}}"#),
    ]);
    let (arm, arm_image) = other("arm64", "{}");
    let arm = arm.finish(&[arm_image]);
    let mut deep = base.clone();
    let mut descriptor = image.clone();
    for _ in 0..5 {
        let index = deep.index(&[descriptor]);
        descriptor = deep.blob(INDEX, index);
    }
    let deep = deep.finish(&[descriptor]);
    let sha512 = base.clone().finish(&[format!(
        r#""mediaType":"{MANIFEST}","digest":"sha512:{}","size":1"#,
        "0".repeat(128)
    )]);
    let mut large = good.clone();
    large
        .0
        .insert("index.json".into(), vec![b' '; (8 << 20) + 1]);
    let mut json = good.clone();
    json.0.insert("index.json".into(), b"{".to_vec());
    let mut count = base.clone();
    let config = r#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:00"]}}"#;
    let config = count.blob(CONFIG, config);
    let manifest = count.blob(
        MANIFEST,
        format!(r#"{{"schemaVersion":2,"config":{{{config}}},"layers":[]}}"#),
    );
    let count = count.finish(&[manifest]);
    for (what, layout, why) in [
        (
            "layer changed",
            change(b"dir-to-file/x\0", &|b| b[600] ^= 1),
            ": digest mismatch: its content is sha256:",
        ),
        (
            "layer shorter",
            change(b"dir-to-file/x\0", &|b| b.truncate(512)),
            "512 bytes, where",
        ),
        (
            "config changed",
            change(b"Entrypoint", &|b| b[0] = b' '),
            "digest mismatch",
        ),
        (
            "manifest changed",
            change(b"schemaVersion\":2,\"config", &|b| b[0] = b' '),
            "digest mismatch",
        ),
        ("two images", two, "it holds 2 images for linux/amd64 ("),
        (
            "other platform",
            arm,
            "no image for linux/amd64; it holds linux/arm64",
        ),
        (
            "no image",
            base.clone().finish(&[]),
            "it holds no image at all",
        ),
        ("deep", deep, "indexes in indexes, more than 4 deep"),
        ("sha512", sha512, "only sha256 digests are supported"),
        (
            "large",
            large,
            "its index.json is larger than 8388608 bytes",
        ),
        ("json", json, "its index.json is not what it should be"),
        (
            "foreign",
            with("application/vnd.oci.image.layer.nondistributable.v1.tar"),
            "a foreign layer",
        ),
        (
            "foreign",
            with("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"),
            "a foreign layer",
        ),
        (
            "unknown",
            with("application/x-squashfs"),
            "unknown kind (application/x-squashfs)",
        ),
        (
            "count",
            count,
            "0 layers, where its configuration has 1 diff_ids",
        ),
    ] {
        let error = load_bytes(&layout.to_tar())
            .err()
            .unwrap_or_else(|| panic!("{what}: accepted"));
        let text = message(&error);
        assert!(
            text.contains(why) && text.contains("in.tar"),
            "{what}: {text}"
        );
        assert_eq!(error.class().exit_code(), 2);
    }
}

impl Layout {
    fn image_in(mut self, arch: &str, config: &str) -> (Layout, String) {
        let image = self.image(arch, config, &[(LAYER, tar(&[file("other", b"")]))]);
        (self, image)
    }
}

#[test]
fn broken_whiteouts_are_refused() {
    for (name, why) in [
        ("a/.wh.", "hides no name"),
        (".wh...", "hides no name"),
        ("../.wh.x", "\"..\""),
    ] {
        let archive = docker(&[tar(&[file(name, b"")])], "amd64").to_tar();
        let error = message(&load_bytes(&archive).err().unwrap());
        assert!(error.contains(why), "{error}");
    }
    // In a root file system they are names as any other.
    let input = load_bytes(&tar(&[file(".wh.x", b"")])).unwrap();
    assert!(input.tree.lookup(b".wh.x").is_some());
}

#[test]
fn a_bomb_in_a_layer_stops_at_the_limit() {
    let mut layout = Layout::default();
    let zeros = tar(&[file("zeros", &vec![0; 8 << 20])]);
    let image = layout.image(
        "amd64",
        "{}",
        &[("application/vnd.oci.image.layer.v1.tar+zstd", zeros)],
    );
    let (dir, path) = scratch("bomb.tar");
    std::fs::write(&path, layout.finish(&[image]).to_tar()).unwrap();
    let mut options = options(dir.path());
    options.max_size = 1 << 20;
    let error = message(&load(&path, &options).unwrap_err());
    assert!(
        error.contains("bomb.tar: more than 1048576 bytes of content (--max-size)"),
        "{error}"
    );
}

#[test]
fn configurations_are_read_or_refused() {
    let config = container_config(
        "x",
        br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#,
    );
    assert_eq!(config.unwrap(), Default::default());
    let error = container_config("x", b"[]").unwrap_err();
    assert!(
        error.to_string().contains("x: its configuration"),
        "{error}"
    );
    let nested = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
    container_config("x", &nested).unwrap_err();
}
