"""The options of every module that works on the system disk of a libvirt domain."""


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  domain:
    description: Name of the domain.
    type: str
    required: true
  target:
    description: Target of the system disk, such as V(vda).
    type: str
    required: true
  uri:
    description: URI of the libvirt connection.
    type: str
    default: qemu:///system
"""
