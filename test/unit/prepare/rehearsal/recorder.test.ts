import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { JournalWatch } from '../../../../agent/prepare/rehearsal/journal-watch.ts';
import type { RehearsalReport, Request } from '../../../../agent/prepare/rehearsal/record.ts';
import { Recorder } from '../../../../agent/prepare/rehearsal/recorder.ts';
import { type SystemWriter, systemWriter } from '../../../../agent/system/writer.ts';
import { type Guest, rehearsalGuest, withGuest } from '../../../harness/guest.ts';

const request: Request = {
  ...{ schema: 1, id: 'r', requestedAt: '2026-03-04T04:00:00.000Z', bootId: 'zeroth', limitSeconds: 1800 },
  baseline: { failed: ['old.service'], skipped: [], refused: [] },
};
const failedUnits = ['old', 'agent']
  .map((name) => `Id=${name}.service\nActiveState=failed\nResult=exit-code\n`)
  .join('\n');

interface Recorded {
  report: RehearsalReport;
  /** The runs of save-rehearsal. */
  saves: string[];
  warnings: string[];
}

/** The guest, its state for systemd, the moment of the rehearsal, and the exit code of save-rehearsal. */
const usual = { guest: undefined as Guest | undefined, state: 'degraded', seconds: 100, saveExit: 0 };

/** Runs the recorder for one step. */
async function record(different: Partial<typeof usual> = {}): Promise<Recorded> {
  const { guest = rehearsalGuest(), state, seconds, saveExit } = { ...usual, ...different };
  guest.answers.run = (program, args) => {
    if (program !== '/usr/bin/systemctl') return undefined;
    return { stdout: args[0] === 'show' ? failedUnits : `${state}\n`, ended: 'good' };
  };
  return withGuest(guest, async (reader, root) => {
    const saves: string[] = [];
    const warnings: string[] = [];
    const run: SystemWriter['run'] = (program, args) => {
      saves.push([path.basename(program), ...args].join(' '));
      const exit = args[1] === 'seal' ? 0 : saveExit;
      return Promise.resolve({ exit, stdout: '', stderr: 'no space\n', late: false });
    };
    const none = () => undefined;
    const stream = { program: 'journalctl', inBlocks: false, pause: none, resume: none, stop: none } as const;
    const journal = new JournalWatch(() => stream);
    journal.add('_SYSTEMD_UNIT=agent.service\n', "cannot touch '/opt/x': Read-only file system");
    const moved = { ...reader, environment: () => ({ ...reader.environment(), seconds }) };
    const log = (_: number, message: string) => void warnings.push(message);
    const stop = new AbortController();
    const recorder = new Recorder(moved, { ...systemWriter(root), run }, request, log, journal);
    const running = recorder.run(stop.signal);
    setTimeout(() => stop.abort(), 1500);
    await running;
    const text = fs.readFileSync(path.join(root, 'run/immutafs/rehearsal.json'), 'utf8');
    assert.is(fs.statSync(path.join(root, 'run/immutafs/rehearsal.json')).mode & 0o777, 0o600);
    return { report: JSON.parse(text) as RehearsalReport, saves, warnings };
  });
}

const recorder = suite('the recorder of a rehearsal');
recorder('new failures and refused writes are saved at once, and again at the end', async () => {
  const { report, saves, warnings } = await record();
  assert.equal(saves, Array<string>(2).fill('immutafs-boot save-rehearsal'));
  assert.equal(
    report.observations.map(({ kind, subject }) => `${kind} ${subject}`),
    ['failed agent.service', 'refused agent.service'],
  );
  assert.equal([report.endedBy, report.settledSeconds, report.ready], ['shutdown', 100, false]);
  assert.match(report.sources.audit, /auditctl is not installed/);
  assert.equal(warnings, []);
});
recorder('before the boot is complete: saved as well, and not ready for this reason', async () => {
  const { report, saves } = await record({ state: 'starting' });
  assert.ok(saves.length > 1);
  assert.is(report.settledSeconds, null);
  assert.is(report.why[0], 'The boot was not complete.');
});
recorder('what fails while the guest is shut down is left out', async () => {
  const { report } = await record({ state: 'stopping' });
  assert.equal(
    report.observations.map(({ kind }) => kind),
    ['refused'],
  );
});
recorder('a required check that does not pass', async () => {
  const guest = rehearsalGuest();
  guest.mounts['root'] = (guest.mounts['root'] ?? '').replace(/\bro\b/g, 'rw');
  guest.answers.tryWrite = 'OK';
  const { report } = await record({ guest });
  const failing = report.observations.filter(({ kind }) => kind === 'check').map(({ subject }) => subject);
  assert.equal(failing, ['root-readonly', 'root-write-probe']);
});
recorder('at the limit', async () => {
  assert.is((await record({ seconds: 1800 })).report.endedBy, 'limit');
});
recorder('ended by the command', async () => {
  const guest = rehearsalGuest();
  guest.files['run/immutafs/rehearsal-ended'] = '';
  assert.is((await record({ guest })).report.endedBy, 'command');
});
recorder(
  'a report that cannot be saved: one warning, and the superblock is made read-only again',
  async () => {
    const { saves, warnings } = await record({ saveExit: 1 });
    assert.equal(
      saves,
      ['save-rehearsal', 'save-rehearsal seal', 'save-rehearsal', 'save-rehearsal seal'].map(
        (words) => `immutafs-boot ${words}`,
      ),
    );
    assert.equal(warnings, ['The report cannot be saved on the disk: no space']);
  },
);
recorder.run();
