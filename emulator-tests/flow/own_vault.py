"""A vault's parts by their names, made with boto3: `uploader vault init` has its own tests."""

import base64
import datetime
import hashlib
import json
import uuid

REGION = "us-east-1"
VAULT = "image-vault"
# Whoever owns a key gives it this tag, with the vault's name: its converter may use the key.
KEY_TAG = "image-vault-snapshots"


class OwnVault:
    """The vault of one account."""

    def __init__(self, aws, region=REGION):
        self.aws, self.region, self.account = aws, region, aws.account

        def client(service):
            return aws.client(service, region=region, retries=5)

        self.s3, self.kms, self.sqs = client("s3"), client("kms"), client("sqs")
        self.ec2, self.ebs = client("ec2"), client("ebs")
        self.bucket = f"{VAULT}-{self.account}-{region}"
        self.key = self.made_key(f"alias/{VAULT}")
        self.signing_key = self.made_key(
            f"alias/{VAULT}-requests", KeyUsage="SIGN_VERIFY", KeySpec="ECC_NIST_P256"
        )
        self.s3.create_bucket(Bucket=self.bucket)
        rule = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": self.key}
        self.s3.put_bucket_encryption(
            Bucket=self.bucket,
            ServerSideEncryptionConfiguration={
                "Rules": [{"ApplyServerSideEncryptionByDefault": rule, "BucketKeyEnabled": True}]
            },
        )
        self.queue = self.made_queue(f"{VAULT}-requests")
        self.dead = self.made_queue(f"{VAULT}-failed")

    def made_key(self, alias, **more):
        key = self.kms.create_key(**more)["KeyMetadata"]
        self.kms.create_alias(AliasName=alias, TargetKeyId=key["KeyId"])
        return key["Arn"]

    def lent_key(self, alias):
        """A key that is not the vault's, and that its converter may use."""
        return self.made_key(alias, Tags=[{"TagKey": KEY_TAG, "TagValue": VAULT}])

    def made_queue(self, name):
        attributes = {"KmsMasterKeyId": self.key, "VisibilityTimeout": "120"}
        return self.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]

    def push(self, image, text=None):
        """Puts an image where `uploader push` would; `text` is another manifest's."""
        self.put(f"packs/{image.pack_digest}", image.pack)
        self.put(image.key, image.text() if text is None else text)
        return image

    def put(self, key, body):
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)

    def record(self, request):
        """A request's record, or none."""
        try:
            answer = self.s3.get_object(Bucket=self.bucket, Key=f"requests/{request}.json")
        except self.s3.exceptions.NoSuchKey:
            return None
        return json.loads(answer["Body"].read())

    def progress(self, request):
        key = f"requests/{request}.progress.json"
        return json.loads(self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read())

    def request(self, image, **more):
        """A request's fields, as `uploader convert` writes them."""
        now = datetime.datetime.now(datetime.UTC).replace(microsecond=0, tzinfo=None)
        return {
            "version": 1,
            "id": str(uuid.uuid4()),
            "account": self.account,
            "region": self.region,
            "vault": VAULT,
            "image": {"name": image.name, "digest": image.digest},
            "ami": {},
            "issued": now.isoformat() + "Z",
            "expires": (now + datetime.timedelta(hours=1)).isoformat() + "Z",
        } | more

    def message(self, fields, key=None):
        """The signed message of a request."""
        text = fields if isinstance(fields, str) else json.dumps(fields)
        signature = self.kms.sign(
            KeyId=key or self.signing_key,
            Message=hashlib.sha256(text.encode()).digest(),
            MessageType="DIGEST",
            SigningAlgorithm="ECDSA_SHA_256",
        )["Signature"]
        return {
            "version": 1,
            "request": text,
            "signature": base64.b64encode(signature).decode(),
        }

    def send(self, message):
        body = message if isinstance(message, str) else json.dumps(message)
        self.sqs.send_message(QueueUrl=self.queue, MessageBody=body)

    def manifest(self, image):
        """Where an image's manifest is, as the tag says that tells where it came from."""
        return f"s3://{self.bucket}/{image.key}"

    def images(self):
        return self.ec2.describe_images(Owners=["self"])["Images"]

    def snapshots(self):
        return self.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]

    def waiting(self):
        """How many messages there are in the queue, taken ones included."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = self.sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=names)
        return sum(int(answer["Attributes"][name]) for name in names)

    def letters(self):
        """Dead letters' attributes; they stay."""
        found = {}
        for _ in range(4):
            answer = self.sqs.receive_message(
                QueueUrl=self.dead,
                MaxNumberOfMessages=10,
                VisibilityTimeout=0,
                MessageAttributeNames=["All"],
            )
            for it in answer.get("Messages", []):
                attributes = it.get("MessageAttributes", {})
                found[it["MessageId"]] = {
                    name: value["StringValue"] for name, value in attributes.items()
                }
        return list(found.values())

    def is_empty(self):
        """Whether no AMI and no snapshot is there."""
        return not self.images() and not self.snapshots()
