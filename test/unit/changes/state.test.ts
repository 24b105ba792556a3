import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { formatBytes } from '../../../agent/lib/format.ts';
import { type StateReport, lossTable } from '../../../agent/changes/state.ts';

const losses = suite('changes --state');

const loss = (directories: string[], more: Partial<StateReport> = {}): StateReport => ({
  ...{ service: null, name: directories[0] ?? '', directories, units: [], files: 1, bytes: 5 },
  ...{
    lastWrite: '2026-03-04T05:06:07.089Z',
    loses: 'what was written',
    proposal: 'keep',
    command: 'copy it',
  },
  ...more,
});

losses(
  'a row for each directory, below the last one the command on a line of its own, however long it is',
  () => {
    const command = `copy ${'/var/lib/long '.repeat(40)}`.trim();
    const lines = lossTable([
      loss(['/var/lib/a', '/var/spool/a'], { units: ['a.service', 'b.service'], proposal: 'reset' }),
      loss(['/var/lib/b'], { files: 2, command }),
    ]);
    const fields = lines.slice(0, 6).map((line) => line.trim().split(/ {2,}/));
    assert.equal(fields, [
      ['PATH', 'SIZE', 'UNIT', 'PROPOSAL', 'A REBOOT LOSES'],
      ['/var/lib/a', `${formatBytes(5)} in 1 file`, 'a.service', 'reset', 'what was written'],
      ['/var/spool/a'],
      ['copy it'],
      ['/var/lib/b', `${formatBytes(5)} in 2 files`, '-', 'keep', 'what was written'],
      [command],
    ]);
    assert.is(lines.at(-1), '  immutafs-agent prepare --only state');
  },
);

losses('the columns are aligned', () => {
  const [head = '', row = ''] = lossTable([loss(['/var/lib/a-long-name'])]);
  assert.is(head.indexOf('SIZE'), row.indexOf(formatBytes(5)));
});

losses('a name cannot control the terminal', () => {
  const lines = lossTable([loss(['/var/lib/a\x1b[2J'], { command: 'copy /var/lib/a\x1b[2J\nrm' })]);
  // oxlint-disable-next-line no-control-regex -- the expression detects them
  assert.not.ok(lines.some((line) => /[\x00-\x1f]/.test(line)));
});
losses.run();
