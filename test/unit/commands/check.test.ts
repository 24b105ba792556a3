import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type CheckOptions, checkCommand } from '../../../agent/commands/check.ts';
import { formatUsageHistory, parseUsageHistory } from '../../../agent/facts/records.ts';
import { type SystemWriter, systemWriter } from '../../../agent/system/writer.ts';
import type { Fields } from '../../../agent/system/log.ts';
import { driftMessage, verdictMessage } from '../../../agent/report/log.ts';
import type { Report } from '../../../agent/report/report.ts';
import { runCommand } from '../../harness/command-line.ts';
import { type Guest, goodGuest, maintenanceGuest, withGuest } from '../../harness/guest.ts';
import { writeFiles } from '../../harness/temporary.ts';

interface Entry {
  level: number;
  message: string;
  fields: Fields;
}

const reportFile = 'run/immutafs/report.json';

interface Options extends Partial<CheckOptions> {
  writer?: Partial<SystemWriter>;
  /** Changes the root directory before the check. */
  change?: (root: string) => void;
}

/** Runs `check` in a guest whose root directory has the files that earlier checks left. */
async function check(
  guest: Guest,
  left: Record<string, string>,
  { writer, change, ...options }: Options = {},
) {
  return withGuest(guest, async (reader, root) => {
    writeFiles(root, left);
    change?.(root);
    const entries: Entry[] = [];
    let stdout = '';
    const output = {
      stdout: (text: string) => void (stdout += text),
      stderr: () => undefined,
      terminal: false,
    };
    const log = (level: number, message: string, fields: Fields) =>
      void entries.push({ level, message, fields });
    let opened = 0;
    const open = () => Promise.resolve((opened++, log));
    const used = { ...systemWriter(root), ...writer };
    const code = await checkCommand(reader, used, output, { color: 'never', ...options }, open);
    const modeOf = (file: string) => fs.statSync(path.join(root, file)).mode & 0o777;
    return {
      ...{ entries, opened, code, stdout, messages: entries.map(({ message }) => message) },
      ...{ report: read(root, reportFile), login: read(root, 'run/immutafs/login') },
      ...{ usage: read(root, usageFile), prom: read(root, 'run/metrics/a.prom') },
      reportMode: writer === undefined ? modeOf(reportFile) : undefined,
      metrics: fs.existsSync(path.join(root, 'run/metrics'))
        ? fs.readdirSync(path.join(root, 'run/metrics')).map((name) => [name, modeOf(`run/metrics/${name}`)])
        : [],
    };
  });
}

function read(root: string, file: string): string {
  const whole = path.join(root, file);
  return fs.existsSync(whole) ? fs.readFileSync(whole, 'utf8') : '';
}

function looseTmp(): Guest {
  const guest = goodGuest();
  guest.mounts['tmp'] = (guest.mounts['tmp'] ?? '').replace('noexec,', '');
  return guest;
}

const drift = suite('check: what it logs');

drift('the first check of a boot logs every finding and the verdict', async () => {
  const { entries, code, report } = await check(goodGuest(), {});
  const { checks } = JSON.parse(report) as { checks: unknown[] };
  assert.is(entries.length, checks.length + 1);
  assert.is(code, 0);
});

drift('the login message is written beside the report', async () => {
  assert.is((await check(goodGuest(), {})).login, '');
  const { login } = await check(looseTmp(), {});
  assert.match(login, /^immutafs-agent: [^\n]*: tmp-options\. [^\n]*\n$/);
});

const usageFile = 'run/immutafs/usage.json';
const bootId = '6ad9c6b3-2c5b-4b0e-9b1f-6d6f0c1f3a52';

drift('the use of /var is kept beside the report, once in two minutes, and not in maintenance', async () => {
  const first = [{ uptime: 5, usedBytes: 1, inodesUsed: 2 }];
  const guest = (uptime: number) => {
    const changed = goodGuest();
    changed.answers.uptime = uptime;
    return changed;
  };
  const left = { [usageFile]: formatUsageHistory(bootId, first) };
  const now = { usedBytes: 12 * 1024 * 1024, inodesUsed: 1000 };
  assert.equal(parseUsageHistory((await check(guest(115), left)).usage), {
    bootId,
    samples: [...first, { uptime: 115, ...now }],
  });
  assert.equal(parseUsageHistory((await check(guest(114), left)).usage).samples, first);
  const other = { [usageFile]: formatUsageHistory('another boot', first) };
  assert.equal(parseUsageHistory((await check(guest(115), other)).usage).samples, [{ uptime: 115, ...now }]);
  assert.is((await check(maintenanceGuest(), {})).usage, '');
});

drift('a damaged history of the use of /var is replaced, with a warning', async () => {
  const { report } = await check(goodGuest(), {});
  const { entries, usage } = await check(goodGuest(), { [reportFile]: report, [usageFile]: '{' });
  assert.is(parseUsageHistory(usage).samples.length, 1);
  assert.equal(
    entries.map(({ level, message }) => [level, message.replace(/:.*/, '')]),
    [[4, 'The usage history cannot be read and begins anew']],
  );
});

drift('nothing is logged if nothing changed, and the journal is not opened', async () => {
  const { report, opened: before } = await check(goodGuest(), {});
  const { entries, opened } = await check(goodGuest(), { [reportFile]: report });
  assert.equal({ entries, opened, before }, { entries: [], opened: 0, before: 1 });
});

drift('--boot logs every finding', async () => {
  const { report, entries } = await check(goodGuest(), {});
  const again = await check(goodGuest(), { [reportFile]: report }, { boot: true });
  assert.is(again.entries.length, entries.length);
});

drift('one entry for the check that changed, one for the verdict', async () => {
  const { report } = await check(goodGuest(), {});
  const { entries, code } = await check(looseTmp(), { [reportFile]: report });
  assert.is(code, 1);
  const [tmp, verdict, ...more] = entries;
  assert.equal(more, []);
  assert.is(tmp?.level, 3);
  assert.match(tmp?.message ?? '', /^tmp-options changed from pass to fail: \/tmp: .*noexec\. To fix: /);
  assert.is(tmp?.fields['MESSAGE_ID'], driftMessage.messageId);
  assert.is(tmp?.fields['IMMUTAFS_OLD_STATUS'], 'pass');
  assert.is(tmp?.fields['IMMUTAFS_STATUS'], 'fail');
  assert.match(tmp?.fields['IMMUTAFS_REMEDY'] ?? '', 'remount,noexec');
  assert.is(verdict?.message, 'Verdict: failed, was sealed (disk vda is read-only (virtio-feature))');
  assert.is(verdict?.fields['MESSAGE_ID'], verdictMessage.messageId);
  assert.is(verdict?.fields['IMMUTAFS_OLD_VERDICT'], 'sealed');
});

drift('one entry and the verdict after a fix', async () => {
  const { report } = await check(looseTmp(), {});
  const { entries } = await check(goodGuest(), { [reportFile]: report });
  assert.equal(
    entries.map(({ level, message }) => [level, message.split(':')[0]]),
    [
      [5, 'tmp-options changed from fail to pass'],
      [5, 'Verdict'],
    ],
  );
});

drift('a changed observation is not logged', async () => {
  const { report } = await check(goodGuest(), {});
  const fuller = goodGuest();
  fuller.answers.usage.usedBytes *= 2;
  const { entries, report: after } = await check(fuller, { [reportFile]: report });
  assert.equal(entries, []);
  assert.match(after, '10% of 256 MiB');
});

drift('a check that the previous report does not have', async () => {
  const { report } = await check(goodGuest(), {});
  const older = JSON.parse(report) as { checks: { id: string }[] };
  older.checks = older.checks.filter(({ id }) => id !== 'swap-off');
  const { entries } = await check(goodGuest(), { [reportFile]: JSON.stringify(older) });
  assert.equal(
    entries.map(({ message }) => message.split(':')[0]),
    ['swap-off changed from none to pass'],
  );
});

drift('a report of another boot is ignored', async () => {
  const { report, entries } = await check(goodGuest(), {});
  const other = report.replace('6ad9c6b3', '7ad9c6b3');
  const again = await check(goodGuest(), { [reportFile]: other });
  assert.is(again.entries.length, entries.length);
});

for (const [title, text] of Object.entries({
  'no JSON': '{"schema": 1',
  'another form': '{"host": {"bootId": 1}}',
  'no object': '[]',
  'a list instead of findings':
    '{"at": "", "verdict": "", "host": {"bootId": ""}, "checks": {}, "disks": []}',
})) {
  drift(`a report that cannot be read causes a warning, and every finding is logged: ${title}`, async () => {
    const { entries } = await check(goodGuest(), {});
    const again = await check(goodGuest(), { [reportFile]: text });
    assert.match(again.entries[0]?.message ?? '', /^The previous report cannot be read and is ignored: /);
    assert.is(again.entries.length, entries.length + 1);
  });
}

drift('a report that other users may write is ignored with a warning', async () => {
  const { report, entries } = await check(goodGuest(), {});
  const change = (root: string) => fs.chmodSync(path.join(root, reportFile), 0o666);
  const again = await check(goodGuest(), { [reportFile]: report }, { change });
  assert.equal([again.entries.length, again.reportMode], [entries.length + 1, 0o644]);
  assert.match(again.messages[0] ?? '', /is ignored: .*users other than root may write to it/);
});

drift(
  'if no file can be written, findings and verdict are logged, and the exit code is that of the verdict',
  async () => {
    const writeAtomically = () => {
      throw new Error('ENOSPC');
    };
    const { messages, code } = await check(looseTmp(), {}, { writer: { writeAtomically } });
    assert.is(code, 1);
    assert.ok(messages.some((message) => message.startsWith('tmp-options: fail: ')));
    assert.ok(messages.some((message) => message.startsWith('Verdict: failed ')));
    assert.equal(
      messages.slice(-4),
      ['The report', 'The login message', 'The usage history', 'The state at boot'].map(
        (label) => `${label} cannot be written: ENOSPC`,
      ),
    );
  },
);

drift('only the first check of a boot records the state at boot', async () => {
  await withGuest(goodGuest(), async (reader, root) => {
    const run = async () => {
      await runCommand(reader, ['check'], { root });
      return read(root, 'run/immutafs/boot-state.json');
    };
    const first = await run();
    assert.is(
      (JSON.parse(first) as { bootId: string }).bootId,
      reader.read('/proc/sys/kernel/random/boot_id').trim(),
    );
    assert.is(fs.statSync(path.join(root, 'run/immutafs/boot-state.json')).mode & 0o7777, 0o600);
    assert.is(await run(), first);
    fs.writeFileSync(path.join(root, 'run/immutafs/boot-state.json'), first.replace('6ad9c6b3', 'another'));
    const now = JSON.parse(await run()) as { bootId: string };
    assert.is(
      now.bootId,
      (JSON.parse(first) as { bootId: string }).bootId,
      'that of another boot is replaced',
    );
  });
});

drift('writes the report that status prints', async () => {
  await withGuest(goodGuest(), async (reader, root) => {
    const { code, stderr } = await runCommand(reader, ['check', '--boot'], { root });
    assert.equal([code, stderr.replace(/^<\d>.*\n/gm, '')], [0, '']);
    const file = path.join(root, 'run/immutafs/report.json');
    assert.is(fs.statSync(file).mode & 0o7777, 0o644);
    const { stdout } = await runCommand(reader, ['status', '--json']);
    assert.is(
      (JSON.parse(fs.readFileSync(file, 'utf8')) as Report).verdict,
      (JSON.parse(stdout) as Report).verdict,
    );
    assert.ok(fs.readFileSync(file, 'utf8').endsWith('}\n'));
  });
});

drift.run();

const metrics = suite('check: PROMETHEUS_FILE');

function withMetrics(...directories: string[]): Guest {
  const guest = goodGuest();
  guest.files['etc/immutafs/immutafs.conf'] = 'PROMETHEUS_FILE=/run/metrics/a.prom\n';
  guest.directories.push(...directories);
  return guest;
}

metrics('is written completely and readable by all, and no temporary file remains', async () => {
  const { prom, code, metrics: files } = await check(withMetrics('run', 'run/metrics'), {});
  assert.equal([code, files], [0, [['a.prom', 0o644]]]);
  assert.match(prom, 'immutafs_verdict{verdict="sealed"} 1\n');
});

metrics('a missing directory causes a warning, and the report is written', async () => {
  const { entries, code, report } = await check(withMetrics(), {});
  assert.equal([code, entries.at(-1)?.level], [0, 4]);
  assert.match(entries.at(-1)?.message ?? '', /^PROMETHEUS_FILE cannot be written: .*no such file/);
  assert.match(report, '"verdict": "sealed"');
});

metrics.run();
