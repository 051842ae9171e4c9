"""Fills LocalStack's services (`put`), or checks that all of it is there (`check`).

    state.py put|check IDS.json

The endpoint and its certificates come from the environment.
"""

import json
import sys

import boto3

OTHER_ACCOUNT = {"aws_access_key_id": "111111111111", "aws_secret_access_key": "x"}
READ_ONLY = "arn:aws:iam::aws:policy/ReadOnlyAccess"
BIG = bytes(range(256)) * 40_000
PART = b"A" * (5 << 20)
ALLOW = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}],
}
TLS_ONLY = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": ["arn:aws:s3:::vault", "arn:aws:s3:::vault/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
    ],
}

s3, kms, sqs, iam, ssm, ec2 = map(boto3.client, ("s3", "kms", "sqs", "iam", "ssm", "ec2"))
other = boto3.client("s3", region_name="eu-west-1", **OTHER_ACCOUNT)


def put():
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.create_alias(AliasName="alias/vault", TargetKeyId=key)
    signer = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
    signature = kms.sign(KeyId=signer, Message=b"hello", SigningAlgorithm="ECDSA_SHA_256")[
        "Signature"
    ]
    secret = kms.encrypt(KeyId=key, Plaintext=b"secret", EncryptionContext={"a": "b"})[
        "CiphertextBlob"
    ]

    s3.create_bucket(Bucket="vault")
    s3.put_bucket_versioning(Bucket="vault", VersioningConfiguration={"Status": "Enabled"})
    rule = {
        "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    }
    s3.put_bucket_encryption(Bucket="vault", ServerSideEncryptionConfiguration={"Rules": [rule]})
    s3.put_bucket_policy(Bucket="vault", Policy=json.dumps(TLS_ONLY))
    first = s3.put_object(Bucket="vault", Key="a/b", Body=b"one")["VersionId"]
    s3.put_object(Bucket="vault", Key="a/b", Body=b"two")
    s3.put_object(Bucket="vault", Key="big", Body=BIG)
    upload = s3.create_multipart_upload(Bucket="vault", Key="parts")["UploadId"]
    part = s3.upload_part(Bucket="vault", Key="parts", UploadId=upload, PartNumber=1, Body=PART)
    other.create_bucket(
        Bucket="elsewhere", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    other.put_object(Bucket="elsewhere", Key="k", Body=b"x", ChecksumAlgorithm="SHA256")

    fifo = sqs.create_queue(
        QueueName="q.fifo", Attributes={"FifoQueue": "true", "KmsMasterKeyId": key}
    )["QueueUrl"]
    sqs.send_message(QueueUrl=fifo, MessageBody="m", MessageGroupId="g", MessageDeduplicationId="d")
    plain = sqs.create_queue(QueueName="plain")["QueueUrl"]
    for number in range(5):
        sqs.send_message(QueueUrl=plain, MessageBody=f"s{number}")
    # In flight, and visible again in a moment.
    sqs.receive_message(QueueUrl=plain, VisibilityTimeout=1)

    iam.create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(ALLOW))
    iam.put_role_policy(RoleName="r", PolicyName="p", PolicyDocument=json.dumps(ALLOW))
    iam.attach_role_policy(RoleName="r", PolicyArn=READ_ONLY)
    own = iam.create_policy(PolicyName="own", PolicyDocument=json.dumps(ALLOW))["Policy"]["Arn"]
    iam.attach_role_policy(RoleName="r", PolicyArn=own)
    iam.create_instance_profile(InstanceProfileName="profile")
    iam.add_role_to_instance_profile(InstanceProfileName="profile", RoleName="r")

    ssm.put_parameter(Name="/x", Value="1", Type="String")
    ssm.put_parameter(Name="/x", Value="2", Type="String", Overwrite=True)

    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    group = ec2.create_security_group(GroupName="g", Description="d", VpcId=vpc)["GroupId"]
    subnets = sorted(subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"])
    return {
        "key": key,
        "signer": signer,
        "signature": signature.hex(),
        "secret": secret.hex(),
        "first": first,
        "upload": upload,
        "part": part["ETag"],
        "vpc": vpc,
        "group": group,
        "subnets": subnets,
        "policies": policies(),
    }


def policies():
    """All policies, AWS's thousand too: what they are called, and how often they are attached."""
    pages = iam.get_paginator("list_policies").paginate()
    found = [it for page in pages for it in page["Policies"]]
    return sorted([it["Arn"], it["PolicyId"], it["AttachmentCount"]] for it in found)


def body(client=s3, **which):
    return client.get_object(**which)["Body"].read()


def check(ids):
    assert kms.verify(
        KeyId=ids["signer"],
        Message=b"hello",
        SigningAlgorithm="ECDSA_SHA_256",
        Signature=bytes.fromhex(ids["signature"]),
    )["SignatureValid"]
    secret = kms.decrypt(CiphertextBlob=bytes.fromhex(ids["secret"]), EncryptionContext={"a": "b"})
    assert secret["Plaintext"] == b"secret"
    assert kms.describe_key(KeyId="alias/vault")["KeyMetadata"]["KeyId"] == ids["key"]

    assert body(Bucket="vault", Key="a/b") == b"two"
    assert body(Bucket="vault", Key="a/b", VersionId=ids["first"]) == b"one"
    head = s3.head_object(Bucket="vault", Key="a/b")
    assert head["ServerSideEncryption"] == "aws:kms", head
    assert body(Bucket="vault", Key="big") == BIG
    assert body(Bucket="vault", Key="big", Range="bytes=256-511") == bytes(range(256))
    assert len(s3.list_object_versions(Bucket="vault")["Versions"]) == 3
    assert json.loads(s3.get_bucket_policy(Bucket="vault")["Policy"]) == TLS_ONLY
    # An upload goes on where it was.
    second = s3.upload_part(
        Bucket="vault", Key="parts", UploadId=ids["upload"], PartNumber=2, Body=b"B"
    )
    parts = [{"PartNumber": 1, "ETag": ids["part"]}, {"PartNumber": 2, "ETag": second["ETag"]}]
    s3.complete_multipart_upload(
        Bucket="vault", Key="parts", UploadId=ids["upload"], MultipartUpload={"Parts": parts}
    )
    assert body(Bucket="vault", Key="parts") == PART + b"B"
    assert body(other, Bucket="elsewhere", Key="k", ChecksumMode="ENABLED") == b"x"

    fifo = sqs.get_queue_url(QueueName="q.fifo")["QueueUrl"]
    (message,) = sqs.receive_message(QueueUrl=fifo, WaitTimeSeconds=5)["Messages"]
    assert message["Body"] == "m"
    plain = sqs.get_queue_url(QueueName="plain")["QueueUrl"]
    found = set()
    for _ in range(15):
        answer = sqs.receive_message(QueueUrl=plain, WaitTimeSeconds=1, MaxNumberOfMessages=10)
        found |= {message["Body"] for message in answer.get("Messages", [])}
        if len(found) == 5:
            break
    assert found == {f"s{number}" for number in range(5)}, found

    assert iam.get_role_policy(RoleName="r", PolicyName="p")["PolicyDocument"] == ALLOW
    assert policies() == ids["policies"]
    attached = iam.list_attached_role_policies(RoleName="r")["AttachedPolicies"]
    assert sorted(it["PolicyName"] for it in attached) == ["ReadOnlyAccess", "own"]
    iam.detach_role_policy(RoleName="r", PolicyArn=READ_ONLY)
    assert iam.get_policy(PolicyArn=READ_ONLY)["Policy"]["AttachmentCount"] == 0
    profile = iam.get_instance_profile(InstanceProfileName="profile")["InstanceProfile"]
    assert profile["Roles"][0]["RoleName"] == "r"

    history = ssm.get_parameter_history(Name="/x")["Parameters"]
    assert [version["Value"] for version in history] == ["1", "2"]

    assert ec2.describe_vpcs()["Vpcs"][0]["VpcId"] == ids["vpc"]
    subnets = sorted(subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"])
    assert subnets == ids["subnets"]
    groups = ec2.describe_security_groups()["SecurityGroups"]
    assert any(group["GroupId"] == ids["group"] for group in groups)


if sys.argv[1] == "put":
    with open(sys.argv[2], "w") as file:
        json.dump(put(), file)
else:
    with open(sys.argv[2]) as file:
        check(json.load(file))
