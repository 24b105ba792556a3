#!/usr/bin/python3
"""Queries a libvirt domain and one of its disks, starts the domain, or shuts it down."""

from xml.etree import ElementTree

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.immutafs.agent.plugins.module_utils.boot import boot_facts
from ansible_collections.immutafs.agent.plugins.module_utils.domain_xml import describe_disk
from ansible_collections.immutafs.agent.plugins.module_utils.libvirt import Domain, LibvirtError, qemu_readonly

DOCUMENTATION = """
module: domain
short_description: Query, start or shut down a libvirt domain
description:
  - If I(state) is given, brings the domain into this state and returns RV(changed) and RV(seconds). Otherwise, only
    queries the domain.
  - RV(state) is the state of the domain. The following values report whether the disk is read-only. RV(persistent) is
    from the XML of the next start, RV(live) from the XML of the running domain, and RV(qemu) from QEMU (query-block).
    RV(now) is RV(qemu), or RV(live) if QEMU does not report the disk. All except RV(persistent) are null while the
    domain is not running.
  - RV(target) and RV(bus) name the disk. RV(boot) contains the boot settings of the next start, and RV(boot_now) those
    of the running domain, or null. They consist of the firmware (kernel, bios or uefi), the file with the UEFI
    variables (store), problems that the module C(boot) can correct (wrong), and problems that only an administrator can
    correct (blockers). RV(read) maps the target of each disk to the number of bytes that QEMU has read from it since
    the start.
  - If the domain has UEFI variables and libvirt supports C(virsh start --reset-nvram), the domain is started with a
    variable store that is recreated from its template.
  - A domain is never killed. If it does not shut down within the timeout, it is left running and the module fails.
options:
  domain: {description: Name of the domain., type: str, required: true}
  target: {description: Target of the disk, such as C(vda)., type: str, required: true}
  uri: {description: URI of the libvirt connection., type: str, default: "qemu:///system"}
  state: {description: Wanted state of the domain., type: str, choices: [running, shut off]}
  ask: {description: Press the power button (virsh shutdown) instead of only waiting., type: bool, default: true}
  timeout: {description: Seconds to wait until the domain is shut off., type: int, default: 300}
attributes:
  check_mode: {description: Reports whether the state would change., support: full}
author: immutafs-agent
"""

ARGUMENTS = {
    "domain": {"type": "str", "required": True},
    "target": {"type": "str", "required": True},
    "uri": {"type": "str", "default": "qemu:///system"},
    "state": {"type": "str", "choices": ["running", "shut off"]},
    "ask": {"type": "bool", "default": True},
    "timeout": {"type": "int", "default": 300},
}


def main():
    """Runs the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    domain = Domain(module)
    try:
        result = query(domain) if module.params["state"] is None else bring(domain, module.params)
    except LibvirtError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


def bring(domain, params):
    """Brings the domain into the wanted state. Returns whether it changed, and the waiting time in seconds."""
    wanted, (state, _) = params["state"], domain.state()
    if state == wanted or domain.module.check_mode:
        return {"changed": state != wanted, "seconds": 0}
    seconds = start(domain, state) if wanted == "running" else shut_down(domain, params)
    return {"changed": True, "seconds": seconds}


def start(domain, state):
    """Starts a domain that is shut off. Raises LibvirtError for a paused or crashed domain, which must be examined."""
    if state != "shut off":
        raise LibvirtError("%s is %s: only a domain that is shut off can be started" % (domain.name, state))
    domain.virsh("start", *(["--reset-nvram"] if recreates_store(domain) else []))
    return domain.wait_for("running", 10)


def recreates_store(domain):
    """Whether the domain has UEFI variables and libvirt can recreate the variable store."""
    facts = boot_facts(ElementTree.fromstring(domain.xml(inactive=True)), domain.target)
    return facts["store"] is not None and domain.resets_nvram()


def shut_down(domain, params):
    """Presses the power button if `ask` is set, and waits until the guest has shut down."""
    if params["ask"]:
        press_button(domain)
    seconds = domain.wait_for("shut off", params["timeout"])
    reason = domain.state()[1]
    if reason != "shutdown":
        raise LibvirtError("%s did not shut down cleanly, libvirt reports the reason: %s" % (domain.name, reason))
    return seconds


def press_button(domain):
    """Runs virsh shutdown. Ignores an error if the guest has shut down in the meantime."""
    try:
        domain.virsh("shutdown")
    except LibvirtError:
        if domain.state()[0] != "shut off":
            raise


def query(domain):
    """Returns changed, target, bus, state, reason, saved, persistent, live, qemu, now, boot, boot_now, read."""
    state, reason = domain.state()
    text, now = domain.xml(inactive=True), None if state == "shut off" else domain.xml(inactive=False)
    persistent = describe_disk(text, domain.target)
    if persistent is None:
        raise LibvirtError("%s has no disk %s" % (domain.name, domain.target))
    live = now and describe_disk(now, domain.target)
    qemu = qemu_readonly(domain, live["alias"]) if live else None
    return {
        "changed": False,
        "target": domain.target,
        "bus": persistent["bus"],
        "state": state,
        "reason": reason,
        "saved": domain.saved(),
        "persistent": persistent["readonly"],
        "live": live and live["readonly"],
        "qemu": qemu,
        "now": live and (live["readonly"] if qemu is None else qemu),
        "boot": boot_of(domain, text),
        "boot_now": now and boot_of(domain, now),
        "read": {} if now is None else domain.bytes_read(),
    }


def boot_of(domain, text):
    """Returns the boot settings in an XML of the domain."""
    root = ElementTree.fromstring(text)
    return boot_facts(root, domain.target, domain.resets_nvram(), domain.autostarts())


if __name__ == "__main__":
    main()
