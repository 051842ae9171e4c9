#!/usr/bin/env python3
"""Writes ec2.json and ebs.json: what the service models say about requests of the actions that
are our own (names on the wire, types, required members, enums, limits), and nothing else.

Run by hand when AWS adds something, with botocore installed:

    pip install botocore && python emulator-tests/crates/protocol/model/extract.py

The tables say which version of botocore they come from.
"""

import json
import pathlib

import botocore
import botocore.loaders

EC2 = """
AttachVolume CancelImageLaunchPermission CopyImage CopySnapshot CreateImage CreateSnapshot
CreateSnapshots CreateTags CreateVolume DeleteSnapshot DeleteTags DeleteVolume DeregisterImage
DescribeImageAttribute DescribeImageReferences DescribeImages DescribeInstanceAttribute
DescribeInstanceCreditSpecifications DescribeInstanceStatus DescribeInstances DescribeRegions
DescribeSnapshotAttribute
DescribeSnapshots DescribeTags DescribeVolumeAttribute DescribeVolumeStatus DescribeVolumes
DescribeVolumesModifications DetachVolume DisableEbsEncryptionByDefault DisableImage
DisableImageBlockPublicAccess DisableImageDeprecation DisableImageDeregistrationProtection
DisableSnapshotBlockPublicAccess EnableEbsEncryptionByDefault EnableImage
EnableImageBlockPublicAccess EnableImageDeprecation EnableImageDeregistrationProtection
EnableSnapshotBlockPublicAccess GetConsoleOutput GetEbsDefaultKmsKeyId
GetEbsEncryptionByDefault GetImageBlockPublicAccessState GetSnapshotBlockPublicAccessState
ModifyEbsDefaultKmsKeyId ModifyImageAttribute ModifyInstanceAttribute
ModifyInstanceMetadataOptions ModifySnapshotAttribute ModifyVolume ModifyVolumeAttribute
RebootInstances RegisterImage ResetEbsDefaultKmsKeyId ResetImageAttribute
ResetInstanceAttribute ResetSnapshotAttribute RunInstances StartInstances StopInstances
TerminateInstances
""".split()

EBS = """
CompleteSnapshot GetSnapshotBlock ListChangedBlocks ListSnapshotBlocks PutSnapshotBlock
StartSnapshot
""".split()

# Members that name an image, a snapshot, a volume or an instance.
IDS = {
    "AmiId",
    "ImageId",
    "ImageIds",
    "InstanceId",
    "InstanceIds",
    "SnapshotId",
    "SnapshotIds",
    "SourceImageId",
    "SourceInstanceId",
    "SourceSnapshotId",
    "SourceSnapshotIds",
    "SourceVolumeId",
    "VolumeId",
    "VolumeIds",
}

LIMITS = ("enum", "min", "max", "pattern")


def ec2_name(name, member):
    """The name that EC2's variant of the query protocol gives a member."""
    if "queryName" in member:
        return member["queryName"]
    if "locationName" in member:
        name = member["locationName"]
        return name[0].upper() + name[1:]
    return name


def rest_name(name, member):
    return member.get("locationName", name)


def table(service, actions, wire_name):
    model = botocore.loaders.Loader().load_service_model(service, "service-2")
    shapes = {}

    def visit(name):
        if name in shapes:
            return
        shape = model["shapes"][name]
        out = shapes[name] = {"type": shape["type"]}
        out.update({limit: shape[limit] for limit in LIMITS if limit in shape})
        if shape["type"] == "structure":
            out["members"] = members = {}
            for member_name, member in shape["members"].items():
                entry = members[wire_name(member_name, member)] = {"shape": member["shape"]}
                if member_name in shape.get("required", ()):
                    entry["required"] = True
                if "location" in member:
                    entry["in"] = member["location"]
                if shape.get("payload") == member_name:
                    entry["in"] = "payload"
                visit(member["shape"])
        elif shape["type"] == "list":
            out["member"] = shape["member"]["shape"]
            visit(out["member"])

    inputs = {}
    for action in actions:
        operation = model["operations"][action]
        inputs[action] = operation["input"]["shape"]
        visit(inputs[action])
    return {
        "apiVersion": model["metadata"]["apiVersion"],
        "botocore": botocore.__version__,
        "inputs": inputs,
        "shapes": shapes,
    }


def strange(service, actions):
    """Other actions whose requests have a member that names one of ours, however deep."""
    model = botocore.loaders.Loader().load_service_model(service, "service-2")

    def names(shape_name, above=()):
        if shape_name in above:
            return False
        shape = model["shapes"][shape_name]
        above += (shape_name,)
        if shape["type"] == "list":
            return names(shape["member"]["shape"], above)
        return shape["type"] == "structure" and any(
            name in IDS or names(member["shape"], above)
            for name, member in shape["members"].items()
        )

    return sorted(
        name
        for name, operation in model["operations"].items()
        if name not in actions and "input" in operation and names(operation["input"]["shape"])
    )


def compact(table):
    """JSON with one shape a line: small, and a change shows as a line."""
    shapes = table.pop("shapes")
    lines = [
        f"    {json.dumps(name)}: {json.dumps(shape, sort_keys=True, separators=(',', ':'))}"
        for name, shape in sorted(shapes.items())
    ]
    head = json.dumps(table, sort_keys=True, indent=2)[:-2]
    return head + ',\n  "shapes": {\n' + ",\n".join(lines) + "\n  }\n}\n"


def main():
    here = pathlib.Path(__file__).parent
    ec2 = table("ec2", EC2, ec2_name) | {"strange": strange("ec2", EC2)}
    (here / "ec2.json").write_text(compact(ec2))
    (here / "ebs.json").write_text(compact(table("ebs", EBS, rest_name)))


if __name__ == "__main__":
    main()
