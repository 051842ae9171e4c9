//! Programs.

use super::bench::{Bench, Case};
use testutils::{dynamic_elf, elf};

pub(crate) fn cases(bench: &Bench) -> Vec<Case> {
    bench.put("app32", elf(3, 1));
    bench.put("app-arm64", elf(183, 2));
    bench.put("app-cut", &elf(62, 2)[..80]);
    let mut object = elf(62, 2);
    object[16] = 1;
    bench.put("app.o", &object);
    let mut library = dynamic_elf(&[]);
    library[16] = 3;
    library[24..32].fill(0);
    bench.put("libapp.so", &library);
    bench.put(
        "app-dynamic",
        dynamic_elf(&["libnone.so.1", "libnot-there.so.2"]),
    );
    bench.put("start.sh", "#!/bin/sh\nexec /app\n");
    bench.put("app.exe", [b"MZ".as_slice(), &[0; 600]].concat());
    bench.put("nothing", "");

    let build = |input, file: &str, parts| Case::build(input, &[file], parts);
    vec![
        build(
            "input that is not there",
            "no-app",
            &["no-app", "No such file"],
        ),
        build("empty file", "nothing", &["nothing", "an empty file"]),
        build(
            "script",
            "start.sh",
            &["start.sh", "a script", "interpreter"],
        ),
        build("32-bit program", "app32", &["app32", "64-bit"]),
        build(
            "program for arm64",
            "app-arm64",
            &["app-arm64", "another machine", "x86-64"],
        ),
        build("program for Windows", "app.exe", &["app.exe", "Windows"]),
        build("truncated program", "app-cut", &["app-cut", "cut off"]),
        build("object file", "app.o", &["app.o", "object file"]),
        build(
            "shared library",
            "libapp.so",
            &["libapp.so", "shared library"],
        ),
        build(
            "program whose libraries are not here",
            "app-dynamic",
            &[
                "app-dynamic",
                "libnone.so.1",
                "libnot-there.so.2",
                "statically",
            ],
        ),
        build("device", "/dev/null", &["/dev/null"]),
    ]
}
