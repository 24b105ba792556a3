"""Python runs this file at its start, if this directory is in PYTHONPATH (the documentation of the module site).

Ansible sends each module as an archive with the sources of ansible.module_utils, which Python compiles at each call. Here,
they are imported from Debian's package, which has the same files and their bytecode: a module call on the hypervisor then
needs 0.17 s of processor time instead of 0.27 s. The modules of the collection still come from the archive.
"""

import sys
from importlib.machinery import PathFinder


class InstalledAnsible:
    @staticmethod
    def find_spec(name, path=None, target=None):
        parents = name.split(".")[:-1]
        is_ansible = name == "ansible" or parents[:1] == ["ansible"]
        return PathFinder.find_spec(name, ["/".join(["/usr/lib/python3/dist-packages", *parents])]) if is_ansible else None


sys.meta_path.insert(0, InstalledAnsible)
