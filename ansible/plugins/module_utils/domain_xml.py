"""Reads and normalises the XML of a domain. Pure functions."""

import copy
import io
from xml.etree import ElementTree


def find_disk(root, target):
    """The <disk> of a parsed XML whose target is `target`, or None."""
    for disk in root.findall("./devices/disk"):
        if target_of(disk) == target:
            return disk
    return None


def target_of(disk):
    """The target of a <disk>, such as "vda", or None."""
    named = disk.find("target")
    return None if named is None else named.get("dev")


def describe_disk(text, target):
    """The disk in an XML: readonly, bus, and its alias in QEMU. None if there is no such disk."""
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
    """The normalised XML without the <readonly/> of the named disk, that is, the part that must not change."""
    root = ElementTree.fromstring(text)
    disk = find_disk(root, target)
    if disk is not None:
        for element in disk.findall("readonly"):
            disk.remove(element)
    return normalised(root)


def normalised(root):
    """A normalised text, equal for equivalent elements: no white space, the children of a disk sorted."""
    root = copy.deepcopy(root)
    for element in root.iter():
        element.text = (element.text or "").strip()
        element.tail = ""
        if element.tag == "disk":
            element[:] = sorted(element, key=lambda child: (child.tag, sorted(child.attrib.items())))
    return ElementTree.tostring(root)


def to_text(root, original):
    """The XML of an element, with the namespace prefixes of the original text."""
    for _, (prefix, uri) in ElementTree.iterparse(io.BytesIO(original.encode()), events=["start-ns"]):
        ElementTree.register_namespace(prefix, uri)
    return ElementTree.tostring(root, encoding="unicode")
