import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { addressesOf, findMappedFiles, parseMappings } from '../../../agent/system/mapped-files.ts';
import { whileTemporaryDirectory } from '../../harness/temporary.ts';

const records = (...texts: string[]) => texts.map((text) => `${text}\0`).join('');
const library = { device: '253:0', inode: 12, path: '/lib/a b\n.so' };
const memory = { device: '0:26', inode: 99, path: '/dev/shm/x\xff (deleted)' };
const output = records(
  'f 253:0 12 /lib/a b\n.so',
  'f 0:0 0 /usr/bin/a',
  'f 0:26 99 /dev/shm/x\xff (deleted)',
  'a 9 1000-2000',
  'u 10 13',
  'u 11 0',
  'p 7,8 1 0',
  'p 9 - 0 2',
  'e',
);

const parsing = suite('output of read-mappings');

parsing('groups, addresses, and processes that were not examined', () => {
  const found = parseMappings(output);
  assert.equal(found?.groups, [
    { executable: '/usr/bin/a', mapped: [library], pids: [7, 8] },
    { executable: undefined, mapped: [library, memory], pids: [9] },
  ]);
  assert.equal([...(found?.addresses ?? [])], [[9, '1000-2000']]);
  assert.equal([...(found?.unreadable ?? [])], [[10, 'maps or exe: EACCES']]);
  assert.equal(found?.rest, [11]);
});

parsing('no beginning of the output passes for all of it', () => {
  for (let end = 0; end < output.length; end++) assert.is(parseMappings(output.slice(0, end)), undefined);
});

for (const [title, text] of [
  ['an unknown record', records('x 1', 'e')],
  ['a mapped file that is missing', records('f 253:0 12 /lib/a', 'p 7 - 1', 'e')],
  ['an executable that is missing', records('f 253:0 12 /lib/a', 'p 7 1 0', 'e')],
  ['an end before the last record', records('e', 'p 7 -')],
] as const) {
  parsing(`${title}: malformed`, () => assert.is(parseMappings(text), undefined));
}

parsing('the addresses are those of files whose device has the major number 0', () => {
  const programs = { executable: undefined, mapped: [library, memory, { ...memory, inode: 100 }] };
  assert.equal(
    programs.mapped.map((file) => addressesOf(programs, '1000-2000 3000-4000', file)),
    ['', '1000-2000', '3000-4000'],
  );
});
parsing.run();

const running = suite('running read-mappings');

/** Runs a script instead of read-mappings, with `$1` as the file that contains the output. */
function findWith(script: string, text = output): ReturnType<typeof findMappedFiles> {
  return whileTemporaryDirectory((directory) => {
    const file = path.join(directory, 'output');
    fs.writeFileSync(file, text, 'latin1');
    const program = path.join(directory, 'program');
    fs.writeFileSync(program, `#!/bin/sh\noutput=${file}\n${script}\n`, { mode: 0o755 });
    return findMappedFiles(directory, [7, 8, 9, 10, 11], program);
  });
}

running('it receives the processes, in the directory of procfs', async () => {
  const found = await findWith('[ "$*" = "7 8 9 10 11" ] && [ -e program ] && cat "$output"');
  assert.is(found?.groups.length, 2);
});

for (const [title, script, text] of [
  ['it is killed', 'head -c 60 "$output"; kill -9 $$', undefined],
  ['it is killed after complete records', 'cat "$output"; kill -9 $$', undefined],
  ['it fails', 'cat "$output"; exit 1', undefined],
  ['it does not end in time', 'cat "$output"; exec sleep 60', undefined],
  [
    'it prints too much',
    'cat "$output"',
    records(...Array.from({ length: 4500 }, () => `f 0:1 1 /${'a'.repeat(4000)}`), 'e'),
  ],
] as const) {
  running(`${title}: no result`, async () => assert.is(await findWith(script, text), undefined));
}

running('it is missing, or there are too many processes: no result', async () => {
  assert.is(await findMappedFiles('/proc', [1], '/nonexistent/read-mappings'), undefined);
  const pids = Array.from({ length: 10_001 }, (_, pid) => pid + 1);
  assert.is(await findMappedFiles('/proc', pids, '/bin/true'), undefined);
});
running.run();
