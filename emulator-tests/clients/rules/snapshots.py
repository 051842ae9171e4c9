"""Snapshots and volumes."""

from harness.target import REGION

from .rule import rule

CODES = "EC2 error codes"
UNKNOWN = "snap-0123456789abcdef0"


def volumes_of(t):
    """How many volumes the account has."""
    return lambda: len(t.ec2.describe_volumes()["Volumes"])


def shares(t, snapshot):
    """Who may make volumes of it."""
    return lambda: t.ec2.describe_snapshot_attribute(
        SnapshotId=snapshot, Attribute="createVolumePermission"
    )["CreateVolumePermissions"]


def make_volume(t, **arguments):
    """The call."""
    arguments = {"AvailabilityZone": REGION + "a"} | arguments
    return lambda: t.ec2.create_volume(**arguments), volumes_of(t)


@rule("an unknown snapshot", "ec2 DescribeSnapshots", "400 InvalidSnapshot.NotFound", CODES)
def unknown_snapshot(t):
    return lambda: t.ec2.describe_snapshots(SnapshotIds=[UNKNOWN])


@rule(
    "a snapshot id that is none", "ec2 DescribeSnapshots", "400 InvalidSnapshotID.Malformed", CODES
)
def malformed_snapshot(t):
    return lambda: t.ec2.describe_snapshots(SnapshotIds=["snap-nothing"])


@rule("another account's snapshot", "ec2 DescribeSnapshots", "400 InvalidSnapshot.NotFound", CODES)
def describe_foreign_snapshot(t):
    snapshot = t.snapshot(account=t.other)
    return lambda: t.ec2.describe_snapshots(SnapshotIds=[snapshot])


@rule(
    "deleting another account's snapshot",
    "ec2 DeleteSnapshot",
    "400 InvalidSnapshot.NotFound",
    CODES,
)
def delete_foreign_snapshot(t):
    snapshot = t.snapshot(account=t.other)

    def state():
        return t.client("ec2", t.other).describe_snapshots(SnapshotIds=[snapshot])["Snapshots"][0][
            "State"
        ]

    return lambda: t.ec2.delete_snapshot(SnapshotId=snapshot), state


@rule("deleting twice", "ec2 DeleteSnapshot", "400 InvalidSnapshot.NotFound", CODES)
def delete_twice(t):
    snapshot = t.snapshot()
    t.ec2.delete_snapshot(SnapshotId=snapshot)
    return lambda: t.ec2.delete_snapshot(SnapshotId=snapshot)


@rule(
    "making an encrypted snapshot public",
    "ec2 ModifySnapshotAttribute",
    "400 OperationNotPermitted",
    "EC2 API: ModifySnapshotAttribute",
)
def publish_encrypted_snapshot(t):
    snapshot = t.snapshot(Encrypted=True, KmsKeyArn=t.key())
    return lambda: t.ec2.modify_snapshot_attribute(
        SnapshotId=snapshot,
        Attribute="createVolumePermission",
        OperationType="add",
        GroupNames=["all"],
    ), shares(t, snapshot)


@rule(
    "sharing a snapshot that AWS's own key encrypts",
    "ec2 ModifySnapshotAttribute",
    "400 OperationNotPermitted",
    "observed: hashicorp/packer#7499",
)
def share_default_key_snapshot(t):
    snapshot = t.snapshot(Encrypted=True)
    return lambda: t.ec2.modify_snapshot_attribute(
        SnapshotId=snapshot,
        Attribute="createVolumePermission",
        OperationType="add",
        UserIds=[t.other],
    ), shares(t, snapshot)


@rule(
    "a plain copy of an encrypted snapshot",
    "ec2 CopySnapshot",
    "400 InvalidParameterValue",
    "EC2 API: CopySnapshot (Encrypted)",
)
def plain_copy_of_encrypted_snapshot(t):
    snapshot = t.snapshot(Encrypted=True, KmsKeyArn=t.key())

    def count():
        return len(t.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"])

    return lambda: t.ec2.copy_snapshot(
        SourceSnapshotId=snapshot, SourceRegion=REGION, Encrypted=False
    ), count


@rule(
    "a copy with a key, but not encrypted",
    "ec2 CopySnapshot",
    "400 InvalidParameterDependency",
    CODES,
)
def copy_with_key_but_not_encrypted(t):
    snapshot, key = t.snapshot(), t.key()

    def count():
        return len(t.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"])

    return lambda: t.ec2.copy_snapshot(
        SourceSnapshotId=snapshot, SourceRegion=REGION, KmsKeyId=key
    ), count


@rule("a copy of a pending snapshot", "ec2 CopySnapshot", "400 IncorrectState", CODES)
def copy_of_pending_snapshot(t):
    snapshot = t.start()
    return lambda: t.ec2.copy_snapshot(SourceSnapshotId=snapshot, SourceRegion=REGION)


@rule(
    "a copy of another account's snapshot",
    "ec2 CopySnapshot",
    "400 InvalidSnapshot.NotFound",
    CODES,
)
def copy_of_foreign_snapshot(t):
    snapshot = t.snapshot(account=t.other)
    return lambda: t.ec2.copy_snapshot(SourceSnapshotId=snapshot, SourceRegion=REGION)


@rule(
    "a volume of a pending snapshot",
    "ec2 CreateVolume",
    "400 IncorrectState",
    "observed: tschellenbach/Snaptastic#17",
)
def volume_of_pending_snapshot(t):
    return make_volume(t, SnapshotId=t.start())


@rule("a volume of an unknown snapshot", "ec2 CreateVolume", "400 InvalidSnapshot.NotFound", CODES)
def volume_of_unknown_snapshot(t):
    return make_volume(t, SnapshotId=UNKNOWN)


@rule("a volume smaller than its snapshot", "ec2 CreateVolume", "400 InvalidParameterValue", CODES)
def volume_smaller_than_snapshot(t):
    return make_volume(t, SnapshotId=t.snapshot(size=2), Size=1)


@rule("a volume in an unknown zone", "ec2 CreateVolume", "400 InvalidZone.NotFound", CODES)
def volume_in_unknown_zone(t):
    return make_volume(t, Size=1, AvailabilityZone="eu-central-1a")


@rule("a volume of an unknown type", "ec2 CreateVolume", "400 InvalidParameterValue", CODES)
def volume_of_unknown_type(t):
    return make_volume(t, Size=1, VolumeType="gp9")


@rule(
    "an io2 volume without Iops",
    "ec2 CreateVolume",
    "400 MissingParameter",
    "EC2 API: CreateVolume (Iops)",
)
def io2_without_iops(t):
    return make_volume(t, Size=4, VolumeType="io2")


@rule("deleting a volume in use", "ec2 DeleteVolume", "400 VolumeInUse", CODES)
def delete_volume_in_use(t):
    instance = t.run()
    found = t.ec2.describe_volumes(
        Filters=[{"Name": "attachment.instance-id", "Values": [instance]}]
    )
    volume = found["Volumes"][0]["VolumeId"]

    def state():
        return t.ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]["State"]

    return lambda: t.ec2.delete_volume(VolumeId=volume), state


@rule("an unknown volume", "ec2 DeleteVolume", "400 InvalidVolume.NotFound", CODES)
def delete_unknown_volume(t):
    return lambda: t.ec2.delete_volume(VolumeId="vol-0123456789abcdef0")


@rule("a snapshot of an unknown volume", "ec2 CreateSnapshot", "400 InvalidVolume.NotFound", CODES)
def snapshot_of_unknown_volume(t):
    return lambda: t.ec2.create_snapshot(VolumeId="vol-0123456789abcdef0")
