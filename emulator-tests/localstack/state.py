"""Saves what LocalStack's services hold in memory, and loads it again.

Each service's file is a line that says what it is, a line with the version of LocalStack, a line
with the SHA-256 of the rest, and the rest, a pickle. It is written beside its name and renamed.
"""

import collections
import functools
import hashlib
import os
import queue
import threading
import weakref

from cryptography.hazmat.bindings._rust import openssl
from cryptography.hazmat.primitives import serialization
from localstack import constants
from localstack.services.plugins import SERVICE_PLUGINS
from localstack.services.stores import LOCAL_ATTR_PREFIX, AccountRegionBundle
from localstack.state import StateVisitor, pickle
from moto.core.base_backend import BackendDict
from moto.iam.models import IAMBackend
from moto.iam.utils import random_policy_id

from owner import give, make_dirs

SERVICES = ("ec2", "iam", "kms", "s3", "secretsmanager", "sqs", "ssm", "sts")
MAGIC = "emulator: state of LocalStack, 1"


class Damaged(Exception):
    """A state file that can't be used; the message names it."""


# What has no meaning in another process is made anew: locks are free, queues are open.


@pickle.register(type(threading.Lock()))
def _lock(pickler, lock):
    pickler.save_reduce(threading.Lock, (), obj=lock)


@pickle.register(type(threading.RLock()))
def _rlock(pickler, lock):
    pickler.save_reduce(threading.RLock, (), obj=lock)


@pickle.register(threading.Condition)
def _condition(pickler, condition):
    pickler.save_reduce(threading.Condition, (), obj=condition)


@pickle.register(threading.Event)
def _event(pickler, event):
    pickler.save_reduce(threading.Event, (), obj=event)


def _new_queue(kind, maxsize):
    return kind(maxsize)


def _fill_queue(made, items):
    made.queue = items
    made.unfinished_tasks = len(items)


@pickle.register(queue.Queue, subclasses=True)
def _queue(pickler, waiting):
    with waiting.mutex:
        items = waiting.queue.copy()
    pickler.save_reduce(
        _new_queue, (type(waiting), waiting.maxsize), items, state_setter=_fill_queue, obj=waiting
    )


def _new_defaultdict(kind, factory):
    made = kind.__new__(kind)
    made.default_factory = factory
    return made


@pickle.register(collections.defaultdict, subclasses=True)
def _defaultdict(pickler, mapping):
    """Those with a constructor of their own, too."""
    pickler.save_reduce(
        _new_defaultdict,
        (type(mapping), mapping.default_factory),
        getattr(mapping, "__dict__", None) or None,
        dictitems=iter(list(mapping.items())),
        obj=mapping,
    )


def _load_key(der):
    return serialization.load_der_private_key(der, None)


@pickle.register(openssl.rsa.RSAPrivateKey)
@pickle.register(openssl.ec.ECPrivateKey)
def _private_key(pickler, key):
    """Such as moto's own KMS has, for volumes that ask for no key in particular."""
    der = key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    pickler.save_reduce(_load_key, (der,), obj=key)


# AWS's own policies, over a thousand, which each account has: 3 MB for each, parsed when it is
# first seen and saved each time. They are the same in all accounts, but for their ids and what is
# attached: so they are parsed once, and nothing else of them is saved.

_aws_policies = IAMBackend._init_aws_policies
_parsed = {}


# LocalStack finds the class by the name that this takes over, and adds policies of its own.
@functools.wraps(_aws_policies)
def _init_aws_policies(backend):
    if backend.region_name not in _parsed:
        _parsed[backend.region_name] = _aws_policies(backend)
    return [_copy(it, backend.account_id) for it in _parsed[backend.region_name]]


def _copy(policy, account):
    copy = _shallow(policy)
    copy.account_id, copy.id, copy.tags = account, random_policy_id(), {}
    copy.versions = [_shallow(it) for it in policy.versions]
    return copy


def _shallow(value):
    copy = object.__new__(type(value))
    vars(copy).update(vars(value))
    return copy


IAMBackend._init_aws_policies = _init_aws_policies


def _is_as_it_came(policy):
    return not (policy.attachment_count or policy.tags or len(policy.versions) > 1)


def _new_iam(kind):
    return kind.__new__(kind)


def _fill_iam(backend, saved):
    state, ids, touched = saved
    vars(backend).update(state)
    policies = [touched.get(it.arn, it) for it in backend._init_aws_policies()]
    for policy, id in zip(policies, ids.split(), strict=False):
        policy.id = id
    backend.aws_managed_policies = policies
    backend.managed_policies = {it.arn: it for it in policies} | state["managed_policies"]


@pickle.register(IAMBackend)
def _iam(pickler, backend):
    state, policies = dict(vars(backend)), backend.aws_managed_policies
    own = {id(it) for it in policies}
    del state["aws_managed_policies"]
    state["managed_policies"] = {
        arn: it for arn, it in list(backend.managed_policies.items()) if id(it) not in own
    }
    touched = {it.arn: it for it in policies if not _is_as_it_came(it)}
    saved = (state, " ".join(it.id for it in policies), touched)
    pickler.save_reduce(_new_iam, (type(backend),), saved, state_setter=_fill_iam, obj=backend)


class _Get(StateVisitor):
    """Collects a service's state as plain dictionaries."""

    def __init__(self):
        self.found = {}

    def visit(self, container):
        if isinstance(container, BackendDict):
            self.found["moto"] = {
                account: dict(regions) for account, regions in list(container.items())
            }
        elif isinstance(container, AccountRegionBundle):
            self.found["stores"] = {
                account: {region: _own(store) for region, store in list(regions.items())}
                for account, regions in list(container.items())
            }
            self.found["accounts"] = {
                account: regions._global for account, regions in list(container.items())
            }
            self.found["universal"] = container._universal


def _own(store):
    return {key: value for key, value in vars(store).items() if key.startswith(LOCAL_ATTR_PREFIX)}


class _Set(StateVisitor):
    """Puts a service's state in place."""

    def __init__(self, found):
        self.found = found

    def visit(self, container):
        if isinstance(container, BackendDict):
            for account, regions in self.found.get("moto", {}).items():
                for region, backend in regions.items():
                    container[account][region] = backend
        elif isinstance(container, AccountRegionBundle):
            container._universal.update(self.found.get("universal", {}))
            for account, values in self.found.get("accounts", {}).items():
                container[account]._global.update(values)
            for account, regions in self.found.get("stores", {}).items():
                for region, values in regions.items():
                    vars(container[account][region]).update(values)


def _refer_to_vpcs():
    """moto finds the VPCs of other regions and accounts by weak references that their
    constructors leave."""
    from moto.ec2.models import ec2_backends

    for _, _, backend in ec2_backends.iter_backends():
        for kind in ("vpc_refs", "vpc_pcx_refs", "backend_refs"):
            if (references := getattr(backend, kind, None)) is not None:
                references[type(backend)].add(weakref.ref(backend))


class States:
    """The state files of all services in one directory."""

    def __init__(self, folder):
        self.folder = folder
        self._saved = {}
        self._saving = threading.Lock()

    def load_services(self):
        """Loads the services' code: what has been loaded can be saved, and answers at once."""
        for name in SERVICES:
            SERVICE_PLUGINS.require(name)

    def load(self):
        """Loads every file, or raises `Damaged` before anything has changed."""
        loaded = {}
        for name in SERVICES:
            path = self._path(name)
            try:
                with open(path, "rb") as file:
                    content = file.read()
            except FileNotFoundError:
                continue
            loaded[name] = _decode(path, content)
            self._saved[name] = hashlib.sha256(content).digest()
        for name, found in loaded.items():
            service = SERVICE_PLUGINS.get_service(name)
            service.accept_state_visitor(_Set(found))
            if hook := getattr(service.lifecycle_hook, "on_after_state_load", None):
                hook()
        _refer_to_vpcs()

    def save(self, retries=3):
        """Saves the services that have changed since."""
        with self._saving:
            make_dirs(self.folder)
            for name in SERVICES:
                content = self._encode(name, retries)
                digest = hashlib.sha256(content).digest()
                if self._saved.get(name) != digest:
                    _replace(self._path(name), content)
                    self._saved[name] = digest

    def _encode(self, name, retries):
        while True:
            found = _Get()
            try:
                SERVICE_PLUGINS.get_service(name).accept_state_visitor(found)
                body = pickle.dumps(found.found)
                break
            # "dictionary changed size during iteration": by a request, just now.
            except RuntimeError:
                retries -= 1
                if retries <= 0:
                    raise
        digest = hashlib.sha256(body).hexdigest()
        return f"{MAGIC}\n{constants.VERSION}\n{digest}\n".encode() + body

    def _path(self, name):
        return os.path.join(self.folder, f"{name}.state")


def _decode(path, content):
    magic, version, digest, body = (content.split(b"\n", 3) + [b"", b"", b""])[:4]
    if magic != MAGIC.encode():
        raise Damaged(f"{path} is not a state file of this emulator")
    if hashlib.sha256(body).hexdigest().encode() != digest:
        raise Damaged(f"{path} is damaged: its SHA-256 differs from what it says")
    if version != constants.VERSION.encode():
        raise Damaged(
            f"{path} is of LocalStack {version.decode(errors='replace')}, "
            f"this is {constants.VERSION}"
        )
    try:
        return pickle.loads(body)
    except Exception as error:
        raise Damaged(f"{path} can't be read: {error!r}") from error


def _replace(path, content):
    new = f"{path}.new"
    with open(new, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    give(new)
    os.replace(new, path)
    folder = os.open(os.path.dirname(path), os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
