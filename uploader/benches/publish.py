#!/usr/bin/env python3
"""Measures `uploader` against the tools it replaces, on the local AWS, in one run: what is pushed
against `aws s3 cp` and rclone, what is converted against `coldsnap upload`.

Rounds alternate between ours and theirs, to the same endpoint, with the same encryption. The table
has each side's best round: what else runs on a shared machine only ever adds time. On one machine
the emulator takes its share of the processors, the same for both sides; CPU is that of the client
alone.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import inputs
import world
from bench import HELLO, IMGTOOL, MIB, Table, measure, remove

ROOT = Path(__file__).resolve().parents[2]

BLOCK = 512 * 1024
VERSION = "0.12.0"


def coldsnap(options):
    """A coldsnap built for speed, as we are: the tests' is not."""
    if options.coldsnap:
        return options.coldsnap
    root = ROOT / "target/bench-tools"
    program = root / "bin/coldsnap"
    if not program.exists():
        print(f"building coldsnap {VERSION}: ten minutes, once", file=sys.stderr)
        subprocess.run(
            ["cargo", "install", "coldsnap", "--version", VERSION, "--locked", "--root", root],
            check=True,
        )
    return program


def build(tree, pack, *more):
    measure(IMGTOOL, "build", tree, "--name", "bench", "--pack", pack, *more, "--", "/app")


def bench_push(table, aws, pack, rounds):
    """Bytes a second of the whole pack, into a vault that has none of it."""
    size = pack.stat().st_size
    seconds = {}

    def note(name, cost):
        seconds.setdefault(name, []).append(cost.wall)

    for number in range(rounds):
        vault = aws.vault(f"push-{number}")
        note("ours", aws.measure(world.UPLOADER, "--vault", vault.name, "push", pack))
        theirs = f"s3://{vault.bucket}/packs/theirs"
        note("aws s3 cp", aws.measure("aws", "s3", "cp", "--no-progress", pack, theirs))
        if shutil.which("rclone"):
            note("rclone", aws.rclone(pack, f"{vault.bucket}/packs/rclone"))
        vault.empty()
    ours = size / min(seconds["ours"]) / MIB
    for name, times in seconds.items():
        table.medians[f"push {name}"] = statistics.median(times)
        if name != "ours":
            rate = size / min(times) / MIB
            table.add(
                f"push {size / MIB:.0f} MiB",
                f"{ours:.0f} MiB/s",
                f"{rate:.0f} MiB/s ({name})",
                ours / rate,
                ">= 1",
                ours >= rate,
            )
    if "rclone" not in seconds:
        print("  rclone is not installed: left out", file=sys.stderr)


def bench_convert(table, aws, pack, raw, program, rounds):
    """Blocks a second and CPU for a block, from a vault and from a raw disk."""
    vault = aws.vault("convert")
    aws.measure(world.UPLOADER, "--vault", vault.name, "push", pack)
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(aws.convert(vault, "bench"))
        aws.forget()
        theirs.append(aws.coldsnap(program, raw))
        aws.forget()
    blocks = raw.stat().st_size // BLOCK
    put = ours[0].puts
    for name, costs in [("ours", ours), ("coldsnap", theirs)]:
        table.medians[f"convert {name}"] = statistics.median(it.wall for it in costs)
    table.medians["convert blocks"] = {"disk": blocks, "ours": put, "coldsnap": theirs[0].puts}
    wall = min(it.wall for it in ours), min(it.wall for it in theirs)
    cpu = min(it.cpu for it in ours), min(it.cpu for it in theirs)
    rates = put / wall[0], theirs[0].puts / wall[1]
    table.add(
        "convert, puts a second",
        f"{rates[0]:.0f}/s ({put} puts)",
        f"{rates[1]:.0f}/s ({theirs[0].puts} puts, coldsnap)",
        rates[0] / rates[1],
        ">= 1.5",
        rates[0] >= 1.5 * rates[1],
    )
    each = cpu[0] / put, cpu[1] / theirs[0].puts
    table.add(
        "convert, CPU for a put",
        f"{each[0] * 1000:.2f} ms",
        f"{each[1] * 1000:.2f} ms (coldsnap)",
        each[0] / each[1],
        "<= 0.5",
        each[0] <= 0.5 * each[1],
    )
    table.add(
        "convert, the whole disk, wall",
        f"{wall[0]:.2f} s",
        f"{wall[1]:.2f} s (coldsnap)",
        wall[1] / wall[0],
        "",
        None,
    )
    table.add(
        "convert, the whole disk, CPU",
        f"{cpu[0]:.2f} s",
        f"{cpu[1]:.2f} s (coldsnap)",
        cpu[0] / cpu[1],
        "",
        None,
    )
    memory(table, "agent's peak memory, 1.2 GiB", max(it.rss for it in ours), theirs)
    return vault


def memory(table, what, rss, theirs=()):
    other = f"{max(it.rss for it in theirs) / MIB:.0f} MiB (coldsnap)" if theirs else ""
    table.add(what, f"{rss / MIB:.0f} MiB", other, None, "<= 128 MiB", rss <= 128 * MIB)


def bench_change(table, aws, vault, tree, work):
    """A second version: one file of 1 MiB is another."""
    changed, pack = work / "changed", work / "changed.pack"
    subprocess.run(["cp", "-al", tree, changed], check=True)
    file = next(
        it
        for it in sorted(changed.rglob("*"))
        if it.is_file() and not it.is_symlink() and it.stat().st_size >= MIB
    )
    data = bytearray(file.read_bytes())
    data[:MIB] = bytes(byte ^ 0x55 for byte in data[:MIB])
    mode = file.stat().st_mode
    # It is a link to the first version's.
    file.unlink()
    file.write_bytes(data)
    file.chmod(mode)
    build(changed, pack)
    # The first version's snapshot, which is to be the parent.
    aws.convert(vault, "bench")
    sent = aws.json("--vault", vault.name, "push", pack)["regions"][0]["bytes_sent"]
    put = aws.convert(vault, "bench").puts
    table.add(
        "1 MiB of 1.2 GiB changed, sent",
        f"{sent / MIB:.2f} MiB",
        "",
        None,
        "<= 4 MiB",
        sent <= 4 * MIB,
    )
    table.add("1 MiB of 1.2 GiB changed, puts", f"{put}", "", None, "<= 12", put <= 12)
    shutil.rmtree(changed)
    remove(pack, Path(f"{pack}.json"))


def bench_large(table, aws, work, gib):
    """Memory for a disk without a block that could be left out."""
    raw, vault = work / "large.img", aws.vault("large")
    with open(raw, "wb") as file:
        for index in range(gib << 11):
            # Not zero, and no two the same; the rest is a hole, which costs no time here.
            file.seek(index * BLOCK)
            file.write(b"block %d" % index)
        file.truncate(gib << 30)
    mode = ("--name", "large", "--boot-mode", "uefi")
    aws.measure(world.UPLOADER, "--vault", vault.name, "push", raw, *mode)
    remove(raw)
    cost = aws.convert(vault, "large")
    memory(table, f"agent's peak memory, {gib} GiB, {cost.puts} puts", cost.rss)
    aws.forget()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dir", type=Path, default=ROOT / ".imgtool/bench")
    parser.add_argument("--json", type=Path, help="write the table here, too")
    parser.add_argument("--coldsnap", type=Path, help="this coldsnap, instead of one that is built")
    parser.add_argument(
        "--gib", type=int, default=20, help="size of the large image; 0 leaves it out"
    )
    parts = ["push", "convert", "large"]
    parser.add_argument("--only", nargs="+", choices=parts, default=parts)
    options = parser.parse_args()
    for program in (IMGTOOL, HELLO, world.UPLOADER, world.EMULATOR):
        if not program.exists():
            sys.exit(f"{program} is not built; run this as `just bench-publish`")
    program = coldsnap(options) if "convert" in options.only else None
    work = options.dir / "publish"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    tree = inputs.made("tree", options.dir, HELLO)
    pack, raw = work / "bench.pack", work / "bench.img"
    build(tree, pack, "-o", raw)
    inputs.warm(work)
    table = Table()
    aws = world.World(work / "aws")
    try:
        if "push" in options.only:
            bench_push(table, aws, pack, options.rounds)
        if "convert" in options.only:
            vault = bench_convert(table, aws, pack, raw, program, options.rounds)
            bench_change(table, aws, vault, tree, work)
        if "large" in options.only and options.gib:
            bench_large(table, aws, work, options.gib)
    finally:
        aws.down()
        shutil.rmtree(work, ignore_errors=True)
    print(table.text())
    if options.json:
        said = {"rows": table.rows, "medians": table.medians}
        options.json.write_text(json.dumps(said, indent=2) + "\n")
    if any(row["met"] is False for row in table.rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
