"""Simulates the interface of yum 3.4.3 for plug-ins: modules, conduits, configuration, the order of events.

Usage: yum-3.py PLUGIN COMMAND [OPTION=VALUE...]. Sources: yum/plugins.py (types, slots, conduits, loading), cli.py
(getOptionsConfig: configuration, --setopt, the slot args), yummain.py (usr_w_check, then buildTransaction and its slot
preresolve; exPluginExit).
"""

import importlib.util
import os
import sys
import types


class PluginYumExit(Exception):
    """Raised by a plug-in to end yum."""


class Conf:
    """The options that yum has by default."""

    installroot = "/"
    usr_w_check = True
    assumeno = False
    downloadonly = None


class Conduit:
    """The common methods of ArgsPluginConduit and DepsolvePluginConduit."""

    def __init__(self, conf):
        self._conf = conf

    def getConf(self):
        """Returns the configuration."""
        return self._conf


def load(file):
    """Imports the plug-in as yum does. Returns None if the yum command would not load it."""
    yum, plugins = types.ModuleType("yum"), types.ModuleType("yum.plugins")
    plugins.TYPE_CORE, plugins.TYPE_INTERACTIVE, plugins.PluginYumExit = 0, 1, PluginYumExit
    yum.plugins = plugins
    sys.modules.update({"yum": yum, "yum.plugins": plugins})
    spec = importlib.util.spec_from_file_location("immutafs", file)
    plugin = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(plugin)
    major, minor = plugin.requires_api_version.split(".")
    if int(major) != 2 or int(minor) > 7:
        return None
    loaded = plugin.plugin_type if isinstance(plugin.plugin_type, tuple) else (plugin.plugin_type,)
    return plugin if all(kind in (0, 1) for kind in loaded) else None


def main(file, command, *options):
    """Runs yummain.main for a command that changes packages ("update") or changes none ("list")."""
    plugin, conf = load(file), Conf()
    for option in options:
        name, value = option.split("=")
        setattr(conf, name, {"1": True, "0": False}.get(value, value))
    if hasattr(plugin, "args_hook"):
        plugin.args_hook(Conduit(conf))
    if command == "list":
        print("listed")
        return 0
    usr = (conf.installroot + "/usr").replace("//", "/")
    if conf.usr_w_check and os.path.exists(usr) and not os.access(usr, os.W_OK):
        print("No write access to %s directory" % usr)
        return 1
    try:
        if hasattr(plugin, "preresolve_hook"):
            plugin.preresolve_hook(Conduit(conf))
    except PluginYumExit as error:
        print(str(error))
        return 1
    print("Resolving Dependencies")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
