"""Images: RegisterImage, CopyImage, permissions, deprecation, deregistration."""

from harness.target import OTHER_REGION, block, registration

from .rule import rule

CODES = "EC2 error codes"
UNKNOWN_SNAPSHOT = "snap-0123456789abcdef0"
UNKNOWN_IMAGE = "ami-0123456789abcdef0"


def images_of(t):
    """The account's images, as they are."""
    return lambda: sorted(
        (image["ImageId"], image["Name"], image["State"], image["Public"])
        for image in t.ec2.describe_images(Owners=["self"])["Images"]
    )


def register(t, snapshot=None, **more):
    """The call, with one image's least arguments and these."""
    snapshot = snapshot or t.snapshot()
    return lambda: t.ec2.register_image(**registration(snapshot) | more), images_of(t)


def mapping(snapshot, name="/dev/xvda", **ebs):
    """A block device mapping of a snapshot."""
    return {"DeviceName": name, "Ebs": {"SnapshotId": snapshot} | ebs}


@rule("a name that another image has", "ec2 RegisterImage", "400 InvalidAMIName.Duplicate", CODES)
def duplicate_name(t):
    snapshot = t.snapshot()
    t.register(snapshot, Name="the same")
    return register(t, snapshot, Name="the same")


@rule("a name of 2 characters", "ec2 RegisterImage", "400 InvalidAMIName.Malformed", CODES)
def short_name(t):
    return register(t, Name="ab")


@rule("a name with a question mark", "ec2 RegisterImage", "400 InvalidAMIName.Malformed", CODES)
def malformed_name(t):
    return register(t, Name="what?")


@rule("no name", "ec2 RegisterImage", "400 MissingParameter", CODES)
def no_name(t):
    arguments = registration(t.snapshot())
    del arguments["Name"]
    return lambda: t.ec2.register_image(**arguments), images_of(t)


@rule("an unknown snapshot", "ec2 RegisterImage", "400 InvalidSnapshot.NotFound", CODES)
def image_of_unknown_snapshot(t):
    return register(t, UNKNOWN_SNAPSHOT)


@rule("a snapshot id that is none", "ec2 RegisterImage", "400 InvalidSnapshotID.Malformed", CODES)
def image_of_malformed_snapshot(t):
    return register(t, "snap-nothing")


@rule("a pending snapshot", "ec2 RegisterImage", "400 IncorrectState", CODES)
def image_of_pending_snapshot(t):
    return register(t, t.start())


@rule("another account's snapshot", "ec2 RegisterImage", "400 InvalidSnapshot.NotFound", CODES)
def image_of_foreign_snapshot(t):
    return register(t, t.snapshot(account=t.other))


@rule(
    "a volume smaller than its snapshot",
    "ec2 RegisterImage",
    "400 InvalidBlockDeviceMapping",
    CODES,
)
def image_smaller_than_snapshot(t):
    snapshot = t.snapshot(size=2)
    return register(t, snapshot, BlockDeviceMappings=[mapping(snapshot, VolumeSize=1)])


@rule("one device twice", "ec2 RegisterImage", "400 InvalidBlockDeviceMapping", CODES)
def duplicate_device(t):
    snapshot = t.snapshot()
    return register(t, snapshot, BlockDeviceMappings=[mapping(snapshot), mapping(snapshot)])


@rule(
    "a root device without a mapping",
    "ec2 RegisterImage",
    "400 InvalidBlockDeviceMapping",
    CODES,
)
def root_without_mapping(t):
    return register(t, RootDeviceName="/dev/sda1")


@rule("an unknown boot mode", "ec2 RegisterImage", "400 InvalidParameterValue", CODES)
def unknown_boot_mode(t):
    return register(t, BootMode="bios")


@rule("an unknown architecture", "ec2 RegisterImage", "400 InvalidParameterValue", CODES)
def unknown_architecture(t):
    return register(t, Architecture="amd64")


@rule(
    "a TPM without the boot mode uefi",
    "ec2 RegisterImage",
    "400 InvalidParameterCombination",
    "EC2 API: RegisterImage (TpmSupport)",
)
def tpm_without_uefi(t):
    return register(t, TpmSupport="v2.0", BootMode="legacy-bios")


@rule("a parameter that there is not", "ec2 RegisterImage", "400 UnknownParameter", CODES)
def unknown_parameter(t):
    t.ec2.meta.events.register("before-call.ec2.RegisterImage", add_parameter)
    return register(t)


def add_parameter(params, **_rest):
    """Adds one to a form."""
    params["body"]["NoSuchParameter"] = "1"


@rule("an image id that is none", "ec2 DescribeImages", "400 InvalidAMIID.Malformed", CODES)
def malformed_image(t):
    return lambda: t.ec2.describe_images(ImageIds=["ami-nothing"])


@rule("an unknown image", "ec2 DescribeImages", "400 InvalidAMIID.NotFound", CODES)
def unknown_image(t):
    return lambda: t.ec2.describe_images(ImageIds=[UNKNOWN_IMAGE])


@rule("another account's image", "ec2 DescribeImages", "400 InvalidAMIID.NotFound", CODES)
def describe_foreign_image(t):
    image = t.register(account=t.other)
    return lambda: t.ec2.describe_images(ImageIds=[image])


@rule("another region's image", "ec2 DescribeImages", "400 InvalidAMIID.NotFound", CODES)
def describe_image_of_another_region(t):
    image = t.register()
    ec2 = t.client("ec2", region=OTHER_REGION)
    return lambda: ec2.describe_images(ImageIds=[image])


@rule("an unknown filter", "ec2 DescribeImages", "400 InvalidParameterValue", CODES)
def unknown_filter(t):
    return lambda: t.ec2.describe_images(Filters=[{"Name": "colour", "Values": ["red"]}])


@rule("a page token that was made up", "ec2 DescribeImages", "400 InvalidNextToken", CODES)
def made_up_next_token(t):
    return lambda: t.ec2.describe_images(Owners=["self"], NextToken="nothing", MaxResults=5)


@rule("a dry run", "ec2 RegisterImage", "412 DryRunOperation", "EC2 API: RegisterImage (DryRun)")
def dry_run(t):
    return register(t, DryRun=True)


def foreign_image(t, shared=False):
    """Another account's image, and what it is like for its owner."""
    image = t.register(account=t.other)
    ec2 = t.client("ec2", t.other)
    if shared:
        ec2.modify_image_attribute(ImageId=image, LaunchPermission={"Add": [{"UserId": t.account}]})

    def state():
        found = ec2.describe_images(ImageIds=[image])["Images"][0]
        shares = ec2.describe_image_attribute(ImageId=image, Attribute="launchPermission")
        return found["State"], found.get("Description"), shares["LaunchPermissions"]

    return image, state


@rule("copying another account's image", "ec2 CopyImage", "400 InvalidAMIID.NotFound", CODES)
def copy_foreign_image(t):
    image, _state = foreign_image(t)
    return lambda: t.ec2.copy_image(
        SourceImageId=image, SourceRegion="us-east-1", Name="mine"
    ), images_of(t)


@rule(
    "copying an image whose snapshot is not shared",
    "ec2 CopyImage",
    "400 InvalidRequest",
    "observed",
)
def copy_image_without_its_snapshot(t):
    image, _state = foreign_image(t, shared=True)
    return lambda: t.ec2.copy_image(
        SourceImageId=image, SourceRegion="us-east-1", Name="mine"
    ), images_of(t)


@rule(
    "sharing another account's image",
    "ec2 ModifyImageAttribute",
    "400 InvalidAMIID.NotFound",
    CODES,
)
def share_foreign_image(t):
    image, state = foreign_image(t)
    return lambda: t.ec2.modify_image_attribute(
        ImageId=image, LaunchPermission={"Add": [{"UserId": t.account}]}
    ), state


@rule(
    "changing an image that was shared with the caller",
    "ec2 ModifyImageAttribute",
    "400 AuthFailure",
    CODES,
)
def change_shared_image(t):
    image, state = foreign_image(t, shared=True)
    return lambda: t.ec2.modify_image_attribute(
        ImageId=image, Description={"Value": "mine now"}
    ), state


@rule(
    "deregistering an image that was shared with the caller",
    "ec2 DeregisterImage",
    "400 AuthFailure",
    CODES,
)
def deregister_shared_image(t):
    image, state = foreign_image(t, shared=True)
    return lambda: t.ec2.deregister_image(ImageId=image), state


@rule(
    "sharing with an account of 3 digits",
    "ec2 ModifyImageAttribute",
    "400 InvalidAMIAttributeItemValue",
    CODES,
)
def share_with_malformed_account(t):
    image = t.register()

    def shares():
        return t.ec2.describe_image_attribute(ImageId=image, Attribute="launchPermission")[
            "LaunchPermissions"
        ]

    return lambda: t.ec2.modify_image_attribute(
        ImageId=image, LaunchPermission={"Add": [{"UserId": "123"}]}
    ), shares


@rule(
    "making an image of an encrypted snapshot public",
    "ec2 ModifyImageAttribute",
    "400 UnsupportedOperation",
    "EC2 API: ModifyImageAttribute; the code is assumed",
)
def publish_encrypted_image(t):
    image = t.register(t.snapshot(Encrypted=True, KmsKeyArn=t.key()))
    return lambda: t.ec2.modify_image_attribute(
        ImageId=image, LaunchPermission={"Add": [{"Group": "all"}]}
    ), images_of(t)


@rule(
    "sharing an image of a snapshot that AWS's own key encrypts",
    "ec2 ModifyImageAttribute",
    "400 InvalidParameter",
    "observed: hashicorp/packer#7410",
)
def share_default_key_image(t):
    image = t.register(t.snapshot(Encrypted=True))
    return lambda: t.ec2.modify_image_attribute(
        ImageId=image, LaunchPermission={"Add": [{"UserId": t.other}]}
    ), images_of(t)


@rule(
    "deregistering a protected image",
    "ec2 DeregisterImage",
    "400 OperationNotPermitted",
    "EC2 API: EnableImageDeregistrationProtection",
)
def deregister_protected_image(t):
    image = t.register()
    t.ec2.enable_image_deregistration_protection(ImageId=image)
    return lambda: t.ec2.deregister_image(ImageId=image), images_of(t)


@rule("an unknown image", "ec2 DeregisterImage", "400 InvalidAMIID.NotFound", CODES)
def deregister_unknown_image(t):
    return lambda: t.ec2.deregister_image(ImageId=UNKNOWN_IMAGE)


@rule(
    "deprecating in the past",
    "ec2 EnableImageDeprecation",
    "400 InvalidParameterValue",
    "EC2 API: EnableImageDeprecation (DeprecateAt)",
)
def deprecate_in_the_past(t):
    image = t.register()

    def when():
        return t.ec2.describe_images(ImageIds=[image])["Images"][0].get("DeprecationTime")

    return lambda: t.ec2.enable_image_deprecation(
        ImageId=image, DeprecateAt="2020-01-01T00:00:00Z"
    ), when


@rule("launching a disabled image", "ec2 RunInstances", "400 InvalidAMIID.Unavailable", CODES)
def launch_disabled_image(t):
    image = t.register()
    t.ec2.disable_image(ImageId=image)
    return lambda: t.ec2.run_instances(
        ImageId=image, InstanceType="t3.micro", MinCount=1, MaxCount=1
    )


@rule(
    "an image's snapshot",
    "ec2 DeleteSnapshot",
    "400 InvalidSnapshot.InUse",
    "EC2 API: DeleteSnapshot",
)
def delete_snapshot_in_use(t):
    snapshot = t.snapshot({0: block(0)})
    t.register(snapshot)
    return lambda: t.ec2.delete_snapshot(SnapshotId=snapshot), lambda: t.ec2.describe_snapshots(
        SnapshotIds=[snapshot]
    )["Snapshots"][0]["State"]
