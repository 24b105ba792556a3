"""Files about a domain on its host, in a folder that only root can enter."""

import json
import os
import tempfile

from ansible_collections.immutafs.agent.plugins.module_utils.libvirt import LibvirtError

# The name of the file with the phase of a snapshot or of a rollback, and its reason.
ROLLBACK = "rollback.json"


def folder_of(directory, domain):
    """Returns the folder of a domain. Raises LibvirtError if the name of the domain is not the name of a folder."""
    if not domain or "/" in domain or domain.startswith("."):
        raise LibvirtError("the domain name '%s' cannot be the name of a directory" % domain)
    return os.path.join(directory, domain)


def read(path):
    """Returns the JSON object in a file, or None if the file does not exist. Raises LibvirtError if it is damaged."""
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise LibvirtError("%s cannot be read: %s" % (path, error)) from error
    if not isinstance(found, dict):
        raise LibvirtError("%s cannot be read: it is not a JSON object" % path)
    return found


def write(path, text):
    """Replaces a file atomically, and creates its folder. The file survives a crash of the host once this returns."""
    folder = os.path.dirname(path)
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        descriptor, unfinished = tempfile.mkstemp(dir=folder, prefix=".new-")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(unfinished, path)
        except BaseException:
            os.unlink(unfinished)
            raise
        synchronise(folder)
    except OSError as error:
        raise LibvirtError("%s cannot be written: %s" % (path, error)) from error


def move(path, to):
    """Renames a file within its folder, replacing `to`. Returns False if the file does not exist."""
    try:
        os.replace(path, to)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise LibvirtError("%s cannot be renamed: %s" % (path, error)) from error
    synchronise(os.path.dirname(path))
    return True


def remove(path):
    """Removes a file if it exists. Returns whether it existed."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise LibvirtError("%s cannot be removed: %s" % (path, error)) from error
    synchronise(os.path.dirname(path))
    return True


def synchronise(path):
    """Stores the content of a file, or the entries of a folder, on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
