#!/usr/bin/python3
"""Queries and exchanges the image of the sealed system disk of a libvirt domain."""

import os
import stat
from xml.etree import ElementTree

from ansible_collections.immutafs.agent.plugins.module_utils.domain_xml import (
    disk_source,
    exchange_problem,
    read_record,
    to_text,
    with_image,
    with_record,
)
from ansible_collections.immutafs.agent.plugins.module_utils.image import is_local, writers
from ansible_collections.immutafs.agent.plugins.module_utils.libvirt import Domain, LibvirtError
from ansible_collections.immutafs.agent.plugins.module_utils.module import DISK, run
from ansible_collections.immutafs.agent.plugins.module_utils.storage import Qcow2

DOCUMENTATION = r"""
---
module: image
short_description: Exchange the image of a sealed system disk
version_added: 0.1.0
description:
  - Lets the system disk of a domain that is shut off have another image. The disk stays read-only.
  - The image that the domain had before is recorded in the C(<metadata>) of the domain. One definition of the domain
    changes the disk and the record, so that the record is correct after an interruption at any point.
  - Compares the resulting XML with the wanted XML. If anything else differs, restores the previous XML and fails.
extends_documentation_fragment: immutafs.agent.libvirt_disk
options:
  state:
    description:
      - V(query) changes nothing. With O(path), fails if the disk cannot have this image, also because another image than this or
        the previous one is on trial.
      - V(trial) exchanges the image, until V(kept) or V(returned) follows. If the disk already has an image on trial,
        only the image that it had before can take its place, as with V(returned).
      - V(returned) brings the image of before the trial back, and records that the image on trial has failed.
      - V(kept) records that the current image is good.
    type: str
    choices: [query, trial, returned, kept]
    default: query
  path:
    description: File or block device with the image. Required for V(trial).
    type: path
  format:
    description: Format of the image. It is never detected, because detection would read data of a guest.
    type: str
    choices: [qcow2, raw]
    default: qcow2
  cache:
    description:
      - The cache mode of the disk after an exchange, as in the XML of libvirt. If it is not set, the mode stays as it is.
      - With V(writeback), the host keeps one copy of the image in its memory for all guests. With V(none), every guest reads
        the image from the storage itself.
    type: str
    choices: [writeback, none]
  reason:
    description: Why the image on trial has failed. Required for V(trial) and V(returned).
    type: str
"""

EXAMPLES = r"""
---
- name: Let the domain start from the next version of the image
  immutafs.agent.image:
    domain: web1
    target: vda
    state: trial
    path: /var/lib/libvirt/images/web-2026.12.qcow2
    reason: interrupted
  delegate_to: kvm1
"""

RETURN = r"""
---
image:
  description: The image of the next start. Null if the disk is neither a file nor a block device.
  type: str
  returned: success
running:
  description: The image of the running domain. Null while the domain is not running.
  type: str
  returned: success
phase:
  description: V(trial) or V(returning) until V(kept) follows, or null.
  type: str
  returned: success
previous:
  description: The image before the last exchange, or null.
  type: str
  returned: success
rejected:
  description: The image that has failed last, or null.
  type: str
  returned: success
reason:
  description: Why the image in RV(rejected) has failed, or null.
  type: str
  returned: success
is_rejected:
  description: Whether the image O(path) is that in RV(rejected), and was not written since.
  type: bool
  returned: success
"""

ARGUMENTS = {
    **DISK,
    "state": {"type": "str", "choices": ["query", "trial", "returned", "kept"], "default": "query"},
    "path": {"type": "path"},
    "format": {"type": "str", "choices": ["qcow2", "raw"], "default": "qcow2"},
    "cache": {"type": "str", "choices": ["writeback", "none"]},
    "reason": {"type": "str"},
}

# Maximum length of the reason in the record.
SAID = 500


def main():
    required = [("state", "trial", ["path", "reason"]), ("state", "returned", ["reason"])]
    run(ARGUMENTS, bring, required)


def bring(module):
    """Brings the image into the state, and returns the result of the module."""
    image = Image(Domain(module))
    changed = getattr(image, module.params["state"])()
    return dict(image.result(), changed=changed)


class Image:
    """The image of one disk. A method for each state returns whether the domain changes."""

    def __init__(self, domain):
        self.domain, self.params = domain, domain.module.params
        self.read()

    def read(self):
        """Reads the XML of the next start, its image and its record."""
        self.text = self.domain.xml(inactive=True)
        self.root = ElementTree.fromstring(self.text)
        self.source, self.record = disk_source(self.text, self.domain.target), read_record(self.root)
        if self.source is None:
            raise LibvirtError("%s has no disk %s" % (self.domain.name, self.domain.target))

    def result(self):
        """Returns the result of the module without `changed`."""
        off = self.domain.state()[0] == "shut off"
        running = None if off else disk_source(self.domain.xml(inactive=False), self.domain.target)
        path, failed = self.params["path"], self.record.get("failed")
        return {
            "image": self.source["path"],
            "running": running and running["path"],
            "phase": self.record.get("phase"),
            "previous": self.record.get("previous"),
            "rejected": failed,
            "reason": self.record.get("reason"),
            "is_rejected": path is not None and path == failed and self.record.get("written") == written(path),
        }

    def query(self):
        """Changes nothing."""
        if self.params["path"] is not None:
            # A return that was interrupted is finished first, whatever the image.
            if self.record.get("phase") != "returning":
                self.refuse_third()
            self.wanted(self.params["path"], self.params["format"])
        return False

    def trial(self):
        """Exchanges the image, unless the disk has it."""
        if self.is_current():
            return False
        self.refuse_third()
        if self.record.get("phase") is not None:
            return self.returned()
        record = {"phase": "trial", "previous": self.source["path"], "previous-format": self.source["format"]}
        return self.exchange(self.wanted(self.params["path"], self.params["format"]), record)

    def is_current(self):
        """Whether the disk has the image O(path)."""
        return (self.source["path"], self.source["format"]) == (self.params["path"], self.params["format"])

    def refuse_third(self):
        """Raises LibvirtError if an exchange is unfinished, and O(path) is neither the current nor the previous image."""
        previous = self.record.get("previous", "this image")
        if self.record.get("phase") is None or self.is_current() or self.params["path"] == previous:
            return
        raise LibvirtError(
            "an interrupted run has left %s with the image %s: finish with this image, or with %s to return to it, before "
            "another image is used" % (self.domain.name, self.source["path"], previous)
        )

    def returned(self):
        """Brings the previous image back, unless this was done before."""
        if self.record.get("phase") != "trial":
            return False
        path = self.source["path"]
        reason = "".join(each if each.isprintable() else " " for each in self.params["reason"])[:SAID]
        record = {"phase": "returning", "failed": path, "written": written(path) or "", "reason": reason}
        return self.exchange(self.wanted(self.record["previous"], self.record["previous-format"]), record)

    def kept(self):
        """Ends a trial. Keeps the record of the previous image, and of one that has failed."""
        if self.record.get("phase") is None:
            return False
        record = {key: value for key, value in self.record.items() if key != "phase"}
        if not self.domain.module.check_mode:
            self.define(with_record(self.root, record))
        return True

    def exchange(self, root, record):
        """Changes disk and record by one definition of the domain."""
        if not self.domain.module.check_mode:
            self.domain.refuse_unless_off()
            self.define(with_record(root, record))
        return True

    def wanted(self, path, form):
        """Returns the XML with an image. Raises LibvirtError if the disk cannot have it."""
        domain = self.domain
        problem = exchange_problem(self.root, domain.target)
        if problem is not None:
            raise LibvirtError("%s: %s" % (domain.name, problem))
        if not is_local(domain.uri):
            raise LibvirtError("%s is on another machine than this module: set immutafs_hypervisor to it" % domain.name)
        source = {"type": self.type_of(path, form), "path": path, "format": form}
        root = with_image(self.root, domain.target, source, self.params["cache"])
        found = writers(domain, to_text(root, self.text))
        if found:
            raise LibvirtError("%s can be written by %s: remove it from these domains" % (path, ", ".join(found)))
        return root

    def type_of(self, path, form):
        """Returns the type of a disk with an image. Raises LibvirtError if there is no such image."""
        if not os.path.isabs(path):
            raise LibvirtError("%s is not an absolute path" % path)
        try:
            mode = os.stat(path).st_mode
        except OSError as error:
            raise LibvirtError("%s cannot be used: %s" % (path, error.strerror)) from error
        if stat.S_ISBLK(mode):
            return "block"
        if not stat.S_ISREG(mode):
            raise LibvirtError("%s is neither a file nor a block device" % path)
        if form == "qcow2":
            Qcow2(path, self.domain.run).query()
        return "file"

    def define(self, wanted):
        """Defines the wanted XML, and reads the resulting XML."""
        self.domain.define_exactly(self.text, wanted, "the image of %s" % self.domain.target)
        self.read()


def written(path):
    """Returns when a file was last written, as a text, or None if it does not exist. Identifies its content."""
    try:
        return str(os.stat(path).st_mtime_ns)
    except OSError:
        return None


if __name__ == "__main__":
    main()
