#!/usr/bin/python3
"""Makes one disk of a libvirt domain read-only, or writable: the two clicks in virt-manager."""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.immutafs.agent.plugins.module_utils.domain_xml import describe_disk, without_readonly
from ansible_collections.immutafs.agent.plugins.module_utils.libvirt import Domain, LibvirtError

DOCUMENTATION = """
module: disk
short_description: Make one disk of a libvirt domain read-only, or writable
description:
  - Runs C(virt-xml DOMAIN --edit target=TARGET --disk readonly=on|off) while the domain is shut off.
  - Compares the domain's XML before and after. Where anything but the disk's C(<readonly/>) differs, the XML from
    before is defined again and the module fails.
options:
  domain: {description: The domain's name., type: str, required: true}
  target: {description: The disk's target, such as C(vda)., type: str, required: true}
  readonly: {description: What the disk is to be., type: bool, required: true}
  uri: {description: The libvirt connection., type: str, default: "qemu:///system"}
  virt_xml: {description: The program., type: path, default: /usr/bin/virt-xml}
attributes:
  check_mode: {description: Says whether the disk would change., support: full}
author: immutafs-agent
"""

ARGUMENTS = {
    "domain": {"type": "str", "required": True},
    "target": {"type": "str", "required": True},
    "readonly": {"type": "bool", "required": True},
    "uri": {"type": "str", "default": "qemu:///system"},
    "virt_xml": {"type": "path", "default": "/usr/bin/virt-xml"},
}


def main():
    """The module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    domain = Domain(module)
    wanted = module.params["readonly"]
    try:
        before = domain.xml(inactive=True)
        if readonly(before, domain) == wanted:
            module.exit_json(changed=False, readonly=wanted)
        if not module.check_mode:
            domain.refuse_unless_off()
            change(domain, before, wanted)
    except LibvirtError as error:
        module.fail_json(msg=str(error))
    diff = {"before": "readonly: %s\n" % (not wanted), "after": "readonly: %s\n" % wanted}
    module.exit_json(changed=True, readonly=wanted, diff=diff)


def readonly(text, domain):
    """Whether an XML has the disk read-only. Throws LibvirtError where it has no such disk."""
    disk = describe_disk(text, domain.target)
    if disk is None:
        raise LibvirtError("%s has no disk %s" % (domain.name, domain.target))
    return disk["readonly"]


def change(domain, before, wanted):
    """Runs virt-xml and compares the result; as before, and LibvirtError, where it is not what was wanted."""

    def action():
        option = "readonly=on" if wanted else "readonly=off"
        edit = ["--edit", "target=" + domain.target, "--disk", option]
        domain.run(domain.module.params["virt_xml"], "--connect", domain.uri, domain.name, *edit)

    def check(after, error):
        if without_readonly(after, domain.target) != without_readonly(before, domain.target):
            return "%s: more than the <readonly/> of %s changed" % (domain.name, domain.target)
        if error is None and readonly(after, domain) != wanted:
            return "%s: virt-xml left %s as it was" % (domain.name, domain.target)
        return error

    domain.change(before, action, check)


if __name__ == "__main__":
    main()
