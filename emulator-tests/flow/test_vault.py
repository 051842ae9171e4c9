"""`uploader vault`: made, looked at, mended, emptied of garbage, and taken away."""

import contextlib
import hashlib
import json
import random
import signal
import struct
import time

import pytest
from botocore.exceptions import ClientError

from flow.program import Uploader
from harness.target import wait
from harness.waiting import LONG

REGION, OTHER_REGION = "us-east-1", "eu-west-1"
BLOCK = 512 * 1024
TAG = "image-vault:vault"


class Vault:
    """A vault's parts, by their names, as its owner sees them with other tools."""

    def __init__(self, aws, region=REGION, account=None):
        self.aws, self.region, self.account = aws, region, account or aws.account
        self.bucket = f"image-vault-{self.account}-{region}"
        self.role = f"image-vault-converter-{region}"

    def client(self, service, **more):
        return self.aws.client(service, self.account, self.region, **more)

    def aliases(self):
        listed = self.client("kms").list_aliases()["Aliases"]
        return {
            it["AliasName"]: it["TargetKeyId"]
            for it in listed
            if it["AliasName"].startswith("alias/image-vault")
        }

    def kms_keys(self):
        """All keys that were made, as KMS describes them."""
        kms = self.client("kms")
        found = []
        for key in kms.list_keys(Limit=1000)["Keys"]:
            tags = kms.list_resource_tags(KeyId=key["KeyId"])["Tags"]
            if {"TagKey": TAG, "TagValue": "image-vault"} in tags:
                found.append(kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"])
        return found

    def queue(self, name="requests"):
        return self.client("sqs").get_queue_url(QueueName=f"image-vault-{name}")["QueueUrl"]

    def put(self, key, body=b"x", plain=False, **more):
        self.client("s3", plain=plain).put_object(Bucket=self.bucket, Key=key, Body=body, **more)

    def store(self, name, packs, seed=0):
        """Puts a manifest that names these packs, as a push does at its end."""
        manifest = manifest_of(name, packs, seed)
        key = f"images/{name}/{image_digest(manifest)}.json"
        self.put(key, json.dumps(manifest).encode())
        return key


def manifest_of(name, packs, seed=0):
    """A disk of one block of data, one of zeros, and one that is free."""
    data = hashlib.sha256(struct.pack("<Q", seed))
    zero = hashlib.sha256(bytes(BLOCK))
    linear = hashlib.sha256(data.digest() + zero.digest()).hexdigest()
    return {
        "version": 1,
        "name": name,
        "identity": hashlib.sha256(name.encode()).hexdigest(),
        "architecture": "x86_64",
        "boot_modes": ["bios", "uefi"],
        "size": 3 * BLOCK,
        "block_size": BLOCK,
        "inputs": [],
        "snapshot": {"changed_blocks_count": 2, "linear_checksum": linear},
        "packs": [{"digest": it, "size": 1000} for it in packs],
        "blocks": {"data": [[0, data.hexdigest(), 0, 0, 1000]], "zero": [[1, 1]], "free": [[2, 1]]},
    }


def image_digest(manifest):
    """The digest of an image's content, as docs/vault.md has it."""
    hashed = hashlib.sha256()

    def text(it):
        it = it.encode()
        hashed.update(struct.pack("<Q", len(it)) + it)

    def number(it):
        hashed.update(struct.pack("<Q", it))

    text("image digest 1")
    for field in ("name", "identity", "architecture"):
        text(manifest[field])
    text(",".join(manifest["boot_modes"]))
    number(manifest["size"])
    number(manifest["block_size"])
    blocks = manifest["blocks"]
    number(len(blocks["data"]))
    for index, digest, *_where in blocks["data"]:
        number(index)
        hashed.update(digest.encode())
    for runs in (blocks["zero"], blocks["free"]):
        number(len(runs))
        for first, count in runs:
            number(first)
            number(count)
    return hashed.hexdigest()


@pytest.fixture
def vault(aws, uploader):
    """A vault that init made."""
    uploader("vault", "init")
    return Vault(aws)


def refused(code, call, **arguments):
    with pytest.raises(ClientError) as error:
        call(**arguments)
    assert error.value.response["Error"]["Code"] == code


def drifts(uploader, *arguments):
    """What `status` says is not as it should be, as (part, setting)."""
    done = uploader("vault", "status", *arguments, parse=True, check=False)
    found = {(it["part"], it.get("setting")) for it in done.json["drift"]}
    assert done.returncode == (1 if found else 0), done.stderr
    return found


def nothing_is_there(vault, cli):
    """As the AWS CLI shows it."""
    # For SQS it does not look at AWS_ENDPOINT_URL.
    endpoint = ("--endpoint-url", vault.aws.endpoint)

    def ask(*arguments):
        return cli(*arguments, *endpoint, "--output", "json", region=vault.region)

    assert vault.bucket not in ask("s3api", "list-buckets")
    assert "image-vault" not in ask("sqs", "list-queues")
    assert vault.role not in ask("iam", "list-roles")
    assert vault.role not in ask("iam", "list-instance-profiles")
    assert "alias/image-vault" not in ask("kms", "list-aliases")


def test_init_twice(aws, uploader, emulator):
    vault = Vault(aws)
    first = uploader("vault", "init", parse=True)
    assert first.json["changes"] > 15 and first.json["drift"] == []
    assert f"arn:aws:iam::{aws.account}" in first.stderr, "who did it"
    aliases = vault.aliases()
    assert set(aliases) == {"alias/image-vault", "alias/image-vault-requests"}

    second = uploader("vault", "init", parse=True)
    assert second.json["changes"] == 0
    assert second.stderr == "", "nothing was changed, so there is nothing to tell"
    assert vault.aliases() == aliases and len(vault.kms_keys()) == 2
    assert drifts(uploader) == set()

    # As others see it.
    s3, bucket = vault.client("s3"), {"Bucket": vault.bucket}
    rule = s3.get_bucket_encryption(**bucket)["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert rule["BucketKeyEnabled"] is True
    assert rule["ApplyServerSideEncryptionByDefault"] == {
        "SSEAlgorithm": "aws:kms",
        "KMSMasterKeyID": first.json["kms-key"],
    }
    assert first.json["kms-key"].endswith(aliases["alias/image-vault"])
    assert s3.get_bucket_versioning(**bucket)["Status"] == "Enabled"
    block = s3.get_public_access_block(**bucket)["PublicAccessBlockConfiguration"]
    assert len(block) == 4 and all(block.values())
    assert s3.get_bucket_tagging(**bucket)["TagSet"] == [{"Key": TAG, "Value": "image-vault"}]
    kms = vault.client("kms")
    keys = {it["KeyUsage"]: it["KeySpec"] for it in vault.kms_keys()}
    assert keys == {"ENCRYPT_DECRYPT": "SYMMETRIC_DEFAULT", "SIGN_VERIFY": "ECC_NIST_P256"}
    assert kms.get_key_rotation_status(KeyId="alias/image-vault")["KeyRotationEnabled"]
    sqs = vault.client("sqs")
    attributes = sqs.get_queue_attributes(QueueUrl=vault.queue(), AttributeNames=["All"])
    attributes = attributes["Attributes"]
    assert attributes["KmsMasterKeyId"] == first.json["kms-key"]
    redrive = json.loads(attributes["RedrivePolicy"])
    assert redrive["deadLetterTargetArn"].endswith(":image-vault-failed")
    iam = vault.client("iam")
    profile = iam.get_instance_profile(InstanceProfileName=vault.role)["InstanceProfile"]
    assert [it["RoleName"] for it in profile["Roles"]] == [vault.role]


def test_a_dry_run_prints_and_makes_nothing(aws, cli, uploader):
    vault = Vault(aws)
    done = uploader("vault", "init", "--dry-run")
    lines = done.stdout.splitlines()
    assert lines[0] == "would create the encryption key alias/image-vault"
    assert f"would create the bucket {vault.bucket}" in lines
    changes = uploader("vault", "init", "--dry-run", parse=True).json["changes"]
    assert len(changes) == len(lines)
    policies = [it for it in changes if it["part"] == "bucket" and it.get("setting") == "policy"]
    assert "PlainTransport" in json.dumps(policies)
    nothing_is_there(vault, cli)
    assert vault.kms_keys() == []
    status = uploader("vault", "status", check=False)
    assert status.returncode == 1 and "uploader vault init" in status.stdout
    # What it said is what is done.
    assert uploader("vault", "init", parse=True).json["changes"] == len(changes)


def break_bucket(vault):
    s3, bucket = vault.client("s3"), {"Bucket": vault.bucket}
    s3.delete_bucket_policy(**bucket)
    s3.put_bucket_versioning(**bucket, VersioningConfiguration={"Status": "Suspended"})
    rule = {
        "Status": "Enabled",
        "Filter": {"Prefix": "packs/"},
        "Expiration": {"Days": 1},
        "ID": "x",
    }
    s3.put_bucket_lifecycle_configuration(**bucket, LifecycleConfiguration={"Rules": [rule]})
    s3.delete_public_access_block(**bucket)
    s3.put_bucket_ownership_controls(
        **bucket, OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
    )
    plain = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}
    s3.put_bucket_encryption(**bucket, ServerSideEncryptionConfiguration=plain)
    s3.put_bucket_tagging(**bucket, Tagging={"TagSet": [{"Key": "team", "Value": "web"}]})
    settings = "policy versioning lifecycle public-access ownership encryption tags"
    return {("bucket", it) for it in settings.split()}


def break_queues(vault):
    sqs = vault.client("sqs")
    everyone = {"Effect": "Allow", "Principal": "*", "Action": "sqs:*", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [everyone]})
    sqs.set_queue_attributes(
        QueueUrl=vault.queue(), Attributes={"VisibilityTimeout": "1", "Policy": policy}
    )
    failed = vault.queue("failed")
    sqs.set_queue_attributes(QueueUrl=failed, Attributes={"KmsMasterKeyId": ""})
    sqs.untag_queue(QueueUrl=failed, TagKeys=[TAG])
    return {
        ("queue", "attributes"),
        ("queue", "policy"),
        ("dead-letter-queue", "attributes"),
        ("dead-letter-queue", "tags"),
    }


def break_role(vault):
    iam, role = vault.client("iam"), {"RoleName": vault.role}
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [everything]})
    iam.put_role_policy(**role, PolicyName="more", PolicyDocument=policy)
    made = iam.create_policy(PolicyName="most", PolicyDocument=policy)["Policy"]["Arn"]
    iam.attach_role_policy(**role, PolicyArn=made)
    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    trust = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    iam.update_assume_role_policy(**role, PolicyDocument=trust)
    iam.remove_role_from_instance_profile(InstanceProfileName=vault.role, **role)
    return {
        ("role", "permissions"),
        ("role", "attached"),
        ("role", "trust"),
        ("instance-profile", "roles"),
    }


def break_keys(vault):
    kms = vault.client("kms")
    kms.disable_key_rotation(KeyId="alias/image-vault")
    signing = vault.aliases()["alias/image-vault-requests"]
    root = {"AWS": f"arn:aws:iam::{vault.account}:root"}
    allow = {"Effect": "Allow", "Principal": root, "Action": "kms:*", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    kms.put_key_policy(KeyId=signing, PolicyName="default", Policy=policy)
    return {("encryption-key", "rotation"), ("signing-key", "policy")}


@pytest.mark.parametrize("harm", [break_bucket, break_queues, break_role, break_keys])
def test_drift_is_seen_and_mended(vault, uploader, harm):
    expected = harm(vault)
    assert drifts(uploader) == expected
    lines = uploader("vault", "status", check=False).stdout.splitlines()
    assert len(lines) == len(expected)
    assert uploader("vault", "init", parse=True).json["changes"] == len(expected)
    assert drifts(uploader) == set()
    if harm is break_bucket:
        tags = vault.client("s3").get_bucket_tagging(Bucket=vault.bucket)["TagSet"]
        assert {"Key": "team", "Value": "web"} in tags, "others' tags stay"


@pytest.mark.parametrize("part", ["queue", "dead-letter-queue", "role", "alias"])
def test_what_somebody_deleted_is_made_again(vault, uploader, part):
    before = vault.aliases()
    iam = vault.client("iam")
    if part == "role":
        iam.remove_role_from_instance_profile(InstanceProfileName=vault.role, RoleName=vault.role)
        iam.delete_role_policy(RoleName=vault.role, PolicyName="converter")
        iam.delete_role(RoleName=vault.role)
    elif part == "alias":
        vault.client("kms").delete_alias(AliasName="alias/image-vault")
    else:
        name = "requests" if part == "queue" else "failed"
        vault.client("sqs").delete_queue(QueueUrl=vault.queue(name))
    expected = {
        "role": {("role", None), ("instance-profile", "roles")},
        "alias": {("encryption-key", "alias")},
    }.get(part, {(part, None)})
    assert drifts(uploader) == expected
    uploader("vault", "init")
    assert drifts(uploader) == set()
    assert vault.aliases() == before, "no key was made anew"


def test_plain_http_and_other_encryption_are_refused(vault):
    key = vault.client("kms").describe_key(KeyId="alias/image-vault")["KeyMetadata"]["Arn"]
    another = vault.aws.key()
    s3 = vault.client("s3")
    where = {"Bucket": vault.bucket, "Key": "packs/x", "Body": b"x"}
    plain = vault.client("s3", plain=True)
    refused("AccessDenied", plain.put_object, **where)
    refused("AccessDenied", plain.list_objects_v2, Bucket=vault.bucket)
    kms = {"ServerSideEncryption": "aws:kms"}
    for other in (
        {"ServerSideEncryption": "AES256"},
        kms | {"SSEKMSKeyId": another},
        kms,
        {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32},
    ):
        refused("AccessDenied", s3.put_object, **where, **other)
    upload = {"Bucket": vault.bucket, "Key": "packs/x"}
    refused("AccessDenied", s3.create_multipart_upload, **upload, ServerSideEncryption="AES256")
    for right in ({}, kms | {"SSEKMSKeyId": key}):
        s3.put_object(**where, **right)
        head = s3.head_object(Bucket=vault.bucket, Key="packs/x")
        assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", key)
    parts = s3.create_multipart_upload(**upload)["UploadId"]
    tag = s3.upload_part(**upload, UploadId=parts, PartNumber=1, Body=b"y")["ETag"]
    done = {"Parts": [{"PartNumber": 1, "ETag": tag}]}
    s3.complete_multipart_upload(**upload, UploadId=parts, MultipartUpload=done)
    assert s3.head_object(Bucket=vault.bucket, Key="packs/x")["SSEKMSKeyId"] == key
    others = vault.aws.client("s3", vault.aws.other)
    refused("AccessDenied", others.get_object, Bucket=vault.bucket, Key="packs/x")


@pytest.mark.parametrize("reader", ["init", "status", "list", "gc", "remove"])
def test_a_bucket_of_somebody_else(aws, uploader, reader):
    vault = Vault(aws)
    theirs = aws.client("s3", aws.other)
    theirs.create_bucket(Bucket=vault.bucket)
    theirs.put_object(Bucket=vault.bucket, Key="packs/" + "a" * 64, Body=b"x")
    options = {"remove": ["--yes"], "gc": ["--grace", "0s"]}.get(reader, [])
    done = uploader("vault", reader, *options, check=False)
    assert vault.bucket in done.stdout + done.stderr
    if reader in ("init", "status"):
        assert done.returncode == 1
        assert "belongs to another account" in done.stdout + done.stderr
        assert "--vault" in done.stdout + done.stderr, "what to do"
    elif reader == "remove":
        # There is nothing of ours.
        assert done.returncode == 0
    else:
        assert done.returncode == 3 and "AccessDenied" in done.stderr
    assert vault.aliases() == {} and vault.kms_keys() == [], "nothing was made"
    assert theirs.list_objects_v2(Bucket=vault.bucket)["KeyCount"] == 1
    # Another name will do.
    assert uploader("vault", "init", "--vault", "other-vault").returncode == 0


@pytest.mark.parametrize("alias", ["image-vault", "image-vault-requests"])
@pytest.mark.parametrize("state", ["Disabled", "PendingDeletion"])
def test_a_key_that_can_not_be_used(vault, uploader, alias, state):
    kms, key = vault.client("kms"), vault.aliases()[f"alias/{alias}"]
    if state == "Disabled":
        kms.disable_key(KeyId=key)
    else:
        kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    vault.client("s3").delete_bucket_policy(Bucket=vault.bucket)
    part = "signing-key" if alias.endswith("requests") else "encryption-key"
    assert drifts(uploader) == {(part, "key-state"), ("bucket", "policy")}
    done = uploader("vault", "init", check=False)
    assert done.returncode == 1
    assert f"alias/{alias}" in done.stderr and state in done.stderr
    assert "aws kms enable-key" in done.stderr, "what to do"
    assert drifts(uploader) == {(part, "key-state"), ("bucket", "policy")}, "nothing was changed"
    if state == "PendingDeletion":
        kms.cancel_key_deletion(KeyId=key)
    kms.enable_key(KeyId=key)
    uploader("vault", "init")
    assert drifts(uploader) == set()
    assert len(vault.kms_keys()) == 2


def test_a_key_of_ones_own(aws, cli, uploader):
    vault = Vault(aws)
    key = aws.key(Description="the company's")
    aws.kms.create_alias(AliasName="alias/company", TargetKeyId=key)
    for given in ("alias/company", key, key.rsplit("/", 1)[1]):
        done = uploader("vault", "init", "--kms-key", given, parse=True)
        assert done.json["kms-key"] == key
    assert done.json["changes"] == 0
    assert [it["KeyUsage"] for it in vault.kms_keys()] == ["SIGN_VERIFY"]
    assert aws.kms.list_resource_tags(KeyId=key)["Tags"] == [], "it is left as it was"
    assert not aws.kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"]
    vault.put("packs/x")
    assert vault.client("s3").head_object(Bucket=vault.bucket, Key="packs/x")["SSEKMSKeyId"] == key
    # From now on it is the vault's.
    assert drifts(uploader) == set()
    other = uploader("vault", "init", "--kms-key", aws.key(), check=False)
    assert other.returncode == 1 and "--kms-key" in other.stderr
    removed = uploader("vault", "remove", "--yes")
    assert f"left: the key {key}, which init did not make" in removed.stdout
    assert aws.kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Enabled"
    nothing_is_there(vault, cli)


def test_keys_that_will_not_do(aws, cli, uploader):
    signing = aws.key(KeyUsage="SIGN_VERIFY", KeySpec="ECC_NIST_P256")
    disabled = aws.key()
    aws.kms.disable_key(KeyId=disabled)
    for given, code, said in (
        ("alias/nonesuch", 2, "there is no KMS key alias/nonesuch"),
        (signing, 1, "ECC_NIST_P256 SIGN_VERIFY"),
        (disabled, 1, "Disabled"),
    ):
        done = uploader("vault", "init", "--kms-key", given, check=False)
        assert (done.returncode, said in done.stderr) == (code, True), done.stderr
        assert "hint:" in done.stderr
    nothing_is_there(Vault(aws), cli)


def test_what_can_be_no_keys_id(aws, cli, uploader, emulator):
    """KMS says so (LocalStack does not): it is asked for the vault's two keys, then for this."""
    rule = ("--service", "kms", "--operation", "DescribeKey", "--nth", "3")
    refused = ("--status", "400", "--code", "InvalidArnException")
    emulator.cli("fault", "add", "--account", aws.account, *rule, *refused)
    try:
        done = uploader("vault", "init", "--kms-key", "arn:aws:kms:nonsense", check=False)
    finally:
        emulator.cli("fault", "clear")
    assert done.returncode == 2, done.stderr
    assert "there is no KMS key arn:aws:kms:nonsense" in done.stderr
    assert "--kms-key takes" in done.stderr
    nothing_is_there(Vault(aws), cli)


def test_several_regions(aws, cli, uploader):
    both = ("--region", REGION, "--region", OTHER_REGION)
    vaults = [Vault(aws), Vault(aws, OTHER_REGION)]
    uploader("vault", "init", *both)
    for vault in vaults:
        location = vault.client("s3").get_bucket_location(Bucket=vault.bucket)
        assert (location["LocationConstraint"] or REGION) == vault.region
        assert len(vault.kms_keys()) == 2
    done = uploader("vault", "status", *both, "--json")
    assert [json.loads(line)["region"] for line in done.stdout.splitlines()] == [
        REGION,
        OTHER_REGION,
    ]
    vaults[1].client("s3").delete_bucket_policy(Bucket=vaults[1].bucket)
    done = uploader("vault", "status", *both, check=False)
    assert done.returncode == 1
    assert done.stdout.splitlines()[0] == f"{REGION}:"
    uploader("vault", "remove", "--yes", *both)
    for vault in vaults:
        nothing_is_there(vault, cli)


def test_a_region_that_fails_loses_no_other(aws, uploader):
    """The first one's bucket is somebody else's; what is asked of the second is done."""
    both = ("--region", REGION, "--region", OTHER_REGION)
    theirs, ours = Vault(aws), Vault(aws, OTHER_REGION)
    aws.client("s3", aws.other).create_bucket(Bucket=theirs.bucket)

    def fared(*command, code):
        done = uploader("vault", *command, *both, "--json", check=False)
        assert done.returncode == code, done.stderr
        first, second = (json.loads(it) for it in done.stdout.splitlines())
        assert (first["region"], second["region"]) == (REGION, OTHER_REGION)
        assert first["error"] and second["error"] is None
        assert f"1 of 2 regions failed ({REGION}); " in done.stderr
        return second

    assert fared("init", "--dry-run", code=1)["changes"]
    assert ours.aliases() == {}
    assert fared("init", code=1)["changes"] > 0
    assert len(ours.aliases()) == 2
    failed, made = uploader("vault", "init", *both, check=False).stdout.splitlines()
    assert failed.startswith(f"failed {REGION} ") and "another account" in failed
    assert made == f"{ours.bucket} in {OTHER_REGION}: nothing to do"
    assert fared("list", code=3)["images"] == []
    assert fared("gc", "--dry-run", code=3)["objects"] == []


def test_a_queue_that_forgets_too_early_is_mended(vault, uploader):
    """As one that an earlier version made: a request may be good for a week."""
    sqs, name = vault.client("sqs"), "MessageRetentionPeriod"
    sqs.set_queue_attributes(QueueUrl=vault.queue(), Attributes={name: str(4 * 86400)})
    assert drifts(uploader) == {("queue", "attributes")}
    uploader("vault", "init")
    assert drifts(uploader) == set()
    kept = sqs.get_queue_attributes(QueueUrl=vault.queue(), AttributeNames=[name])
    assert int(kept["Attributes"][name]) > 7 * 86400


def test_list(vault, uploader):
    assert uploader("vault", "list").stdout == ""
    assert uploader("vault", "list", parse=True).json["images"] == []
    first = vault.store("web", ["a" * 64])
    time.sleep(1.1)
    second = vault.store("web", ["a" * 64, "b" * 64], seed=1)
    vault.store("db", ["c" * 64])
    vault.put("images/web/README", b"not an image")
    images = uploader("vault", "list", parse=True).json["images"]
    assert [(it["name"], f"images/{it['name']}/{it['digest']}.json") for it in images[1:]] == [
        ("web", second),
        ("web", first),
    ], "the newest first"
    assert images[0]["name"] == "db" and images[0]["size"] == 3 * BLOCK
    assert images[1]["packed"] == 1000 and len(images[1]["packs"]) == 2
    lines = uploader("vault", "list", "web").stdout.splitlines()
    assert len(lines) == 3 and "1.5 MiB" in lines[1]


def objects(vault):
    listed = vault.client("s3").list_objects_v2(Bucket=vault.bucket).get("Contents", [])
    return {it["Key"] for it in listed}


def test_gc(vault, uploader):
    named, unnamed = (f"packs/{it * 64}" for it in "ab")
    for key in (named, unnamed, "packs/notes.txt", "requests/young.json"):
        vault.put(key)
    manifest = vault.store("web", ["a" * 64])
    everything = {named, unnamed, "packs/notes.txt", "requests/young.json", manifest}

    # All is younger than the grace time.
    assert uploader("vault", "gc", parse=True).json["objects"] == []
    plan = uploader("vault", "gc", "--grace", "0s", "--dry-run", parse=True).json
    assert [it["key"] for it in plan["objects"]] == [unnamed]
    assert objects(vault) == everything
    done = uploader("vault", "gc", "--grace", "0s", parse=True).json
    assert [it["key"] for it in done["objects"]] == [unnamed]
    assert objects(vault) == everything - {unnamed}
    # It can be brought back.
    versions = vault.client("s3").list_object_versions(Bucket=vault.bucket, Prefix=unnamed)
    assert len(versions["Versions"]) == 1
    wrong = uploader("vault", "gc", "--records", "1d", check=False)
    assert wrong.returncode == 2 and "15d" in wrong.stderr


@contextlib.contextmanager
def collecting(uploader, vault, *arguments, lost=0):
    """`gc`, which has deleted, and is held up before it looks what was named meanwhile: the fifth
    list, after two of packs and records and two of images. `lost` answers to what deletes are."""
    emulator = uploader.emulator

    def fault(*rule):
        return emulator.cli("fault", "add", "--account", vault.account, *rule)

    fault("--service", "s3", "--operation", "ListObjectsV2", "--nth", "5", "--delay-ms", "4000")
    if lost:
        fault("--service", "s3", "--operation", "DeleteObjects", "--lose", "--limit", lost)
    process = uploader.start("vault", "gc", "--grace", "0s", *arguments)

    def fired():
        return json.loads(emulator.cli("fault", "list", "--json").stdout)[0]["fired"]

    try:
        wait(fired, 1)
        yield process
    finally:
        process.kill()
        process.communicate()
        emulator.cli("fault", "clear")


def test_what_a_push_names_meanwhile_is_brought_back(vault, uploader):
    named, unnamed = (f"packs/{it * 64}" for it in "ab")
    vault.put(named)
    vault.put(unnamed)
    with collecting(uploader, vault, "--json") as process:
        manifest = vault.store("web", ["a" * 64])
        out, err = process.communicate(timeout=LONG)
    assert process.returncode == 0, err
    assert [it["key"] for it in json.loads(out)["objects"]] == [unnamed]
    assert objects(vault) == {named, manifest}


def test_it_is_brought_back_though_an_object_can_not_be_deleted(vault, uploader):
    named, unnamed, held = (f"packs/{it * 64}" for it in "abc")
    for key in (named, unnamed, held):
        vault.put(key)
    s3 = vault.client("s3")
    policy = json.loads(s3.get_bucket_policy(Bucket=vault.bucket)["Policy"])
    policy["Statement"].append(
        {
            "Sid": "Hold",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:DeleteObject",
            "Resource": f"arn:aws:s3:::{vault.bucket}/{held}",
        }
    )
    s3.put_bucket_policy(Bucket=vault.bucket, Policy=json.dumps(policy))
    with collecting(uploader, vault) as process:
        manifest = vault.store("web", ["a" * 64])
        _, err = process.communicate(timeout=LONG)
    assert process.returncode == 1 and f"{held} was not deleted" in err
    assert objects(vault) == {named, held, manifest}


@pytest.mark.parametrize("lost", [1, 6])
def test_it_is_brought_back_though_answers_were_lost(vault, uploader, lost):
    """Each try leaves a mark, whose version nobody was told. After six the call has failed."""
    named, unnamed = (f"packs/{it * 64}" for it in "ab")
    vault.put(named)
    vault.put(unnamed)
    with collecting(uploader, vault, lost=lost) as process:
        manifest = vault.store("web", ["a" * 64])
        _, err = process.communicate(timeout=LONG)
    assert process.returncode == (3 if lost == 6 else 0), err
    assert objects(vault) == {named, manifest}


def test_it_is_brought_back_by_one_that_is_told_to_end(vault, uploader):
    named = f"packs/{'a' * 64}"
    vault.put(named)
    with collecting(uploader, vault) as process:
        manifest = vault.store("web", ["a" * 64])
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=LONG)
    assert process.returncode == 0 and "finishing the change at hand" in err
    assert objects(vault) == {named, manifest}


def test_if_nobody_knows_what_is_named_all_is_brought_back(vault, uploader):
    packs = {f"packs/{it * 64}" for it in "ab"}
    for key in packs:
        vault.put(key)
    with collecting(uploader, vault) as process:
        manifest = vault.store("web", ["a" * 64])
        rule = ("--service", "s3", "--operation", "GetObject", "--status", "403")
        uploader.emulator.cli("fault", "add", "--account", vault.account, *rule)
        _, err = process.communicate(timeout=LONG)
    assert process.returncode == 3, err
    assert objects(vault) == packs | {manifest}


def test_gc_keeps_all_when_a_manifest_can_not_be_read(vault, uploader):
    pack = f"packs/{'b' * 64}"
    vault.put(pack)
    broken = vault.store("web", ["b" * 64])
    vault.put(broken, b"{")
    done = uploader("vault", "gc", "--grace", "0s", check=False)
    assert done.returncode == 2 and broken in done.stderr
    vault.put(broken, json.dumps(manifest_of("web", ["a" * 64], seed=5)).encode())
    done = uploader("vault", "gc", "--grace", "0s", check=False)
    assert done.returncode == 2 and "somebody replaced it" in done.stderr
    assert pack in objects(vault)


def test_remove_leaves_nothing(vault, cli, uploader):
    for _version in range(3):
        vault.put("packs/x")
    s3 = vault.client("s3")
    s3.delete_object(Bucket=vault.bucket, Key="packs/x")
    s3.create_multipart_upload(Bucket=vault.bucket, Key="packs/y")
    vault.store("web", ["a" * 64])
    keys = {it["Arn"] for it in vault.kms_keys()}

    asked = uploader("vault", "remove", "--force", check=False)
    assert asked.returncode == 2 and "--yes" in asked.stderr
    holds = uploader("vault", "remove", "--yes", check=False)
    assert holds.returncode == 2 and "holds 1 images" in holds.stderr
    plan = uploader("vault", "remove", "--dry-run").stdout
    assert f"would delete the bucket {vault.bucket}" in plan and "--force" in plan
    assert drifts(uploader) == set(), "nothing was removed yet"

    done = uploader("vault", "remove", "--yes", "--force", "--key-days", "7")
    assert vault.bucket in done.stdout
    assert all(f"left: the key {key}, for 7 days" in done.stdout for key in keys)
    nothing_is_there(vault, cli)
    assert {it["KeyState"] for it in vault.kms_keys()} == {"PendingDeletion"}
    again = uploader("vault", "remove", "--yes")
    assert f"there is no vault {vault.bucket}" in again.stdout
    for reader in ("list", "gc"):
        gone = uploader("vault", reader, check=False)
        assert gone.returncode == 1 and "uploader vault init" in gone.stderr
    # And it can be made again, with new keys.
    uploader("vault", "init")
    assert not keys & {it["Arn"] for it in vault.kms_keys() if it["KeyState"] == "Enabled"}


def test_a_key_that_snapshots_need_stays(vault, uploader, aws):
    key = aws.kms.describe_key(KeyId="alias/image-vault")["KeyMetadata"]["Arn"]
    snapshot = aws.snapshot(Encrypted=True, KmsKeyArn=key)
    done = uploader("vault", "remove", "--yes", "--force")
    assert f"left: the key {key}" in done.stdout and snapshot in done.stdout
    assert aws.kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Enabled"
    aws.ec2.delete_snapshot(SnapshotId=snapshot)
    uploader("vault", "remove", "--yes")
    assert aws.kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "PendingDeletion"


def killed(uploader, *arguments, after):
    process = uploader.start(*arguments)
    time.sleep(after)
    process.kill()
    process.communicate()
    # A key that is made after the next run has looked would be a second one.
    uploader.emulator.quiet(uploader.account)


def test_killed_at_any_moment_another_run_goes_on(aws, cli, uploader):
    """A key that was made and not named yet is found again."""
    vault, chance = Vault(aws), random.Random(4)
    for _kill in range(6):
        killed(uploader, "vault", "init", after=chance.uniform(0.1, 1.0))
    uploader("vault", "init")
    assert drifts(uploader) == set()
    assert sorted(it["KeyUsage"] for it in vault.kms_keys()) == ["ENCRYPT_DECRYPT", "SIGN_VERIFY"]
    for number in range(30):
        vault.put(f"packs/{number}")
    for _kill in range(6):
        killed(uploader, "vault", "remove", "--yes", after=chance.uniform(0.1, 1.0))
    uploader("vault", "remove", "--yes")
    nothing_is_there(vault, cli)
    assert {it["KeyState"] for it in vault.kms_keys()} == {"PendingDeletion"}


def test_an_interrupt_ends_after_the_change_at_hand(own, aws):
    """On an emulator of its own, where KMS is slow."""
    emulator = own()
    uploader = Uploader(emulator, aws.account)
    emulator.cli(
        "fault", "add", "--service", "kms", "--operation", "CreateKey", "--delay-ms", "10000"
    )
    process = uploader.start("vault", "init")
    line = process.stderr.readline() + process.stderr.readline()
    assert "create the encryption key" in line
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=LONG)
    assert process.returncode == 130 and "run it again" in stderr
    emulator.cli("fault", "clear")
    vault = Vault(emulator.target("interrupt"), account=aws.account)
    assert [it["KeyUsage"] for it in vault.kms_keys()] == ["ENCRYPT_DECRYPT"]
    uploader("vault", "init")
    assert len(vault.kms_keys()) == 2 and drifts(uploader) == set()


def test_throttles_and_lost_answers(own, aws):
    """Each answer of AWS may be lost, and each call refused for a while."""
    emulator = own()
    uploader = Uploader(emulator, aws.account)
    for service in ("s3", "sqs", "iam"):
        emulator.cli("fault", "add", "--service", service, "--every", "3", "--status", "503")
    uploader("vault", "init")
    emulator.cli("fault", "clear")
    assert drifts(uploader) == set()
    emulator.cli(
        "fault", "add", "--service", "s3", "--operation", "CreateBucket", "--nth", "1", "--lose"
    )
    uploader("vault", "init", "--vault", "second-vault")
    assert drifts(uploader, "--vault", "second-vault") == set()


def test_no_credentials(uploader):
    done = uploader(
        "vault",
        "status",
        check=False,
        env={"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
    )
    assert done.returncode == 3 and "hint:" in done.stderr
