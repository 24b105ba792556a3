#!/usr/bin/python3
"""Makes the seed of a guest with SEED=host, and attaches it to the domain."""

import os
from xml.etree import ElementTree

from ansible_collections.immutafs.agent.plugins.module_utils import record, seed
from ansible_collections.immutafs.agent.plugins.module_utils.domain_xml import disk_source, find_disk
from ansible_collections.immutafs.agent.plugins.module_utils.libvirt import Domain, LibvirtError
from ansible_collections.immutafs.agent.plugins.module_utils.module import DIRECTORY, DISK, run

DOCUMENTATION = r"""
---
module: seed
short_description: Make the seed of a guest and attach it to its libvirt domain
version_added: 0.1.0
description:
  - Makes a CD image with host name, SSH host key, and what O(user_data), O(network_config) or O(files) add. A sealed guest
    whose image has C(SEED=host) gets its identity from this seed, at every boot the same.
  - Generates the SSH host key of the guest (ed25519) if O(directory) has none, and keeps it there, where only root can read it.
  - Attaches the image as a CD-ROM drive if the domain has no disk O(target). A running guest uses a new seed from its next
    start on.
  - Requires C(xorriso) and C(ssh-keygen) on the host.
extends_documentation_fragment: immutafs.agent.libvirt_disk
options:
  target:
    description: Target of the CD-ROM drive in the domain XML, such as V(sda).
    type: str
    required: true
  bus:
    description: Bus of the drive, if it is attached.
    type: str
    choices: [sata, scsi, ide]
    default: sata
  hostname:
    description: Host name of the guest. The default is the name of the domain.
    type: str
  cloud_init:
    description: Whether the image has cloud-init.
    type: bool
    default: true
  user_data:
    description: Further keys of cloud-config, for a guest with cloud-init.
    type: dict
    default: {}
  network_config:
    description: The network configuration of cloud-init, version 1 or 2.
    type: dict
    default: {}
  files:
    description: Further files for a guest without cloud-init, by their name (docs/images.md).
    type: dict
    default: {}
  directory:
    description: Directory on the host for the host key, which gets a directory with the name of the domain.
    type: path
    default: /var/lib/immutafs
  image_directory:
    description:
      - Directory on the host for the image. The user of QEMU must be able to enter it. libvirt makes this user the owner of
        the image when the domain is started.
    type: path
    default: /var/lib/libvirt/images
"""

EXAMPLES = r"""
---
- name: Give the guest a user and an address
  immutafs.agent.seed:
    domain: web1
    target: sda
    user_data: { users: [{ name: deploy, ssh_authorized_keys: ['{{ deploy_key }}'] }] }
    network_config:
      version: 2
      ethernets: { enp1s0: { addresses: [192.0.2.11/24] } }
  delegate_to: kvm1
"""

RETURN = r"""
---
path:
  description: Path of the image.
  returned: success
  type: str
  sample: /var/lib/libvirt/images/web1-seed.iso
checksum:
  description: SHA-256 of the seed, as the check C(seed-genuine) of the guest shows it.
  returned: success
  type: str
host_key:
  description: Public SSH host key of the guest.
  returned: success
  type: str
  sample: ssh-ed25519 AAAA… web1
"""

KEYGEN = "/usr/bin/ssh-keygen"

ARGUMENTS = {
    **DISK,
    "bus": {"type": "str", "choices": ["sata", "scsi", "ide"], "default": "sata"},
    "hostname": {"type": "str"},
    "cloud_init": {"type": "bool", "default": True},
    "user_data": {"type": "dict", "default": {}, "no_log": True},
    "network_config": {"type": "dict", "default": {}, "no_log": True},
    "files": {"type": "dict", "default": {}, "no_log": True},
    "directory": DIRECTORY,
    "image_directory": {"type": "path", "default": "/var/lib/libvirt/images"},
}


# Ansible masks each value in an option with no_log wherever it occurs in the output. A shorter value is not a secret that it could
# protect: `version: 2` would turn web2 into web********.
SHORTEST_SECRET = 6


def main():
    run(ARGUMENTS, without_secrets)


def without_secrets(module):
    """
    Returns the result of the module, which contains no secret: it is not masked, because a value of the seed can occur in the checksum.
    An error is masked. The arguments that Ansible adds to either are those without no_log.
    """
    public = {name: value for name, value in module.params.items() if not ARGUMENTS[name].get("no_log")}
    invocation = {"module_args": public}
    shown = " ".join(str(value) for value in public.values())
    hidden = {value for value in module.no_log_values if len(value) >= SHORTEST_SECRET and value not in shown}
    module.no_log_values.intersection_update(hidden)
    try:
        result = make(module)
    except LibvirtError as error:
        module.fail_json(msg=str(error), invocation=invocation)
    module.no_log_values.clear()
    return dict(result, invocation=invocation)


def make(module):
    """Makes and attaches the seed, and returns the result of the module."""
    domain = Domain(module)
    folder = record.folder_of(module.params["directory"], domain.name)
    path = os.path.join(module.params["image_directory"], "%s-seed.iso" % domain.name)
    attach = is_missing(domain, path)
    key = host_key(domain, folder)
    if key is None:
        return {"changed": True, "path": path}
    found = seed.contents(module.params["hostname"] or domain.name, key, *contents_of(module.params))
    made = seed.make_image(domain, found, path, dry=module.check_mode)
    if attach and not module.check_mode:
        options = ["--targetbus", module.params["bus"], "--type", "cdrom", "--mode", "readonly", "--config"]
        domain.virsh("attach-disk", path, domain.target, *options)
    return {"changed": made or attach, "path": path, "checksum": seed.checksum(found), "host_key": key[1].strip()}


def contents_of(params):
    """Returns the options that determine the content of the seed besides host name and key."""
    return [params[name] for name in ("cloud_init", "user_data", "network_config", "files")]


def is_missing(domain, path):
    """Whether the domain has no disk with the target. Raises LibvirtError if the disk is not the drive with the seed."""
    text = domain.xml(inactive=True)
    disk = find_disk(ElementTree.fromstring(text), domain.target)
    if disk is None:
        return True
    source = disk_source(text, domain.target)["path"]
    if disk.get("device") != "cdrom" or source != path:
        raise LibvirtError("%s: %s is not a CD-ROM drive with %s, but has %s" % (domain.name, domain.target, path, source))
    return False


def host_key(domain, folder):
    """
    Returns the private and the public host key of the guest, which are generated if the folder has none. In check mode,
    returns None instead of generating a key.
    """
    path = os.path.join(folder, seed.HOST_KEY)
    if not os.path.exists(path):
        if domain.module.check_mode:
            return None
        generate_key(domain, path)
    public = domain.run(KEYGEN, "-y", "-f", path)
    try:
        with open(path, encoding="ascii") as secret:
            return secret.read(), public
    except OSError as error:
        raise LibvirtError("the host key of the guest cannot be read: %s" % error) from error


def generate_key(domain, path):
    """Generates a key under another name, so that an interrupted run leaves no part of a key."""
    unfinished = path + ".new"
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    record.remove(unfinished)
    comment = domain.module.params["hostname"] or domain.name
    domain.run(KEYGEN, "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", unfinished)
    record.remove(unfinished + ".pub")
    record.move(unfinished, path)


if __name__ == "__main__":
    main()
