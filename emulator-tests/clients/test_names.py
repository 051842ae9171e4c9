"""Unmodified clients that know of no endpoint: AWS's names lead to the emulator, as in its guests.

A guest's resolver gives them one address, whose ports 443 and 80 are the gateway. Here, connections
are led there on their way, and everything else is as it is on AWS: names, TLS, how buckets are
named.
"""

import json
import uuid

import boto3
import pytest
from botocore.config import Config
from urllib3.util import connection

from clients.rules.buckets import tls_only


@pytest.fixture
def at_home(monkeypatch, emulator):
    """Connections to AWS's names end at the emulator; to no other name are there any."""
    create = connection.create_connection

    def led(address, *arguments, **more):
        host, port = address
        assert host.endswith((".amazonaws.com", ".api.aws")), host
        assert port in (443, 80), address
        return create(("127.0.0.1", emulator.port), *arguments, **more)

    monkeypatch.setattr(connection, "create_connection", led)
    for name in ("AWS_ENDPOINT_URL", "AWS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def session(at_home, emulator, aws):
    """Clients without an endpoint of their own."""
    keys = boto3.Session(
        aws_access_key_id=aws.account, aws_secret_access_key="secret", region_name="us-east-1"
    )

    def client(service, **more):
        return keys.client(service, verify=emulator.ca, **more)

    return client


def test_services_by_their_names(session, aws):
    assert session("sts").get_caller_identity()["Account"] == aws.account
    snapshot = session("ebs").start_snapshot(VolumeSize=1)["SnapshotId"]
    found = session("ec2").describe_snapshots(SnapshotIds=[snapshot])["Snapshots"]
    assert [it["State"] for it in found] == ["pending"]
    key = session("kms").create_key()["KeyMetadata"]["Arn"]
    assert key.split(":")[3:5] == ["us-east-1", aws.account]
    assert session("iam").list_roles()["Roles"] == []
    assert session("ssm").describe_parameters()["Parameters"] == []
    elsewhere = session("ec2", region_name="eu-west-1")
    assert elsewhere.describe_snapshots(OwnerIds=["self"])["Snapshots"] == []


def test_a_queue_by_its_url(session):
    sqs = session("sqs")
    url = sqs.create_queue(QueueName="q.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="m", MessageGroupId="g", MessageDeduplicationId="d")
    [message] = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5)["Messages"]
    assert message["Body"] == "m"
    assert sqs.get_queue_url(QueueName="q.fifo")["QueueUrl"] == url


@pytest.mark.parametrize(
    "options",
    [{}, {"use_dualstack_endpoint": True}, {"s3": {"addressing_style": "path"}}],
    ids=["host", "dualstack", "path"],
)
def test_buckets_by_their_names(session, options):
    s3 = session("s3", config=Config(**options))
    bucket = f"vault-{uuid.uuid4().hex}"
    s3.create_bucket(Bucket=bucket)
    assert [it["Name"] for it in s3.list_buckets()["Buckets"]] == [bucket]
    hosts = []
    s3.meta.events.register("before-send.s3", lambda request, **_: hosts.append(request.url))
    s3.put_object(Bucket=bucket, Key="a/b c", Body=b"here")
    assert s3.get_object(Bucket=bucket, Key="a/b c")["Body"].read() == b"here"
    in_name = all(url.startswith(f"https://{bucket}.s3.") for url in hosts)
    assert in_name == ("s3" not in options), hosts
    found = s3.list_objects_v2(Bucket=bucket, Prefix="a/")["Contents"]
    assert [it["Key"] for it in found] == ["a/b c"]
    upload = s3.create_multipart_upload(Bucket=bucket, Key="m")["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="m", PartNumber=1, UploadId=upload, Body=b"part")
    s3.complete_multipart_upload(
        Bucket=bucket,
        Key="m",
        UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
    )
    assert s3.head_object(Bucket=bucket, Key="m")["ContentLength"] == 4


def test_a_policy_holds_for_a_bucket_in_the_name(session):
    """What is denied over plain HTTP is denied by the bucket's own name, too."""
    s3 = session("s3")
    bucket = f"vault-{uuid.uuid4().hex}"
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_policy(
        Bucket=bucket,
        Policy=json.dumps({"Version": "2012-10-17", "Statement": tls_only(bucket)}),
    )
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    plain = session("s3", use_ssl=False)
    with pytest.raises(plain.exceptions.ClientError, match="AccessDenied"):
        plain.put_object(Bucket=bucket, Key="k", Body=b"x")
