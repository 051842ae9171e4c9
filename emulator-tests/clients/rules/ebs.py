"""The EBS direct API."""

from harness.target import BLOCK, block, digest, linear

from .rule import rule

PUT = "EBS API: PutSnapshotBlock"
START = "EBS API: StartSnapshot"
COMPLETE = "EBS API: CompleteSnapshot"
GET = "EBS API: GetSnapshotBlock"
LIST = "EBS API: ListSnapshotBlocks"
CHANGED = "EBS API: ListChangedBlocks"

# AWS may say AccessDeniedException instead; EC2 says of such a snapshot that there is none.
ASSUMED = "assumed"

UNKNOWN = "snap-0123456789abcdef0"


def pending(t, **more):
    """A snapshot with one block, and what must stay as it was: it can be completed with it."""
    snapshot = t.start(**more)
    t.put(snapshot, 0, block(0))
    return snapshot


def completes_with(t, snapshot, count):
    """Reads nothing before; after the refusal the snapshot completes with this count."""
    seen = []

    def check():
        if seen:
            t.complete(snapshot, count)
        seen.append(True)

    return check


@rule("a block whose checksum is another's", "ebs PutSnapshotBlock", "400 ValidationException", PUT)
def wrong_block_checksum(t):
    snapshot = pending(t)
    wrong = digest(block("other"))
    return lambda: t.put(snapshot, 1, block(1), Checksum=wrong), completes_with(t, snapshot, 1)


@rule("a block of 4,096 bytes", "ebs PutSnapshotBlock", "400 ValidationException", PUT)
def short_block(t):
    snapshot = pending(t)
    return lambda: t.put(snapshot, 1, bytes(4096)), completes_with(t, snapshot, 1)


@rule(
    "a data length that is not the body's", "ebs PutSnapshotBlock", "400 ValidationException", PUT
)
def wrong_data_length(t):
    snapshot = pending(t)
    return lambda: t.put(snapshot, 1, block(1), DataLength=4096), completes_with(t, snapshot, 1)


@rule("a block's checksum by MD5", "ebs PutSnapshotBlock", "400 ValidationException", PUT)
def wrong_checksum_algorithm(t):
    snapshot = pending(t)
    return lambda: t.put(snapshot, 1, block(1), ChecksumAlgorithm="MD5")


@rule("a block beyond the volume's end", "ebs PutSnapshotBlock", "400 ValidationException", PUT)
def block_beyond_the_end(t):
    snapshot = pending(t, size=1)
    beyond = (1 << 30) // BLOCK
    return lambda: t.put(snapshot, beyond, block(1)), completes_with(t, snapshot, 1)


@rule("a block's negative index", "ebs PutSnapshotBlock", "400 ValidationException", PUT)
def negative_block_index(t):
    snapshot = pending(t)
    return lambda: t.put(snapshot, -1, block(1)), completes_with(t, snapshot, 1)


@rule(
    "a block for an unknown snapshot",
    "ebs PutSnapshotBlock",
    "404 ResourceNotFoundException SNAPSHOT_NOT_FOUND",
    PUT,
)
def put_into_unknown_snapshot(t):
    return lambda: t.put(UNKNOWN, 0, block(0))


@rule("a snapshot id that is none", "ebs PutSnapshotBlock", "400 ValidationException", PUT)
def put_into_malformed_snapshot(t):
    return lambda: t.put("snap-XYZ", 0, block(0))


@rule("a block for a completed snapshot", "ebs PutSnapshotBlock", "400 ValidationException", PUT)
def put_after_complete(t):
    snapshot = t.snapshot({0: block(0)})

    def content():
        found = t.ebs.list_snapshot_blocks(SnapshotId=snapshot)["Blocks"][0]
        answer = t.ebs.get_snapshot_block(
            SnapshotId=snapshot, BlockIndex=0, BlockToken=found["BlockToken"]
        )
        return answer["BlockData"].read() == block(0)

    return lambda: t.put(snapshot, 0, block("new")), content


@rule(
    "a block for another account's snapshot",
    "ebs PutSnapshotBlock",
    "404 ResourceNotFoundException SNAPSHOT_NOT_FOUND",
    ASSUMED,
)
def put_into_foreign_snapshot(t):
    snapshot = t.start(account=t.other)
    return lambda: t.put(snapshot, 0, block(0))


@rule("completing with a wrong count", "ebs CompleteSnapshot", "400 ValidationException", COMPLETE)
def wrong_count(t):
    snapshot = pending(t)
    return lambda: t.complete(snapshot, 2), completes_with(t, snapshot, 1)


@rule(
    "completing with a wrong LINEAR checksum",
    "ebs CompleteSnapshot",
    "400 ValidationException",
    COMPLETE,
)
def wrong_linear_checksum(t):
    snapshot = pending(t)
    wrong = linear({0: block("other")})
    return lambda: t.complete(
        snapshot,
        1,
        Checksum=wrong,
        ChecksumAlgorithm="SHA256",
        ChecksumAggregationMethod="LINEAR",
    ), completes_with(t, snapshot, 1)


@rule(
    "completing with a checksum over the blocks in the order of putting",
    "ebs CompleteSnapshot",
    "400 ValidationException",
    COMPLETE,
)
def checksum_in_wrong_order(t):
    snapshot = t.start()
    for index in (1, 0):
        t.put(snapshot, index, block(index))
    swapped = linear({0: block(1), 1: block(0)})
    return lambda: t.complete(
        snapshot,
        2,
        Checksum=swapped,
        ChecksumAlgorithm="SHA256",
        ChecksumAggregationMethod="LINEAR",
    ), completes_with(t, snapshot, 2)


@rule("completing twice", "ebs CompleteSnapshot", "400 ValidationException", COMPLETE)
def complete_twice(t):
    snapshot = t.snapshot({0: block(0)})

    def state():
        return t.ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"][0]["State"]

    return lambda: t.complete(snapshot, 1), state


@rule(
    "completing another account's snapshot",
    "ebs CompleteSnapshot",
    "404 ResourceNotFoundException SNAPSHOT_NOT_FOUND",
    ASSUMED,
)
def complete_foreign_snapshot(t):
    snapshot = t.start(account=t.other)
    return lambda: t.complete(snapshot, 0)


@rule(
    "completing an unknown snapshot",
    "ebs CompleteSnapshot",
    "404 ResourceNotFoundException SNAPSHOT_NOT_FOUND",
    COMPLETE,
)
def complete_unknown_snapshot(t):
    return lambda: t.complete(UNKNOWN, 0)


def nothing_new(t):
    """How many snapshots the account has."""
    return lambda: len(t.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"])


@rule("a parent and a key", "ebs StartSnapshot", "400 ValidationException", START)
def parent_and_key(t):
    parent, key = t.snapshot(), t.key()
    return lambda: t.start(ParentSnapshotId=parent, KmsKeyArn=key), nothing_new(t)


@rule("a parent and Encrypted", "ebs StartSnapshot", "400 ValidationException", START)
def parent_and_encrypted(t):
    parent = t.snapshot()
    return lambda: t.start(ParentSnapshotId=parent, Encrypted=True), nothing_new(t)


@rule(
    "an unknown parent",
    "ebs StartSnapshot",
    "404 ResourceNotFoundException SNAPSHOT_NOT_FOUND",
    START,
)
def unknown_parent(t):
    return lambda: t.start(ParentSnapshotId=UNKNOWN), nothing_new(t)


@rule("a parent that is pending", "ebs StartSnapshot", "400 ValidationException", START)
def pending_parent(t):
    parent = t.start()
    return lambda: t.start(ParentSnapshotId=parent), nothing_new(t)


@rule("a volume smaller than the parent's", "ebs StartSnapshot", "400 ValidationException", START)
def smaller_than_parent(t):
    parent = t.snapshot(size=2)
    return lambda: t.start(size=1, ParentSnapshotId=parent), nothing_new(t)


@rule("a key without Encrypted", "ebs StartSnapshot", "400 ValidationException", START)
def key_without_encrypted(t):
    key = t.key()
    return lambda: t.start(KmsKeyArn=key), nothing_new(t)


@rule(
    "a KMS key that does not exist",
    "ebs StartSnapshot",
    "400 ValidationException INVALID_CUSTOMER_KEY",
    START,
)
def start_with_unknown_key(t):
    key = f"arn:aws:kms:us-east-1:{t.account}:key/11111111-2222-3333-4444-555555555555"
    return lambda: t.start(Encrypted=True, KmsKeyArn=key), nothing_new(t)


@rule(
    "a KMS key that is disabled",
    "ebs StartSnapshot",
    "400 ValidationException INVALID_CUSTOMER_KEY",
    START,
)
def start_with_disabled_key(t):
    key = t.key()
    t.kms.disable_key(KeyId=key)
    return lambda: t.start(Encrypted=True, KmsKeyArn=key), nothing_new(t)


@rule("a volume of 0 GiB", "ebs StartSnapshot", "400 ValidationException", START)
def volume_of_nothing(t):
    return lambda: t.start(size=0), nothing_new(t)


@rule("a volume of 65,537 GiB", "ebs StartSnapshot", "400 ValidationException", START)
def volume_too_large(t):
    return lambda: t.start(size=65537), nothing_new(t)


@rule("a timeout of 9 minutes", "ebs StartSnapshot", "400 ValidationException", START)
def timeout_too_short(t):
    return lambda: t.start(Timeout=9), nothing_new(t)


@rule(
    "a client token again, with another size", "ebs StartSnapshot", "409 ConflictException", START
)
def client_token_for_another_request(t):
    t.start(size=1, ClientToken="once")
    return lambda: t.start(size=2, ClientToken="once"), nothing_new(t)


@rule("a tag of AWS's own (`aws:`)", "ebs StartSnapshot", "400 ValidationException", START)
def start_with_aws_tag(t):
    tag = {"Key": "aws:owner", "Value": "me"}
    return lambda: t.start(Tags=[tag]), nothing_new(t)


@rule("a block after the timeout", "ebs PutSnapshotBlock", "400 ValidationException", PUT)
def put_after_timeout(t):
    snapshot = t.start(Timeout=10)
    t.put(snapshot, 0, block(0))
    t.advance(11 * 60)
    return lambda: t.put(snapshot, 1, block(1))


@rule(
    "a block's token of another snapshot",
    "ebs GetSnapshotBlock",
    "400 ValidationException INVALID_BLOCK_TOKEN",
    GET,
)
def foreign_block_token(t):
    one, other = t.snapshot({0: block(0)}), t.snapshot({0: block("other")})
    token = t.ebs.list_snapshot_blocks(SnapshotId=other)["Blocks"][0]["BlockToken"]
    return lambda: t.ebs.get_snapshot_block(SnapshotId=one, BlockIndex=0, BlockToken=token)


@rule(
    "a block's token of another block",
    "ebs GetSnapshotBlock",
    "400 ValidationException INVALID_BLOCK_TOKEN",
    GET,
)
def another_blocks_token(t):
    snapshot = t.snapshot({0: block(0), 1: block(1)})
    token = t.ebs.list_snapshot_blocks(SnapshotId=snapshot)["Blocks"][0]["BlockToken"]
    return lambda: t.ebs.get_snapshot_block(SnapshotId=snapshot, BlockIndex=1, BlockToken=token)


@rule(
    "a block's token that expired (7 days)",
    "ebs GetSnapshotBlock",
    "400 ValidationException INVALID_BLOCK_TOKEN",
    "EBS API: ListSnapshotBlocks (ExpiryTime)",
)
def expired_block_token(t):
    snapshot = t.snapshot({0: block(0)})
    token = t.ebs.list_snapshot_blocks(SnapshotId=snapshot)["Blocks"][0]["BlockToken"]
    t.advance(8 * 24 * 3600)
    return lambda: t.ebs.get_snapshot_block(SnapshotId=snapshot, BlockIndex=0, BlockToken=token)


@rule(
    "a page token that was made up",
    "ebs ListSnapshotBlocks",
    "400 ValidationException INVALID_PAGE_TOKEN",
    LIST,
)
def made_up_page_token(t):
    snapshot = t.snapshot()
    return lambda: t.ebs.list_snapshot_blocks(SnapshotId=snapshot, NextToken="bm90aGluZw==")


@rule("the blocks of a pending snapshot", "ebs ListSnapshotBlocks", "400 ValidationException", LIST)
def list_pending_snapshot(t):
    snapshot = pending(t)
    return lambda: t.ebs.list_snapshot_blocks(SnapshotId=snapshot)


@rule(
    "the blocks of an unknown snapshot",
    "ebs ListSnapshotBlocks",
    "404 ResourceNotFoundException SNAPSHOT_NOT_FOUND",
    LIST,
)
def list_unknown_snapshot(t):
    return lambda: t.ebs.list_snapshot_blocks(SnapshotId=UNKNOWN)


@rule(
    "the blocks of another account's snapshot",
    "ebs ListSnapshotBlocks",
    "404 ResourceNotFoundException SNAPSHOT_NOT_FOUND",
    ASSUMED,
)
def list_foreign_snapshot(t):
    snapshot = t.snapshot(account=t.other)
    return lambda: t.ebs.list_snapshot_blocks(SnapshotId=snapshot)


@rule(
    "what changed between snapshots of two volumes",
    "ebs ListChangedBlocks",
    "400 ValidationException UNRELATED_SNAPSHOTS",
    CHANGED,
)
def unrelated_snapshots(t):
    one, other = t.snapshot({0: block(0)}), t.snapshot({0: block("other")})
    return lambda: t.ebs.list_changed_blocks(FirstSnapshotId=one, SecondSnapshotId=other)
