"""Terraform, where it is installed with its AWS provider: it plans, applies, finds nothing to
change, and destroys. It is not among what .ci/setup installs; TERRAFORM_PLUGINS names a directory
of providers for a machine without a network."""

import json
import os
import shutil
import subprocess

import pytest

from harness.target import OTHER_REGION

MAIN = """
terraform {
  required_providers { aws = { source = "hashicorp/aws" } }
}
provider "aws" {
  region            = "us-east-1"
  s3_use_path_style = true
}
provider "aws" {
  alias             = "abroad"
  region            = "OTHER_REGION"
  s3_use_path_style = true
}
data "aws_caller_identity" "me" {}
resource "aws_kms_key" "vault" { description = "vault" }
resource "aws_kms_key" "abroad" {
  provider    = aws.abroad
  description = "vault abroad"
}
resource "aws_s3_bucket" "vault" {
  bucket = "vault-${data.aws_caller_identity.me.account_id}"
}
resource "aws_s3_bucket_server_side_encryption_configuration" "vault" {
  bucket = aws_s3_bucket.vault.id
  rule {
    apply_server_side_encryption_by_default {
      kms_master_key_id = aws_kms_key.vault.arn
      sse_algorithm     = "aws:kms"
    }
  }
}
resource "aws_ebs_volume" "data" {
  availability_zone = "us-east-1a"
  size              = 1
  encrypted         = true
  kms_key_id        = aws_kms_key.vault.arn
  tags              = { Name = "data" }
}
resource "aws_ebs_snapshot" "data" {
  volume_id = aws_ebs_volume.data.id
  tags      = { Name = "data" }
}
resource "aws_ami" "web" {
  name                = "web"
  virtualization_type = "hvm"
  root_device_name    = "/dev/xvda"
  boot_mode           = "uefi-preferred"
  ena_support         = true
  imds_support        = "v2.0"
  ebs_block_device {
    device_name = "/dev/xvda"
    snapshot_id = aws_ebs_snapshot.data.id
    volume_size = 8
    volume_type = "gp3"
  }
  tags = { app = "web" }
}
resource "aws_ami_copy" "abroad" {
  provider          = aws.abroad
  name              = "web"
  source_ami_id     = aws_ami.web.id
  source_ami_region = "us-east-1"
  encrypted         = true
  kms_key_id        = aws_kms_key.abroad.arn
}
resource "aws_ami_launch_permission" "other" {
  image_id   = aws_ami.web.id
  account_id = "OTHER_ACCOUNT"
}
output "image" { value = aws_ami.web.id }
output "copy" { value = aws_ami_copy.abroad.id }
"""


@pytest.fixture
def terraform(emulator, aws, tmp_path):
    program = shutil.which("terraform")
    if not program:
        pytest.skip("terraform is not installed")
    text = MAIN.replace("OTHER_REGION", OTHER_REGION).replace("OTHER_ACCOUNT", aws.other)
    (tmp_path / "main.tf").write_text(text)
    kept = {name: value for name, value in os.environ.items() if name.startswith("TF_")}
    environment = emulator.environment(aws.account) | kept | {"TF_IN_AUTOMATION": "1"}
    if "HOME" in os.environ:
        environment["HOME"] = os.environ["HOME"]

    def call(*arguments, codes=(0,), timeout=900):
        done = subprocess.run(
            [program, *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )
        assert done.returncode in codes, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    plugins = os.environ.get("TERRAFORM_PLUGINS")
    try:
        where = [f"-plugin-dir={plugins}"] if plugins else []
        call("init", "-input=false", "-no-color", *where, timeout=300)
    except (AssertionError, subprocess.TimeoutExpired) as error:
        # What TERRAFORM_PLUGINS names must be there.
        if plugins:
            raise
        pytest.skip(f"terraform has no AWS provider: {str(error)[-200:]}")
    return call


def test_an_image_and_its_copy(terraform, aws):
    terraform("apply", "-auto-approve", "-input=false", "-no-color")
    made = {name: it["value"] for name, it in json.loads(terraform("output", "-json")).items()}
    found = aws.ec2.describe_images(ImageIds=[made["image"]])["Images"][0]
    assert (found["BootMode"], found["ImdsSupport"]) == ("uefi-preferred", "v2.0")
    shared = aws.client("ec2", aws.other).describe_images(ExecutableUsers=["self"])["Images"]
    assert [it["ImageId"] for it in shared] == [made["image"]]
    # What was made is as it was asked for.
    terraform("plan", "-input=false", "-no-color", "-detailed-exitcode")
    terraform("destroy", "-auto-approve", "-input=false", "-no-color")
    assert aws.ec2.describe_images(Owners=["self"])["Images"] == []
    assert aws.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"] == []
