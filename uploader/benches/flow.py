#!/usr/bin/env python3
"""Where the time goes from an application to its first answer, on the local AWS with a converter that
boots in QEMU: a table of stages, cold (no converter is there) and warm (one is), and how long a
changed application takes with an agent as a process, which leaves QEMU's share out.
"""

import argparse
import json
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import world

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "imgtool/benches"))

from bench import HELLO, IMGTOOL  # noqa: E402

# What the converter says on its console when a stage begins.
STAGES = [
    ("firmware and kernel, to PID 1", "imgtool: init "),
    ("PID 1, to the program", "imgtool: application started"),
    ("the program, to its first poll", "uploader: takes requests from"),
    ("until it has the request", "uploader: request for"),
    ("checks, to the first block", "uploader: puts blocks into"),
    ("blocks", "uploader: completes"),
    ("completed", "uploader: registers"),
    ("registered", "uploader: finished:"),
]
TARGET = 3.0


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
        self.seen = []
        self.more = threading.Condition()
        source = getattr(self.process, stream)
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


def follow(aws, instance):
    command = (world.EMULATOR, "console", instance, "--follow", "--data", aws.data)
    return Lines(command, aws.environment, "stdout")


def answer(aws, ami, kind):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    tunnel = f"{world.EMULATOR} port-forward {{id}} {{port}} --port {port} --data {aws.data}"
    there = ("--port", "8080", "--connect", f"127.0.0.1:{port}", "--tunnel", tunnel)
    return timed(lambda: aws.json("launch", ami, "--instance-type", kind, *there))[0]


def without_qemu(aws, work):
    """A changed application, with an agent as a process that is there already."""
    vault = "bench-flow-process"
    for version in (1, 2):
        pack = build(work, "process", version)
        # For one request: an agent that is ended while it asks for the next takes that along.
        agent = Lines((world.UPLOADER, "--vault", vault, "agent", "--once"), aws.environment, "stderr")
        agent.first("takes requests from")
        start, told = publish(aws, vault, pack, "t3.micro")
        end, _ = ended(told)
        agent.process.wait()
    return ("warm, without QEMU: publish, end to end", end - start, TARGET)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dir", type=Path, default=ROOT / ".imgtool/bench")
    parser.add_argument("--type", default="t3.micro", help="of all instances")
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
        rows.append(without_qemu(aws, work))
        seconds, first = timed(lambda: build(work, "hello", 1))
        rows.append(("build", seconds, None))
        rows.append(("vault init", timed(lambda: aws.vault("flow"))[0], None))
        bootstrap = ("--vault", vault, "converter", "bootstrap")
        rows.append(("converter bootstrap, once", timed(lambda: aws.json(*bootstrap))[0], None))

        start, told = publish(aws, vault, first, kind)
        at, line = told.first("launched the converter ")
        instance = line.split("launched the converter ")[1].split(",")[0]
        rows.append(("cold: push, request, launch", at - start, None))
        console = follow(aws, instance)
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
        console.process.kill()
        rows.append(("launch to the first answer", answer(aws, ami, kind), None))
    finally:
        aws.down()
        shutil.rmtree(work, ignore_errors=True)
    print(f"| stage ({kind}) | seconds | target |\n|---|---|---|")
    for name, seconds, target in rows:
        aim = "" if target is None else f"<= {target:.0f} {'met' if seconds <= target else 'NOT MET'}"
        print(f"| {name} | {seconds:.2f} | {aim} |")
    if options.json:
        said = [{"stage": name, "seconds": seconds, "target": aim} for name, seconds, aim in rows]
        options.json.write_text(json.dumps(said, indent=2) + "\n")
    if any(target is not None and seconds > target for _, seconds, target in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
