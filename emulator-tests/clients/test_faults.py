"""Faults by rule, as unmodified clients see them: SDKs retry, and what was lost is found again."""

import json
import time

import pytest
from botocore.exceptions import ClientError, HTTPClientError

from harness.target import BLOCK, block, block_put, digest


@pytest.fixture
def faults(emulator, aws):
    """Adds rules that hold for the test's account alone, and says how often they fired."""
    ids = []

    class Faults:
        def add(self, *arguments, account=None):
            arguments = ["--account", account or aws.account, *arguments]
            said = json.loads(emulator.cli("fault", "add", "--json", *arguments).stdout)
            ids.append(said[0]["id"])
            return ids[-1]

        def counts(self, rule):
            rules = json.loads(emulator.cli("fault", "list", "--json").stdout)
            found = next(it for it in rules if it["id"] == rule)
            return found["matched"], found["fired"]

    yield Faults()
    for rule in ids:
        emulator.cli("fault", "remove", rule)


PUT = ("--service", "ebs", "--operation", "PutSnapshotBlock")


def put_all(client, snapshot, count):
    """Puts blocks by one client."""
    for index in range(count):
        client.put_snapshot_block(**block_put(snapshot, index, block(index)))


@pytest.mark.parametrize(
    "what",
    [
        ("--status", "503"),
        ("--status", "500"),
        ("--reason", "ACCOUNT_THROTTLED"),
        ("--reason", "RESOURCE_LEVEL_THROTTLE"),
        ("--cut", "request", "--after-bytes", "100000"),
        ("--cut", "answer"),
        ("--lose",),
        ("--corrupt", "request", "--offset", "1000"),
    ],
    ids=" ".join,
)
def test_every_third_put_fails_and_is_put_again(aws, faults, what):
    snapshot = aws.start()
    rule = faults.add(*PUT, "--every", "3", *what)
    puts = 8
    if what[0] == "--corrupt":
        # Not the client's luck, but its block's checksum: refused, and not for a retry.
        for index in range(puts):
            for attempt in range(2):
                try:
                    aws.put(snapshot, index, block(index))
                    break
                except ClientError as error:
                    assert error.response["Error"]["Code"] == "ValidationException"
                    assert attempt == 0
    else:
        put_all(aws.client("ebs", retries=4), snapshot, puts)
    matched, fired = faults.counts(rule)
    assert fired == matched // 3 and fired >= puts // 3, (matched, fired)
    assert matched == puts + fired
    aws.complete(snapshot, puts)
    aws.wait_snapshot(snapshot)
    found = aws.ebs.list_snapshot_blocks(SnapshotId=snapshot)["Blocks"]
    for it in found:
        answer = aws.ebs.get_snapshot_block(
            SnapshotId=snapshot, BlockIndex=it["BlockIndex"], BlockToken=it["BlockToken"]
        )
        assert answer["BlockData"].read() == block(it["BlockIndex"])
    assert len(found) == puts


@pytest.mark.parametrize(
    ("what", "code", "status"),
    [
        (("--status", "503"), "ServiceUnavailable", 503),
        (("--status", "500"), "InternalServerException", 500),
        (("--reason", "ACCOUNT_THROTTLED"), "RequestThrottledException", 400),
        (("--reason", "DEPENDENCY_REQUEST_THROTTLED"), "RequestThrottledException", 400),
        (("--status", "403", "--code", "AccessDeniedException"), "AccessDeniedException", 403),
    ],
    ids=lambda it: " ".join(it) if isinstance(it, tuple) else None,
)
def test_a_refusal_is_what_the_rule_says(aws, faults, what, code, status):
    snapshot = aws.start()
    rule = faults.add(*PUT, "--nth", "1", *what)
    with pytest.raises(ClientError) as error:
        aws.put(snapshot, 0, block(0))
    answer = error.value.response
    assert answer["Error"]["Code"] == code
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == status
    if what[0] == "--reason":
        assert answer["Reason"] == what[1]
    aws.put(snapshot, 0, block(0))
    assert faults.counts(rule) == (2, 1)
    aws.complete(snapshot, 1)


def test_other_services_refuse_in_their_own_words(aws, faults):
    faults.add("--service", "ec2", "--operation", "DescribeImages", "--nth", "1", "--status", "503")
    faults.add("--service", "s3", "--operation", "ListBuckets", "--nth", "1", "--status", "503")
    faults.add("--service", "kms", "--operation", "ListKeys", "--nth", "1", "--status", "400")
    for call, code in (
        (aws.ec2.describe_images, "RequestLimitExceeded"),
        (aws.s3.list_buckets, "SlowDown"),
        (aws.kms.list_keys, "ThrottlingException"),
    ):
        with pytest.raises(ClientError) as error:
            call(**({"Owners": ["self"]} if code == "RequestLimitExceeded" else {}))
        assert error.value.response["Error"]["Code"] == code
        # With the retries that clients have, nobody notices.
        call(**({"Owners": ["self"]} if code == "RequestLimitExceeded" else {}))


def test_an_answer_that_is_lost_was_performed(aws, faults):
    snapshot = aws.snapshot()
    arguments = {
        "Name": "lost",
        "RootDeviceName": "/dev/xvda",
        "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": snapshot}}],
    }
    rule = faults.add("--service", "ec2", "--operation", "RegisterImage", "--nth", "1", "--lose")
    with pytest.raises(HTTPClientError):
        aws.ec2.register_image(**arguments)
    assert faults.counts(rule) == (1, 1)
    found = aws.ec2.describe_images(Owners=["self"])["Images"]
    assert [it["Name"] for it in found] == ["lost"]
    # So a second attempt meets the first one's image.
    with pytest.raises(ClientError) as error:
        aws.ec2.register_image(**arguments)
    assert error.value.response["Error"]["Code"] == "InvalidAMIName.Duplicate"


def test_a_corrupt_answer_is_seen_by_its_checksum(aws, faults):
    snapshot = aws.snapshot({0: block(0)})
    token = aws.ebs.list_snapshot_blocks(SnapshotId=snapshot)["Blocks"][0]["BlockToken"]
    get = ("--service", "ebs", "--operation", "GetSnapshotBlock")
    faults.add(*get, "--nth", "1", "--corrupt", "answer", "--offset", "7")

    def read():
        answer = aws.ebs.get_snapshot_block(SnapshotId=snapshot, BlockIndex=0, BlockToken=token)
        return answer["Checksum"], answer["BlockData"].read()

    checksum, data = read()
    put = block(0)
    wrong = [index for index in range(BLOCK) if data[index] != put[index]]
    assert wrong == [7] and checksum != digest(data)
    checksum, data = read()
    assert data == block(0) and checksum == digest(data)


@pytest.mark.parametrize("side", ["request", "answer"])
def test_a_slow_link_takes_its_time(aws, faults, side):
    bucket = f"slow-{aws.account}"
    aws.s3.create_bucket(Bucket=bucket)
    data = block("slow")[:100_000]
    aws.s3.put_object(Bucket=bucket, Key="key", Body=data)
    operation = "PutObject" if side == "request" else "GetObject"
    limits = ("--slow", side, "--bytes-per-second", "50000")
    rule = faults.add("--service", "s3", "--operation", operation, *limits)
    start = time.monotonic()
    if side == "request":
        aws.s3.put_object(Bucket=bucket, Key="key", Body=data)
    else:
        assert aws.s3.get_object(Bucket=bucket, Key="key")["Body"].read() == data
    assert 1.5 < time.monotonic() - start < 60
    assert faults.counts(rule) == (1, 1)


def test_a_delay(aws, faults):
    faults.add("--service", "sts", "--delay-ms", "1500")
    start = time.monotonic()
    aws.client("sts").get_caller_identity()
    assert time.monotonic() - start > 1.4


def test_chance_is_the_same_for_the_same_seed(aws, faults):
    seen = []
    for _round in range(2):
        snapshot = aws.start()
        rule = faults.add(*PUT, "--resource", snapshot, "--probability", "0.4", "--seed", "7")
        fates = []
        for index in range(12):
            try:
                aws.put(snapshot, index, block(index))
                fates.append(True)
            except ClientError:
                fates.append(False)
        seen.append(fates)
        assert faults.counts(rule) == (12, fates.count(False))
    assert seen[0] == seen[1] and 0 < seen[0].count(False) < 12


def test_rules_are_about_what_they_say(aws, faults):
    """Another account, another operation and another service are left alone; a limit ends it."""
    rule = faults.add("--service", "sts", "--status", "500", "--limit", "2", account=aws.other)
    aws.client("sts").get_caller_identity()
    stranger = aws.client("sts", aws.other)
    for _time in range(2):
        with pytest.raises(ClientError):
            stranger.get_caller_identity()
    stranger.get_caller_identity()
    # What is past the limit is not counted as fired.
    assert faults.counts(rule)[1] == 2


def test_a_rule_that_makes_no_sense_is_refused(emulator):
    for arguments in (
        ("--service", "ebs", "--every", "0"),
        ("--service", "ebs", "--status", "200"),
        ("--service", "ebs", "--reason", "NO_SUCH_REASON"),
        ("--service", "ebs", "--lose", "--status", "500"),
    ):
        done = emulator.cli("fault", "add", *arguments, check=False)
        assert done.returncode == 2, (arguments, done.stdout, done.stderr)
        assert done.stderr
