import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runPython } from '../../harness/collection.ts';
import { inRoot } from '../../../packaging/build/paths.ts';
import { inTemporaryDirectory } from '../../harness/temporary.ts';

/**
 * Tests which domains the host certifies (ansible/plugins/module_utils/examination.py): one that is sealed, and the same
 * domain with one change each. The images, their writers and the receipt are files; libvirt and QEMU are answers of a fake.
 */
const identity = suite('what the host examines before it certifies a guest');

const program = `import json, os, sys
given = json.load(sys.stdin)
sys.path.insert(0, given["harness"])
from identity import *
found = []
for number, change in enumerate(given["changes"]):
    folder = os.path.join(given["folder"], str(number))
    os.mkdir(folder)
    host = Host(folder)
    namesake = xml_of(folder, name="Web1", uuid=OTHER, image="other.qcow2", socket="web2")
    names = dict(globals(), host=host, domain=host.domain, folder=folder, namesake=namesake)
    exec(change, names)
    found.append(host.examine())
    names.clear()
print(json.dumps(found))`;

/** Changes of the domain, which are Python. Their results come from one process. */
const changes: string[] = [];
let results: unknown[] | undefined;

/** Adds a change. @returns a function that returns the facts of the domain after the change, or the reason of the refusal */
function examined(change: string): () => unknown {
  const index = changes.push(change) - 1;
  return () => {
    results ??= inTemporaryDirectory(
      (folder) =>
        runPython(program, {
          harness: path.join(inRoot('test'), 'harness'),
          folder,
          changes,
        }) as unknown[],
    );
    return results[index];
  };
}

interface Facts {
  uuid: string;
  seed: string | null;
}

const uuid = '0b6c71de-0000-4000-8000-000000000001';

const sealed = examined('');
identity('a sealed guest', () => {
  const { sha256: found, ...facts } = sealed() as Record<string, unknown>;
  assert.match(String(found), /^[0-9a-f]{64}$/);
  assert.equal(facts, {
    ...{ name: 'web1', uuid, target: 'vda', firmware: 'bios', seed: null, image: null },
    sealed_at: '2026-11-26T15:00:00Z',
  });
});

const withBackingFile = examined(`
create("-f", "qcow2", "-b", folder + "/base.qcow2", "-F", "qcow2", folder + "/top.qcow2")
domain.text = xml_of(folder, image="top.qcow2")
domain.nodes += [{"drv": "file", "ro": True, "file": folder + "/top.qcow2"}]
domain.blocks[0]["inserted"]["image"] = {"filename": folder + "/top.qcow2", "format": "qcow2", "backing-image": {"filename": folder + "/base.qcow2", "format": "qcow2"}}
host.record()`);
identity('an image with a backing file, with a receipt of both', () =>
  assert.is((withBackingFile() as { uuid: string }).uuid, uuid),
);

const withSeed = examined(`
path = seed_at(folder, "seed.iso")
domain.text = xml_of(folder, more=cd(path) + cd(seed_at(folder, "tools.iso", b"tools"), "sdb"))
domain.blocks += [block("sda"), block("sdb")]
with open(folder + "/base.qcow2.json", "w") as file:
    json.dump({"name": "web", "image": "7"}, file)`);
identity('a seed, and the name and version of the image', () => {
  const facts = withSeed() as Record<string, unknown>;
  assert.match(String(facts['seed']), /^[0-9a-f]{64}$/);
  assert.equal(facts['image'], { name: 'web', version: '7' });
});

/** Changes the domain to one with further disks. @param drives Python that returns their XML @param targets of those that are read-only */
const withDrives = (drives: string, targets: readonly string[], writable: readonly string[] = []) => `
domain.text = xml_of(folder, more=${drives})
domain.blocks += [block(each) for each in ${JSON.stringify(targets)}] + [block(each, False) for each in ${JSON.stringify(writable)}]`;

const vfat = "vfat_at(folder, 'seed.img')";
const seeds: [title: string, change: string][] = [
  ['a vfat seed', withDrives(`cd(${vfat})`, ['sda'])],
  [
    'a vfat seed with the label in lower case',
    withDrives("drive(vfat_at(folder, 'seed.img', 'cidata'))", ['vdb']),
  ],
  [
    'a vfat seed with FAT16',
    withDrives("drive(vfat_at(folder, 'seed.img', options=['-F', '16'], mib=16))", ['vdb']),
  ],
  [
    'a vfat seed with FAT32',
    withDrives("drive(vfat_at(folder, 'seed.img', options=['-F', '32'], mib=8))", ['vdb']),
  ],
  [
    'a vfat seed with the label in the root directory alone',
    withDrives(`drive(overwrite(${vfat}, 43, b'NO NAME    '))`, ['vdb']),
  ],
  ['a vfat seed on a block device', withDrives(`drive(${vfat}, kind='block')`, ['vdb'])],
  ['a vfat seed in a partition', withDrives(`drive(partitioned(${vfat}, 'dos'))`, ['vdb'])],
  ['a vfat seed in a partition of a GPT', withDrives(`drive(partitioned(${vfat}, 'gpt'))`, ['vdb'])],
  [
    'a CD with the label in both character sets',
    withDrives("cd(seed_at(folder, 'a.iso', b'CIDATA', 'cidata'))", ['sda']),
  ],
];
for (const [title, change] of seeds) {
  const facts = examined(`${change}
import hashlib
def examine(real=host.examine, path=folder + ("/a.iso" if "a.iso" in domain.text else "/seed.img")):
    facts = real()
    with open(path, "rb") as file:
        return facts if isinstance(facts, str) else dict(facts, expected=hashlib.sha256(file.read()).hexdigest())
host.examine = examine`);
  identity(title, () => {
    const { seed, expected } = facts() as Facts & { expected: string };
    assert.match(String(seed), /^[0-9a-f]{64}$/);
    assert.is(seed, expected);
  });
}

const withoutSeed: [title: string, change: string][] = [
  ['vfat with another label', withDrives("drive(vfat_at(folder, 'a.img', 'TOOLS'))", ['vdb'])],
  ['vfat whose label differs in case', withDrives("drive(vfat_at(folder, 'a.img', 'Cidata'))", ['vdb'])],
  ['a CD whose label differs in case', withDrives("cd(seed_at(folder, 'a.iso', b'Cidata'))", ['sda'])],
  ['ext4', withDrives("drive(overwrite(folder + '/data.raw', 1080, b'\\x53\\xef'))", ['vdb'])],
  ['an empty disk', withDrives("drive(folder + '/data.raw')", ['vdb'])],
  [
    'a writable disk with unknown content, or that the host cannot read',
    withDrives(
      `drive(overwrite(folder + '/data.raw', 536, b'LVM2 001'), readonly=False) + drive(folder + '/absent', 'vdc', 'block', readonly=False)`,
      [],
      ['vdb', 'vdc'],
    ),
  ],
];
for (const [title, change] of withoutSeed) {
  const facts = examined(change);
  identity(`no seed: ${title}`, () => assert.is((facts() as Facts).seed, null));
}

function certified(title: string, change: string): void {
  const facts = examined(change);
  identity(title, () => assert.is((facts() as { uuid: string }).uuid, uuid));
}

for (const reason of ['unpaused', 'migration canceled', 'save canceled', 'event wakeup'])
  certified(`a guest that runs since it was ${reason}`, `domain.said = ("running", "${reason}")`);

certified(
  'the network of <qemu:commandline>, and a memory snapshot of the guest itself',
  `
arguments = ["-netdev", "user,id=a", "-device", "virtio-net-pci,netdev=a"]
domain.text = xml_of(folder, top="<qemu:commandline>%s</qemu:commandline>" % "".join("<qemu:arg value='%s'/>" % each for each in arguments))
domain.migration = {"status": "completed", "ram": {"total": 1}}`,
);

certified(
  'a raw image, for which QEMU has no format driver',
  `
domain.nodes[:2] = [{"drv": "file", "ro": True, "file": folder + "/base.qcow2"}]
domain.blocks[0]["inserted"]["image"]["format"] = "file"`,
);

certified(
  'another domain whose name differs only in case, without the channel',
  'domain.others = [namesake.replace("org.immutafs.identity", "org.qemu.guest_agent.0")]',
);

const withVerity = `
base = folder + "/base.qcow2"
verity.digests[base] = (1, bytes(range(32)))
host.record()
`;

certified(
  'an image with a digest of fs-verity, which has another time and inode now',
  `${withVerity}
os.rename(base, base + ".old"); create("-f", "qcow2", base, "1M"); os.utime(base, (1, 1))`,
);

const write = `domain.text = xml_of(folder, %s)`;
const withXml = (more: string) => write.replace('%s', more);

const uefi = withXml(
  `os_more="<loader type='pflash' readonly='yes'>/OVMF.fd</loader><nvram>/a</nvram>", top="<on_reboot>destroy</on_reboot>"`,
);

const withUefi = examined(uefi);
identity('UEFI variables that are recreated at each start', () =>
  assert.is((withUefi() as { firmware: string }).firmware, 'uefi'),
);

certified(
  'BIOS, which libvirt starts automatically, without --reset-nvram',
  'domain.starts_itself, domain.can_reset = True, False',
);

const forgeries: [title: string, change: string, reason: RegExp][] = [
  [
    'the system disk is writable (maintenance, rehearsal)',
    withXml('readonly=False'),
    /^the system disk vda is writable/,
  ],
  [
    'the system disk is writable in QEMU alone',
    'domain.blocks[0]["inserted"]["ro"] = False',
    /^the system disk vda is writable/,
  ],
  ['QEMU does not report the system disk', 'domain.blocks = []', /^the system disk vda is writable/],
  [
    'the image is writable in QEMU',
    'domain.nodes[0]["ro"] = False',
    /^QEMU can write a file of the image of vda: .*\/base\.qcow2$/,
  ],
  [
    'another node of QEMU can write the image, by a hard link',
    'import os; os.link(folder + "/base.qcow2", folder + "/link"); domain.nodes += [{"drv": "raw", "ro": False, "file": folder + "/link"}]',
    /^QEMU can write a file of the image of vda: .*\/link$/,
  ],
  ['QEMU does not report the image file', 'del domain.nodes[:2]', /^QEMU does not report every file of vda/],
  [
    'a writable backing file',
    `create("-f", "qcow2", "-b", folder + "/base.qcow2", "-F", "qcow2", folder + "/top.qcow2")
domain.text = xml_of(folder, image="top.qcow2")
domain.nodes = [{"drv": "qcow2", "ro": each != "base", "file": folder + "/%s.qcow2" % each} for each in ("top", "base")]
domain.blocks[0]["inserted"]["image"] = {"filename": folder + "/top.qcow2", "format": "qcow2", "backing-image": {"filename": folder + "/base.qcow2", "format": "qcow2"}}
host.record()`,
    /^QEMU can write a file of the image of vda: .*\/base\.qcow2$/,
  ],
  [
    'the overlay of a snapshot above the image',
    `create("-f", "qcow2", "-b", folder + "/base.qcow2", "-F", "qcow2", folder + "/top.qcow2")
domain.text = xml_of(folder, image="top.qcow2")
domain.nodes += [{"drv": "file", "ro": True, "file": folder + "/top.qcow2"}]
domain.blocks[0]["inserted"]["image"] = {"filename": folder + "/top.qcow2", "format": "qcow2", "backing-image": {"filename": folder + "/base.qcow2", "format": "qcow2"}}`,
    /^the receipt is not of the image that vda has now/,
  ],
  [
    'an image of a format that has further files',
    'domain.blocks[0]["inserted"]["image"]["format"] = "vmdk"',
    /^the image of vda has the format vmdk: use raw or qcow2/,
  ],
  [
    'an image whose data are in a further file',
    'domain.blocks[0]["inserted"]["image"]["format-specific"] = {"type": "qcow2", "data": {"compat": "1.1", "data-file-raw": False}}',
    /^the image of vda has an external data file/,
  ],
  [
    'QEMU uses another file than libvirt reports',
    'domain.blocks[0]["inserted"]["image"]["filename"] = folder + "/other.qcow2"',
    /^QEMU uses other files for vda/,
  ],
  [
    'another domain can write the image',
    `domain.others = [xml_of(folder, name="web2", uuid=OTHER, readonly=False, socket="web2")]`,
    /^another disk can write the image of vda: web2 vda$/,
  ],
  [
    'a process of the host has the image open for writing',
    'held = open(folder + "/base.qcow2", "r+b")',
    /^a process of the host has the image of vda open for writing: .*\/base\.qcow2$/,
  ],
  [
    'another digest of fs-verity',
    `${withVerity}\nverity.digests[base] = (1, bytes(32))`,
    /^the receipt is not of the image/,
  ],
  [
    'another algorithm of fs-verity',
    `${withVerity}\nverity.digests[base] = (2, bytes(range(32)))`,
    /^the receipt is not of the image/,
  ],
  [
    'a digest of fs-verity that cannot be read',
    `${withVerity}\nverity.digests[base] = 5`,
    /^the receipt is not of the image/,
  ],
  [
    'an image that has no digest of fs-verity any more',
    `${withVerity}\nverity.digests[base] = 61`,
    /^the receipt is not of the image/,
  ],
  [
    'a block device',
    `domain.text = xml_of(folder).replace("type='file' device='disk'", "type='block' device='disk'").replace("source file", "source dev")`,
    /^the system disk vda is a block device, and the kernel does not record/,
  ],
  [
    'another image with the receipt of the first',
    `domain.text = xml_of(folder, image="other.qcow2")
domain.nodes[0]["file"] = domain.blocks[0]["inserted"]["image"]["filename"] = folder + "/other.qcow2"`,
    /^the receipt is not of the image/,
  ],
  [
    'the image was written after it was sealed',
    'import os; os.utime(folder + "/base.qcow2", (1, 1))',
    /^the receipt is not of the image/,
  ],
  [
    'an older image with its receipt, which the administrator has withdrawn',
    'host.settings["withdrawn"] = [host.receipt["disk"]["sha256"]]',
    /^the image with the SHA-256 [0-9a-f]{64} was withdrawn/,
  ],
  [
    'the receipt of another domain',
    'host.record(domain="web2")',
    /^the receipt is of another domain or disk/,
  ],
  ['a receipt without the files of the image', 'host.record(image=None)', /^the receipt is not of the image/],
  [
    'a receipt whose hash was changed',
    'host.record(disk=dict(host.receipt["disk"], sha256="0" * 64))',
    /^the receipt of the guest is damaged/,
  ],
  [
    'no receipt',
    'import os; os.unlink(folder + "/web1.d/receipt.json")',
    /^the guest has no receipt: seal it with immutafs_receipts/,
  ],
  [
    'the socket of another domain',
    'host.socket = folder + "/web2"',
    /^the channel .* is not that of this domain alone/,
  ],
  [
    'a socket that another domain has, too',
    'domain.others = [xml_of(folder, name="web2", uuid=OTHER, image="other.qcow2")]',
    /^the channel .* is not that of this domain alone/,
  ],
  [
    'another domain whose name differs only in case, and which is shut off',
    `import re; domain.others = [re.sub("<source mode.*?/>", "", namesake)]`,
    /^the name of another domain with the channel differs from web1 only in case, .*: rename one of them: Web1$/,
  ],
  [
    'the same, and this one has the upper case',
    `domain.text = xml_of(folder, name="Web1"); domain.others = [xml_of(folder, uuid=OTHER, image="other.qcow2", socket="web2")]`,
    /^the name of another domain with the channel differs from Web1 only in case, .*: web1$/,
  ],
  [
    'the boot order was changed',
    `domain.text = xml_of(folder).replace("<boot order='1'/>", "<boot order='2'/>")`,
    /^the firmware may boot from a disk other than vda/,
  ],
  [
    'the kernel is loaded directly',
    withXml('os_more="<kernel>/boot/vmlinuz</kernel>"'),
    /^QEMU loads the kernel directly/,
  ],
  [
    'UEFI without a variable store',
    withXml(`os_more="<loader type='pflash' readonly='yes' stateless='yes'>/OVMF.fd</loader>"`),
    /^the firmware has no variable store/,
  ],
  [
    'UEFI variables that survive a reboot',
    withXml(
      `os_more="<loader type='pflash' readonly='yes'>/OVMF.fd</loader><nvram>/a</nvram>", top="<on_reboot>restart</on_reboot>"`,
    ),
    /^on_reboot is restart/,
  ],
  [
    'UEFI variables that survive an automatic start',
    `${uefi}; domain.starts_itself = True`,
    /^libvirt starts the domain automatically/,
  ],
  [
    'UEFI variables that no start can recreate',
    `${uefi}; domain.can_reset = False`,
    /^this libvirt has no virsh start --reset-nvram/,
  ],
  [
    'a disk by <qemu:commandline>',
    withXml(
      `top="<qemu:commandline><qemu:arg value='-drive'/><qemu:arg value='file=/x'/></qemu:commandline>"`,
    ),
    /^the domain has the option -drive of QEMU/,
  ],
  ['a <qemu:override>', withXml('top="<qemu:override/>"'), /^the domain has a <qemu:override>/],
  [
    'the UUID of the host in SMBIOS',
    withXml(`os_more="<smbios mode='host'/>"`),
    /^the guest gets another UUID/,
  ],
  [
    'a guest that was migrated',
    'domain.said = ("running", "migrated")',
    /^the memory of the guest was not made .*\(migrated\)/,
  ],
  [
    'a guest that was restored',
    'domain.said = ("running", "restored")',
    /\(restored\): shut it down and start it/,
  ],
  ['a snapshot that was reverted', 'domain.said = ("running", "from snapshot")', /\(from snapshot\)/],
  [
    'a guest that was migrated, and paused since',
    'domain.said, domain.migration = ("running", "unpaused"), {"status": "completed"}',
    /^the guest was migrated to this host or restored/,
  ],
  ['a domain that is paused', 'domain.said = ("not running", "")', /^the domain is not running/],
  [
    'a seed that is writable',
    'domain.text = xml_of(folder, more=cd(seed_at(folder, "seed.iso"), readonly=False)); domain.blocks += [block("sda", False)]',
    /^the seed on sda is writable/,
  ],
  [
    'a seed that is writable in QEMU alone',
    'domain.text = xml_of(folder, more=cd(seed_at(folder, "seed.iso"))); domain.blocks += [block("sda", False)]',
    /^the seed on sda is writable/,
  ],
  [
    'two seeds',
    'domain.text = xml_of(folder, more=cd(seed_at(folder, "a.iso")) + cd(seed_at(folder, "b.iso"), "sdb")); domain.blocks += [block("sda"), block("sdb")]',
    /^the domain has more than one seed/,
  ],
  [
    'two vfat seeds',
    withDrives("drive(vfat_at(folder, 'a.img')) + drive(vfat_at(folder, 'b.img'), 'vdc')", ['vdb', 'vdc']),
    /^the domain has more than one seed/,
  ],
  [
    'two seeds, one with iso9660 and one with vfat',
    withDrives(`cd(seed_at(folder, 'a.iso')) + drive(${vfat})`, ['sda', 'vdb']),
    /^the domain has more than one seed/,
  ],
  [
    'a vfat seed that is writable',
    withDrives(`drive(${vfat}, readonly=False)`, [], ['vdb']),
    /^the seed on vdb is writable/,
  ],
  [
    'a vfat file system with the label in its boot sector alone',
    withDrives("drive(overwrite(vfat_at(folder, 'a.img', 'NO NAME'), 43, b'CIDATA     '))", ['vdb']),
    /^it is unknown whether the read-only disk vdb has a seed: its file system at byte 0 has two labels/,
  ],
  [
    'a CD with two labels',
    withDrives("cd(seed_at(folder, 'a.iso', b'tools', 'cidata'))", ['sda']),
    /^it is unknown whether the read-only disk sda has a seed: its file system at byte 0 has two labels/,
  ],
  [
    'a read-only block device that the host cannot read',
    withDrives("drive(folder + '/absent', kind='block')", ['vdb']),
    /^it is unknown whether the read-only disk vdb has a seed: the host cannot read it: .*\/absent: No such file/,
  ],
  [
    'a read-only disk that is neither a file nor a block device',
    withDrives("drive('/dev/null', kind='block')", ['vdb']),
    /^it is unknown whether the read-only disk vdb has a seed: it is neither a file nor a block device/,
  ],
  [
    'a read-only disk on the network',
    withDrives(
      `drive("x").replace("type='file'", "type='network'").replace("file='x'", "protocol='nbd' name='x'")`,
      ['vdb'],
    ),
    /^it is unknown whether the read-only disk vdb has a seed: it is neither a file nor a block device/,
  ],
  [
    'a read-only disk that is a part of a file',
    withDrives(`drive(${vfat}, more="<slices><slice type='storage' offset='512' size='512'/></slices>")`, [
      'vdb',
    ]),
    /^it is unknown whether the read-only disk vdb has a seed: it is a part of a file/,
  ],
  [
    'a read-only qcow2 disk',
    withDrives("drive(folder + '/other.qcow2', form='qcow2')", ['vdb']),
    /^it is unknown whether the read-only disk vdb has a seed: its format is qcow2, and not raw/,
  ],
  [
    'a read-only disk with LVM',
    withDrives("drive(overwrite(folder + '/data.raw', 536, b'LVM2 001'))", ['vdb']),
    /^it is unknown whether the read-only disk vdb has a seed: its content at byte 0 is unknown/,
  ],
  [
    'a read-only disk with LVM in a partition',
    withDrives("drive(partitioned(overwrite(folder + '/data.raw', 536, b'LVM2 001'), 'gpt'))", ['vdb']),
    /^it is unknown whether the read-only disk vdb has a seed: its content at byte 1048576 is unknown/,
  ],
  [
    'a read-only disk with an extended partition',
    withDrives(`drive(partitioned(${vfat}, 'dos', 'type=5'))`, ['vdb']),
    /^it is unknown whether the read-only disk vdb has a seed: it has an extended partition/,
  ],
  [
    'a GPT for another size of sectors',
    withDrives(
      `drive(partitioned(${vfat}, 'gpt')).replace("<readonly/>", "<blockio logical_block_size='4096'/><readonly/>")`,
      ['vdb'],
    ),
    /^it is unknown whether the read-only disk vdb has a seed: its GPT cannot be read/,
  ],
  [
    'a SCSI device that is passed through read-only',
    `domain.text = xml_of(folder, more="<hostdev mode='subsystem' type='scsi'><readonly/></hostdev>")`,
    /^it is unknown whether a SCSI device that is passed through read-only has a seed/,
  ],
  [
    'a seed without end',
    `path = seed_at(folder, "seed.iso"); import os; os.truncate(path, 2**25)
domain.text = xml_of(folder, more=cd(path)); domain.blocks += [block("sda")]`,
    /^the seed on sda is larger than/,
  ],
];

for (const [title, change, reason] of forgeries) {
  const said = examined(change);
  identity(`refused: ${title}`, () => assert.match(String(said()), reason));
}

identity.run();
