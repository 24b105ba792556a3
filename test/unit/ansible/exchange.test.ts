import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { callPlugin } from '../../harness/collection.ts';

/** Tests which disks may get another image, and the XML that they then have (ansible/plugins/module_utils/domain_xml.py). */
const test = suite('the exchange of an image in the XML of a domain');

const source = "<source file='/old'/>";
const target = "<target dev='vda' bus='virtio'/>";
const domain = (content: string, attributes = "type='file' device='disk'", more = '') =>
  `<domain><name>a</name><uuid>1</uuid><memory>1</memory><devices>${more}<disk ${attributes}>${content}</disk></devices></domain>`;
const whole = `<driver name='qemu' type='raw'/>${source}${target}<readonly/>`;

const noDisk = 'vda is not a disk in a file or on a block device';
const hasElement = (name: string) => `vda has <${name}>, with which an image cannot be exchanged`;
const cd = "type='file' device='cdrom'";
const encrypted = "<source file='/old'><encryption format='luks'/></source>";
for (const [title, xml, problem] of [
  ['a sealed disk', domain(whole), null],
  ['a disk that runs', domain(`${whole}<serial>s</serial><boot order='1'/><backingStore/>`), null],
  ['a block device', domain(`<source dev='/dev/vg/a'/>${target}<readonly/>`, "type='block'"), null],
  [
    'a writable disk',
    domain(`${source}${target}`),
    'vda is writable: seal the guest first (immutafs.agent.seal)',
  ],
  ['no such disk', domain(`${source}<target dev='vdb'/>`), 'the domain has no disk vda'],
  ['a volume', domain(`<source pool='p' volume='v'/>${target}<readonly/>`, "type='volume'"), noDisk],
  ['a CD', domain(whole, cd), noDisk],
  [
    'a backing file',
    domain(`${whole}<backingStore type='file'><x/></backingStore>`),
    hasElement('backingStore'),
  ],
  ['an encrypted image', domain(`${encrypted}${target}<readonly/>`), hasElement('source/encryption')],
  ['an element that is not known', domain(`${whole}<transient/>`), hasElement('transient')],
] as const) {
  test(title, () =>
    assert.is(callPlugin('module_utils.domain_xml', 'exchange_problem', { xml }, 'vda'), problem),
  );
}

const xmlOf = (name: string, xml: string, ...args: unknown[]) =>
  (callPlugin('module_utils.domain_xml', name, { xml }, ...args) as { xml: string }).xml;
const changed = (xml: string, type: string, path: string, format: string) =>
  xmlOf('with_image', xml, 'vda', { type, path, format });
const asWritten = (xml: string) => xml.replaceAll("'", '"').replaceAll('/>', ' />');

test('only the source and the format of this disk change', () => {
  const other = "<disk type='file'><source file='/old'/><target dev='vdb'/></disk>";
  const disk = "type='file' device='disk'";
  const after = `<driver name="qemu" type="qcow2"/><source file="/new"/>${target}<readonly/>`;
  const made = changed(domain(whole, disk, other), 'file', '/new', 'qcow2');
  assert.is(made, asWritten(domain(after, disk, other)));
});

test('the cache mode changes only if one is given', () => {
  const before = domain(
    `<driver name='qemu' type='raw' cache='none'/><source file='/old'/>${target}<readonly/>`,
  );
  const cacheOf = (...mode: string[]) => {
    const source = { type: 'file', path: '/new', format: 'qcow2' };
    return /cache="(\w+)"/.exec(xmlOf('with_image', before, 'vda', source, ...mode))?.[1];
  };
  assert.is(cacheOf(), 'none');
  assert.is(cacheOf('writeback'), 'writeback');
});

test('a file takes the place of a block device; a disk without <driver> gets one', () => {
  const before = `<source dev='/dev/vg/a' index='1'/>${target}<readonly/><backingStore/>`;
  const after = `<source file='/new'/>${target}<readonly/><driver name='qemu' type='raw'/>`;
  const made = changed(domain(before, "type='block'"), 'file', '/new', 'raw');
  assert.is(made, asWritten(domain(after, "type='file'")));
});

const recorded = (xml: string, record: Record<string, string>) => xmlOf('with_record', xml, record);

test('the record is where libvirt writes metadata, beside that of other programs, and is replaced', () => {
  const foreign = "<metadata><x:other xmlns:x='urn:x'/></metadata><memory>";
  for (const xml of [domain(whole), domain(whole).replace('<memory>', foreign)]) {
    const once = recorded(xml, { phase: 'trial', previous: '/a' });
    assert.match(
      once,
      /<uuid>1<\/uuid><metadata>.*<immutafs:image[^>]* phase="trial" previous="\/a" \/><\/metadata><memory>/,
    );
    assert.is(once.includes('urn:x'), xml.includes('urn:x'));
    const twice = recorded(once, { failed: '/b' });
    assert.equal(callPlugin('module_utils.domain_xml', 'read_record', { xml: twice }), { failed: '/b' });
    assert.equal(callPlugin('module_utils.domain_xml', 'read_record', { xml: recorded(twice, {}) }), {});
    assert.is(recorded(twice, {}).includes('<metadata>'), xml.includes('<metadata>'));
  }
});

test.run();
