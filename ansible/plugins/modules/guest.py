#!/usr/bin/python3
"""Documents the action plugin of the same name, which does not require Python in the guest."""

DOCUMENTATION = r"""
---
module: guest
short_description: Run a program in a guest without Python
version_added: 0.1.0
description:
  - Runs one program, given as a list of arguments, over the connection of the guest, like M(ansible.builtin.raw).
  - If the connection fails or breaks, the task fails instead of marking the host as unreachable, so that C(rescue)
    handles the failure. It also fails if the program does not end in time, or if its output takes more than 256 MiB of
    memory on the controller.
options:
  argv:
    description: The program and its arguments.
    type: list
    elements: str
    required: true
  ok:
    description: Exit codes that are not treated as a failure.
    type: list
    elements: int
    default: [0]
  wait:
    description:
      - Seconds for which to retry until the exit code is one of O(ok). For a O(job), seconds without an answer of the
        guest after which the task fails, by default 120.
    type: int
    default: 0
  limit:
    description:
      - Seconds to wait for the end of the program, or for one answer about a O(job), even if the connection is
        established. After this time, the connection is treated as broken.
    type: int
    default: 120
  reads:
    description: Whether the program changes nothing and also runs in check mode.
    type: bool
    default: false
  json:
    description: Whether the program is C(immutafs-agent status --json), whose report is returned in RV(json).
    type: bool
    default: false
  src:
    description:
      - A file on the controller. It is copied into a new directory in the guest that only root can enter. The copy is
        verified by its checksum, and the directory is removed afterwards. The path of the copy is appended to the
        arguments. Requires O(job).
    type: path
  job:
    description:
      - Name of a job. The program runs as a service, which continues if the connection breaks. The name of the service
        consists of the name of the job and a digest of the program, its arguments and O(src). Fails if a job of this
        name with a different digest is running.
    type: str
  timeout:
    description: Timeout of a O(job) in seconds.
    type: int
    default: 3600
attributes:
  check_mode:
    description: Runs only programs with O(reads).
    support: partial
author: immutafs-agent (@immutafs-agent)
"""

EXAMPLES = r"""
---
- name: Query the status of the guest
  immutafs.agent.guest:
    argv: [immutafs-agent, status, --json]
    ok: [0, 1, 4]
    json: true
    reads: true
  register: status

- name: Install a package as a service that continues if the connection breaks
  immutafs.agent.guest:
    src: /srv/packages/immutafs-agent-0.1.0-1.x86_64.rpm
    argv: [rpm, --upgrade]
    job: install
"""

RETURN = r"""
---
rc:
  description: Exit code of the program. Null if the guest cannot be reached.
  returned: always
  type: int
stdout:
  description: Standard output. For a O(job), the last 40 lines of its log.
  returned: always
  type: str
stderr:
  description: Standard error.
  returned: if the guest can be reached
  type: str
json:
  description: The report of the agent.
  returned: if O(json) is set and the output is a report
  type: dict
seconds:
  description: Duration in seconds.
  returned: always
  type: float
"""
