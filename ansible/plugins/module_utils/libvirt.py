"""What virsh, virt-xml and QEMU say of a domain, and the one change that is made to it.

Every program is run with an array of arguments, never by a shell. libvirt's own Python module is not needed.
"""

import copy
import json
import time
from xml.etree import ElementTree

# virt-xml's first line is "env python3", and its modules are those of the distribution's python3.
ENVIRONMENT = {"LC_ALL": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}

# Seconds between two looks at a domain that is to reach another state.
INTERVAL = 0.5


class LibvirtError(Exception):
    """A sentence for the person who runs the playbook."""


class Domain:
    """One domain of one libvirt; `module` is the AnsibleModule that runs programs."""

    def __init__(self, module):
        self.module = module
        self.uri = module.params["uri"]
        self.name = module.params["domain"]
        self.target = module.params["target"]

    def run(self, *argv, **options):
        """Runs a program; what it wrote to stdout. Throws LibvirtError with what it said where it fails."""
        code, out, err = self.module.run_command(list(argv), environ_update=ENVIRONMENT, **options)
        if code != 0:
            said = " ".join((err or out).split())
            raise LibvirtError("%s %s: %s" % (argv[0].rpartition("/")[2], self.name, said))
        return out

    def virsh(self, command, *args):
        """virsh COMMAND DOMAIN ARGS"""
        return self.run("/usr/bin/virsh", "--connect", self.uri, command, self.name, *args)

    def state(self):
        """(state, why), such as ("shut off", "shutdown"); virsh(1), domstate."""
        state, _, rest = self.virsh("domstate", "--reason").strip().partition(" (")
        return state, rest.rstrip(")")

    def saved(self):
        """Whether the next start would go on from a saved memory image, with the devices of that time."""
        lines = self.virsh("dominfo").splitlines()
        return any(line.split() == ["Managed", "save:", "yes"] for line in lines)

    def xml(self, inactive):
        """The XML, secrets included, so that it can be defined again; `inactive`: that of the next start."""
        return self.virsh("dumpxml", "--security-info", *(["--inactive"] if inactive else []))

    def wait_for(self, wanted, seconds):
        """Waits until the domain's state is `wanted`; the seconds it took. Throws LibvirtError at the end."""
        begin = time.time()
        while self.state()[0] != wanted:
            if time.time() - begin > seconds:
                state = self.state()[0]
                raise LibvirtError("%s is %s, not %s, after %d s" % (self.name, state, wanted, seconds))
            time.sleep(INTERVAL)
        return round(time.time() - begin, 1)


def find_disk(root, target):
    """The <disk> of a parsed XML whose target is `target`, or None."""
    for disk in root.findall("./devices/disk"):
        named = disk.find("target")
        if named is not None and named.get("dev") == target:
            return disk
    return None


def describe_disk(text, target):
    """What an XML says of the disk: readonly, bus, and the alias by which QEMU knows it. None: no such disk."""
    disk = find_disk(ElementTree.fromstring(text), target)
    if disk is None:
        return None
    alias = disk.find("alias")
    return {
        "readonly": disk.find("readonly") is not None,
        "bus": disk.find("target").get("bus"),
        "alias": None if alias is None else alias.get("name"),
    }


def without_readonly(text, target):
    """The XML, brought into one form, without the <readonly/> of the named disk: what must not change."""
    root = copy.deepcopy(ElementTree.fromstring(text))
    disk = find_disk(root, target)
    if disk is not None:
        for element in disk.findall("readonly"):
            disk.remove(element)
    for element in root.iter():
        element.text = (element.text or "").strip()
        element.tail = ""
    return ElementTree.tostring(root)


def qemu_readonly(domain, alias):
    """Whether QEMU itself has the disk read-only (QMP, query-block, `inserted.ro`); None where it has no such disk.

    `qdev` is the device's id or its path in QOM: /machine/peripheral/virtio-disk0/virtio-backend.
    """
    answer = json.loads(domain.virsh("qemu-monitor-command", '{"execute":"query-block"}'))
    for device in answer["return"]:
        if alias in device.get("qdev", "").split("/"):
            return device["inserted"]["ro"] if "inserted" in device else None
    return None
