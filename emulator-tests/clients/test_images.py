"""The life of an image by boto3 and by the AWS CLI: every field that is set is read back."""

import datetime
import json

import pytest
from botocore.exceptions import ClientError

from harness.target import OTHER_REGION, REGION, block, content, registration

TAGS = [{"Key": "app", "Value": "web"}, {"Key": "version", "Value": "1.0"}]

# All that RegisterImage takes for an image of today.
FIELDS = {
    "Name": "web-1.0 (x86_64)",
    "Description": "a web server & its <friends>",
    "Architecture": "x86_64",
    "VirtualizationType": "hvm",
    "RootDeviceName": "/dev/xvda",
    "BootMode": "uefi-preferred",
    "ImdsSupport": "v2.0",
    "EnaSupport": True,
    "SriovNetSupport": "simple",
}


def devices(snapshot, data):
    """A root volume, one of another snapshot, an empty one, an instance store."""
    return [
        {
            "DeviceName": "/dev/xvda",
            "Ebs": {
                "SnapshotId": snapshot,
                "VolumeSize": 8,
                "VolumeType": "gp3",
                "DeleteOnTermination": True,
                "Iops": 4000,
                "Throughput": 250,
            },
        },
        {
            "DeviceName": "/dev/sdf",
            "Ebs": {
                "SnapshotId": data,
                "VolumeSize": 4,
                "VolumeType": "io2",
                "Iops": 200,
                "DeleteOnTermination": False,
            },
        },
        {
            "DeviceName": "/dev/sdg",
            "Ebs": {"VolumeSize": 2, "VolumeType": "gp2", "DeleteOnTermination": True},
        },
        {"DeviceName": "/dev/sdh", "VirtualName": "ephemeral0"},
    ]


def assert_has(found, wanted):
    """That every field of `wanted` is in `found`, lists in their order."""
    if isinstance(wanted, dict):
        for name, value in wanted.items():
            assert name in found, f"{name} is missing in {found}"
            assert_has(found[name], value)
    elif isinstance(wanted, list):
        assert len(found) == len(wanted), (found, wanted)
        for one, other in zip(found, wanted, strict=True):
            assert_has(one, other)
    else:
        assert found == wanted


def by_key(tags):
    return sorted(tags, key=lambda tag: tag["Key"])


def refused(code, call, **arguments):
    with pytest.raises(ClientError) as error:
        call(**arguments)
    assert error.value.response["Error"]["Code"] == code


def test_every_field_is_kept_by_boto3(aws):
    ec2 = aws.ec2
    snapshot, data = aws.snapshot(), aws.snapshot({1: block(1)})
    mappings = devices(snapshot, data)
    image = ec2.register_image(
        **FIELDS,
        BlockDeviceMappings=mappings,
        TagSpecifications=[{"ResourceType": "image", "Tags": TAGS}],
    )["ImageId"]
    aws.wait_image(image)
    found = ec2.describe_images(ImageIds=[image])["Images"]
    assert len(found) == 1
    found = found[0]
    assert_has(found, FIELDS | {"ImageId": image, "OwnerId": aws.account, "Public": False})
    assert_has(found["BlockDeviceMappings"], mappings)
    assert [it["Ebs"]["Encrypted"] for it in found["BlockDeviceMappings"] if "Ebs" in it] == [
        False
    ] * 3
    assert by_key(found["Tags"]) == TAGS
    assert found["State"] == "available"
    assert found["ImageType"] == "machine"
    assert found["RootDeviceType"] == "ebs"
    assert found["Hypervisor"] == "xen"
    assert found["ImageLocation"] == f"{aws.account}/{FIELDS['Name']}"
    assert found["PlatformDetails"] == "Linux/UNIX"
    assert found["UsageOperation"] == "RunInstances"
    created = datetime.datetime.fromisoformat(found["CreationDate"].replace("Z", "+00:00"))
    age = datetime.datetime.now(datetime.UTC) - created
    assert abs(age) < datetime.timedelta(minutes=5)


def test_a_uefi_image_keeps_its_tpm_and_variables(aws):
    variables = "AMZNUEFI" + "A" * 8
    image = aws.register(BootMode="uefi", TpmSupport="v2.0", UefiData=variables)
    found = aws.ec2.describe_images(ImageIds=[image])["Images"][0]
    assert (found["BootMode"], found["TpmSupport"]) == ("uefi", "v2.0")
    data = aws.ec2.describe_image_attribute(ImageId=image, Attribute="uefiData")
    assert data["UefiData"]["Value"] == variables


def test_the_life_of_an_image_by_boto3(aws):
    ec2, abroad = aws.ec2, aws.client("ec2", region=OTHER_REGION)
    stranger = aws.client("ec2", aws.other)
    stranger_abroad = aws.client("ec2", aws.other, OTHER_REGION)
    blocks = {0: block("first"), 7: block("eighth")}
    snapshot = aws.snapshot(blocks)
    image = ec2.register_image(**registration(snapshot) | FIELDS)["ImageId"]
    aws.wait_image(image)

    # To another region, under another key.
    key = aws.key(region=OTHER_REGION)
    copy = abroad.copy_image(
        SourceImageId=image,
        SourceRegion=REGION,
        Name="web-1.0 abroad",
        Description="the copy",
        Encrypted=True,
        KmsKeyId=key,
        CopyImageTags=True,
        TagSpecifications=[{"ResourceType": "image", "Tags": TAGS}],
    )["ImageId"]
    aws.wait_image(copy, region=OTHER_REGION)
    found = abroad.describe_images(ImageIds=[copy])["Images"][0]
    kept = {name: FIELDS[name] for name in FIELDS if name not in ("Name", "Description")}
    assert_has(
        found,
        kept
        | {
            "Name": "web-1.0 abroad",
            "Description": "the copy",
            "SourceImageId": image,
            "SourceImageRegion": REGION,
        },
    )
    assert by_key(found["Tags"]) == TAGS
    device = found["BlockDeviceMappings"][0]["Ebs"]
    assert device["Encrypted"] is True
    copied = device["SnapshotId"]
    assert copied != snapshot
    there = abroad.describe_snapshots(SnapshotIds=[copied])["Snapshots"][0]
    assert (there["Encrypted"], there["KmsKeyId"]) == (True, key)
    assert content(aws.client("ebs", region=OTHER_REGION), copied) == blocks

    # Shared: not before, then seen and found among those that the stranger may launch.
    refused("InvalidAMIID.NotFound", stranger_abroad.describe_images, ImageIds=[copy])
    abroad.modify_image_attribute(ImageId=copy, LaunchPermission={"Add": [{"UserId": aws.other}]})
    permissions = abroad.describe_image_attribute(ImageId=copy, Attribute="launchPermission")
    assert permissions["LaunchPermissions"] == [{"UserId": aws.other}]
    seen = stranger_abroad.describe_images(ExecutableUsers=["self"])["Images"]
    assert [it["ImageId"] for it in seen] == [copy]
    assert seen[0]["OwnerId"] == aws.account
    assert stranger_abroad.describe_images(Owners=["self"])["Images"] == []
    abroad.modify_image_attribute(
        ImageId=copy, LaunchPermission={"Remove": [{"UserId": aws.other}]}
    )
    refused("InvalidAMIID.NotFound", stranger_abroad.describe_images, ImageIds=[copy])

    # Deprecated: hidden from others only once the time has come.
    when = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=3)
    when = when.replace(second=0, microsecond=0)
    ec2.enable_image_deprecation(ImageId=image, DeprecateAt=when)
    found = ec2.describe_images(ImageIds=[image])["Images"][0]
    assert found["DeprecationTime"] == when.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    ec2.disable_image_deprecation(ImageId=image)
    assert "DeprecationTime" not in ec2.describe_images(ImageIds=[image])["Images"][0]

    # The plain one to everybody: what is public is deprecated after two years, unasked.
    ec2.modify_image_attribute(ImageId=image, LaunchPermission={"Add": [{"Group": "all"}]})
    assert ec2.describe_images(ImageIds=[image])["Images"][0]["Public"] is True
    assert "DeprecationTime" in ec2.describe_images(ImageIds=[image])["Images"][0]
    assert stranger.describe_images(ImageIds=[image])["Images"][0]["Public"] is True

    # Protected, then not; deregistered; its snapshot deleted after it, not before.
    ec2.enable_image_deregistration_protection(ImageId=image)
    refused("OperationNotPermitted", ec2.deregister_image, ImageId=image)
    ec2.disable_image_deregistration_protection(ImageId=image)
    refused("InvalidSnapshot.InUse", ec2.delete_snapshot, SnapshotId=snapshot)
    ec2.deregister_image(ImageId=image)
    assert ec2.describe_images(Owners=["self"])["Images"] == []
    ec2.delete_snapshot(SnapshotId=snapshot)
    refused("InvalidSnapshot.NotFound", ec2.describe_snapshots, SnapshotIds=[snapshot])

    # The copy with its snapshot in one go; its bytes did not depend on the source's.
    assert content(aws.client("ebs", region=OTHER_REGION), copied) == blocks
    abroad.deregister_image(ImageId=copy, DeleteAssociatedSnapshots=True)
    refused("InvalidSnapshot.NotFound", abroad.describe_snapshots, SnapshotIds=[copied])


def test_the_life_of_an_image_by_the_cli(aws, cli, tmp_path):
    snapshot = aws.snapshot()
    mappings = devices(snapshot, aws.snapshot())
    request = tmp_path / "image.json"
    request.write_text(json.dumps(FIELDS | {"BlockDeviceMappings": mappings}))
    image = json.loads(cli("ec2", "register-image", "--cli-input-json", f"file://{request}"))
    image = image["ImageId"]
    cli("ec2", "wait", "image-available", "--image-ids", image)

    def describe(image, region=REGION):
        said = cli("ec2", "describe-images", "--image-ids", image, region=region)
        return json.loads(said)["Images"][0]

    assert_has(describe(image), FIELDS | {"BlockDeviceMappings": mappings})

    key = json.loads(cli("kms", "create-key", region=OTHER_REGION))["KeyMetadata"]["Arn"]
    copy = ["ec2", "copy-image", "--source-image-id", image, "--source-region", REGION]
    copy += ["--name", "copied", "--encrypted", "--kms-key-id", key]
    copy = json.loads(cli(*copy, region=OTHER_REGION))["ImageId"]
    cli("ec2", "wait", "image-available", "--image-ids", copy, region=OTHER_REGION)
    # What has no snapshot has nothing to encrypt yet.
    ebs = [it["Ebs"] for it in describe(copy, OTHER_REGION)["BlockDeviceMappings"] if "Ebs" in it]
    assert [it["Encrypted"] for it in ebs] == [True, True, False]

    share = f"Add=[{{UserId={aws.other}}}]"
    share = ["ec2", "modify-image-attribute", "--image-id", image, "--launch-permission", share]
    cli(*share)
    seen = json.loads(
        cli("ec2", "describe-images", "--executable-users", "self", account=aws.other)
    )
    assert [it["ImageId"] for it in seen["Images"]] == [image]

    when = "2030-01-01T00:00:00.000Z"
    cli("ec2", "enable-image-deprecation", "--image-id", image, "--deprecate-at", when)
    assert describe(image)["DeprecationTime"] == when

    failed = cli_fails(cli, "ec2", "delete-snapshot", "--snapshot-id", snapshot)
    assert "(InvalidSnapshot.InUse)" in failed
    cli("ec2", "deregister-image", "--image-id", image)
    cli("ec2", "delete-snapshot", "--snapshot-id", snapshot)
    assert "(InvalidAMIID" in cli_fails(cli, "ec2", "describe-images", "--image-ids", image)


def cli_fails(cli, *arguments):
    """What the CLI says when it fails."""
    with pytest.raises(AssertionError) as error:
        cli(*arguments)
    return str(error.value)


def test_pages_and_filters(aws):
    snapshot = aws.snapshot()
    images = {
        aws.register(
            snapshot,
            wait_for=False,
            Name=f"page {number:02}",
            EnaSupport=bool(number % 2),
            TagSpecifications=[
                {"ResourceType": "image", "Tags": [{"Key": "n", "Value": str(number % 3)}]}
            ],
        ): number
        for number in range(13)
    }
    aws.wait_image(max(images, key=images.get))

    def ask(**arguments):
        pages = aws.ec2.get_paginator("describe_images").paginate(Owners=["self"], **arguments)
        pages = [[it["ImageId"] for it in page["Images"]] for page in pages]
        return pages, sorted(images[it] for page in pages for it in page)

    pages, found = ask(PaginationConfig={"PageSize": 5})
    assert (len(pages), found) == (3, list(range(13)))
    assert all(len(page) <= 5 for page in pages)

    def numbers(**filters):
        filters = [
            {"Name": name.replace("__", ":").replace("_", "-"), "Values": values}
            for name, values in filters.items()
        ]
        return ask(Filters=filters)[1]

    odd = [number for number in range(13) if number % 2]
    assert numbers(ena_support=["true"]) == odd
    assert numbers(name=["page 0*"]) == list(range(10))
    assert numbers(name=["page 0?", "page 12"]) == [*range(10), 12]
    assert numbers(tag__n=["1"]) == [1, 4, 7, 10]
    assert numbers(tag_key=["n"], ena_support=["true"]) == odd
    by_snapshot = [{"Name": "block-device-mapping.snapshot-id", "Values": [snapshot]}]
    assert ask(Filters=by_snapshot)[1] == list(range(13))
    assert numbers(state=["failed"]) == []


def test_a_snapshot_is_shared_and_copied_by_another_account(aws):
    """Under a customer's key: the receiver re-encrypts with its own."""
    blocks = {3: block("secret")}
    key = aws.key()
    snapshot = aws.snapshot(blocks, Encrypted=True, KmsKeyArn=key)
    stranger = aws.client("ec2", aws.other)
    refused("InvalidSnapshot.NotFound", stranger.describe_snapshots, SnapshotIds=[snapshot])
    aws.ec2.modify_snapshot_attribute(
        SnapshotId=snapshot,
        Attribute="createVolumePermission",
        OperationType="add",
        UserIds=[aws.other],
    )
    found = stranger.describe_snapshots(RestorableByUserIds=["self"], OwnerIds=[aws.account])
    assert [it["SnapshotId"] for it in found["Snapshots"]] == [snapshot]
    mine = aws.key(aws.other)
    copy = stranger.copy_snapshot(
        SourceSnapshotId=snapshot, SourceRegion=REGION, Encrypted=True, KmsKeyId=mine
    )["SnapshotId"]
    aws.wait_snapshot(copy, aws.other)
    found = stranger.describe_snapshots(SnapshotIds=[copy])["Snapshots"][0]
    assert (found["OwnerId"], found["KmsKeyId"]) == (aws.other, mine)
    assert content(aws.client("ebs", aws.other), copy) == blocks


def test_a_copy_under_a_key_that_does_not_exist_fails_later(aws):
    """AWS looks at the key of a copy only after it has answered."""
    key = f"arn:aws:kms:{REGION}:{aws.account}:key/11111111-2222-3333-4444-555555555555"
    copy = aws.ec2.copy_snapshot(
        SourceSnapshotId=aws.snapshot(), SourceRegion=REGION, Encrypted=True, KmsKeyId=key
    )["SnapshotId"]
    with pytest.raises(AssertionError, match="error"):
        aws.wait_snapshot(copy)
    found = aws.ec2.describe_snapshots(SnapshotIds=[copy])["Snapshots"][0]
    assert "key" in found["StateMessage"]


def test_an_instance_and_what_becomes_of_it(aws):
    """Launched, stopped, made an image of, terminated: its volumes and snapshots follow."""
    ec2 = aws.ec2
    blocks = {0: block("root")}
    image = aws.register(aws.snapshot(blocks))
    instance = aws.run(image)
    found = ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    assert (found["ImageId"], found["InstanceType"]) == (image, "t3.micro")
    volume = found["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    ec2.stop_instances(InstanceIds=[instance])
    aws.wait_instance(instance, "stopped")
    made = ec2.create_image(InstanceId=instance, Name="of an instance")["ImageId"]
    aws.wait_image(made)
    found = ec2.describe_images(ImageIds=[made])["Images"][0]
    assert content(aws.ebs, found["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]) == blocks
    ec2.terminate_instances(InstanceIds=[instance])
    aws.wait_instance(instance, "terminated")
    refused("InvalidVolume.NotFound", ec2.describe_volumes, VolumeIds=[volume])


def test_blocks_that_were_never_put(aws):
    """They read as zero in a plain snapshot's volume, and never as zero in an encrypted one's."""
    plain = aws.snapshot({0: block(0), 2: block(2)})
    assert sorted(content(aws.ebs, plain)) == [0, 2]
    secret = aws.snapshot({0: block(0)}, Encrypted=True)
    volume = aws.volume(SnapshotId=secret)
    again = aws.ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    aws.wait_snapshot(again)
    assert content(aws.ebs, again)[0] == block(0)
