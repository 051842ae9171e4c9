"""Tags."""

from .rule import rule

CODES = "EC2 error codes"


def tags_of(t, resource):
    """A resource's tags."""
    return lambda: t.ec2.describe_tags(Filters=[{"Name": "resource-id", "Values": [resource]}])[
        "Tags"
    ]


@rule("51 tags", "ec2 CreateTags", "400 TagLimitExceeded", CODES)
def too_many_tags(t):
    volume = t.volume()
    tags = [{"Key": f"key {number}", "Value": "value"} for number in range(51)]
    return lambda: t.ec2.create_tags(Resources=[volume], Tags=tags), tags_of(t, volume)


@rule("a tag of AWS's own (`aws:`)", "ec2 CreateTags", "400 InvalidParameterValue", CODES)
def aws_tag(t):
    volume = t.volume()
    tag = {"Key": "aws:owner", "Value": "me"}
    return lambda: t.ec2.create_tags(Resources=[volume], Tags=[tag]), tags_of(t, volume)


@rule("a tag key of 129 characters", "ec2 CreateTags", "400 InvalidParameterValue", CODES)
def long_tag_key(t):
    volume = t.volume()
    tag = {"Key": "k" * 129, "Value": "me"}
    return lambda: t.ec2.create_tags(Resources=[volume], Tags=[tag]), tags_of(t, volume)


@rule("tags for what is not there", "ec2 CreateTags", "400 InvalidVolume.NotFound", CODES)
def tag_unknown_volume(t):
    there = t.volume()
    tag = {"Key": "key", "Value": "value"}
    resources = [there, "vol-0123456789abcdef0"]
    return lambda: t.ec2.create_tags(Resources=resources, Tags=[tag]), tags_of(t, there)


@rule(
    "tags for another kind of resource",
    "ec2 CreateVolume",
    "400 InvalidParameterValue",
    "EC2 API: CreateVolume (TagSpecification)",
)
def tags_for_another_kind(t):
    specification = {"ResourceType": "image", "Tags": [{"Key": "key", "Value": "value"}]}

    def count():
        return len(t.ec2.describe_volumes()["Volumes"])

    return lambda: t.ec2.create_volume(
        AvailabilityZone="us-east-1a", Size=1, TagSpecifications=[specification]
    ), count
