"""Queries and changes a domain with virsh, virt-xml and the QEMU monitor.

Every program is run with an array of arguments, never in a shell. libvirt's Python module is not needed.
"""

import json
import os
import re
import tempfile
import time
from xml.etree import ElementTree

from ansible_collections.immutafs.agent.plugins.module_utils.domain_xml import normalised, to_text

# virt-xml runs the first python3 in PATH and needs the Python modules of the distribution.
ENVIRONMENT = {"LC_ALL": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}

# Interval in seconds between queries of the state of a domain.
INTERVAL = 0.5

# The number of domains whose XML one call of virsh reads, and the number of attempts to read all of them.
BATCH = 200
TRIES = 3

# Names that virsh may take for an ID or a UUID, which it tries before the name. More names than these match.
AMBIGUOUS = re.compile(r"[\s+0-9A-Fa-f-]*")


class LibvirtError(Exception):
    """An error with a message for the administrator who runs the playbook."""


class Domain:
    """A domain of a libvirt connection. `module` is the AnsibleModule that runs the programs."""

    def __init__(self, module):
        self.module = module
        self.uri = module.params["uri"]
        self.name = module.params["domain"]
        self.target = module.params["target"]
        # The UUID of a domain whose name is ambiguous, once it is known.
        self.uuid = None
        # The directory of each storage pool that was queried; None if it has none.
        self.pools = {}

    def run(self, *argv, environment=None, **options):
        """
        Runs a program and returns its stdout. `environment`: further variables. If the program fails, raises LibvirtError
        with its error output.
        """
        variables = dict(ENVIRONMENT, **(environment or {}))
        code, out, err = self.module.run_command(list(argv), environ_update=variables, **options)
        if code != 0:
            said = " ".join((err or out).split())
            raise LibvirtError("%s %s: %s" % (argv[0].rpartition("/")[2], self.name, said))
        return out

    def virsh(self, command, *args):
        """Runs `virsh COMMAND DOMAIN ARGS`."""
        return self.run("/usr/bin/virsh", "--connect", self.uri, command, self.address(), *args)

    def address(self):
        """
        Returns what virsh takes for this domain: the name, or the UUID if the name is ambiguous. Raises LibvirtError if virsh
        takes the name for another domain.
        """
        if not AMBIGUOUS.fullmatch(self.name):
            return self.name
        if self.uuid is None:
            root = ElementTree.fromstring(self.run("/usr/bin/virsh", "--connect", self.uri, "dumpxml", self.name))
            if root.findtext("name") != self.name:
                raise LibvirtError("virsh takes %s for the ID or UUID of another domain: rename it" % self.name)
            self.uuid = root.findtext("uuid")
        return self.uuid

    def undefine(self):
        """Undefines the domain, with its UEFI variables and its saved memory image."""
        self.virsh("undefine", "--nvram", "--managed-save")
        self.uuid = None

    def volume_path(self, pool, volume):
        """
        Returns the path of a storage volume: that of its pool with the name of the volume, as in pools of directories, file
        systems, LVM and disks. Returns None if libvirt does not have the pool, or if the pool has no path. The pool need not
        be active.
        """
        if pool not in self.pools:
            try:
                text = self.run("/usr/bin/virsh", "--connect", self.uri, "pool-dumpxml", "--pool", pool)
                self.pools[pool] = ElementTree.fromstring(text).findtext("target/path")
            except LibvirtError:
                self.pools[pool] = None
        directory = self.pools[pool]
        return None if directory is None else os.path.join(directory, volume)

    def state(self):
        """Returns the state and its reason, such as ("shut off", "shutdown"); see domstate in virsh(1)."""
        state, _, rest = self.virsh("domstate", "--reason").strip().partition(" (")
        return state, rest.rstrip(")")

    def saved(self):
        """Whether the domain has a saved memory image, which the next start resumes with the devices of that time."""
        lines = self.virsh("dominfo").splitlines()
        return any(line.split() == ["Managed", "save:", "yes"] for line in lines)

    def xml(self, inactive):
        """Returns the XML including secrets, so that it can be defined again. `inactive`: the XML of the next start."""
        return self.virsh("dumpxml", "--security-info", *(["--inactive"] if inactive else []))

    def every_xml(self):
        """
        Returns the XML of every domain of the connection: that of the next start and, of a running domain, that of the run.
        Two calls of virsh read all domains, because a host may have hundreds.
        """
        for _ in range(TRIES - 1):
            try:
                return self.dump_every_xml()
            except LibvirtError:
                # A domain was undefined after it was listed, or libvirt was restarted.
                time.sleep(INTERVAL)
        return self.dump_every_xml()

    def dump_every_xml(self):
        """
        See `every_xml`. Raises LibvirtError if a domain disappears meanwhile. virsh connects again if libvirt is restarted, and
        its exit code is that of the last command, so the answer is compared with the domains.
        """
        texts = []
        for which, command in ((["--persistent"], "dumpxml --inactive"), ([], "dumpxml")):
            uuids = self.list_uuids(*which)
            for begin in range(0, len(uuids), BATCH):
                batch = uuids[begin : begin + BATCH]
                commands = "; ".join("%s %s" % (command, uuid) for uuid in batch)
                out = self.run("/usr/bin/virsh", "--connect", self.uri, commands)
                found = re.findall(r"^<domain .*?^</domain>$", out, re.MULTILINE | re.DOTALL)
                if [uuid_of(text) for text in found] != batch:
                    words = "virsh has not printed the XML of each domain: %d of %d"
                    raise LibvirtError(words % (len(found), len(batch)))
                texts += found
        return texts

    def list_uuids(self, *which):
        """Returns the UUIDs of all domains, or of those that the options `which` select; see list in virsh(1)."""
        return self.run("/usr/bin/virsh", "--connect", self.uri, "list", "--all", "--uuid", *which).split()

    def refuse_unless_off(self):
        """Raises LibvirtError unless the domain is shut off and has no saved memory image."""
        state, _ = self.state()
        if state != "shut off":
            raise LibvirtError("%s is %s: it can be changed only while it is shut off" % (self.name, state))
        if self.saved():
            raise LibvirtError(
                "%s has a saved memory image, which would resume with the old disk settings: "
                "start the domain and shut it down, or remove the image (virsh managedsave-remove)" % self.name
            )

    def define(self, text):
        """Runs virsh define with a file that only its owner can read, because the XML may contain passwords."""
        descriptor, path = tempfile.mkstemp(suffix=".xml")
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(text)
            self.run("/usr/bin/virsh", "--connect", self.uri, "define", "--file", path)
        finally:
            os.unlink(path)

    def change(self, before, action, check):
        """
        Runs `action`, which changes the XML of the next start. Then calls `check` with the resulting XML and the error
        of `action`, or None. If `check` returns a message, restores the XML `before` and raises LibvirtError with the
        message.
        """
        error = None
        try:
            action()
        except LibvirtError as thrown:
            error = str(thrown)
        after = self.xml(inactive=True)
        problem = check(after, error)
        if problem is None:
            return
        if after != before:
            self.define(before)
            problem += "; the previous XML was restored"
        raise LibvirtError(problem)

    def define_exactly(self, before, wanted, what):
        """
        Defines the parsed XML `wanted`. If libvirt makes something else of it, restores the XML `before` and raises
        LibvirtError: libvirt changed more than `what`.
        """

        def check(after, error):
            if error is None and normalised(ElementTree.fromstring(after)) != normalised(wanted):
                return "%s: libvirt changed more than %s" % (self.name, what)
            return error

        self.change(before, lambda: self.define(to_text(wanted, before)), check)

    def autostarts(self):
        """Whether libvirt starts the domain automatically; see dominfo in virsh(1)."""
        return any(line.split() == ["Autostart:", "enable"] for line in self.virsh("dominfo").splitlines())

    def resets_nvram(self):
        """Whether virsh can recreate the variable store at a start, as libvirt 8.1 and later can."""
        return "--reset-nvram" in self.run("/usr/bin/virsh", "help", "start")

    def monitor(self, command):
        """Returns the answer of the QEMU monitor to a command without arguments."""
        return json.loads(self.virsh("qemu-monitor-command", json.dumps({"execute": command})))["return"]

    def bytes_read(self):
        """
        Maps the target of each disk to the bytes that QEMU has read from it since the start, such as {"vda": 123}; see
        domstats in virsh(1).
        """
        lines = [line.strip().partition("=") for line in self.virsh("domstats", "--block").splitlines()]
        values = {key: value for key, _, value in lines}
        count = int(values.get("block.count", 0))
        return {
            values["block.%d.name" % number]: int(values["block.%d.rd.bytes" % number])
            for number in range(count)
            if "block.%d.rd.bytes" % number in values
        }

    def wait_for(self, wanted, seconds):
        """Waits for the state `wanted` and returns the waiting time in seconds. Raises LibvirtError on timeout."""
        begin = time.time()
        while self.state()[0] != wanted:
            if time.time() - begin > seconds:
                state = self.state()[0]
                raise LibvirtError("%s is %s, not %s, after %d s" % (self.name, state, wanted, seconds))
            time.sleep(INTERVAL)
        return round(time.time() - begin, 1)


def uuid_of(text):
    """Returns the UUID in the XML of a domain; None if the text is not XML."""
    try:
        return ElementTree.fromstring(text).findtext("uuid")
    except ElementTree.ParseError:
        return None


def qemu_readonly(domain, alias):
    """Whether the disk is read-only in QEMU (QMP, query-block, `inserted.ro`); None if QEMU does not report the disk.

    `qdev` is the id of the device or its QOM path, such as /machine/peripheral/virtio-disk0/virtio-backend.
    """
    for device in domain.monitor("query-block"):
        if alias in device.get("qdev", "").split("/"):
            return device["inserted"]["ro"] if "inserted" in device else None
    return None
