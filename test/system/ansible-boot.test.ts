import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { callPlugin, runPython } from '../harness/collection.ts';

/** Tests the settings in a domain's XML that determine its next boot (ansible/plugins/module_utils/boot.py). */
const test = suite('boot settings of a domain');

interface Facts {
  firmware: string;
  store: string | null;
  wrong: string[];
  blockers: string[];
}

const flash = "<loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE_4M.fd</loader>";
const nvram = "<nvram template='/usr/share/OVMF/OVMF_VARS_4M.fd'>/var/lib/libvirt/qemu/nvram/g.fd</nvram>";

interface Parts {
  os?: string;
  root?: string;
  /** The content of <disk> for vda and vdb. */
  disks?: [string, string];
  devices?: string;
  events?: string;
}

const [serialA, serialB] = ['<serial>a</serial>', '<serial>b</serial>'];
const first = "<boot order='1'/>";
const slot = (number: number) =>
  `<address type='pci' domain='0x0' bus='0x0' slot='0x${number}' function='0x0'/>`;

function domain({ os = '', root = '', disks = [`${serialA}${first}`, serialB], ...rest }: Parts): string {
  const { devices = '', events = '<on_reboot>destroy</on_reboot>' } = rest;
  const [vda, vdb] = disks.map(
    (more, index) =>
      `<disk type='file' device='disk'><target dev='vd${'ab'[index]}' bus='virtio'/>${more}</disk>`,
  );
  const system = `<os ${root}><type arch='x86_64'>hvm</type>${os}</os>`;
  return `<domain type='kvm'><uuid>12345678-1234-5678-1234-567812345678</uuid>${system}${events}
    <devices>${vda}${vdb}${devices}</devices></domain>`;
}

function factsOf(parts: Parts | string, resets = true, autostarts = false): Facts {
  const xml = typeof parts === 'string' ? parts : domain(parts);
  return callPlugin('module_utils.boot', 'boot_facts', { xml }, 'vda', resets, autostarts) as Facts;
}

const path = '/var/lib/libvirt/qemu/nvram/g.fd';
for (const [title, parts, firmware, found = null] of [
  ['BIOS', {}, 'bios'],
  ['BIOS by name', { root: "firmware='bios'" }, 'bios'],
  ['another BIOS', { os: "<loader type='rom'>/usr/share/seabios/bios.bin</loader>" }, 'bios'],
  ['a kernel of the host', { os: '<kernel>/srv/vmlinuz</kernel>' }, 'kernel'],
  ['UEFI', { os: flash + nvram }, 'uefi', path],
  ['UEFI with a kernel of the host', { os: `${flash}${nvram}<kernel>/k</kernel>` }, 'uefi', path],
  ['UEFI that libvirt chooses', { root: "firmware='efi'" }, 'uefi', 'the file of <nvram>'],
  [
    'a store with a source',
    { os: `${flash}<nvram type='file'><source file='/v.fd'/></nvram>` },
    'uefi',
    '/v.fd',
  ],
  [
    'a store on a device',
    { os: `${flash}<nvram type='block'><source dev='/dev/x'/></nvram>` },
    'uefi',
    /type='block'/,
  ],
  [
    'stateless',
    { os: flash.replace('readonly', "stateless='yes' readonly") },
    'uefi',
    /\(stateless\): OVMF .* NvVars/,
  ],
  ['a ROM', { os: "<loader type='rom'>/usr/share/ovmf/OVMF.fd</loader>" }, 'uefi', /OVMF.fd .* NvVars/],
  ['one file for both', { os: "<loader type='pflash'>/srv/OVMF.fd</loader>" }, 'uefi', /in one file/],
  ['JSON', { os: "<varstore path='/v.json'/>", root: "firmware='efi'" }, 'uefi', /<varstore>/],
] as readonly [string, Parts, string, (string | RegExp)?][]) {
  test(`firmware: ${title}`, () => {
    const facts = factsOf(parts);
    const [store, blocker] = found instanceof RegExp ? [null, found] : [found, null];
    assert.equal([facts.firmware, facts.store], [firmware, store]);
    if (blocker === null) assert.equal(facts.blockers, []);
    else assert.match(facts.blockers.join('\n'), blocker);
  });
}

test('firmware: by QEMU’s arguments', () => {
  const xml = domain({}).replace(
    '</domain>',
    `<qemu:commandline xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'><qemu:arg value='-bios'/>
    <qemu:arg value='/usr/share/ovmf/OVMF.fd'/></qemu:commandline></domain>`,
  );
  assert.match(factsOf(xml).blockers.join(), /^the firmware is set by qemu:commandline/);
  assert.equal(factsOf(xml.replace('-bios', '-netdev')).blockers, []);
});

test('UEFI: a libvirt without --reset-nvram, and a domain with autostart', () => {
  const uefi = { os: flash + nvram };
  assert.match(
    factsOf(uefi, false, false).blockers.join(),
    /no virsh start --reset-nvram.* remove \/var\/lib\/.*g\.fd before each start/,
  );
  assert.match(
    factsOf(uefi, true, true).blockers.join(),
    /^libvirt starts the domain automatically .* --disable/,
  );
  assert.equal(factsOf({}, false, true).blockers, [], 'a BIOS has no variables');
  assert.equal(factsOf({ os: '<kernel>/k</kernel>' }, false, true).blockers, []);
});

test('the boot order, and the settings that interfere with it', () => {
  const text = 'the firmware may boot from a disk other than vda: the domain has ';
  for (const [parts, has] of [
    [{}, null],
    [{ disks: [serialA, serialB] }, 'no boot order'],
    [
      { os: "<boot dev='hd'/><boot dev='network'/>" },
      "<boot dev='hd'/>, <boot dev='network'/>, <boot order='1'/> of vda",
    ],
    [{ disks: [serialA, serialB + first] }, "<boot order='1'/> of vdb"],
    [
      { devices: "<interface type='user'><boot order='2'/></interface>" },
      "<boot order='1'/> of vda, <boot order='2'/> of interface",
    ],
  ] as readonly [Parts, string | null][]) {
    assert.equal(factsOf(parts).wrong, has === null ? [] : [`${text}${has}`]);
  }
  assert.equal(factsOf({ os: "<kernel>/k</kernel><boot dev='hd'/>", disks: [serialA, serialB] }).wrong, []);
});

test('missing and duplicate serials, and a reboot that would keep the EFI variables, are reported', () => {
  assert.equal(factsOf({ disks: [first, serialB] }).wrong, ['vda has no serial']);
  const twice = factsOf({ disks: [serialA + first, serialA] });
  assert.equal(twice.wrong, [], 'only an administrator knows which disk the guest names by it');
  assert.match(twice.blockers.join('\n'), /^the serial a is on more than one disk \(vda, vdb\): set another/);
  const events =
    '<on_poweroff>destroy</on_poweroff><on_reboot>restart</on_reboot><on_crash>coredump-restart</on_crash>';
  assert.equal(factsOf({ events, os: flash + nvram }).wrong, [
    'on_reboot is restart',
    'on_crash is coredump-restart',
  ]);
  assert.equal(factsOf({ events }).wrong, []);
});

test('another disk in a lower slot, or with a lower unit of the same controller', () => {
  const at = (a: string, b: string) => factsOf({ disks: [serialA + first + a, serialB + b] }).blockers;
  assert.equal(at(slot(4), slot(5)), []);
  assert.match(at(slot(5), slot(4)).join(), /^vdb comes before vda .* exchange their <address> elements/);
  const unit = (number: number) =>
    `<address type='drive' controller='0' bus='0' target='0' unit='${number}'/>`;
  const scsi = (a: number, b: number) =>
    domain({
      disks: [serialA + first + unit(a), serialB + unit(b)],
      devices: `<controller type='scsi' index='0'>${slot(3)}</controller>`,
    }).replaceAll("bus='virtio'", "bus='scsi'");
  assert.equal(factsOf(scsi(0, 1)).blockers, []);
  assert.match(factsOf(scsi(1, 0)).blockers.join(), /^vdb comes before vda/);
});

test('corrected(): nothing is wrong afterwards, and nothing else has changed', () => {
  const xml = domain({
    os: `${flash}${nvram}<boot dev='hd'/>`,
    disks: ['', first],
    devices: "<interface type='user'><boot order='2'/><model type='virtio'/></interface>",
    events: '<on_reboot>restart</on_reboot><on_crash>restart</on_crash>',
  });
  const corrected = callPlugin('module_utils.boot', 'corrected', { xml }, 'vda') as { xml: string };
  assert.equal(factsOf(corrected.xml).wrong, []);
  const expected = domain({
    os: flash + nvram,
    disks: [`${first}<serial>123456781234-vda</serial>`, '<serial>123456781234-vdb</serial>'],
    devices: "<interface type='user'><model type='virtio'/></interface>",
    events: '<on_reboot>destroy</on_reboot><on_crash>destroy</on_crash>',
  });
  const form = (text: string) => callPlugin('module_utils.domain_xml', 'to_text', { xml: text }, text);
  assert.is(form(corrected.xml), form(expected));
  const scsi = domain({ disks: [first, ''] }).replaceAll("bus='virtio'", "bus='scsi'");
  const same = callPlugin('module_utils.boot', 'corrected', { xml: scsi }, 'vda') as { xml: string };
  assert.not.match(same.xml, '<serial>', 'on SCSI the WWID would change');
});

/** The domain is that of libvirt's test driver, which needs no daemon. Without the binding's methods, virsh would be run. */
test('libvirt’s Python binding says whether a domain starts automatically, and whether a start can recreate its variables', () => {
  const program = `import json, sys, types
from ansible_collections.immutafs.agent.plugins.module_utils import binding
json.load(sys.stdin)
connection = binding.connect("test:///default")
own = connection.lookupByName("test")
programs = types.SimpleNamespace(params={"uri": "test:///default", "domain": own.UUIDString(), "target": None})
domain = binding.BoundDomain(programs, connection)
found = [domain.autostarts(), domain.resets_nvram()]
own.setAutostart(True)
domain.connection = types.SimpleNamespace(getLibVersion=lambda: 8000000)
print(json.dumps(found + [domain.autostarts(), domain.resets_nvram()]))`;
  assert.equal(runPython(program, null), [false, true, true, false]);
});

test.run();
