#!/usr/bin/env python3
"""Measures imgtool against the tools it replaces, in one run, and shows the targets beside.

Everything is warm: inputs are read once before. Rounds alternate between ours and theirs. The table
has each side's best round, because what else runs on a shared machine (its host included, when it
hands out memory) only ever adds time; medians of wall time are in --json. Inputs are made once, in
.imgtool/bench/, and are the same everywhere.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import boot
import inputs

ROOT = Path(__file__).resolve().parents[2]
IMGTOOL = ROOT / "target/release/imgtool"
HELLO = ROOT / "target/x86_64-unknown-linux-gnu/release/hello"
MIB = 1 << 20

SHA256 = "import hashlib, sys; hashlib.file_digest(open(sys.argv[1], 'rb'), 'sha256')"


class Cost:
    """What a command (or several, one after the other) took."""

    def __init__(self, wall, cpu, rss):
        self.wall, self.cpu, self.rss = wall, cpu, rss

    def __add__(self, other):
        return Cost(self.wall + other.wall, self.cpu + other.cpu, max(self.rss, other.rss))


def measure(*command):
    """Runs a command; seconds of wall and CPU time, and peak resident bytes."""
    # What an earlier command wrote must not be written back at this one's expense.
    os.sync()
    start = time.monotonic()
    child = subprocess.Popen(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    stderr = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.monotonic() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}:\n{stderr.decode(errors='replace')}")
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


class Table:
    """Rows of: what, ours, theirs, ratio, target, whether it is met."""

    def __init__(self):
        self.rows = []
        self.medians = {}

    def add(self, what, ours, theirs, ratio, target, met):
        self.rows.append(
            {
                "what": what,
                "ours": ours,
                "theirs": theirs,
                "ratio": ratio,
                "target": target,
                "met": met,
            }
        )
        print(f"  {what}: {ours} / {theirs}", file=sys.stderr)

    def text(self):
        lines = [["", "ours", "theirs", "ratio", "target", ""]]
        for row in self.rows:
            verdict = {True: "met", False: "MISSED", None: ""}[row["met"]]
            ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f}"
            lines.append([row["what"], row["ours"], row["theirs"], ratio, row["target"], verdict])
        widths = [max(len(line[n]) for line in lines) for n in range(6)]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        )


def best(costs):
    """The least wall and CPU time, the most memory."""
    return Cost(
        min(c.wall for c in costs),
        min(c.cpu for c in costs),
        max(c.rss for c in costs),
    )


def bench_tree(table, tree, work, rounds):
    """Wall time, CPU time and memory on the tree of a distribution's size."""
    raw, packed, ours_raw, ours_pack = (
        work / name for name in ("theirs.img", "theirs.zst", "ours.img", "ours.pack")
    )
    mke2fs = shutil.which("mke2fs") or "/usr/sbin/mke2fs"
    costs = {}

    def note(name, cost):
        costs.setdefault(name, []).append(cost)

    def build(*outputs):
        return measure(IMGTOOL, "build", tree, "--name", "bench", *outputs, "--", "/app")

    for _ in range(rounds):
        remove(raw, packed, ours_raw, ours_pack)
        note("ours raw", build("-o", ours_raw))
        made = measure(mke2fs, "-q", "-F", "-t", "ext4", "-d", tree, raw, "2G")
        note("theirs raw", made)
        note("ours pack", build("--pack", ours_pack))
        zstd = measure("zstd", "-3", "-T0", "-q", "-f", raw, "-o", packed)
        note("theirs pack", made + zstd)
        remove(raw)
        zstd = measure("zstd", "-3", "-q", "-f", ours_raw, "-o", packed)
        note("least work", zstd + measure(sys.executable, "-c", SHA256, ours_raw))
    remove(packed, ours_raw, ours_pack)
    cost = {name: best(several) for name, several in costs.items()}
    for name, several in costs.items():
        table.medians[name] = statistics.median(c.wall for c in several)

    for what, kind, theirs in [
        ("raw image, wall", "raw", "mke2fs -d"),
        ("pack, wall", "pack", "mke2fs -d; zstd -3 -T0"),
    ]:
        ours, other = cost[f"ours {kind}"].wall, cost[f"theirs {kind}"].wall
        table.add(
            what,
            f"{ours:.2f} s",
            f"{other:.2f} s ({theirs})",
            other / ours,
            ">= 3",
            other / ours >= 3,
        )
    ours, other = cost["ours pack"].cpu, cost["least work"].cpu
    table.add(
        "pack, CPU",
        f"{ours:.2f} s",
        f"{other:.2f} s (zstd -3; SHA-256)",
        ours / other,
        "<= 1.2",
        ours / other <= 1.2,
    )
    return max(cost["ours raw"].rss, cost["ours pack"].rss)


def bench_memory(table, tree_peak, sparse, work):
    """Peak memory: the tree's, and a sparse 20 GiB input's."""
    image, pack = work / "sparse.img", work / "sparse.pack"
    command = [IMGTOOL, "build", sparse, "--name", "sparse", "-o", image]
    cost = measure(*command, "--pack", pack, "--", "/app")
    remove(image, pack)
    for what, peak in [("1.2 GiB tree", tree_peak), ("20 GiB, sparse", cost.rss)]:
        table.add(
            f"peak memory, {what}",
            f"{peak / MIB:.0f} MiB",
            "",
            None,
            "<= 256 MiB",
            peak <= 256 * MIB,
        )
    table.add("20 GiB, sparse, wall", f"{cost.wall:.2f} s", "", None, "", None)


def bench_hello(table, work):
    """The sample's image: size of its pack. Returns the raw image."""
    image, pack = work / "hello.img", work / "hello.pack"
    remove(image, pack)
    measure(IMGTOOL, "build", HELLO, "--name", "hello", "-o", image, "--pack", pack)
    size = pack.stat().st_size
    table.add(
        "hello's pack",
        f"{size / MIB:.1f} MiB",
        "",
        None,
        "<= 25 MiB",
        size <= 25 * MIB,
    )
    remove(pack)
    return image


def bench_boot(table, image, work, rounds):
    """From QEMU's start to the application's first line, TCG, virtio disk."""
    kernel = boot.extract(image, work)
    times = {"kernel": []}
    for _ in range(rounds):
        times["kernel"].append(boot.direct(image, kernel, work))
        for firmware in ("bios", "uefi"):
            for name, text in [
                (firmware, boot.FIRST_LINE),
                (f"{firmware} alone", boot.FIRMWARE_DONE[firmware]),
            ]:
                seconds = boot.run(IMGTOOL, image, firmware, text)
                times.setdefault(name, []).append(seconds)
    least = {name: min(several) for name, several in times.items()}
    for name, several in times.items():
        table.medians[f"boot {name}"] = statistics.median(several)
    for firmware in ("bios", "uefi"):
        total, alone = least[firmware], least[f"{firmware} alone"]
        ratio = (total - alone) / least["kernel"]
        table.add(
            f"boot by {firmware}, after the firmware",
            f"{total - alone:.2f} s",
            f"{least['kernel']:.2f} s (qemu -kernel)",
            ratio,
            "<= 1.5",
            ratio <= 1.5,
        )
        table.add(
            f"boot by {firmware}, in all",
            f"{total:.2f} s",
            f"{least['kernel']:.2f} s (qemu -kernel)",
            total / least["kernel"],
            f"firmware's own: {alone:.2f} s",
            None,
        )


def remove(*paths):
    for path in paths:
        path.unlink(missing_ok=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dir", type=Path, default=ROOT / ".imgtool/bench")
    parser.add_argument("--json", type=Path, help="write the table here, too")
    parser.add_argument("--only", nargs="+", choices=["tree", "boot"], default=["tree", "boot"])
    options = parser.parse_args()
    for program in (IMGTOOL, HELLO):
        if not program.exists():
            sys.exit(f"{program} is not built; run this as `just bench`")
    work = options.dir / "work"
    work.mkdir(parents=True, exist_ok=True)
    table = Table()
    if "tree" in options.only:
        tree = inputs.made("tree", options.dir, HELLO)
        inputs.warm(tree)
        peak = bench_tree(table, tree, work, options.rounds)
        bench_memory(table, peak, inputs.made("sparse", options.dir, HELLO), work)
    if "boot" in options.only:
        image = bench_hello(table, work)
        bench_boot(table, image, work, options.rounds)
    shutil.rmtree(work)
    print(table.text())
    if options.json:
        options.json.write_text(
            json.dumps({"rows": table.rows, "medians": table.medians}, indent=2) + "\n"
        )
    if any(row["met"] is False for row in table.rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
