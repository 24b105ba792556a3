"""Replaces a file atomically in a folder that another user may own."""

import os
import secrets


def write_atomically(path, text):
    """
    Writes a file with mode 0644. The new file replaces the old one only when it is complete. Raises OSError if the path
    is not absolute, if it contains a symbolic link, which a user other than root may have created, or if the file
    cannot be written; the old file is then unchanged.
    """
    folder, name = os.path.split(path)
    if not os.path.isabs(path) or os.path.normpath(path) != path:
        raise OSError("%s is not an absolute path without . and .." % path)
    directory = open_folder(folder)
    # Prometheus's node_exporter reads only names that end in .prom.
    temporary = ".%s.%s" % (name, secrets.token_hex(8))
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(temporary, flags, 0o600, dir_fd=directory)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fchmod(file.fileno(), 0o644)
                os.fsync(file.fileno())
            os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
        except BaseException:
            os.unlink(temporary, dir_fd=directory)
            raise
    finally:
        os.close(directory)


def open_folder(folder):
    """Opens a folder component by component, without following symbolic links."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    directory = os.open("/", flags)
    for part in [part for part in folder.split("/") if part]:
        try:
            inner = os.open(part, flags, dir_fd=directory)
        except OSError as error:
            message = "%s: %s is missing or not a directory; use a path without symbolic links (%s)"
            raise OSError(message % (folder, part, error))
        finally:
            os.close(directory)
        directory = inner
    return directory
