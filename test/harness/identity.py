"""A host with one domain, of which every part can be changed, and a guest that speaks the protocol. See identity-host.test.ts."""

import datetime
import fcntl
import json
import os
import struct
import subprocess
import sys
import types
from xml.etree import ElementTree

# The rules are tested without libvirt; the tests in guests use its binding.
binding = types.ModuleType("ansible_collections.immutafs.agent.plugins.module_utils.binding")
binding.BoundDomain = binding.connect = binding.running_xml = None
sys.modules[binding.__name__] = binding

import ansible_collections.immutafs.agent.plugins.module_utils.receipt as receipts  # noqa: E402
from ansible_collections.immutafs.agent.plugins.module_utils import credentials, examination, image  # noqa: E402
from ansible_collections.immutafs.agent.plugins.module_utils.image import identity_of  # noqa: E402
from ansible_collections.immutafs.agent.plugins.module_utils.libvirt import Domain  # noqa: E402
from cryptography import x509  # noqa: E402
from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec, utils  # noqa: E402
from cryptography.x509.oid import NameOID  # noqa: E402

for path in sys.path:
    files = os.path.join(path, "ansible_collections/immutafs/agent/roles/identity/files")
    if os.path.isdir(files):
        sys.path.insert(1, files)
        break

UUID = "0b6c71de-0000-4000-8000-000000000001"
OTHER = "0b6c71de-0000-4000-8000-000000000002"
NOW = 1790000000


def xml_of(folder, name="web1", uuid=UUID, image="base.qcow2", readonly=True, more="", socket="web1", os_more="", top=""):
    """Returns the XML of a domain."""
    return """<domain id='1' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'><name>%s</name><uuid>%s</uuid>
<os><type>hvm</type>%s</os><devices>
<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='%s/%s'/>
<target dev='vda' bus='virtio'/>%s<serial>a</serial><boot order='1'/><alias name='virtio-disk0'/></disk>
<channel type='unix'><source mode='bind' path='%s'/><target type='virtio' name='org.immutafs.identity'/></channel>
%s</devices>%s</domain>""" % (
        *(name, uuid, os_more, folder, image, "<readonly/>" if readonly else "", os.path.join(folder, socket), more, top),
    )


class Fake(Domain):
    """The domain as libvirt and QEMU report it."""

    def __init__(self, folder):
        run = lambda argv, environ_update: (  # noqa: E731
            lambda ran: (ran.returncode, ran.stdout.decode(), ran.stderr.decode())
        )(subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
        super().__init__(types.SimpleNamespace(params={"uri": "qemu:///system", "domain": UUID, "target": None}, run_command=run))
        self.folder, self.said, self.others, self.migration = folder, ("running", "booted"), [], {}
        self.starts_itself, self.can_reset = False, True
        self.text = xml_of(folder)
        base, data = os.path.join(folder, "base.qcow2"), os.path.join(folder, "data.raw")
        self.nodes = [
            {"drv": "qcow2", "ro": True, "file": base},
            {"drv": "file", "ro": False, "file": base},
            {"drv": "raw", "ro": False, "file": data},
        ]
        self.blocks = [
            {"qdev": "/machine/peripheral/virtio-disk0/virtio-backend", "inserted": {"ro": True, "image": {"filename": base, "format": "raw"}}}
        ]

    def state(self):
        return self.said

    def xml(self, inactive):
        return self.text

    def every_xml(self):
        return [self.text, self.text] + self.others

    def autostarts(self):
        return self.starts_itself

    def resets_nvram(self):
        return self.can_reset

    def monitor(self, command):
        return {"query-block": self.blocks, "query-named-block-nodes": self.nodes, "query-migrate": self.migration}[command]


class Host:
    """A folder with an image, its receipt, and a domain."""

    def __init__(self, folder):
        self.folder = folder
        for name in ("base.qcow2", "other.qcow2"):
            create("-f", "qcow2", os.path.join(folder, name), "1M")
        create("-f", "raw", os.path.join(folder, "data.raw"), "1M")
        self.domain = Fake(folder)
        self.settings = {"directory": folder, "withdrawn": [], "disks": {}}
        self.socket = os.path.join(folder, "web1")
        self.receipt = {}
        self.record()

    def record(self, **changes):
        """Writes a receipt of the image that the domain has now."""
        chunk = "0" * 64
        disk = {"chunk": receipts.CHUNK, "size": 2**20, "chunks": [chunk], "sha256": receipts.hash_of([chunk])}
        self.domain.target = "vda"
        self.receipt = {
            **{"version": receipts.VERSION, "domain": "web1", "target": "vda", "time": "2026-11-26T15:00:00Z"},
            **{"image": identity_of(self.domain, self.domain.text), "disk": disk, **changes},
        }
        os.makedirs(os.path.join(self.folder, "web1.d"), exist_ok=True)
        with open(os.path.join(self.folder, "web1.d/receipt.json"), "w") as file:
            json.dump(self.receipt, file)

    def examine(self):
        """Returns the facts, or the reason of the refusal."""
        try:
            return examination.examine(self.domain, self.socket, self.settings)
        except examination.Refusal as refusal:
            return ": ".join([str(refusal)] + ([refusal.detail] if refusal.detail else []))


class Verity:
    """Answers FS_IOC_MEASURE_VERITY, because the kernel of the tests may have no fs-verity. `digests` maps paths to answers."""

    def __init__(self):
        self.digests = {}

    def ioctl(self, descriptor, request, answer):
        assert request == 0xC0046686 and len(answer) == 68 and struct.unpack_from("=HH", answer) == (0, 64)
        found = self.digests.get(os.readlink("/proc/self/fd/%d" % descriptor))
        if found is None:
            return fcntl.ioctl(descriptor, request, answer)
        if isinstance(found, int):
            raise OSError(found, os.strerror(found))
        algorithm, digest = found
        answer[: 4 + len(digest)] = struct.pack("=HH", algorithm, len(digest)) + digest
        return 0


image.fcntl = verity = Verity()
examination.record.folder_of = lambda directory, name: os.path.join(directory, name + ".d")


def create(*arguments):
    subprocess.run(["/usr/bin/qemu-img", "create", "-q", *arguments], check=True)


def seed_at(folder, name, label=b"cidata", joliet=None):
    """Makes an image with the descriptors of a CD. `joliet`: the label in the extension for Unicode names."""
    path, supplementary = os.path.join(folder, name), b""
    if joliet is not None:
        supplementary = b"\x02CD001\x01".ljust(40, b"\0") + joliet.encode("utf-16-be").ljust(48, b"\0") + b"%/E"
    with open(path, "wb") as file:
        file.write(bytes(32768) + (b"\x01CD001\x01".ljust(40, b"\0") + label.ljust(32)).ljust(2048, b"\0"))
        file.write(supplementary.ljust(2048, b"\0") + b"\xffCD001\x01")
    return path


def vfat_at(folder, name, label="CIDATA", options=(), mib=2):
    """Makes an image with the file system vfat."""
    path = os.path.join(folder, name)
    with open(path, "wb") as file:
        file.truncate(mib * 2**20)
    subprocess.run(["/usr/sbin/mkfs.vfat", "-n", label, *options, path], check=True, stdout=subprocess.DEVNULL)
    return path


def partitioned(path, kind, more=""):
    """Moves the content of an image into a partition at 1 MiB. `kind`: dos or gpt. `more`: lines for sfdisk(8) after the partition."""
    with open(path, "rb") as file:
        content = file.read()
    with open(path, "wb") as file:
        file.seek(2**20)
        file.write(content)
        file.truncate(2**20 * 2 + len(content))
    script = "label: %s\nstart=2048, size=%d\n%s" % (kind, len(content) // 512, more)
    subprocess.run(["/usr/sbin/sfdisk", "-q", path], input=script.encode(), check=True)
    return path


def overwrite(path, at, data):
    """Writes bytes into an image, and returns its path."""
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(data)
    return path


def drive(path, target="vdb", kind="file", form="raw", more="", readonly=True):
    """Returns the XML of a virtio disk."""
    text = "<disk type='%s' device='disk'><driver type='%s'/><source %s='%s'>%s</source><target dev='%s' bus='virtio'/>"
    text += "%s<serial>%s</serial><alias name='%s-alias'/></disk>"
    source = "file" if kind == "file" else "dev"
    return text % (kind, form, source, path, more, target, "<readonly/>" if readonly else "", target, target)


def cd(path, target="sda", readonly=True):
    """Returns the XML of a CD-ROM drive, or of a disk that is writable."""
    kind = "cdrom" if readonly else "disk"
    text = "<disk type='file' device='%s'><driver type='raw'/><source file='%s'/><target dev='%s' bus='sata'/>"
    text += "%s<serial>%s</serial><alias name='%s-alias'/></disk>"
    return text % (kind, path, target, "<readonly/>" if readonly else "", target, target)


def block(target, readonly=True):
    """Returns what query-block reports for a drive of `cd`."""
    return {"qdev": target + "-alias", "inserted": {"ro": readonly, "image": {"filename": "x", "format": "raw"}}}


# --- Keys and certificates -------------------------------------------------------------------------------------


def new_key():
    return ec.generate_private_key(ec.SECP256R1())


def pem(key):
    kind = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, kind, serialization.NoEncryption())


def file_key(key):
    """Returns a key as that of a host."""
    return credentials.FileKey(pem(key))


def ssh_authority(folder, name="ssh_ca", kind="ed25519"):
    """Makes a key that signs SSH certificates. Returns its path."""
    path = os.path.join(folder, name)
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", path], check=True, stdin=subprocess.DEVNULL)
    return path


def point_of(key):
    form = serialization.PublicFormat.UncompressedPoint
    return key.public_key().public_bytes(serialization.Encoding.X962, form)


def authority(key, name="host", issuer=None, issuer_key=None, domain="example.org", ca=True, begin=NOW - 1000, days=30):
    """Returns a certificate."""
    at = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=begin)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier("spiffe://" + domain)])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(at)
        .not_valid_after(at + datetime.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(names, critical=False)
        .sign(issuer_key or key, hashes.SHA256())
    )


def in_pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM)


def prove(key, challenge, nonce, verifier=b"", point=None):
    """Returns the proof of a guest."""
    signed = credentials.PROOF + challenge + nonce + verifier + (point or point_of(key))
    numbers = utils.decode_dss_signature(key.sign(signed, ec.ECDSA(hashes.SHA256())))
    return b"".join(number.to_bytes(32, "big") for number in numbers)


def parsed(text):
    """Returns an XML element."""
    return ElementTree.fromstring(text)
