"""yum 3 (RHEL 7) on a sealed guest: reports that packages cannot be changed, before yum resolves or downloads anything.

yum checks whether /usr is writable, takes a sealed guest for an ostree image, and proposes an option that leads to a less
helpful error (yummain.py, usr_w_check). No hook runs between a command and that check, but the hook `preresolve` runs
directly after the check, for every command that changes packages and for no other command. On a sealed guest, the plug-in
therefore disables the check and raises its error in `preresolve`.

The code is valid for Python 2.7, where os.ST_RDONLY does not exist.
"""

import os

from yum.plugins import TYPE_CORE, TYPE_INTERACTIVE, PluginYumExit

requires_api_version = "2.3"
# With both types, only the yum command loads the plug-in. yum-cron must not load it, because yum-cron does not catch
# PluginYumExit.
plugin_type = (TYPE_CORE, TYPE_INTERACTIVE)

# A bit of f_flag (statvfs(3)).
ST_RDONLY = 1


def args_hook(conduit):
    """Runs after the configuration and --setopt are read."""
    conf = conduit.getConf()
    if is_sealed(conf):
        conf.usr_w_check = False


def preresolve_hook(conduit):
    """Runs before dependencies are resolved. --assumeno writes nothing, --downloadonly writes only to /var."""
    conf = conduit.getConf()
    if is_sealed(conf) and not (conf.assumeno or getattr(conf, "downloadonly", False)):
        raise PluginYumExit(
            "Error: This guest is sealed, packages cannot be changed. "
            "To install for one session: immutafs-agent session --allow-install; "
            "to update it: immutafs-agent(8), UPDATES"
        )


def is_sealed(conf):
    """Whether yum works on this system and not on a different root, and /usr is read-only."""
    return conf.installroot == "/" and os.statvfs("/usr").f_flag & ST_RDONLY != 0
