"""A vault to push to, made by hand, and what a test asks of it."""

import contextlib
import json
import time
from pathlib import Path

from clients.rules.buckets import tls_only


class Vault:
    """The vault of one account in one region, as `uploader vault init` names it."""

    def __init__(self, emulator, aws, uploader, account=None, region="us-east-1", owner=None):
        self.emulator = emulator
        self.aws = aws
        self.account = account or aws.account
        self.region = region
        self.program = uploader
        self.bucket = f"image-vault-{self.account}-{region}"
        # Whose bucket it is: its name may be another's.
        owner = owner or self.account
        self.s3 = aws.client("s3", owner, region)
        self.key = aws.client("kms", owner, region).create_key()["KeyMetadata"]["Arn"]
        where = {"Bucket": self.bucket}
        if region != "us-east-1":
            self.s3.create_bucket(**where, CreateBucketConfiguration={"LocationConstraint": region})
        else:
            self.s3.create_bucket(**where)
        default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": self.key}
        self.s3.put_bucket_encryption(
            **where,
            ServerSideEncryptionConfiguration={
                "Rules": [{"ApplyServerSideEncryptionByDefault": default, "BucketKeyEnabled": True}]
            },
        )
        self.s3.put_bucket_versioning(**where, VersioningConfiguration={"Status": "Enabled"})
        policy = {"Version": "2012-10-17", "Statement": tls_only(self.bucket)}
        self.s3.put_bucket_policy(**where, Policy=json.dumps(policy))

    def elsewhere(self, region):
        """The same account's vault in another region."""
        return Vault(self.emulator, self.aws, self.program, self.account, region)

    def uploader(self, *arguments, peak=None, **more):
        """Runs it; `peak` is told its greatest memory."""
        if peak is None:
            return self.program(*arguments, account=self.account, **more)
        process = self.start(*arguments)
        highest = 0
        # While it runs: what the kernel says of a child afterwards has its parent's memory in it.
        while process.poll() is None:
            with contextlib.suppress(OSError, IndexError):
                status = Path(f"/proc/{process.pid}/status").read_text()
                highest = int(status.split("VmHWM:")[1].split()[0])
            time.sleep(0.02)
        _out, err = process.communicate()
        assert process.returncode == 0, err
        peak(highest * 1024)
        return process

    def start(self, *arguments):
        return self.program.start(*arguments, account=self.account)

    def killed(self, process):
        """Ends a program as a power cut would, and waits until what it had sent is dealt with: a
        part that was on its way arrives after its sender's end."""
        process.kill()
        process.communicate()
        self.emulator.quiet(self.account)

    def get(self, key):
        return self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def versions(self):
        """Keys of all versions of all objects, deleted ones too."""
        found = self.s3.list_object_versions(Bucket=self.bucket)
        both = found.get("Versions", []) + found.get("DeleteMarkers", [])
        return sorted(it["Key"] for it in both)

    def uploads(self):
        """Uploads that were begun and not completed."""
        return self.s3.list_multipart_uploads(Bucket=self.bucket).get("Uploads", [])

    def parts(self, upload):
        """Their parts."""
        where = {"Bucket": self.bucket, "Key": upload["Key"], "UploadId": upload["UploadId"]}
        return self.s3.list_parts(**where).get("Parts", [])

    def remove(self, key=None):
        """Takes away all versions of an object, or of all."""
        found = self.s3.list_object_versions(Bucket=self.bucket, Prefix=key or "")
        for it in found.get("Versions", []) + found.get("DeleteMarkers", []):
            self.s3.delete_object(Bucket=self.bucket, Key=it["Key"], VersionId=it["VersionId"])

    def empty(self):
        """Takes away all that is in it."""
        self.remove()
        for it in self.uploads():
            self.s3.abort_multipart_upload(
                Bucket=self.bucket, Key=it["Key"], UploadId=it["UploadId"]
            )

    def fault(self, *arguments):
        """Lets requests of this account fail; gives the rule's id."""
        added = self.emulator.cli("fault", "add", "--account", self.account, "--json", *arguments)
        return json.loads(added.stdout)[0]["id"]

    def fired(self, rule):
        """How often a rule fired."""
        rules = json.loads(self.emulator.cli("fault", "list", "--json").stdout)
        return next(it["fired"] for it in rules if it["id"] == rule)

    def slow(self, rate):
        """Lets parts be sent at so many bytes a second, each."""
        self.fault(
            "--service",
            "s3",
            "--operation",
            "UploadPart",
            "--slow",
            "request",
            "--bytes-per-second",
            rate,
        )

    def hold(self):
        """Lets no upload be completed: a push stays at it until it is killed."""
        self.fault("--service", "s3", "--operation", "CompleteMultipartUpload", "--status", "503")

    def clear(self):
        """Ends all faults."""
        self.emulator.cli("fault", "clear")
