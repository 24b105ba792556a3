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

const problemOf = (xml: string) => callPlugin('module_utils.domain_xml', 'exchange_problem', { xml }, 'vda');

for (const [title, xml, problem] of [
  ['a sealed disk', domain(whole), null],
  [
    'a sealed disk that libvirt has started',
    domain(`${whole}<serial>s</serial><boot order='1'/><backingStore/>`),
    null,
  ],
  ['a block device', domain(`<source dev='/dev/vg/a'/>${target}<readonly/>`, "type='block'"), null],
  [
    'a writable disk',
    domain(`${source}${target}`),
    'vda is writable: seal the guest first (immutafs.agent.seal)',
  ],
  ['no such disk', domain(`${source}<target dev='vdb'/>`), 'the domain has no disk vda'],
  [
    'a storage volume',
    domain(`<source pool='p' volume='v'/>${target}<readonly/>`, "type='volume'"),
    'vda is not a disk in a file or on a block device',
  ],
  ['a CD', domain(whole, "type='file' device='cdrom'"), 'vda is not a disk in a file or on a block device'],
  [
    'a backing file in the XML',
    domain(`${whole}<backingStore type='file'><format type='raw'/></backingStore>`),
    'vda has <backingStore>, with which an image cannot be exchanged',
  ],
  [
    'an encrypted image',
    domain(`<source file='/old'><encryption format='luks'/></source>${target}<readonly/>`),
    'vda has <source/encryption>, with which an image cannot be exchanged',
  ],
  [
    'an element that is not known',
    domain(`${whole}<transient/>`),
    'vda has <transient>, with which an image cannot be exchanged',
  ],
] as const) {
  test(title, () => {
    assert.is(problemOf(xml), problem);
  });
}

const changed = (xml: string, type: string, path: string, format: string) =>
  (
    callPlugin('module_utils.domain_xml', 'with_image', { xml }, 'vda', { type, path, format }) as {
      xml: string;
    }
  ).xml;

const other = "<disk type='file'><source file='/old'/><target dev='vdb'/></disk>";

test('only the source and the format of this disk change', () => {
  assert.is(
    changed(domain(whole, "type='file' device='disk'", other), 'file', '/new', 'qcow2'),
    domain(
      `<driver name="qemu" type="qcow2"/><source file="/new"/>${target}<readonly/>`,
      "type='file' device='disk'",
      other,
    )
      .replaceAll("'", '"')
      .replaceAll('/>', ' />'),
  );
});

test('a file takes the place of a block device; a disk without <driver> gets one', () => {
  const before = domain(
    `<source dev='/dev/vg/a' index='1'/>${target}<readonly/><backingStore/>`,
    "type='block'",
  );
  const after = domain(
    `<source file='/new'/>${target}<readonly/><driver name='qemu' type='raw'/>`,
    "type='file'",
  );
  assert.is(changed(before, 'file', '/new', 'raw'), after.replaceAll("'", '"').replaceAll('/>', ' />'));
});

const recorded = (xml: string, record: Record<string, string>) =>
  (callPlugin('module_utils.domain_xml', 'with_record', { xml }, record) as { xml: string }).xml;

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
