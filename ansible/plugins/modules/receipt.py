#!/usr/bin/python3
"""Records what a guest contains when it is sealed, and compares the guest with this record."""

import calendar
import glob
import json
import os
import subprocess
import threading
import time

from ansible_collections.immutafs.agent.plugins.module_utils import record
from ansible_collections.immutafs.agent.plugins.module_utils.domain_xml import describe_disk, disk_source
from ansible_collections.immutafs.agent.plugins.module_utils.image import identity_of
from ansible_collections.immutafs.agent.plugins.module_utils.libvirt import (
    ENVIRONMENT,
    Domain,
    LibvirtError,
    qemu_readonly,
)
from ansible_collections.immutafs.agent.plugins.module_utils.module import DIRECTORY, DISK, run
from ansible_collections.immutafs.agent.plugins.module_utils.receipt import (
    CHUNK,
    VERSION,
    claim_differences,
    disk_differences,
    hash_chunks,
    hash_of,
    parse_claims,
    partitions_in,
    problem_of,
)

DOCUMENTATION = r"""
---
module: receipt
short_description: Record and verify what a sealed guest contains
version_added: 0.1.0
description:
  - A receipt is the file C(DIRECTORY/DOMAIN/receipt.json) on the host. It contains the hashes of the data on the
    system disk, what the guest reported about its packages and boot files, the time, and who sealed the guest.
  - The disk is read with C(qemu-nbd --read-only) and C(nbdcopy), in the format of the domain XML. Neither the kernel of the
    host nor another program interprets the file systems of the guest. The domain must be shut off or its disk read-only.
  - Several domains may have one image. If another receipt in O(directory) is of this image, and its files were not written
    since, V(recorded) does not read the disk again.
extends_documentation_fragment: immutafs.agent.libvirt_disk
options:
  state:
    description:
      - V(query) only returns the receipt.
      - V(recorded) writes a receipt, unless there is one. A receipt that is not signed is signed with O(key), unless the
        guest differs from it. A receipt whose RV(image) differs from that of the disk, as after a reboot of the host that
        changed device numbers, gets the present one and is signed again, unless the guest differs from it.
      - V(retired) renames the receipt to C(previous.json), before the guest is opened.
      - V(reinstated) makes the previous receipt the current one, after the disk was rolled back.
      - V(verified) reads the disk, and returns how it differs from the receipt.
    type: str
    choices: [query, recorded, retired, reinstated, verified]
    default: query
  claims:
    description: What the guest reports about itself. Required for V(recorded), optional for V(verified).
    type: str
  measured:
    description:
      - What V(verified) returned as RV(measured) for another domain with the same image on this host. If the image is
        unchanged since, and its hash is that of the receipt, the disk is not read again.
    type: dict
  by:
    description: Who seals the guest.
    type: str
    default: unknown
  key:
    description: Fingerprint or user ID of a GnuPG key on the host. The receipt is signed with the key. A receipt without a
      valid signature by the key, or whose key has expired or is revoked, is refused.
    type: str
  gnupg_home:
    description: Directory of the GnuPG keys. By default, that of the user who runs the module.
    type: path
  directory:
    description: Directory on the host for the records.
    type: path
    default: /var/lib/immutafs
"""

EXAMPLES = r"""
---
- name: Compare the disk with the receipt
  immutafs.agent.receipt:
    domain: web1
    target: vda
    state: verified
  delegate_to: kvm1
"""

RETURN = r"""
---
receipt:
  description: Null without a receipt.
  type: dict
  returned: always
  contains:
    at:
      description: When the receipt was recorded, in UTC.
      type: str
    age:
      description: Age of the receipt in seconds.
      type: int
    by:
      description: Who sealed the guest.
      type: str
    agent:
      description: Version of the agent.
      type: str
    sha256:
      description: Hash of the disk's data.
      type: str
    state:
      description: V(signed) or V(not signed). The signature is verified only by O(state=verified).
      type: str
image:
  description: Identifies the files of the image and when they were last written. Null unless they are files.
  type: str
  returned: always
measured:
  description: The hash (V(sha256)), the V(size) and the V(image) of the disk, if it was read. Null otherwise.
  type: dict
  returned: if O(state=verified)
differences:
  description: One message for each difference; empty if the guest is unchanged.
  type: list
  elements: str
  returned: if O(state=verified)
"""

ARGUMENTS = {
    **DISK,
    "state": {
        "type": "str",
        "choices": ["query", "recorded", "retired", "reinstated", "verified"],
        "default": "query",
    },
    "claims": {"type": "str"},
    "measured": {"type": "dict"},
    "by": {"type": "str", "default": "unknown"},
    "key": {"type": "str", "no_log": False},
    "gnupg_home": {"type": "path"},
    "directory": DIRECTORY,
}

# What the status lines of gpg say about a signature that is correct, but not valid; see doc/DETAILS of GnuPG.
REFUSED = {"EXPSIG": "the signature has expired", "EXPKEYSIG": "the key has expired", "REVKEYSIG": "the key is revoked"}

FORM = "%Y-%m-%dT%H:%M:%SZ"
GPG = "/usr/bin/gpg"

# Maximum length of an error message of a program, in bytes.
SAID = 4096


def main():
    run(ARGUMENTS, bring, [("state", "recorded", ["claims"])])


def bring(module):
    """Brings the receipt into the state, and returns the result of the module."""
    receipt = Receipt(Domain(module))
    result = getattr(receipt, module.params["state"])()
    return dict(result, receipt=receipt.summary(), image=receipt.image)


def signature_states(lines, prints):
    """
    Returns the state of each signature by a key, from the status lines of gpg: GOODSIG or a key of REFUSED. For an
    expired or revoked key, too, gpg reports VALIDSIG and exits with 0. `prints`: the fingerprints of the key.
    """
    found, state = [], None
    for line in lines:
        words = line.split()[1:] or [""]
        word = words[0]
        if word == "GOODSIG" or word in REFUSED:
            state = word
        elif word == "VALIDSIG":
            if state is not None and (words[1] in prints or words[-1] in prints):
                found.append(state)
            state = None
    return found


def output_of(command):
    """
    Runs a program. Returns its exit code, what hash_chunks returns for its stdout, and the end of its stderr. Reads both
    at the same time, because a program waits if a pipe is full.
    """
    said = [b""]

    def read_errors(stream):
        for part in iter(lambda: stream.read1(65536), b""):
            said[0] = (said[0] + part)[-SAID:]

    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, env=ENVIRONMENT) as process:
        reader = threading.Thread(target=read_errors, args=(process.stderr,))
        reader.start()
        result = hash_chunks(process.stdout)
        reader.join()
    return process.returncode, result, said[0].decode("utf-8", "replace")


class Receipt:
    """The receipt of one domain. A method for each state returns the result of the module without `receipt`."""

    def __init__(self, domain):
        self.domain, self.params = domain, domain.module.params
        folder = record.folder_of(self.params["directory"], domain.name)
        self.current, self.previous = (os.path.join(folder, name) for name in ("receipt.json", "previous.json"))
        self.image = identity_of(domain, domain.xml(inactive=True))

    def summary(self):
        """Returns the main fields of the receipt, or None."""
        found = record.read(self.current)
        if found is None:
            return None
        try:
            age = int(time.time()) - calendar.timegm(time.strptime(found["time"], FORM))
            return {
                "at": found["time"],
                "age": age,
                "by": found["by"],
                "agent": found["guest"]["agent"],
                "sha256": found["disk"]["sha256"],
                "state": "signed" if self.is_signed() else "not signed",
            }
        except (KeyError, TypeError, ValueError) as error:
            raise LibvirtError("%s is not a receipt: %r" % (self.current, error)) from error

    def query(self):
        """Changes nothing."""
        return {"changed": False}

    def recorded(self):
        """Writes the receipt, then its signature."""
        found = record.read(self.current)
        is_bound = found is not None and found.get("image") == self.image
        complete = is_bound and (not self.params["key"] or self.is_signed())
        if complete or self.domain.module.check_mode:
            return {"changed": not complete}
        if found is not None:
            self.complete(is_bound)
            return {"changed": True}
        claims = self.claims()
        content = {
            "version": VERSION,
            "domain": self.domain.name,
            "target": self.domain.target,
            "time": time.strftime(FORM, time.gmtime()),
            "by": self.params["by"],
            "image": self.image,
            "disk": self.recorded_elsewhere() or self.disk(),
            "guest": claims,
        }
        self.write(content)
        return {"changed": True}

    def complete(self, is_bound):
        """Signs the receipt. Before, binds it to the present image unless `is_bound`. Raises LibvirtError if the guest differs."""
        if is_bound:
            self.refuse_different("was not signed", self.disk())
            self.sign()
            return
        what = "was not bound to the present image"
        if self.is_signed():
            if not self.params["key"]:
                raise LibvirtError("%s is signed, but no key is given: set immutafs_receipt_key" % self.current)
            self.verify_signature()
        elif self.params["key"]:
            what = "was not signed"
        self.refuse_different(what, self.recorded_elsewhere() or self.disk())
        self.write(dict(self.read_receipt(), image=self.image))

    def write(self, content):
        """Writes the receipt, then its signature."""
        record.remove(self.current + ".asc")
        record.write(self.current, json.dumps(content, indent=1) + "\n")
        if self.params["key"]:
            self.sign()

    def is_signed(self):
        """Whether the receipt has a signature, valid or not."""
        return os.path.exists(self.current + ".asc")

    def recorded_elsewhere(self):
        """Returns the disk in the receipt of another domain with the same image, whose files were not written since."""
        if self.image is None:
            return None
        self.refuse_writable()
        for path in sorted(glob.glob(os.path.join(glob.escape(self.params["directory"]), "*", "receipt.json"))):
            try:
                found = record.read(path)
            except LibvirtError:
                continue
            if found.get("image") == self.image and problem_of(found) is None:
                return found["disk"]
        return None

    def refuse_different(self, what, disk):
        """Raises LibvirtError if the guest, with this disk, differs from its receipt. `what` was therefore not done."""
        wrong = self.differences(self.read_receipt(), disk)
        if wrong:
            raise LibvirtError(
                "%s %s, because the guest differs from it: %s. Examine the guest. To record a new receipt, run "
                "immutafs.agent.unseal and immutafs.agent.seal" % (self.current, what, "; ".join(wrong))
            )

    def sign(self):
        """Writes the signature of the receipt."""
        arguments = ["--armor", "--detach-sign", "--output", self.current + ".asc", self.current]
        self.domain.run(*self.gpg(), "--yes", "--local-user", self.params["key"], *arguments)

    def retired(self):
        """Renames the receipt and its signature, so that it no longer describes the guest."""
        return self.replace(self.current, self.previous)

    def reinstated(self):
        """Undoes `retired`."""
        return self.replace(self.previous, self.current)

    def replace(self, path, to):
        """Renames a receipt and its signature."""
        changed = os.path.exists(path)
        if changed and not self.domain.module.check_mode:
            if not record.move(path + ".asc", to + ".asc"):
                record.remove(to + ".asc")
            record.move(path, to)
        return {"changed": changed}

    def verified(self):
        """Compares the receipt with the disk, and with the claims of the guest if they are given."""
        found = self.read_receipt()
        if self.params["key"]:
            self.verify_signature()
        if self.is_measured(found["disk"]):
            self.refuse_writable()
            return {"changed": False, "measured": None, "differences": self.differences(found, found["disk"])}
        disk = self.disk()
        measured = {"image": self.image, "sha256": disk["sha256"], "size": disk["size"]}
        return {"changed": False, "measured": measured, "differences": self.differences(found, disk)}

    def is_measured(self, disk):
        """Whether the image was read for another domain, and had the hash of a recorded disk."""
        measured = self.params["measured"] or {}
        values = [measured.get("image"), measured.get("sha256"), measured.get("size")]
        return self.image is not None and values == [self.image, disk["sha256"], disk["size"]]

    def read_receipt(self):
        """Returns the receipt. Raises LibvirtError if there is none or if it is damaged."""
        found = record.read(self.current)
        if found is None:
            raise LibvirtError("%s has no receipt: seal it with immutafs_receipts: true" % self.domain.name)
        self.summary()
        problem = problem_of(found)
        if problem is not None:
            raise LibvirtError("%s is not a receipt: %s" % (self.current, problem))
        return found

    def differences(self, found, disk):
        """Returns the differences between a receipt, and a disk and the claims of the guest if they are given."""
        wrong = []
        if (found.get("domain"), found.get("target")) != (self.domain.name, self.domain.target):
            wrong.append("the receipt is of %s, disk %s" % (found.get("domain"), found.get("target")))
        try:
            wrong += disk_differences(found["disk"], disk)
            if self.params["claims"]:
                wrong += claim_differences(found["guest"], self.claims())
        except (KeyError, TypeError) as error:
            raise LibvirtError("%s is not a receipt: %r" % (self.current, error)) from error
        return wrong

    def claims(self):
        """Returns the parsed claims of the guest."""
        try:
            return parse_claims(self.params["claims"])
        except ValueError as error:
            raise LibvirtError("%s: %s" % (self.domain.name, error)) from error

    def verify_signature(self):
        """Raises LibvirtError unless the receipt has a valid signature by the key."""
        key, gpg = self.params["key"], self.gpg()
        lines = self.domain.run(*gpg, "--with-colons", "--fingerprint", key).splitlines()
        prints = {line.split(":")[9] for line in lines if line.startswith("fpr:")}
        files = [self.current + ".asc", self.current]
        status = self.domain.run(*gpg, "--status-fd", "1", "--verify", *files).splitlines()
        states = signature_states(status, prints)
        if "GOODSIG" not in states:
            problem = ", ".join(REFUSED[each] for each in states) or "there is none"
            raise LibvirtError("%s has no valid signature by %s: %s" % (self.current, key, problem))

    def gpg(self):
        """Returns the start of a command line of gpg."""
        home = self.params["gnupg_home"]
        return [GPG, "--batch", *(["--homedir", home] if home else [])]

    def disk(self):
        """Returns size, sha256, chunk size, chunks and partitions of the disk."""
        domain = self.domain
        self.refuse_writable()
        source = disk_source(domain.xml(inactive=True), domain.target)
        path, form = source["path"], source["format"]
        if path is None:
            raise LibvirtError("a disk of type '%s' cannot be read, only files and block devices" % source["type"])
        size = json.loads(domain.run("/usr/bin/qemu-img", "info", "-U", "-f", form, "--output=json", path))
        chunks, read, first = self.read(form, path)
        if read != size["virtual-size"]:
            raise LibvirtError("%s: only %d of %d bytes could be read" % (path, read, size["virtual-size"]))
        result = {"size": read, "sha256": hash_of(chunks), "chunk": CHUNK, "partitions": partitions_in(first)}
        return dict(result, format=form, chunks=chunks)

    def refuse_writable(self):
        """Raises LibvirtError if the guest can write to the disk now."""
        domain = self.domain
        if describe_disk(domain.xml(inactive=True), domain.target) is None:
            raise LibvirtError("%s has no disk %s" % (domain.name, domain.target))
        if domain.state()[0] == "shut off":
            return
        live = describe_disk(domain.xml(inactive=False), domain.target)
        if live is None or not live["readonly"] or qemu_readonly(domain, live["alias"]) is False:
            raise LibvirtError("%s can write to its disk, which can be hashed only while it is read-only" % domain.name)

    def read(self, form, path):
        """Reads the data of a disk. The format is given, because detecting it would interpret data of the guest."""
        server = ["[", "/usr/bin/qemu-nbd", "--read-only", "--format", form, path, "]"]
        command = ["/usr/bin/nbdcopy", "--", *server, "-"]
        try:
            code, result, error = output_of(command)
        except FileNotFoundError as missing:
            raise LibvirtError("/usr/bin/nbdcopy is missing: install libnbd (RHEL) or libnbd-bin (Debian)") from missing
        if code != 0:
            raise LibvirtError("%s cannot be read: %s" % (path, " ".join(error.split())))
        return result


if __name__ == "__main__":
    main()
