"""Queries a domain by virsh and QEMU, and changes it by virt-xml.

Every program runs with an array of arguments, never in a shell. libvirt's Python module is not needed.
"""

import json
import os
import tempfile
import time

# virt-xml starts with "env python3" and needs the modules of the distribution's python3.
ENVIRONMENT = {"LC_ALL": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}

# Seconds between two queries while waiting for a domain to change its state.
INTERVAL = 0.5


class LibvirtError(Exception):
    """A message for the administrator who runs the playbook."""


class Domain:
    """One domain of one libvirt connection. `module` is the AnsibleModule that runs programs."""

    def __init__(self, module):
        self.module = module
        self.uri = module.params["uri"]
        self.name = module.params["domain"]
        self.target = module.params["target"]

    def run(self, *argv, **options):
        """Runs a program and returns its stdout. Raises LibvirtError with its error output if it fails."""
        code, out, err = self.module.run_command(list(argv), environ_update=ENVIRONMENT, **options)
        if code != 0:
            said = " ".join((err or out).split())
            raise LibvirtError("%s %s: %s" % (argv[0].rpartition("/")[2], self.name, said))
        return out

    def virsh(self, command, *args):
        """virsh COMMAND DOMAIN ARGS"""
        return self.run("/usr/bin/virsh", "--connect", self.uri, command, self.name, *args)

    def state(self):
        """(state, why), such as ("shut off", "shutdown"); virsh(1), domstate."""
        state, _, rest = self.virsh("domstate", "--reason").strip().partition(" (")
        return state, rest.rstrip(")")

    def saved(self):
        """Whether the next start would resume a saved memory image, with the devices of that time."""
        lines = self.virsh("dominfo").splitlines()
        return any(line.split() == ["Managed", "save:", "yes"] for line in lines)

    def xml(self, inactive):
        """The XML with secrets, so that it can be defined again. `inactive`: the XML of the next start."""
        return self.virsh("dumpxml", "--security-info", *(["--inactive"] if inactive else []))

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
        Runs `action`, which changes the XML of the next start, then `check` with the resulting XML and the error of the
        action or None. If `check` returns a sentence, restores the XML `before` and raises LibvirtError with it.
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

    def autostarts(self):
        """Whether libvirt starts the domain automatically; virsh(1), dominfo."""
        return any(line.split() == ["Autostart:", "enable"] for line in self.virsh("dominfo").splitlines())

    def resets_nvram(self):
        """Whether virsh can recreate the variable store at a start: libvirt 8.1 and later."""
        return "--reset-nvram" in self.run("/usr/bin/virsh", "help", "start")

    def bytes_read(self):
        """Bytes that QEMU has read from each disk since the start, by target: {"vda": 123}; virsh(1), domstats."""
        lines = [line.strip().partition("=") for line in self.virsh("domstats", "--block").splitlines()]
        values = {key: value for key, _, value in lines}
        count = int(values.get("block.count", 0))
        return {
            values["block.%d.name" % number]: int(values["block.%d.rd.bytes" % number])
            for number in range(count)
            if "block.%d.rd.bytes" % number in values
        }

    def wait_for(self, wanted, seconds):
        """Waits until the state of the domain is `wanted`. Returns the seconds. Raises LibvirtError on timeout."""
        begin = time.time()
        while self.state()[0] != wanted:
            if time.time() - begin > seconds:
                state = self.state()[0]
                raise LibvirtError("%s is %s, not %s, after %d s" % (self.name, state, wanted, seconds))
            time.sleep(INTERVAL)
        return round(time.time() - begin, 1)


def qemu_readonly(domain, alias):
    """Whether the disk is read-only in QEMU (QMP, query-block, `inserted.ro`); None if QEMU has no such disk.

    `qdev` is the id of the device or its QOM path: /machine/peripheral/virtio-disk0/virtio-backend.
    """
    answer = json.loads(domain.virsh("qemu-monitor-command", '{"execute":"query-block"}'))
    for device in answer["return"]:
        if alias in device.get("qdev", "").split("/"):
            return device["inserted"]["ro"] if "inserted" in device else None
    return None
