#!/usr/bin/python3
"""Creates, restores and deletes the snapshot with which an update of a guest can be undone."""

import json
import os
import time

from ansible_collections.immutafs.agent.plugins.module_utils import record
from ansible_collections.immutafs.agent.plugins.module_utils.domain_xml import describe_disk, disk_source
from ansible_collections.immutafs.agent.plugins.module_utils.libvirt import Domain, LibvirtError
from ansible_collections.immutafs.agent.plugins.module_utils.module import DIRECTORY, DISK, run
from ansible_collections.immutafs.agent.plugins.module_utils.storage import NoSnapshots, bytes_of, storage_of

DOCUMENTATION = r"""
---
module: snapshot
short_description: Create, restore and delete the snapshot of a system disk
version_added: 0.1.0
description:
  - Manages at most one snapshot of the disk of a libvirt domain. In a qcow2 file, it is the internal snapshot
    C(immutafs). For a logical volume of LVM, it is the volume C(immutafs-VOLUME) in the same volume group. Raw files and
    other storage are refused.
  - Except for queries, and for deleting an LVM snapshot, the domain must be shut off.
  - Before a snapshot is restored, the module records the reason in O(directory). A restoration that was interrupted can
    thus be found and continued.
  - An LVM snapshot that has overflowed is invalid. The module neither restores it nor leaves it for another update.
extends_documentation_fragment: immutafs.agent.libvirt_disk
options:
  state:
    description:
      - V(query) changes nothing. It fails if the disk cannot have snapshots.
      - V(present) creates the snapshot, and deletes a snapshot that was kept. It does nothing if an update that was
        interrupted has left a snapshot. It fails if the disk is writable, because its state is then not that of a sealed
        guest, or if O(size) is not free, counting what the snapshot that was kept holds.
      - V(restored) brings the disk into the state of the snapshot, and deletes the snapshot. In check mode, it also fails
        if the snapshot cannot be restored, whether or not the domain is shut off.
      - V(kept) records that the update is finished, so that the next V(present) replaces the snapshot. It does nothing
        while a restoration is not finished, or if the disk cannot have snapshots; in the second case, RV(taken) is null, and the
        other values are not returned.
      - V(absent) deletes the snapshot and the record.
    type: str
    choices: [query, present, restored, kept, absent]
    default: query
  size:
    description:
      - Space that must be free for the snapshot, as a size such as C(8G) or as a percentage of the disk. An LVM snapshot
        gets this size. If the update writes more, an LVM snapshot is lost.
    type: str
    default: 100%
  reason:
    description: Reason that is recorded for O(state=restored).
    type: str
  directory:
    description: Directory on the host for the record.
    type: path
    default: /var/lib/immutafs
"""

EXAMPLES = r"""
---
- name: Create a snapshot
  immutafs.agent.snapshot:
    domain: web1
    target: vda
    state: present
  delegate_to: kvm1
"""

RETURN = r"""
---
taken:
  description: When the snapshot was created, in UTC; null without a snapshot.
  type: str
  returned: always
valid:
  description: Whether the snapshot can be restored. Null without a snapshot.
  type: bool
  returned: if the disk can have snapshots
phase:
  description: V(restoring) or V(restored) until V(absent) follows; V(kept); or null.
  type: str
  returned: if the disk can have snapshots
reason:
  description: Reason of the restoration, or null.
  type: str
  returned: if the disk can have snapshots
size:
  description: Size of the disk in bytes.
  type: int
  returned: if the disk can have snapshots
free:
  description: Bytes that are free for a snapshot.
  type: int
  returned: if the disk can have snapshots
required:
  description: Bytes that must be free for a snapshot.
  type: int
  returned: if the disk can have snapshots
removable_online:
  description: Whether the snapshot can be deleted while the domain is running.
  type: bool
  returned: if the disk can have snapshots
"""

ARGUMENTS = {
    **DISK,
    "state": {"type": "str", "choices": ["query", "present", "restored", "kept", "absent"], "default": "query"},
    "size": {"type": "str", "default": "100%"},
    "reason": {"type": "str"},
    "directory": DIRECTORY,
}


def main():
    required = [("state", "restored", ["reason"])]
    run(ARGUMENTS, bring, required)


def bring(module):
    """Brings the snapshot into the state of the options and returns the result of the module."""
    state = module.params["state"]
    try:
        return Snapshot(Domain(module)).bring(state)
    except NoSnapshots:
        if state == "kept":
            return {"changed": False, "taken": None}
        raise


class Snapshot:
    """The snapshot of one disk."""

    def __init__(self, domain):
        self.domain, self.params = domain, domain.module.params
        text = domain.xml(inactive=True)
        source = disk_source(text, domain.target)
        if source is None:
            raise LibvirtError("%s has no disk %s" % (domain.name, domain.target))
        self.readonly = describe_disk(text, domain.target)["readonly"]
        self.storage = storage_of(source, domain.run)
        folder = record.folder_of(self.params["directory"], domain.name)
        self.record = os.path.join(folder, record.ROLLBACK)

    def bring(self, state):
        """Brings the snapshot into a state and returns the result of the module."""
        seen = self.query()
        changed = {
            "query": lambda: False,
            "present": lambda: seen["taken"] is None or seen["phase"] == "kept",
            "restored": lambda: seen["phase"] != "restored",
            "kept": lambda: seen["taken"] is not None and seen["phase"] is None,
            "absent": lambda: seen["taken"] is not None or seen["phase"] is not None,
        }[state]()
        if state == "present" and seen["phase"] != "kept":
            self.refuse_overflowed(seen)
        if not changed:
            return self.result(seen, False)
        if state == "present":
            self.refuse_present(seen)
        if state == "restored":
            self.refuse_restored(seen)
        if self.domain.module.check_mode:
            return self.result(seen, True)
        getattr(self, state)(seen)
        return self.result(self.query(), True)

    def query(self):
        """Returns the state of the storage, with phase and reason of the record."""
        noted = record.read(self.record) or {}
        return dict(self.storage.query(), phase=noted.get("phase"), reason=noted.get("reason"))

    def result(self, seen, changed):
        """Returns the result of the module."""
        taken = seen["taken"]
        return {
            "changed": changed,
            "taken": None if taken is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(taken)),
            "valid": seen["valid"],
            "phase": seen["phase"],
            "reason": seen["reason"],
            "size": seen["size"],
            "free": seen["free"],
            "required": bytes_of(self.params["size"], seen["size"]),
            "removable_online": self.storage.removable_online,
        }

    def refuse_overflowed(self, seen):
        """Raises LibvirtError if the snapshot has overflowed."""
        if seen["taken"] is not None and not seen["valid"]:
            raise LibvirtError(self.storage.overflowed())

    def refuse_restored(self, seen):
        """Raises LibvirtError unless there is a snapshot that can be restored, or one was restored before."""
        self.refuse_overflowed(seen)
        if seen["taken"] is None and seen["phase"] != "restoring":
            raise LibvirtError("%s has no snapshot that could be restored" % self.domain.name)

    def refuse_present(self, seen):
        """Raises LibvirtError unless a snapshot of a sealed guest can be created now."""
        if not self.readonly:
            raise LibvirtError(
                "%s is open and has no snapshot of its sealed state, so that an update could not be undone: seal the "
                "guest first, or set immutafs_rollback: false" % self.domain.name
            )
        required = bytes_of(self.params["size"], seen["size"])
        # The space of a kept snapshot becomes free when it is replaced.
        free = seen["free"] + (0 if seen["taken"] is None else self.storage.held())
        if free < required:
            raise LibvirtError(
                "a snapshot of %s needs up to %d MiB, but only %d MiB are free: free some space, or set "
                "immutafs_snapshot_size to the amount of data that the update writes at most"
                % (self.domain.name, required // 2**20, free // 2**20)
            )

    def present(self, seen):
        """Creates the snapshot. A kept snapshot is deleted first, so that there are never two."""
        self.domain.refuse_unless_off()
        if seen["taken"] is not None:
            self.storage.remove()
            record.remove(self.record)
            self.refuse_present(self.query())
        self.storage.create(self.params["size"])

    def restored(self, seen):
        """Restores the snapshot. The record says whether this has begun and whether it has ended."""
        self.domain.refuse_unless_off()
        reason = seen["reason"] if seen["phase"] == "restoring" else self.params["reason"]
        record.write(self.record, json.dumps({"phase": "restoring", "reason": reason}))
        if seen["taken"] is not None or seen["merging"]:
            self.storage.restore()
        record.write(self.record, json.dumps({"phase": "restored", "reason": reason}))

    def kept(self, seen):
        """Records that the snapshot is not that of an unfinished update."""
        del seen
        record.write(self.record, json.dumps({"phase": "kept"}))

    def absent(self, seen):
        """Deletes the snapshot, then the record, so that an interruption in between is found."""
        if seen["phase"] == "restoring":
            raise LibvirtError("the snapshot of %s is still being restored" % self.domain.name)
        if seen["taken"] is not None:
            if not self.storage.removable_online:
                self.domain.refuse_unless_off()
            self.storage.remove()
        record.remove(self.record)


if __name__ == "__main__":
    main()
