"""The shipped program `emulator`, as a user runs it."""

import http.client
import json
import os
import signal
import time
from pathlib import Path

from harness.programs import EMULATOR, run
from harness.target import Target


class Emulator:
    """An emulator that runs, with its state in a directory."""

    def __init__(self, data, *options):
        self.data = Path(data)
        self.options = options
        self.up()

    def up(self):
        """Starts it; says what it prints."""
        done = run(EMULATOR, "up", "--data", self.data, "--port", "0", "--json", *self.options)
        self.said = json.loads(done.stdout)
        self.port = int(self.said["address"].rsplit(":", 1)[1])
        self.endpoint = f"https://127.0.0.1:{self.port}"
        self.plain = f"http://127.0.0.1:{self.port}"
        self.ca = self.said["ca_bundle"]
        self.localstack = f"http://{self.said['localstack_address']}"
        self.pid = self.said["pid"]
        return self

    def cli(self, *arguments, **more):
        """Any other of its commands, on this one."""
        return run(EMULATOR, *arguments, "--data", self.data, **more)

    def status(self):
        """What `emulator status` says."""
        return json.loads(self.cli("status", "--json").stdout)["running"]

    def down(self):
        """Ends it."""
        self.cli("down")

    def kill(self):
        """Ends the gateway as a power cut would."""
        os.kill(self.pid, signal.SIGKILL)

    def at_work(self, account):
        """How many requests of an account are being answered."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET", "/_emulator/status")
            return json.load(connection.getresponse())["at_work"].get(account, 0)
        finally:
            connection.close()

    def quiet(self, account, seconds=300):
        """Waits until no request of an account is being answered. What a client sent before it was
        killed is done all the same, after its end; three looks, because the first may come before
        the gateway has seen the last of it."""
        end, looks = time.monotonic() + seconds, 0
        while looks < 3:
            looks = 0 if self.at_work(account) else looks + 1
            assert time.monotonic() < end, f"{account} is still being answered after {seconds} s"
            time.sleep(0.1)

    def target(self, name):
        """Its endpoint, for a test's own accounts."""
        return Ours(self, name)

    def environment(self, account, region="us-east-1"):
        """What `emulator up` tells a shell to export, for an account of the test's own."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.data),
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_CA_BUNDLE": self.ca,
            "AWS_ACCESS_KEY_ID": account,
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_EC2_METADATA_DISABLED": "true",
        }


class Ours(Target):
    """The emulator's endpoint."""

    def __init__(self, emulator, name):
        super().__init__(name, emulator.endpoint, emulator.ca, emulator.plain)
        self.emulator = emulator

    def advance(self, seconds):
        self.emulator.cli("clock", "advance", f"{seconds}s")
