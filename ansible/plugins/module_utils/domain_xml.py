"""What a domain's XML says, and texts of it that can be compared. Pure: texts and elements in, values out."""

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
    root = ElementTree.fromstring(text)
    disk = find_disk(root, target)
    if disk is not None:
        for element in disk.findall("readonly"):
            disk.remove(element)
    return one_form(root)


def one_form(root):
    """A text that is the same for elements that mean the same: no white space, a disk's children in one order."""
    root = copy.deepcopy(root)
    for element in root.iter():
        element.text = (element.text or "").strip()
        element.tail = ""
        if element.tag == "disk":
            element[:] = sorted(element, key=lambda child: (child.tag, sorted(child.attrib.items())))
    return ElementTree.tostring(root)


def to_text(root, original):
    """The XML of an element, with the prefixes of name spaces that the original text has."""
    for _, (prefix, uri) in ElementTree.iterparse(io.BytesIO(original.encode()), events=["start-ns"]):
        ElementTree.register_namespace(prefix, uri)
    return ElementTree.tostring(root, encoding="unicode")
