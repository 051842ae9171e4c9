"""The converter's image and AMI: `uploader converter`, and the agent as an instance runs it."""

import concurrent.futures
import contextlib
import http.server
import json
import re
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from flow.own_vault import VAULT
from harness.programs import HELLO, IMGTOOL, UPLOADER, needed, run
from harness.waiting import until

HERE, THERE = "us-east-1", "eu-west-1"
BOTH = ("--region", HERE, "--region", THERE)
ROOTS = "etc/ssl/certs/ca-certificates.crt"
RECORD = "converter-image/current.json"


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """`uploader` of other versions: what differs is the number that is in it."""
    folder = tmp_path_factory.mktemp("programs")
    own = UPLOADER.read_bytes()
    mark = re.search(rb"\[this is uploader, version ([0-9.]+)\]", own)
    ours = mark.group(1)

    def of(version):
        path = folder / f"uploader-{version}"
        if not path.exists():
            assert len(version) == len(ours)
            path.write_bytes(
                own.replace(mark.group(0), mark.group(0).replace(ours, version.encode()))
            )
            path.chmod(0o755)
        return path

    return of


@pytest.fixture
def vault(uploader, aws):
    """The vault of this test's account, as `vault init` makes it."""
    uploader("vault", "init")
    return Vault(aws)


class Vault:
    def __init__(self, aws, region=HERE):
        self.ec2, self.s3 = (aws.client(it, region=region) for it in ("ec2", "s3"))
        self.bucket = f"{VAULT}-{aws.account}-{region}"

    def images(self):
        return self.ec2.describe_images(Owners=["self"])["Images"]

    def snapshots(self):
        return self.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]

    def is_empty(self):
        return not self.images() and not self.snapshots() and self.record() is None

    def record(self):
        try:
            body = self.s3.get_object(Bucket=self.bucket, Key=RECORD)["Body"]
        except self.s3.exceptions.NoSuchKey:
            return None
        return json.loads(body.read())


def rows(done):
    return {it["region"]: it for it in done.json["regions"]}


def region(done):
    (one,) = done.json["regions"]
    return one


def started(uploader, vault, *arguments, **more):
    """A bootstrap that has begun to put blocks."""
    running = uploader.start("converter", "bootstrap", *arguments, **more)
    until = time.monotonic() + 120
    while not vault.snapshots():
        assert time.monotonic() < until and running.poll() is None, running.communicate()
        time.sleep(0.1)
    return running


def launched(vault, ami):
    """An instance of it, tagged as a converter's."""
    tags = [{"Key": "uploader:converter", "Value": VAULT}]
    made = vault.ec2.run_instances(
        ImageId=ami, InstanceType="t3.micro", MinCount=1, MaxCount=1,
        TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
    )  # fmt: skip
    return made["Instances"][0]["InstanceId"]


@contextlib.contextmanager
def slow(emulator, account):
    """Each block takes its time."""
    arguments = "--service ebs --operation PutSnapshotBlock --delay-ms 1000".split()
    emulator.cli("fault", "add", "--account", account, *arguments)
    try:
        yield
    finally:
        emulator.cli("fault", "clear")


def test_the_image_is_the_same_each_time_and_holds_only_the_program(uploader, tmp_path):
    packs = []
    for name in ("one", "other"):
        folder = tmp_path / name
        folder.mkdir()
        # Elsewhere, by another number of threads, at another time, of a copy.
        program = shutil.copy(UPLOADER, folder / "program") if packs else UPLOADER
        done = uploader(
            "converter", "build", "-o", folder / "c.pack", "--program", program,
            "--jobs", 1 + len(packs), parse=True, env={"TZ": "Asia/Tokyo"} if packs else {},
        )  # fmt: skip
        packs.append(done.json)
    one, other = packs
    assert one["digest"] == other["digest"]
    for key in ("pack", "manifest"):
        first, second = (Path(it[key]).read_bytes() for it in packs)
        assert first == second, key
    assert one["pack_size"] < 40 << 20
    assert uploader("converter", "build", "-o", tmp_path / "x").returncode == 0
    assert sorted(it.name for it in tmp_path.iterdir()) == ["one", "other", "x", "x.json"]

    # As anybody can see: the program, and the certificates that it trusts. No shell.
    needed(IMGTOOL, "just build")
    raw = tmp_path / "c.img"
    uploader("converter", "build", "--raw", raw)
    shown, in_pack = (
        json.loads(run(IMGTOOL, "ls", it, "--json").stdout)["files"] for it in (raw, one["pack"])
    )
    assert shown == in_pack
    shown = {it["path"]: it for it in shown if it["kind"] != "directory"}
    assert set(shown) == {"/app", f"/{ROOTS}"}
    assert {it["kind"] for it in shown.values()} == {"file"}
    for shell in ("/bin/sh", "/bin/bash", "/bin/busybox", "/usr/bin/sh"):
        none = run(IMGTOOL, "ls", one["pack"], shell, check=False)
        assert none.returncode == 2 and "no such file or directory" in none.stderr, none

    # Another reader finds the same.
    debugfs = shutil.which("debugfs", path="/sbin:/usr/sbin:/usr/bin:/bin")
    if not debugfs:
        needed(tmp_path / "debugfs", "apt install e2fsprogs")
    disk = raw.read_bytes()
    # The root file system is the last partition: the entry with the highest first sector.
    table = [disk[at : at + 128] for at in range(1024, 1024 + 128 * 128, 128)]
    first, last = max(
        (int.from_bytes(it[32:40], "little"), int.from_bytes(it[40:48], "little")) for it in table
    )
    root = tmp_path / "root.ext4"
    root.write_bytes(disk[first * 512 : (last + 1) * 512])
    tree = tmp_path / "tree"
    tree.mkdir()
    subprocess.run([debugfs, "-R", f"rdump / {tree}", root], capture_output=True, check=True)
    files = {str(it.relative_to(tree)) for it in tree.rglob("*") if not it.is_dir()}
    assert files == {"app", ROOTS}
    for file in files:
        stat, it = (tree / file).stat(), shown[f"/{file}"]
        assert (stat.st_size, stat.st_mode & 0o7777) == (it["size"], int(it["mode"], 8)), file
    app = (tree / "app").read_bytes()
    assert app[:4] == b"\x7fELF"
    # No program interpreter (PT_INTERP) in any of the program headers: nothing else is loaded.
    at, size, count = (
        int.from_bytes(app[a:b], "little") for a, b in ((32, 40), (54, 56), (56, 58))
    )
    kinds = [int.from_bytes(app[at + n * size :][:4], "little") for n in range(count)]
    assert 1 in kinds and 3 not in kinds
    said = run(tree / "app", "--version")
    assert said.stdout.startswith("uploader "), said
    roots = (tree / ROOTS).read_text()
    assert roots.count("-----BEGIN CERTIFICATE-----") > 50 and "PRIVATE" not in roots


def test_what_is_not_the_program_is_refused(uploader, tmp_path):
    needed(HELLO, "just hello")
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\nexec sleep 1\n" + "# and more\n" * 10)
    for program, why in (
        ("/bin/ls", "not a static program: it needs /lib64/ld-linux-x86-64.so.2"),
        (HELLO, "not uploader"),
        (script, "not an ELF file"),
        (tmp_path / "none", "can't be read"),
        (tmp_path, "not a regular file"),
        ("/dev/zero", "not a regular file"),
    ):
        done = uploader(
            "converter", "build", "-o", tmp_path / "x", "--program", program, check=False
        )
        assert done.returncode == 2 and why in done.stderr, done.stderr
    done = uploader("converter", "build", "-o", "x", "--raw", "x", check=False)
    assert done.returncode == 2 and "the same file" in done.stderr
    assert not (tmp_path / "x").exists()


def test_bootstrap_makes_one_ami_and_a_newer_program_another(
    uploader, vault, programs, aws, tmp_path
):
    status = uploader("converter", "status", check=False)
    assert status.returncode == 1 and "no AMI" in status.stdout
    old = ("--program", programs("0.0.9"))
    dry = region(uploader("converter", "bootstrap", *old, "--dry-run", parse=True))
    assert dry["would_make"] and dry["parent"] is None and dry["blocks"] > 50
    assert not vault.images() and not vault.snapshots() and vault.record() is None

    first = region(uploader("converter", "bootstrap", *old, parse=True))
    assert first["made"] and first["program_version"] == "0.0.9"
    (image,) = vault.images()
    (snapshot,) = vault.snapshots()
    key = aws.client("kms").describe_key(KeyId=f"alias/{VAULT}")["KeyMetadata"]["Arn"]
    assert image["ImageId"] == first["ami"] == vault.record()["ami"]
    assert (image["BootMode"], image["ImdsSupport"]) == ("uefi-preferred", "v2.0")
    assert (image["State"], image["EnaSupport"]) == ("available", True)
    assert snapshot["Encrypted"] and snapshot["KmsKeyId"] == key
    assert snapshot["State"] == "completed"
    for it in (image, snapshot):
        tags = {tag["Key"]: tag["Value"] for tag in it["Tags"]}
        assert tags["uploader:converter"] == VAULT
        assert tags["uploader:converter-digest"] == first["digest"]
        assert tags["uploader:converter-version"] == "0.0.9"
        # What has this tag, the converter's role may write and delete.
        assert "image-vault:vault" not in tags

    # Every block is the image's.
    pack = tmp_path / "old.pack"
    uploader("converter", "build", "-o", pack, *old)
    uploader("verify", first["ami"], "--manifest", f"{pack}.json")

    again = region(uploader("converter", "bootstrap", *old, parse=True))
    assert not again["made"] and again["ami"] == first["ami"]
    assert len(vault.images()) == len(vault.snapshots()) == 1
    status = region(uploader("converter", "status", parse=True))
    assert status["ami"]["state"] == "available" and status["ami"]["older"]
    assert status["instances"] == status["others"] == []
    assert "older than this one" in uploader("converter", "status").stdout

    # This program is newer: what differs is put, and the old AMI goes.
    dry = region(uploader("converter", "bootstrap", "--dry-run", parse=True))
    assert dry["parent"] == first["snapshot"] and 0 < dry["blocks"] < 20
    second = region(uploader("converter", "bootstrap", parse=True))
    assert second["made"] and second["replaces"] == first["ami"]
    assert [it["ImageId"] for it in vault.images()] == [second["ami"]]
    assert [it["SnapshotId"] for it in vault.snapshots()] == [second["snapshot"]]
    pack = tmp_path / "new.pack"
    uploader("converter", "build", "-o", pack)
    uploader("verify", second["ami"], "--manifest", f"{pack}.json")
    status = region(uploader("converter", "status", parse=True))
    assert not status["ami"]["older"] and status["ami"]["ami"] == second["ami"]

    # Somebody takes it away: the next makes another, whole.
    vault.ec2.deregister_image(ImageId=second["ami"])
    vault.ec2.delete_snapshot(SnapshotId=second["snapshot"])
    status = uploader("converter", "status", parse=True, check=False)
    assert status.returncode == 1 and region(status)["ami"]["state"] == "gone"
    third = region(uploader("converter", "bootstrap", parse=True))
    assert third["made"] and third["ami"] == vault.record()["ami"] != second["ami"]
    uploader("verify", third["ami"], "--manifest", f"{pack}.json")

    pruned = region(uploader("converter", "prune", "--all", "--dry-run", parse=True))
    assert pruned["amis"] == [third["ami"]] and vault.images()
    uploader("converter", "prune", "--all")
    assert not vault.images() and not vault.snapshots() and vault.record() is None
    assert "nothing to take away" in uploader("converter", "prune").stdout


def test_a_newer_ami_is_not_replaced_by_an_older_one(uploader, vault, programs):
    newer = region(uploader("converter", "bootstrap", "--program", programs("9.0.0"), parse=True))
    for dry in ([], ["--dry-run"]):
        done = uploader("converter", "bootstrap", *dry, check=False)
        assert done.returncode == 2 and "--force" in done.stderr
        assert f"{newer['ami']} is of uploader 9.0.0, which is newer than" in done.stderr
    assert [it["ImageId"] for it in vault.images()] == [newer["ami"]] == [vault.record()["ami"]]
    older = region(uploader("converter", "bootstrap", "--force", parse=True))
    assert older["made"] and older["replaces"] == newer["ami"]


def test_an_ami_that_only_says_it_is_the_converters_is_not_believed(uploader, vault, aws):
    """Tags and names can be anybody's; the vault's record can't."""
    first = region(uploader("converter", "bootstrap", parse=True))
    image = vault.images()[0]
    tags = [{"Key": it["Key"], "Value": it["Value"]} for it in image["Tags"]]
    names = {"ResourceType": "image", "Tags": tags}
    root = {"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": first["snapshot"]}}
    theirs = vault.ec2.register_image(
        Name=image["Name"][:-8] + "ffffffff",
        RootDeviceName="/dev/xvda",
        BlockDeviceMappings=[root],
        TagSpecifications=[names],
    )["ImageId"]
    vault.s3.delete_object(Bucket=vault.bucket, Key=RECORD)
    assert region(uploader("converter", "status", parse=True, check=False))["ami"]["ami"] is None
    second = region(uploader("converter", "bootstrap", parse=True))
    assert second["made"] and second["ami"] not in (theirs, first["ami"])
    # Younger than an hour, so they may be somebody's who is just making them.
    assert {it["ImageId"] for it in vault.images()} == {theirs, first["ami"], second["ami"]}
    vault.ec2.deregister_image(ImageId=theirs)
    uploader("converter", "prune", "--all")
    assert not vault.images() and not vault.snapshots()


def test_two_bootstraps_at_once_make_one_ami(uploader, vault):
    with concurrent.futures.ThreadPoolExecutor() as pool:

        def call(_):
            return region(uploader("converter", "bootstrap", parse=True, timeout=400))

        both = list(pool.map(call, range(2)))
    assert both[0]["ami"] == both[1]["ami"] == vault.record()["ami"]
    assert len(vault.images()) == len(vault.snapshots()) == 1


def test_ctrl_c_leaves_nothing_and_what_a_kill_leaves_is_taken_away(uploader, vault, emulator):
    with slow(emulator, uploader.account):
        running = started(uploader, vault)
        running.send_signal(signal.SIGINT)
        _out, err = running.communicate(timeout=60)
        assert running.returncode == 130 and "nothing is left" in err, err
        assert not vault.snapshots() and not vault.images() and vault.record() is None
        running = started(uploader, vault)
        running.kill()
        running.communicate()
    assert len(vault.snapshots()) == 1
    made = region(uploader("converter", "bootstrap", parse=True))
    # It may be somebody's who is at work.
    assert made["pruned"]["snapshots"] == [] and len(vault.snapshots()) == 2
    uploader("converter", "prune", "--all")
    assert not vault.snapshots() and not vault.images()


@pytest.mark.parametrize(("fails", "goes"), [(HERE, THERE), (THERE, HERE)])
def test_a_region_that_fails_loses_no_other(uploader, aws, emulator, fails, goes):
    uploader("vault", "init", *BOTH)
    vaults = {it: Vault(aws, it) for it in (HERE, THERE)}
    # The last call of all: what was made before it is taken away again.
    refused = ("--status", "403", "--code", "AccessDenied")
    where = ("--resource", f"{vaults[fails].bucket}/{RECORD}")
    rule = ("--service", "s3", "--operation", "PutObject", *where, *refused)
    emulator.cli("fault", "add", "--account", aws.account, *rule)
    try:
        done = uploader("converter", "bootstrap", *BOTH, parse=True, check=False)
        assert done.returncode == 3, done.stderr
        assert list(rows(done)) == [HERE, THERE]
        bad, good = rows(done)[fails], rows(done)[goes]
        assert good["error"] is None and good["made"]
        assert vaults[goes].record()["ami"] == good["ami"]
        assert "AccessDenied" in bad["error"] and bad["ami"] is None and bad["made"] is None
        assert set(bad) == set(good) and bad["digest"] == good["digest"]
        assert vaults[fails].is_empty()
        assert f"uploader: {fails}: failed: s3 PutObject: AccessDenied" in done.stderr
        said = f"1 of 2 regions failed ({fails}); the same command makes what is missing"
        assert said in done.stderr

        text = uploader("converter", "bootstrap", *BOTH, check=False)
        assert text.returncode == 3
        said = dict(zip((HERE, THERE), text.stdout.splitlines(), strict=True))
        assert said[fails].startswith(f"failed {fails} s3 PutObject: AccessDenied")
        assert said[goes] == f"{good['ami']} {goes}"
        assert f"uploader: {goes}: {good['ami']} is of this image already" in text.stderr
    finally:
        emulator.cli("fault", "clear")
    # It is of use.
    status = uploader("converter", "status", "--region", goes, parse=True)
    assert region(status)["ami"]["state"] == "available"

    again = rows(uploader("converter", "bootstrap", *BOTH, parse=True))
    assert not again[goes]["made"] and again[goes]["ami"] == good["ami"]
    assert again[fails]["made"] and again[fails]["ami"] == vaults[fails].record()["ami"]
    for it in vaults.values():
        assert len(it.images()) == len(it.snapshots()) == 1


def test_a_region_without_a_vault_loses_no_other(uploader, aws):
    """By any of the commands: the first one is the one without."""
    uploader("vault", "init")
    vault, places = Vault(aws), ("--region", THERE, "--region", HERE)

    def fared(*command, code, parse=True):
        done = uploader(*command, *places, parse=parse, check=False)
        assert done.returncode == code, done.stderr
        assert f"1 of 2 regions failed ({THERE}); " in done.stderr
        if not parse:
            failed, *lines = done.stdout.splitlines()
            assert failed.startswith(f"failed {THERE} "), done.stdout
            return lines
        assert list(rows(done)) == [THERE, HERE]
        assert rows(done)[THERE]["error"] and rows(done)[HERE]["error"] is None
        return rows(done)[HERE]

    dry = fared("converter", "bootstrap", "--dry-run", code=3)
    assert dry["would_make"] and vault.is_empty()
    made = fared("converter", "bootstrap", code=3)
    assert made["ami"] == vault.record()["ami"]
    assert fared("converter", "bootstrap", code=3, parse=False) == [f"{made['ami']} {HERE}"]
    assert fared("converter", "status", code=1)["ami"]["ami"] == made["ami"]
    heading, ami, *_ = fared("converter", "status", code=1, parse=False)
    assert heading == f"{HERE}:" and ami.startswith(made["ami"])
    instance = launched(vault, made["ami"])
    stopped = fared("converter", "stop", "--yes", code=1)
    assert stopped["terminated"] == [instance]
    terminated = vault.ec2.get_waiter("instance_terminated")
    terminated.wait(InstanceIds=[instance], WaiterConfig={"Delay": 1})
    assert fared("requests", code=3)["waiting"] == 0
    assert fared("requests", code=3, parse=False) == [f"{HERE}: 0 waiting, 0 with agents"]
    pruned = fared("converter", "prune", "--all", code=1)
    assert pruned["amis"] == [made["ami"]] and vault.is_empty()


def test_ctrl_c_in_several_regions_leaves_nothing_and_is_said_once(uploader, aws, emulator):
    uploader("vault", "init", *BOTH)
    vaults = [Vault(aws, it) for it in (HERE, THERE)]
    with slow(emulator, uploader.account):
        running = started(uploader, vaults[0], *BOTH)
        until(vaults[1].snapshots, "a snapshot there, too")
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)
    assert running.returncode == 130, err
    assert f"uploader: interrupted; nothing is left of it in {HERE}, {THERE}\n" in err
    assert err.count("interrupted") == 1
    assert out.splitlines() == [f"failed {it} interrupted" for it in (HERE, THERE)]
    assert all(it.is_empty() for it in vaults)


@pytest.mark.parametrize(
    ("service", "operation"),
    [("ebs", "StartSnapshot"), ("ebs", "CompleteSnapshot"), ("ec2", "RegisterImage")],
)
def test_a_bootstrap_outlives_lost_answers(uploader, vault, emulator, service, operation):
    rule = ("--service", service, "--operation", operation, "--lose", "--limit", "1")
    emulator.cli("fault", "add", "--account", uploader.account, *rule)
    try:
        made = region(uploader("converter", "bootstrap", parse=True))
    finally:
        emulator.cli("fault", "clear")
    assert [it["ImageId"] for it in vault.images()] == [made["ami"]] == [vault.record()["ami"]]
    assert [it["SnapshotId"] for it in vault.snapshots()] == [made["snapshot"]]


def test_without_a_vault_there_is_no_converter(uploader):
    done = uploader("converter", "bootstrap", check=False)
    assert done.returncode == 3 and "uploader vault init" in done.stderr, done.stderr


def test_instances_are_shown_and_stopped(uploader, vault, aws):
    made = region(uploader("converter", "bootstrap", parse=True))
    instance = launched(vault, made["ami"])
    status = region(uploader("converter", "status", parse=True))
    (shown,) = status["instances"]
    assert (shown["id"], shown["ami"], shown["type"]) == (instance, made["ami"], "t3.micro")
    assert shown["heartbeat"] is None
    assert "no heartbeat" in uploader("converter", "status").stdout
    assert uploader("converter", "logs", instance).returncode == 0
    other = uploader("converter", "logs", "i-00000000000000000", check=False)
    assert other.returncode == 2 and "is no converter" in other.stderr
    # What it runs of stays.
    pruned = region(uploader("converter", "prune", "--all", "--dry-run", parse=True))
    assert pruned["amis"] == []
    assert pruned["in_use"] == [{"ami": made["ami"], "instances": [instance]}]

    assert instance in uploader("converter", "stop", "--dry-run").stdout
    asked = uploader("converter", "stop", check=False, stdin=subprocess.DEVNULL)
    assert asked.returncode == 2 and "--yes" in asked.stderr

    def state():
        return vault.ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][
            0
        ]["State"]["Name"]

    assert state() in ("pending", "running")
    stopped = region(uploader("converter", "stop", "--yes", parse=True))
    assert stopped["terminated"] == [instance]
    until = time.monotonic() + 120
    while state() != "terminated":
        assert time.monotonic() < until
        time.sleep(0.2)
    assert region(uploader("converter", "status", parse=True))["instances"] == []
    assert region(uploader("converter", "status", "--all", parse=True))["instances"]
    assert "no converter runs" in uploader("converter", "stop", "--yes").stdout
    uploader("converter", "prune", "--all")
    assert not vault.images() and not vault.snapshots()


class Metadata(http.server.BaseHTTPRequestHandler):
    """The instance metadata service, version 2, as far as an agent asks it."""

    def log_message(self, *_):
        pass

    def answer(self, status, text="", **headers):
        self.send_response(status)
        for name, value in (headers | {"Content-Length": len(text.encode())}).items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(text.encode())

    def do_PUT(self):
        if self.path != "/latest/api/token":
            return self.answer(404)
        life = "X_aws_ec2_metadata_token_ttl_seconds"
        self.answer(200, "token", **{life: 21600})
        return None

    def do_GET(self):
        if self.headers.get("X-aws-ec2-metadata-token") != "token":
            return self.answer(401)
        text = self.server.pages.get(self.path)
        self.answer(404) if text is None else self.answer(200, text)
        return None


@pytest.fixture
def instance(uploader, aws, tmp_path):
    """Runs an agent as an instance does: it knows nothing but its metadata service."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Metadata)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    world = uploader.environment()
    role = "/latest/meta-data/iam/security-credentials/"
    keys = {
        "Code": "Success",
        "Type": "AWS-HMAC",
        "AccessKeyId": world["AWS_ACCESS_KEY_ID"],
        "SecretAccessKey": world["AWS_SECRET_ACCESS_KEY"],
        "Token": world.get("AWS_SESSION_TOKEN", "token"),
        "Expiration": "2099-01-01T00:00:00Z",
        "LastUpdated": "2026-01-01T00:00:00Z",
    }
    document = {
        "accountId": world["AWS_ACCESS_KEY_ID"],
        "instanceId": "i-0123456789abcdef0",
        "region": "us-east-1",
    }
    pages = {
        "/latest/dynamic/instance-identity/document": json.dumps(document),
        "/latest/meta-data/services/partition": "aws",
        role: "converter",
        role + "converter": json.dumps(keys),
    }
    server.pages = pages
    with open(world["AWS_CA_BUNDLE"]) as file:
        told = {
            "version": 1,
            "vault": VAULT,
            "region": "us-east-1",
            "idle_seconds": 2,
            "endpoint_url": world["AWS_ENDPOINT_URL"],
            "ca": file.read(),
        }

    def run(timeout=120, text=None, **more):
        pages["/latest/user-data"] = json.dumps(told | more) if text is None else text
        if pages["/latest/user-data"] == "":
            del pages["/latest/user-data"]
        where = f"http://127.0.0.1:{server.server_port}"
        return subprocess.run(
            [UPLOADER, "agent", "--from-instance"],
            env={"AWS_EC2_METADATA_SERVICE_ENDPOINT": where, "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )

    yield run
    server.shutdown()
    server.server_close()


def test_an_agent_on_an_instance_is_told_all_by_its_user_data(uploader, vault, instance):
    done = instance()
    assert done.returncode == 0, done.stderr
    assert "converter i-0123456789abcdef0" in done.stderr
    assert f"takes requests from {VAULT}-requests" in done.stderr


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"text": ""}, "no user data"),
        ({"text": "#!/bin/sh\nreboot\n"}, "not a converter's"),
        ({"version": 2}, "version 2"),
        ({"vault": "../../x"}, "vault: "),
        ({"shell": True}, "unknown field `shell`"),
        ({"endpoint_url": "gopher://x"}, "endpoint_url: "),
        ({"idle_seconds": 0}, "idle_seconds: "),
        ({"ca": "-----BEGIN RSA PRIVATE KEY-----"}, "private key"),
        ({"text": "x" * 20000}, "EC2 takes 16384"),
    ],
)
def test_bad_user_data_is_told_by_field(instance, more, why):
    done = instance(**more)
    assert done.returncode == 2 and why in done.stderr, done.stderr


def test_certificates_that_are_none_are_told(instance):
    bad = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
    done = instance(ca=bad)
    assert done.returncode == 3 and "certificate 1 can't be read" in done.stderr, done.stderr
    assert "panicked" not in done.stderr
