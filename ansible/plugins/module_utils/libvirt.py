"""What virsh, virt-xml and QEMU say of a domain, and the one change that is made to it.

Every program is run with an array of arguments, never by a shell. libvirt's own Python module is not needed.
"""

import json
import os
import tempfile
import time

# virt-xml's first line is "env python3", and its modules are those of the distribution's python3.
ENVIRONMENT = {"LC_ALL": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}

# Seconds between two looks at a domain that is to reach another state.
INTERVAL = 0.5


class LibvirtError(Exception):
    """A sentence for the person who runs the playbook."""


class Domain:
    """One domain of one libvirt; `module` is the AnsibleModule that runs programs."""

    def __init__(self, module):
        self.module = module
        self.uri = module.params["uri"]
        self.name = module.params["domain"]
        self.target = module.params["target"]

    def run(self, *argv, **options):
        """Runs a program; what it wrote to stdout. Throws LibvirtError with what it said where it fails."""
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
        """Whether the next start would go on from a saved memory image, with the devices of that time."""
        lines = self.virsh("dominfo").splitlines()
        return any(line.split() == ["Managed", "save:", "yes"] for line in lines)

    def xml(self, inactive):
        """The XML, secrets included, so that it can be defined again; `inactive`: that of the next start."""
        return self.virsh("dumpxml", "--security-info", *(["--inactive"] if inactive else []))

    def refuse_unless_off(self):
        """Throws LibvirtError unless a change counts from the domain's next start on, and from nowhere else."""
        state, _ = self.state()
        if state != "shut off":
            raise LibvirtError("%s is %s: it is changed only while it is shut off" % (self.name, state))
        if self.saved():
            raise LibvirtError(
                "%s has a saved memory image, from which it would go on as it was: "
                "start it and shut it down, or remove the image (virsh managedsave-remove)" % self.name
            )

    def define(self, text):
        """virsh define, from a file that only its owner can read: an XML may have passwords."""
        descriptor, path = tempfile.mkstemp(suffix=".xml")
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(text)
            self.run("/usr/bin/virsh", "--connect", self.uri, "define", "--file", path)
        finally:
            os.unlink(path)

    def change(self, before, action, check):
        """
        Runs `action`, which changes the XML of the next start, and then `check` with the XML that came of it and the
        action's error or None. Where `check` returns a sentence, the XML `before` is defined again, and LibvirtError has
        that sentence.
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
            problem += "; the domain is as it was before"
        raise LibvirtError(problem)

    def autostarts(self):
        """Whether libvirt starts the domain by itself, as virsh(1), dominfo says."""
        return any(line.split() == ["Autostart:", "enable"] for line in self.virsh("dominfo").splitlines())

    def resets_nvram(self):
        """Whether this virsh can make the variable store anew at a start: libvirt 8.1 and later."""
        return "--reset-nvram" in self.run("/usr/bin/virsh", "help", "start")

    def bytes_read(self):
        """What QEMU has read from each disk since the domain's start, by target: {"vda": 123}; virsh(1), domstats."""
        lines = [line.strip().partition("=") for line in self.virsh("domstats", "--block").splitlines()]
        values = {key: value for key, _, value in lines}
        count = int(values.get("block.count", 0))
        return {
            values["block.%d.name" % number]: int(values["block.%d.rd.bytes" % number])
            for number in range(count)
            if "block.%d.rd.bytes" % number in values
        }

    def wait_for(self, wanted, seconds):
        """Waits until the domain's state is `wanted`; the seconds it took. Throws LibvirtError at the end."""
        begin = time.time()
        while self.state()[0] != wanted:
            if time.time() - begin > seconds:
                state = self.state()[0]
                raise LibvirtError("%s is %s, not %s, after %d s" % (self.name, state, wanted, seconds))
            time.sleep(INTERVAL)
        return round(time.time() - begin, 1)


def qemu_readonly(domain, alias):
    """Whether QEMU itself has the disk read-only (QMP, query-block, `inserted.ro`); None where it has no such disk.

    `qdev` is the device's id or its path in QOM: /machine/peripheral/virtio-disk0/virtio-backend.
    """
    answer = json.loads(domain.virsh("qemu-monitor-command", '{"execute":"query-block"}'))
    for device in answer["return"]:
        if alias in device.get("qdev", "").split("/"):
            return device["inserted"]["ro"] if "inserted" in device else None
    return None
