// Protocols: none
/** Tests read-journal, which the forwarder runs instead of journalctl. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import * as assert from 'uvu/assert';
import { parseCursor } from '../../agent/lib/journal-export/cursor.ts';
import { ExportParser } from '../../agent/lib/journal-export/parser.ts';
import { runEntries } from '../../agent/lib/journal-export/entry.ts';
import { LiveJournal, exportEntry, journalDirectory, numbered, writeJournal } from './support/journal.ts';
import { sleep, until } from './support/until.ts';
import { wireSuite } from './support/wire-suite.ts';

const program = '/usr/libexec/immutafs/read-journal';
const reading = await wireSuite(import.meta.filename, 'read-journal');

/** Returns the cursor of an entry. @param number 1 for the first entry */
function cursorOf(number: number): string {
  const options = ['-q', '--no-pager', '-o', 'export', '--output-fields=MESSAGE'];
  const text = execFileSync('journalctl', options, { maxBuffer: 1024 ** 3 }).toString('latin1');
  const cursors = [...text.matchAll(/^__CURSOR=(.*)$/gm)].map(([, cursor]) => cursor ?? '');
  return cursors[number - 1] ?? '';
}

/** Runs a program that follows the journal until it has printed nothing for a second. */
async function printed(command: string, args: readonly string[]): Promise<Buffer> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const chunks: Buffer[] = [];
  let last = performance.now();
  child.stdout.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    last = performance.now();
  });
  await until('the end of the output', () => chunks.length > 0 && performance.now() - last > 1000);
  child.kill();
  return Buffer.concat(chunks);
}

/** Returns the output of journalctl without the lines that read-journal omits. */
async function byJournalctl(cursor: string, fields: readonly string[]): Promise<Buffer> {
  const output = await printed('journalctl', [
    ...['-q', '--no-pager', '-o', 'export', '--follow', '--no-tail', `--cursor=${cursor}`],
    ...(fields.length > 0 ? [`--output-fields=${fields.join(',')}`] : []),
  ]);
  const omitted = /^__SEQNUM=[0-9]+\n__SEQNUM_ID=[0-9a-f]{32}\n(?=_BOOT_ID=)/gm;
  return Buffer.from(output.toString('latin1').replace(omitted, ''), 'latin1');
}

/** Values with a different form in the export format, or close to one. */
const values = [
  ...['', 'plain', 'tab\there', 'line\nfeed', 'carriage\rreturn', 'escape \x1b[31m', 'delete \x7f', '~'],
  ...['Grüße', '日本語', '😀', '\u0080 control', '\u009f', '\u00a0 space', '\u07ff', '\u0800', '\uffff'],
  ...['\ufdcf', '\ufdd0', '\ufdef', '\ufdf0', '\ufeff mark', '\ufffe none', '\u{1fffe}', '\u{10000}'],
  ...['\u{10ffff}', [0]],
  // Invalid and valid sequences of UTF-8, in hexadecimal.
  ...['fffe', 'c080', 'c1bf', 'e09fbf', 'f08fbfbf', 'eda080', 'ed9fbf', 'f4908080', 'f888808080', '80', 'c3']
    .concat('e282')
    .map((hex) => [...Buffer.from(hex, 'hex')]),
  ...['=', 'A=B', '\n\n__CURSOR=s=0', 'x'.repeat(65_535), 'y'.repeat(200_000), randomBytes(300_000)],
].map((value) => (Array.isArray(value) ? Buffer.from(value) : value));

for (const fields of [[], ['MESSAGE', '_PID'], ['MESSAG', 'PRIORITY', 'NONE']]) {
  reading(`prints the same bytes as journalctl: ${fields.join(', ') || 'all fields'}`, async () => {
    const entries = values.map((value) =>
      exportEntry({ MESSAGE: value, OTHER: [value, 'second'], _PID: '1' }),
    );
    writeJournal(Buffer.concat([numbered('before', 3), ...entries, numbered('after', 500)]));
    const cursor = cursorOf(3);
    const [ours, theirs] = await Promise.all([
      printed(program, [cursor, ...fields]),
      byJournalctl(cursor, fields),
    ]);
    assert.ok(theirs.includes(cursor) && theirs.includes('__REALTIME_TIMESTAMP='));
    assert.ok(ours.equals(theirs), `${ours.length} and ${theirs.length} bytes`);
    assert.not(ours.includes('__SEQNUM'), 'systemd-journal-remote before 254 logs each unknown field');
  });
}

reading('from the first entry of this boot on, prints the same as from its cursor', async () => {
  const earlier = {
    __REALTIME_TIMESTAMP: String((Date.now() - 3_600_000) * 1000),
    __MONOTONIC_TIMESTAMP: '1000000',
  };
  writeJournal(exportEntry({ _BOOT_ID: 'a'.repeat(32), ...earlier, MESSAGE: 'other' }), 'other');
  writeJournal(numbered('this', 5));
  const [ours, theirs] = await Promise.all([printed(program, ['boot']), byJournalctl(cursorOf(2), [])]);
  assert.ok(ours.equals(theirs) && ours.includes('MESSAGE=this 0\n'));
});

reading('waits for the first entry of this boot', async () => {
  writeJournal(exportEntry({ _BOOT_ID: 'a'.repeat(32), MESSAGE: 'other' }), 'other');
  const output = printed(program, ['boot', 'MESSAGE']);
  await sleep(500);
  const journal = new LiveJournal();
  journal.append(numbered('first', 1));
  assert.match((await output).toString(), /^__CURSOR=\S+\n(__\S+\n)*_BOOT_ID=\S+\nMESSAGE=first 0\n\n$/);
  await journal.close();
});

/** Divides the output with --blocks. */
function blocksOf(output: Buffer): { count: number; last: number; content: Buffer }[] {
  const blocks = [];
  for (let at = 0; at < output.length;) {
    const header = /^ *([0-9]+) +([0-9]+) +([0-9]+)\n$/.exec(output.toString('latin1', at, at + 20));
    const [count = NaN, last = NaN, size = NaN] = header?.slice(1).map(Number) ?? [];
    assert.ok(size > 0 && size <= 65_536 - 20, `size ${size}`);
    blocks.push({ count, last, content: output.subarray(at + 20, at + 20 + size) });
    at += 20 + size;
  }
  return blocks;
}

/** Entries with each of the values, and two files with a sequence of numbers each. */
function writeTwoSequences(): void {
  const entries = values.map((value) => exportEntry({ MESSAGE: value, OTHER: 'second' }));
  writeJournal(Buffer.concat([numbered('first', 2000), ...entries]));
  const later = Buffer.concat(Array.from({ length: 20 }, () => exportEntry({ MESSAGE: 'second' })));
  writeJournal(later, 'other');
  const file = `${journalDirectory}/third.journal`;
  fs.writeFileSync('/run/third', numbered('third', 3));
  execFileSync('/usr/lib/systemd/systemd-journal-remote', ['-o', file, '/run/third'], { stdio: 'ignore' });
}

reading('--blocks: the same bytes, in blocks of consecutive entries or of a part of an entry', async () => {
  writeTwoSequences();
  const [whole, inBlocks] = await Promise.all([
    printed(program, ['boot']),
    printed(program, ['--blocks', 'boot']),
  ]);
  const blocks = blocksOf(inBlocks);
  assert.ok(Buffer.concat(blocks.map(({ content }) => content)).equals(whole));
  const counts = new Map<string, number>();
  const parser = new ExportParser(undefined);
  for (const { count, last, content } of blocks) {
    const entries = parser.push(content);
    if (count === 0) {
      assert.ok(entries.length < 2);
      assert.is(last, 0);
      continue;
    }
    assert.ok(count <= runEntries && entries.length === count, `${entries.length} of ${count}`);
    assert.is(entries.at(-1)?.text, content.toString('latin1', last));
    const cursors = entries.map(({ cursor }) => parseCursor(cursor));
    const [first] = cursors;
    cursors.forEach((cursor, n) => {
      assert.equal([cursor?.source, cursor?.sequence], [first?.source, (first?.sequence ?? NaN) + n]);
    });
    counts.set(first?.source ?? '', Math.max(count, counts.get(first?.source ?? '') ?? 0));
  }
  assert.is(parser.end(), undefined);
  assert.equal([...counts.values()].sort((a, b) => a - b).slice(0, 2), [3, 20]);
  assert.ok([...counts.values()].some((count) => count > 100));
});

reading('--blocks: a missing number and another sequence begin a block', async () => {
  const [one, two] = [numbered('one', 1), numbered('two', 1)];
  const ofOtherBoot = exportEntry({ _BOOT_ID: 'a'.repeat(32), MESSAGE: 'other' });
  writeJournal(Buffer.concat([one, numbered('one', 1, 1), ofOtherBoot, numbered('one', 1, 2)]));
  writeJournal(Buffer.concat([two, numbered('two', 2, 1)]), 'other');
  const blocks = blocksOf(await printed(program, ['--blocks', 'boot', 'MESSAGE']));
  const messages = blocks.map(({ content }) => [...content.toString().matchAll(/^MESSAGE=(.*)$/gm)]);
  assert.equal(
    messages.map((found) => found.map(([, message]) => message)),
    // The sequence numbers are 1, 1, 2, 4, 2 and 3.
    [['one 0'], ['two 0'], ['one 1'], ['one 2'], ['two 1', 'two 2']],
  );
});

reading('prints no entry of another boot', async () => {
  const later = {
    __REALTIME_TIMESTAMP: String((Date.now() + 3_600_000) * 1000),
    __MONOTONIC_TIMESTAMP: '1000000',
  };
  writeJournal(exportEntry({ _BOOT_ID: 'a'.repeat(32), ...later, MESSAGE: 'other' }), 'other');
  writeJournal(numbered('this', 5));
  const cursor = cursorOf(1);
  const [ours, theirs] = await Promise.all([printed(program, [cursor]), byJournalctl(cursor, [])]);
  assert.ok(ours.equals(theirs) && ours.includes('MESSAGE=this 4\n') && !ours.includes('other'));
});

for (const algorithm of ['zstd', 'lz4', 'xz']) {
  reading(`decompresses ${algorithm}`, async () => {
    fs.mkdirSync(journalDirectory, { recursive: true });
    fs.writeFileSync(
      '/run/source',
      Buffer.concat([numbered('entry', 1), exportEntry({ MESSAGE: 'word '.repeat(50_000) })]),
    );
    const writer = '/usr/lib/systemd/systemd-journal-remote';
    const file = `${journalDirectory}/system.journal`;
    const algorithmOf = { ...process.env, SYSTEMD_JOURNAL_COMPRESS: algorithm };
    execFileSync(writer, ['-o', file, '/run/source'], { stdio: 'ignore', env: algorithmOf });
    assert.ok(
      fs.statSync(file).size > 0 &&
        !fs.readFileSync(file).includes('word word word word word word '.repeat(50)),
    );
    assert.ok((await printed(program, [cursorOf(1)])).includes('word '.repeat(50_000)));
  });
}

reading('prints what is added, also to a new file, and ends when its parent ends', async () => {
  const journal = new LiveJournal();
  journal.append(numbered('first', 1));
  await until(
    'the first entry',
    () => fs.statSync(`${journalDirectory}/system.journal`).size > 0 && cursorOf(1) !== '',
  );
  const script = `"$@" >/run/printed & echo $! >/run/child; wait`;
  const shell = spawn('sh', ['-c', script, 'sh', program, cursorOf(1)], { stdio: 'ignore' });
  const text = () => (fs.existsSync('/run/printed') ? fs.readFileSync('/run/printed', 'latin1') : '');
  await until('the first entry', () => text().includes('MESSAGE=first 0\n'));
  journal.append(numbered('second', 1));
  await until('the second entry', () => text().includes('MESSAGE=second 0\n'));
  const other = new LiveJournal('user-1000');
  other.append(numbered('third', 1));
  await until('the entry in another file', () => text().includes('MESSAGE=third 0\n'));
  const child = fs.readFileSync('/run/child', 'utf8').trim();
  shell.kill('SIGKILL');
  await until('the end of the program', () => !isRunning(child));
  await journal.close();
  await other.close();
});

function isRunning(pid: string): boolean {
  try {
    return !/^State:\tZ/m.test(fs.readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

reading('needs only the system calls of Linux 3.10', async () => {
  const filter = '/run/linux-3.10';
  execFileSync('cc', ['-o', filter, `${import.meta.dirname}/../packaging/linux-3.10.c`]);
  const journal = new LiveJournal();
  journal.append(numbered('entry', 1));
  await until(
    'the first entry',
    () => fs.statSync(`${journalDirectory}/system.journal`).size > 0 && cursorOf(1) !== '',
  );
  const child = spawn('setarch', ['--uname-2.6', filter, program, '--blocks', 'boot'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
  await until('the first entry', () => text.includes('MESSAGE=entry 0\n'));
  journal.append(numbered('added', 1));
  await until('the second entry', () => text.includes('MESSAGE=added 0\n'));
  child.kill();
  await journal.close();
});

reading('a wrong cursor and a missing one are errors', () => {
  const wrong = spawnSync(program, ['nonsense'], { encoding: 'utf8' });
  assert.equal(
    [wrong.status, wrong.stderr],
    [1, 'read-journal: Failed to seek to cursor: Invalid argument\n'],
  );
  for (const words of [[], ['--blocks']])
    assert.is(spawnSync(program, words, { encoding: 'utf8' }).status, 2);
});

reading.run();
