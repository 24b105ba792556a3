"""Queries domains by libvirt's Python binding, which needs a tenth of the processor time of virsh.

For services of a host, which query domains often. The rules about domains are those of the modules, because the class has
the methods of Domain that they call.
"""

import json

import libvirt
import libvirt_qemu

from ansible_collections.immutafs.agent.plugins.module_utils.libvirt import Domain, LibvirtError

# The states of a domain that runs, as virsh domstate --reason prints them (virDomainRunningReason).
REASONS = {
    libvirt.VIR_DOMAIN_RUNNING_BOOTED: "booted",
    libvirt.VIR_DOMAIN_RUNNING_MIGRATED: "migrated",
    libvirt.VIR_DOMAIN_RUNNING_RESTORED: "restored",
    libvirt.VIR_DOMAIN_RUNNING_FROM_SNAPSHOT: "from snapshot",
    libvirt.VIR_DOMAIN_RUNNING_UNPAUSED: "unpaused",
    libvirt.VIR_DOMAIN_RUNNING_MIGRATION_CANCELED: "migration canceled",
    libvirt.VIR_DOMAIN_RUNNING_SAVE_CANCELED: "save canceled",
    libvirt.VIR_DOMAIN_RUNNING_WAKEUP: "event wakeup",
}


def connect(uri):
    """Connects to libvirt. Raises LibvirtError."""
    # The binding would print each error to stderr.
    libvirt.registerErrorHandler(lambda context, error: None, None)
    try:
        return libvirt.open(uri)
    except libvirt.libvirtError as error:
        raise LibvirtError("libvirt cannot be reached: %s" % error) from error


def raising(method):
    """Makes a method raise LibvirtError if libvirt does not answer."""

    def call(*args, **named):
        try:
            return method(*args, **named)
        except libvirt.libvirtError as error:
            raise LibvirtError("libvirt: %s" % error) from error

    return call


@raising
def running_xml(uri):
    """Returns the XML of each running domain. Raises LibvirtError."""
    connection = connect(uri)
    try:
        return [domain.XMLDesc(0) for domain in connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)]
    finally:
        connection.close()


# The first version that recreates the variable store at a start (VIR_DOMAIN_START_RESET_NVRAM): 8.1.0.
RESETS_NVRAM = 8001000


class BoundDomain(Domain):
    """A domain with a UUID. `programs`: a Programs with this UUID as `domain`."""

    @raising
    def __init__(self, programs, connection):
        super().__init__(programs)
        self.uuid = self.name
        self.connection = connection
        self.bound = connection.lookupByUUIDString(self.name)

    @raising
    def state(self):
        state, reason = self.bound.state()
        if state != libvirt.VIR_DOMAIN_RUNNING:
            return "not running", ""
        return "running", REASONS.get(reason, "reason %d" % reason)

    @raising
    def xml(self, inactive):
        return self.bound.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE if inactive else 0)

    @raising
    def dump_every_xml(self):
        found = []
        for domain in self.connection.listAllDomains():
            if domain.isPersistent():
                found.append(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
            if domain.isActive():
                found.append(domain.XMLDesc(0))
        return found

    @raising
    def autostarts(self):
        return self.bound.autostart() != 0

    @raising
    def resets_nvram(self):
        return self.connection.getLibVersion() >= RESETS_NVRAM

    @raising
    def monitor(self, command):
        """Returns the answer of the QEMU monitor to a command without arguments."""
        return json.loads(libvirt_qemu.qemuMonitorCommand(self.bound, json.dumps({"execute": command}), 0))["return"]
