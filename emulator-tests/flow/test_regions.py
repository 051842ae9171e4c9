"""One image in several regions: made there or copied from where it is made; what is there stays."""

import contextlib
import json
import signal

import pytest

from flow.own_vault import VAULT
from flow.sample import sample, written
from harness.target import content, wait
from harness.waiting import LONG, until

HERE, THERE, ELSEWHERE = "us-east-1", "eu-west-1", "eu-central-1"
BOTH = ("--region", HERE, "--region", THERE)
CONVERTED = ("--via", "convert")


@pytest.fixture
def pack(tmp_path):
    return written(sample(), tmp_path)


@contextlib.contextmanager
def agent(uploader, aws, region):
    """An agent in a region, once it has said that it is there."""
    s3 = aws.client("s3", region=region)

    def found():
        return s3.list_objects_v2(Bucket=bucket(aws, region), Prefix="converter/heartbeats/")[
            "KeyCount"
        ]

    with uploader.start("agent", region=region) as process:
        wait(found, 1)
        yield
        process.terminate()
        process.communicate(timeout=60)


@pytest.fixture
def agents(uploader, aws):
    """A vault and an agent in each region."""
    uploader("vault", "init", *BOTH)
    with agent(uploader, aws, HERE), agent(uploader, aws, THERE):
        yield


@contextlib.contextmanager
def started(uploader, *arguments):
    """One that a test looks at while it runs, and that does not outlive it."""
    with uploader.start(*arguments) as running:
        try:
            yield running
        finally:
            running.kill()


@pytest.fixture
def fault(emulator, aws):
    """Lets requests of this account fail; all of it ends with the test."""

    def add(service, operation, *what):
        emulator.cli(
            "fault",
            "add",
            "--account",
            aws.account,
            "--service",
            service,
            "--operation",
            operation,
            *what,
        )

    yield add
    emulator.cli("fault", "clear")


def bucket(aws, region):
    return f"{VAULT}-{aws.account}-{region}"


def packs(aws, region):
    """Of a region's requests to S3, those about packs."""
    return ("--resource", bucket(aws, region) + "/packs/")


def by_region(done):
    return {it["region"]: it for it in done.json["regions"]}


def own(aws, region):
    return aws.client("ec2", region=region).describe_images(Owners=["self"])["Images"]


def amis(aws, region):
    return [it["ImageId"] for it in own(aws, region)]


def snapshots(aws, region):
    ec2 = aws.client("ec2", region=region)
    return ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]


def requests(uploader, *regions):
    """How many requests each region's vault knows, and how many messages wait there."""
    shown = uploader("requests", *regions, parse=True).json["regions"]
    return [(len(it["requests"]), it["waiting"] + it["taken"]) for it in shown]


def test_a_region_without_a_vault_gets_a_copy(uploader, aws, pack):
    uploader("vault", "init")
    dry = uploader("publish", pack, *BOTH, "--dry-run")
    assert f"would copy the AMI to {THERE} (copy: there is no vault)" in dry.stdout
    with agent(uploader, aws, HERE):
        done = uploader("publish", pack, *BOTH, "--description", "the shop", parse=True)
        rows = by_region(done)
        assert (rows[HERE]["via"], rows[THERE]["via"]) == (None, "copy")
        assert "no vault" in rows[THERE]["reason"] and rows[THERE]["error"] is None
        (copy,) = own(aws, THERE)
        assert copy["ImageId"] == rows[THERE]["ami"] and copy["State"] == "available"
        assert copy["Description"] == own(aws, HERE)[0]["Description"] == "the shop"
        tags = {it["Key"]: it["Value"] for it in copy["Tags"]}
        assert tags["image-vault:request"] == rows[HERE]["request"]
        (device,) = copy["BlockDeviceMappings"]
        assert device["Ebs"]["Encrypted"] is True
        found = content(aws.client("ebs", region=THERE), rows[THERE]["snapshot"])
        assert {index: found[index] for index in sample().put} == sample().put
        # Nobody has a record of a copy but the vault of what it is a copy of.
        again = by_region(uploader("publish", pack, *BOTH, "--description", "the shop", parse=True))
    assert all(it["already_there"] for it in again.values())
    assert {it: again[it]["ami"] for it in again} == {it: rows[it]["ami"] for it in rows}
    assert len(own(aws, HERE)) == len(own(aws, THERE)) == 1


def test_a_region_with_a_converter_makes_its_own(uploader, aws, agents, pack):
    done = uploader("publish", pack, *BOTH, parse=True)
    rows = by_region(done)
    assert rows[THERE]["via"] == "convert"
    assert rows[THERE]["reason"] == "there is a vault with a converter"
    assert rows[HERE]["via"] is None and rows[HERE]["reason"] is None
    assert f"uploader: {THERE}: convert: {rows[THERE]['reason']}\n" in done.stderr
    for region in (HERE, THERE):
        assert f"uploader: {region}: request {rows[region]['request']} for web@" in done.stderr
    forced = uploader("publish", pack, *BOTH, "--via", "copy", "--again", parse=True)
    assert by_region(forced)[THERE]["via"] == "copy"
    assert by_region(forced)[THERE]["reason"] == "as --via says"
    assert len(own(aws, HERE)) == len(own(aws, THERE)) == 2
    # The copy has the key of the vault there.
    kms = aws.client("kms", region=THERE)
    key = kms.describe_key(KeyId=f"alias/{VAULT}")["KeyMetadata"]["Arn"]
    assert {it["KmsKeyId"] for it in snapshots(aws, THERE)} == {key}


@pytest.mark.parametrize(("held", "free"), [(HERE, THERE), (THERE, HERE)])
def test_one_region_does_not_wait_for_the_other(
    uploader, aws, agents, fault, emulator, pack, held, free
):
    fault("s3", "PutObject", "--status", "503", *packs(aws, held))
    with started(uploader, "publish", pack, *BOTH, *CONVERTED, "--json") as running:
        until(lambda: [it["State"] for it in own(aws, free)] == ["available"], f"an AMI in {free}")
        assert running.poll() is None and own(aws, held) == []
        emulator.cli("fault", "clear")
        stdout, stderr = running.communicate(timeout=LONG)
    assert running.returncode == 0, stderr
    for row in json.loads(stdout)["regions"]:
        assert [row["ami"]] == amis(aws, row["region"])


def test_a_region_converts_by_the_rule_while_the_first_is_still_sending(
    uploader, aws, agents, fault, emulator, tmp_path
):
    """How fast or slow that is decides nothing."""
    pack = written(sample(blocks=40), tmp_path)
    where = ("--resource", bucket(aws, HERE))
    fault("s3", "CompleteMultipartUpload", "--status", "503", *where)
    with started(uploader, "publish", pack, *BOTH) as running:
        until(lambda: own(aws, THERE), f"an AMI in {THERE}")
        assert running.poll() is None and own(aws, HERE) == []
        emulator.cli("fault", "clear")
        stdout, stderr = running.communicate(timeout=LONG)
    assert running.returncode == 0, stderr
    assert "(convert: there is a vault with a converter)" in stdout


def test_a_vault_without_a_converter_gets_a_copy(uploader, aws, pack):
    uploader("vault", "init", *BOTH)
    with agent(uploader, aws, HERE):
        rows = by_region(uploader("publish", pack, *BOTH, parse=True))
    assert rows[THERE]["via"] == "copy"
    assert rows[THERE]["reason"] == "the vault there has no converter"
    assert amis(aws, THERE) == [rows[THERE]["ami"]]
    # The image is not sent there, nor asked for; the copy has the key of the vault there.
    s3 = aws.client("s3", region=THERE)
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket(aws, THERE))
    assert requests(uploader, *BOTH) == [(1, 0), (0, 0)]
    key = aws.client("kms", region=THERE).describe_key(KeyId=f"alias/{VAULT}")
    assert {it["KmsKeyId"] for it in snapshots(aws, THERE)} == {key["KeyMetadata"]["Arn"]}


def test_the_first_region_that_can_convert_is_copied(uploader, aws, pack, tmp_path):
    """Wherever it stands in the command. Of a disk, it is the one that knows the image."""
    uploader("vault", "init", region=THERE)
    raw, image = tmp_path / "web.img", sample()
    size = image.manifest["size"]
    raw.write_bytes(b"".join(image.put.get(at, bytes(2**19)) for at in range(size >> 19)))
    with agent(uploader, aws, THERE):
        for what in ((pack,), (raw, "--name", "disk", "--boot-mode", "bios")):
            dry = uploader("publish", *what, *BOTH, "--dry-run").stdout
            assert f"would copy the AMI to {HERE} (copy: there is no vault)" in dry
            rows = by_region(uploader("publish", *what, *BOTH, parse=True))
            assert [it["error"] for it in rows.values()] == [None, None]
            assert (rows[HERE]["via"], rows[THERE]["via"]) == ("copy", None)
            assert rows[HERE]["digest"] == rows[THERE]["digest"]
            found = content(aws.client("ebs", region=HERE), rows[HERE]["snapshot"])
            assert {index: found[index] for index in image.data} == image.data
            again = by_region(uploader("publish", *what, *BOTH, parse=True))
            assert all(it["already_there"] for it in again.values())
            assert {it: again[it]["ami"] for it in again} == {it: rows[it]["ami"] for it in rows}


def test_where_the_first_region_fails_the_next_one_is_copied(uploader, aws, agents, fault, pack):
    refused = ("--status", "403", "--code", "AccessDenied")
    fault("s3", "PutObject", *refused, *packs(aws, HERE))
    everywhere = (*BOTH, "--region", ELSEWHERE)
    done = uploader("publish", pack, *everywhere, parse=True, check=False)
    assert done.returncode == 3, done.stderr
    rows = by_region(done)
    assert "AccessDenied" in rows[HERE]["error"] and own(aws, HERE) == []
    assert rows[THERE]["via"] == "convert" and [rows[THERE]["ami"]] == amis(aws, THERE)
    assert rows[ELSEWHERE]["via"] == "copy" and rows[ELSEWHERE]["error"] is None
    (copy,) = own(aws, ELSEWHERE)
    assert copy["ImageId"] == rows[ELSEWHERE]["ami"]
    tags = {it["Key"]: it["Value"] for it in copy["Tags"]}
    assert tags["image-vault:request"] == rows[THERE]["request"]


def test_where_no_region_can_convert_the_first_says_what_it_lacks(uploader, aws, pack):
    done = uploader("publish", pack, *BOTH, parse=True, check=False)
    rows = by_region(done)
    one = uploader("publish", pack, "--region", HERE, check=False)
    assert done.returncode == one.returncode != 0
    assert rows[HERE]["error"] in one.stderr
    assert rows[THERE]["via"] == "copy"
    assert rows[THERE]["error"] == "no other region has made an AMI to copy"
    assert own(aws, HERE) == own(aws, THERE) == []


def test_a_disk_is_read_for_both(uploader, aws, agents, tmp_path):
    """By both at the same time: what one made is no use to the other if it is of something else."""
    raw, image = tmp_path / "web.img", sample()
    size = image.manifest["size"]
    raw.write_bytes(b"".join(image.put.get(at, bytes(2**19)) for at in range(size >> 19)))
    asked = ("--name", "web", "--boot-mode", "bios", *BOTH, *CONVERTED)
    rows = by_region(uploader("publish", raw, *asked, parse=True))
    assert rows[HERE]["digest"] == rows[THERE]["digest"]
    for region, row in rows.items():
        found = content(aws.client("ebs", region=region), row["snapshot"])
        assert {index: found[index] for index in image.data} == image.data
    # The second version of one region only.
    image.data[3] = image.data[4]
    with open(raw, "r+b") as file:
        file.seek(3 << 19)
        file.write(image.data[3])
    uploader("push", raw, *asked[:4], "--region", HERE)
    rows = by_region(uploader("publish", raw, *asked, parse=True))
    for region, row in rows.items():
        found = content(aws.client("ebs", region=region), row["snapshot"])
        assert {index: found[index] for index in image.data} == image.data
        assert uploader("verify", row["ami"], region=region).returncode == 0


@pytest.mark.parametrize(("fails", "goes"), [(HERE, THERE), (THERE, HERE)])
def test_the_same_command_goes_on_where_it_failed(
    uploader, aws, agents, fault, emulator, pack, fails, goes
):
    """And leaves the region as it is that did not fail."""
    refused = ("--status", "403", "--code", "AccessDenied")
    fault("s3", "PutObject", *refused, *packs(aws, fails))
    done = uploader("publish", pack, *BOTH, parse=True, check=False)
    assert done.returncode == 3, done.stderr
    rows = by_region(done)
    assert "AccessDenied" in rows[fails]["error"] and rows[fails]["ami"] is None
    assert rows[goes]["error"] is None and [rows[goes]["ami"]] == amis(aws, goes)
    assert f"uploader: {fails}: failed: s3 PutObject: " in done.stderr
    assert f"1 of 2 regions failed ({fails}); the same command goes on" in done.stderr
    if goes == THERE:
        assert rows[goes]["via"] == "convert"
        assert rows[goes]["reason"] == "there is a vault with a converter"
    # Nothing is left where it failed.
    assert own(aws, fails) == snapshots(aws, fails) == []
    assert requests(uploader, "--region", fails) == [(0, 0)]
    text = uploader("publish", pack, *BOTH, check=False).stdout.splitlines()
    assert any(it.startswith(f"failed {fails} ") for it in text)
    assert any(it.endswith(" (there already)") and goes in it for it in text)

    emulator.cli("fault", "clear")
    again = by_region(uploader("publish", pack, *BOTH, parse=True))
    assert again[goes]["ami"] == rows[goes]["ami"] and again[goes]["already_there"]
    assert not again[fails]["already_there"]
    assert [again[fails]["ami"]] == amis(aws, fails)
    dry = uploader("publish", pack, *BOTH, "--dry-run").stdout.splitlines()
    assert [it.endswith("(there already)") for it in dry] == [True, True]
    for region in (HERE, THERE):
        assert len(own(aws, region)) == len(snapshots(aws, region)) == 1
    assert requests(uploader, *BOTH) == [(1, 0), (1, 0)]


def test_a_region_that_fails_does_not_hold_up_the_other(uploader, aws, emulator, fault, pack):
    uploader("vault", "init")
    fault("ec2", "CopyImage", "--status", "400", "--code", "ResourceLimitExceeded")
    with agent(uploader, aws, HERE):
        done = uploader("publish", pack, *BOTH, parse=True, check=False)
        assert done.returncode == 1
        rows = by_region(done)
        assert rows[HERE]["ami"] == own(aws, HERE)[0]["ImageId"]
        assert "ResourceLimitExceeded" in rows[THERE]["error"]
        assert f"1 of 2 regions failed ({THERE})" in done.stderr
        emulator.cli("fault", "clear")
        # The copy is made, and its answer lost: it is found.
        fault("ec2", "CopyImage", "--lose")
        lost = uploader("publish", pack, *BOTH, check=False)
        assert lost.returncode == 3 and len(own(aws, THERE)) == 1
        emulator.cli("fault", "clear")
        again = uploader("publish", pack, *BOTH)
    first, second = again.stdout.splitlines()
    assert first.startswith(f"{rows[HERE]['ami']} {HERE} web-")
    assert second.startswith(f"{own(aws, THERE)[0]['ImageId']} {THERE} web-")
    assert len(own(aws, HERE)) == len(own(aws, THERE)) == 1


def test_a_copy_that_fails_is_taken_away_and_made_again(uploader, aws, pack):
    """EC2 takes the call, and finds only later that the key can't be used."""
    uploader("vault", "init")
    ec2, kms = (aws.client(it, region=THERE) for it in ("ec2", "kms"))
    key = aws.key(region=THERE)
    ec2.modify_ebs_default_kms_key_id(KmsKeyId=key)
    kms.disable_key(KeyId=key)
    with agent(uploader, aws, HERE):
        done = uploader("publish", pack, *BOTH, parse=True, check=False)
        assert done.returncode == 1
        rows = by_region(done)
        assert "failed: " in rows[THERE]["error"] and "left behind" not in rows[THERE]["error"]
        assert own(aws, THERE) == snapshots(aws, THERE) == []
        kms.enable_key(KeyId=key)
        again = by_region(uploader("publish", pack, *BOTH, parse=True))
    assert again[HERE]["ami"] == rows[HERE]["ami"]
    (copy,) = snapshots(aws, THERE)
    assert amis(aws, THERE) == [again[THERE]["ami"]] and copy["KmsKeyId"] == key


def test_what_counts_as_there_already(uploader, aws, agents, pack):
    """The same content, name, version, tags and key; available; and by the vault's own word."""
    ec2 = aws.client("ec2")

    def published(*more):
        (row,) = uploader("publish", pack, *more, parse=True).json["regions"]
        assert row["already_there"] == (row["ami"] in made), row
        made.add(row["ami"])
        return row["ami"]

    made = set()
    first = published()
    assert published() == first == uploader("publish", pack).stdout.strip()
    version = ("--image-version", "2")
    second = published(*version)
    assert published(*version) == second != first
    assert published() == first
    tagged = published("--tag", "team=shop")
    assert tagged not in (first, second)
    named = ("--ami-name", "web 1.4", "--tag", "team=shop")
    assert published(*named) == published(*named)
    own_key = aws.key(Tags=[{"TagKey": "image-vault-snapshots", "TagValue": VAULT}])
    assert published("--kms-key", own_key) == published("--kms-key", own_key)
    assert len(made) == 5
    newest = published("--again")
    assert len(made) == 6 and published() == newest

    # Neither what is gone counts, nor what only says that it is of this vault.
    (image,) = ec2.describe_images(ImageIds=[newest])["Images"]
    for ami in (newest, first):
        ec2.deregister_image(ImageId=ami)
    forged = aws.register(Name=image["Name"])
    ec2.create_tags(Resources=[forged], Tags=image["Tags"])
    assert published() not in (forged, newest, first)


def test_ctrl_c_leaves_nothing(uploader, aws, agents, fault, pack):
    fault("s3", "PutObject", "--status", "503", *packs(aws, HERE))
    fault("s3", "PutObject", "--status", "503", *packs(aws, THERE))
    with started(uploader, "publish", pack, *BOTH, *CONVERTED) as running:
        said = ""
        while not all(f"uploader: {it}: as arn:" in said for it in (HERE, THERE)):
            line = running.stderr.readline()
            assert line, said
            said += line
        running.send_signal(signal.SIGINT)
        stdout, more = running.communicate(timeout=60)
    assert running.returncode == 130
    assert stdout.splitlines() == [f"failed {it} interrupted" for it in (HERE, THERE)]
    for region in (HERE, THERE):
        assert f"uploader: {region}: interrupted; " in said + more
        assert own(aws, region) == snapshots(aws, region) == []
        s3 = aws.client("s3", region=region)
        assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket(aws, region))
        assert "Contents" not in s3.list_objects_v2(Bucket=bucket(aws, region), Prefix="packs/")
    assert requests(uploader, *BOTH) == [(0, 0), (0, 0)]


def test_a_copy_can_not_be_made_without_waiting(uploader, pack):
    uploader("vault", "init")
    for more in ((), ("--via", "copy")):
        asked = (*BOTH, "--no-wait", "--no-launch", *more)
        done = uploader("publish", pack, *asked, check=False)
        assert done.returncode == 2 and "--via convert" in done.stderr
    # What can be known before is said before anything is sent.
    assert requests(uploader) == [(0, 1)]
