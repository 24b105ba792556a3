"""Where the versions of an image are: files in a directory, or logical volumes in a volume group.

Every program is run by a function `run(*argv)`, which returns its standard output and raises LibvirtError if it fails.

Sources: lvcreate(8), lvrename(8), lvremove(8); lvs(8), "LV reporting"; lvm(8), "VALID NAMES".
"""

import fcntl
import os
import re
import stat

from ansible_collections.immutafs.agent.plugins.module_utils import record
from ansible_collections.immutafs.agent.plugins.module_utils.libvirt import LibvirtError

QEMU_IMG = "/usr/bin/qemu-img"

# A directory that begins with this text is a volume group.
DEVICES = "/dev/"

# The tag of the volumes that this collection has made. No other volume is removed.
TAG = "immutafs"


def store_of(directory, source, records, run):
    """
    Returns the store of the versions of an image. `directory`: a directory, a volume group (`/dev/GROUP`), or None for that of
    the image `source`. `records`: the directory for the receipts of volumes.
    """
    if directory is None and stat.S_ISREG(os.stat(source).st_mode):
        directory = os.path.dirname(source)
    if directory is None:
        try:
            group = run("/usr/sbin/lvs", "--noheadings", "-o", "vg_name", source).strip()
        except LibvirtError as error:
            raise LibvirtError(
                "%s is neither a file nor a logical volume: set immutafs_image_directory (%s)" % (source, error)
            ) from error
        directory = DEVICES + group
    if directory.startswith(DEVICES):
        return Volumes(os.path.basename(directory.rstrip("/")), records, run)
    return Files(directory, run)


def space_needed(allocated, size, growth):
    """
    Returns the bytes that a file needs: those of the image, and `growth` bytes that the update writes. A file never grows
    beyond the size of the disk, apart from a few clusters.
    """
    return min(size, allocated + growth)


class Files:
    """Versions that are files in a directory, beside their receipts."""

    kind = "file"
    # What an administrator can do besides freeing space.
    advice = ", or set immutafs_snapshot_size to the amount of data that the update writes at most"

    def __init__(self, folder, run):
        self.place, self.records, self.run = folder, folder, run

    def form_of(self, form):
        """Returns the format of a version of an image with this format."""
        return form

    def path(self, name, version, form):
        """Returns the path of a version."""
        return os.path.join(self.place, "%s-%s.%s" % (name, version, form))

    def unfinished(self, name):
        """Returns the path of the copy in which a version is made."""
        return os.path.join(self.place, ".%s.building" % name)

    def beside(self, path):
        """Returns the path of the receipt of a version, and of the other files about it, without its end."""
        return os.path.join(self.records, os.path.basename(path))

    def exists(self, path):
        """Whether a version exists."""
        return os.path.lexists(path)

    def is_open(self, path):
        """Whether QEMU uses a version, also by another connection. QEMU locks its images (QEMU, docs/system/images.rst)."""
        with open(path, "r+b") as file:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            return False

    def free(self, copied):
        """Returns the bytes that are free once the copy of an interrupted run is removed."""
        space = os.statvfs(self.place)
        left = os.stat(copied).st_blocks * 512 if os.path.lexists(copied) else 0
        return space.f_bavail * space.f_frsize + left

    def needed(self, allocated, size, growth):
        """Returns the bytes that a copy of an image needs: see `space_needed`."""
        return space_needed(allocated, size, growth)

    def copy(self, image, form, copied, size):
        """Copies an image as a whole, also what it is based on."""
        del size
        self.run(QEMU_IMG, "convert", "-f", form, "-O", form, image, copied)

    def synchronise(self, copied):
        """Stores the content of the copy on the disk."""
        record.synchronise(copied)

    def publish(self, copied, path):
        """Gives the copy the name of a version, which does not exist."""
        record.move(copied, path)

    def remove(self, path):
        """Removes the copy or a version, if it exists."""
        record.remove(path)


class Volumes(Files):
    """Versions that are logical volumes of a group. Each is as large as the disk, and is not thin."""

    kind = "block"
    advice = " in the volume group"

    def __init__(self, group, records, run):
        super().__init__(DEVICES + group, run)
        self.group, self.records = group, os.path.join(records, "images", group)

    def form_of(self, form):
        """See `Files`. A volume has no format."""
        return "raw"

    def path(self, name, version, form):
        """See `Files`. Raises LibvirtError if LVM does not permit the name."""
        volume = "%s-%s" % (name, version)
        if re.fullmatch(r"[A-Za-z0-9+_.][A-Za-z0-9+_.-]{0,119}", volume) is None:
            raise LibvirtError("'%s' cannot be the name of a logical volume: use letters, digits and . _ + -" % volume)
        return os.path.join(self.place, volume)

    def unfinished(self, name):
        return os.path.join(self.place, "%s.building" % name)

    def volumes(self):
        """Returns the tags of each volume of the group, and whether it is open, by its name."""
        form = ["--noheadings", "--separator", "|", "-o", "lv_name,lv_tags,lv_device_open"]
        lines = [line.strip().split("|") for line in self.run("/usr/sbin/lvs", *form, self.group).splitlines()]
        return {name: (tags.split(","), opened == "open") for name, tags, opened in lines}

    def exists(self, path):
        """See `Files`. A volume that is not active has no device."""
        return os.path.basename(path) in self.volumes()

    def is_open(self, path):
        """
        See `Files`. libvirt can give QEMU another file for the device, so that its locks are not visible. A volume that is not
        active counts as open, because it has no device that could be compared with those of domains.
        """
        return not os.path.exists(path) or self.volumes()[os.path.basename(path)][1]

    def free(self, copied):
        left = self.size("lv_size", copied) if self.exists(copied) else 0
        return left + self.size("vg_free", self.group)

    def size(self, field, of):
        """Returns a size that LVM reports, in bytes."""
        program = "/usr/sbin/vgs" if field.startswith("vg_") else "/usr/sbin/lvs"
        return int(self.run(program, "--noheadings", "--units", "b", "--nosuffix", "-o", field, of).strip())

    def needed(self, allocated, size, growth):
        del allocated, growth
        extent = self.size("vg_extent_size", self.group)
        return -(-size // extent) * extent

    def copy(self, image, form, copied, size):
        """See `Files`. Never writes to a volume that exists."""
        name = os.path.basename(copied)
        options = ["--yes", "--quiet", "--wipesignatures", "n", "--addtag", TAG, "--size", "%db" % size]
        self.run("/usr/sbin/lvcreate", *options, "--name", name, self.group)
        self.run(QEMU_IMG, "convert", "-n", "-f", form, "-O", "raw", image, copied)

    def publish(self, copied, path):
        """See `Files`. LVM refuses a name that exists."""
        self.run("/usr/sbin/lvrename", "--quiet", self.group, os.path.basename(copied), os.path.basename(path))

    def remove(self, path):
        """See `Files`. Raises LibvirtError for a volume without the tag. LVM does not remove a volume that is open."""
        name = os.path.basename(path)
        volumes = self.volumes()
        if name not in volumes:
            return
        if TAG not in volumes[name][0]:
            raise LibvirtError("the volume %s/%s was not made by this collection, and is not removed" % (self.group, name))
        self.run("/usr/sbin/lvremove", "--yes", "--quiet", "%s/%s" % (self.group, name))
