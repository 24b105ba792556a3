"""Makes the entry of a guest in the fleet report."""

from ansible_collections.immutafs.agent.plugins.plugin_utils.fleet.document import guest_entry


class FilterModule:
    """The filters of this file."""

    def filters(self):
        """Maps the name of each filter to its function."""
        return {"fleet_guest": guest_entry}
