"""S3 as a vault uses it, and the services beside it, through the gateway."""

import base64
import hashlib
import json
import os
import ssl
import urllib.request

import boto3
import pytest
from botocore.exceptions import ClientError

from clients.rules.buckets import bucket, encrypted_only, tls_only

MIB = 1 << 20


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def refused(code, call, **arguments):
    with pytest.raises(ClientError) as error:
        call(**arguments)
    assert error.value.response["Error"]["Code"] == code


def vault(aws):
    """A bucket as the vault's is: TLS only, this key by default, nothing but KMS."""
    key = aws.key()
    name = bucket(aws, lambda name: tls_only(name) + encrypted_only(name))
    return name, key


def test_200_mib_by_the_cli(aws, cli, tmp_path):
    name, key = vault(aws)
    up, down = tmp_path / "up", tmp_path / "down"
    with open(up, "wb") as file:
        for _part in range(200):
            file.write(os.urandom(MIB))
    encrypted = ["--sse", "aws:kms", "--sse-kms-key-id", key]
    cli("s3", "cp", "--only-show-errors", *encrypted, up, f"s3://{name}/packs/one")
    head = aws.s3.head_object(Bucket=name, Key="packs/one")
    assert head["ContentLength"] == 200 * MIB
    assert head["ServerSideEncryption"] == "aws:kms"
    assert head["SSEKMSKeyId"] == key
    cli("s3", "cp", "--only-show-errors", f"s3://{name}/packs/one", down)
    assert sha256(down) == sha256(up)


def test_an_upload_in_parts_is_checksummed_and_read_in_ranges(aws):
    name, key = vault(aws)
    parts = [os.urandom(5 * MIB), os.urandom(MIB)]
    upload = aws.s3.create_multipart_upload(
        Bucket=name,
        Key="pack",
        ChecksumAlgorithm="SHA256",
        ServerSideEncryption="aws:kms",
        SSEKMSKeyId=key,
    )["UploadId"]
    done = []
    for number, part in enumerate(parts, 1):
        checksum = base64.b64encode(hashlib.sha256(part).digest()).decode()
        where = {"Bucket": name, "Key": "pack", "UploadId": upload, "PartNumber": number}
        wrong = base64.b64encode(hashlib.sha256(b"other").digest()).decode()
        refused("BadDigest", aws.s3.upload_part, **where, Body=part, ChecksumSHA256=wrong)
        tag = aws.s3.upload_part(**where, Body=part, ChecksumSHA256=checksum)["ETag"]
        done.append({"PartNumber": number, "ETag": tag, "ChecksumSHA256": checksum})
    aws.s3.complete_multipart_upload(
        Bucket=name, Key="pack", UploadId=upload, MultipartUpload={"Parts": done}
    )
    whole = b"".join(parts)
    part = aws.s3.get_object(Bucket=name, Key="pack", Range=f"bytes={MIB}-{2 * MIB - 1}")
    assert part["Body"].read() == whole[MIB : 2 * MIB]
    assert aws.s3.get_object(Bucket=name, Key="pack")["Body"].read() == whole


def test_presigned_urls(aws, emulator):
    name, key = vault(aws)
    s3 = aws.client("s3", signature_version="s3v4")
    where = {"Bucket": name, "Key": "request"}
    context = ssl.create_default_context(cafile=emulator.ca)
    encrypted = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key}
    url = s3.generate_presigned_url("put_object", Params=where | encrypted)
    put = urllib.request.Request(
        url,
        b"content",
        {
            "x-amz-server-side-encryption": "aws:kms",
            "x-amz-server-side-encryption-aws-kms-key-id": key,
        },
        method="PUT",
    )
    urllib.request.urlopen(put, context=context).close()
    url = s3.generate_presigned_url("get_object", Params=where)
    with urllib.request.urlopen(url, context=context) as answer:
        assert answer.read() == b"content"


def test_the_policy_lets_through_what_it_does_not_deny(aws):
    name, key = vault(aws)
    encrypted = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key}
    put = {"Bucket": name, "Key": "key", "Body": b"x"}
    plain = aws.client("s3", plain=True)
    refused("AccessDenied", plain.put_object, **put, **encrypted)
    refused("AccessDenied", plain.list_objects_v2, Bucket=name)
    refused("AccessDenied", aws.s3.put_object, **put)
    aws.s3.put_object(**put, **encrypted)
    assert aws.s3.get_object(Bucket=name, Key="key")["Body"].read() == b"x"
    # A bucket without a policy takes plain HTTP, as AWS does.
    aws.s3.create_bucket(Bucket=f"open-{aws.account}")
    plain.put_object(Bucket=f"open-{aws.account}", Key="key", Body=b"x")


def test_virtual_hosted_buckets(aws):
    """The bucket's name in the host's, as SDKs do by default."""
    name = f"hosted-{aws.account}"
    s3 = aws.client("s3", s3={"addressing_style": "auto"})
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="a key/with ünicode+", Body=b"x")
    assert [it["Key"] for it in s3.list_objects_v2(Bucket=name)["Contents"]] == [
        "a key/with ünicode+"
    ]


def test_a_queue_under_a_key(aws):
    sqs = aws.client("sqs")
    queue = sqs.create_queue(
        QueueName="requests.fifo",
        Attributes={"FifoQueue": "true", "KmsMasterKeyId": aws.key(), "VisibilityTimeout": "5"},
    )["QueueUrl"]
    for number in range(3):
        sqs.send_message(
            QueueUrl=queue,
            MessageBody=json.dumps({"number": number}),
            MessageGroupId="one",
            MessageDeduplicationId=str(number),
        )
    found = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
    assert [json.loads(it["Body"])["number"] for it in found] == [0, 1, 2]
    for it in found:
        sqs.delete_message(QueueUrl=queue, ReceiptHandle=it["ReceiptHandle"])
    assert "Messages" not in sqs.receive_message(QueueUrl=queue)


def test_keys_encrypt_and_sign(aws):
    kms = aws.kms
    key, context = aws.key(), {"vault": "one"}
    data = kms.generate_data_key(KeyId=key, KeySpec="AES_256", EncryptionContext=context)
    plain = kms.decrypt(CiphertextBlob=data["CiphertextBlob"], EncryptionContext=context)
    assert plain["Plaintext"] == data["Plaintext"]
    signer = aws.key(KeyUsage="SIGN_VERIFY", KeySpec="ECC_NIST_P256")
    how = {"KeyId": signer, "Message": b"request", "SigningAlgorithm": "ECDSA_SHA_256"}
    signature = kms.sign(**how)["Signature"]
    assert kms.verify(**how, Signature=signature)["SignatureValid"]
    refused(
        "KMSInvalidSignatureException", kms.verify, **how | {"Message": b"x"}, Signature=signature
    )


def test_who_the_caller_is(aws):
    for account in (aws.account, aws.other):
        who = aws.client("sts", account).get_caller_identity()
        assert who["Account"] == account
    # The credentials of a role that was assumed are the role's account's.
    iam = aws.client("iam", aws.other)
    trust = {"Version": "2012-10-17", "Statement": []}
    role = iam.create_role(RoleName="agent", AssumeRolePolicyDocument=json.dumps(trust))
    role = role["Role"]["Arn"]
    assumed = aws.client("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    clients = {
        service: boto3.client(
            service,
            region_name="us-east-1",
            endpoint_url=aws.endpoint,
            verify=aws.ca,
            aws_access_key_id=assumed["AccessKeyId"],
            aws_secret_access_key=assumed["SecretAccessKey"],
            aws_session_token=assumed["SessionToken"],
        )
        for service in ("sts", "ec2")
    }
    assert clients["sts"].get_caller_identity()["Account"] == aws.other
    snapshot = aws.snapshot(account=aws.other)
    found = clients["ec2"].describe_snapshots(OwnerIds=["self"])["Snapshots"]
    assert [it["SnapshotId"] for it in found] == [snapshot]


def test_parameters(aws):
    ssm = aws.client("ssm")
    ssm.put_parameter(Name="/images/web", Value="ami-1", Type="String")
    assert ssm.get_parameter(Name="/images/web")["Parameter"]["Value"] == "ami-1"


def test_the_rest_of_ec2_is_there(aws):
    """Networks are LocalStack's, and instances of ours are launched into them."""
    group = aws.ec2.create_security_group(GroupName="none in", Description="no inbound rule")
    found = aws.ec2.describe_security_groups(GroupIds=[group["GroupId"]])["SecurityGroups"]
    assert found[0]["OwnerId"] == aws.account
    assert aws.ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    regions = {it["RegionName"] for it in aws.ec2.describe_regions()["Regions"]}
    assert {"us-east-1", "eu-west-1", "eu-central-1", "ap-southeast-2"} <= regions
