"""An endpoint that answers as AWS does, or is said to: clients for it, and the small things that
tests make there."""

import base64
import hashlib
import itertools
import threading
import time

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

BLOCK = 512 * 1024
REGION = "us-east-1"
OTHER_REGION = "eu-west-1"


# One for all: each would parse EC2's model anew, which takes a second.
SESSION, SESSION_LOCK = boto3.session.Session(), threading.Lock()


class NotPossible(Exception):
    """The endpoint has no way to do what a test needs (a clock to move, say)."""


def account_of(text):
    """Twelve digits that only this text has."""
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    return f"{10**11 + number % (9 * 10**11):012d}"


def digest(data):
    """A block's checksum, as the EBS direct API writes it."""
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def block_put(snapshot, index, data):
    """What PutSnapshotBlock takes."""
    return {
        "SnapshotId": snapshot,
        "BlockIndex": index,
        "BlockData": data,
        "DataLength": len(data),
        "Checksum": digest(data),
        "ChecksumAlgorithm": "SHA256",
    }


def linear(blocks):
    """The checksum over a snapshot's blocks: of their digests, in the order of their indexes."""
    whole = hashlib.sha256()
    for _index, data in sorted(blocks.items()):
        whole.update(hashlib.sha256(data).digest())
    return base64.b64encode(whole.digest()).decode()


def block(seed):
    """A block that looks like nothing else."""
    return hashlib.shake_128(str(seed).encode()).digest(BLOCK)


class Target:
    """One endpoint, seen by the callers that one test needs: `account` and `other`."""

    # Whether the EBS direct API is there.
    ebs_direct = True

    def __init__(self, name, endpoint, ca=None, plain=None):
        self.endpoint = endpoint
        self.plain = plain or endpoint
        self.ca = ca
        self.account = account_of(name)
        self.other = account_of(name + " (other)")
        self._clients = {}

    def keys(self, account):
        """An account's credentials: its number is the access key."""
        return {"aws_access_key_id": account, "aws_secret_access_key": "secret"}

    def client(self, service, account=None, region=REGION, plain=False, retries=0, **config):
        """A boto3 client. It sends what it is told, checked by nobody, and once."""
        key = repr((service, account, region, plain, retries, sorted(config.items())))
        if key not in self._clients:
            if service == "s3":
                config.setdefault("s3", {"addressing_style": "path"})
            keys = self.keys(account or self.account)
            with SESSION_LOCK:
                self._clients[key] = SESSION.client(
                    service,
                    region_name=region,
                    endpoint_url=self.plain if plain else self.endpoint,
                    verify=self.ca if self.ca else False,
                    config=Config(
                        parameter_validation=False,
                        retries={"total_max_attempts": retries + 1, "mode": "standard"},
                        connect_timeout=30,
                        read_timeout=120,
                        max_pool_connections=64,
                        **config,
                    ),
                    **keys,
                )
        return self._clients[key]

    @property
    def ec2(self):
        return self.client("ec2")

    @property
    def ebs(self):
        return self.client("ebs")

    @property
    def s3(self):
        return self.client("s3")

    @property
    def kms(self):
        return self.client("kms")

    def advance(self, seconds):
        """Moves the endpoint's clock."""
        raise NotPossible("no clock to move")

    # What tests make.

    def start(self, size=1, account=None, **more):
        """Starts a snapshot by the EBS direct API, and gives its id."""
        if not self.ebs_direct:
            raise NotPossible("no EBS direct API")
        return self.client("ebs", account).start_snapshot(VolumeSize=size, **more)["SnapshotId"]

    def put(self, snapshot, index, data, account=None, **more):
        """Puts one block."""
        arguments = block_put(snapshot, index, data) | more
        return self.client("ebs", account).put_snapshot_block(**arguments)

    def complete(self, snapshot, count, account=None, **more):
        """Completes a snapshot."""
        return self.client("ebs", account).complete_snapshot(
            SnapshotId=snapshot, ChangedBlocksCount=count, **more
        )

    def snapshot(self, blocks=None, size=1, account=None, region=REGION, **more):
        """A completed snapshot with these blocks, by the EBS direct API or, where there is none,
        of an empty volume."""
        ec2 = self.client("ec2", account, region)
        if self.ebs_direct:
            blocks = {0: block("0")} if blocks is None else blocks
            ebs = self.client("ebs", account, region)
            snapshot = ebs.start_snapshot(VolumeSize=size, **more)["SnapshotId"]
            for index, data in blocks.items():
                ebs.put_snapshot_block(**block_put(snapshot, index, data))
            ebs.complete_snapshot(SnapshotId=snapshot, ChangedBlocksCount=len(blocks))
        else:
            volume = self.volume(size=size, account=account, region=region, **more)
            snapshot = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
        self.wait_snapshot(snapshot, account, region)
        return snapshot

    def volume(self, size=1, account=None, region=REGION, **more):
        """An empty volume that is available."""
        ec2 = self.client("ec2", account, region)
        if "KmsKeyArn" in more:
            more["KmsKeyId"] = more.pop("KmsKeyArn")
        volume = ec2.create_volume(AvailabilityZone=region + "a", Size=size, **more)["VolumeId"]
        wait(lambda: ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]["State"], "available")
        return volume

    def wait_snapshot(self, snapshot, account=None, region=REGION):
        """Until it is completed."""
        ec2 = self.client("ec2", account, region)
        wait(
            lambda: ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"][0]["State"],
            "completed",
        )

    def wait_image(self, image, account=None, region=REGION):
        """Until it is available."""
        ec2 = self.client("ec2", account, region)
        wait(lambda: ec2.describe_images(ImageIds=[image])["Images"][0]["State"], "available")

    _names = itertools.count()

    def register(self, snapshot=None, account=None, wait_for=True, **more):
        """Registers an image of a snapshot."""
        snapshot = snapshot or self.snapshot(account=account)
        image = self.client("ec2", account).register_image(**registration(snapshot) | more)
        if wait_for:
            self.wait_image(image["ImageId"], account)
        return image["ImageId"]

    def run(self, image=None, account=None, **more):
        """An instance that runs."""
        ec2 = self.client("ec2", account)
        arguments = {
            "ImageId": image or self.register(account=account),
            "InstanceType": "t3.micro",
            "MinCount": 1,
            "MaxCount": 1,
        }
        made = ec2.run_instances(**arguments | more)["Instances"][0]["InstanceId"]
        self.wait_instance(made, "running", account)
        return made

    def wait_instance(self, instance, state, account=None):
        """Until it is in this state."""
        ec2 = self.client("ec2", account)

        def now():
            found = ec2.describe_instances(InstanceIds=[instance])
            return found["Reservations"][0]["Instances"][0]["State"]["Name"]

        wait(now, state)

    def key(self, account=None, region=REGION, **more):
        """A KMS key's ARN."""
        return self.client("kms", account, region).create_key(**more)["KeyMetadata"]["Arn"]


def registration(snapshot, name=None, **ebs):
    """What RegisterImage needs, at least."""
    return {
        "Name": name or f"image {next(Target._names)}",
        "Architecture": "x86_64",
        "VirtualizationType": "hvm",
        "RootDeviceName": "/dev/xvda",
        "EnaSupport": True,
        "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": snapshot} | ebs}],
    }


def pages(call, member, **arguments):
    """Everything that an operation of the EBS direct API lists, for which botocore has no
    paginator."""
    while True:
        answer = call(**arguments)
        yield from answer[member]
        if not answer.get("NextToken"):
            return
        arguments["NextToken"] = answer["NextToken"]


def content(ebs, snapshot):
    """A snapshot's blocks."""
    return {
        it["BlockIndex"]: ebs.get_snapshot_block(
            SnapshotId=snapshot, BlockIndex=it["BlockIndex"], BlockToken=it["BlockToken"]
        )["BlockData"].read()
        for it in pages(ebs.list_snapshot_blocks, "Blocks", SnapshotId=snapshot)
    }


def wait(state, wanted, seconds=120):
    """Asks until the answer is the one that is wanted."""
    end = time.monotonic() + seconds
    while (now := state()) != wanted:
        if now == "error" or time.monotonic() > end:
            raise AssertionError(f"it is {now}, not {wanted}")
        time.sleep(0.05)


def refusal(error: ClientError):
    """Code, HTTP status and, of the EBS direct API, reason."""
    answer = error.response
    return (
        answer["Error"]["Code"],
        answer["ResponseMetadata"]["HTTPStatusCode"],
        answer.get("Reason"),
    )
