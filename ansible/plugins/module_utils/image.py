"""Queries the image file of a disk on the host."""

import os
from urllib.parse import urlsplit
from xml.etree import ElementTree

from ansible_collections.immutafs.agent.plugins.module_utils.domain_xml import find_disk


def written(text, target, uri):
    """
    Returns when the image file of a disk was last written, in seconds since 1970. Returns None if the disk is not a
    file, or if the file is not on this machine. QEMU does not write to the image of a read-only disk.
    """
    disk = find_disk(ElementTree.fromstring(text), target)
    source = None if disk is None else disk.find("source")
    path = None if source is None else source.get("file")
    if path is None or urlsplit(uri).netloc:
        return None
    try:
        return int(os.stat(path).st_mtime)
    except OSError:
        return None
