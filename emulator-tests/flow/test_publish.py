"""From a file to an AMI with the shipped `uploader` alone: the vault that `vault init` makes, and
the image that `push` puts there."""

import json

from flow.own_vault import VAULT
from flow.sample import sample, written
from harness.target import content
from harness.waiting import LONG


def test_publish_goes_from_a_pack_to_an_ami(uploader, aws, tmp_path):
    uploader("vault", "init")
    first, second = sample(version=1), sample(version=2)
    ec2 = aws.client("ec2")
    amis = []
    for number, image in enumerate((first, second)):
        pack = written(image, tmp_path / str(number))
        if number == 0:
            dry = uploader("publish", pack, "--dry-run")
            assert "would request web-" in dry.stdout
            assert ec2.describe_images(Owners=["self"])["Images"] == []
        with uploader.start("agent", "--once") as running:
            done = uploader("publish", pack, "--image-version", number + 1, parse=True)
            assert running.wait(LONG) == 0
            running.communicate()
        (region,) = done.json["regions"]
        assert region["digest"] == image.digest
        amis.append(region["ami"])
        found = content(aws.client("ebs"), region["snapshot"])
        assert {index: found[index] for index in image.put} == image.put
    assert len(set(amis)) == 2
    made = ec2.describe_images(ImageIds=amis)["Images"]
    tags = [{it["Key"]: it["Value"] for it in image["Tags"]} for image in made]
    assert {it["image-vault:version"] for it in tags} == {"1", "2"}
    assert {it["image-vault:vault"] for it in tags} == {VAULT}

    # The second snapshot is the first one's child: one block.
    key = f"requests/{region['request']}.progress.json"
    bucket = f"{VAULT}-{aws.account}-us-east-1"
    body = aws.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    assert json.loads(body)["total"] == 1
    shown = uploader("requests", parse=True).json["regions"][0]
    assert [it["phase"] for it in shown["requests"]] == ["finished"] * 2
    assert (shown["waiting"], shown["taken"], shown["dead_letters"]) == (0, 0, [])
    for ami in amis:
        assert uploader("verify", ami, check=False).returncode == 0
