#!/usr/bin/python3
"""Documents the action plugin of the same name, which does not require Python in the guest."""

DOCUMENTATION = r"""
---
module: evidence
short_description: Fetch the evidence of a guest to the controller
version_added: 0.1.0
description:
  - Runs C(immutafs-agent changes --export -) in the guest as a service, and copies its output to the controller in
    pieces of 4 MiB. The guest keeps at most five pieces in memory.
  - Creates C(DEST/INVENTORY_HOSTNAME/TIME.tar) and C(TIME.tar.sha256), in which TIME is the time of the controller in
    UTC. Never replaces a file. Leaves no file if the transfer fails. An export in which something is missing is kept, and
    RV(complete) is false.
  - Fails if the connection breaks for longer than O(timeout), instead of marking the host as unreachable.
options:
  dest: {description: An absolute path on the controller., type: path, required: true}
  max_size: {description: "The maximum size, such as C(256M); see C(changes --max-size).", type: str, default: 256M}
  timeout: {description: Timeout in seconds., type: int, default: 1800}
attributes:
  check_mode: {description: Fetches nothing in check mode., support: full}
author: immutafs-agent (@immutafs-agent)
"""

EXAMPLES = r"""
---
- name: Export the evidence
  immutafs.agent.evidence:
    dest: /srv/evidence
"""

RETURN = r"""
---
file: {description: Path of the export on the controller., type: str, returned: success}
sha256: {description: SHA-256 of the file., type: str, returned: success}
size: {description: Size of the file in bytes., type: int, returned: success}
complete: {description: Whether everything could be exported., type: bool, returned: success}
problems: {description: What is not in the export., type: list, elements: str, returned: success}
boot_id: {description: ID of the boot of the guest., type: str, returned: success}
ended: {description: "The time in the guest at which the export ended, ISO 8601.", type: str, returned: success}
changes: {description: Number of changes., type: int, returned: success}
bytes: {description: Size of the changed files in bytes., type: int, returned: success}
notable:
  description: "The notable changes, at most 1000: path, layer, category and change."
  type: list
  elements: dict
  returned: success
"""
