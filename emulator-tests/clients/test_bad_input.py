"""What no client of AWS's sends, and a disk that is full: the gateway stays up and says what
happened."""

import contextlib
import os
import resource
import shutil
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from harness.emulator import Emulator
from harness.programs import ROOT, can_mount, needed
from harness.target import BLOCK, block, digest


def works(aws):
    """That the gateway takes and gives a block."""
    snapshot = aws.snapshot({0: block("works")})
    found = aws.ebs.list_snapshot_blocks(SnapshotId=snapshot)["Blocks"][0]
    answer = aws.ebs.get_snapshot_block(
        SnapshotId=snapshot, BlockIndex=0, BlockToken=found["BlockToken"]
    )
    assert answer["BlockData"].read() == block("works")


@contextlib.contextmanager
def connection(emulator, secure=True, timeout=60):
    """A socket to the gateway."""
    raw = socket.create_connection(("127.0.0.1", emulator.port), timeout=timeout)
    if secure:
        context = ssl.create_default_context(cafile=emulator.ca)
        raw = context.wrap_socket(raw, server_hostname="127.0.0.1")
    with raw:
        yield raw


def head(aws, path, length, method="PUT", data=b"", **headers):
    """A request's head, signed well enough: signatures are not verified."""
    now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    scope = f"{aws.account}/{now[:8]}/us-east-1/ebs/aws4_request"
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: localhost",
        f"Authorization: AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host;x-amz-date, "
        f"Signature={'0' * 64}",
        f"x-amz-date: {now}",
        "x-amz-Checksum-Algorithm: SHA256",
        f"x-amz-Checksum: {digest(data)}",
        f"x-amz-Data-Length: {BLOCK}",
        f"Content-Length: {length}",
        *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def answer(sock):
    """Status, and all that comes until the other side is done (or says no more)."""
    said = b""
    with contextlib.suppress(TimeoutError, ConnectionError, ssl.SSLError):
        while more := sock.recv(65536):
            said += more
            if b"\r\n\r\n" in said:
                headers, _, body = said.partition(b"\r\n\r\n")
                lengths = [
                    int(it.split(b":")[1])
                    for it in headers.split(b"\r\n")
                    if it.lower().startswith(b"content-length:")
                ]
                if lengths and len(body) >= lengths[0]:
                    break
    return (int(said.split()[1]) if said else None), said


def sent(sock, data):
    """Sends as much as the other side takes."""
    with contextlib.suppress(ConnectionError, ssl.SSLError, TimeoutError):
        sock.sendall(data)


@pytest.mark.parametrize("secure", [True, False], ids=("tls", "plain"))
def test_a_body_over_512_kib(aws, emulator, secure):
    snapshot = aws.start()
    data = block(0) + b"x"
    with connection(emulator, secure) as sock:
        sent(sock, head(aws, f"/snapshots/{snapshot}/blocks/0", len(data), data=data) + data)
        status, said = answer(sock)
    assert status in (400, 413), said
    assert b"ValidationException" in said or status == 413
    aws.complete(snapshot, 0)


def test_a_body_that_claims_8_gib_is_not_waited_for(aws, emulator):
    snapshot = aws.start()
    with connection(emulator) as sock:
        sent(sock, head(aws, f"/snapshots/{snapshot}/blocks/0", 8 << 30) + block(0) * 3)
        status, said = answer(sock)
    assert status in (400, 413), said
    works(aws)


@pytest.mark.parametrize("length", [1000, BLOCK - 1], ids=("much less", "one less"))
def test_a_content_length_that_says_less(aws, emulator, length):
    """The rest of the body is no request of its own that does anything."""
    snapshot = aws.start()
    data = block(0)
    with connection(emulator) as sock:
        sent(sock, head(aws, f"/snapshots/{snapshot}/blocks/0", length, data=data) + data)
        status, said = answer(sock)
    assert status == 400, said
    aws.complete(snapshot, 0)


def test_a_content_length_that_says_more(aws, emulator):
    """The client is gone before it sent what it promised: nothing was put."""
    snapshot = aws.start()
    with connection(emulator) as sock:
        sent(sock, head(aws, f"/snapshots/{snapshot}/blocks/0", BLOCK, data=block(0)))
        sent(sock, block(0)[:-1])
    works(aws)
    aws.complete(snapshot, 0)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x00\x01\x02\x03 nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\nHost: x\r\n\r\nxx",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: AWS4-HMAC-SHA256 Credential=\r\n\r\n",
    ],
    ids=("nonsense", "negative", "two lengths", "bad chunk", "long path", "many headers", "scope"),
)
@pytest.mark.parametrize("secure", [True, False], ids=("tls", "plain"))
def test_what_is_no_request(aws, emulator, request_bytes, secure):
    with connection(emulator, secure) as sock:
        sent(sock, request_bytes)
        status, said = answer(sock)
    assert status is None or 400 <= status < 500, said
    works(aws)


def test_1000_idle_connections(aws, emulator):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
    with contextlib.ExitStack() as stack:
        for number in range(1000):
            sock = stack.enter_context(connection(emulator, secure=False))
            # Some say nothing, some begin to.
            if number % 2:
                sock.sendall(b"PUT /snapshots/snap-0/blocks/0 HTTP/1.1\r\nHost:")
        works(aws)


def test_requests_that_are_not_of_the_api(aws):
    for method, path in (
        ("GET", "/snapshots"),
        ("DELETE", "/snapshots/snap-0123456789abcdef0"),
        ("PUT", "/snapshots/snap-0123456789abcdef0/blocks/99999999999999999999"),
        ("PUT", "/snapshots/%00/blocks/0"),
        ("GET", "/snapshots/snap-0123456789abcdef0/blocks/x?blockToken=x"),
        ("POST", "/snapshots"),
    ):
        with connection(aws.emulator) as sock:
            sent(sock, head(aws, path, 2, method) + b"{}")
            status, said = answer(sock)
        assert status and 400 <= status < 500, (method, path, said)


# A disk that is full.

SMALL = "48m"


def test_a_full_disk(tmp_path):
    """On a file system of 48 MiB that only processes of the test's own see: no container engine
    does, so LocalStack is a process."""
    if not can_mount():
        needed(Path("/proc/no-user-namespaces"), "unprivileged user namespaces are needed")
    directory = tmp_path / "small"
    directory.mkdir()
    script = f"mount -t tmpfs -o size={SMALL} none '{directory}' && exec \"$@\""
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-euc", script, "sh"]
        + [sys.executable, "-m", __name__, str(directory), "--localstack=process"],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        env=os.environ | {"PYTHONPATH": str(ROOT / "emulator-tests")},
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "filled after" in done.stdout


def full_disk(directory, localstack):
    """Runs where the directory is small."""
    data = directory / "data"
    emulator = Emulator(data, localstack)
    try:
        aws = emulator.target("full")
        before = aws.snapshot({0: block("before")})
        snapshot = aws.start()
        put = 0
        with pytest.raises(ClientError) as refused:
            for put in range(100):
                aws.put(snapshot, put, block(put))
        print(f"filled after {put}: {refused.value}")
        status = refused.value.response["ResponseMetadata"]["HTTPStatusCode"]
        message = refused.value.response["Error"]["Message"]
        assert status in (500, 503), refused.value
        assert "space" in message or "full" in message, message
        assert 10 < put < 96, put

        # It stays up, and reads.
        pid = emulator.status()["pid"]
        found = aws.ebs.list_snapshot_blocks(SnapshotId=before)["Blocks"][0]
        answer = aws.ebs.get_snapshot_block(
            SnapshotId=before, BlockIndex=0, BlockToken=found["BlockToken"]
        )
        assert answer["BlockData"].read() == block("before")
        # Records can't grow either, or they can: there is no third way.
        for number in range(200):
            try:
                aws.ec2.create_tags(
                    Resources=[before], Tags=[{"Key": f"k{number % 40}", "Value": "v" * 200}]
                )
            except ClientError as error:
                status = error.response["ResponseMetadata"]["HTTPStatusCode"]
                assert status == 503, error
                break

        # Space is freed: it works again, and nothing that was acknowledged is gone.
        aws.ec2.delete_snapshot(SnapshotId=before)
        aws.put(snapshot, put, block(put))
        aws.complete(snapshot, put + 1)
        aws.wait_snapshot(snapshot)
        blocks = aws.ebs.list_snapshot_blocks(SnapshotId=snapshot)["Blocks"]
        assert [it["BlockIndex"] for it in blocks] == [*range(put + 1)]
        for it in blocks:
            answer = aws.ebs.get_snapshot_block(
                SnapshotId=snapshot, BlockIndex=it["BlockIndex"], BlockToken=it["BlockToken"]
            )
            assert answer["BlockData"].read() == block(it["BlockIndex"])
        assert emulator.status()["pid"] == pid
    finally:
        emulator.down()
        shutil.rmtree(data, ignore_errors=True)


if __name__ == "__main__":
    full_disk(Path(sys.argv[1]), sys.argv[2])
