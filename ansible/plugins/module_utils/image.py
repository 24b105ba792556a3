"""Queries the image file of a disk on the host, and which other disks have the same image."""

import fcntl
import json
import os
import stat
import struct
from urllib.parse import urlsplit
from xml.etree import ElementTree

from ansible_collections.immutafs.agent.plugins.module_utils.domain_xml import (
    disk_source,
    disks_of,
    find_disk,
    read_record,
)
from ansible_collections.immutafs.agent.plugins.module_utils.libvirt import LibvirtError


# _IOWR('f', 134, struct fsverity_digest), the size of that header, and that of the longest digest (linux/fsverity.h).
MEASURE_VERITY, VERITY_HEADER, LONGEST_DIGEST = 0xC0046686, 4, 64


def written(text, target, uri):
    """
    Returns when the image file of a disk was last written, in seconds since 1970. Returns None if the disk is not a
    file, or if the file is not on this machine. QEMU does not write to the image of a read-only disk.
    """
    disk = find_disk(ElementTree.fromstring(text), target)
    source = None if disk is None else disk.find("source")
    path = None if source is None else source.get("file")
    if path is None or not is_local(uri):
        return None
    try:
        return int(os.stat(path).st_mtime)
    except OSError:
        return None


def is_local(uri):
    """Whether the files that a domain of the connection uses are on this machine."""
    return not urlsplit(uri).netloc


def writers(domain, text):
    """
    Returns the disks by which a domain can write the image of the disk `domain.target`, or a file on which the image is
    based, as "DOMAIN TARGET", sorted. `text` is the XML of the domain. Other disks of the domain itself count as well,
    and so do domains that are shut off, because any of them can be started. Files and block devices are compared, not
    their names, and so are storage volumes that are files or block devices on this machine. Other volumes and network disks
    are compared by the names in the XML. Raises LibvirtError if virsh or qemu-img fails.
    """
    images = own_images(domain, text)
    for disk in own_disks(domain, text):
        images |= {file_of(path) for path in backing_files(domain, path_of(domain, disk["source"]), disk["format"])}
    others = other_disks(domain, text)
    return sorted({other["name"] for other in others if other["image"] in images and not other["readonly"]})


def sharers(domain, text):
    """
    Returns the other disks that have the image of the disk `domain.target`, or an image that is based on it, writable or
    not, in the form of `writers`.
    """
    images, chains, found = own_images(domain, text), {}, set()
    for other in other_disks(domain, text):
        image = other["image"]
        if image not in images and image not in chains:
            # Many disks may have one image, whose chain is read once.
            chains[image] = chain_of(domain, other)
        if image in images or chains[image] & images:
            found.add(other["name"])
    return sorted(found)


def chain_of(domain, disk):
    """Returns the files on which the image of another disk is based. No domain can start from an image without them."""
    try:
        return {file_of(path) for path in backing_files(domain, path_of(domain, disk["source"]), disk["format"])}
    except LibvirtError:
        return set()


def used_images(domain):
    """
    Returns the images that disks of any domain have, on which these are based, and to which a domain returns (see
    with_record in domain_xml), in the form of `image_of`. Raises LibvirtError if virsh or qemu-img fails.
    """
    found = set()
    for text in domain.every_xml():
        record = read_record(ElementTree.fromstring(text))
        disks = [(disk["source"], disk["format"]) for disk in disks_of(text) if disk["source"] is not None]
        if "previous" in record:
            disks.append(({"file": record["previous"]}, record.get("previous-format", "raw")))
        for source, form in disks:
            found.add(image_of(domain, source))
            found |= {file_of(path) for path in backing_files(domain, path_of(domain, source), form)}
    return found


def own_images(domain, text):
    """Returns the image of the disk `domain.target` as a set."""
    return {image_of(domain, disk["source"]) for disk in own_disks(domain, text)}


def own_disks(domain, text):
    """Returns the disk `domain.target` as a list, which is empty if the domain does not have it or if it is an empty drive."""
    return [disk for disk in disks_of(text) if disk["target"] == domain.target and disk["source"] is not None]


def other_disks(domain, text):
    """
    Returns every other disk of every domain, as `disks_of`, with name ("DOMAIN TARGET") and image (see `image_of`). Each
    state of a running domain has its disks.
    """
    own = ElementTree.fromstring(text).findtext("uuid")
    found = []
    for other in domain.every_xml():
        root = ElementTree.fromstring(other)
        for disk in disks_of(other):
            itself = root.findtext("uuid") == own and disk["target"] == domain.target
            if not itself and disk["source"] is not None:
                name = "%s %s" % (root.findtext("name"), disk["target"])
                found.append(dict(disk, name=name, image=image_of(domain, disk["source"])))
    return found


def identity_of(domain, text):
    """
    Returns a text that identifies the files of the image of the disk `domain.target`, with those on which it is based, and
    when they were last written; or their content, if they have a digest of fs-verity. Returns None if one of them is not a
    file on this machine.
    """
    source = disk_source(text, domain.target)
    if source is None or source["type"] != "file" or source["path"] is None or not is_local(domain.uri):
        return None
    words = [source["format"]]
    for path in [source["path"]] + backing_files(domain, source["path"], source["format"]):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            try:
                found = os.fstat(descriptor)
                if not stat.S_ISREG(found.st_mode):
                    return None
                written_last = "%d:%d:%d:%d" % (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
                words.append(verity_of(descriptor) or written_last)
            finally:
                os.close(descriptor)
        except OSError:
            return None
    return " ".join(words)


def verity_of(descriptor):
    """
    Returns the digest of fs-verity of an open file, with the number of its algorithm, or None if the file, its file system or
    the kernel has none. The kernel lets nobody write such a file, and compares what is read with the digest.
    """
    answer = bytearray(struct.pack("=HH", 0, LONGEST_DIGEST) + bytes(LONGEST_DIGEST))
    try:
        fcntl.ioctl(descriptor, MEASURE_VERITY, answer)
    except OSError:
        return None
    algorithm, size = struct.unpack_from("=HH", answer)
    return "verity:%d:%s" % (algorithm, answer[VERITY_HEADER : VERITY_HEADER + size].hex())


def image_of(domain, source):
    """Returns what two sources have in common if they are the same image (see named_source in domain_xml)."""
    path = path_of(domain, source)
    if path is None:
        return ("source", tuple(sorted(source.items())))
    return file_of(path) if is_local(domain.uri) else ("path", path)


def path_of(domain, source):
    """Returns the path of a source (see named_source), also of a storage volume of this machine. Returns None if it has none."""
    path = source.get("file") or source.get("dev")
    if path is None and "volume" in source and is_local(domain.uri):
        path = domain.volume_path(source["pool"], source["volume"])
        return path if path is not None and os.path.exists(path) else None
    return path


def file_of(path):
    """Returns the device number of a block device, or device and inode of a file; the path if it does not exist."""
    try:
        found = os.stat(path)
    except OSError:
        return ("path", path)
    return ("block", found.st_rdev) if stat.S_ISBLK(found.st_mode) else ("file", found.st_dev, found.st_ino)


def backing_files(domain, path, form):
    """Returns the files on which a qcow2 image is based. The format is given to qemu-img, as in storage.Qcow2."""
    if form != "qcow2" or path is None or not is_local(domain.uri) or not os.path.exists(path):
        return []
    if is_based_on_nothing(path):
        return []
    options = ["-U", "-f", "qcow2", "--backing-chain", "--output=json"]
    chain = json.loads(domain.run("/usr/bin/qemu-img", "info", *options, path))
    return [each["filename"] for each in chain[1:]]


def is_based_on_nothing(path):
    """
    Whether the header of a qcow2 file says that there is no backing file (`backing_file_offset`, docs/interop/qcow2.rst of
    QEMU), so that qemu-img need not be run for each of hundreds of images. False if the file cannot be read.
    """
    try:
        with open(path, "rb") as file:
            header = file.read(16)
    except OSError:
        return False
    return header[:4] == b"QFI\xfb" and header[8:16] == bytes(8)
