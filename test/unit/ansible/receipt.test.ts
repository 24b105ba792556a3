import { createHash } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { callPlugin, runPython } from '../../harness/collection.ts';

const disks = suite('receipts: the recorded disk and the disk now');

const chunk = 4 * 1024 * 1024;
const digest = (text: string) => createHash('sha256').update(text).digest('hex');
const hashOf = (chunks: readonly string[]) =>
  createHash('sha256')
    .update(Buffer.from(chunks.join(''), 'hex'))
    .digest('hex');
const whole = [digest('a'), digest('b')];
const disk = (chunks: readonly string[] = whole, more: Record<string, unknown> = {}) => ({
  size: 2 * chunk,
  sha256: hashOf(chunks),
  chunk,
  chunks,
  partitions: [],
  ...more,
});

for (const [title, old, now, expected] of [
  ['the same', disk(), disk(), []],
  [
    'a chunk differs',
    disk(),
    disk([digest('a'), digest('c')]),
    ['the disk differs in bytes 4194304-8388607 (in no partition)'],
  ],
  [
    'only the hash of the disk differs',
    disk(),
    disk(whole, { sha256: 'f00' }),
    [`the disk has the SHA-256 f00, recorded: ${hashOf(whole)}`],
  ],
  [
    'no chunks are recorded',
    disk([]),
    disk(),
    [`the disk has the SHA-256 ${hashOf(whole)}, recorded: ${hashOf([])}`],
  ],
] as const) {
  disks(title, () => {
    assert.equal(callPlugin('module_utils.receipt', 'disk_differences', old, now), [...expected]);
  });
}

disks('a receipt of another version, or whose parts do not fit together, is refused', () => {
  const problem = (receipt: unknown) => callPlugin('module_utils.receipt', 'problem_of', receipt);
  assert.is(problem({ version: 1, disk: disk() }), null);
  for (const [receipt, message] of [
    [{ version: 2, disk: disk() }, /^its version is 2, not 1$/],
    [{ disk: disk() }, /^its version is None/],
    [
      { version: 1, disk: disk(whole, { chunk: 512 }) },
      /^it has a hash for each 512 bytes, not for each 4194304$/,
    ],
    [{ version: 1, disk: disk([]) }, /^its SHA-256 is not that of its 2 chunks$/],
    [{ version: 1, disk: disk(whole, { sha256: digest('') }) }, /^its SHA-256 is not that/],
    [{ version: 1, disk: disk(['x', 'y']) }, /^it is incomplete: ValueError/],
    [{ version: 1, disk: disk(whole, { size: '8M' }) }, /^it is incomplete: TypeError/],
    [{ version: 1, disk: null }, /^it is incomplete: TypeError/],
    [{ version: 1 }, /^it is incomplete: TypeError/],
  ] as const) {
    assert.match(String(problem(receipt)), message);
  }
});
disks.run();

const signatures = suite('receipts: what gpg reports about a signature');
const print = 'A'.repeat(40);
const status = (word: string, by = print) => [
  '[GNUPG:] NEWSIG',
  `[GNUPG:] ${word} 0123456789ABCDEF seal@example.org`,
  `[GNUPG:] VALIDSIG ${by} 2026-11-26 1 0 4 0 22 10 00 ${by}`,
];
const states = (lines: string[]) => callPlugin('modules.receipt', 'signature_states', lines, [print]);
for (const word of ['GOODSIG', 'EXPSIG', 'EXPKEYSIG', 'REVKEYSIG']) {
  signatures(word, () => assert.equal(states(status(word)), [word]));
}
signatures('a good signature by another key does not make a revoked one good', () => {
  assert.equal(states([...status('GOODSIG', 'B'.repeat(40)), ...status('REVKEYSIG')]), ['REVKEYSIG']);
  assert.equal(states([...status('GOODSIG', 'B'.repeat(40)), '', ...status('REVKEYSIG').slice(2)]), []);
});
signatures.run();

const reading = suite('receipts: the program that reads a disk');
const read = `import json, sys
from ansible_collections.immutafs.agent.plugins.modules.receipt import output_of
code, (hashes, size, first), error = output_of(json.load(sys.stdin))
print(json.dumps([code, hashes, size, first.decode(), error]))`;
reading('1 MB of error messages do not block it, and their end is reported', () => {
  const script = 'head -c 1000000 /dev/zero >&2; printf data; printf failed >&2; exit 3';
  assert.equal(runPython(read, ['/usr/bin/timeout', '10', '/bin/sh', '-c', script]), [
    ...[3, [digest('data')], 4, 'data'],
    `${'\0'.repeat(4096 - 'failed'.length)}failed`,
  ]);
});
reading('a program without error messages', () => {
  assert.equal(runPython(read, ['/bin/sh', '-c', 'printf data']), [0, [digest('data')], 4, 'data', '']);
});
reading.run();

const claimed = suite('receipts: what a guest reports');
const guest = (packages: readonly string[], files: Record<string, string> = { '/boot/vmlinuz': 'a' }) => ({
  ...{ agent: '1', kernel: '2', packages, files },
});
const differences = (old: unknown, now: unknown) =>
  callPlugin('module_utils.receipt', 'claim_differences', old, now);

claimed('each package that differs has one message', () => {
  const old = guest(['a 1', 'b 1', 'kernel 1', 'kernel 2', 'same 1']);
  const now = guest(['a 2', 'c 1', 'kernel 2', 'kernel 3', 'same 1'], { '/boot/initrd.img': 'b' });
  assert.equal(differences(old, now), [
    'initramfs /boot/initrd.img is new',
    'kernel /boot/vmlinuz is missing',
    'package a is 2, recorded: 1',
    'package b 1 was removed',
    'package c 1 was added',
    'package kernel is 3, recorded: 1',
  ]);
});

const many = Array.from({ length: 40_000 }, (_, index) => index);
for (const [title, packages, last] of [
  ['many names', many.map((index) => `p${index} 1`), '39980 more packages differ'],
  [
    'many versions of one name',
    many.map((index) => `p ${String(index).padStart(5, '0')}`),
    /^package p 00000, .*, 00019, 39980 more versions differ was added$/,
  ],
] as const) {
  claimed(`${title}: compared in a time that is proportional to their number, and counted`, () => {
    const begin = Date.now();
    const found = differences(guest(['q 1']), guest(['q 1', ...packages])) as string[];
    assert.ok(Date.now() - begin < 10_000, `${Date.now() - begin} ms`);
    assert.ok(found.length <= 21 && JSON.stringify(found).length < 2000, `${found.length}`);
    assert.match(found.at(-1) ?? '', last);
  });
}
claimed('many files in /boot are counted, too', () => {
  const files = Object.fromEntries(many.map((index) => [`/boot/${index}`, 'x']));
  const found = differences(guest(['a 1'], {}), guest(['a 1'], files)) as string[];
  assert.equal([found.length, found.at(-1)], [21, '39980 more files differ']);
});

const count = `import json, sys
from ansible_collections.immutafs.agent.plugins.module_utils.receipt import parse_claims
try:
    print(len(parse_claims(json.load(sys.stdin))["packages"]))
except ValueError as error:
    print(json.dumps(str(error)))`;
const parsed = (lines: readonly string[]) => runPython(count, ['agent 1', 'kernel 2', ...lines].join('\n'));
const lines = (count: number, line: (index: number) => string) =>
  Array.from({ length: count }, (_, index) => line(index));
claimed('at most 100,000 packages and files are accepted', () => {
  const file = 'file aa  /boot/vmlinuz';
  const packages = lines(100_000, (index) => `package p${index} 1`);
  assert.is(parsed([file, ...packages]), 100_000);
  assert.is(parsed([file, ...packages, 'deb q 1']), 'the guest reported more than 100000 packages');
  const files = lines(100_001, (index) => `file aa  /boot/${index}`);
  assert.is(parsed(['package p 1', ...files]), 'the guest reported more than 100000 files');
});

claimed('a disk that differs in each second chunk, and has many partitions: 20 parts are named', () => {
  const chunks = (by: number) => many.map((index) => digest(index % 2 === 0 ? `${by}` : ''));
  const partitions = lines(1000, String).map((name, index) => ({
    ...{ number: index, start: 0, end: many.length * chunk, name },
  }));
  const of = (by: number) => disk(chunks(by), { size: many.length * chunk, partitions });
  const begin = Date.now();
  const found = callPlugin('module_utils.receipt', 'disk_differences', of(1), of(2)) as string[];
  assert.ok(Date.now() - begin < 10_000, `${Date.now() - begin} ms`);
  assert.equal([found.length, found.at(-1)], [21, '19980 more parts of the disk differ']);
});
claimed.run();
