"""`uploader push`, the shipped program, against the local AWS: what is in the vault afterwards."""

import base64
import hashlib
import json
import os
import random
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from flow.vaults import Vault
from harness.programs import IMGTOOL, ROOT, needed, run
from harness.waiting import LONG, until

HERE, THERE = "us-east-1", "eu-west-1"
BOTH = ("--region", HERE, "--region", THERE)
MIB = 1 << 20
BLOCK = 512 * 1024


def noise(seed, size):
    """Bytes that don't compress, the same for the same seed."""
    return random.Random(seed).randbytes(size)


def raw(path, seed, mib):
    """A raw disk: noise, with zeros in between."""
    with open(path, "wb") as file:
        for number in range(mib):
            if number == mib // 2:
                file.seek(4 * MIB, os.SEEK_CUR)
            file.write(noise(f"{seed} {number}", MIB))
    return path


@pytest.fixture
def vault(emulator, aws, uploader):
    """A vault of this test's account; faults end with the test."""
    it = Vault(emulator, aws, uploader)
    yield it
    it.clear()


@pytest.fixture(scope="session")
def imgtool():
    """imgtool, which finds kernel and stub as a checkout's configuration says."""
    needed(IMGTOOL, "just build")
    return lambda *arguments: run(IMGTOOL, *arguments, cwd=ROOT)


@pytest.fixture(scope="session")
def tree(tmp_path_factory):
    """Makes a root file system of so many MiB of noise in files of 1 MiB."""

    def make(mib):
        root = tmp_path_factory.mktemp("tree")
        (root / "app").write_text("#!/bin/sh\n")
        (root / "app").chmod(0o755)
        for number in range(mib):
            (root / f"file{number:04}").write_bytes(noise(number, MIB))
        root.chmod(0o755)
        return root

    return make


@pytest.fixture(scope="session")
def web(request, tmp_path_factory):
    """A pack of about 100 MiB, and its manifest: PACK, or one that imgtool builds."""
    if given := os.environ.get("PACK"):
        return Path(given)
    tree, imgtool = (request.getfixturevalue(it) for it in ("tree", "imgtool"))
    pack = tmp_path_factory.mktemp("web") / "web.pack"
    imgtool("build", tree(96), "--name", "web", "--pack", pack, "--", "/app")
    return pack


@pytest.fixture
def copy(web, tmp_path):
    """A copy of the pack, to tamper with."""
    pack = tmp_path / "web.pack"
    pack.write_bytes(web.read_bytes())
    manifest = tmp_path / "web.pack.json"
    manifest.write_text(manifest_of(web).read_text())
    return pack


def manifest_of(pack):
    return pack.with_name(pack.name + ".json")


def push(vault, *arguments, command=()):
    """What a push says as JSON, of its one region."""
    done = vault.uploader("push", *arguments, "--json", *command)
    return json.loads(done.stdout)["regions"][0]


def stored(vault, said):
    """The manifest in the vault."""
    key = f"images/{said['name']}/{said['digest']}.json"
    return json.loads(vault.get(key))


def check(vault, said, pack, at_once=False):
    """The vault has the pack byte by byte, checksummed and encrypted, and the manifest, and nothing
    else. Of pushes `at_once` both may have written it: LocalStack looks for the object first and
    writes it then, where S3 does both in one."""
    (digest,) = [it["digest"] for it in said["packs"]]
    assert vault.get(f"packs/{digest}") == pack.read_bytes()
    head = vault.s3.head_object(Bucket=vault.bucket, Key=f"packs/{digest}", ChecksumMode="ENABLED")
    assert head["ServerSideEncryption"] == "aws:kms" and head["SSEKMSKeyId"] == vault.key
    assert head["ChecksumSHA256"]
    assert vault.get(f"images/web/{said['digest']}.json") == manifest_of(pack).read_bytes()
    assert vault.uploads() == []
    found = vault.versions()
    if at_once:
        found = sorted(set(found))
    assert found == sorted([f"packs/{digest}", f"images/web/{said['digest']}.json"])


def test_a_pack_is_sent_once(vault, web):
    first = push(vault, web)
    assert first["bytes_sent"] == web.stat().st_size and not first["already_stored"]
    check(vault, first, web)
    vault.fault("--service", "s3", "--operation", "PutObject")
    again = push(vault, web)
    assert again["already_stored"] and again["bytes_sent"] == 0
    assert again["digest"] == first["digest"] and again["packs"] == first["packs"]
    check(vault, first, web)


def test_a_dry_run_changes_nothing(vault, web):
    said = push(vault, web, "--dry-run")
    assert said["bytes_to_send"] == web.stat().st_size and said["bytes_sent"] is None
    assert vault.versions() == [] and vault.uploads() == []


def test_what_is_said(vault, web):
    done = vault.uploader("push", web)
    assert f"uploader: as arn:aws:sts::{vault.account}" in done.stderr or (
        f"uploader: as arn:aws:iam::{vault.account}" in done.stderr
    )
    assert "web@" in done.stdout and vault.bucket in done.stdout
    assert "already" in vault.uploader("push", web).stdout


def test_several_regions(vault, web):
    other = vault.elsewhere("eu-west-1")
    done = vault.uploader("push", web, "--region", "us-east-1", "--region", "eu-west-1", "--json")
    regions = json.loads(done.stdout)["regions"]
    assert [it["region"] for it in regions] == ["us-east-1", "eu-west-1"]
    check(vault, regions[0], web)
    check(other, regions[1], web)


@pytest.fixture(params=["pack", "raw"])
def image(request, web, tmp_path):
    """What to push: a pack goes to all regions at once, a raw image to one after the other."""
    if request.param == "pack":
        return [web]
    return [raw(tmp_path / "web.img", "raw", 24), "--name", "web", "--boot-mode", "bios"]


def rows(done):
    return {it["region"]: it for it in done.json["regions"]}


@pytest.mark.parametrize(("fails", "goes"), [(HERE, THERE), (THERE, HERE)])
def test_a_region_that_fails_loses_no_other(vault, image, fails, goes):
    vaults = {HERE: vault, THERE: vault.elsewhere(THERE)}
    refused = ("--status", "403", "--code", "AccessDenied")
    where = ("--resource", vaults[fails].bucket + "/images/")
    vault.fault("--service", "s3", "--operation", "PutObject", *refused, *where)
    done = vault.uploader("push", *image, *BOTH, parse=True, check=False)
    assert done.returncode == 3, done.stderr
    assert list(rows(done)) == [HERE, THERE]
    bad, good = rows(done)[fails], rows(done)[goes]
    assert good["error"] is None and good["bytes_sent"] > 8 * MIB
    assert "AccessDenied" in bad["error"] and bad["bytes_sent"] is None
    assert good["digest"] == bad["digest"] == done.json["digest"]
    assert done.json["name"] == "web"
    assert set(good) == set(bad)
    assert f"uploader: {fails}: failed: s3 PutObject: AccessDenied" in done.stderr
    assert f"1 of 2 regions failed ({fails}); the same command goes on there" in done.stderr
    # It is of use.
    key = f"images/web/{good['digest']}.json"
    assert key in vaults[goes].versions() and key not in vaults[fails].versions()
    text = vault.uploader("push", *image, *BOTH, check=False)
    assert text.returncode == 3
    said = dict(zip((HERE, THERE), text.stdout.splitlines(), strict=True))
    assert said[fails].startswith(f"failed {fails} s3 PutObject: AccessDenied")
    assert said[goes].endswith(f"is in {vaults[goes].bucket} already; nothing was sent")

    vault.clear()
    again = rows(vault.uploader("push", *image, *BOTH, parse=True))
    assert again[goes]["already_stored"] and not again[fails]["already_stored"]
    # The pack was there; what was missing was the manifest.
    assert again[fails]["bytes_sent"] == 0 and again[fails]["error"] is None
    assert vaults[HERE].versions() == vaults[THERE].versions()


def test_a_region_without_a_vault(vault, image):
    done = vault.uploader("push", *image, *BOTH, parse=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "hint: uploader vault init makes the vault" in done.stderr
    first = rows(done)[HERE]
    assert first["error"] is None and first["bytes_sent"] > 0
    missing = rows(done)[THERE]
    assert "NoSuchBucket" in missing["error"] and missing["digest"] is None
    before = vault.versions()
    other = vault.elsewhere(THERE)
    again = rows(vault.uploader("push", *image, *BOTH, parse=True))
    assert again[HERE]["already_stored"] and vault.versions() == before
    assert again[THERE]["bytes_sent"] == first["bytes_sent"]
    assert other.versions() == before


def test_ctrl_c_in_several_regions_is_said_once(vault, web):
    other = vault.elsewhere(THERE)
    vault.slow(8 * MIB)
    vault.hold()
    run = vault.start("push", web, "--requests", "4", *BOTH)
    for it in (vault, other):
        wait_for_parts(it, run, 2)
    run.send_signal(signal.SIGINT)
    stdout, stderr = run.communicate(timeout=LONG)
    assert run.returncode == 130
    assert stdout.splitlines() == [f"failed {it} interrupted" for it in (HERE, THERE)]
    assert stderr.count("uploader: interrupted; parts that were sent are kept") == 1
    assert stderr.count("interrupted") == 1
    vault.emulator.quiet(vault.account)
    vault.clear()
    for it in rows(vault.uploader("push", web, *BOTH, parse=True)).values():
        assert it["parts_resumed"] >= 2


def test_two_at_once(vault, web):
    vault.slow(20 * MIB)
    runs = [vault.start("push", web, "--json") for _ in range(2)]
    said = [json.loads(out(run))["regions"][0] for run in runs]
    assert said[0]["digest"] == said[1]["digest"]
    check(vault, said[0], web, at_once=True)


def test_four_at_once_at_different_times(vault, web):
    vault.slow(20 * MIB)
    runs = []
    for _ in range(4):
        runs.append(vault.start("push", web, "--json"))
        time.sleep(0.15)
    said = [json.loads(out(run))["regions"][0] for run in runs]
    check(vault, said[0], web, at_once=True)


def out(run):
    """What a program that was started prints; it has to succeed."""
    stdout, stderr = run.communicate(timeout=LONG)
    assert run.returncode == 0, stderr
    return stdout


def test_killed_twenty_times(vault, web):
    """At random moments, on a slow link that throttles: the image is whole or not there, work is
    not lost, and nothing is left over."""
    chance = random.Random(4)
    vault.fault("--service", "s3", "--operation", "UploadPart", "--every", "7", "--status", "503")
    vault.slow(16 * MIB)
    began = time.monotonic()
    said = push(vault, web)
    whole = time.monotonic() - began
    vault.empty()
    kills = resumed = 0
    while kills < 20:
        run = vault.start("push", web, "--json")
        try:
            stdout, stderr = run.communicate(timeout=chance.uniform(0.02, whole))
        except subprocess.TimeoutExpired:
            vault.killed(run)
            kills += 1
            assert len(vault.uploads()) <= 1
            # A manifest is there only if its pack is.
            found = vault.versions()
            if any(key.startswith("images/") for key in found):
                assert f"packs/{said['packs'][0]['digest']}" in found
            continue
        assert run.returncode == 0, stderr
        done = json.loads(stdout)["regions"][0]
        resumed += done["parts_resumed"]
        check(vault, done, web)
        vault.empty()
    done = push(vault, web)
    resumed += done["parts_resumed"]
    check(vault, done, web)
    assert resumed > 0
    assert push(vault, web)["already_stored"]


def test_what_was_sent_is_not_sent_again(vault, web):
    """Also if there are several uploads that were left: the one with the most is gone on with."""
    vault.slow(8 * MIB)
    vault.hold()
    run = vault.start("push", web, "--requests", "2")
    wait_for_parts(vault, run, 3)
    vault.killed(run)
    (upload,) = vault.uploads()
    key, done = upload["Key"], vault.parts(upload)
    for _ in range(2):
        vault.s3.create_multipart_upload(
            Bucket=vault.bucket, Key=key, ChecksumAlgorithm="SHA256", ChecksumType="COMPOSITE"
        )
    # One whose parts are of another kind, and one part that is not what it should be.
    vault.s3.create_multipart_upload(Bucket=vault.bucket, Key=key)
    spoilt = done[0]
    body = b"x" * spoilt["Size"]
    vault.s3.upload_part(
        Bucket=vault.bucket,
        Key=key,
        UploadId=upload["UploadId"],
        PartNumber=spoilt["PartNumber"],
        Body=body,
        ChecksumSHA256=base64.b64encode(hashlib.sha256(body).digest()).decode(),
    )
    vault.clear()
    there = [it for it in vault.parts(upload) if it["PartNumber"] != spoilt["PartNumber"]]
    assert len(there) == len(done) - 1, "nothing of the killed push was still on its way"
    said = push(vault, web)
    assert said["parts_resumed"] == len(there)
    kept = sum(part["Size"] for part in there)
    assert said["bytes_sent"] == web.stat().st_size - kept
    check(vault, said, web)


def wait_for_parts(vault, run, count):
    """Waits until a push has sent so many parts, and is still at it."""

    def there():
        assert run.poll() is None, run.communicate()
        return sum(len(vault.parts(it)) for it in vault.uploads()) >= count

    until(there, f"{count} parts")


def test_ctrl_c_keeps_what_was_sent(vault, web):
    vault.slow(8 * MIB)
    vault.hold()
    run = vault.start("push", web, "--requests", "2")
    wait_for_parts(vault, run, 2)
    run.send_signal(signal.SIGINT)
    _, stderr = run.communicate(timeout=LONG)
    assert run.returncode == 130
    assert "kept" in stderr and "goes on from there" in stderr
    vault.emulator.quiet(vault.account)
    there = vault.parts(vault.uploads()[0])
    assert len(there) >= 2
    vault.clear()
    said = push(vault, web)
    assert said["parts_resumed"] == len(there)
    check(vault, said, web)


def test_a_pack_that_was_sent_without_its_manifest(vault, web):
    """As a push leaves it that is killed between the two."""
    said = push(vault, web)
    vault.remove(f"images/web/{said['digest']}.json")
    again = push(vault, web)
    assert again["bytes_sent"] == 0 and not again["already_stored"]
    check(vault, again, web)


def test_an_image_whose_pack_is_gone_is_pushed_again_as_the_hint_says(vault, web):
    said = push(vault, web)
    pack = f"packs/{said['packs'][0]['digest']}"
    vault.s3.delete_object(Bucket=vault.bucket, Key=pack)
    done = vault.uploader("push", web, check=False)
    assert done.returncode == 1 and "but not its pack" in done.stderr
    (hint,) = [it for it in done.stderr.splitlines() if it.startswith("hint: ")]
    manifest = re.search(rf"aws s3 rm s3://{vault.bucket}/(\S+)", hint)[1]
    assert manifest == f"images/web/{said['digest']}.json"
    vault.s3.delete_object(Bucket=vault.bucket, Key=manifest)
    again = push(vault, web)
    assert again["bytes_sent"] == web.stat().st_size and not again["already_stored"]
    assert vault.get(pack) == web.read_bytes() and vault.get(manifest)


def test_another_object_in_the_packs_place(vault, web):
    said = push(vault, web)
    digest = said["packs"][0]["digest"]
    vault.empty()
    vault.s3.put_object(Bucket=vault.bucket, Key=f"packs/{digest}", Body=b"x")
    done = vault.uploader("push", web, check=False)
    assert done.returncode == 1
    assert f"packs/{digest}" in done.stderr and "1 bytes" in done.stderr
    assert vault.versions() == [f"packs/{digest}"]


def left(vault, web):
    """An upload that a push began and did not end."""
    vault.hold()
    vault.uploader("push", web, check=False)
    vault.clear()
    assert len(vault.uploads()) == 1


FAULTS = [
    ["--operation", "UploadPart", "--every", "3", "--status", "503"],
    ["--operation", "UploadPart", "--every", "4", "--status", "500"],
    ["--operation", "UploadPart", "--limit", "3", "--cut", "request", "--after-bytes", "100000"],
    ["--operation", "UploadPart", "--every", "3", "--limit", "4", "--lose"],
    ["--operation", "UploadPart", "--nth", "2", "--corrupt", "request", "--offset", "5000"],
    ["--operation", "CreateMultipartUpload", "--nth", "1", "--lose"],
    ["--operation", "CompleteMultipartUpload", "--nth", "1", "--lose"],
    ["--operation", "CompleteMultipartUpload", "--nth", "1", "--status", "503"],
    [
        "--operation",
        "CompleteMultipartUpload",
        "--nth",
        "1",
        "--status",
        "400",
        "--code",
        "InvalidPart",
    ],
    [
        "--operation",
        "CompleteMultipartUpload",
        "--nth",
        "1",
        "--status",
        "409",
        "--code",
        "ConditionalRequestConflict",
    ],
    ["--operation", "PutObject", "--nth", "1", "--lose"],
    ["--operation", "PutObject", "--nth", "1", "--status", "503"],
    ["--operation", "HeadObject", "--nth", "1", "--status", "500"],
    ["--operation", "ListParts", "--nth", "1", "--status", "503"],
    ["--probability", "0.2", "--seed", "7", "--status", "503"],
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda it: " ".join(it[1:]).replace("-", ""))
def test_faults_that_pass(vault, web, fault):
    if "ListParts" in fault:
        left(vault, web)
    rule = vault.fault("--service", "s3", *fault)
    said = push(vault, web)
    assert vault.fired(rule) > 0
    vault.clear()
    check(vault, said, web)


def test_a_service_that_is_down_keeps_what_was_sent(vault, web):
    vault.fault("--service", "s3", "--operation", "CompleteMultipartUpload", "--status", "503")
    done = vault.uploader("push", web, check=False)
    assert done.returncode == 1
    assert "s3 CompleteMultipartUpload" in done.stderr and "goes on from there" in done.stderr
    vault.clear()
    said = push(vault, web)
    assert said["bytes_sent"] == 0 and said["parts_resumed"] >= 12
    check(vault, said, web)


def test_a_session_that_ends_in_the_middle_keeps_what_was_sent(vault, web):
    """Who signs in again goes on from there."""
    expired = ["--status", "400", "--code", "ExpiredToken"]
    vault.fault("--service", "s3", "--operation", "UploadPart", "--nth", "9", *expired)
    done = vault.uploader("push", web, "--requests", "2", check=False)
    assert done.returncode == 3 and "s3 UploadPart: ExpiredToken" in done.stderr
    assert "sign in again (aws sso login)" in done.stderr
    assert "the same command goes on from there" in done.stderr
    vault.emulator.quiet(vault.account)
    (upload,) = vault.uploads()
    there = vault.parts(upload)
    assert len(there) >= 7 and vault.versions() == []
    vault.clear()
    said = push(vault, web)
    assert said["parts_resumed"] == len(there)
    check(vault, said, web)


def test_one_changed_file(vault, tree, imgtool, tmp_path):
    """A second version with another file of 1 MiB: little is sent, and both can be had."""
    root = tree(200)
    packs = [tmp_path / "one.pack", tmp_path / "two.pack", tmp_path / "three.pack"]
    build = ("build", root, "--name", "web")
    imgtool(*build, "--pack", packs[0], "--", "/app")
    (root / "file0100").write_bytes(noise("another", MIB))
    imgtool(*build, "--pack", packs[1], "--", "/app")
    (root / "file0050").write_bytes(noise("a third", MIB))
    imgtool(*build, "--pack", packs[2], "--", "/app")

    first, second = push(vault, packs[0]), push(vault, packs[1])
    assert first["bytes_sent"] > 200 * MIB
    assert 1 * MIB < second["bytes_sent"] <= 4 * MIB
    assert second["packs"][1:] == first["packs"]
    third = push(vault, packs[2])
    assert 1 * MIB < third["bytes_sent"] <= 4 * MIB
    assert len(third["packs"]) == 3
    for said, pack in zip((first, second, third), packs, strict=True):
        blocks_are_there(vault, said, pack, imgtool, tmp_path)
    # Going back to the first sends nothing, as it is there; under another digest neither.
    assert push(vault, packs[0])["already_stored"]


def blocks_are_there(vault, said, pack, imgtool, tmp_path):
    """What the stored manifest refers to decodes to the image that the pack gives."""
    image = tmp_path / "image.img"
    imgtool("unpack", pack, "-o", image)
    manifest = stored(vault, said)
    bodies = [vault.get(f"packs/{it['digest']}") for it in manifest["packs"]]
    for body, record in zip(bodies, manifest["packs"], strict=True):
        assert len(body) == record["size"]
        # The pack's name is what its own frames and blocks say.
        lengths = seek_table(body)
        mine = [b for b in manifest["blocks"]["data"] if bodies[b[2]] is body]
        assert {(b[3], b[4]) for b in mine} <= set(places(lengths))
        if len(mine) == len(lengths):
            whole = hashlib.sha256()
            for _, sha256, _, _, length in sorted(mine, key=lambda b: b[3]):
                whole.update(length.to_bytes(4, "little") + bytes.fromhex(sha256))
            assert whole.hexdigest() == record["digest"]
    frames = b"".join(bodies[b[2]][b[3] : b[3] + b[4]] for b in manifest["blocks"]["data"])
    data = subprocess.run(["zstd", "-dc"], input=frames, capture_output=True, check=True).stdout
    with open(image, "rb") as file:
        for place, (index, sha256, *_) in enumerate(manifest["blocks"]["data"]):
            file.seek(index * BLOCK)
            block = data[place * BLOCK : (place + 1) * BLOCK]
            assert block == file.read(BLOCK), index
            assert hashlib.sha256(block).hexdigest() == sha256


def seek_table(pack):
    """Frames' lengths, as the pack's own table says."""
    assert pack[-4:] == (0x8F92EAB1).to_bytes(4, "little")
    count = int.from_bytes(pack[-9:-5], "little")
    table = pack[len(pack) - 9 - 8 * count : len(pack) - 9]
    return [int.from_bytes(table[at : at + 4], "little") for at in range(0, len(table), 8)]


def places(lengths):
    at = 0
    for length in lengths:
        yield at, length
        at += length


def test_blocks_of_a_pack_that_is_gone_are_sent_again(vault, tree, imgtool, tmp_path):
    root = tree(24)
    one, two = tmp_path / "one.pack", tmp_path / "two.pack"
    imgtool("build", root, "--name", "web", "--pack", one, "--", "/app")
    (root / "file0010").write_bytes(noise("another", MIB))
    imgtool("build", root, "--name", "web", "--pack", two, "--", "/app")
    said = push(vault, one)
    vault.remove(f"packs/{said['packs'][0]['digest']}")
    done = vault.uploader("push", one, check=False)
    assert done.returncode == 1 and said["packs"][0]["digest"] in done.stderr
    again = push(vault, two)
    assert again["bytes_sent"] == two.stat().st_size
    blocks_are_there(vault, again, two, imgtool, tmp_path)


def test_a_raw_image(vault, tmp_path, imgtool):
    image = raw(tmp_path / "disk.img", "raw", 40)
    modes = ["--name", "disk", "--boot-mode", "uefi", "--boot-mode", "bios"]
    said = push(vault, image, *modes)
    manifest = stored(vault, said)
    assert manifest["name"] == "disk" and manifest["boot_modes"] == ["bios", "uefi"]
    assert manifest["blocks"]["zero"] == [[40, 8]] and manifest["blocks"]["free"] == []
    # imgtool makes the same image of it.
    pack = tmp_path / "disk.pack"
    pack.write_bytes(vault.get(f"packs/{said['packs'][0]['digest']}"))
    manifest_of(pack).write_text(json.dumps(manifest))
    back = tmp_path / "back.img"
    imgtool("unpack", pack, "-o", back)
    assert back.read_bytes() == image.read_bytes()
    assert push(vault, image, *modes)["already_stored"]
    # One block of it changed, and its size is no number of blocks.
    with open(image, "r+b") as file:
        file.seek(7 * BLOCK + 5)
        file.write(b"changed")
        file.seek(0, os.SEEK_END)
        file.write(b"x" * 512)
    said = push(vault, image, *modes)
    assert said["bytes_sent"] < 2 * BLOCK + 4096
    assert len(said["packs"]) == 2 and stored(vault, said)["size"] == 44 * MIB + BLOCK


def test_a_raw_image_is_resumed(vault, tmp_path):
    """More than is kept in memory: frames are made twice, and are the same."""
    image = raw(tmp_path / "disk.img", "resumed", 180)
    modes = ["--name", "disk", "--boot-mode", "bios"]
    vault.slow(8 * MIB)
    vault.hold()
    run = vault.start("push", image, *modes, "--requests", "2")
    wait_for_parts(vault, run, 4)
    vault.killed(run)
    vault.clear()
    (upload,) = vault.uploads()
    there = vault.parts(upload)
    said = push(vault, image, *modes)
    assert said["parts_resumed"] == len(there) >= 4
    whole = sum(it["size"] for it in said["packs"])
    assert said["bytes_sent"] == whole - sum(it["Size"] for it in there)
    assert vault.uploads() == []


def test_build_sends_what_imgtool_would_write(vault, tree, imgtool, tmp_path):
    root = tree(24)
    build = [root, "--name", "web"]
    pack = tmp_path / "web.pack"
    imgtool("build", *build, "--pack", pack, "--", "/app")
    before = set(os.listdir(tmp_path))
    said = push(vault, "--build", *build, command=["--", "/app"])
    assert set(os.listdir(tmp_path)) == before
    check(vault, said, pack)
    assert push(vault, pack)["already_stored"]
    (root / "file0003").write_bytes(noise("another", MIB))
    assert push(vault, "--build", *build, command=["--", "/app"])["bytes_sent"] <= 4 * MIB


def refused(vault, code, *parts, arguments):
    """A push that is refused names what is wrong, and leaves nothing."""
    done = vault.uploader("push", *arguments, check=False)
    assert done.returncode == code, done.stderr
    for part in parts:
        assert str(part) in done.stderr, done.stderr
    assert "panicked" not in done.stderr
    assert vault.uploads() == []
    assert vault.versions() == []


def test_a_tampered_pack(vault, copy):
    """One byte, wherever it is: the block and the file are named."""
    manifest = json.loads(manifest_of(copy).read_text())
    good = copy.read_bytes()
    for place in (0, len(manifest["blocks"]["data"]) // 2, -1):
        index, _, _, offset, length = manifest["blocks"]["data"][place]
        data = bytearray(good)
        data[offset + length // 2] ^= 1
        copy.write_bytes(data)
        refused(vault, 2, copy.name, f"block {index}", arguments=[copy])


def test_a_tampered_pack_is_sent_nowhere(vault, copy):
    """The image is at fault, and not a region: all end."""
    other = vault.elsewhere(THERE)
    manifest = json.loads(manifest_of(copy).read_text())
    index, _, _, offset, length = manifest["blocks"]["data"][0]
    data = bytearray(copy.read_bytes())
    data[offset + length // 2] ^= 1
    copy.write_bytes(data)
    done = vault.uploader("push", copy, *BOTH, parse=True, check=False)
    assert done.returncode == 2, done.stderr
    for row in rows(done).values():
        assert copy.name in row["error"] and f"block {index}" in row["error"]
    for it in (vault, other):
        assert it.uploads() == [] and it.versions() == []


def test_a_pack_of_another_length(vault, copy):
    good = copy.read_bytes()
    copy.write_bytes(good[:-1])
    refused(vault, 2, "web.pack is not the pack of", len(good) - 1, arguments=[copy])
    copy.write_bytes(good + b"x")
    refused(vault, 2, "web.pack is not the pack of", len(good) + 1, arguments=[copy])
    copy.unlink()
    refused(vault, 2, "web.pack", "No such file", arguments=[copy])


def move(block, place, value):
    def change(manifest):
        manifest["blocks"]["data"][block][place] = value

    return change


MANIFESTS = {
    "index": (move(0, 0, 1), ["block 0 is not listed just once"]),
    "digest": (move(3, 1, "0" * 64), ["snapshot"]),
    "digest's form": (move(3, 1, "../../x"), ["its digest is not 64"]),
    "pack": (move(0, 2, 5), ["pack 5"]),
    "offset": (move(1, 3, 7), ["its frame is at 7"]),
    "length": (move(1, 4, 4_000_000_000), ["4000000000"]),
    "shorter": (move(1, 4, 100), ["its frame is at"]),
    "pack's digest": (lambda m: m["packs"][0].update(digest="0" * 64), ["packs[0].digest"]),
    "a path": (lambda m: m["packs"][0].update(digest="../../../etc/passwd"), ["packs[0].digest"]),
    "pack's size": (
        lambda m: m["packs"][0].update(size=m["packs"][0]["size"] + 1),
        ["packs[0].size"],
    ),
    "two packs": (lambda m: m["packs"].append(m["packs"][0]), ["2 packs"]),
    "name": (lambda m: m.update(name="../other/web"), ["name"]),
    "version": (lambda m: m.update(version=2), ["version 2"]),
    "size": (lambda m: m.update(size=1 << 62), ["size"]),
    "boot modes": (lambda m: m.update(boot_modes=["floppy"]), ["boot_modes"]),
    "checksum": (lambda m: m["snapshot"].update(linear_checksum="0" * 64), ["snapshot"]),
    "count": (lambda m: m["snapshot"].update(changed_blocks_count=0), ["snapshot"]),
    "a bucket": (lambda m: m.update(bucket="of-somebody-else"), ["bucket"]),
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_tampered_manifest(vault, copy, name):
    change, parts = MANIFESTS[name]
    path = manifest_of(copy)
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))
    refused(vault, 2, path.name, *parts, arguments=[copy])


def test_a_manifest_of_10_gib(vault, copy):
    """And one of 4 TiB, which nobody reads in the time that a program may take here."""
    for size in (10 << 30, 4 << 40):
        with open(manifest_of(copy), "wb") as file:
            file.truncate(size)
        refused(vault, 2, "web.pack.json", "larger than", arguments=[copy])


def test_a_frame_that_unpacks_to_a_gibibyte(vault, copy):
    """A bomb that manifest and pack agree about: the digest is over lengths, not over frames."""
    path = manifest_of(copy)
    manifest = json.loads(path.read_text())
    index, _, _, offset, length = manifest["blocks"]["data"][2]
    zeros = subprocess.run(
        ["sh", "-c", "head -c 1G /dev/zero | zstd -19"], capture_output=True, check=True
    ).stdout
    assert len(zeros) <= length
    # A skippable frame fills the rest.
    rest = length - len(zeros) - 8
    data = bytearray(copy.read_bytes())
    data[offset : offset + length] = (
        zeros + (0x184D2A50).to_bytes(4, "little") + rest.to_bytes(4, "little") + bytes(rest)
    )
    copy.write_bytes(data)
    refused(vault, 2, "web.pack", f"block {index}", arguments=[copy])


def test_input_that_is_none(vault, copy, tmp_path):
    empty, odd, disk = tmp_path / "empty.img", tmp_path / "odd.img", tmp_path / "disk.img"
    empty.write_bytes(b"")
    odd.write_bytes(b"x" * 1000)
    disk.write_bytes(b"x" * MIB)
    named = ["--name", "disk", "--boot-mode", "bios"]
    refused(vault, 2, "none.img", "No such file", arguments=[tmp_path / "none.img", *named])
    refused(vault, 2, "empty.img", "0 bytes", arguments=[empty, *named])
    refused(vault, 2, "odd.img", "1000 bytes", arguments=[odd, *named])
    refused(vault, 2, "disk.img", "--name", "--boot-mode", arguments=[disk])
    refused(vault, 2, "a name is", arguments=[disk, "--name", "../x", "--boot-mode", "bios"])
    refused(vault, 2, "--build", arguments=[tmp_path])
    refused(vault, 2, "--kernel", "--build", arguments=[disk, *named, "--kernel", "x"])
    refused(vault, 2, "web.pack", "--name", arguments=[copy, "--name", "x"])
    manifest_of(copy).unlink()
    refused(vault, 2, "web.pack.json", "--manifest", arguments=[copy])


def test_an_image_that_changes_while_it_is_pushed(vault, tmp_path):
    """Written to between the two readings: refused, and nothing is left."""
    image = raw(tmp_path / "disk.img", "changing", 180)
    other = vault.elsewhere(THERE)
    # Four seconds a part, two at a time: the end is far away when the first has arrived.
    vault.slow(2 * MIB)
    named = ("--name", "disk", "--boot-mode", "bios")
    run = vault.start("push", image, *named, "--requests", "2", *BOTH, "--json")
    wait_for_parts(vault, run, 1)
    with open(image, "r+b") as file:
        file.seek(-100, os.SEEK_END)
        file.write(b"changed")
    vault.clear()
    stdout, stderr = run.communicate(timeout=LONG)
    assert run.returncode == 2 and "disk.img" in stderr and "changed" in stderr
    assert vault.uploads() == [] and vault.versions() == []
    # Another region would get no better one.
    assert [it["region"] for it in json.loads(stdout)["regions"]] == [HERE, THERE]
    assert all("changed" in it["error"] for it in json.loads(stdout)["regions"])
    assert stderr.count("as arn:") == 1 and other.versions() == []


def test_no_vault(vault, web):
    done = vault.uploader("push", web, "--vault", "another", check=False)
    assert done.returncode != 0
    assert "NoSuchBucket" in done.stderr and "uploader vault init" in done.stderr


def test_a_bucket_of_somebody_else(emulator, aws, uploader, web):
    """It has the vault's name, and is another account's."""
    theirs = Vault(emulator, aws, uploader, owner=aws.other)
    done = theirs.uploader("push", web, check=False)
    assert done.returncode == 3, done.stderr
    assert "another account's" in done.stderr
    assert theirs.versions() == [] and theirs.uploads() == []


def test_memory_is_bounded(vault, tmp_path):
    """A pack of 600 MiB in less than half of that, with parts of 8 MiB."""
    image = raw(tmp_path / "disk.img", "large", 600)
    peaks = []
    vault.uploader(
        "push", image, "--name", "disk", "--boot-mode", "bios", "--memory", "64", peak=peaks.append
    )
    assert peaks[0] < 300 * MIB, peaks
