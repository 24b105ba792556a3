#!/usr/bin/python3
"""Makes one disk of a libvirt domain read-only or writable."""

from ansible_collections.immutafs.agent.plugins.module_utils.domain_xml import describe_disk, without_readonly
from ansible_collections.immutafs.agent.plugins.module_utils.libvirt import Domain, LibvirtError
from ansible_collections.immutafs.agent.plugins.module_utils.module import DISK, run

DOCUMENTATION = r"""
---
module: disk
short_description: Make one disk of a libvirt domain read-only or writable
version_added: 0.1.0
description:
  - Runs C(virt-xml DOMAIN --edit target=TARGET --disk readonly=on|off) while the domain is shut off.
  - Compares the XML of the domain before and after the change. If anything except the C(<readonly/>) of the disk
    differs, restores the previous XML and fails.
extends_documentation_fragment: immutafs.agent.libvirt_disk
options:
  readonly:
    description: Whether the disk is to be read-only.
    type: bool
    required: true
  virt_xml:
    description: Path of virt-xml.
    type: path
    default: /usr/bin/virt-xml
"""

EXAMPLES = r"""
---
- name: Make the system disk read-only
  immutafs.agent.disk:
    domain: web1
    target: vda
    readonly: true
  delegate_to: kvm1
"""

RETURN = r"""
---
readonly:
  description: Whether the disk is read-only from the next start.
  returned: success
  type: bool
  sample: true
"""

ARGUMENTS = {
    **DISK,
    "readonly": {"type": "bool", "required": True},
    "virt_xml": {"type": "path", "default": "/usr/bin/virt-xml"},
}


def main():
    run(ARGUMENTS, bring)


def bring(module):
    """Brings the disk into the wanted state, and returns the result of the module."""
    domain, wanted = Domain(module), module.params["readonly"]
    before = domain.xml(inactive=True)
    if readonly(before, domain) == wanted:
        return {"changed": False, "readonly": wanted}
    if not module.check_mode:
        domain.refuse_unless_off()
        change(domain, before, wanted)
    diff = {"before": "readonly: %s\n" % (not wanted), "after": "readonly: %s\n" % wanted}
    return {"changed": True, "readonly": wanted, "diff": diff}


def readonly(text, domain):
    """Whether the disk is read-only in an XML. Raises LibvirtError if the XML does not contain the disk."""
    disk = describe_disk(text, domain.target)
    if disk is None:
        raise LibvirtError("%s has no disk %s" % (domain.name, domain.target))
    return disk["readonly"]


def change(domain, before, wanted):
    """Runs virt-xml and verifies the new XML. If it is wrong, restores the previous XML and raises LibvirtError."""

    def action():
        option = "readonly=on" if wanted else "readonly=off"
        edit = ["--edit", "target=" + domain.target, "--disk", option]
        domain.run(domain.module.params["virt_xml"], "--connect", domain.uri, domain.address(), *edit)

    def check(after, error):
        if without_readonly(after, domain.target) != without_readonly(before, domain.target):
            return "%s: more than the <readonly/> of %s changed" % (domain.name, domain.target)
        if error is None and readonly(after, domain) != wanted:
            return "%s: virt-xml did not change %s" % (domain.name, domain.target)
        return error

    domain.change(before, action, check)


if __name__ == "__main__":
    main()
