"""S3 and KMS: what a vault's security rests on."""

import contextlib
import datetime
import json
import ssl
import threading
import urllib.error
import urllib.request
from xml.etree import ElementTree

import botocore.auth
from botocore.exceptions import ClientError

from .rule import rule

POLICY_GUIDE = "S3 guide: bucket policies"
POINT = "S3 error codes"
KMS = "KMS API: {}"

# The clock that a thread signs by. Put in once and for all: columns of the table run side by side,
# and of two threads that each replace a function and put it back, one puts back the other's.
SIGNING = threading.local()
_now = botocore.auth.get_current_datetime


def _signing_time():
    return _now() - datetime.timedelta(hours=getattr(SIGNING, "hours_ago", 0))


botocore.auth.get_current_datetime = _signing_time


@contextlib.contextmanager
def signing(hours_ago):
    """Lets this thread sign by another clock."""
    SIGNING.hours_ago = hours_ago
    try:
        yield
    finally:
        del SIGNING.hours_ago


def bucket(t, policy=None):
    """A bucket of the account's, with a policy."""
    name = f"vault-{t.account}"
    t.s3.create_bucket(Bucket=name)
    if policy:
        document = json.dumps({"Version": "2012-10-17", "Statement": policy(name)})
        t.s3.put_bucket_policy(Bucket=name, Policy=document)
    return name


def deny(name, action, condition):
    """Denies everybody an action in a bucket, on a condition."""
    return {
        "Effect": "Deny",
        "Principal": "*",
        "Action": action,
        "Resource": [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"],
        "Condition": condition,
    }


def tls_only(name):
    """As the vault has it."""
    return [deny(name, "s3:*", {"Bool": {"aws:SecureTransport": "false"}})]


def encrypted_only(name):
    """As the vault has it: no other encryption than by KMS."""
    header = "s3:x-amz-server-side-encryption"
    return [deny(name, "s3:PutObject", {"StringNotEquals": {header: "aws:kms"}})]


def keys_of(t, name):
    """The objects of a bucket."""
    return lambda: [it["Key"] for it in t.s3.list_objects_v2(Bucket=name).get("Contents", [])]


@rule(
    "an object over plain HTTP, where the policy denies it",
    "s3 PutObject",
    "403 AccessDenied",
    POLICY_GUIDE,
)
def plain_transport_put(t):
    name = bucket(t, tls_only)
    plain = t.client("s3", plain=True)
    return lambda: plain.put_object(Bucket=name, Key="key", Body=b"x"), keys_of(t, name)


@rule(
    "reading over plain HTTP, where the policy denies it",
    "s3 GetObject",
    "403 AccessDenied",
    POLICY_GUIDE,
)
def plain_transport_get(t):
    name = bucket(t, tls_only)
    t.s3.put_object(Bucket=name, Key="key", Body=b"x")
    plain = t.client("s3", plain=True)
    return lambda: plain.get_object(Bucket=name, Key="key")


@rule(
    "an object with SSE-S3, where the policy wants KMS",
    "s3 PutObject",
    "403 AccessDenied",
    POLICY_GUIDE,
)
def wrong_encryption(t):
    name = bucket(t, encrypted_only)
    return lambda: t.s3.put_object(
        Bucket=name, Key="key", Body=b"x", ServerSideEncryption="AES256"
    ), keys_of(t, name)


@rule(
    "an object without encryption, where the policy wants KMS",
    "s3 PutObject",
    "403 AccessDenied",
    POLICY_GUIDE,
)
def missing_encryption(t):
    name = bucket(t, encrypted_only)
    return lambda: t.s3.put_object(Bucket=name, Key="key", Body=b"x"), keys_of(t, name)


@rule(
    "an upload in parts without encryption, where the policy wants KMS",
    "s3 CreateMultipartUpload",
    "403 AccessDenied",
    POLICY_GUIDE,
)
def missing_encryption_in_parts(t):
    name = bucket(t, encrypted_only)

    def uploads():
        return len(t.s3.list_multipart_uploads(Bucket=name).get("Uploads", []))

    return lambda: t.s3.create_multipart_upload(Bucket=name, Key="key"), uploads


@rule(
    "an object with another key than the policy's", "s3 PutObject", "403 AccessDenied", POLICY_GUIDE
)
def wrong_key(t):
    wanted, other = t.key(), t.key()
    header = "s3:x-amz-server-side-encryption-aws-kms-key-id"
    name = bucket(
        t, lambda name: [deny(name, "s3:PutObject", {"StringNotEquals": {header: wanted}})]
    )
    return lambda: t.s3.put_object(
        Bucket=name, Key="key", Body=b"x", ServerSideEncryption="aws:kms", SSEKMSKeyId=other
    ), keys_of(t, name)


@rule(
    "an object with a key that does not exist",
    "s3 PutObject",
    "400 KMS.NotFoundException",
    "observed",
)
def put_with_unknown_key(t):
    name = bucket(t)
    key = f"arn:aws:kms:us-east-1:{t.account}:key/11111111-2222-3333-4444-555555555555"
    return lambda: t.s3.put_object(
        Bucket=name, Key="key", Body=b"x", ServerSideEncryption="aws:kms", SSEKMSKeyId=key
    ), keys_of(t, name)


@rule(
    "an object with a key that is disabled", "s3 PutObject", "400 KMS.DisabledException", "observed"
)
def put_with_disabled_key(t):
    name, key = bucket(t), t.key()
    t.kms.disable_key(KeyId=key)
    return lambda: t.s3.put_object(
        Bucket=name, Key="key", Body=b"x", ServerSideEncryption="aws:kms", SSEKMSKeyId=key
    ), keys_of(t, name)


@rule(
    "reading an object whose key is disabled",
    "s3 GetObject",
    "400 KMS.DisabledException",
    "observed",
)
def get_with_disabled_key(t):
    name, key = bucket(t), t.key()
    t.s3.put_object(
        Bucket=name, Key="key", Body=b"x", ServerSideEncryption="aws:kms", SSEKMSKeyId=key
    )
    t.kms.disable_key(KeyId=key)
    return lambda: t.s3.get_object(Bucket=name, Key="key")


@rule(
    "a bucket's default key that does not exist, at the first object",
    "s3 PutObject",
    "400 KMS.NotFoundException",
    "observed",
)
def default_key_unknown(t):
    name = bucket(t)
    key = f"arn:aws:kms:us-east-1:{t.account}:key/11111111-2222-3333-4444-555555555555"
    by_default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    t.s3.put_bucket_encryption(
        Bucket=name,
        ServerSideEncryptionConfiguration={
            "Rules": [{"ApplyServerSideEncryptionByDefault": by_default}]
        },
    )
    return lambda: t.s3.put_object(Bucket=name, Key="key", Body=b"x"), keys_of(t, name)


@rule(
    "an object that is there already, with If-None-Match",
    "s3 PutObject",
    "412 PreconditionFailed",
    POINT,
)
def conditional_put(t):
    name = bucket(t)
    t.s3.put_object(Bucket=name, Key="key", Body=b"first")

    def content():
        return t.s3.get_object(Bucket=name, Key="key")["Body"].read()

    return lambda: t.s3.put_object(Bucket=name, Key="key", Body=b"second", IfNoneMatch="*"), content


@rule("an object whose checksum is another's", "s3 PutObject", "400 BadDigest", POINT)
def wrong_object_checksum(t):
    name = bucket(t)
    checksum = "n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg="
    return lambda: t.s3.put_object(
        Bucket=name, Key="key", Body=b"x", ChecksumSHA256=checksum
    ), keys_of(t, name)


@rule("KMS: an unknown key", "kms Encrypt", "400 NotFoundException", KMS.format("Encrypt"))
def encrypt_with_unknown_key(t):
    key = "11111111-2222-3333-4444-555555555555"
    return lambda: t.kms.encrypt(KeyId=key, Plaintext=b"x")


@rule(
    "KMS: a disabled key",
    "kms GenerateDataKey",
    "400 DisabledException",
    KMS.format("GenerateDataKey"),
)
def data_key_of_disabled_key(t):
    key = t.key()
    t.kms.disable_key(KeyId=key)
    return lambda: t.kms.generate_data_key(KeyId=key, KeySpec="AES_256")


@rule(
    "KMS: another encryption context",
    "kms Decrypt",
    "400 InvalidCiphertextException",
    KMS.format("Decrypt"),
)
def wrong_encryption_context(t):
    key = t.key()
    text = t.kms.encrypt(KeyId=key, Plaintext=b"x", EncryptionContext={"a": "b"})
    return lambda: t.kms.decrypt(
        CiphertextBlob=text["CiphertextBlob"], EncryptionContext={"a": "c"}
    )


def fetch(t, url):
    """Fetches a URL, and raises what boto3 raises."""
    context = ssl.create_default_context(cafile=t.ca) if t.ca else None
    try:
        with urllib.request.urlopen(url, context=context, timeout=30) as answer:
            return answer.read()
    except urllib.error.HTTPError as error:
        body = error.read()
        found = ElementTree.fromstring(body) if body.startswith(b"<") else None
        code = found.findtext("Code") if found is not None else str(error.code)
        raise ClientError(
            {
                "Error": {"Code": code, "Message": body.decode(errors="replace")},
                "ResponseMetadata": {"HTTPStatusCode": error.code},
            },
            "GetObject",
        ) from error


@rule(
    "a presigned URL that expired", "s3 GetObject", "403 AccessDenied", "S3 guide: presigned URLs"
)
def expired_presigned_url(t):
    name = bucket(t)
    t.s3.put_object(Bucket=name, Key="key", Body=b"x")
    with signing(hours_ago=1):
        url = t.client("s3", signature_version="s3v4").generate_presigned_url(
            "get_object", Params={"Bucket": name, "Key": "key"}, ExpiresIn=60
        )
    return lambda: fetch(t, url)


@rule("a request that was signed an hour ago", "s3 PutObject", "403 RequestTimeTooSkewed", POINT)
def skewed_clock(t):
    name = bucket(t)
    check = keys_of(t, name)

    def put():
        with signing(hours_ago=1):
            t.s3.put_object(Bucket=name, Key="key", Body=b"x")

    return put, check
