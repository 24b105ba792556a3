import * as assert from 'uvu/assert';
import { suite } from 'uvu';
import { logNewPrograms, logReport, programMessage } from '../../../agent/report/log.ts';
import { sample } from '../../harness/sample-report.ts';
import { type LastReport, parseReport } from '../../../agent/facts/records.ts';
import type { ForeignProgram } from '../../../agent/facts/security/programs/foreign-programs.ts';
import { programLines } from '../../../agent/report/text.ts';
import { formatPrometheus } from '../../../agent/report/prometheus.ts';
import type { Report } from '../../../agent/report/report.ts';

const log = suite('journal');
log('one entry for each finding, then the verdict', () => {
  const entries: { level: number; message: string; fields: Record<string, string> }[] = [];
  logReport(sample, (level, message, fields) => void entries.push({ level, message, fields }));
  assert.equal(
    entries.map(({ level, message }) => [level, message]),
    [
      [6, 'root-readonly: pass: /x: seen'],
      [3, 'host-enforced: fail: /x: seen. To fix: Fix it.'],
      [4, 'initramfs-hook: warn: /x: seen'],
      [6, 'other-options: skip: seen'],
      [3, 'mtab-link: error: /x: seen'],
      [3, 'Verdict: failed (disk vda is read-only (virtio-feature))'],
    ],
  );
  const ids = entries.map(({ fields }) => fields['MESSAGE_ID'] ?? '');
  for (const id of ids) assert.match(id, /^[0-9a-f]{32}$/);
  assert.is(entries[1]?.fields['IMMUTAFS_CHECK'], 'host-enforced');
  assert.is(entries[1]?.fields['IMMUTAFS_STATUS'], 'fail');
  assert.is(entries.at(-1)?.fields['IMMUTAFS_VERDICT'], 'failed');
});
log.run();

const program = (pid: number, path: string, unit = 'a.service'): ForeignProgram => ({
  pid,
  path,
  role: 'executable',
  why: 'memory',
  reason: 'in memory, tmpfs at /dev/shm',
  otherFiles: 0,
  user: 'alice',
  unit,
  command: path,
  startedAt: '2026-03-04T05:06:07.089Z',
});
const withPrograms = (...list: ForeignProgram[]): Report => ({
  ...sample,
  programs: { count: list.length, list },
});

/** Returns the messages that `check` logs after an earlier report. */
function logged(now: Report, before: LastReport | undefined): { pid: string | undefined; message: string }[] {
  const entries: { pid: string | undefined; message: string }[] = [];
  logNewPrograms(now, before, (level, message, fields) => {
    assert.equal([level, fields['MESSAGE_ID']], [4, programMessage.messageId]);
    entries.push({ pid: fields['IMMUTAFS_PID'], message });
  });
  return entries;
}
const pids = (now: Report, before: LastReport | undefined) => logged(now, before).map(({ pid }) => pid);
const asLast = (report: unknown) => parseReport(JSON.stringify(report));

const programs = suite('journal entries of foreign programs');
programs('each new program once, with what is known of its process', () => {
  const now = withPrograms(program(7, '/dev/shm/x'), program(8, '/dev/shm/y'));
  assert.equal(pids(now, undefined), ['7', '8']);
  assert.equal(pids(now, asLast(now)), []);
  assert.is(
    logged(now, undefined)[0]?.message,
    'PID 7 (alice, a.service): a program not from the sealed disk: /dev/shm/x: in memory, tmpfs at /dev/shm',
  );
});
programs('a restarted process is not new; the same path in another unit is', () => {
  const before = asLast(withPrograms(program(7, '/dev/shm/x')));
  assert.equal(pids(withPrograms(program(9, '/dev/shm/x')), before), []);
  assert.equal(pids(withPrograms(program(9, '/dev/shm/x', 'b.service')), before), ['9']);
});
programs('several processes of one program: one entry', () => {
  assert.equal(pids(withPrograms(program(7, '/dev/shm/x'), program(8, '/dev/shm/x')), undefined), ['7']);
});
programs('a program that ended and runs again is new', () => {
  assert.equal(pids(withPrograms(program(9, '/dev/shm/x')), asLast(withPrograms())), ['9']);
});
programs('many new programs: 20 entries and their number', () => {
  const many = Array.from({ length: 50 }, (_, index) => program(index + 1, `/dev/shm/${index}`));
  const entries = logged(withPrograms(...many), undefined);
  assert.is(entries.length, 21);
  assert.match(entries.at(-1)?.message ?? '', /^30 more /);
});
programs('processes that were not examined, and a report of an earlier version', () => {
  assert.equal(pids(sample, undefined), []);
  const earlier: Partial<Report> = withPrograms();
  delete earlier.programs;
  assert.equal(pids(withPrograms(program(7, '/x')), asLast(earlier)), ['7']);
  assert.equal(pids(withPrograms(program(7, '/x')), asLast(sample)), ['7']);
});
programs.run();

const formats = suite('foreign programs in the other formats');
formats('a gauge; no sample if processes were not examined', () => {
  assert.match(formatPrometheus(withPrograms(program(7, '/x'))), /^immutafs_foreign_programs 1$/m);
  assert.match(formatPrometheus(withPrograms()), /^immutafs_foreign_programs 0$/m);
  assert.not.match(formatPrometheus(sample), 'foreign_programs');
});
formats('text: one entry for each of the first 20 programs', () => {
  assert.equal(programLines(sample), []);
  assert.equal(programLines(withPrograms()), []);
  const many = Array.from({ length: 30 }, (_, index) => program(index + 1, `/x${index}`));
  const lines = programLines(withPrograms(...many));
  assert.is(lines.length, 2 + 20 + 1);
  assert.is(
    lines[2]?.text,
    '/x0: in memory, tmpfs at /dev/shm; user alice; a.service; started 2026-03-04 05:06:07 UTC; /x0',
  );
});
formats.run();
