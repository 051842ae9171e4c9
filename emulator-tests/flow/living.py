"""Converters that live: an account in which they boot in QEMU, and what there is to see of them."""

import json

from flow.own_vault import VAULT
from flow.program import Uploader
from harness.waiting import until

# A guest is translated, several of them and other tests beside it.
BOOTS = 600
# Who asks more often takes its time.
EVERY = 0.25
UP = ("pending", "running")


class Living:
    """A test's own account: a vault, and an AMI that its converters boot from."""

    def __init__(self, emulator, name):
        self.emulator = emulator
        self.aws = emulator.target(name)
        self.uploader = Uploader(emulator, self.aws.account)
        self.ec2, self.s3 = self.aws.client("ec2"), self.aws.client("s3")
        self.bucket = f"{VAULT}-{self.aws.account}-us-east-1"
        self.uploader("vault", "init")
        (self.own,) = self.uploader("converter", "bootstrap", parse=True).json["regions"]

    def end(self):
        """Cuts the power of what a test that failed left: the next one wants its place."""
        self.slow(0)
        left = [it["InstanceId"] for it in self.instances(*UP)]
        if left:
            self.ec2.terminate_instances(InstanceIds=left, SkipOsShutdown=True)

    def slow(self, seconds):
        """Lets each block that is put take so long."""
        self.emulator.cli("fault", "clear")
        if seconds:
            rule = ("--service", "ebs", "--operation", "PutSnapshotBlock")
            own = ("--account", self.aws.account, "--delay-ms", seconds * 1000)
            self.emulator.cli("fault", "add", *rule, *own)

    def at_work(self):
        """How many of the account's requests are being answered."""
        return self.emulator.at_work(self.aws.account)

    def publish(self, image, *arguments):
        """Publishes an image, and does not wait."""
        return self.uploader.start("publish", image.pack, *arguments, "--json")

    def published(self, process):
        """The AMI that one who publishes comes to."""
        stdout, stderr = process.communicate(timeout=BOOTS)
        assert process.returncode == 0, f"{stdout}\n{stderr}"
        (region,) = json.loads(stdout)["regions"]
        return region["ami"]

    def instances(self, *states):
        """All that there are or were, or those in these states."""
        found = self.ec2.describe_instances()["Reservations"]
        all = [it for one in found for it in one["Instances"]]
        return [it for it in all if not states or it["State"]["Name"] in states]

    def instance(self, id):
        (it,) = (it for it in self.instances() if it["InstanceId"] == id)
        return it

    def converter(self):
        """The one that is there, once one is."""
        (it,) = until(lambda: self.instances(*UP), "a converter", BOOTS, EVERY)
        return it["InstanceId"]

    def ended(self, id):
        """How an instance ended, once it has."""

        def state():
            return self.instance(id)["State"]["Name"]

        until(lambda: state() == "terminated", f"{id}'s end", BOOTS, EVERY)
        return self.instance(id)["StateReason"]["Code"]

    def machine(self, id):
        """What the emulator says of an instance."""
        (it,) = (
            it for it in json.loads(self.emulator.cli("ps", "--json").stdout) if it["id"] == id
        )
        return it

    def console(self, id):
        return self.emulator.cli("console", id).stdout

    def until(self, id, done, what):
        """Waits for something that is not without this instance, whose console says why if it
        ends."""

        def look():
            lives = self.instance(id)["State"]["Name"] in UP
            answer = done()
            assert answer or lives, f"{id} has ended, without {what}:\n{self.console(id)}"
            return answer

        return until(look, what, BOOTS, EVERY)

    def shows(self, id, text, times=1):
        """Waits until an instance's console shows a text so often."""
        self.until(id, lambda: self.console(id).count(text) >= times, f"{text!r} on its console")

    def open_ports(self, id):
        return json.loads(self.emulator.cli("ports", id, "--json").stdout)

    def heartbeat(self, id):
        """What a converter says of itself."""
        key = f"converter/heartbeats/{id}.json"
        return json.loads(self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read())

    def records(self):
        """The requests that agents have taken up."""
        found = self.s3.list_objects_v2(Bucket=self.bucket, Prefix="requests/").get("Contents", [])
        keys = [it["Key"].removeprefix("requests/") for it in found]
        return [it.removesuffix(".json") for it in keys if it.count(".") == 1]

    def progress(self, request):
        """How far a request is, or was when that was last said."""
        try:
            key = f"requests/{request}.progress.json"
            return json.loads(self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read())
        except self.s3.exceptions.NoSuchKey:
            return None

    def snapshot_of(self, ami):
        (image,) = self.ec2.describe_images(ImageIds=[ami])["Images"]
        return image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]

    def verified(self, pairs):
        """That AMIs hold the bytes of their images."""
        for image, ami in pairs:
            read = self.uploader("verify", ami, parse=True).json
            assert read["equal"] and read["name"] == image.name, read

    def holds_only(self, amis):
        """That of all that was made, these AMIs are left, and what each of them consists of."""
        images = self.ec2.describe_images(Owners=["self"])["Images"]
        assert sorted(it["ImageId"] for it in images) == sorted([self.own["ami"], *amis])
        ebs = [it["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"] for it in images]
        snapshots = self.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
        assert sorted(it["SnapshotId"] for it in snapshots) == sorted(ebs)
        requests = [tags(it)["image-vault:request"] for it in images if it["ImageId"] in amis]
        assert len(set(requests)) == len(amis), requests


def tags(of):
    return {it["Key"]: it["Value"] for it in of["Tags"]}
