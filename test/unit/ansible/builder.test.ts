import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { callPlugin, runPython } from '../../harness/collection.ts';

/** Tests the XML of the domain in which an image is made (ansible/plugins/module_utils/builder.py). */
const test = suite('the builder of an image');

const template = `<domain type='kvm' id='3' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
<name>web1</name><uuid>1</uuid><genid>2</genid><title>t</title>
<metadata><x:y xmlns:x='urn:x'/></metadata><memory>1</memory>
<os><type>hvm</type><loader>code</loader><nvram template='vars' type='file'><source file='/nvram/web1'/></nvram></os>
<sysinfo type='smbios'><system><entry name='uuid'>1</entry><entry name='product'>p</entry></system></sysinfo>
<devices>
<emulator>/qemu</emulator>
<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/old'/><target dev='vda'/><readonly/></disk>
<disk type='file' device='disk'><source file='/data'/><target dev='vdb'/></disk>
<disk type='file' device='cdrom'><source file='/seed'/><target dev='sda'/><readonly/></disk>
<controller type='usb'/>
<interface type='bridge'><mac address='52:54:00:00:00:01'/><source bridge='lan'/><model type='e1000e'/><address slot='3'/></interface>
<interface type='bridge'><source bridge='dmz'/></interface>
<serial type='file'><source path='/console'/><target port='0'/></serial>
<filesystem type='mount'><source dir='/srv'/></filesystem>
<hostdev mode='subsystem'/><channel type='unix'><source path='/s'/></channel><graphics port='5900'/><tpm/><vsock/>
<rng model='virtio'/>
</devices>
<qemu:commandline><qemu:arg value='-netdev'/></qemu:commandline>
</domain>`;

const source = { type: 'file', path: '/new', format: 'qcow2' };

const builderOf = (...more: unknown[]) => {
  const made = callPlugin(
    'module_utils.builder',
    'builder_root',
    { xml: template },
    'vda',
    'b',
    source,
    ...more,
  );
  return (made as { xml: string }).xml.replaceAll('\n', '').replaceAll(' />', '/>');
};

const disk =
  '<disk type="file" device="disk"><driver name="qemu" type="qcow2"/><source file="/new"/><target dev="vda"/></disk>';

test('it has the machine of the template, and neither its identity nor its connections', () => {
  const metadata = '<metadata><immutafs-builder:builder file="/new"/></metadata>';
  const firmware = '<memory>1</memory><os><type>hvm</type><loader>code</loader><nvram template="vars"/></os>';
  const sysinfo = '<sysinfo type="smbios"><system><entry name="product">p</entry></system></sysinfo>';
  const devices = `<emulator>/qemu</emulator>${disk}<controller type="usb"/><serial type="pty"><target port="0"/></serial><rng model="virtio"/>`;
  const whole = `<domain type="kvm"><name>b</name>${metadata}${firmware}${sysinfo}<devices>${devices}</devices></domain>`;
  assert.is(builderOf().replaceAll(/ xmlns:[^=]*="[^"]*"/g, ''), whole);
});

test('it has the disks that are named, and the place of the first interface in a network', () => {
  const made = builderOf(['sda'], ['isolated', '52:54:00:00:00:02']);
  assert.match(made, /<source file="\/seed"\/>/);
  assert.not.match(made, /\/data/);
  assert.match(
    made,
    /<interface type="network"><mac address="52:54:00:00:00:02"\/><source network="isolated"\/><model type="e1000e"\/><address slot="3"\/><\/interface><\/devices>/,
  );
  assert.not.match(made, /bridge|00:01/);
  assert.not.match(builderOf([], ['isolated', null]), /<mac/);
});

test('only a domain with the mark is a builder', () => {
  const fileOf = (xml: string) => callPlugin('module_utils.builder', 'file_of_builder', { xml });
  assert.is(fileOf(builderOf()), '/new');
  assert.is(fileOf(template), null);
});

for (const [allocated, growth, needed] of [
  [10, 20, 30],
  [10, 100, 100],
  [0, 100, 100],
] as const) {
  test(`a disk of 100 bytes, ${allocated} of them used, of which ${growth} are written: ${needed}`, () => {
    assert.is(callPlugin('module_utils.image_store', 'space_needed', allocated, 100, growth), needed);
  });
}

for (const [name, version, isValid] of [
  ['web', '2026.12', true],
  ['web', '1~rc1+b:2', true],
  ['web/../x', '1', false],
  ['.web', '1', false],
  ['web', '', false],
  ['web', '1 2', false],
  ['web', '1\n', false],
] as const) {
  test(`${JSON.stringify([name, version])}: ${isValid ? 'valid' : 'invalid'}`, () => {
    const problem = callPlugin('module_utils.builder', 'word_problem', name, version);
    assert.is(problem === null, isValid, String(problem));
  });
}

const receipt = {
  version: 1,
  name: 'web',
  image: '2',
  source: '/old',
  time: '1970-01-02T00:00:00Z',
  format: 'raw',
};
const receiptOf = (found: object) => callPlugin('module_utils.builder', 'receipt_of', found, 'web');
test('a receipt', () => assert.equal(receiptOf(receipt), { image: '2', source: '/old', at: 86400 }));
for (const [title, differs] of [
  ['another version of the format', { version: 2 }],
  ['another image', { name: 'web-2' }],
  ['a version that leads out of the directory', { image: '../2' }],
  ['a version that is a number', { image: 2 }],
  ['no source', { source: null }],
  ['no time', { time: null }],
  ['a time in another form', { time: 'yesterday' }],
  ['nothing of a receipt', { version: undefined, name: undefined }],
] as const) {
  test(`no receipt: ${title}`, () => assert.is(receiptOf({ ...receipt, ...differs }), null));
}

for (const [keep, failed, expected] of [
  [0, [], []],
  [1, [], ['1', '2', '3']],
  [1, ['4'], ['1', '2']],
  [2, [], ['1', '2']],
  [2, ['4', '2'], []],
  [3, ['4', '3'], []],
  [4, [], []],
  [5, [], []],
  [1, ['1', '2', '3', '4'], []],
] as const) {
  test(`of four versions, ${keep} are kept, and ${failed.join() || 'none'} has failed`, () => {
    const made = ['1', '2', '3', '4'].map((path) => ({ path }));
    const old = callPlugin('module_utils.builder', 'superseded', made, failed, keep);
    assert.equal(
      old,
      expected.map((path) => ({ path })),
    );
  });
}

/** Python that prints the version that the module takes again. The owner has the image /old; the receipt is that of 2. */
const unfinishedProgram = `import json, sys, time
from types import SimpleNamespace
from ansible_collections.immutafs.agent.plugins.modules.builder import Builder
subject = Builder.__new__(Builder)
subject.versions = lambda store: [{"image": "2", "source": "/old", "path": "/web-2", "at": time.time() - 3600}]
template = SimpleNamespace(path="/old", record=json.load(sys.stdin), has=lambda path: path == "/old")
print(json.dumps(subject.unfinished(template, None)))`;

for (const [title, record, expected] of [
  ['a run that was killed before the exchange', {}, '2'],
  ['such a run, after an earlier update', { previous: '/web-1' }, '2'],
  ['a version that has failed', { failed: '/web-2' }, null],
  ['a version from which an administrator has returned', { previous: '/web-2' }, null],
] as const) {
  test(`${title}: ${expected === null ? 'another version is made' : 'its version is used'}`, () =>
    assert.is(runPython(unfinishedProgram, record), expected));
}

test.run();
