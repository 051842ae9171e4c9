#!/usr/bin/env python3
"""Where the time goes from an application to its first answer, on the local AWS with a converter
that boots in QEMU: a table of stages, cold (no converter is there) and warm (one is); how long a
changed application takes with an agent as a process, which leaves QEMU's share out; and how much
longer than a bare kernel the converter takes until it asks for its first request.

What has a target is the best of several rounds: what else runs on a shared machine only ever adds
time. Of the boots it is the median. The stages are those of one round.
"""

import argparse
import json
import shutil
import socket
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import machine
import world
from bench import HELLO, IMGTOOL

ROOT = Path(__file__).resolve().parents[2]

# What the converter says on its console when a stage ends.
INIT, POLLS = "imgtool: init ", "uploader: takes requests from"
STAGES = [
    ("firmware and kernel, to PID 1", INIT),
    ("PID 1, to the program", "imgtool: application started"),
    ("the program, to its first poll", POLLS),
    ("until it has the request", "uploader: request for"),
    ("checks, to the first block", "uploader: puts blocks into"),
    ("blocks", "uploader: completes"),
    ("completed", "uploader: registers"),
    ("registered", "uploader: finished:"),
]
# Seconds of a warm publish, without QEMU's share.
TARGET = 3.0
# Until the first poll, of the bare kernel's boot.
RATIO = 1.5


class Lines:
    """Lines of a program that runs, and when they came."""

    def __init__(self, command, environment, stream):
        self.process = subprocess.Popen(
            [str(it) for it in command],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if stream == "stderr" else subprocess.DEVNULL,
            text=True,
            errors="replace",
        )
        self._begin(getattr(self.process, stream))

    def _begin(self, source):
        self.seen = []
        self.more = threading.Condition()
        threading.Thread(target=self._read, args=(source,), daemon=True).start()

    def _read(self, source):
        for line in source:
            with self.more:
                self.seen.append((time.monotonic(), line))
                self.more.notify_all()

    def first(self, text, after=0.0, seconds=300):
        """When a line with this text came, and the line."""
        end = time.monotonic() + seconds
        with self.more:
            while True:
                for at, line in self.seen:
                    if text in line and at >= after:
                        return at, line
                left = end - time.monotonic()
                if left <= 0 or not self.more.wait(left):
                    said = "".join(line for _, line in self.seen[-20:])
                    sys.exit(f"not after {seconds} s: {text!r}\n{said}")


class Console(Lines):
    """The same of a guest's console, from its file: `emulator console` asks four times a second."""

    def __init__(self, aws, instance):
        self.ended = False
        self._begin(self._lines(aws.data / "guests" / instance / "console"))

    def _lines(self, path):
        while not path.exists() and not self.ended:
            time.sleep(0.01)
        line = ""
        with path.open(errors="replace") as file:
            while not self.ended:
                line += file.readline()
                if line.endswith("\n"):
                    yield line
                    line = ""
                else:
                    time.sleep(0.002)


def timed(work):
    start = time.monotonic()
    result = work()
    return time.monotonic() - start, result


def build(work, name, version):
    """The sample; its bytes differ between versions by a mebibyte."""
    tree = work / f"{name}-{version}"
    tree.mkdir()
    shutil.copy(HELLO, tree / "hello")
    (tree / "data").write_bytes(bytes([version]) * 17 + b"%d" % version * (1 << 20))
    pack = work / f"{name}-{version}.pack"
    command = [IMGTOOL, "build", tree, "--name", name, "--pack", pack, "--", "/hello"]
    subprocess.run([str(it) for it in command], check=True, stdout=subprocess.DEVNULL, cwd=ROOT)
    return pack


def publish(aws, vault, pack, kind):
    """One that launches a converter if none is there: what it said, and its start and end."""
    command = (world.UPLOADER, "--vault", vault, "publish", pack, "--instance-type", kind, "--json")
    start = time.monotonic()
    told = Lines(command, aws.environment, "stderr")
    return start, told


def ended(told):
    stdout = told.process.stdout.read()
    if told.process.wait() != 0:
        sys.exit("".join(line for _, line in told.seen))
    return time.monotonic(), json.loads(stdout)["regions"][0]["ami"]


def stages(console, start, which=STAGES):
    """How long each took; the first begins at `start`."""
    rows, last = [], start
    for name, text in which:
        at, _ = console.first(text, start)
        rows.append((name, at - last))
        last = at
    return rows


def launched(told):
    """When a converter was launched, and which."""
    at, line = told.first("launched the converter ")
    return at, line.split("launched the converter ")[1].split(",")[0]


def boots(aws, vault, work, kind, rounds):
    """Seconds of kernel time until the converter's first poll, and until a bare kernel's init; the
    machine is the same, and so is the clock: the kernel's own up to PID 1, and from there on the
    time at which lines come. What firmware and stub take, and the kernel until its clock runs, is
    on neither side. One after the other, with nobody else in QEMU.

    The medians: where the kernel can't measure its TSC by the PIT, which happens now and then, its
    clock begins 0.3 s late, and the shortest boot would be one of those.
    """
    kernel = machine.BareKernel(aws, work)
    ours, bare = [], []
    for _ in range(rounds):
        command = (world.UPLOADER, "--vault", vault, "convert", "hello", "--no-wait")
        command += ("--instance-type", kind)
        _, instance = launched(Lines(command, aws.environment, "stderr"))
        console = Console(aws, instance)
        init, line = console.first(INIT)
        polls, _ = console.first(POLLS, init)
        console.ended = True
        guest = machine.Guest(instance)
        same = kernel.machine(guest)
        aws.run(world.UPLOADER, "--vault", vault, "converter", "stop", "--yes")
        guest.wait()
        ours.append(machine.kernel_time(line) + polls - init)
        bare.append(kernel.boot(same))
    return statistics.median(ours), statistics.median(bare)


def answer(aws, ami, kind):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    tunnel = f"{world.EMULATOR} port-forward {{id}} {{port}} --port {port} --data {aws.data}"
    there = ("--port", "8080", "--connect", f"127.0.0.1:{port}", "--tunnel", tunnel)
    return timed(lambda: aws.json("launch", ami, "--instance-type", kind, *there))[0]


def without_qemu(aws, work, rounds):
    """A changed application, with an agent as a process that is there already."""
    vault, seconds = "bench-flow-process", []
    for version in range(1 + rounds):
        pack = build(work, "process", version)
        # For one request: an agent that is ended while it asks for the next takes that along.
        agent = Lines(
            (world.UPLOADER, "--vault", vault, "agent", "--once"), aws.environment, "stderr"
        )
        agent.first("takes requests from")
        start, told = publish(aws, vault, pack, "t3.micro")
        end, _ = ended(told)
        agent.process.wait()
        seconds.append(end - start)
    # The first one is not a change.
    return min(seconds[1:])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dir", type=Path, default=ROOT / ".imgtool/bench")
    parser.add_argument("--type", default="t3.micro", help="of all instances")
    parser.add_argument("--rounds", type=int, default=5, help="of what has a target")
    parser.add_argument("--json", type=Path, help="write the table here, too")
    options = parser.parse_args()
    for program in (IMGTOOL, HELLO, world.UPLOADER, world.EMULATOR):
        if not program.exists():
            sys.exit(f"{program} is not built; run this as `just bench-flow`")
    work = options.dir / "flow"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    vault, kind, rows = "bench-flow", options.type, []
    aws = world.World(work / "aws")
    try:
        aws.vault("flow-process")
        warm = without_qemu(aws, work, options.rounds)
        rows.append(("warm, without QEMU: publish, end to end", warm, TARGET))
        rows.append(
            (
                "of it, the emulator's own: a snapshot and an image are pending",
                2 * world.SETTLE,
                None,
            )
        )
        seconds, first = timed(lambda: build(work, "hello", 1))
        rows.append(("build", seconds, None))
        rows.append(("vault init", timed(lambda: aws.vault("flow"))[0], None))
        bootstrap = ("--vault", vault, "converter", "bootstrap")
        rows.append(("converter bootstrap, once", timed(lambda: aws.json(*bootstrap))[0], None))

        start, told = publish(aws, vault, first, kind)
        at, instance = launched(told)
        rows.append(("cold: push, request, launch", at - start, None))
        console = Console(aws, instance)
        for name, seconds in stages(console, at):
            rows.append((f"cold: {name}", seconds, None))
        end, ami = ended(told)
        rows.append(("cold: publish, end to end", end - start, None))

        start, told = publish(aws, vault, build(work, "hello", 2), kind)
        at, _ = console.first("uploader: request for", start)
        rows.append(("warm: push, request, taken up", at - start, None))
        for name, seconds in stages(console, at, STAGES[4:]):
            rows.append((f"warm: {name}", seconds, None))
        end, _ = ended(told)
        rows.append(("warm: publish, end to end", end - start, None))
        console.ended = True
        rows.append(("launch to the first answer", answer(aws, ami, kind), None))

        guest = machine.Guest(instance)
        aws.run(world.UPLOADER, "--vault", vault, "converter", "stop", "--yes")
        guest.wait()
        ours, bare = boots(aws, vault, work, kind, options.rounds)
        rows.append(("bare kernel: its start, to init", bare, None))
        rows.append(("converter: the kernel's start, to its first poll", ours, None))
        rows.append(("converter, by bare kernel (a ratio)", ours / bare, RATIO))
    finally:
        aws.down()
        shutil.rmtree(work, ignore_errors=True)
    print(f"| stage ({kind}) | seconds | target |\n|---|---|---|")
    for name, seconds, target in rows:
        aim = "" if target is None else f"<= {target:g} {'met' if seconds <= target else 'NOT MET'}"
        print(f"| {name} | {seconds:.2f} | {aim} |")
    if options.json:
        said = [{"stage": name, "seconds": seconds, "target": aim} for name, seconds, aim in rows]
        options.json.write_text(json.dumps(said, indent=2) + "\n")
    if any(target is not None and seconds > target for _, seconds, target in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
