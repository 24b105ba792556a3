#!/usr/bin/python3
"""Documentation of the action plugin of the same name, which works without Python in the guest."""

DOCUMENTATION = """
module: guest
short_description: Run a program in a guest without Python
description:
  - Runs one program over the connection of the guest, as M(ansible.builtin.raw) does, from an array of arguments.
  - A connection that fails or breaks is a failure of the task, not an unreachable host, so that C(rescue) catches it.
options:
  argv: {description: The program and its arguments., type: list, elements: str}
  ok: {description: Exit codes that do not count as a failure., type: list, elements: int, default: [0]}
  wait: {description: Seconds for which to retry until the exit code is one of I(ok)., type: int, default: 0}
  reads: {description: The program changes nothing and also runs in check mode., type: bool, default: false}
  json: {description: Parse its standard output., type: bool, default: false}
  src:
    description:
      - A file on the controller. It is copied into a new directory in the guest that only root can enter, compared with
        its checksum there, and removed afterwards. The path is appended to the arguments. Requires I(job).
    type: path
  job:
    description:
      - Name of a job. The program runs as a service, which continues if the connection breaks. The name of the service
        is the job and a digest of the program, its arguments and I(src). Fails if another job of this name is running.
    type: str
  timeout: {description: Time limit of a I(job), in seconds., type: int, default: 3600}
attributes:
  check_mode: {description: Runs only programs with I(reads)., support: partial}
author: immutafs-agent
"""
