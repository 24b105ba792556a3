#!/usr/bin/python3
"""Queries a libvirt domain and one of its disks, starts the domain, or shuts it down."""

import os
from xml.etree import ElementTree

from ansible_collections.immutafs.agent.plugins.module_utils import record
from ansible_collections.immutafs.agent.plugins.module_utils.boot import boot_facts, variable_store
from ansible_collections.immutafs.agent.plugins.module_utils.domain_xml import describe_disk, read_only_disks
from ansible_collections.immutafs.agent.plugins.module_utils.image import sharers, writers, written
from ansible_collections.immutafs.agent.plugins.module_utils.libvirt import Domain, LibvirtError, qemu_readonly
from ansible_collections.immutafs.agent.plugins.module_utils.module import DIRECTORY, DISK, run

DOCUMENTATION = r"""
---
module: domain
short_description: Query, start or shut down a libvirt domain
version_added: 0.1.0
description:
  - If O(state) is given, brings the domain into this state. Otherwise, only queries the domain.
  - If the domain has UEFI variables and libvirt supports C(virsh start --reset-nvram), the domain is started with a
    variable store that is recreated from its template.
  - A domain whose system disk is being restored by M(immutafs.agent.snapshot) is not started, because the disk may contain
    parts of two states.
  - If a domain does not shut down within the timeout, it is left running and the module fails, unless O(force) is set.
extends_documentation_fragment: immutafs.agent.libvirt_disk
options:
  state:
    description: Wanted state of the domain.
    type: str
    choices: [running, shut off]
  ask:
    description: Whether to press the power button (C(virsh shutdown)) instead of only waiting.
    type: bool
    default: true
  timeout:
    description: Seconds to wait until the domain is shut off.
    type: int
    default: 300
  force:
    description: Whether to end the domain after the timeout (C(virsh destroy)), because its disk is rolled back.
    type: bool
    default: false
  directory:
    description: Directory on the host for the record of a rollback.
    type: path
    default: /var/lib/immutafs
  others:
    description:
      - Whether to look in all domains of the connection for disks with the image of this disk. Takes a second for
        hundreds of domains.
    type: bool
    default: false
"""

EXAMPLES = r"""
---
- name: Query the domain and its system disk
  immutafs.agent.domain:
    domain: web1
    target: vda
  delegate_to: kvm1
  register: found

- name: Wait at most ten minutes until the guest has shut down
  immutafs.agent.domain:
    domain: web1
    target: vda
    state: shut off
    timeout: 600
  delegate_to: kvm1
"""

RETURN = r"""
---
seconds:
  description: Seconds until the domain had the wanted state.
  returned: if O(state) is given
  type: float
state:
  description: State of the domain, as C(virsh domstate) reports it.
  returned: if O(state) is not given
  type: str
  sample: running
reason:
  description: Reason of the state, as C(virsh domstate --reason) reports it.
  returned: if O(state) is not given
  type: str
  sample: booted
saved:
  description: Whether the domain has a saved memory image.
  returned: if O(state) is not given
  type: bool
uuid:
  description: UUID of the domain.
  returned: if O(state) is not given
  type: str
  sample: 0b6c71de-0000-4000-8000-000000000001
target:
  description: Target of the disk.
  returned: if O(state) is not given
  type: str
  sample: vda
bus:
  description: Bus of the disk.
  returned: if O(state) is not given
  type: str
  sample: virtio
serial:
  description: Serial number of the disk in the XML. Null if there is none.
  returned: if O(state) is not given
  type: str
  sample: 0b6c71de-vda
wwn:
  description: World Wide Name of the disk in the XML. Null if there is none.
  returned: if O(state) is not given
  type: str
persistent:
  description: Whether the disk is read-only from the next start.
  returned: if O(state) is not given
  type: bool
live:
  description: Whether the disk is read-only in the XML of the running domain. Null while the domain is not running.
  returned: if O(state) is not given
  type: bool
qemu:
  description: Whether QEMU reports the disk as read-only (C(query-block)). Null if QEMU does not report the disk.
  returned: if O(state) is not given
  type: bool
now:
  description: RV(qemu), or RV(live) if QEMU does not report the disk.
  returned: if O(state) is not given
  type: bool
read_only:
  description:
    - Targets of all disks of the running domain that the guest cannot write, also CD-ROM drives, and V(hostdev) for each
      SCSI device that is passed through read-only. Null while the domain is not running.
  returned: if O(state) is not given
  type: list
  elements: str
  sample: [vda]
written:
  description:
    - When the image file of the disk was last written, in seconds since 1970. Null if the disk is not a file, or if
      the file is not on the host that runs the module.
  returned: if O(state) is not given
  type: int
boot:
  description: Boot settings of the next start.
  returned: if O(state) is not given
  type: dict
  contains:
    firmware:
      description: The firmware, V(kernel), V(bios) or V(uefi).
      type: str
    store:
      description: File with the UEFI variables. Null if there is none.
      type: str
    wrong:
      description: Problems that the module M(immutafs.agent.boot) can correct.
      type: list
      elements: str
    blockers:
      description: Problems that only an administrator can correct.
      type: list
      elements: str
boot_now:
  description: Boot settings of the running domain, like RV(boot). Null while the domain is not running.
  returned: if O(state) is not given
  type: dict
rollback:
  description: The record of a rollback or of a snapshot. Null if there is none.
  returned: if O(state) is not given
  type: dict
  contains:
    phase:
      description: V(restoring), V(restored) or V(kept), as M(immutafs.agent.snapshot) returns it.
      type: str
    reason:
      description: Reason of the rollback, or null.
      type: str
read:
  description: Maps the target of each disk to the number of bytes that QEMU has read from it since the start.
  returned: if O(state) is not given
  type: dict
  sample: {vda: 156237824}
writers:
  description:
    - Disks that are not read-only and have the same image, or have a file on which the image is based, as
      C(DOMAIN TARGET). The domains need not be running. Null unless O(others) is set.
  returned: if O(state) is not given
  type: list
  elements: str
  sample: [web2 vdb]
sharers:
  description:
    - Disks that have the same image, or an image that is based on it, writable or not, in the form of RV(writers). Null
      unless O(others) is set.
  returned: if O(state) is not given
  type: list
  elements: str
  sample: [web2 vda]
"""

ARGUMENTS = {
    **DISK,
    "state": {"type": "str", "choices": ["running", "shut off"]},
    "ask": {"type": "bool", "default": True},
    "timeout": {"type": "int", "default": 300},
    "force": {"type": "bool", "default": False},
    "directory": DIRECTORY,
    "others": {"type": "bool", "default": False},
}


def main():
    run(ARGUMENTS, lambda module: (query if module.params["state"] is None else bring)(Domain(module)))


def bring(domain):
    """Brings the domain into the wanted state. Returns whether it changed, and the waiting time in seconds."""
    params = domain.module.params
    wanted, (state, _) = params["state"], domain.state()
    if state == wanted or domain.module.check_mode:
        return {"changed": state != wanted, "seconds": 0}
    seconds = start(domain, state) if wanted == "running" else shut_down(domain, params)
    return {"changed": True, "seconds": seconds}


def start(domain, state):
    """Starts a domain that is shut off. Raises LibvirtError for a paused or crashed domain, which must be examined."""
    if state != "shut off":
        words = "%s is %s (%s): only a domain that is shut off can be started"
        raise LibvirtError(words % (domain.name, state, domain.state()[1]))
    refuse_half_restored(domain)
    domain.virsh("start", *(["--reset-nvram"] if recreates_store(domain) else []))
    return domain.wait_for("running", 10)


def refuse_half_restored(domain):
    """Raises LibvirtError if a rollback was interrupted while the disk was being restored."""
    noted = rollback_of(domain)
    if noted is not None and noted["phase"] == "restoring":
        raise LibvirtError(
            "%s was not started, because the rollback of its disk was interrupted: run immutafs.agent.seal, which "
            "continues the rollback (reason: %s)" % (domain.name, noted["reason"])
        )


def rollback_of(domain):
    """Returns the phase and the reason that the module `snapshot` has recorded, or None."""
    folder = record.folder_of(domain.module.params["directory"], domain.name)
    noted = record.read(os.path.join(folder, record.ROLLBACK))
    return None if noted is None else {"phase": noted.get("phase"), "reason": noted.get("reason")}


def recreates_store(domain):
    """Whether the domain has UEFI variables and libvirt can recreate the variable store."""
    store, _ = variable_store(ElementTree.fromstring(domain.xml(inactive=True)))
    return store is not None and domain.resets_nvram()


def shut_down(domain, params):
    """Presses the power button if `ask` is set, and waits until the guest has shut down."""
    if params["ask"]:
        press_button(domain)
    if params["force"]:
        return force_off(domain, params["timeout"])
    seconds = domain.wait_for("shut off", params["timeout"])
    reason = domain.state()[1]
    if reason != "shutdown":
        raise LibvirtError("%s did not shut down cleanly, libvirt reports the reason: %s" % (domain.name, reason))
    return seconds


def force_off(domain, timeout):
    """
    Waits until the guest has shut down, and ends the domain after the timeout. Ends a paused domain at once, because its
    guest cannot shut down. Returns the seconds.
    """
    timeout = 0 if domain.state()[0] == "paused" else timeout
    try:
        return domain.wait_for("shut off", timeout)
    except LibvirtError:
        domain.virsh("destroy", "--graceful")
        return timeout + domain.wait_for("shut off", 60)


def press_button(domain):
    """Runs virsh shutdown. Ignores an error if the guest has shut down meanwhile, or will be ended anyway."""
    try:
        domain.virsh("shutdown")
    except LibvirtError:
        if domain.state()[0] != "shut off" and not domain.module.params["force"]:
            raise


def query(domain):
    """
    Returns changed, uuid, target, bus, serial, wwn, state, reason, saved, persistent, live, qemu, now, read_only, written, boot,
    boot_now, rollback, read, writers, sharers.
    """
    state, reason = domain.state()
    text, now = domain.xml(inactive=True), None if state == "shut off" else domain.xml(inactive=False)
    persistent = describe_disk(text, domain.target)
    if persistent is None:
        raise LibvirtError("%s has no disk %s" % (domain.name, domain.target))
    live = now and describe_disk(now, domain.target)
    qemu = qemu_readonly(domain, live["alias"]) if live else None
    return {
        "changed": False,
        "uuid": ElementTree.fromstring(text).findtext("uuid"),
        "target": domain.target,
        "bus": persistent["bus"],
        "serial": (live or persistent)["serial"],
        "wwn": (live or persistent)["wwn"],
        "state": state,
        "reason": reason,
        "saved": domain.saved(),
        "persistent": persistent["readonly"],
        "live": live and live["readonly"],
        "qemu": qemu,
        "now": live and (live["readonly"] if qemu is None else qemu),
        "read_only": now and read_only_disks(now),
        "written": written(text, domain.target, domain.uri),
        "boot": boot_of(domain, text),
        "boot_now": now and boot_of(domain, now),
        "rollback": rollback_of(domain),
        "read": {} if now is None else domain.bytes_read(),
        "writers": writers(domain, text) if domain.module.params["others"] else None,
        "sharers": sharers(domain, text) if domain.module.params["others"] else None,
    }


def boot_of(domain, text):
    """Returns the boot settings in an XML of the domain."""
    root = ElementTree.fromstring(text)
    return boot_facts(root, domain.target, domain.resets_nvram(), domain.autostarts())


if __name__ == "__main__":
    main()
