"""What the seed of a guest contains, and its image: a CD with the files of cloud-init's data source NoCloud."""

import filecmp
import hashlib
import json
import os
import shutil
import tempfile

from ansible_collections.immutafs.agent.plugins.module_utils.libvirt import LibvirtError
from ansible_collections.immutafs.agent.plugins.module_utils.record import synchronise

# The directory of the seed with the files for a guest without cloud-init (docs/images.md).
PLAIN = "immutafs"
HOST_KEY = "ssh_host_ed25519_key"

# Without this, xorriso writes the current time into the image; see SOURCE_DATE_EPOCH in xorrisofs(1).
ENVIRONMENT = {"SOURCE_DATE_EPOCH": "0"}


def contents(name, host_key, cloud_init, user_data, network_config, files):
    """
    Returns the files of a seed, by their path. `name`: the host name. `host_key`: the private and the public host key.
    `cloud_init`: whether the guest has cloud-init, which reads `user_data` and `network_config`; a guest without it reads
    `files`. JSON is YAML. Raises LibvirtError for a name in `files` that is not the name of a file.
    """
    secret, public = host_key
    meta = {"instance-id": name, "local-hostname": name}
    found = {"meta-data": json_text(meta), "user-data": ""}
    if cloud_init:
        keys = {"ssh_keys": {"ed25519_private": secret, "ed25519_public": public}}
        found["user-data"] = "#cloud-config\n" + json_text(dict(keys, **user_data))
        if network_config:
            found["network-config"] = json_text(network_config)
        return found
    plain = dict({"hostname": name + "\n", HOST_KEY: secret, HOST_KEY + ".pub": public}, **files)
    wrong = [each for each in plain if "/" in each or each.startswith(".")]
    if wrong:
        raise LibvirtError("%s is not the name of a file in the directory %s of a seed" % (wrong[0], PLAIN))
    return dict(found, **{"%s/%s" % (PLAIN, each): plain[each] for each in plain})


def json_text(value):
    """Returns a value as JSON, always the same text for the same value."""
    return json.dumps(value, indent=1, sort_keys=True) + "\n"


def checksum(found):
    """Returns the checksum of a seed as the check seed-genuine shows it (docs/images.md)."""
    top = sorted(path for path in found if "/" not in path)
    plain = sorted(path for path in found if "/" in path)
    lines = ["%s  %s\n" % (hashlib.sha256(found[path].encode()).hexdigest(), path.split("/")[-1]) for path in top + plain]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def make_image(domain, found, path, dry=False):
    """
    Replaces the image `path` if its content differs, and returns whether it did. The same files result in the same image.
    `domain`: the domain whose host runs the program. `dry`: whether to leave the image as it is. Raises LibvirtError if the
    image cannot be written; the previous image then remains.
    """
    folder = os.path.dirname(path)
    try:
        work = tempfile.mkdtemp(dir=folder, prefix=".seed-")
    except OSError as error:
        raise LibvirtError("%s cannot be written: %s" % (path, error)) from error
    try:
        tree, image = os.path.join(work, "seed"), os.path.join(work, "image")
        write_tree(tree, found)
        options = ["-quiet", "-volid", "cidata", "-joliet", "-rock", "-output", image, tree]
        domain.run("/usr/bin/xorriso", "-as", "mkisofs", *options, environment=ENVIRONMENT)
        os.chmod(image, 0o600)
        if os.path.exists(path) and filecmp.cmp(path, image, shallow=False):
            return False
        if not dry:
            synchronise(image)
            os.replace(image, path)
            synchronise(folder)
        return True
    except OSError as error:
        raise LibvirtError("%s cannot be written: %s" % (path, error)) from error
    finally:
        shutil.rmtree(work)


def write_tree(tree, found):
    """Writes the files, all with the same time."""
    for path, text in found.items():
        file = os.path.join(tree, path)
        os.makedirs(os.path.dirname(file), exist_ok=True)
        with open(file, "w", encoding="utf-8") as stream:
            stream.write(text)
    for folder, _, names in os.walk(tree, topdown=False):
        for each in [os.path.join(folder, name) for name in names] + [folder]:
            os.utime(each, (0, 0))
