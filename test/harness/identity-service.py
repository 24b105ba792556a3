"""Runs immutafs-identity with a fake of libvirt and QEMU, for the tests of faults.

Usage: identity-service.py FOLDER [STEP]. FOLDER contains a Host (see identity) and identity.json. At STEP, the service prints
"paused", and waits until it is killed, or until FOLDER/go exists. While FOLDER/no-libvirt exists, libvirt does not answer; while
FOLDER/open exists, the system disk is writable. If FOLDER/life exists, it has the life of a certificate in seconds.
"""

import os
import runpy
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from identity import Fake, binding, credentials, xml_of  # noqa: E402

from ansible_collections.immutafs.agent.plugins.module_utils.libvirt import LibvirtError  # noqa: E402

folder, step = sys.argv[1], (sys.argv + [""])[2]


class Connection:
    def __init__(self, uri):
        if os.path.exists(folder + "/no-libvirt"):
            raise LibvirtError("libvirt cannot be reached")

    def close(self):
        pass


binding.connect = Connection
binding.running_xml = lambda uri: Connection(uri) and [xml_of(folder)]


def domain_of(programs, connection):
    domain = Fake(folder)
    if os.path.exists(folder + "/open"):
        domain.text = xml_of(folder, readonly=False)
        domain.blocks[0]["inserted"]["ro"] = domain.nodes[0]["ro"] = False
    return domain


binding.BoundDomain = domain_of

from identity_service import certifier, channels  # noqa: E402


def pause():
    print("paused", flush=True)
    while not os.path.exists(folder + "/go"):
        time.sleep(0.05)


def pausing(owner, name, before=pause, after=None):
    """Makes a function pause before or after it has done its work."""
    real = getattr(owner, name)

    def call(*given):
        if before is not None:
            before()
        result = real(*given)
        if after is not None:
            after()
        return result

    setattr(owner, name, call)


def write_half(channel_set, channel):
    """Writes a part of an answer with a certificate, and pauses."""
    if b'"identity"' in channel.outgoing:
        channel.socket.send(channel.outgoing[:1000])
        pause()
    return write(channel_set, channel)


def shorten(path):
    """Makes certificates valid for the seconds in a file."""
    with open(path) as file:
        life = int(file.read())
    real = credentials.Issuer.verify
    credentials.Issuer.verify = lambda issuer: setattr(issuer, "lifetime", life) or real(issuer)


channels.SEARCH, channels.RETRY = 0.05, 0.5
if os.path.exists(folder + "/life"):
    shorten(folder + "/life")
write = channels.Channels.write
if step == "examine":
    pausing(certifier, "examine")
elif step == "examined":
    pausing(certifier, "examine", None, pause)
elif step == "clock":
    pausing(certifier.Clock, "now")
elif step == "sign":
    pausing(credentials.Issuer, "sign_certificate")
elif step == "signed":
    pausing(credentials.Issuer, "issue", None, pause)
elif step == "answer":
    channels.Channels.write = write_half

program = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(certifier.__file__))), "immutafs-identity")
sys.argv = [program, folder + "/identity.json"]
runpy.run_path(program, run_name="__main__")
