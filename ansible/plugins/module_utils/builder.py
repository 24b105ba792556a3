"""The XML of the domain in which the next version of an image is made. Pure functions."""

import calendar
import copy
import re
import time
from xml.etree import ElementTree

from ansible_collections.immutafs.agent.plugins.module_utils.domain_xml import (
    exchange_problem,
    find_disk,
    target_of,
    with_image,
)

# The element in <metadata> that says that a domain is a builder and may be destroyed, with the file of its disk.
NAMESPACE = "urn:immutafs-agent:builder:1"
MARK = "{%s}builder" % NAMESPACE
ElementTree.register_namespace("immutafs-builder", NAMESPACE)

# The devices of the template that a builder also has. All others may belong to the template alone (host devices, shared
# directories, sockets, ports) or connect it to a network.
DEVICES = ("console", "controller", "emulator", "input", "iommu", "memballoon", "panic", "rng", "serial", "video", "watchdog")

# The elements of the template that identify it.
IDENTITY = ("uuid", "genid", "title", "description", "metadata")

# The version of the format of a receipt, and that of the time in it.
VERSION = 1
TIME = "%Y-%m-%dT%H:%M:%SZ"

# The syntax of NAME and VERSION in /etc/immutafs/image. A leading dot would make a hidden file.
WORD = re.compile(r"[A-Za-z0-9_+~:-][A-Za-z0-9._+~:-]{0,127}")


def word_problem(name, version):
    """Returns why an image cannot have this name and version, or None."""
    for what, text in (("name", name), ("version", version)):
        if WORD.fullmatch(text) is None:
            return "'%s' cannot be the %s of an image: only letters, digits and . _ + ~ : - are permitted" % (text, what)
    return None


def template_problem(root, target):
    """Returns why a builder cannot be made from the parsed XML of a domain, or None."""
    return exchange_problem(root, target, sealed=False)


def builder_root(root, target, name, source, disks=(), network=None):
    """
    Returns the XML of a builder, a copy of the XML of a template.

    - `target`: the system disk, which is writable and has the image `source`, in the form of `disk_source`.
    - `disks`: the targets of the other disks that the builder has as well.
    - `network`: None, or the name of a libvirt network and the MAC address of its interface, or None for the address.
    """
    root = with_image(root, target, source)
    root.attrib.pop("id", None)
    for child in list(root):
        # Elements of a namespace, such as <qemu:commandline>, can contain anything.
        if child.tag in IDENTITY or child.tag.startswith("{"):
            root.remove(child)
    root.find("name").text = name
    metadata = ElementTree.Element("metadata")
    ElementTree.SubElement(metadata, MARK, {"file": source["path"]})
    root.insert(1 + list(root).index(root.find("name")), metadata)
    for system in root.findall("./sysinfo/system"):
        for entry in system.findall("entry[@name='uuid']"):
            system.remove(entry)
    for nvram in root.findall("./os/nvram"):
        # libvirt copies the variables from the template of the firmware.
        nvram.text, nvram[:] = None, []
        nvram.attrib.pop("type", None)
    devices = root.find("devices")
    interface = None if network is None else interface_of(devices, *network)
    for device in list(devices):
        if device.tag in DEVICES or device.tag == "disk" and target_of(device) in (target, *disks):
            continue
        devices.remove(device)
    for device in devices.findall("serial") + devices.findall("console"):
        device.set("type", "pty")
        device[:] = [child for child in device if child.tag not in ("source", "log", "protocol")]
        device.attrib.pop("tty", None)
    for readonly in find_disk(root, target).findall("readonly"):
        find_disk(root, target).remove(readonly)
    if interface is not None:
        devices.append(interface)
    return root


def interface_of(devices, network, address):
    """Returns an interface in a network, in the place and with the model of the template's first interface."""
    interface = ElementTree.Element("interface", {"type": "network"})
    if address is not None:
        ElementTree.SubElement(interface, "mac", {"address": address})
    ElementTree.SubElement(interface, "source", {"network": network})
    first = devices.find("interface")
    parts = [] if first is None else [first.find(name) for name in ("model", "address")]
    interface.extend([copy.deepcopy(part) for part in parts if part is not None])
    if first is None:
        ElementTree.SubElement(interface, "model", {"type": "virtio"})
    return interface


def file_of_builder(root):
    """Returns the file of the disk of a builder, or None if the domain is not a builder."""
    mark = root.find("./metadata/" + MARK)
    return None if mark is None else mark.get("file")


def receipt_of(found, name):
    """
    Returns what a JSON object says as a receipt of an image with this name: `image` (the version), `source`, and `at`, the
    time in seconds since 1970. Returns None if it is not such a receipt.
    """
    image, source = found.get("image"), found.get("source")
    if found.get("version") != VERSION or found.get("name") != name:
        return None
    if not isinstance(source, str) or not isinstance(image, str) or WORD.fullmatch(image) is None:
        return None
    try:
        at = calendar.timegm(time.strptime(found.get("time"), TIME))
    except (TypeError, ValueError):
        return None
    return {"image": image, "source": source, "at": at}


def superseded(made, failed, keep):
    """
    Returns the versions that are older than the `keep` newest good ones; none if there are fewer, or if `keep` is 0. `made`
    is a list of receipts (see `receipt_of`) with the key `path`, the newest last. A version whose path is in `failed` is not
    good.
    """
    good = [each for each in made if each["path"] not in failed]
    return [] if keep == 0 or len(good) < keep else made[: made.index(good[-keep])]


def package_changes(before, after):
    """Returns what differs between two lists of packages ("NAME VERSION"): lists of `removed` and `added`."""
    return {
        "removed": sorted(set(before) - set(after)),
        "added": sorted(set(after) - set(before)),
    }
