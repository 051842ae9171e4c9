"""coldsnap, unmodified, carries a disk that imgtool built up and down again."""

import hashlib

from harness.target import REGION, pages


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def upload(snap, image, *options):
    snapshot = snap("upload", "--no-progress", *options, image).split()[-1]
    assert snapshot.startswith("snap-")
    snap("wait", "--seconds-between-attempts", "1", "--max-attempts", "120", snapshot)
    return snapshot


def download(snap, snapshot, image, path):
    """What comes back, cut to the image's length: the rest of the volume has nothing."""
    snap("download", "--no-progress", snapshot, path)
    length = image.stat().st_size
    with open(path, "r+b") as file:
        file.seek(length)
        while rest := file.read(1 << 20):
            assert rest.count(0) == len(rest), "something beyond the image's end"
        file.truncate(length)
    return path


def check(snap, aws, snapshot, image, path, **fields):
    assert sha256(download(snap, snapshot, image, path)) == sha256(image)
    found = aws.ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"][0]
    assert found["State"] == "completed"
    assert found["OwnerId"] == aws.account
    assert found["VolumeSize"] == -(-image.stat().st_size // (1 << 30))
    assert {name: found.get(name) for name in fields} == fields
    path.unlink()


def test_plain(snap, aws, image, tmp_path):
    snapshot = upload(snap, image, "--description", "the sample", "--tag", "Key=app,Value=hello")
    check(
        snap,
        aws,
        snapshot,
        image,
        tmp_path / "back.img",
        Encrypted=False,
        Description="the sample",
        Tags=[{"Key": "app", "Value": "hello"}],
    )


def test_encrypted_with_a_key(snap, aws, image, tmp_path):
    key = aws.key()
    snapshot = upload(snap, image, "--kms-key-id", key)
    check(snap, aws, snapshot, image, tmp_path / "back.img", Encrypted=True, KmsKeyId=key)


def test_encrypted_by_default(snap, aws, image, tmp_path):
    aws.ec2.enable_ebs_encryption_by_default()
    snapshot = upload(snap, image)
    check(snap, aws, snapshot, image, tmp_path / "back.img", Encrypted=True)
    found = aws.ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"][0]
    assert found["KmsKeyId"].startswith(f"arn:aws:kms:{REGION}:{aws.account}:key/")


def test_with_a_parent(snap, aws, image, tmp_path):
    """A child has its own blocks, and its parent's where it has none."""
    key = aws.key()
    parent = upload(snap, image, "--kms-key-id", key)
    changed = tmp_path / "changed.img"
    changed.write_bytes(image.read_bytes())
    with open(changed, "r+b") as file:
        file.seek(5 << 20)
        file.write(b"another version")
    child = upload(snap, changed, "--parent-snapshot-id", parent)
    check(snap, aws, child, changed, tmp_path / "back.img", Encrypted=True, KmsKeyId=key)
    # The parent has not changed.
    check(snap, aws, parent, image, tmp_path / "back.img", Encrypted=True, KmsKeyId=key)
    blocks = [
        it["BlockIndex"]
        for it in pages(
            aws.ebs.list_changed_blocks,
            "ChangedBlocks",
            FirstSnapshotId=parent,
            SecondSnapshotId=child,
        )
    ]
    assert blocks == [10]


def test_free_space_left_out_reads_as_zero_when_plain(snap, aws, image, tmp_path):
    snapshot = upload(snap, image, "--omit-zero-blocks")
    check(snap, aws, snapshot, image, tmp_path / "back.img", Encrypted=False)
