#!/usr/bin/python3
"""Documents the action plugin of the same name, which does not require Python in the guest."""

DOCUMENTATION = """
module: guest
short_description: Run a program in a guest without Python
description:
  - Runs one program, given as an array of arguments, over the connection of the guest, like M(ansible.builtin.raw).
  - If the connection fails or breaks, the task fails instead of marking the host as unreachable, so that C(rescue)
    handles the failure.
options:
  argv: {description: The program and its arguments., type: list, elements: str}
  ok: {description: Exit codes that are not treated as a failure., type: list, elements: int, default: [0]}
  wait: {description: Seconds for which to retry until the exit code is one of I(ok)., type: int, default: 0}
  reads: {description: Whether the program changes nothing and also runs in check mode., type: bool, default: false}
  json: {description: Whether to parse the standard output as JSON., type: bool, default: false}
  src:
    description:
      - A file on the controller. It is copied into a new directory in the guest that only root can enter. The copy is
        verified by its checksum, and the directory is removed afterwards. The path of the copy is appended to the
        arguments. Requires I(job).
    type: path
  job:
    description:
      - Name of a job. The program runs as a service, which continues if the connection breaks. The name of the service
        consists of the name of the job and a digest of the program, its arguments and I(src). Fails if a job of this
        name with a different digest is running.
    type: str
  timeout: {description: Timeout of a I(job) in seconds., type: int, default: 3600}
attributes:
  check_mode: {description: Runs only programs with I(reads)., support: partial}
author: immutafs-agent
"""
