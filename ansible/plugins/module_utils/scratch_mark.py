"""The mark by which a guest knows its disk for SCRATCH. boot/scratch/mark.ts defines and checks it."""

import re
from xml.etree import ElementTree

from ansible_collections.immutafs.agent.plugins.module_utils.libvirt import LibvirtError

NAME = re.compile(r"[!-~]+")


def mark_of(machine, device):
    """Returns the text at the beginning of a disk. `device`: the link of the disk in the guest, below /dev/disk/by-id."""
    for name in (machine, device):
        if NAME.fullmatch(name) is None:
            raise LibvirtError("'%s' cannot be part of a mark: it must consist of ASCII characters without blanks" % name)
    return "immutafs-scratch 1\nmachine %s\ndevice %s\n" % (machine.lower(), device)


def machine_of(text):
    """
    Returns the UUID that a domain gives its guest in SMBIOS. Returns None if the guest gets another one: that of the host, or
    one from the command line of QEMU.
    """
    root = ElementTree.fromstring(text)
    uuid, smbios = root.findtext("uuid"), root.find("./os/smbios")
    if not uuid or (smbios is not None and smbios.get("mode") not in ("emulate", "sysinfo")):
        return None
    arguments = [each.get("value", "") for each in root.iter("{http://libvirt.org/schemas/domain/qemu/1.0}arg")]
    return None if any(each.lstrip("-") in ("uuid", "smbios") for each in arguments) else uuid.strip().lower()
