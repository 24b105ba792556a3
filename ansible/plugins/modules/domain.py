#!/usr/bin/python3
"""Says what a libvirt domain and its disk are, starts it, or waits for its end."""

from xml.etree import ElementTree

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.immutafs.agent.plugins.module_utils.boot import boot_facts
from ansible_collections.immutafs.agent.plugins.module_utils.domain_xml import describe_disk
from ansible_collections.immutafs.agent.plugins.module_utils.libvirt import Domain, LibvirtError, qemu_readonly

DOCUMENTATION = """
module: domain
short_description: Say what a libvirt domain and one of its disks are, start it, shut it down
description:
  - With I(state), brings the domain into it and returns RV(changed) and RV(seconds). Without, only looks.
  - RV(state) is what the domain is, RV(persistent) the disk in the XML of the next start, RV(live) in that of the
    running domain, RV(qemu) what QEMU says of it (query-block), RV(now) the latter, or where QEMU says nothing, the
    former; null while it does not run.
  - RV(target) and RV(bus) name the disk. RV(boot) is what decides the boot of the next start, RV(boot_now) that of the
    running domain or null: the firmware (kernel, bios or uefi), the file of its variables, what the module C(boot) can
    correct (wrong), and what only an administrator can (blockers). RV(read) is how many bytes QEMU has read from each
    disk since the start, by target.
  - A domain with UEFI variables is started with a variable store made anew from its template (virsh start
    --reset-nvram), where the installed libvirt has that.
  - A domain is never killed. One that does not shut down in time is left running, and the module fails.
options:
  domain: {description: The domain's name., type: str, required: true}
  target: {description: The disk's target, such as C(vda)., type: str, required: true}
  uri: {description: The libvirt connection., type: str, default: "qemu:///system"}
  state: {description: What it is to be., type: str, choices: [running, shut off]}
  ask: {description: Press the power button (virsh shutdown), or only wait., type: bool, default: true}
  timeout: {description: Seconds to wait for the end., type: int, default: 300}
attributes:
  check_mode: {description: Says whether the state would change., support: full}
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
    """The module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    domain = Domain(module)
    try:
        result = look(domain) if module.params["state"] is None else bring(domain, module.params)
    except LibvirtError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


def bring(domain, params):
    """Brings the domain into the wanted state; what is returned: changed, and the seconds waited for it."""
    wanted, (state, _) = params["state"], domain.state()
    if state == wanted or domain.module.check_mode:
        return {"changed": state != wanted, "seconds": 0}
    seconds = start(domain, state) if wanted == "running" else shut_down(domain, params)
    return {"changed": True, "seconds": seconds}


def start(domain, state):
    """Starts a domain that is shut off; one that is paused or crashed is somebody's affair."""
    if state != "shut off":
        raise LibvirtError("%s is %s: only a domain that is shut off is started" % (domain.name, state))
    domain.virsh("start", *(["--reset-nvram"] if makes_store_anew(domain) else []))
    return domain.wait_for("running", 10)


def makes_store_anew(domain):
    """Whether the domain has UEFI variables and this libvirt can make their store anew."""
    facts = boot_facts(ElementTree.fromstring(domain.xml(inactive=True)), domain.target)
    return facts["store"] is not None and domain.resets_nvram()


def shut_down(domain, params):
    """Waits for the guest to end by itself, after the power button where asked for."""
    if params["ask"]:
        press_button(domain)
    seconds = domain.wait_for("shut off", params["timeout"])
    reason = domain.state()[1]
    if reason != "shutdown":
        raise LibvirtError("%s did not shut down cleanly, its end was: %s" % (domain.name, reason))
    return seconds


def press_button(domain):
    """virsh shutdown. A guest that was on its way down may have come to its end just before."""
    try:
        domain.virsh("shutdown")
    except LibvirtError:
        if domain.state()[0] != "shut off":
            raise


def look(domain):
    """What is returned: changed, target, bus, state, reason, saved, persistent, live, qemu, now, boot, boot_now, read."""
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
    """What an XML of the domain says of its boot."""
    root = ElementTree.fromstring(text)
    return boot_facts(root, domain.target, domain.resets_nvram(), domain.autostarts())


if __name__ == "__main__":
    main()
