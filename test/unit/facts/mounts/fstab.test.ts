import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { decodeBytes } from '../../../../agent/lib/format.ts';
import { deviceFile } from '../../../../agent/facts/disks/tags.ts';
import { type FstabLine, parseFstab } from '../../../../agent/facts/mounts/fstab.ts';
import { fstabLines, fstabSources } from '../../../harness/fstab-lines.ts';

const real = suite('real files');
real('RHEL 7, written by its installer', () => {
  const { lines, problems } = parseFstab(`
#
# /etc/fstab
# Created by anaconda on Tue Mar  7 10:00:00 2023
#
# Accessible filesystems, by reference, are maintained under '/dev/disk'
# See man pages fstab(5), findfs(8), mount(8) and/or blkid(8) for more info
#
/dev/mapper/rhel-root   /                       xfs     defaults        0 0
UUID=0b9d5c3a-6d5e-4f4b-9d5e-0d1a5b6c7d8e /boot                   xfs     defaults        0 0
/dev/mapper/rhel-swap   swap                    swap    defaults        0 0
`);
  assert.equal(problems, []);
  assert.equal(
    lines.map(({ line, source, target, type, options, pass }) => [line, source, target, type, options, pass]),
    [
      [9, '/dev/mapper/rhel-root', '/', 'xfs', ['defaults'], 0],
      [10, 'UUID=0b9d5c3a-6d5e-4f4b-9d5e-0d1a5b6c7d8e', '/boot', 'xfs', ['defaults'], 0],
      [11, '/dev/mapper/rhel-swap', 'swap', 'swap', ['defaults'], 0],
    ],
  );
});

real('Debian, written by its installer', () => {
  const { lines, problems } =
    parseFstab(`# <file system> <mount point>   <type>  <options>       <dump>  <pass>
# / was on /dev/vda1 during installation
UUID=a1 /               ext4    errors=remount-ro 0       1
# swap was on /dev/vda5 during installation
UUID=b2 none            swap    sw              0       0
/dev/sr0        /media/cdrom0   udf,iso9660 user,noauto     0       0
`);
  assert.equal(problems, []);
  assert.equal(
    lines.map(({ type, options, pass }) => [type, options, pass]),
    [
      ['ext4', ['errors=remount-ro'], 1],
      ['swap', ['sw'], 0],
      ['udf,iso9660', ['user', 'noauto'], 0],
    ],
  );
});
real.run();

const one = suite('one line');
const good = (text: string) => parseFstab(text).lines[0];
for (const [title, text, expected] of [
  ['three fields', 'tmpfs /tmp tmpfs', { options: ['defaults'], pass: 0 }],
  ['four fields', 'tmpfs /tmp tmpfs noexec,nodev', { options: ['noexec', 'nodev'], pass: 0 }],
  ['five fields', 'tmpfs /tmp tmpfs noexec 1', { pass: 0 }],
  ['seven fields', 'tmpfs /tmp tmpfs noexec 1 2 # more', { pass: 2 }],
  ['tabs and spaces before', ' \t tmpfs\t\t /tmp \ttmpfs ', { source: 'tmpfs', target: '/tmp' }],
  ['a space in the target', '/dev/vdb /my\\040disk xfs', { target: '/my disk' }],
  ['UTF-8', '/dev/vdb /\xc3\xa4 xfs', { target: '/ä' }],
  ['bytes that are not UTF-8', '/dev/vdb /\xff xfs', { target: '/\\xff' }],
  ['a negative pass', 'a /b c d 0 -1', { pass: -1 }],
] as const) {
  one(title, () => {
    const line = good(text);
    assert.ok(line);
    assert.equal(
      Object.fromEntries(Object.keys(expected).map((key) => [key, line[key as keyof FstabLine]])),
      {
        ...expected,
      },
    );
  });
}
for (const [title, text, reason] of [
  ['one field', '/dev/vdb', 'fewer than three fields'],
  ['a carriage return instead of the third field', '/dev/vdb /srv \r', 'fewer than three fields'],
  ['a comment after the options', 'a /b c d # e', 'dump is #, not a number'],
  ['two fields', '/dev/vdb /srv', 'fewer than three fields'],
  ['a pass that is no number', 'a /b c d 0 x', 'pass is x, not a number'],
] as const) {
  one(`a problem: ${title}`, () =>
    assert.equal(parseFstab(`\n${text}\n`), { lines: [], problems: [{ line: 2, reason }] }),
  );
}
one.run();

const corpus = suite('lines that libmount and the boot read, too');
for (const { line, ...expected } of fstabLines) {
  corpus(JSON.stringify(line), () => {
    const { lines, problems } = parseFstab(`# heading\n${line}\n`);
    assert.equal(
      lines.map(({ source, target, type, options }) => [source, target, type, options.join(',')]),
      expected.fields === null ? [] : [expected.fields.map(decodeBytes)],
    );
    assert.is(problems.length, expected.reading === 'rejected' ? 1 : 0);
  });
}
corpus.run();

const properties = suite('properties');
const escape = (text: string) =>
  Buffer.from(text, 'utf8')
    .toString('latin1')
    .replace(/[ \t\n\r\\#]/g, (char) => `\\${char.charCodeAt(0).toString(8).padStart(3, '0')}`);
const text = fc.string({ unit: 'binary', minLength: 1, maxLength: 10 }).filter((each) => each.isWellFormed());
const entry = fc.record(
  {
    source: text,
    target: text.map((each) => `/${each.replaceAll('/', '_')}`),
    type: fc.constantFrom('xfs', 'ext4', 'swap'),
    options: fc.array(fc.constantFrom('ro', 'nodev', 'x-systemd.automount'), { minLength: 1 }),
    pass: fc.nat({ max: 9 }),
  },
  { noNullPrototype: true },
);
properties('a written line is parsed to the same fields', () => {
  fc.assert(
    fc.property(fc.array(entry), fc.constantFrom(' ', '\t', ' \t '), (entries, gap) => {
      const lines = entries.map(({ source, target, type, options, pass }) =>
        [escape(source), escape(target), type, options.join(','), '0', String(pass)].join(gap),
      );
      const { lines: read, problems } = parseFstab(`# heading\n${lines.join('\n')}\n`);
      assert.equal(problems, []);
      assert.equal(
        read,
        entries.map((each, index) => ({ line: index + 2, node: deviceFile(each.source), ...each })),
      );
    }),
  );
});
const bytes = fc.string({
  unit: fc.nat({ max: 255 }).map((code) => String.fromCharCode(code)),
  maxLength: 80,
});
properties('any text: each line is parsed or a problem, and nothing is thrown', () => {
  fc.assert(
    fc.property(bytes, (garbage) => {
      const { lines, problems } = parseFstab(garbage);
      const meant = garbage.split('\n').filter((line) => !/^[ \t]*(#|\r?$)/.test(line));
      assert.is(lines.length + problems.length, meant.length);
    }),
    { numRuns: 1000 },
  );
});
properties.run();

const devices = suite('device files of lines');
for (const [source, node] of fstabSources) {
  devices(`${source} in fstab`, () => assert.is(good(`${source} /x xfs`)?.node, node));
}
devices.run();
