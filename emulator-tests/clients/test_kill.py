"""What was acknowledged is there: after kill -9, and after down and up."""

import threading
from concurrent.futures import ThreadPoolExecutor

from botocore.exceptions import BotoCoreError, ClientError

from harness.target import BLOCK, REGION, block, pages

PUTS = 1000
WORKERS = 8


def blocks_of(aws, snapshot):
    """Every block, checked by boto3's caller against its digest on the way."""
    return {
        it["BlockIndex"]: it["BlockToken"]
        for it in pages(aws.ebs.list_snapshot_blocks, "Blocks", SnapshotId=snapshot)
    }


def get(aws, snapshot, index, token):
    return aws.ebs.get_snapshot_block(SnapshotId=snapshot, BlockIndex=index, BlockToken=token)[
        "BlockData"
    ].read()


def test_kill_in_the_middle_of_1000_puts(own):
    """The gateway is killed while blocks come in; its successor has all that it acknowledged, and
    the client finishes."""
    emulator = own()
    aws = emulator.target("kill")
    # A chain: what the parent has must be there too.
    parent = aws.snapshot({index: block(f"parent {index}") for index in range(0, 1100, 100)})
    snapshot = aws.start(ParentSnapshotId=parent, Tags=[{"Key": "k", "Value": "v"}])
    aws.client("ebs")  # made before threads use it
    acknowledged, lock = set(), threading.Lock()

    def put(index):
        try:
            aws.put(snapshot, index, block(index))
        except (ClientError, BotoCoreError):
            return
        with lock:
            acknowledged.add(index)
            if len(acknowledged) == PUTS // 2:
                # Here, and not by the main thread, which may have its turn after the last put.
                emulator.kill()

    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(put, range(PUTS)))
    assert PUTS // 2 <= len(acknowledged) < PUTS

    emulator.up()
    aws = emulator.target("kill")
    # What was not acknowledged may be there or not: it is put again, as a client does.
    missing = [index for index in range(PUTS) if index not in acknowledged]
    some, rest = missing[: len(missing) // 2], missing[len(missing) // 2 :]
    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(lambda index: aws.put(snapshot, index, block(index)), some))
        list(pool.map(lambda index: aws.put(snapshot, index, block(index)), rest))
    aws.complete(snapshot, PUTS)
    aws.wait_snapshot(snapshot)
    tokens = blocks_of(aws, snapshot)
    # And the parent's, where the child has none.
    assert sorted(tokens) == [*range(PUTS), 1000]
    assert get(aws, snapshot, 1000, tokens[1000]) == block("parent 1000")
    with ThreadPoolExecutor(WORKERS) as pool:
        right = pool.map(
            lambda index: get(aws, snapshot, index, tokens[index]) == block(index), range(PUTS)
        )
        assert all(right)


def test_kill_loses_no_acknowledged_block_and_counts_them(own):
    """Nothing is put again: the count that completes the snapshot is that of the blocks that
    arrived, acknowledged or not, and each of the acknowledged is whole."""
    emulator = own()
    aws = emulator.target("kill")
    snapshot = aws.start()
    acknowledged = []
    enough = threading.Event()

    def put_all():
        for index in range(PUTS):
            try:
                aws.put(snapshot, index, block(index))
            except (ClientError, BotoCoreError):
                return
            acknowledged.append(index)
            if index == 50:
                enough.set()

    worker = threading.Thread(target=put_all)
    worker.start()
    assert enough.wait(300)
    emulator.kill()
    worker.join()
    emulator.up()
    aws = emulator.target("kill")
    count = len(acknowledged)
    try:
        aws.complete(snapshot, count)
    except ClientError:
        # The one that was under way had arrived.
        aws.complete(snapshot, count + 1)
    aws.wait_snapshot(snapshot)
    tokens = blocks_of(aws, snapshot)
    assert set(acknowledged) <= set(tokens)
    for index, token in tokens.items():
        assert get(aws, snapshot, index, token) == block(index)


def test_state_survives_down_and_up(own):
    """Ours and LocalStack's: images, snapshots, tags, volumes, objects, keys, messages."""
    emulator = own()
    aws = emulator.target("state")
    tags = [{"Key": "app", "Value": "web"}]
    key = aws.key()
    blocks = {0: block(0), 5: block(5)}
    snapshot = aws.snapshot(blocks, Encrypted=True, KmsKeyArn=key, Tags=tags)
    pending = aws.start(Tags=tags)
    aws.put(pending, 0, block("pending"))
    image = aws.register(snapshot, TagSpecifications=[{"ResourceType": "image", "Tags": tags}])
    aws.ec2.modify_image_attribute(ImageId=image, LaunchPermission={"Add": [{"UserId": aws.other}]})
    volume = aws.volume()
    instance = aws.run(image)
    aws.ec2.enable_ebs_encryption_by_default()
    before = records(aws, image, snapshot, volume, instance)

    bucket = f"vault-{aws.account}"
    aws.s3.create_bucket(Bucket=bucket)
    aws.s3.put_object(
        Bucket=bucket,
        Key="pack",
        Body=BLOCK * b"x",
        ServerSideEncryption="aws:kms",
        SSEKMSKeyId=key,
    )
    secret = aws.kms.encrypt(KeyId=key, Plaintext=b"secret")["CiphertextBlob"]
    sqs = aws.client("sqs")
    sqs.send_message(
        QueueUrl=sqs.create_queue(QueueName="requests")["QueueUrl"], MessageBody="request"
    )
    aws.client("ssm").put_parameter(Name="/image", Value=image, Type="String")

    emulator.down()
    emulator.up()
    aws = emulator.target("state")
    assert records(aws, image, snapshot, volume, instance) == before
    tokens = blocks_of(aws, snapshot)
    assert {it: get(aws, snapshot, it, token) for it, token in tokens.items()} == blocks
    aws.complete(pending, 1)
    aws.wait_snapshot(pending)
    seen = aws.client("ec2", aws.other).describe_images(ExecutableUsers=["self"])["Images"]
    assert [it["ImageId"] for it in seen] == [image]
    assert aws.ec2.get_ebs_encryption_by_default()["EbsEncryptionByDefault"] is True

    answer = aws.s3.get_object(Bucket=bucket, Key="pack")
    assert answer["Body"].read() == BLOCK * b"x"
    assert answer["SSEKMSKeyId"] == key
    assert aws.kms.decrypt(CiphertextBlob=secret)["Plaintext"] == b"secret"
    sqs = aws.client("sqs")
    queue = sqs.get_queue_url(QueueName="requests")["QueueUrl"]
    assert sqs.receive_message(QueueUrl=queue)["Messages"][0]["Body"] == "request"
    assert aws.client("ssm").get_parameter(Name="/image")["Parameter"]["Value"] == image
    # The key encrypts snapshots still.
    aws.snapshot(Encrypted=True, KmsKeyArn=key)


def records(aws, image, snapshot, volume, instance):
    """What the API says of them."""
    ec2 = aws.ec2
    image = ec2.describe_images(ImageIds=[image])["Images"]
    snapshot = ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"]
    volume = ec2.describe_volumes(VolumeIds=[volume])["Volumes"]
    instance = ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"]
    assert REGION in volume[0]["AvailabilityZone"]
    return image, snapshot, volume, instance
