//! What the guest does with its application, seen from `imgtool run`.

use crate::machine::run;
use crate::support::*;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// An image that runs a shell script of the Debian tree; `spec` is its image.toml's other lines.
fn image(dir: &Path, spec: &str, script: &str) -> Option<PathBuf> {
    let debian = debian()?;
    let toml = dir.join("image.toml");
    // As JSON, which quotes what TOML needs to be quoted.
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let input = quoted(debian.to_str().unwrap());
    let command = quoted(script);
    // An exact fit has no room to write.
    let head = format!("input = {input}\nname = \"guest\"\nsize = \"+64MiB\"\n");
    let run = format!("command = [\"/bin/sh\", \"-c\", {command}]\n");
    std::fs::write(&toml, head + &run + spec).unwrap();
    let image = dir.join("guest.img");
    build(&toml, &image, &[]);
    Some(image)
}

const MACHINE: [&str; 6] = ["--firmware", "bios", "--memory", "512M", "--disk", "virtio"];

struct Case {
    spec: &'static str,
    script: &'static str,
    code: i32,
    outcome: &'static str,
    console: &'static [&'static str],
}

fn check(case: &Case) {
    let dir = scratch();
    let Some(image) = image(dir.path(), case.spec, case.script) else {
        return;
    };
    run(&image, &MACHINE).expect(case.code, case.outcome, case.console);
}

#[test]
fn an_exit_status_is_reported() {
    check(&Case {
        spec: "",
        script: "exit 3",
        code: 1,
        outcome: "exited",
        console: &[
            "imgtool: application started, pid ",
            "imgtool: application exited with status 3",
        ],
    });
}

#[test]
fn a_deadly_signal_is_reported() {
    check(&Case {
        spec: "",
        script: "kill -SEGV $$",
        code: 1,
        outcome: "exited",
        console: &["imgtool: application exited with signal 11"],
    });
}

#[test]
fn a_failed_application_starts_again_until_it_succeeds() {
    check(&Case {
        spec: "restart = \"on-failure\"\n",
        script: "echo try >>/tries; test $(wc -l </tries) = 3 && echo third time lucky",
        code: 0,
        outcome: "exited",
        console: &[
            "imgtool: application ended with status 1; it starts again in ",
            "third time lucky",
            "imgtool: application exited with status 0",
        ],
    });
}

#[test]
fn an_application_is_its_own_user_in_its_own_environment() {
    check(&Case {
        spec: "user = \"1000:1001\"\nworking_directory = \"/var/lib\"\n[env]\nA = \"a b\"\n",
        script: "echo $(id -u) $(id -g) $(id -G) in $(pwd) with \"$A\"; \
                 touch /etc/x || echo not mine; grep CapEff /proc/self/status",
        code: 0,
        outcome: "exited",
        console: &[
            "1000 1001 1001 in /var/lib with a b",
            "not mine",
            "CapEff:\t0000000000000000",
        ],
    });
}

#[test]
fn zombies_are_reaped() {
    check(&Case {
        spec: "",
        script: "for i in 1 2 3 4 5; do (sleep 0.1 &); done; sleep 2; \
                 ! grep -h ') Z ' /proc/[0-9]*/stat && echo none left",
        code: 0,
        outcome: "exited",
        console: &["none left"],
    });
}

#[test]
fn a_kernel_panic_is_visible() {
    check(&Case {
        spec: "",
        script: "echo c >/proc/sysrq-trigger",
        code: 1,
        outcome: "panicked",
        console: &["Kernel panic - not syncing"],
    });
}

#[test]
fn an_application_that_cannot_start_is_visible() {
    // The interpreter is there when the image is built, and gone before the second start.
    check(&Case {
        spec: "restart = \"always\"\n",
        script: "rm /bin/sh",
        code: 1,
        outcome: "failed",
        console: &["imgtool: FAILED: can't run /bin/sh: No such file or directory"],
    });
}

#[test]
fn a_missing_program_is_refused_when_the_image_is_built() {
    let Some(debian) = debian() else { return };
    let dir = scratch();
    let image = dir.path().join("x.img");
    let mut command = imgtool();
    command.arg("build").arg(debian).arg("-o").arg(&image);
    let out = output(command.args(["--", "/usr/bin/missing"]));
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("/usr/bin/missing"), "{stderr}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn an_application_may_start_before_the_network_is_up() {
    let dir = scratch();
    let script = "until test $(wc -l </proc/net/route) -gt 1; do sleep 0.1; done; echo routed";
    let Some(image) = image(dir.path(), "wait_for_network = false\n", script) else {
        return;
    };
    let ran = run(&image, &MACHINE);
    ran.expect(0, "exited", &["routed"]);
    let order = ran.console.find("application started") < ran.console.find(" is 10.0.2.15/24");
    assert!(order, "{}", ran.console);
}

/// Off EC2 the application waits for an address, and hardly longer.
#[test]
fn a_missing_metadata_service_costs_no_more_than_a_second() {
    let dir = scratch();
    let Some(image) = image(dir.path(), "", "true") else {
        return;
    };
    // Nothing outside answers, not even this host's own metadata service.
    let ran = run(&image, &[&MACHINE[..], &["--offline"]].concat());
    ran.expect(0, "exited", &[]);
    let waited = ran
        .at("application started")
        .duration_since(ran.at(" is 10.0.2.15/24"));
    assert!(waited <= Duration::from_secs(1), "{waited:?}");
}
