#!/usr/bin/python3
"""Makes the disk for SCRATCH of a guest, and attaches it to the domain."""

import json
import os
import re
import shlex
import tempfile
from xml.etree import ElementTree

from ansible_collections.immutafs.agent.plugins.module_utils import record
from ansible_collections.immutafs.agent.plugins.module_utils.domain_xml import disk_source, find_disk, normalised
from ansible_collections.immutafs.agent.plugins.module_utils.libvirt import Domain, LibvirtError
from ansible_collections.immutafs.agent.plugins.module_utils.module import DIRECTORY, DISK, run
from ansible_collections.immutafs.agent.plugins.module_utils.scratch_mark import machine_of, mark_of
from ansible_collections.immutafs.agent.plugins.module_utils.storage import bytes_of

DOCUMENTATION = r"""
---
module: scratch
short_description: Make the disk for SCRATCH of a guest and attach it to its libvirt domain
version_added: 0.1.0
description:
  - Makes a sparse file, and attaches it with a serial number and C(discard='unmap'), so that a discard in the guest frees its
    space on the host. A running domain gets the disk at once, if it has a free slot for it.
  - Marks the disk for the guest, before the domain gets it, with the UUID of the domain and the name of the disk in the guest.
    A disk without this mark is never formatted. Only the new file is marked, which is blank.
  - Uses only a file that this module has made. It records the file in O(directory).
  - Never removes or replaces a disk. With an empty O(size), and if another size or file is requested than that of the disk, it
    reports what to do.
extends_documentation_fragment: immutafs.agent.libvirt_disk
options:
  target:
    description:
      - Target of the disk in the domain XML, such as V(vdz). The beginning determines the bus; V(vd) is virtio-blk, V(sd) is
        virtio-scsi, for which the domain must have a controller.
    type: str
    required: true
  system:
    description: Target of the system disk, such as V(vda).
    type: str
    required: true
  size:
    description: Size of the disk, such as V(20G). If it is empty, nothing is made.
    type: str
    default: ''
  format:
    description: Format of the file.
    type: str
    choices: [raw, qcow2]
    default: raw
  serial:
    description: Serial number, by which the guest finds the disk.
    type: str
    default: scratch
  image_directory:
    description: Directory on the host for the file. The default is the directory of the system disk.
    type: path
  directory:
    description: Directory on the host for the record, which gets a directory with the name of the domain.
    type: path
    default: /var/lib/immutafs
"""

EXAMPLES = r"""
---
- name: Give the guest 20 GiB for container images
  immutafs.agent.scratch:
    domain: web1
    system: vda
    target: vdz
    size: 20G
  delegate_to: kvm1
"""

RETURN = r"""
---
path:
  description: Path of the file.
  returned: with a size
  type: str
  sample: /var/lib/libvirt/images/web1-scratch.raw
link:
  description: The name of the disk in the guest.
  returned: with a size
  type: str
  sample: /dev/disk/by-id/virtio-scratch
live:
  description: Whether the running domain has the disk. If not, it has it from its next start on.
  returned: with a size
  type: bool
marked:
  description: Whether this module has marked the disk for this domain. If not, the guest must do it.
  returned: with a size
  type: bool
left:
  description: What to do about a disk that was made earlier, if the size is empty.
  returned: without a size
  type: str
"""

QEMU_IMG = "/usr/bin/qemu-img"
SERIAL = re.compile(r"^[A-Za-z0-9._-]{1,20}$")
TARGET = re.compile(r"^([vs]d)[a-z]+$")
BUSES = {"vd": "virtio", "sd": "scsi"}
# The names of udev for the disks of QEMU; see 60-persistent-storage.rules.
LINKS = {"vd": "/dev/disk/by-id/virtio-%s", "sd": "/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_%s"}

ARGUMENTS = {
    **DISK,
    "system": {"type": "str", "required": True},
    "size": {"type": "str", "default": ""},
    "format": {"type": "str", "choices": ["raw", "qcow2"], "default": "raw"},
    "serial": {"type": "str", "default": "scratch"},
    "image_directory": {"type": "path"},
    "directory": DIRECTORY,
}


def main():
    run(ARGUMENTS, provide)


def provide(module):
    """Makes the disk, or without a size reports an earlier one. Returns the result of the module."""
    return Scratch(module).provide() if module.params["size"] else {"changed": False, "left": left(module)}


def record_of(module):
    """Returns the path of the record about the disk of a domain."""
    return os.path.join(record.folder_of(module.params["directory"], module.params["domain"]), "scratch.json")


def made_earlier(module):
    """
    Returns the record about the disk of a domain, or None. If the module was interrupted while it made the file, the record
    has the inode number of the file, and counts only if the file has its name.
    """
    made = record.read(record_of(module))
    if made is not None and "inode" in made:
        try:
            return made if os.lstat(made["path"]).st_ino == made["inode"] else None
        except FileNotFoundError:
            return None
    return made


def how_to_remove(module, made):
    """Returns the commands that remove a disk."""
    words = (module.params["domain"], made["target"], made["path"], record_of(module))
    return "virsh detach-disk %s %s --config; rm %s %s" % tuple(shlex.quote(word) for word in words)


def left(module):
    """Returns a text about a disk that was made earlier, or the empty text."""
    made = made_earlier(module)
    if made is None:
        return ""
    return (
        "%s: the disk %s (%s) was kept, because a disk is never removed automatically. If SCRATCH_DEVICE of the guest does "
        "not name it any more, shut the guest down, and run: %s"
        % (module.params["domain"], made["target"], made["path"], how_to_remove(module, made))
    )


class Scratch:
    """The disk of a domain, as the options describe it."""

    def __init__(self, module):
        self.module, self.params, self.domain = module, module.params, Domain(module)
        self.inactive = self.domain.xml(inactive=True)
        match = TARGET.match(self.domain.target)
        if match is None:
            raise LibvirtError("immutafs_scratch_target is '%s', but must be a target such as vdz" % self.domain.target)
        if SERIAL.match(self.params["serial"]) is None:
            raise LibvirtError("the serial number '%s' must have up to 20 letters and digits" % self.params["serial"])
        self.bus = BUSES[match.group(1)]
        controllers = ElementTree.fromstring(self.inactive).findall("./devices/controller[@type='scsi']")
        if self.bus == "scsi" and all(each.get("model") != "virtio-scsi" for each in controllers):
            raise LibvirtError("%s has no virtio-scsi controller: add one, or choose a target such as vdz" % self.domain.name)
        self.link = LINKS[match.group(1)] % self.params["serial"]
        name = "%s-scratch.%s" % (self.domain.name, self.params["format"])
        self.wanted = {
            "path": os.path.join(self.folder(), name),
            "format": self.params["format"],
            "bytes": bytes_of(self.params["size"], variable="immutafs_scratch_size"),
            "target": self.domain.target,
            "serial": self.params["serial"],
        }
        # Not compared with the record: a disk of another machine is kept, and the guest does not use it.
        self.machine = machine_of(self.inactive)

    def folder(self):
        """Returns the directory for the file. Raises LibvirtError if it is not known."""
        if self.params["image_directory"]:
            return self.params["image_directory"]
        source = disk_source(self.inactive, self.params["system"])
        if source is None or source["type"] != "file" or not source["path"]:
            text = "%s: %s is not a file: set immutafs_scratch_directory"
            raise LibvirtError(text % (self.domain.name, self.params["system"]))
        return os.path.dirname(source["path"])

    def provide(self):
        """Makes and attaches what is missing, and returns the result of the module."""
        missing = self.is_file_missing()
        # Before anything is changed, because each may refuse.
        unattached = self.is_unattached(self.inactive)
        runs = self.domain.state()[0] == "running"
        unplugged = runs and self.is_unattached(self.domain.xml(inactive=False))
        plugged, dry = not unplugged, self.module.check_mode
        if missing and not dry:
            self.make()
        elif not dry:
            self.finish()
        if unattached and not dry:
            self.attach()
        if unplugged and not dry:
            plugged = self.plug()
        return {
            "changed": missing or unattached or (unplugged and (plugged or dry)),
            "path": self.wanted["path"],
            "link": self.link,
            "live": runs and plugged,
            "marked": self.machine is not None and (missing or self.marked_for() == self.machine),
        }

    def is_file_missing(self):
        """Whether the file must be made. Raises LibvirtError if there is one that this module has not made like that."""
        path, made = self.wanted["path"], made_earlier(self.module)
        differing = sorted(name for name in self.wanted if made is not None and made.get(name) != self.wanted[name])
        if differing:
            raise LibvirtError(
                "%s: the disk that was made has the %s %s, not %s. A disk is never replaced automatically: shut the guest "
                "down, run `%s`, and start again"
                % (
                    self.domain.name,
                    differing[0],
                    made.get(differing[0]),
                    self.wanted[differing[0]],
                    how_to_remove(self.module, made),
                )
            )
        if not os.path.lexists(path):
            return True
        if made is None or os.path.islink(path) or not os.path.isfile(path):
            raise LibvirtError("%s exists, and this module has not made it: move it, or name another directory" % path)
        return False

    def marked_for(self):
        """Returns the UUID for which the disk was marked when it was made, or None."""
        made = made_earlier(self.module)
        return None if made is None else made.get("machine")

    def is_unattached(self, text):
        """Whether the domain has no disk with the target. Raises LibvirtError if it is another one."""
        disk = find_disk(ElementTree.fromstring(text), self.domain.target)
        if disk is None:
            return True
        found = {
            "the file": disk_source(text, self.domain.target)["path"],
            "discard": getattr(disk.find("driver"), "attrib", {}).get("discard"),
            "the format": disk_source(text, self.domain.target)["format"],
            "the serial number": disk.findtext("serial"),
        }
        wanted = (self.wanted["path"], "unmap", self.wanted["format"], self.wanted["serial"])
        for (name, value), each in zip(found.items(), wanted):
            if value != each:
                text = "%s: the disk %s has %s %s, not %s: choose another immutafs_scratch_target, or detach it"
                raise LibvirtError(text % (self.domain.name, self.domain.target, name, value, each))
        return False

    def make(self):
        """
        Makes the file. The record is written first, with the inode number of the file until the file has its name, so that
        after an interruption in between, the file is recognised, and one that something else has made is not.
        """
        path = self.wanted["path"]
        try:
            work = tempfile.mkdtemp(dir=os.path.dirname(path), prefix=".scratch-")
        except OSError as error:
            raise LibvirtError("%s cannot be written: %s" % (path, error)) from error
        image, raw = os.path.join(work, "image"), os.path.join(work, "raw")
        try:
            with open(raw, "xb") as file:
                if self.machine is not None:
                    file.write(mark_of(self.machine, self.link).encode("ascii"))
                file.truncate(self.wanted["bytes"])
            self.domain.run(QEMU_IMG, "convert", "-q", "-f", "raw", "-O", self.wanted["format"], raw, image)
            os.chmod(image, 0o600)
            record.synchronise(image)
            made = dict(self.wanted, machine=self.machine)
            self.note(dict(made, inode=os.stat(image).st_ino))
            # Unlike a rename, it does not replace a file.
            os.link(image, path)
            record.synchronise(os.path.dirname(path))
            self.note(made)
        except OSError as error:
            if made_earlier(self.module) is None:
                record.remove(record_of(self.module))
            raise LibvirtError("%s cannot be written: %s" % (path, error)) from error
        finally:
            record.remove(raw)
            record.remove(image)
            os.rmdir(work)

    def finish(self):
        """Completes the record after an interruption."""
        made = record.read(record_of(self.module))
        if "inode" in made:
            self.note({name: value for name, value in made.items() if name != "inode"})

    def note(self, made):
        """Writes the record about the file."""
        record.write(record_of(self.module), json.dumps(made, sort_keys=True) + "\n")

    def xml(self):
        """Returns the <disk> as text."""
        disk = ElementTree.Element("disk", {"type": "file", "device": "disk"})
        ElementTree.SubElement(disk, "driver", {"name": "qemu", "type": self.wanted["format"], "discard": "unmap"})
        ElementTree.SubElement(disk, "source", {"file": self.wanted["path"]})
        ElementTree.SubElement(disk, "target", {"dev": self.wanted["target"], "bus": self.bus})
        ElementTree.SubElement(disk, "serial").text = self.wanted["serial"]
        return ElementTree.tostring(disk, encoding="unicode")

    def attach(self):
        """Attaches the disk from the next start on. Raises LibvirtError if libvirt changes more."""

        def check(after, error):
            if error is not None:
                return error
            root = ElementTree.fromstring(after)
            disk = find_disk(root, self.domain.target)
            if disk is None or self.is_unattached(after):
                return "%s: libvirt has not attached %s" % (self.domain.name, self.domain.target)
            root.find("./devices").remove(disk)
            if normalised(root) != normalised(ElementTree.fromstring(self.inactive)):
                return "%s: libvirt changed more than the disk %s" % (self.domain.name, self.domain.target)
            return None

        self.domain.change(self.inactive, lambda: self.attach_device("--config"), check)

    def plug(self):
        """Attaches the disk to the running domain. Returns whether that was possible."""
        try:
            self.attach_device("--live")
        except LibvirtError as error:
            self.module.warn("the running domain gets the disk only at its next start: %s" % error)
            return False
        return True

    def attach_device(self, option):
        with tempfile.NamedTemporaryFile("w", suffix=".xml") as file:
            file.write(self.xml())
            file.flush()
            self.domain.virsh("attach-device", file.name, option)


if __name__ == "__main__":
    main()
