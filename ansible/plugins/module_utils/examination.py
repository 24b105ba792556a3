"""Examines what a host enforces for a running domain, before its identity is certified (docs/identity.md).

Each value is measured at the time of the call, from libvirt, QEMU and the files of the host. Nothing comes from the guest.
"""

import fcntl
import hashlib
import os
import stat
from xml.etree import ElementTree

from ansible_collections.immutafs.agent.plugins.module_utils import receipt, record
from ansible_collections.immutafs.agent.plugins.module_utils.boot import QEMU, boot_facts
from ansible_collections.immutafs.agent.plugins.module_utils.domain_xml import (
    describe_disk,
    disk_source,
    disks_of,
    find_disk,
    read_only_disks,
    system_disk,
)
from ansible_collections.immutafs.agent.plugins.module_utils.image import (
    backing_files,
    file_of,
    identity_of,
    path_of,
    writers,
)
from ansible_collections.immutafs.agent.plugins.module_utils.labels import UnknownContent, has_seed
from ansible_collections.immutafs.agent.plugins.module_utils.libvirt import qemu_readonly
from ansible_collections.immutafs.agent.plugins.module_utils.scratch_mark import machine_of

# The name of the port in the guest.
CHANNEL = "org.immutafs.identity"

# Why a domain runs, if QEMU has started it on this host and it was at most paused since.
STARTED_HERE = ("booted", "unpaused", "migration canceled", "save canceled", "event wakeup")

# The formats of images that have all data in one file. `file` is a raw image to which libvirt has given no format driver.
PLAIN = ("raw", "qcow2", "file")

# Upper bound on the size of a seed, in bytes.
SEED_LIMIT = 16 * 2**20


class Refusal(Exception):
    """
    Why the host does not certify a guest. The guest receives the message, but not the detail, which has paths of the host and
    names of other domains.
    """

    def __init__(self, message, detail=None):
        super().__init__(message)
        self.detail = detail


def examine(domain, socket, settings):
    """
    Returns what the host enforces for the domain whose channel is connected to `socket`: name, uuid, target, sha256 (of the
    content of the system disk), image, sealed_at, firmware and seed. `settings`: `directory` of the receipts, `withdrawn`
    hashes of disks, and `disks`, which maps names of domains to targets. Raises Refusal or LibvirtError.
    """
    text = domain.xml(inactive=False)
    root = ElementTree.fromstring(text)
    name, uuid = root.findtext("name"), root.findtext("uuid")
    domain.target = settings["disks"].get(name) or system_disk(root)
    refuse(start_problem(domain))
    domains = [ElementTree.fromstring(each) for each in domain.every_xml()]
    refuse(channel_problem(domains, uuid, socket))
    refuse_namesakes(domains, name, uuid)
    refuse(machine_problem(root, text))
    firmware = boot_facts(root, domain.target, domain.resets_nvram(), domain.autostarts())
    refuse(boot_problem(firmware))
    files = chain_of(domain, text)
    refuse_writers(domain, text, files)
    disk = disk_of_receipt(domain, name, text, settings)
    found = {"name": name, "uuid": uuid, "target": domain.target, "firmware": firmware["firmware"]}
    return dict(found, seed=seed_of(domain, text), image=image_of(text, domain.target), **disk)


def refuse(problem):
    """Raises Refusal if there is a problem."""
    if problem is not None:
        raise Refusal(problem)


def start_problem(domain):
    """Returns why the memory of the guest may come from elsewhere than from its boot on this host."""
    state, reason = domain.state()
    if state != "running":
        return "the domain is not running"
    if reason not in STARTED_HERE:
        return "the memory of the guest was not made by a boot on this host (%s): shut it down and start it" % reason
    # The source of a migration reports how much it has sent; the destination does not.
    migration = domain.monitor("query-migrate")
    if "status" in migration and "ram" not in migration:
        return "the guest was migrated to this host or restored from a file: shut it down and start it"
    return None


def channel_problem(domains, uuid, socket):
    """Returns a message unless the socket is that of the channel of this domain alone. `domains`: the parsed XML of each."""
    if {each.findtext("uuid") for each in domains if socket in channels_of(each)} != {uuid}:
        return "the channel %s is not that of this domain alone" % CHANNEL
    return None


def channels_of(root):
    """Returns the paths of the sockets of the channels for identities in a parsed XML."""
    sources = [channel.find("source") for channel in all_channels(root)]
    return [source.get("path") for source in sources if source is not None and source.get("path") is not None]


def all_channels(root):
    """Returns the channels for identities in a parsed XML. Those of a domain that is shut off may have no socket."""
    channels = root.findall("./devices/channel[@type='unix']")
    return [channel for channel in channels if channel.find("target").get("name") == CHANNEL]


def refuse_namesakes(domains, name, uuid):
    """
    Raises Refusal if another domain could get the same DNS name: names of domains are case-sensitive, and those of DNS are not.
    Both domains are refused, because their certificates would be valid at the same time.
    """
    others = [each.findtext("name") for each in domains if each.findtext("uuid") != uuid and all_channels(each)]
    alike = sorted({other for other in others if other.lower() == name.lower()})
    if alike:
        text = "the name of another domain with the channel differs from %s only in case, and both would have one DNS name"
        raise Refusal("%s: rename one of them" % (text % name), ", ".join(alike))


def machine_problem(root, text):
    """Returns a message if QEMU has options that libvirt does not know, or if the guest has another UUID than the domain."""
    arguments = [each.get("value", "") for each in root.iter(QEMU + "arg")]
    if root.find(QEMU + "override") is not None:
        return "the domain has a <qemu:override>"
    for option, value in zip(arguments[::2], arguments[1::2] + [""] * (len(arguments) % 2)):
        is_network = option == "-netdev" or (option == "-device" and value.startswith("virtio-net-pci,"))
        if not is_network:
            return "the domain has the option %s of QEMU in <qemu:commandline>" % option
    if machine_of(text) is None:
        return "the guest gets another UUID than that of the domain"
    return None


def boot_problem(facts):
    """Returns a message unless the firmware boots only from the system disk (see boot_facts)."""
    if facts["firmware"] == "kernel":
        return "QEMU loads the kernel directly, and not the firmware from the system disk"
    wrong = facts["wrong"] + facts["blockers"]
    return wrong[0] if wrong else None


def chain_of(domain, text):
    """
    Returns the paths of the image of the system disk and of the files on which it is based. Raises Refusal unless all of them
    are read-only, for libvirt and in each block node of QEMU.
    """
    described, source = describe_disk(text, domain.target), disk_source(text, domain.target)
    if described is None:
        raise Refusal("the domain has no system disk")
    if not described["readonly"] or qemu_readonly(domain, described["alias"]) is not True:
        raise Refusal("the system disk %s is writable: the guest is open for maintenance" % domain.target)
    if source["type"] == "block":
        text = "the system disk %s is a block device, and the kernel does not record when it was written: use an image file"
        raise Refusal(text % domain.target)
    if source["type"] != "file" or source["path"] is None:
        raise Refusal("the system disk %s is not an image file, so no receipt describes it" % domain.target)
    paths = [source["path"]] + backing_files(domain, source["path"], source["format"])
    nodes = domain.monitor("query-named-block-nodes")
    expected = {file_of(path) for path in paths}
    used = chain_in_qemu(domain, described["alias"])
    if used != expected:
        raise Refusal("QEMU uses other files for %s than the image is based on" % domain.target)
    for node in nodes:
        # QEMU opens a file (`auto-read-only`) for writing only when a node above it writes, so the nodes above decide. That it
        # has not opened the file for writing is shown by the lease, as for any other process.
        if file_of(node["file"]) in expected and node["drv"] != "file" and node["ro"] is not True:
            raise Refusal("QEMU can write a file of the image of %s" % domain.target, node["file"])
    if not expected <= {file_of(node["file"]) for node in nodes}:
        raise Refusal("QEMU does not report every file of %s" % domain.target)
    return paths


def chain_in_qemu(domain, alias):
    """
    Returns the files that QEMU reports for a disk (query-block), in the form of `file_of`. Raises Refusal unless each of them has
    its own data: other formats than raw and qcow2, and qcow2 with an external data file, have data in further files, which neither
    the receipt nor the search for writers knows (ImageInfo and ImageInfoSpecificQCow2, qapi/block-core.json of QEMU).
    """
    for device in domain.monitor("query-block"):
        if alias in device.get("qdev", "").split("/"):
            image, found = device["inserted"].get("image"), set()
            while image is not None:
                if image["format"] not in PLAIN:
                    raise Refusal("the image of %s has the format %s: use raw or qcow2" % (domain.target, image["format"]))
                if "data-file-raw" in image.get("format-specific", {}).get("data", {}):
                    raise Refusal("the image of %s has an external data file: use an image without one" % domain.target)
                found.add(file_of(image["filename"]))
                image = image.get("backing-image")
            return found
    return set()


def refuse_writers(domain, text, files):
    """Raises Refusal if a disk of any domain, or a process of the host, can write one of the files now."""
    found = writers(domain, text)
    if found:
        raise Refusal("another disk can write the image of %s" % domain.target, ", ".join(found))
    for path in files:
        try:
            is_open = is_open_for_writing(path)
        except OSError as error:
            text = "it is unknown whether a process of the host has the image of %s open for writing"
            raise Refusal(text % domain.target, "%s: %s" % (path, error.strerror)) from error
        if is_open:
            raise Refusal("a process of the host has the image of %s open for writing" % domain.target, path)


def is_open_for_writing(path):
    """Whether any process of this host has a file open for writing. The kernel grants a read lease only if none has."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)


def disk_of_receipt(domain, name, text, settings):
    """
    Returns sha256 and sealed_at from the receipt of the domain. Raises Refusal unless the receipt is of this disk, and of the
    files that it has now.
    """
    found = record.read(os.path.join(record.folder_of(settings["directory"], name), "receipt.json"))
    if found is None:
        raise Refusal("the guest has no receipt: seal it with immutafs_receipts: true")
    problem = receipt.problem_of(found)
    if problem is not None:
        raise Refusal("the receipt of the guest is damaged: %s" % problem)
    if (found.get("domain"), found.get("target")) != (name, domain.target):
        raise Refusal("the receipt is of another domain or disk")
    identity = identity_of(domain, text)
    if identity is None or found.get("image") != identity:
        text = "the receipt is not of the image that %s has now: run immutafs.agent.seal, which compares them"
        raise Refusal(text % domain.target)
    sha256 = found["disk"]["sha256"]
    if sha256 in settings["withdrawn"]:
        raise Refusal("the image with the SHA-256 %s was withdrawn" % sha256)
    return {"sha256": sha256, "sealed_at": found.get("time")}


def image_of(text, target):
    """Returns name and version of the image, if the module `builder` has made it, or None."""
    path = disk_source(text, target)["path"]
    found = record.read(path + ".json")
    if found is None or not all(isinstance(found.get(key), str) for key in ("name", "image")):
        return None
    return {"name": found["name"], "version": found["image"]}


def seed_of(domain, text):
    """Returns the SHA-256 of the image of the seed, or None if the domain has none. Raises Refusal if it is not certain."""
    found = [seed_on(domain, text, disk) for disk in disks_of(text)]
    found = [digest for digest in found if digest is not None]
    if len(found) > 1:
        raise Refusal("the domain has more than one seed")
    if "hostdev" in read_only_disks(text):
        raise Refusal("it is unknown whether a SCSI device that is passed through read-only has a seed: detach it")
    return found[0] if found else None


def seed_on(domain, text, disk):
    """Returns the SHA-256 of a disk (see disks_of) that has a seed, or None. Raises Refusal if it is not certain."""
    target, content, unknown = disk["target"], None, None
    if disk["source"] is None or target == domain.target:
        return None
    try:
        content = content_of_seed(domain, text, disk)
    except UnknownContent as error:
        unknown = error
    if content is None and unknown is None:
        return None
    in_qemu = qemu_readonly(domain, describe_disk(text, target)["alias"])
    if unknown is not None:
        # The guest accepts no seed from a device that it can write.
        if in_qemu is False:
            return None
        detail = unknown.__cause__ if isinstance(unknown.__cause__, OSError) else None
        message = "it is unknown whether the read-only disk %s has a seed: %s" % (target, unknown)
        raise Refusal(message, None if detail is None else "%s: %s" % (detail.filename, detail.strerror)) from unknown
    if not disk["readonly"] or in_qemu is not True:
        raise Refusal("the seed on %s is writable" % target)
    if len(content) > SEED_LIMIT:
        raise Refusal("the seed on %s is larger than %d bytes" % (target, SEED_LIMIT))
    return hashlib.sha256(content).hexdigest()


def content_of_seed(domain, text, disk):
    """
    Returns the content of a disk (see disks_of), at most one byte more than SEED_LIMIT, or None if it has no seed. Raises
    UnknownContent if the host cannot tell, caused by an OSError if it cannot read the disk.
    """
    path, element = path_of(domain, disk["source"]), find_disk(ElementTree.fromstring(text), disk["target"])
    if path is None:
        raise UnknownContent("it is neither a file nor a block device")
    if disk["format"] != "raw":
        raise UnknownContent("its format is %s, and not raw" % disk["format"])
    if element.find("source/slices") is not None:
        raise UnknownContent("it is a part of a file")
    block = element.find("blockio")
    sector = 512 if block is None else int(block.get("logical_block_size", "512"))
    try:
        # A FIFO would otherwise block.
        file = open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb")
    except OSError as error:
        raise UnknownContent("the host cannot read it") from error
    with file:
        kind = os.fstat(file.fileno()).st_mode
        if not stat.S_ISREG(kind) and not stat.S_ISBLK(kind):
            raise UnknownContent("it is neither a file nor a block device")
        if not has_seed(file, None if element.get("device") == "cdrom" else sector):
            return None
        file.seek(0)
        return file.read(SEED_LIMIT + 1)
