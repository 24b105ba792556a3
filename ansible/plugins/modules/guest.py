#!/usr/bin/python3
"""The documentation of the action plugin of the same name, which does the work without Python in the guest."""

DOCUMENTATION = """
module: guest
short_description: Run a program in a guest that has no Python, with patience
description:
  - Runs one program over the guest's connection, as M(ansible.builtin.raw) does, from an array of arguments.
  - A connection that cannot be made, or breaks, is a failure of the task and not an unreachable host, so that
    C(rescue) sees it.
options:
  argv: {description: The program and its arguments., type: list, elements: str}
  ok: {description: Exit codes that are no failure., type: list, elements: int, default: [0]}
  wait: {description: Try again for so many seconds until the exit code is one of I(ok)., type: int, default: 0}
  reads: {description: Changes nothing and is run in check mode too., type: bool, default: false}
  json: {description: Parse its standard output., type: bool, default: false}
  src:
    description:
      - A file of this machine. It is copied into a new folder in the guest that only root can enter, compared with its
        checksum there, and removed afterwards. Its path is the last argument of the program. Needs I(job).
    type: path
  job:
    description:
      - A name. Run as a service, which goes on when the connection breaks. The service's name begins with this one and
        ends with a digest of the program, its arguments and I(src). Fails where another job of this name runs.
    type: str
  timeout: {description: Seconds that a I(job) may take., type: int, default: 3600}
attributes:
  check_mode: {description: Runs only what reads., support: partial}
author: immutafs-agent
"""
