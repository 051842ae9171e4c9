"""Who calls: credentials that are missing, expired, of a profile or of SSO, and a clock that is
wrong. Whatever is the matter, it is said what to do, and nothing is sent and nothing left."""

import hashlib
import http.server
import json
import re
import sys
import threading
from pathlib import Path

import pytest

from flow.own_vault import OwnVault
from flow.sample import sample, written
from harness.programs import run

AMI = "ami-0123456789abcdef0"


class Home:
    """A home directory with a `.aws`, and `uploader` as who lives there runs it: without keys in
    the environment."""

    def __init__(self, uploader, folder):
        self.uploader, self.folder, self.aws = uploader, folder, folder / ".aws"
        self.aws.mkdir()

    def config(self, text):
        (self.aws / "config").write_text(text)

    def token(self, of, expires="2099-01-01T00:00:00Z", token="good"):
        """What `aws sso login` leaves there for a session or, of old, a start URL."""
        cache = self.aws / "sso/cache"
        cache.mkdir(parents=True, exist_ok=True)
        said = {
            "accessToken": token,
            "expiresAt": expires,
            "region": "us-east-1",
            "startUrl": START,
        }
        (cache / f"{hashlib.sha1(of.encode()).hexdigest()}.json").write_text(json.dumps(said))

    def environment(self, **more):
        keys = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_DEFAULT_REGION")
        return dict.fromkeys(keys) | {"HOME": str(self.folder)} | more

    def __call__(self, *arguments, **more):
        return self.uploader(*arguments, check=False, env=self.environment(**more))

    def caller(self, *arguments, **more):
        """The account and region that a command finds: as the name says of the vault that it
        misses."""
        done = self("vault", "list", *arguments, **more)
        found = re.search(r"there is no vault image-vault-(\d{12})-(\S+)", done.stderr)
        assert done.returncode == 1 and found, done.stderr
        return found.groups()


@pytest.fixture
def home(uploader, tmp_path):
    return Home(uploader, tmp_path)


@pytest.fixture
def vault(aws, emulator):
    """A vault with an image in it; faults end with the test."""
    it = OwnVault(aws)
    it.push(sample())
    yield it
    emulator.cli("fault", "clear")


@pytest.fixture
def fault(emulator, aws):
    def add(service, operation, status, code, *more):
        rule = ("--service", service, "--operation", operation, "--status", status, "--code", code)
        emulator.cli("fault", "add", "--account", aws.account, *rule, *more)

    return add


@pytest.fixture
def commands(tmp_path):
    """Commands that call AWS, by their names."""
    pack = written(sample(version=2), tmp_path / "pack")
    return {
        "init": ("vault", "init"),
        "push": ("push", pack),
        "convert": ("convert", "web", "--no-launch"),
        "publish": ("publish", pack, "--no-launch"),
        "requests": ("requests",),
        "agent": ("agent", "--until-idle", 2),
        "bootstrap": ("converter", "bootstrap"),
        "verify": ("verify", AMI, "--image", "web"),
        "launch": ("launch", AMI),
    }


def refused(done, *words):
    """A command that something around it ended, with these words."""
    assert done.returncode == 3 and done.stdout == "", done
    assert "panicked" not in done.stderr and "hint: " in done.stderr
    for word in words:
        assert word in done.stderr, done.stderr


def untouched(vault):
    """Nothing was sent, and nothing is left, as is seen once nothing is in the way."""
    vault.aws.emulator.cli("fault", "clear")
    assert vault.is_empty() and vault.waiting() == 0 and vault.letters() == []
    kept = vault.s3.list_object_versions(Bucket=vault.bucket)["Versions"]
    own = (sample().key, f"packs/{sample().pack_digest}")
    assert sorted(it["Key"] for it in kept if not it["Key"].startswith("converter/")) == sorted(own)
    assert "Uploads" not in vault.s3.list_multipart_uploads(Bucket=vault.bucket)


# None, and such as were good once.


def test_without_credentials_every_command_says_how_to_get_some(vault, home, commands):
    for command in commands.values():
        done = home(*command, AWS_REGION="us-east-1")
        refused(done, "credential", "--profile", "aws sso login", "AWS_ACCESS_KEY_ID")
    untouched(vault)


EXPIRED = [
    ("push", "sts", "GetCallerIdentity", 403, "ExpiredToken"),
    ("push", "s3", "ListObjectsV2", 400, "ExpiredToken"),
    ("push", "s3", "PutObject", 400, "TokenRefreshRequired"),
    ("convert", "s3", "ListObjectsV2", 400, "ExpiredToken"),
    ("convert", "kms", "Sign", 400, "ExpiredTokenException"),
    ("convert", "sqs", "SendMessage", 403, "ExpiredToken"),
    ("agent", "kms", "DescribeKey", 400, "ExpiredTokenException"),
    ("agent", "sqs", "ReceiveMessage", 403, "ExpiredToken"),
    ("bootstrap", "ebs", "StartSnapshot", 403, "ExpiredTokenException"),
    ("verify", "ec2", "DescribeImages", 400, "RequestExpired"),
    ("launch", "ec2", "DescribeImages", 400, "RequestExpired"),
]


@pytest.mark.parametrize(("command", "service", "operation", "status", "code"), EXPIRED)
def test_credentials_that_have_expired(
    vault, uploader, fault, commands, command, service, operation, status, code
):
    fault(service, operation, status, code, "--message", "The security token is expired")
    done = uploader(*commands[command], check=False)
    refused(done, f"{service} {operation}: {code}: The security token is expired")
    refused(done, "the credentials have expired: sign in again (aws sso login), or get new keys")
    untouched(vault)


# Profiles.


def test_a_profile_says_who_calls_and_where(aws, home, emulator):
    home.config(
        f"""[default]
region = us-east-1
aws_access_key_id = {aws.account}
aws_secret_access_key = secret
[profile there]
region = eu-west-1
aws_access_key_id = {aws.other}
aws_secret_access_key = secret
"""
    )
    mine, there = (aws.account, "us-east-1"), (aws.other, "eu-west-1")
    keys = {"AWS_ACCESS_KEY_ID": aws.account, "AWS_SECRET_ACCESS_KEY": "secret"}
    profile = ("--profile", "there")
    for arguments, more, expected in (
        ((), {}, mine),
        (profile, {}, there),
        ((), {"AWS_PROFILE": "there"}, there),
        # Who names a profile means that one, whatever keys are left in the environment.
        (profile, keys, there),
        ((), {"AWS_PROFILE": "there"} | keys, (aws.account, "eu-west-1")),
    ):
        assert home.caller(*arguments, **more) == expected, (arguments, more)
        # So does the AWS CLI.
        world = home.uploader.environment(**home.environment(**more))
        ask = ("sts", "get-caller-identity", "--query", "Account", "--output", "text")
        cli = Path(sys.executable).with_name("aws")
        assert run(cli, *ask, *arguments, env=world).stdout.strip() == expected[0]
    assert home.caller(*profile, "--region", "eu-central-1") == (aws.other, "eu-central-1")


def test_a_profile_of_a_role(aws, home):
    iam = aws.client("iam", aws.other)
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    role = iam.create_role(RoleName="deploy", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    home.config(
        f"""[profile base]
aws_access_key_id = {aws.account}
aws_secret_access_key = secret
[profile deploy]
region = us-east-1
role_arn = {role}
source_profile = base
"""
    )
    assert home.caller("--profile", "deploy") == (aws.other, "us-east-1")
    assert home.caller(AWS_PROFILE="deploy") == (aws.other, "us-east-1")
    done = home("vault", "init", "--profile", "deploy")
    assert done.returncode == 0, done.stderr
    assert f"as arn:aws:sts::{aws.other}:assumed-role/deploy/" in done.stderr


def test_a_profile_whose_process_says_the_keys(aws, home):
    program = home.folder / "corp-login"
    keys = {"Version": 1, "AccessKeyId": aws.account, "SecretAccessKey": "secret"}
    program.write_text(f"#!/bin/sh\necho '{json.dumps(keys)}'\n")
    program.chmod(0o755)
    home.config(f"[profile corp]\nregion = us-east-1\ncredential_process = {program}\n")
    assert home.caller("--profile", "corp") == (aws.account, "us-east-1")
    program.write_text("#!/bin/sh\necho your session is over >&2\nexit 1\n")
    for arguments, more in ((("--profile", "corp"), {}), ((), {"AWS_PROFILE": "corp"})):
        refused(home("vault", "init", *arguments, **more), "your session is over")


def test_a_profile_that_there_is_not(aws, home):
    home.config("[profile other]\nregion = us-east-1\n")
    keys = {"AWS_ACCESS_KEY_ID": aws.account, "AWS_SECRET_ACCESS_KEY": "secret"}
    for name in ("none", "other"):
        for more in ({}, keys):
            done = home("vault", "init", "--profile", name, AWS_REGION="us-east-1", **more)
            refused(done, f"profile {name}: ", "~/.aws/config")


# SSO.

START = "https://corp.example/start"


class Portal(http.server.BaseHTTPRequestHandler):
    """GetRoleCredentials of AWS's access portal."""

    def do_GET(self):
        is_good = self.headers.get("x-amz-sso_bearer_token") == "good"
        keys = {
            "accessKeyId": self.server.account,
            "secretAccessKey": "secret",
            "sessionToken": "token",
            "expiration": 4_000_000_000_000,
        }
        said = {"roleCredentials": keys} if is_good else {"message": "Session token is invalid"}
        text = json.dumps(said).encode()
        self.send_response(200 if is_good else 401)
        if not is_good:
            self.send_header("x-amzn-ErrorType", "UnauthorizedException")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


@pytest.fixture
def sso(aws, home):
    """Two profiles of SSO, one as they are now and one of old; the portal's address."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Portal)
    server.account = aws.account
    threading.Thread(target=server.serve_forever, daemon=True).start()
    both = f"sso_account_id = {aws.account}\nsso_role_name = publisher\nregion = us-east-1\n"
    where = f"sso_start_url = {START}\nsso_region = us-east-1\n"
    home.config(
        f"[sso-session corp]\n{where}[profile new]\nsso_session = corp\n{both}"
        f"[profile old]\n{where}{both}"
    )
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(("profile", "of"), [("new", "corp"), ("old", START)])
def test_a_profile_of_sso(aws, home, sso, profile, of):
    named = ((("--profile", profile), {}), ((), {"AWS_PROFILE": profile}))

    def signed_out():
        for arguments, more in named:
            done = home("vault", "init", *arguments, AWS_ENDPOINT_URL_SSO=sso, **more)
            refused(done, f"aws sso login --profile {profile}")

    signed_out()
    home.token(of)
    for arguments, more in named:
        found = home.caller(*arguments, AWS_ENDPOINT_URL_SSO=sso, **more)
        assert found == (aws.account, "us-east-1")
    # Some hours later; and after somebody ended the session elsewhere.
    home.token(of, expires="2026-01-01T00:00:00Z", token="over")
    signed_out()
    home.token(of, token="revoked")
    signed_out()
    assert aws.client("kms").list_keys()["Keys"] == []


# The clock.

LATE = "Signature expired: 20261122T010000Z is now earlier than 20261122T020000Z"
EARLY = "Signature not yet current: 20261122T030000Z is still later than 20261122T020000Z"
LARGE = "The difference between the request time and the current time is too large."
CLOCKS = [
    ("push", "sts", "GetCallerIdentity", 403, "SignatureDoesNotMatch", LATE),
    ("push", "sts", "GetCallerIdentity", 403, "SignatureDoesNotMatch", EARLY),
    ("push", "s3", "ListObjectsV2", 403, "RequestTimeTooSkewed", LARGE),
    ("push", "s3", "PutObject", 403, "RequestTimeTooSkewed", LARGE),
    ("convert", "kms", "Sign", 400, "InvalidSignatureException", LATE),
    ("convert", "sqs", "SendMessage", 400, "InvalidSignatureException", EARLY),
    ("bootstrap", "ebs", "StartSnapshot", 403, "InvalidSignatureException", LATE),
    ("verify", "ec2", "DescribeImages", 400, "RequestExpired", "Request has expired."),
    ("launch", "ec2", "DescribeImages", 401, "AuthFailure", "AWS was not able to validate"),
]


@pytest.mark.parametrize(("command", "service", "operation", "status", "code", "message"), CLOCKS)
def test_a_clock_that_is_wrong(
    vault, uploader, fault, commands, command, service, operation, status, code, message
):
    fault(service, operation, status, code, "--message", message)
    done = uploader(*commands[command], check=False)
    refused(done, f"{service} {operation}: {code}: {message}", "this machine's clock is wrong")
    untouched(vault)


def test_a_secret_that_is_another_is_not_the_clocks_fault(vault, uploader, fault, commands):
    message = "The request signature we calculated does not match the signature you provided."
    fault("sts", "GetCallerIdentity", 403, "SignatureDoesNotMatch", "--message", message)
    done = uploader(*commands["push"], check=False)
    refused(done, message, "access key, secret and session token")
    assert "clock" not in done.stderr
    untouched(vault)
