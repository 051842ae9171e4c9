"""The local AWS that the bench runs against, and what runs against it."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
UPLOADER = ROOT / "target/release/uploader"
EMULATOR = ROOT / "target/release/emulator"
CLIENTS = ROOT / ".imgtool/clients/bin"
ACCOUNT, REGION = "111122223333", "us-east-1"
# How long the emulator lets states last that pass by themselves, in seconds: its default.
SETTLE = 1.0
TICKS = os.sysconf("SC_CLK_TCK")


class Cost:
    """What a program took: seconds of wall and CPU time, peak bytes, and blocks put."""

    def __init__(self, wall, cpu, rss, puts=0):
        self.wall, self.cpu, self.rss, self.puts = wall, cpu, rss, puts


class Vault:
    """A vault of its own."""

    def __init__(self, aws, name):
        self.aws, self.name = aws, name
        self.bucket = f"{name}-{ACCOUNT}-{REGION}"
        aws.run(UPLOADER, "--vault", name, "vault", "init")

    def empty(self):
        """Packs take room, and are many."""
        self.aws.run("aws", "s3", "rm", "--quiet", "--recursive", f"s3://{self.bucket}/packs/")


class World:
    """An emulator, with its state in a directory."""

    def __init__(self, data):
        self.data = data
        up = self._emulator(
            "up",
            "--port",
            "0",
            "--localstack=process",
            f"--settle-ms={SETTLE * 1000:.0f}",
            "--json",
        )
        said = json.loads(up)
        self.environment = os.environ | {
            "PATH": f"{CLIENTS}:{os.environ['PATH']}",
            "AWS_ENDPOINT_URL": "https://" + said["address"],
            "AWS_CA_BUNDLE": said["ca_bundle"],
            # For coldsnap, which does not read AWS_CA_BUNDLE.
            "SSL_CERT_FILE": said["ca_bundle"],
            "AWS_ACCESS_KEY_ID": ACCOUNT,
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
            self.environment.pop(name, None)

    def down(self):
        self._emulator("down")

    def _emulator(self, *arguments):
        command = [EMULATOR, *arguments, "--data", self.data]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout

    def vault(self, name):
        return Vault(self, f"bench-{name}")

    def run(self, *command):
        """What a program prints."""
        done = subprocess.run(
            [str(it) for it in command],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            sys.exit(f"{' '.join(map(str, command))}:\n{done.stderr}")
        return done.stdout

    def json(self, *arguments):
        """What `uploader` prints as JSON."""
        return json.loads(self.run(UPLOADER, *arguments, "--json"))

    def measure(self, *command):
        """What a program takes, from its start to its end."""
        return self._watch(command, lambda line, process: None)

    def rclone(self, file, target):
        remote = {
            "TYPE": "s3",
            "PROVIDER": "Other",
            "ENV_AUTH": "true",
            "REGION": REGION,
            "ENDPOINT": self.environment["AWS_ENDPOINT_URL"],
            "FORCE_PATH_STYLE": "true",
            "NO_CHECK_BUCKET": "true",
            # It always sends one, and this is the one that a bucket without ACLs takes.
            "ACL": "bucket-owner-full-control",
        }
        more = {f"RCLONE_CONFIG_V_{key}": value for key, value in remote.items()}
        more["RCLONE_CA_CERT"] = self.environment["AWS_CA_BUNDLE"]
        # Its SDK reads this too, and then refuses its client.
        more["AWS_CA_BUNDLE"] = None
        command = ("rclone", "copyto", "--config", os.devnull, file, f"V:{target}")
        return self._watch(command, lambda line, process: None, more)

    def coldsnap(self, program, raw):
        """An upload of a raw disk. It starts and completes its snapshot within that time."""
        with Puts(self) as puts:
            cost = self.measure(program, "upload", "--no-progress", raw)
        cost.puts = puts.count
        return cost

    def convert(self, vault, image):
        """One request, done by one agent: wall and CPU are those of putting the blocks, from the
        agent's own words; memory is that of its whole life."""
        self.run(UPLOADER, "--vault", vault.name, "convert", image, "--no-wait", "--no-launch")
        marks = []

        def watch(line, process):
            if "puts blocks into" in line or "completes snap-" in line:
                marks.append((time.monotonic(), cpu(process.pid)))

        with Puts(self) as puts:
            cost = self._watch((UPLOADER, "--vault", vault.name, "agent", "--once"), watch)
        if len(marks) != 2:
            sys.exit("the agent did not say when it put blocks")
        (start, before), (end, after) = marks
        return Cost(end - start, after - before, cost.rss, puts.count)

    def forget(self):
        """Deletes all images and snapshots: they take room."""
        for image in json.loads(self.run("aws", "ec2", "describe-images", "--owners", "self"))[
            "Images"
        ]:
            self.run("aws", "ec2", "deregister-image", "--image-id", image["ImageId"])
        found = json.loads(self.run("aws", "ec2", "describe-snapshots", "--owner-ids", "self"))
        for snapshot in found["Snapshots"]:
            self.run("aws", "ec2", "delete-snapshot", "--snapshot-id", snapshot["SnapshotId"])

    def _watch(self, command, watch, more=None):
        # What an earlier program wrote must not be written back at this one's expense.
        os.sync()
        start = time.monotonic()
        process = subprocess.Popen(
            [str(it) for it in command],
            env={
                key: it for key, it in (self.environment | (more or {})).items() if it is not None
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        said = []
        for line in process.stderr:
            watch(line, process)
            said = [*said[-50:], line]
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            sys.exit(f"{' '.join(map(str, command))}:\n{''.join(said)}")
        return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


class Puts:
    """Counts the blocks that are put, by a rule that never fires."""

    RULE = ("--service", "ebs", "--operation", "PutSnapshotBlock", "--nth", str(10**15))

    def __init__(self, aws):
        self.aws, self.count = aws, 0

    def __enter__(self):
        self.aws._emulator("fault", "add", *self.RULE, "--status", "500")
        return self

    def __exit__(self, *_):
        rules = json.loads(self.aws._emulator("fault", "list", "--json"))
        rules = rules["faults"] if isinstance(rules, dict) else rules
        self.count = rules[0]["matched"]
        self.aws._emulator("fault", "clear")


def cpu(pid):
    """Seconds of a process that runs."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS
