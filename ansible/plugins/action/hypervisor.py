"""Runs the modules that manage guests on their hypervisor. The file meta/runtime.yml names these modules."""

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action.normal import ActionModule as NormalAction


class ActionModule(NormalAction):
    """
    Runs a module as Ansible does without an action plug-in. If the connection fails or breaks, the task fails: Ansible
    would otherwise remove the guest from the play, without `rescue` and a report, and could start the next batch.
    """

    def run(self, tmp=None, task_vars=None):
        """Runs the module and returns its result."""
        try:
            return super().run(tmp, task_vars)
        except AnsibleConnectionFailure as error:
            host = self._task.delegate_to or (task_vars or {}).get("inventory_hostname", "the host")
            return {"failed": True, "msg": "%s is unreachable: %s" % (host, error)}

    def cleanup(self, force=False):
        """Removes the temporary directory on the hypervisor. After the connection broke, the directory remains."""
        try:
            super().cleanup(force)
        except AnsibleConnectionFailure:
            # The result of the module is known.
            pass
