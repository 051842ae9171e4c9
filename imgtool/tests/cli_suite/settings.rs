//! Arguments, environment and `image.toml`.

use super::bench::{Bench, Case};

pub(crate) fn cases(bench: &Bench) -> Vec<Case> {
    let mut cases = Vec::new();
    for (input, name, text, parts) in TOML {
        bench.put(name, text);
        cases.push(Case::build(input, &[name], parts));
    }
    bench.put("closed.toml", "");
    let path = bench.input().join("closed.toml");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o000);
    std::fs::set_permissions(path, mode).unwrap();
    cases.push(Case::build(
        "unreadable spec",
        &["closed.toml"],
        &["closed.toml", "Permission denied"],
    ));
    for (input, args, parts) in FLAGS {
        cases.push(Case::build(input, &[&["app"], args].concat(), parts));
    }
    // A host with a configuration of its own has a kernel.
    if !std::path::Path::new("/etc/imgtool/config.toml").exists() {
        let out = ["-o", "../out/a.img"];
        let args = [&["build", "app"], &out[..]].concat();
        cases.push(Case::new(
            "no kernel named",
            &args,
            &["no kernel", "apt-get download", "--kernel"],
        ));
        let args = [&args[..], &["--kernel", "kernel.deb"]].concat();
        cases.push(Case::new(
            "no UEFI stub named",
            &args,
            &["no UEFI stub", "systemd-boot-efi", "--firmware bios"],
        ));
    }
    bench.put("home/imgtool/config.toml", "kernal = \"k.deb\"\n");
    cases.extend([
        Case::build(
            "no input named",
            &[] as &[&str],
            &["no input", "imgtool build INPUT"],
        ),
        Case::build(
            "SOURCE_DATE_EPOCH that is no number",
            &["app"],
            &["SOURCE_DATE_EPOCH", "abc", "seconds"],
        )
        .env("SOURCE_DATE_EPOCH", "abc"),
        Case::build(
            "SOURCE_DATE_EPOCH before 1970",
            &["app"],
            &["SOURCE_DATE_EPOCH", "-1"],
        )
        .env("SOURCE_DATE_EPOCH", "-1"),
        Case::build(
            "unknown field in the host's configuration",
            &["app"],
            &["config.toml:1", "kernal", "did you mean `kernel`?"],
        )
        .env("XDG_CONFIG_HOME", "home"),
        Case::new("no command", &[] as &[&str], &["Usage"]),
        Case::new("unknown command", &["bild"], &["bild", "build"]),
        Case::new(
            "image.toml that is there already",
            &["init", "typo.toml"],
            &["typo.toml", "is there already", "--force"],
        ),
        Case::new(
            "image.toml in a directory that is not there",
            &["init", "none/image.toml"],
            &["none/image.toml", "No such file"],
        ),
        Case::new(
            "image to run that is not there",
            &["run", "none.img"],
            &["none.img", "No such file"],
        ),
        Case::new("directory to run", &["run", "home"], &["home"]),
        Case::new(
            "no QEMU",
            &["run", "disk.img"],
            &["qemu-system-x86_64", "apt-get install qemu-system-x86"],
        )
        .env("PATH", "/nonexistent")
        .code(3),
    ]);
    bench.put("disk.img", vec![0; 1 << 20]);
    cases
}

type Row = (
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
);

const FLAGS: [Row; 22] = [
    (
        "--env without a value",
        &["--env", "PORT"],
        &["PORT", "NAME=VALUE"],
    ),
    (
        "--env without a name",
        &["--env", "=80"],
        &["--env", "without a name"],
    ),
    (
        "--name with a space",
        &["--name", "my app"],
        &["my app", "a name is"],
    ),
    (
        "--name that is a path",
        &["--name", "../x"],
        &["../x", "a name is"],
    ),
    (
        "--size without a number",
        &["--size", "big"],
        &["big", "8GiB"],
    ),
    (
        "--size in an ambiguous unit",
        &["--size", "8G"],
        &["8G", "GiB"],
    ),
    (
        "--size in an unknown unit",
        &["--size", "8QB"],
        &["8QB", "unknown unit"],
    ),
    (
        "--size above what there is",
        &["--size", "100TiB"],
        &["100TiB", "64TiB"],
    ),
    (
        "--size that is no multiple of 512",
        &["--size", "1000001"],
        &["1000001", "512"],
    ),
    ("--size of 0", &["--size", "0"], &["0"]),
    (
        "--size above what ext4 has",
        &["--size", "20TiB"],
        &["16 TiB"],
    ),
    (
        "--user with a space",
        &["--user", "a b"],
        &["a b", "USER:GROUP"],
    ),
    (
        "--user above what Linux has",
        &["--user", "4294967295"],
        &["4294967295"],
    ),
    (
        "--add without a target",
        &["--add", "app"],
        &["app", "SRC:DST"],
    ),
    (
        "--add to a relative path",
        &["--add", "app:etc"],
        &["app:etc", "absolute"],
    ),
    (
        "--add to a path with ..",
        &["--add", "app:/a/../b"],
        &["/a/../b", ".."],
    ),
    (
        "--cmdline of two lines",
        &["--cmdline", "a\nb"],
        &["one line"],
    ),
    (
        "--firmware that there is not",
        &["--firmware", "coreboot"],
        &["coreboot", "hybrid"],
    ),
    (
        "--owner that there is not",
        &["--owner", "me"],
        &["me", "keep"],
    ),
    ("--jobs 0", &["--jobs", "0"], &["0", "--jobs"]),
    ("unknown flag", &["--siz", "1GiB"], &["--siz", "--size"]),
    (
        "--init and a command",
        &["--init", "/sbin/init", "--", "/app"],
        &["--init", "cannot be used with"],
    ),
];

const TOML: [(&str, &str, &str, &[&str]); 13] = [
    (
        "unknown field",
        "typo.toml",
        "input = \"app\"\ncomand = [\"/app\"]\n",
        &[
            "typo.toml:2",
            "comand: unknown field",
            "did you mean `command`?",
        ],
    ),
    (
        "unknown field like no other",
        "odd.toml",
        "input = \"app\"\nzzzzzz = 1\n",
        &["odd.toml:2", "zzzzzz: unknown field", "known fields"],
    ),
    (
        "field that is written twice",
        "twice.toml",
        "size = \"1GiB\"\nsize = \"2GiB\"\n",
        &["twice.toml:2", "size"],
    ),
    (
        "number where a text has to be",
        "type.toml",
        "input = 3\n",
        &["type.toml:1", "input", "string"],
    ),
    (
        "text where a list has to be",
        "list.toml",
        "input = \"app\"\ncommand = \"/app --port 80\"\n",
        &["list.toml:2", "command", "sequence"],
    ),
    (
        "size in an ambiguous unit",
        "size.toml",
        "input = \"app\"\nsize = \"8G\"\n",
        &["size.toml:2", "size", "GiB"],
    ),
    (
        "host name with an underscore",
        "host.toml",
        "hostname = \"my_app\"\n",
        &["host.toml:1", "hostname", "my_app"],
    ),
    (
        "time before 1970",
        "time.toml",
        "timestamp = -1\n",
        &["time.toml:1", "timestamp"],
    ),
    (
        "addition to the root directory",
        "root.toml",
        "[[add]]\nsource = \"app\"\ntarget = \"/\"\n",
        &["root.toml:3", "add", "below /"],
    ),
    (
        "init and a command",
        "both.toml",
        "input = \"app\"\ninit = \"/sbin/init\"\ncommand = [\"/app\"]\n",
        &["init", "command"],
    ),
    (
        "text that is no TOML",
        "broken.toml",
        "input = \n",
        &["broken.toml:1"],
    ),
    (
        "input of a spec that is not there",
        "gone.toml",
        "input = \"gone\"\n",
        &["gone", "No such file"],
    ),
    ("spec without an input", "none.toml", "", &["no input"]),
];
