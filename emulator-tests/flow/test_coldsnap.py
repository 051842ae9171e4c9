"""Unmodified coldsnap reads AMIs back: each has its image on every block that is not free."""

import json

import pytest

from flow.packed import Packed
from harness.target import BLOCK
from harness.waiting import LONG

FIRMWARES = {"uefi": ["uefi"], "hybrid": ["bios", "uefi"]}


@pytest.fixture
def converted(uploader, aws):
    """Puts an image into the vault of this test's account, encrypted, and makes an AMI of it: its
    snapshot as EC2 describes it, and what became of the request."""
    uploader("vault", "init")

    def make(image, *options):
        digest = uploader("push", image.pack, parse=True).json["digest"]
        with uploader.start("agent", "--once") as running:
            done = uploader("convert", f"{image.name}@{digest}", *options, parse=True)
            assert running.wait(LONG) == 0
            running.communicate()
        (region,) = done.json["regions"]
        (ami,) = aws.ec2.describe_images(ImageIds=[region["ami"]])["Images"]
        (device,) = ami["BlockDeviceMappings"]
        assert device["Ebs"]["SnapshotId"] == region["snapshot"]
        described = aws.ec2.describe_snapshots(SnapshotIds=[region["snapshot"]])
        (snapshot,) = described["Snapshots"]
        key = aws.kms.describe_key(KeyId="alias/image-vault")["KeyMetadata"]["Arn"]
        assert snapshot["Encrypted"] and snapshot["KmsKeyId"] == key
        return ami, snapshot["SnapshotId"], region["request"]

    return make


def compare(image, path):
    """How many blocks of a file that came back are the image's: all that are not free, or the
    first that is not is named."""
    compared = 0
    with open(image.raw, "rb") as built, open(path, "rb") as back:
        for index in sorted(image.data + image.zero):
            built.seek(index * BLOCK)
            back.seek(index * BLOCK)
            kind = "zero" if index in image.zero else "data"
            expected = built.read(BLOCK)
            assert len(expected) == BLOCK and any(expected) == (kind == "data")
            assert back.read(BLOCK) == expected, f"block {index} ({kind}) of {image.name} differs"
            compared += 1
    return compared


def check(snap, snapshot, image, path):
    """Downloads a snapshot, and holds it against what was built."""
    snap("download", "--no-progress", snapshot, path)
    manifest = image.manifest
    # All blocks are accounted for, and what has to be written is what was compared.
    assert len(image.data) + len(image.zero) + len(image.free) == manifest["size"] // BLOCK
    assert image.data and image.zero and image.free, "each kind is there to be told apart"
    assert compare(image, path) == manifest["snapshot"]["changed_blocks_count"]


@pytest.mark.parametrize("firmware", FIRMWARES)
def test_an_ami_is_what_was_built(converted, snap, tmp_path, firmware):
    image = Packed(tmp_path, "--firmware", firmware)
    assert image.manifest["boot_modes"] == FIRMWARES[firmware]
    ami, snapshot, _ = converted(image)
    assert ami["BootMode"] == {"uefi": "uefi", "hybrid": "uefi-preferred"}[firmware]
    back = tmp_path / "back.img"
    check(snap, snapshot, image, back)
    # One bit would have been seen, in a block of either kind.
    for index in (image.data[-1], image.zero[0]):
        with open(back, "r+b") as file:
            file.seek((index + 1) * BLOCK - 1)
            (last,) = file.read(1)
            file.seek(-1, 1)
            file.write(bytes([last ^ 1]))
        with pytest.raises(AssertionError, match=rf"block {index} \("):
            compare(image, back)
        with open(back, "r+b") as file:
            file.seek((index + 1) * BLOCK - 1)
            file.write(bytes([last]))


def test_a_second_version_on_the_first(converted, snap, aws, tmp_path):
    """Its snapshot has the blocks that changed, and the first one's where it has none; the first is
    as it was."""
    images, snapshots = [], []
    for version in ("one", "two"):
        folder = tmp_path / version
        folder.mkdir()
        # More than a block of what differs, in a file that both have.
        file = folder / "version"
        file.write_bytes(version.encode() * (BLOCK // 2))
        images.append(Packed(folder, "--add", f"{file}:/version"))
        _, snapshot, request = converted(images[-1], "--image-version", version)
        snapshots.append(snapshot)
    first, second = images
    assert first.manifest["packs"] != second.manifest["packs"]

    bucket = f"image-vault-{aws.account}-us-east-1"

    def read(key):
        return json.loads(aws.s3.get_object(Bucket=bucket, Key=key)["Body"].read())

    record = read(f"requests/{request}.json")
    assert record["start"]["parent"]["snapshot"] == snapshots[0]
    changed = len(differing(first, second))
    assert 0 < changed < len(second.data)
    assert read(f"requests/{request}.progress.json")["total"] == changed
    for image, snapshot in zip(images, snapshots, strict=True):
        check(snap, snapshot, image, tmp_path / f"{snapshot}.img")


def differing(first, second):
    """The blocks that a child has to have of its own."""
    before = first.content()
    return [index for index, block in second.content().items() if before.get(index) != block]
