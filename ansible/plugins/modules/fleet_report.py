#!/usr/bin/python3
"""Documents the action plugin of the same name, which runs on the controller."""

DOCUMENTATION = r"""
---
module: fleet_report
short_description: Write the fleet report on the controller
version_added: 0.1.0
description:
  - Writes one report about all guests as HTML, JSON or CSV. The HTML file needs no other file and no network.
  - Without O(guests), only verifies O(path), O(format) and O(mode).
options:
  path:
    description:
      - File on the controller, or a list of files, relative to the current directory. An existing file is replaced.
        The extension of a file selects its format, V(.html), V(.json) or V(.csv).
    type: raw
    required: true
  format:
    description: Format of the files if their extensions do not select it.
    type: str
    choices: [html, json, csv]
  guests:
    description: The guests, as the filter P(immutafs.agent.fleet_guest#filter) returns them.
    type: list
    elements: dict
  mode:
    description: Permissions of the files as an octal number.
    type: str
    default: '0640'
attributes:
  check_mode:
    description: Verifies the arguments and writes nothing.
    support: full
author: immutafs-agent (@immutafs-agent)
"""

EXAMPLES = r"""
---
- name: Write the fleet report as a page and as a table
  immutafs.agent.fleet_report:
    path: [fleet.html, fleet.csv]
    guests: '{{ guests }}'
  run_once: true
"""

RETURN = r"""
---
paths:
  description: Absolute paths of the files.
  returned: success
  type: list
  elements: str
  sample: [/srv/reports/fleet.html]
"""
