/** Moving /home: what is text in and text out. The rest needs a kernel: test/system/prepare-home.test.ts. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { byLines } from '../../agent/prepare/home/copy.ts';
import { mergeOptions, withHome, withHomeOptions } from '../../agent/prepare/home/fstab-line.ts';
import { formatMark, noMark, parseMark } from '../../agent/prepare/home/progress-marker.ts';
import { findMove, unescapeName } from '../../agent/prepare/home/purge.ts';
import { roomOn } from '../../agent/prepare/home/space-check.ts';
import type { Entry } from '../../agent/prepare/engine/action-log.ts';

const line = 'UUID=1234-5 /home xfs rw,noexec,nodev,nosuid 0 0';
const fstab = suite('prepare home: fstab');

for (const [title, before, after] of [
  ['without a file', '', `${line}\n`],
  ['at the end', '# x\n/dev/a / xfs ro 0 0\n', `# x\n/dev/a / xfs ro 0 0\n${line}\n`],
  ['no last newline', '/dev/a / xfs ro 0 0', `/dev/a / xfs ro 0 0\n${line}\n`],
  [
    'in the place of a volume',
    '/dev/a / xfs ro 0 0\n/dev/mapper/rhel-home\t/home xfs defaults 1 2\n\n# end',
    `/dev/a / xfs ro 0 0\n#/dev/mapper/rhel-home\t/home xfs defaults 1 2\n${line}\n\n# end`,
  ],
  [
    'more lines',
    '/dev/b /home/ xfs\n/dev/c /home ext4\n',
    `#/dev/b /home/ xfs\n${line}\n#/dev/c /home ext4\n`,
  ],
  ['bytes stay', '# \xe9\n//s/\xff /m cifs x\n', `# \xe9\n//s/\xff /m cifs x\n${line}\n`],
  ['/homes is another', '/dev/b /homes xfs\n', `/dev/b /homes xfs\n${line}\n`],
] as const) {
  fstab(`/home is put into it: ${title}`, () => {
    assert.is(withHome(before, { uuid: '1234-5', type: 'xfs' }), after);
  });
}

for (const [before, after] of [
  ['/dev/b /home xfs defaults 0 0\n', '/dev/b /home xfs defaults,noexec,nosuid,nodev 0 0\n'],
  ['/dev/b\t/home  xfs   exec,uquota\t0 0 # x', '/dev/b\t/home  xfs   uquota,noexec,nosuid,nodev\t0 0 # x'],
  ['/dev/b /home xfs', '/dev/b /home xfs defaults,noexec,nosuid,nodev'],
  ['  /dev/b /home xfs nodev\n/dev/c / xfs\n', '  /dev/b /home xfs noexec,nosuid,nodev\n/dev/c / xfs\n'],
  ['# /dev/b /home xfs\n', '# /dev/b /home xfs\n'],
] as const) {
  fstab(`options are added: ${before.trim()}`, () => {
    assert.is(withHomeOptions(before, ['noexec', 'nosuid', 'nodev']), after);
  });
}
fstab('what contradicts an option goes', () => {
  assert.equal(mergeOptions(['suid', 'dev', 'nosuid', 'x'], ['nosuid', 'nodev']), ['x', 'nosuid', 'nodev']);
});
fstab.run();

const marks = suite('prepare home: the mark of an unfinished disk');
for (const mark of [
  { progress: 'making', uuid: '', seconds: 0 },
  { progress: 'copying', uuid: '68f0dbf4-343f-4b2e-8199-63212c9d26fa', seconds: 1_800_000_000 },
  { progress: 'copied', uuid: '68f0dbf4-343f-4b2e-8199-63212c9d26fa', seconds: 9 },
] as const) {
  marks(`${mark.progress} is read as it was written`, () => {
    assert.is(formatMark(mark).length, 512);
    assert.equal(parseMark(formatMark(mark)), mark);
  });
}
for (const text of [
  '',
  noMark,
  'immutafs home copied',
  'immutafs home eaten - 1\n',
  'immutafs home copied ../x 1\n',
  'immutafs home copied - 1\nx',
  'ximmutafs home copied - 1\n',
]) {
  marks(`no mark: ${JSON.stringify(text.slice(0, 40))}`, () => {
    assert.is(parseMark(text), undefined);
  });
}
marks.run();

const moved = suite('prepare home: when it was moved');
const edit = (number: number, step: Entry['step'], before: string, after: string): Entry => ({
  number,
  step,
  action: { do: 'edit', file: '/etc/fstab', before, after },
  began: `2026-01-0${number}T00:00:00.000Z`,
  ended: null,
  problem: null,
  backup: null,
});
moved('the journal says it, and what was there before', () => {
  const folder = edit(1, 'home', '', withHome('', { uuid: 'a', type: 'xfs' }));
  assert.equal(findMove([folder]), { at: Date.parse('2026-01-01'), volume: undefined, uuid: 'a' });
  const volume = edit(
    2,
    'home',
    '/dev/b /home xfs\n',
    withHome('/dev/b /home xfs\n', { uuid: 'b', type: 'xfs' }),
  );
  assert.equal(findMove([folder, volume]), { at: Date.parse('2026-01-02'), volume: '/dev/b', uuid: 'b' });
});
moved('an edit of its options is no move, nor is another step’s', () => {
  const options = edit(1, 'home', 'UUID=a /home xfs\n', withHomeOptions('UUID=a /home xfs\n', ['nodev']));
  assert.is(findMove([options, edit(2, 'fstab', '', 'UUID=a /home xfs\n')]), undefined);
});
moved.run();

const streams = suite('prepare home: rsync’s words');
streams('lines, however they arrive', () => {
  const lines: string[] = [];
  const feed = byLines((each) => lines.push(each), /[\r\n]/);
  for (const part of ['ab', 'c\rde\n\n', 'f', '\r']) feed(part);
  assert.equal(lines, ['abc', 'de', 'f']);
});
streams('names that are escaped', () => {
  assert.is(unescapeName('with\\#012newline'), 'with\nnewline');
  assert.is(unescapeName('caf\\#303\\#251/plain \\#134#101'), 'caf\xc3\xa9/plain \\#101');
});
streams('room on a disk', () => {
  assert.is(roomOn(0), 0);
  assert.ok(roomOn(1024 ** 3) < 1024 ** 3 * 0.9 && roomOn(1024 ** 4) > 1024 ** 4 * 0.95);
});
streams.run();
