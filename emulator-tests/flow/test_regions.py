"""One image in several regions: made there, or copied from the first."""

import contextlib

import pytest

from own_vault import VAULT
from sample import sample
from target import content, wait
from test_publish import written

HERE, THERE = "us-east-1", "eu-west-1"
BOTH = ("--region", HERE, "--region", THERE)


@pytest.fixture
def pack(tmp_path):
    return written(sample(), tmp_path)


@contextlib.contextmanager
def agent(uploader, aws, region):
    """An agent in a region, once it has said that it is there."""
    s3 = aws.client("s3", region=region)
    bucket = f"{VAULT}-{aws.account}-{region}"
    found = lambda: s3.list_objects_v2(Bucket=bucket, Prefix="converter/heartbeats/")["KeyCount"]
    with uploader.start("agent", region=region) as process:
        wait(found, 1)
        yield
        process.terminate()
        process.communicate(timeout=60)


def by_region(done):
    return {it["region"]: it for it in done.json["regions"]}


def own(aws, region):
    return aws.client("ec2", region=region).describe_images(Owners=["self"])["Images"]


def test_a_region_without_a_vault_gets_a_copy(uploader, aws, pack):
    uploader("vault", "init")
    dry = uploader("publish", pack, *BOTH, "--dry-run")
    assert f"would copy the AMI to {THERE} (copy: there is no vault)" in dry.stdout
    with agent(uploader, aws, HERE):
        done = uploader("publish", pack, *BOTH, parse=True)
    rows = by_region(done)
    assert (rows[HERE]["via"], rows[THERE]["via"]) == (None, "copy")
    assert "no vault" in rows[THERE]["reason"] and rows[THERE]["error"] is None
    (copy,) = own(aws, THERE)
    assert copy["ImageId"] == rows[THERE]["ami"] and copy["State"] == "available"
    tags = {it["Key"]: it["Value"] for it in copy["Tags"]}
    assert tags["image-vault:request"] == rows[HERE]["request"]
    (device,) = copy["BlockDeviceMappings"]
    assert device["Ebs"]["Encrypted"] is True
    found = content(aws.client("ebs", region=THERE), rows[THERE]["snapshot"])
    assert {index: found[index] for index in sample().put} == sample().put


def test_a_region_with_a_converter_makes_its_own(uploader, aws, pack):
    uploader("vault", "init", *BOTH)
    with agent(uploader, aws, HERE), agent(uploader, aws, THERE):
        done = uploader("publish", pack, *BOTH, parse=True)
        rows = by_region(done)
        assert rows[THERE]["via"] == "convert" and "cheaper" in rows[THERE]["reason"]
        forced = uploader("publish", pack, *BOTH, "--via", "copy", parse=True)
    assert by_region(forced)[THERE]["via"] == "copy"
    assert by_region(forced)[THERE]["reason"] == "as --via says"
    assert len(own(aws, HERE)) == len(own(aws, THERE)) == 2
    # The copy has the key of the vault there.
    kms = aws.client("kms", region=THERE)
    key = kms.describe_key(KeyId=f"alias/{VAULT}")["KeyMetadata"]["Arn"]
    ec2 = aws.client("ec2", region=THERE)
    snapshots = ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
    assert {it["KmsKeyId"] for it in snapshots} == {key}


def test_a_region_that_fails_does_not_hold_up_the_other(uploader, aws, emulator, pack):
    uploader("vault", "init")
    fault = ("--service", "ec2", "--operation", "CopyImage", "--status", "400")
    emulator.cli("fault", "add", "--account", aws.account, *fault, "--code", "ResourceLimitExceeded")
    with agent(uploader, aws, HERE):
        done = uploader("publish", pack, *BOTH, parse=True, check=False)
        assert done.returncode == 1
        rows = by_region(done)
        assert rows[HERE]["ami"] == own(aws, HERE)[0]["ImageId"]
        assert "ResourceLimitExceeded" in rows[THERE]["error"]
        assert f"1 of 2 regions failed ({THERE})" in done.stderr
        emulator.cli("fault", "clear")
        again = uploader("publish", pack, *BOTH)
    first, second = again.stdout.splitlines()
    assert first.startswith("ami-") and HERE in first
    assert second.startswith("ami-") and f" {THERE}" in second and "(copy: " in second


def test_a_copy_can_not_be_made_without_waiting(uploader, pack):
    uploader("vault", "init")
    done = uploader("publish", pack, *BOTH, "--no-wait", "--no-launch", check=False)
    assert done.returncode == 2 and "--via convert" in done.stderr
