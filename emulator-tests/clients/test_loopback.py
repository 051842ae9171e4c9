"""Nothing listens anywhere but on loopback: not the gateway, not LocalStack, in neither way."""

import ipaddress
import re
import subprocess
from urllib.parse import urlsplit


def listening():
    """Ports and the addresses on which they are listened to, by `ss`."""
    said = subprocess.run(["ss", "-Hltn"], capture_output=True, text=True, check=True).stdout
    found = {}
    for line in said.splitlines():
        address, port = line.split()[3].rsplit(":", 1)
        address = re.sub(r"%.*|[\[\]]", "", address)
        found.setdefault(int(port), set()).add("0.0.0.0" if address == "*" else address)
    return found


def test_all_ports_are_loopback_only(emulator):
    found = listening()
    for port in (emulator.port, urlsplit(emulator.localstack).port):
        assert found.get(port), f"nobody listens on {port}"
        assert all(ipaddress.ip_address(it).is_loopback for it in found[port]), found[port]


def test_no_process_of_the_emulators_listens_elsewhere(emulator):
    """Neither the gateway nor what it started has another port that the world can reach."""
    said = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout
    family = descendants(emulator.pid)
    assert family
    for line in said.splitlines():
        pids = {int(it) for it in re.findall(r"pid=(\d+)", line)}
        if pids & family:
            address = re.sub(r"%.*|[\[\]]", "", line.split()[3].rsplit(":", 1)[0])
            assert address != "*" and ipaddress.ip_address(address).is_loopback, line


def descendants(pid):
    """A process and all that it started."""
    said = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True)
    parents = dict(tuple(map(int, line.split())) for line in said.stdout.splitlines())
    family = {pid}
    while more := {it for it, parent in parents.items() if parent in family} - family:
        family |= more
    return family
