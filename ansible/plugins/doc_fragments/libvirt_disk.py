"""What the documentation of every module for the system disk of a libvirt domain has in common."""


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
attributes:
  check_mode:
    description: Changes nothing, and reports whether anything would change.
    support: full
author: immutafs-agent (@immutafs-agent)
"""
