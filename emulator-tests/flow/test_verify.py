"""`uploader verify`: an AMI is its image, or it is said which blocks are not."""

import json
import signal

import pytest

from flow.packed import Packed
from harness.target import BLOCK, block
from harness.waiting import until

ZEROS = bytes(BLOCK)


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    return Packed(tmp_path_factory.mktemp("packed"))


@pytest.fixture
def verify(uploader):
    """What `uploader verify` says, and its exit code."""

    def call(*arguments, code=0, parse=True):
        done = uploader("verify", *arguments, check=False, parse=parse)
        assert done.returncode == code, done.stderr
        return done

    return call


def ami(aws, blocks, **tags):
    """An AMI of a snapshot with these blocks."""
    image = aws.register(aws.snapshot(blocks))
    if tags:
        named = [{"Key": f"image-vault:{key}", "Value": value} for key, value in tags.items()]
        aws.ec2.create_tags(Resources=[image], Tags=named)
    return image


def stored(aws, packed, digest):
    """Puts the manifest where the vault has it."""
    bucket = f"image-vault-{aws.account}-us-east-1"
    aws.s3.create_bucket(Bucket=bucket)
    key = f"images/hello/{digest}.json"
    aws.s3.put_object(Bucket=bucket, Key=key, Body=packed.path.read_bytes())
    return bucket, key


def test_what_was_read_is_kept_if_it_is_right(aws, packed, verify, tmp_path):
    blocks = packed.content()
    right, out = ami(aws, blocks), tmp_path / "read-back.img"
    verify(right, "--manifest", packed.path, "--output", out)
    raw = bytearray(packed.raw.read_bytes())
    for index in packed.free:
        raw[index * BLOCK : (index + 1) * BLOCK] = ZEROS
    assert out.read_bytes() == raw
    out.unlink()
    wrong = ami(aws, blocks | {packed.data[0]: block("another")})
    verify(wrong, "--manifest", packed.path, "--output", out, code=1)
    assert list(tmp_path.iterdir()) == []


def test_an_ami_is_its_image_by_tags_by_name_and_by_manifest(aws, packed, verify):
    blocks = packed.content()
    # Free space may hold anything.
    blocks[packed.free[0]] = block("noise")
    image = ami(aws, blocks)
    said = verify(image, "--manifest", packed.path).json
    assert said["equal"] and said["first"] == []
    assert said["blocks"] == len(packed.data) + len(packed.zero)
    assert (said["different"], said["missing"], said["name"]) == (0, 0, "hello")
    digest = said["digest"]

    refused = verify(image, code=2, parse=False)
    assert "no tags" in refused.stderr and "--manifest" in refused.stderr
    assert refused.stdout == ""

    stored(aws, packed, digest)
    for name in ("hello", digest, digest[:12], f"hello@{digest}"):
        assert verify(image, "--image", name).json["digest"] == digest
    tags = [
        {"Key": "image-vault:image", "Value": "hello"},
        {"Key": "image-vault:digest", "Value": digest},
    ]
    aws.ec2.create_tags(Resources=[image], Tags=tags)
    assert verify(image).json == said
    told = verify(image, parse=False)
    assert f"{image} is hello@{digest}" in told.stdout
    assert told.stderr == ""
    # Its snapshot is an answer, too.
    snapshot = said["snapshot"]
    assert verify(snapshot, "--image", "hello").json == said | {"id": snapshot}


def test_blocks_that_differ_are_named(aws, packed, verify):
    blocks = packed.content()
    changed, missing, not_zero = packed.data[3], packed.data[-1], packed.zero[0]
    # One bit.
    blocks[changed] = blocks[changed][:-1] + bytes([blocks[changed][-1] ^ 1])
    del blocks[missing]
    blocks[not_zero] = block("not zero")
    image = ami(aws, blocks)
    said = verify(image, "--manifest", packed.path, code=1).json
    assert not said["equal"]
    assert (said["different"], said["missing"]) == (2, 1)
    problems = {it["index"]: it["problem"] for it in said["first"]}
    assert problems == {changed: "different", not_zero: "different", missing: "missing"}
    assert [it["index"] for it in said["first"]] == sorted(problems)
    first = next(it for it in said["first"] if it["index"] == changed)
    assert first["first_byte"] == changed * BLOCK
    assert first["last_byte"] == (changed + 1) * BLOCK - 1
    assert first["expected"] != first["found"]

    told = verify(image, "--manifest", packed.path, "--most", 1, code=1, parse=False)
    assert "and 2 more" in told.stdout
    assert "2 differ, and 1 are missing" in told.stderr


def test_an_empty_snapshot_is_no_image(aws, packed, verify):
    image = ami(aws, {packed.free[0]: ZEROS})
    said = verify(image, "--manifest", packed.path, code=1).json
    assert said["missing"] == said["blocks"] > 0
    assert len(said["first"]) == 20


def test_what_can_not_be_compared_is_named(aws, packed, verify, tmp_path):
    def refused(*arguments, code=2, says):
        done = verify(*arguments, code=code, parse=False)
        assert done.stdout == ""
        for text in says:
            assert text in done.stderr, done.stderr
        return done

    image = ami(aws, {0: ZEROS})
    manifest = ("--manifest", packed.path)
    refused("ami-0123456789abcdef0", *manifest, says=["ami-0123456789abcdef0", "--region"])
    refused("snap-0123456789abcdef0", *manifest, says=["snap-0123456789abcdef0"])
    refused("i-0123456789abcdef0", *manifest, says=["i-0123456789abcdef0", "neither"])
    pending = aws.start()
    refused(pending, *manifest, says=[pending, "can't be read"])
    refused(image, "--image", "hello", says=["NoSuchBucket"], code=1)
    bucket, key = stored(aws, packed, "0" * 64)
    refused(image, "--image", "other", says=["no image other", bucket])
    # A manifest under another's name.
    refused(image, "--image", "hello", says=[key, "replaced"])
    broken = tmp_path / "broken.json"
    broken.write_text("{}")
    refused(image, "--manifest", broken, says=[str(broken)])
    refused(image, "--manifest", tmp_path / "none.json", says=["none.json"])
    refused(image, "--image", "hello", *manifest, says=["--manifest"])
    # Digests that are well formed, and not the blocks' own.
    lies = json.loads(packed.path.read_text())
    lies["snapshot"]["linear_checksum"] = "0" * 64
    broken.write_text(json.dumps(lies))
    refused(image, "--manifest", broken, says=["linear_checksum"])
    tagged = ami(aws, {0: ZEROS}, image="../requests", digest="0" * 64)
    refused(tagged, says=[tagged, "image-vault:image", "../requests"])


@pytest.fixture
def faults(emulator, aws):
    """Adds rules for this test's account; says how often each has fired."""
    added = []

    def add(*rule):
        about = ("--service", "ebs", "--account", aws.account, "--json")
        said = json.loads(emulator.cli("fault", "add", *about, *[str(it) for it in rule]).stdout)
        added.append(said[0]["id"])

    def fired():
        rules = json.loads(emulator.cli("fault", "list", "--json").stdout)
        return [it["fired"] for it in rules if it["id"] in added]

    add.fired = fired
    yield add
    for it in added:
        emulator.cli("fault", "remove", it)


def test_throttles_and_broken_answers_are_no_differences(aws, packed, verify, faults):
    image = ami(aws, packed.content())
    get = ("--operation", "GetSnapshotBlock")
    faults(*get, "--every", 4, "--reason", "ACCOUNT_THROTTLED")
    faults(*get, "--every", 9, "--status", 500)
    faults(*get, "--nth", 2, "--corrupt", "answer")
    faults(*get, "--nth", 3, "--cut", "answer", "--after-bytes", 1000)
    faults("--operation", "ListSnapshotBlocks", "--nth", 1, "--status", 503)
    assert verify(image, "--manifest", packed.path).json["equal"]
    assert all(faults.fired()), faults.fired()


def test_ctrl_c_ends_it(aws, packed, uploader, faults):
    image = ami(aws, packed.content())
    # Longer than the wait below: no block has come when it ends.
    faults("--operation", "GetSnapshotBlock", "--delay-ms", 120_000)
    process = uploader.start("verify", image, "--manifest", packed.path, "--json")
    until(lambda: any(faults.fired()), "a block is asked for")
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=100)
    assert (process.returncode, stdout) == (130, ""), stderr
