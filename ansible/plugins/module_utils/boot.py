"""Determines and corrects the disk and the UEFI variables from which a domain boots. Pure functions on parsed XML.

Sources: libvirt's formatdomain (os, on_reboot, disk boot order, serial, address); virsh(1), start --reset-nvram; edk2,
OvmfPkg/Library/NvVarsFileLib (firmware without a writable variable store reads variables from a file on a disk).
"""

import copy
import re
from xml.etree import ElementTree

from ansible_collections.immutafs.agent.plugins.module_utils.domain_xml import find_disk, target_of

QEMU = "{http://libvirt.org/schemas/domain/qemu/1.0}"

# Events after which libvirt may restart the guest in the same QEMU process, which keeps the UEFI variables.
EVENTS = ("on_reboot", "on_crash", "on_poweroff")
RESTARTS = ("restart", "coredump-restart", "rename-restart")

NVVARS = "OVMF then reads variables from a file NvVars on any FAT volume, which root in the guest can write"


def boot_facts(root, target, resets, autostarts):
    """
    Returns the boot settings in an XML:

    - firmware: "kernel" (QEMU loads the kernel directly), "bios" or "uefi";
    - store: the file with the UEFI variables, which libvirt can recreate at a start, or None;
    - wrong: messages about settings that the module `boot` can correct;
    - blockers: messages about settings that only an administrator can correct.

    `resets`: whether virsh supports start --reset-nvram. `autostarts`: whether libvirt starts the domain automatically.
    """
    store, blockers = variable_store(root)
    uefi = has_variables(root)
    if store is not None and not resets:
        blockers.append(
            "this libvirt has no virsh start --reset-nvram, so UEFI variables that root in the guest wrote are kept: "
            "update libvirt to 8.1 or later, or remove %s before each start" % store
        )
    if store is not None and autostarts:
        blockers.append(
            "libvirt starts the domain automatically and keeps UEFI variables that root in the guest wrote: "
            "run virsh autostart --disable, and start the domain as described in docs/host.md"
        )
    blockers += duplicate_serials(root)
    kernel = root.find("./os/kernel") is not None
    if not kernel:
        blockers += wrong_slot(root, target)
    firmware = "uefi" if uefi else "kernel" if kernel else "bios"
    return {"firmware": firmware, "store": store, "wrong": wrong_settings(root, target), "blockers": blockers}


def wrong_settings(root, target):
    """Returns messages about the settings in an XML that the module `boot` can correct."""
    wrong = ["%s has no serial" % target_of(disk) for disk in without_serial(root)]
    if root.find("./os/kernel") is None:
        wrong += wrong_order(root, target)
    if has_variables(root):
        wrong += ["%s is %s" % (name, action) for name, action in restarts(root)]
    return wrong


def corrected(root, target):
    """Returns a copy of the XML in which every setting in `wrong` is corrected."""
    root = copy.deepcopy(root)
    if root.find("./os/kernel") is None:
        for parent in root.findall("./os") + root.findall("./devices/*"):
            for element in parent.findall("boot"):
                parent.remove(element)
        ElementTree.SubElement(find_disk(root, target), "boot", {"order": "1"})
    for disk in without_serial(root):
        # At most 20 characters (the limit of virtio-blk), and unique across domains, because a disk may be moved.
        identity = (root.findtext("uuid") or "").replace("-", "")[:12]
        ElementTree.SubElement(disk, "serial").text = "%s-%s" % (identity, target_of(disk))
    if has_variables(root):
        for name, _ in restarts(root):
            root.find(name).text = "destroy"
    return root


def has_variables(root):
    """Whether the firmware has UEFI variables, wherever they are."""
    store, blockers = variable_store(root)
    return store is not None or blockers != []


def variable_store(root):
    """
    Returns (file, blockers), where `file` contains the UEFI variables. Returns (None, []) for firmware without UEFI
    variables, such as a BIOS.
    """
    loader, nvram = root.find("./os/loader"), root.find("./os/nvram")
    path = "" if loader is None else (loader.text or "").strip()
    by_arguments = [arg.get("value", "") for arg in root.iter(QEMU + "arg")]
    if any(re.search("^-bios$|^-pflash$|if=pflash|pflash[01]=", value) for value in by_arguments):
        return None, ["the firmware is set by qemu:commandline, which is not checked: set it in <os>"]
    if root.find("./os/varstore") is not None:
        return None, ["the UEFI variables are in a <varstore>, which is not supported: use an <nvram> file"]
    flash = loader is not None and loader.get("type") == "pflash"
    named = re.search("ovmf|edk2|efi", path, re.IGNORECASE) is not None
    if root.find("os").get("firmware") != "efi" and nvram is None and not flash and not named:
        return None, []
    if loader is not None and loader.get("stateless") == "yes":
        return None, ["the firmware has no variable store (stateless): %s. Remove stateless='yes'" % NVVARS]
    if loader is not None and not flash:
        no_flash = "the firmware %s is not flash and has no variable store: %s. Use <os firmware='efi'>"
        return None, [no_flash % (path, NVVARS)]
    if loader is not None and loader.get("readonly") != "yes":
        one = "code and UEFI variables are in one file, %s, which is not recreated at a start: use <os firmware='efi'>"
        return None, [one % path]
    if nvram is not None and nvram.get("type", "file") != "file":
        kind = nvram.get("type")
        one = "the UEFI variables are in <nvram type='%s'>, which is not recreated at a start: use a file"
        return None, [one % kind]
    source = None if nvram is None else nvram.find("source")
    file = source.get("file") if source is not None else "" if nvram is None else (nvram.text or "").strip()
    return file or "the file of <nvram>", []


def wrong_order(root, target):
    """Returns a message unless the firmware boots only from the disk `target`."""
    orders = {}
    for device in root.findall("./devices/*"):
        boot = device.find("boot")
        if boot is not None:
            orders[target_of(device) or device.tag] = boot.get("order")
    found = ["<boot dev='%s'/>" % boot.get("dev") for boot in root.findall("./os/boot")]
    found += ["<boot order='%s'/> of %s" % (order, name) for name, order in orders.items()]
    if found == ["<boot order='1'/> of %s" % target]:
        return []
    other = "the firmware may boot from a disk other than %s: the domain has %s"
    return [other % (target, ", ".join(found) or "no boot order")]


def without_serial(root):
    """
    Returns the virtio-blk disks that have no serial. Omits SCSI disks, because a serial changes their WWID, by which
    the LVM devices file or multipath in the guest may identify the disk. An administrator must decide whether to set
    the serial of a SCSI disk.
    """
    disks = [disk for disk in root.findall("./devices/disk") if disk.get("device", "disk") == "disk"]
    return [disk for disk in disks if disk.find("target").get("bus") == "virtio" and disk.find("serial") is None]


def duplicate_serials(root):
    """Returns messages about serials that are not unique. The guest may name any of the disks by its serial."""
    targets = {}
    for disk in root.findall("./devices/disk"):
        if disk.find("serial") is not None:
            targets.setdefault(disk.findtext("serial"), []).append(target_of(disk))
    one = "the serial %s is on more than one disk (%s): set another while the guest is open (virsh edit)"
    return [one % (serial, ", ".join(names)) for serial, names in sorted(targets.items()) if len(names) > 1]


def restarts(root):
    """Returns (event, action) for each event after which QEMU continues to run and keeps the UEFI variables."""
    return [(name, root.findtext(name)) for name in EVENTS if root.findtext(name) in RESTARTS]


def wrong_slot(root, target):
    """
    Returns a message if the slot of another disk is before the slot of `target`, because GRUB on UEFI searches the
    disks in the order of their slots.
    """
    disks = [disk for disk in root.findall("./devices/disk") if disk.get("device", "disk") == "disk"]
    places = {target_of(disk): place(root, disk) for disk in disks}
    mine = places.get(target)
    before = [name for name, each in places.items() if mine and each and each < mine]
    if not before:
        return []
    return [
        "%s comes before %s in the order of PCI slots or SCSI units: exchange their <address> elements (virsh edit), "
        "but first verify that the fstab of the guest does not name disks by their order (/dev/vda)"
        % (", ".join(before), target)
    ]


def place(root, disk):
    """
    Returns the sort key of a disk: its PCI address, or the PCI address of its controller followed by bus, target and
    unit. None if the address is unknown.
    """
    address = disk.find("address")
    if address is None:
        return None
    if address.get("type") == "pci":
        return pci(address)
    bus, index = disk.find("target").get("bus"), address.get("controller", "0")
    for controller in root.findall("./devices/controller"):
        own = controller.find("address")
        if controller.get("type") == bus and controller.get("index") == index and own is not None:
            return pci(own) + [int(address.get(part, "0"), 0) for part in ("bus", "target", "unit")]
    return None


def pci(address):
    """Returns a PCI address as [domain, bus, slot, function]."""
    return [int(address.get(part, "0"), 0) for part in ("domain", "bus", "slot", "function")]
