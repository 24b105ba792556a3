#!/usr/bin/python3
"""Makes the file and the domain in which the next version of an image is made, and publishes the result."""

import glob
import hashlib
import json
import os
import stat
import time
from xml.etree import ElementTree

from ansible_collections.immutafs.agent.plugins.module_utils import builder, record, sbom
from ansible_collections.immutafs.agent.plugins.module_utils.domain_xml import (
    describe_disk,
    disk_source,
    read_record,
    to_text,
    with_image,
)
from ansible_collections.immutafs.agent.plugins.module_utils.image import (
    file_of,
    is_local,
    used_images,
    writers,
)
from ansible_collections.immutafs.agent.plugins.module_utils.image_store import QEMU_IMG, store_of
from ansible_collections.immutafs.agent.plugins.module_utils.libvirt import Domain, LibvirtError
from ansible_collections.immutafs.agent.plugins.module_utils.module import DIRECTORY, DISK, run
from ansible_collections.immutafs.agent.plugins.module_utils.receipt import parse_claims
from ansible_collections.immutafs.agent.plugins.module_utils.storage import bytes_of

DOCUMENTATION = r"""
---
module: builder
short_description: Make the next version of an image in a copy
version_added: 0.1.0
description:
  - Copies an image that no domain can write, and defines a domain with the copy as its writable system disk. This
    domain, the builder, has the machine and the firmware of another domain, its template, but no other identity, no
    network unless O(network) is given, and no other disk unless O(disks) names it.
  - The copy is the file C(.NAME.building) in O(directory) until O(state=published) renames it to C(NAME-VERSION.FORMAT). A
    logical volume is C(NAME.building), then C(NAME-VERSION). Neither the image nor the template is changed.
  - Only a domain that this module has defined is ended or removed.
extends_documentation_fragment: immutafs.agent.libvirt_disk
options:
  domain:
    description: Name of the builder.
    type: str
    required: true
  state:
    description:
      - V(begun) removes what an interrupted run has left, verifies that there is enough space, copies the image, and
        defines the builder. It does nothing if the version exists.
      - V(published) removes the builder, and renames the copy. Beside the image, it writes C(FILE.sha256),
        C(FILE.json), the receipt, and C(FILE.cdx.json), the bill of materials.
      - V(absent) ends and removes the builder, and removes the copy.
      - V(pruned) removes versions of the image that are older than the O(keep) newest good ones. A version that has failed
        in a domain is not good. An image that this module has not made, that a domain has, on which the image of a domain is
        based, to which a domain returns, or that QEMU uses, is never removed.
    type: str
    choices: [begun, published, absent, pruned]
    required: true
  name:
    description: Name of the image.
    type: str
    required: true
  version:
    description:
      - Version of the image. Required for V(published). Without it, V(begun) uses the current time, unless the image was
        copied by a run within the last day, and O(owner) does not have the result, or has it on trial.
    type: str
  template:
    description: The domain from which the builder is derived. Required for V(begun) and V(pruned).
    type: str
  owner:
    description: The domain whose image is copied. The default is the template.
    type: str
  source:
    description: File or block device with the image that is copied. The default is the image of O(owner).
    type: path
  format:
    description:
      - Format of O(source), and of the copy. It is never detected, because detection would read data of a guest. If
        O(source) is not given, the format is that in the XML of O(owner).
    type: str
    choices: [qcow2, raw]
    default: qcow2
  directory:
    description:
      - Directory of the copy, or the volume group C(/dev/GROUP), in which the copy is a logical volume. The default is that of the
        source, which must then be a file or a logical volume.
    type: path
  records:
    description: Directory for the receipts of logical volumes, which are in C(images/GROUP).
    type: path
    default: /var/lib/immutafs
  growth:
    description: What the update writes at most, as a size such as C(8G) or as a percentage of the disk.
    type: str
    default: 100%
  keep:
    description: How many good versions V(pruned) keeps. With 0, all.
    type: int
    default: 0
  disks:
    description: Targets of the disks of the template that the builder has as well, as they are.
    type: list
    elements: str
    default: []
  network:
    description: The libvirt network to which the builder is connected. By default, none.
    type: str
  mac:
    description: MAC address of the builder in O(network).
    type: str
  before:
    description: What the builder reported about its packages before the update. Required for V(published).
    type: str
  after:
    description: What the builder reported in its trial boot. Required for V(published).
    type: str
  by:
    description: Who makes the image.
    type: str
    default: unknown
attributes:
  check_mode:
    description: Verifies what V(begun) verifies, reports what V(pruned) would remove, and changes nothing.
    support: full
"""

EXAMPLES = r"""
---
- name: Copy the image and define the builder
  immutafs.agent.builder:
    domain: web-builder
    target: vda
    state: begun
    name: web
    version: '2026.12'
    template: web1
  delegate_to: kvm1
"""

RETURN = r"""
---
path:
  description: The file of the version.
  type: str
  returned: if O(state=begun)
  sample: /var/lib/libvirt/images/web-2026.12.qcow2
version:
  description: The version.
  type: str
  returned: if O(state=begun)
format:
  description: Its format.
  type: str
  returned: if O(state=begun)
source:
  description: The image that is copied.
  type: str
  returned: if O(state=begun)
copy:
  description: The file in which the version is made.
  type: str
  returned: if O(state=begun)
uuid:
  description: UUID of the builder. Null if nothing was done.
  type: str
  returned: if O(state=begun)
exists:
  description: Whether the version exists, so that nothing was done.
  type: bool
  returned: if O(state=begun)
sha256:
  description: SHA-256 of the file.
  type: str
  returned: if O(state=published)
packages:
  description: The packages that were V(added) and V(removed), each with its version.
  type: dict
  returned: if O(state=published)
removed:
  description: The images that were removed.
  type: list
  elements: str
  returned: if O(state=pruned)
"""

ARGUMENTS = {
    **DISK,
    "state": {"type": "str", "choices": ["begun", "published", "absent", "pruned"], "required": True},
    "name": {"type": "str", "required": True},
    "version": {"type": "str"},
    "template": {"type": "str"},
    "owner": {"type": "str"},
    "source": {"type": "path"},
    "format": {"type": "str", "choices": ["qcow2", "raw"], "default": "qcow2"},
    "directory": {"type": "path"},
    "growth": {"type": "str", "default": "100%"},
    "records": DIRECTORY,
    "keep": {"type": "int", "default": 0},
    "disks": {"type": "list", "elements": "str", "default": []},
    "network": {"type": "str"},
    "mac": {"type": "str"},
    "before": {"type": "str"},
    "after": {"type": "str"},
    "by": {"type": "str", "default": "unknown"},
}

# Seconds for which a version without a given name is used that an interrupted run has made.
REUSED = 86400

# Bytes that are read at once to compute a checksum.
PART = 4 * 2**20


def main():
    # A copy of a system disk contains /etc/shadow and private keys, from the first byte that qemu-img writes.
    os.umask(0o077)
    required = [
        ("state", "begun", ["template"]),
        ("state", "pruned", ["template"]),
        ("state", "published", ["version", "before", "after"]),
    ]
    run(ARGUMENTS, bring, required)


def bring(module):
    """Brings the image into the state, and returns the result of the module."""
    try:
        return getattr(Builder(module), module.params["state"])()
    except OSError as error:
        raise LibvirtError("%s cannot be used: %s" % (error.filename, error.strerror)) from error


class Builder:
    """The builder of one image. A method for each state returns the result of the module."""

    def __init__(self, module):
        self.module, self.params = module, module.params
        self.domain = Domain(module)
        problem = builder.word_problem(self.params["name"], self.params["version"] or "0")
        if problem is not None:
            raise LibvirtError(problem)
        if not is_local(self.domain.uri):
            raise LibvirtError(
                "%s is on another machine than this module: set immutafs_hypervisor to it" % self.domain.uri
            )

    def begun(self):
        """Copies the image and defines the builder."""
        template = Template(self.module)
        store = self.store(template.path)
        form = store.form_of(template.form)
        now = time.strftime("%Y%m%d%H%M%S", time.gmtime())
        version = self.params["version"] or self.unfinished(template, store) or now
        path, copied = store.path(self.params["name"], version, form), store.unfinished(self.params["name"])
        result = {"path": path, "version": version, "format": form, "source": template.path, "copy": copied}
        result["uuid"] = None
        if store.exists(path):
            self.refuse_foreign(store, path)
            return dict(result, changed=False, exists=True)
        file = self.file()
        template.refuse_written()
        self.refuse_full(template, store, copied)
        if not self.module.check_mode:
            self.remove(file)
            self.make_copy(template, store, copied)
            self.define(template, store, copied)
            result["uuid"] = self.domain.virsh("domuuid").strip()
        return dict(result, changed=True, exists=False)

    def store(self, source):
        """Returns the store of the versions of an image that is copied from `source`."""
        return store_of(self.params["directory"], source, self.params["records"], self.domain.run)

    def unfinished(self, template, store):
        """
        Returns the version that an interrupted run has made from the current image, or to which it has brought the owner,
        or None. A version that has failed in the owner, from which an administrator has returned the owner to the current
        image, or that is older than a day, does not count.
        """
        made = self.versions(store)
        for found in made:
            if template.has(found["path"]) and template.record.get("phase") is not None:
                return found["image"]
        newest = made[-1] if made else None
        if newest is None or newest["source"] != template.path:
            return None
        if newest["path"] in (template.record.get("failed"), template.record.get("previous")):
            return None
        return newest["image"] if time.time() - newest["at"] < REUSED else None

    def versions(self, store):
        """Returns the versions of this image that exist and have a receipt, as `builder.receipt_of`, with `path`; the newest last."""
        found = []
        for path in glob.glob(os.path.join(glob.escape(store.records), glob.escape(self.params["name"]) + "-*.json")):
            try:
                receipt = builder.receipt_of(record.read(path), self.params["name"])
            except LibvirtError:
                # It is of another program, or damaged: the version is not used.
                continue
            version = os.path.join(store.place, os.path.basename(path)[: -len(".json")])
            if receipt is not None and store.exists(version):
                found.append(dict(receipt, path=version))
        return sorted(found, key=lambda each: each["at"])

    def refuse_foreign(self, store, path):
        """Raises LibvirtError if a version was not published by this module."""
        if record.read(store.beside(path) + ".json") is None:
            raise LibvirtError("%s exists, but was not made by this playbook: use another version" % path)

    def file(self):
        """
        Returns the file of the disk of a builder that an interrupted run has left, or None. Raises LibvirtError if the
        domain exists and is not a builder.
        """
        if not self.exists():
            return None
        file = builder.file_of_builder(ElementTree.fromstring(self.domain.xml(inactive=True)))
        if file is None:
            raise LibvirtError(
                "the domain %s exists and is not a builder: set immutafs_builder_domain to another name" % self.domain.name
            )
        return file

    def exists(self):
        """Whether a domain with the name of the builder exists."""
        names = self.domain.run("/usr/bin/virsh", "--connect", self.domain.uri, "list", "--all", "--name")
        return self.domain.name in names.splitlines()

    def remove(self, file):
        """Ends and undefines a builder with this file, and removes the file, if there is one."""
        if file is None:
            return
        if self.domain.state()[0] != "shut off":
            self.domain.virsh("destroy")
        self.domain.undefine()
        self.store_with(file).remove(file)

    def store_with(self, copied):
        """Returns the store of a copy."""
        return store_of(os.path.dirname(copied), copied, self.params["records"], self.domain.run)

    def refuse_full(self, template, store, copied):
        """Raises LibvirtError unless the store has space for the copy and for what the update writes."""
        size, allocated = template.sizes()
        needed, free = store.needed(allocated, size, bytes_of(self.params["growth"], size)), store.free(copied)
        if free < needed:
            raise LibvirtError(
                "%s needs up to %d MiB for the next version of %s, but only %d MiB are free: free some space%s"
                % (store.place, needed // 2**20, template.path, free // 2**20, store.advice)
            )

    def make_copy(self, template, store, copied):
        """Copies the image, and verifies again that no domain could write it meanwhile."""
        store.remove(copied)
        try:
            template.copy_to(store, copied)
            template.refuse_written()
        except BaseException:
            store.remove(copied)
            raise

    def define(self, template, store, copied):
        """Defines the builder. Removes the copy if libvirt does not accept the domain."""
        network = None if self.params["network"] is None else (self.params["network"], self.params["mac"])
        source = {"type": store.kind, "path": copied, "format": store.form_of(template.form)}
        root = builder.builder_root(
            template.root, self.domain.target, self.domain.name, source, self.params["disks"], network
        )
        try:
            self.domain.define(to_text(root, template.text))
        except LibvirtError:
            store.remove(copied)
            raise

    def published(self):
        """Removes the builder and renames the copy, after checksum and receipt are written."""
        copied = self.file()
        if copied is None:
            raise LibvirtError("%s does not exist: nothing can be published" % self.domain.name)
        text = self.domain.xml(inactive=True)
        if not describe_disk(text, self.domain.target)["readonly"]:
            raise LibvirtError("%s was not tried: its disk is writable" % self.domain.name)
        self.domain.refuse_unless_off()
        before, after = (self.claims(self.params[name]) for name in ("before", "after"))
        form = disk_source(text, self.domain.target)["format"]
        store = self.store_with(copied)
        path = store.path(self.params["name"], self.params["version"], form)
        name, beside = os.path.basename(path), store.beside(path)
        packages = builder.package_changes(before["packages"], after["packages"])
        sha256 = checksum(copied)
        result = {"changed": True, "sha256": sha256, "packages": packages}
        if self.module.check_mode:
            return result
        receipt = {
            "version": builder.VERSION,
            "name": self.params["name"],
            "image": self.params["version"],
            "time": time.strftime(builder.TIME, time.gmtime()),
            "by": self.params["by"],
            "source": self.params["source"],
            "format": form,
            "sha256": sha256,
            "changes": packages,
            "guest": after,
        }
        store.synchronise(copied)
        described = {"name": self.params["name"], "version": self.params["version"], "file": name}
        bill = sbom.document(self.params["after"], dict(described, sha256=sha256, time=receipt["time"]))
        texts = {
            ".json": json.dumps(receipt, indent=1) + "\n",
            ".cdx.json": json.dumps(bill, indent=1) + "\n",
            ".sha256": "%s  %s\n" % (sha256, name),
        }
        for end, text in texts.items():
            record.write(beside + end, text)
            os.chmod(beside + end, 0o644)
        self.domain.undefine()
        store.publish(copied, path)
        return result

    def claims(self, text):
        """Returns the parsed claims of the builder."""
        try:
            return parse_claims(text)
        except ValueError as error:
            raise LibvirtError("%s: %s" % (self.domain.name, error)) from error

    def absent(self):
        """Removes the builder and the copy."""
        file = self.file() if self.exists() else None
        if not self.module.check_mode:
            self.remove(file)
        return {"changed": file is not None}

    def pruned(self):
        """Removes old versions."""
        store = self.store(Template(self.module).path)
        records = [read_record(ElementTree.fromstring(text)) for text in self.domain.every_xml()]
        failed = {each.get("failed") for each in records}
        old = [found["path"] for found in builder.superseded(self.versions(store), failed, self.params["keep"])]
        used = used_images(self.domain) if old else set()
        removed = [path for path in old if file_of(path) not in used and not store.is_open(path)]
        for path in [] if self.module.check_mode else removed:
            beside = store.beside(path)
            record.remove(beside + ".cdx.json")
            record.remove(beside + ".sha256")
            store.remove(path)
            # The last one, so that the next run removes an image that an interrupted run has left.
            record.remove(beside + ".json")
        return {"changed": bool(removed), "removed": removed}


class Template:
    """The domain from which the builder is derived, the domain whose image is copied (the owner), and the image."""

    def __init__(self, module):
        name = module.params["template"]
        self.domain, self.text, self.root = self.read(module, name)
        self.owner, self.owner_text, root = self.read(module, module.params["owner"] or name)
        self.record = read_record(root)
        own = disk_source(self.owner_text, self.owner.target)
        given = module.params["source"]
        self.path, self.form = (own["path"], own["format"]) if given is None else (given, module.params["format"])
        if self.form not in ("qcow2", "raw"):
            raise LibvirtError("%s has the format %s: only qcow2 and raw can be copied" % (self.path, self.form))

    @staticmethod
    def read(module, name):
        """Returns a domain, its XML as text and parsed. Raises LibvirtError if its disk has an unknown form."""
        domain = Domain(module)
        domain.name = name
        text = domain.xml(inactive=True)
        root = ElementTree.fromstring(text)
        problem = builder.template_problem(root, domain.target)
        if problem is not None:
            raise LibvirtError("%s: %s" % (name, problem))
        return domain, text, root

    def with_source(self, path):
        """Returns the XML of the owner with an image."""
        kind = "block" if os.path.exists(path) and stat.S_ISBLK(os.stat(path).st_mode) else "file"
        root = ElementTree.fromstring(self.owner_text)
        root = with_image(root, self.owner.target, {"type": kind, "path": path, "format": self.form})
        return to_text(root, self.owner_text)

    def has(self, path):
        """Whether the system disk of the owner has an image."""
        own = disk_source(self.owner_text, self.owner.target)
        return os.path.realpath(own["path"]) == os.path.realpath(path)

    def refuse_written(self):
        """Raises LibvirtError if a domain can write the image now, because a copy would have parts of two states."""
        domain = self.owner
        found = writers(domain, self.with_source(self.path))
        if domain.state()[0] != "shut off" and self.has(self.path):
            live = describe_disk(domain.xml(inactive=False), domain.target)
            if live is None or not live["readonly"]:
                found = found + ["%s %s" % (domain.name, domain.target)]
        if found:
            raise LibvirtError("%s can be written by %s: seal these domains first" % (self.path, ", ".join(found)))

    def info(self):
        """Returns what qemu-img reports about the image, and the files on which it is based."""
        options = ["-U", "-f", self.form, "--backing-chain", "--output=json"]
        return json.loads(self.domain.run(QEMU_IMG, "info", *options, self.path))

    def sizes(self):
        """Returns the size of the disk and the bytes that its image occupies."""
        chain = self.info()
        return chain[0]["virtual-size"], sum(each.get("actual-size", each["virtual-size"]) for each in chain)

    def copy_to(self, store, path):
        """
        Copies the image. The copy is based on nothing. A file that is based on nothing and has no snapshots is copied to
        a file as it is, with shared extents if the file system has them. A copy in a file has the mode of the image, or
        0600 if the image is a block device.
        """
        chain, found = self.info(), os.stat(self.path)
        are_files = stat.S_ISREG(found.st_mode) and store.kind == "file"
        plain = len(chain) == 1 and not chain[0].get("snapshots") and are_files
        if plain and "data-file" not in chain[0].get("format-specific", {}).get("data", {}):
            self.domain.run("/usr/bin/cp", "--reflink=auto", "--sparse=always", "--", self.path, path)
        else:
            store.copy(self.path, self.form, path, chain[0]["virtual-size"])
        if are_files:
            os.chown(path, found.st_uid, found.st_gid)
            os.chmod(path, stat.S_IMODE(found.st_mode))
        elif store.kind == "file":
            # The mode of a block device does not suit a file. libvirt makes the user of QEMU the owner of the file.
            os.chmod(path, 0o600)


def checksum(path):
    """Returns the SHA-256 of a file."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for part in iter(lambda: file.read(PART), b""):
            digest.update(part)
    return digest.hexdigest()


if __name__ == "__main__":
    main()
