"""Snapshots of the disk of a domain that is shut off: internal snapshots of qcow2 files, and LVM snapshots.

Every program is run by a function `run(*argv)`, which returns its standard output and raises LibvirtError if it fails.

Sources: qemu-img(1), snapshot; lvcreate(8), --snapshot; lvconvert(8), --merge; lvs(8), "LV reporting".
"""

import json
import os
import re
import time

from ansible_collections.immutafs.agent.plugins.module_utils.libvirt import LibvirtError

# The name of the internal snapshot in a qcow2 file, and the start of the name of an LVM snapshot.
TAG = "immutafs"

UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}

# Interval in seconds between queries while LVM merges a snapshot, and the time after which a merge has stalled.
INTERVAL = 1
STALLED = 600


class NoSnapshots(LibvirtError):
    """The storage of a disk cannot have snapshots. The message says what the administrator can do."""


def storage_of(source, run):
    """
    Returns the storage of a disk, which has the methods of `Qcow2`.

    `source` has the keys type, path and format (see disk_source in domain_xml). Raises NoSnapshots, or LibvirtError if the
    storage cannot be queried.
    """
    kind, path, form = source["type"], source["path"], source["format"]
    if kind == "file" and form == "qcow2":
        return Qcow2(path, run)
    if kind == "block" and form == "raw":
        return Volume(path, run)
    if kind == "file" and form == "raw":
        raise NoSnapshots(
            "%s is a raw file, which has no snapshots: while the domain is shut off, convert the file (qemu-img convert "
            "-f raw -O qcow2) and set the new file and the type qcow2 in the domain XML, or set immutafs_rollback: false"
            % path
        )
    raise NoSnapshots(
        "a disk of type '%s' with the format '%s' cannot be rolled back, only qcow2 files and LVM volumes can: set "
        "immutafs_rollback: false, and create the snapshot with the tools of the storage" % (kind, form)
    )


def is_logical_volume(path, devices="/sys/dev/block"):
    """
    Returns whether a block device is a logical volume, by its UUID in the kernel's device mapper, which begins with LVM-
    (UUID_PREFIX in dev_manager.c of LVM). Also returns True if the device does not exist: the volume may be inactive, and
    lvs then gives the reason. Raises LibvirtError if the device cannot be examined.
    """
    try:
        device = os.stat(path).st_rdev
    except FileNotFoundError:
        return True
    except OSError as error:
        raise LibvirtError("%s cannot be examined: %s" % (path, error.strerror)) from error
    try:
        with open("%s/%d:%d/dm/uuid" % (devices, os.major(device), os.minor(device))) as file:
            return file.read().startswith("LVM-")
    except FileNotFoundError:
        return False
    except OSError as error:
        raise LibvirtError("%s cannot be examined: %s" % (path, error.strerror)) from error


def bytes_of(size, whole=None, variable="immutafs_snapshot_size"):
    """
    Returns the bytes of a size such as "8G" or, of `whole`, "50%". Raises LibvirtError, which names the variable, for any
    other text.
    """
    match = re.match(r"^([1-9][0-9]*)([KMGT]?|%)$", str(size))
    if match is None or (whole is None and match.group(2) == "%"):
        example = "8G" if whole is None else "8G or 50%"
        raise LibvirtError("%s is '%s', but must be a size such as %s" % (variable, size, example))
    number, unit = int(match.group(1)), match.group(2)
    return whole * number // 100 if unit == "%" else number * UNITS[unit]


class Qcow2:
    """A qcow2 file. The format is given to qemu-img, never detected, because detection would read the guest's data."""

    # QEMU locks the file while the domain is running, even if the disk is read-only.
    removable_online = False

    def __init__(self, path, run):
        self.path, self.run = path, run

    def query(self):
        """
        Returns size (bytes of the guest's disk), free (bytes that a snapshot can use), taken (seconds since the epoch,
        or None without a snapshot), valid (whether the snapshot can be restored, or None without a snapshot) and merging
        (whether the storage is restoring the snapshot). Raises NoSnapshots, or LibvirtError if the file cannot be read.
        """
        info = json.loads(self.run("/usr/bin/qemu-img", "info", "-U", "-f", "qcow2", "--output=json", self.path))
        data = info.get("format-specific", {}).get("data", {})
        if data.get("corrupt"):
            raise LibvirtError("qemu-img reports that %s is corrupt: repair it with qemu-img check" % self.path)
        if "data-file" in data:
            raise NoSnapshots("%s has an external data file, so that it cannot have internal snapshots" % self.path)
        taken = [each["date-sec"] for each in info.get("snapshots", []) if each["name"] == TAG]
        space = os.statvfs(os.path.dirname(self.path))
        free = space.f_bavail * space.f_frsize
        return {
            "size": info["virtual-size"],
            "free": free,
            "taken": taken[0] if taken else None,
            "valid": True if taken else None,
            "merging": False,
        }

    def create(self, size):
        """Creates the snapshot. qcow2 reserves no space, so `size` is not used."""
        del size
        self.snapshot("-c")

    def restore(self):
        """
        Brings the disk into the state of the snapshot, then deletes the snapshot, like a merge of LVM. Can be repeated
        after an interruption, as long as the snapshot exists.
        """
        self.snapshot("-a")
        self.remove()

    def remove(self):
        self.snapshot("-d")

    def held(self):
        """
        Returns a lower bound of the bytes that the snapshot holds, and that become free when it is deleted: what the file
        occupies, without the data of the disk itself and an upper bound of the metadata (qcow2.txt of QEMU).
        """
        info = json.loads(self.run("/usr/bin/qemu-img", "info", "-U", "-f", "qcow2", "--output=json", self.path))
        extents = json.loads(self.run("/usr/bin/qemu-img", "map", "-U", "--output=json", "--image-opts", self.options()))
        own = sum(each["length"] for each in extents if each["depth"] == 0 and (each["data"] or "offset" in each))
        # For each cluster, 8 bytes in the L2 table, 8 in that of the snapshot and at most 8 in the refcount block.
        metadata = 24 * (info["virtual-size"] // info["cluster-size"]) + 16 * info["cluster-size"]
        return max(0, info["actual-size"] - own - metadata)

    def snapshot(self, action):
        self.run("/usr/bin/qemu-img", "snapshot", action, TAG, "--image-opts", self.options())

    def options(self):
        """Returns the file for --image-opts."""
        return "driver=qcow2,file.driver=file,file.filename=" + self.path.replace(",", ",,")


class Volume:
    """A logical volume of LVM that is not thin. The methods are those of `Qcow2`."""

    removable_online = True

    def __init__(self, path, run):
        self.path, self.run = path, run
        if not is_logical_volume(path):
            raise NoSnapshots(
                "%s is not a logical volume of LVM and cannot be rolled back: set immutafs_rollback: false, and create the "
                "snapshot with the tools of the storage" % path
            )
        lines = self.lvs("vg_name,lv_name,lv_size,vg_free,segtype", path)
        if len(lines) != 1 or lines[0][4] not in ("linear", "striped"):
            kinds = ", ".join(sorted(set(line[4] for line in lines)))
            raise NoSnapshots(
                "%s consists of segments of the type %s; only a volume with one linear or striped segment can be rolled "
                "back: set immutafs_rollback: false, and create the snapshot manually" % (path, kinds)
            )
        self.group, self.name = lines[0][:2]
        self.size, self.free = int(lines[0][2]), int(lines[0][3])
        self.copy = "%s/%s-%s" % (self.group, TAG, self.name)

    def lvs(self, fields, *what):
        """Runs lvs and returns a list of the fields of each line. Sizes are in bytes."""
        form = ["--noheadings", "--units", "b", "--nosuffix", "--separator", "|", "-o", fields]
        return [line.strip().split("|") for line in self.run("/usr/sbin/lvs", *form, *what).splitlines() if line.strip()]

    def query(self):
        snapshot = self.find()
        merging = snapshot is not None and snapshot["merging"]
        usable = snapshot if snapshot is not None and not merging else {"taken": None, "valid": None}
        return {
            "size": self.size,
            "free": self.free,
            "taken": usable["taken"],
            "valid": usable["valid"],
            "merging": merging,
        }

    def find(self):
        """Returns taken, merging, valid and failed (whether a merge has failed), or None if there is no snapshot."""
        # With --all, the name of a hidden volume, such as a merging snapshot, is in square brackets.
        lines = self.lvs("lv_name,lv_attr,lv_time", "--all", "--config", 'report/time_format="%s"', self.group)
        for name, attributes, taken in lines:
            if name.strip("[]") == self.copy.partition("/")[2]:
                # lv_attr: S is a merging snapshot; the fifth character is I for an invalid snapshot, S for one that is
                # also suspended, m for a failed merge, M for one that is also suspended.
                return {
                    "taken": int(taken),
                    "merging": attributes[0] == "S" or name.startswith("["),
                    "valid": attributes[4] not in ("I", "S"),
                    "failed": attributes[4] in ("m", "M"),
                }
        return None

    def create(self, size):
        """Creates the snapshot. `size` is a size such as 8G, or a percentage of the volume such as 100%."""
        text = str(size)
        amount = ["--extents", text + "ORIGIN"] if text.endswith("%") else ["--size", str(bytes_of(text, 0)) + "b"]
        name = self.copy.partition("/")[2]
        self.run("/usr/sbin/lvcreate", "--yes", "--quiet", "--snapshot", "--name", name, *amount, self.path)

    def restore(self):
        """Merges the snapshot into the volume and waits for the end. LVM then deletes the snapshot."""
        snapshot = self.find()
        if snapshot is not None and not snapshot["merging"]:
            if not snapshot["valid"]:
                raise LibvirtError(self.overflowed())
            self.run("/usr/sbin/lvconvert", "--yes", "--merge", "--interval", str(INTERVAL), self.copy)
        self.wait_for_merge()

    def overflowed(self):
        """Returns the message for a snapshot that has overflowed."""
        return (
            "the snapshot %s has overflowed and cannot be restored: the update cannot be undone. Examine the guest, remove "
            "the snapshot (lvremove %s), then run immutafs.agent.seal. For the next update, set immutafs_snapshot_size to "
            "100%%" % (self.copy, self.copy)
        )

    def wait_for_merge(self):
        """
        Waits until the snapshot is gone, even if the program that began the merge was killed. Raises LibvirtError if the
        merge fails or makes no progress for STALLED seconds.
        """
        volume = "%s/%s" % (self.group, self.name)
        percent, since = None, time.monotonic()
        while True:
            snapshot = self.find()
            if snapshot is None:
                return
            if snapshot["failed"]:
                raise LibvirtError("LVM could not merge %s: see lvs and dmesg on the host" % self.copy)
            # The kernel merges while the volume is active. Polling makes LVM delete the snapshot at the end.
            self.run("/usr/sbin/lvchange", "--activate", "y", volume)
            self.run("/usr/sbin/lvchange", "--poll", "y", volume)
            now = self.lvs("snap_percent", volume)
            if now != percent:
                percent, since = now, time.monotonic()
            elif time.monotonic() - since > STALLED:
                raise LibvirtError("LVM does not continue to merge %s: see lvs and dmesg" % self.copy)
            time.sleep(INTERVAL)

    def held(self):
        """Returns the bytes that become free when the snapshot is deleted."""
        return sum(int(line[0]) for line in self.lvs("lv_size", self.copy))

    def remove(self):
        self.run("/usr/sbin/lvremove", "--yes", "--quiet", self.copy)
