"""The table of rules: what AWS, we, LocalStack alone and moto alone answer to the same calls."""

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from types import MappingProxyType

from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError

from clients.rules import RULES, steps
from harness.target import REGION, SESSION, SESSION_LOCK, NotPossible, Target, refusal

PAGE = Path(__file__).parents[2] / "docs/emulator-rules.md"
BLESS = "EMULATOR_BLESS"

HEAD = f"""# The rules

What AWS refuses, and what the same call gets here, from LocalStack alone and from moto alone. Each
row is a test (`emulator-tests/clients/test_rules.py`, by the row's name) that runs unmodified boto3
against the shipped `emulator`, asserts code and HTTP status, and where something could be harmed by
the call, that it was not. `test_table.py` runs the calls against the other two and compares this
page with what it saw (`{BLESS}=1 just test-clients test_table.py` writes it anew).

"AWS" is what AWS's reference says: the page is named below it, "observed" where the reference
leaves it open and users' logs say it. In the other columns: **as AWS**, the same code and status; a
code and a status, another refusal; **accepted**, the call that AWS refuses went through; *missing*,
the operation or something that the rule needs first is not implemented there. LocalStack is the one
that is behind us, without the images that it has for each account otherwise.

"""


class LocalStack(Target):
    """LocalStack alone: it has no EBS direct API."""

    ebs_direct = False


class Moto(Target):
    """moto alone: an account is who assumed a role in it."""

    def __init__(self, name, endpoint):
        super().__init__(name, endpoint)
        self._keys = {}

    def keys(self, account):
        if account not in self._keys:
            with SESSION_LOCK:
                sts = SESSION.client(
                    "sts",
                    region_name=REGION,
                    endpoint_url=self.endpoint,
                    aws_access_key_id="test",
                    aws_secret_access_key="secret",
                )
            role = f"arn:aws:iam::{account}:role/tests"
            found = sts.assume_role(RoleArn=role, RoleSessionName="tests")["Credentials"]
            self._keys[account] = {
                "aws_access_key_id": found["AccessKeyId"],
                "aws_secret_access_key": found["SecretAccessKey"],
                "aws_session_token": found["SessionToken"],
            }
        return self._keys[account]


@contextlib.contextmanager
def moto():
    """moto's server on a free port of the loopback interface."""
    # Bound for as long as moto starts, so that the kernel gives the port to nobody else; moto may
    # take it because both say SO_REUSEADDR, and this one does not listen.
    held = socket.socket()
    held.bind(("127.0.0.1", 0))
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    port = held.getsockname()[1]
    program = Path(sys.executable).with_name("moto_server")
    server = subprocess.Popen(
        [program, "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # Not the caller's AWS, whatever happens.
        env={
            "PATH": os.environ["PATH"],
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "x",
        },
    )
    endpoint = f"http://127.0.0.1:{port}"
    try:
        for _attempt in range(1200):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(endpoint + "/moto-api/", timeout=5).close()
                break
            if server.poll() is not None:
                raise RuntimeError("moto_server ended")
            time.sleep(0.1)
        yield endpoint
    finally:
        server.terminate()
        server.wait()
        held.close()


AS_AWS = "as AWS"

# What this run has seen of us already: by `test_rules.py`, which asserts more.
SEEN = {}

NOT_IMPLEMENTED = ("InternalFailure", "NotImplemented", "UnknownOperationException")


def outcome(rule, target):
    """What an endpoint answers to a rule's call, in the table's words."""
    try:
        call, _unharmed = steps(rule, target)
    except (NotPossible, ClientError, ResponseParserError, AssertionError, LookupError):
        return "*missing*"
    try:
        call()
    except NotPossible:
        return "*missing*"
    except ClientError as error:
        code, status, _reason = refusal(error)
        if (code, status) == (rule.code, rule.status):
            return AS_AWS
        if status == 501 or code in NOT_IMPLEMENTED:
            return "*missing*"
        return f"{status}" if code == str(status) else f"{status} {code}"
    except ResponseParserError:
        # A page for people, where AWS's error should be.
        return "500"
    return "**accepted**"


def column(make, seen=MappingProxyType({})):
    """What an endpoint answers to all rules; `make` gives the target for a rule's name. What has
    been seen is not asked again."""
    return {name: seen.get(name) or outcome(rule, make(name)) for name, rule in RULES.items()}


def page(ours, localstack, others):
    """The page."""
    columns = {"here": ours, "LocalStack": localstack, "moto": others}
    lines = [HEAD.rstrip("\n"), ""]
    lines += [f"There are {len(RULES)} rules. ", ""]
    lines[-2] += " ".join(
        f"{name}: {sum(it == AS_AWS for it in column.values())} as AWS, "
        f"{sum(it.endswith('accepted**') for it in column.values())} accepted, "
        f"{sum(it.startswith('*missing*') for it in column.values())} missing."
        for name, column in columns.items()
    )
    group = None
    for name, rule in RULES.items():
        service = rule.prepare.__module__.rsplit(".", 1)[-1]
        if service != group:
            group = service
            title = (sys.modules[rule.prepare.__module__].__doc__ or "").strip().rstrip(".")
            lines += [f"## {title}", ""]
            lines += ["| call | what is refused | AWS | here | LocalStack | moto | test |"]
            lines += ["|---|---|---|---|---|---|---|"]
        cells = [
            rule.call,
            rule.what,
            f"{rule.answer}<br>{rule.source}",
            ours[name],
            localstack[name],
            others[name],
            f"`{name}`",
        ]
        lines.append("| " + " | ".join(cells) + " |")
        names = list(RULES)
        following = names.index(name) + 1
        if following == len(names) or (
            RULES[names[following]].prepare.__module__ != rule.prepare.__module__
        ):
            lines.append("")
    return "\n".join(lines)
