"""Instances."""

from .rule import rule

CODES = "EC2 error codes"


def state(t, instance):
    """An instance's state."""
    return lambda: t.ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][
        0
    ]["State"]["Name"]


def instances_of(t):
    """How many instances the account has."""
    return lambda: len(t.ec2.describe_instances()["Reservations"])


def launch(t, image=None, **more):
    """The call."""
    arguments = {
        "ImageId": image or t.register(),
        "InstanceType": "t3.micro",
        "MinCount": 1,
        "MaxCount": 1,
    }
    return lambda: t.ec2.run_instances(**arguments | more), instances_of(t)


@rule("an unknown image", "ec2 RunInstances", "400 InvalidAMIID.NotFound", CODES)
def launch_unknown_image(t):
    return launch(t, "ami-0123456789abcdef0")


@rule(
    "another account's image",
    "ec2 RunInstances",
    "400 AuthFailure",
    "observed: Orange-Cyberdefense/GOAD#304",
)
def launch_foreign_image(t):
    return launch(t, t.register(account=t.other))


@rule("an unknown instance type", "ec2 RunInstances", "400 InvalidParameterValue", CODES)
def launch_unknown_type(t):
    return launch(t, InstanceType="t9.huge")


@rule(
    "fewer at most than at least", "ec2 RunInstances", "400 InvalidParameterCombination", "assumed"
)
def launch_less_than_least(t):
    return launch(t, MinCount=2, MaxCount=1)


@rule(
    "an image without ENA on t3, which needs it",
    "ec2 RunInstances",
    "400 InvalidParameterCombination",
    "EC2 guide: enhanced networking",
)
def launch_without_ena(t):
    return launch(t, t.register(EnaSupport=False))


@rule(
    "an image that boots by UEFI only, on t2 (Xen)",
    "ec2 RunInstances",
    "400 InvalidParameterValue",
    "observed: RhinoSecurityLabs/cloudgoat#247",
)
def launch_uefi_on_xen(t):
    return launch(t, t.register(BootMode="uefi"), InstanceType="t2.micro")


@rule(
    "a client token again, with another type",
    "ec2 RunInstances",
    "400 IdempotentParameterMismatch",
    CODES,
)
def launch_token_for_another_request(t):
    image = t.register()
    t.run(image, ClientToken="once")
    return launch(t, image, ClientToken="once", InstanceType="t3.small")


@rule(
    "terminating a protected instance",
    "ec2 TerminateInstances",
    "400 OperationNotPermitted",
    CODES,
)
def terminate_protected(t):
    instance = t.run(DisableApiTermination=True)
    return lambda: t.ec2.terminate_instances(InstanceIds=[instance]), state(t, instance)


@rule(
    "stopping a terminated instance",
    "ec2 StopInstances",
    "400 IncorrectInstanceState",
    CODES,
)
def stop_terminated(t):
    instance = t.run()
    t.ec2.terminate_instances(InstanceIds=[instance])
    t.wait_instance(instance, "terminated")
    return lambda: t.ec2.stop_instances(InstanceIds=[instance]), state(t, instance)


@rule(
    "an unknown instance beside one that there is",
    "ec2 TerminateInstances",
    "400 InvalidInstanceID.NotFound",
    CODES,
)
def terminate_unknown(t):
    instance = t.run()
    unknown = "i-0123456789abcdef0"
    return lambda: t.ec2.terminate_instances(InstanceIds=[instance, unknown]), state(t, instance)


@rule(
    "an instance id that is none", "ec2 DescribeInstances", "400 InvalidInstanceID.Malformed", CODES
)
def malformed_instance(t):
    return lambda: t.ec2.describe_instances(InstanceIds=["i-nothing"])


@rule(
    "deleting a security group that an instance has",
    "ec2 DeleteSecurityGroup",
    "400 DependencyViolation",
    CODES,
)
def delete_group_in_use(t):
    group = t.ec2.create_security_group(GroupName="in-use", Description="in use")["GroupId"]
    t.run(SecurityGroupIds=[group])
    return lambda: t.ec2.delete_security_group(GroupId=group), lambda: len(
        t.ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"]
    )


@rule(
    "deleting a subnet that an instance is in",
    "ec2 DeleteSubnet",
    "400 DependencyViolation",
    CODES,
)
def delete_subnet_in_use(t):
    instance = t.run()
    described = t.ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]
    subnet = described["Instances"][0]["SubnetId"]
    return lambda: t.ec2.delete_subnet(SubnetId=subnet), lambda: len(
        t.ec2.describe_subnets(SubnetIds=[subnet])["Subnets"]
    )
