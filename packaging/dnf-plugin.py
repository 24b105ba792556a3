"""dnf on a sealed guest: says why it cannot work, before anything is downloaded.

rpm's lock (macros.immutafs) would stop it too. But dnf lets rpm rehearse first, without the lock, and the rehearsal
fails for want of disk space, of which a read-only file system has none.
"""

import os

import dnf


class Immutafs(dnf.Plugin):
    """The plug-in."""

    name = "immutafs"

    def resolved(self):
        """Throws once dnf knows what it would change. dnf(8): --assumeno changes nothing, --downloadonly only /var."""
        conf = self.base.conf
        harmless = conf.installroot != "/" or conf.downloadonly or conf.assumeno
        if self.base.transaction and not harmless and os.statvfs("/usr").f_flag & os.ST_RDONLY:
            raise dnf.exceptions.Error(
                "This guest is sealed, packages cannot be changed. To update it: immutafs-agent(8), UPDATES"
            )
