"""dnf on a sealed guest: reports that packages cannot be changed, before it downloads anything.

rpm's lock (macros.immutafs) also stops dnf, but too late: dnf first runs rpm's transaction test, which does not take the
lock and fails because a read-only file system has no free space.
"""

import os

import dnf


class Immutafs(dnf.Plugin):
    """The plug-in that dnf loads."""

    name = "immutafs"

    def resolved(self):
        """Raises an error when dnf has resolved changes, unless an option keeps dnf from writing to /usr (dnf(8))."""
        conf = self.base.conf
        harmless = conf.installroot != "/" or conf.downloadonly or conf.assumeno
        if self.base.transaction and not harmless and os.statvfs("/usr").f_flag & os.ST_RDONLY:
            raise dnf.exceptions.Error(
                "This guest is sealed, packages cannot be changed. "
                "To install for one session: immutafs-agent session --allow-install; "
                "to update it: immutafs-agent(8), UPDATES"
            )
