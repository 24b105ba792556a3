#!/usr/bin/python3
"""Makes the firmware of a libvirt domain boot from the system disk only."""

from xml.etree import ElementTree

from ansible_collections.immutafs.agent.plugins.module_utils.boot import corrected, wrong_settings
from ansible_collections.immutafs.agent.plugins.module_utils.domain_xml import find_disk, normalised
from ansible_collections.immutafs.agent.plugins.module_utils.libvirt import Domain, LibvirtError
from ansible_collections.immutafs.agent.plugins.module_utils.module import DISK, run

DOCUMENTATION = r"""
---
module: boot
short_description: Let a libvirt domain boot from one disk only
version_added: 0.1.0
description:
  - Sets C(<boot order='1'/>) on the disk and removes every other C(<boot>), unless the domain has a kernel in C(<os>).
  - Sets a serial on each virtio-blk disk that has none. The serial consists of the first 12 digits of the UUID of the
    domain and the target of the disk.
  - In a domain with UEFI variables, sets C(<on_reboot>destroy</on_reboot>), and likewise C(on_crash) and
    C(on_poweroff) if they restart the guest, because a restart within QEMU keeps variables that root in the guest wrote.
  - Compares the resulting XML with the wanted XML. If anything else differs, restores the previous XML and fails.
extends_documentation_fragment: immutafs.agent.libvirt_disk
"""

EXAMPLES = r"""
---
- name: Let the firmware boot from the system disk only
  immutafs.agent.boot:
    domain: web1
    target: vda
  delegate_to: kvm1
"""

RETURN = r"""
---
changed:
  description: Whether the domain was changed.
  returned: always
  type: bool
"""

ARGUMENTS = DISK


def main():
    run(ARGUMENTS, correct)


def correct(module):
    """Corrects the boot settings, and returns the result of the module."""
    domain = Domain(module)
    text = domain.xml(inactive=True)
    before = ElementTree.fromstring(text)
    if find_disk(before, domain.target) is None:
        raise LibvirtError("%s has no disk %s" % (domain.name, domain.target))
    wrong = wrong_settings(before, domain.target)
    after = corrected(before, domain.target)
    changed = normalised(after) != normalised(before)
    if changed and not module.check_mode:
        domain.refuse_unless_off()
        domain.define_exactly(text, after, "the boot order, the serials and on_reboot")
    return {"changed": changed, "corrected": wrong}


if __name__ == "__main__":
    main()
