"""Reads and normalises the XML of a domain. Pure functions."""

import copy
import io
from xml.etree import ElementTree

# The element in <metadata> with the record of an exchange of the image, so that one definition changes both at once.
NAMESPACE = "urn:immutafs-agent:image:1"
RECORD = "{%s}image" % NAMESPACE
ElementTree.register_namespace("immutafs", NAMESPACE)

# The children of a <disk> whose meaning does not depend on its image, and those of its <source>.
KNOWN = ("address", "alias", "blockio", "boot", "driver", "iotune", "readonly", "serial", "source", "target", "wwn")
KNOWN_IN_SOURCE = ("seclabel",)

# The elements of a domain that libvirt writes before <metadata>.
BEFORE_METADATA = ("name", "uuid", "genid", "title", "description")


def find_disk(root, target):
    """Returns the <disk> with the target `target` in a parsed XML, or None."""
    for disk in root.findall("./devices/disk"):
        if target_of(disk) == target:
            return disk
    return None


def target_of(disk):
    """Returns the target of a <disk>, such as "vda", or None."""
    named = disk.find("target")
    return None if named is None else named.get("dev")


def targets_of(root):
    """Returns the targets of the disks in a parsed XML, without CD-ROM and floppy drives."""
    disks = [disk for disk in root.findall("./devices/disk") if disk.get("device", "disk") in ("disk", "lun")]
    return [target_of(disk) for disk in disks if target_of(disk) is not None]


def system_disk(root):
    """Returns the target of the disk with boot order 1, or of the first disk; None without disks."""
    for disk in root.findall("./devices/disk"):
        boot = disk.find("boot")
        if boot is not None and boot.get("order") == "1":
            return target_of(disk)
    return next(iter(targets_of(root)), None)


def describe_disk(text, target):
    """Describes a disk in an XML: readonly, bus, serial, wwn, alias in QEMU. Returns None if it is not in the XML."""
    disk = find_disk(ElementTree.fromstring(text), target)
    if disk is None:
        return None
    alias = disk.find("alias")
    return {
        "readonly": disk.find("readonly") is not None,
        "bus": disk.find("target").get("bus"),
        "serial": disk.findtext("serial"),
        "wwn": disk.findtext("wwn"),
        "alias": None if alias is None else alias.get("name"),
    }


def disk_source(text, target):
    """
    Returns where the data of a disk is: type ("file", "block", "volume", …), path (None unless a file or a block device)
    and format (see `format_of`). Returns None without this disk.
    """
    disk = find_disk(ElementTree.fromstring(text), target)
    if disk is None:
        return None
    source = disk.find("source")
    path = None if source is None else source.get("file") or source.get("dev")
    return {"type": disk.get("type", "file"), "path": path, "format": format_of(disk)}


def format_of(disk):
    """Returns the format of the driver of a disk, "raw" if the XML has none, as libvirt assumes."""
    driver = disk.find("driver")
    return "raw" if driver is None else driver.get("type", "raw")


def disks_of(text):
    """
    Returns what each disk of an XML is: target, readonly (also for CD-ROM and floppy drives, and for a <transient/> disk,
    whose image QEMU does not change), format (see `format_of`) and source, the attributes of its <source> that say which
    image it is, or None for an empty drive.
    """
    return [
        {
            "target": target_of(disk),
            "readonly": disk.get("device", "disk") in ("cdrom", "floppy")
            or any(disk.find(name) is not None for name in ("readonly", "transient")),
            "format": format_of(disk),
            "source": named_source(disk),
        }
        for disk in ElementTree.fromstring(text).findall("./devices/disk")
    ]


def read_only_disks(text):
    """Returns the targets of the disks of an XML that the guest cannot write, and "hostdev" for each such SCSI device."""
    devices = ElementTree.fromstring(text).findall("./devices/hostdev[@type='scsi']/readonly")
    return [disk["target"] for disk in disks_of(text) if disk["readonly"]] + ["hostdev"] * len(devices)


def named_source(disk):
    """Returns the attributes of a <source> in which two disks with the same image agree, without those of libvirt's run."""
    source = disk.find("source")
    if source is None:
        return None
    names = ("file", "dev", "pool", "volume", "protocol", "name", "namespace", "managed")
    return {name: source.get(name) for name in names if source.get(name) is not None}


def exchange_problem(root, target, sealed=True):
    """
    Returns why the image of a disk cannot be exchanged, or None. Only disks are permitted whose XML is known. `sealed`:
    whether the disk must be read-only.
    """
    disk = find_disk(root, target)
    if disk is None:
        return "the domain has no disk %s" % target
    source = disk.find("source")
    if disk.get("device", "disk") != "disk" or disk.get("type") not in ("file", "block") or source is None:
        return "%s is not a disk in a file or on a block device" % target
    if sealed and disk.find("readonly") is None:
        return "%s is writable: seal the guest first (immutafs.agent.seal)" % target
    # libvirt writes an empty <backingStore/> for an image that is based on nothing.
    found = [child.tag for child in disk if child.tag not in KNOWN and not (child.tag == "backingStore" and not len(child))]
    found += ["source/" + child.tag for child in source if child.tag not in KNOWN_IN_SOURCE]
    return None if not found else "%s has <%s>, with which an image cannot be exchanged" % (target, found[0])


def with_image(root, target, source, cache=None):
    """
    Returns a copy of the XML in which the disk has another source, in the form of `disk_source`, and the cache mode
    `cache`, if it is given.
    """
    root = copy.deepcopy(root)
    disk = find_disk(root, target)
    disk.set("type", source["type"])
    element, driver = disk.find("source"), disk.find("driver")
    for name in ("file", "dev", "index"):
        element.attrib.pop(name, None)
    element.set("dev" if source["type"] == "block" else "file", source["path"])
    if driver is None:
        driver = ElementTree.SubElement(disk, "driver", {"name": "qemu"})
    driver.set("type", source["format"])
    if cache is not None:
        driver.set("cache", cache)
    for store in disk.findall("backingStore"):
        disk.remove(store)
    return root


def read_record(root):
    """Returns the record of an exchange of the image, a dict of texts; empty if there is none."""
    element = root.find("./metadata/" + RECORD)
    return {} if element is None else dict(element.attrib)


def with_record(root, record):
    """Returns a copy of the XML with a record. Removes the record if it is empty."""
    root = copy.deepcopy(root)
    metadata = root.find("metadata")
    if metadata is None:
        metadata = ElementTree.Element("metadata")
        # Where libvirt writes it, so that the XML can be compared with the XML that libvirt returns.
        root.insert(sum(child.tag in BEFORE_METADATA for child in root), metadata)
    for element in metadata.findall(RECORD):
        metadata.remove(element)
    if record:
        ElementTree.SubElement(metadata, RECORD, record)
    if not len(metadata):
        root.remove(metadata)
    return root


def without_readonly(text, target):
    """Returns the normalised XML without the <readonly/> of the disk, which is the part that must not change."""
    root = ElementTree.fromstring(text)
    disk = find_disk(root, target)
    if disk is not None:
        for element in disk.findall("readonly"):
            disk.remove(element)
    return normalised(root)


def normalised(root):
    """Serialises an element without white space and with the children of disks sorted, to compare elements."""
    root = copy.deepcopy(root)
    for element in root.iter():
        element.text = (element.text or "").strip()
        element.tail = ""
        if element.tag == "disk":
            element[:] = sorted(element, key=lambda child: (child.tag, sorted(child.attrib.items())))
    return ElementTree.tostring(root)


def to_text(root, original):
    """Serialises an element with the namespace prefixes of the original text."""
    for _, (prefix, uri) in ElementTree.iterparse(io.BytesIO(original.encode()), events=["start-ns"]):
        ElementTree.register_namespace(prefix, uri)
    return ElementTree.tostring(root, encoding="unicode")
