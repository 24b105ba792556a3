"""What the modules that work on the system disk of a libvirt domain have in common."""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.immutafs.agent.plugins.module_utils.libvirt import LibvirtError

# The options that doc_fragments/libvirt_disk.py documents.
DISK = {
    "domain": {"type": "str", "required": True},
    "target": {"type": "str", "required": True},
    "uri": {"type": "str", "default": "qemu:///system"},
}
DIRECTORY = {"type": "path", "default": "/var/lib/immutafs"}


def run(arguments, work, required_if=()):
    """Runs a module. `work` receives the AnsibleModule and returns the result; a LibvirtError is the message of a failure."""
    module = AnsibleModule(argument_spec=arguments, required_if=required_if, supports_check_mode=True)
    try:
        result = work(module)
    except LibvirtError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)
