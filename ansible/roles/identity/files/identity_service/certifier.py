"""Certifies a guest after an examination of its domain."""

import os
import threading
import time
from xml.etree import ElementTree

from ansible_collections.immutafs.agent.plugins.module_utils.binding import (
    BoundDomain,
    connect,
    running_xml,
)
from ansible_collections.immutafs.agent.plugins.module_utils.credentials import CredentialError
from ansible_collections.immutafs.agent.plugins.module_utils.examination import Refusal, channels_of, examine
from ansible_collections.immutafs.agent.plugins.module_utils.libvirt import LibvirtError
from ansible_collections.immutafs.agent.plugins.module_utils.programs import Programs

from identity_service.conversation import KeyOwners

# Seconds for the programs that one examination runs.
EXAMINATION = 20
# Seconds by which the clock may be set back, as an NTP client does in small steps.
BACK = 30


class Clock:
    """
    Refuses while the clock of the host is before a time at which a certificate was issued. The time is that of a file, so it
    survives a restart of the service, and needs no space on a full disk.
    """

    def __init__(self, path):
        self.path = path
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            self.last = os.fstat(descriptor).st_mtime
        finally:
            os.close(descriptor)

    def now(self):
        """Returns the time, and records it. Raises Refusal."""
        now = time.time()
        if now < self.last - BACK:
            text = "the clock of the host was set back by %d s: set it, or remove %s if it was wrong before"
            raise Refusal(text % (self.last - now, self.path))
        self.last = max(now, self.last)
        os.utime(self.path, (self.last, self.last))
        return now


class Certifier:
    """`settings`: see examine, with `uri`; `issuer`: see credentials; `log(uuid, text)` writes to the journal."""

    def __init__(self, settings, issuer, clock, log):
        self.settings, self.issuer, self.clock, self.log = settings, issuer, clock, log
        self.keys, self.lock = KeyOwners(), threading.Lock()

    def sockets(self):
        """Maps the paths of the sockets of running domains to UUIDs; empty if libvirt does not answer."""
        found = {}
        try:
            for text in running_xml(self.settings["uri"]):
                root = ElementTree.fromstring(text)
                # Two domains with one socket: examine refuses both.
                found.update(dict.fromkeys(channels_of(root), root.findtext("uuid")))
        except LibvirtError as error:
            self.log(None, str(error))
        return found

    def certify(self, uuid, path, point, nonces, host_key):
        """See Conversation."""
        points = [point] if host_key is None else [point, host_key]
        try:
            facts = self.examine(uuid, path)
            with self.lock:
                self.keys.refuse_other(points, uuid)
                issued = self.issuer.issue(facts, point, nonces, self.clock.now(), host_key)
                self.keys.add(points, uuid)
        except Refusal as refusal:
            if refusal.detail is not None:
                self.log(uuid, refusal.detail)
            raise
        except (LibvirtError, CredentialError, OSError) as error:
            # The guest does not receive the paths and the names of other domains that these messages may contain.
            self.log(uuid, "cannot be examined: %s" % error)
            raise Refusal("the host could not examine the domain; its journal has the reason") from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            self.log(uuid, "cannot be examined: unexpected answer of libvirt or QEMU: %r" % error)
            raise Refusal("the host could not examine the domain; its journal has the reason") from error
        self.log(uuid, "certified %s, image %s" % (facts["name"], facts["sha256"]))
        if host_key is not None and "ssh_certificate" not in issued:
            self.log(uuid, "no SSH certificate: the name of the domain cannot be a DNS name")
        return issued

    def examine(self, uuid, path):
        """Returns the facts of a domain, by a connection of its own, which libvirt may have ended since the last request."""
        connection = connect(self.settings["uri"])
        try:
            programs = Programs({"uri": self.settings["uri"], "domain": uuid, "target": None}, EXAMINATION)
            return examine(BoundDomain(programs, connection), path, self.settings)
        finally:
            connection.close()
