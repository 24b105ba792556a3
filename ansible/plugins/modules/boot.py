#!/usr/bin/python3
"""Sets what decides the next boot in a libvirt domain: firmware boots from the system disk alone."""

from xml.etree import ElementTree

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.immutafs.agent.plugins.module_utils.boot import boot_facts, corrected
from ansible_collections.immutafs.agent.plugins.module_utils.domain_xml import find_disk, one_form, to_text
from ansible_collections.immutafs.agent.plugins.module_utils.libvirt import Domain, LibvirtError

DOCUMENTATION = """
module: boot
short_description: Have a libvirt domain boot from one disk alone
description:
  - Sets C(<boot order='1'/>) on the disk and removes every other C(<boot>), unless QEMU is given a kernel.
  - Gives each disk on virtio-blk that has no serial one of the domain's UUID and its target.
  - In a domain with UEFI variables, sets C(<on_reboot>destroy</on_reboot>), and so C(on_crash) and C(on_poweroff) where
    they restart the guest, because a restart within QEMU keeps variables that root in the guest wrote.
  - Compares the domain's XML with what was wanted. Where anything else differs, the XML from before is defined again
    and the module fails.
options:
  domain: {description: The domain's name., type: str, required: true}
  target: {description: The system disk's target, such as C(vda)., type: str, required: true}
  uri: {description: The libvirt connection., type: str, default: "qemu:///system"}
attributes:
  check_mode: {description: Says whether the domain would change., support: full}
author: immutafs-agent
"""

ARGUMENTS = {
    "domain": {"type": "str", "required": True},
    "target": {"type": "str", "required": True},
    "uri": {"type": "str", "default": "qemu:///system"},
}


def main():
    """The module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    domain = Domain(module)
    try:
        text = domain.xml(inactive=True)
        before = ElementTree.fromstring(text)
        if find_disk(before, domain.target) is None:
            raise LibvirtError("%s has no disk %s" % (domain.name, domain.target))
        wrong = boot_facts(before, domain.target)["wrong"]
        after = corrected(before, domain.target)
        changed = one_form(after) != one_form(before)
        if changed and not module.check_mode:
            domain.refuse_unless_off()
            change(domain, text, after)
    except LibvirtError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=changed, corrected=wrong)


def change(domain, before, wanted):
    """Defines the wanted XML and compares the result; as before, and LibvirtError, where libvirt made another one of it."""

    def check(after, error):
        if error is None and one_form(ElementTree.fromstring(after)) != one_form(wanted):
            return "%s: libvirt has changed more than the boot order, the serials and on_reboot" % domain.name
        return error

    domain.change(before, lambda: domain.define(to_text(wanted, before)), check)


if __name__ == "__main__":
    main()
