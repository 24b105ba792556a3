import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { whileTemporaryDirectory } from '../../harness/temporary.ts';
import { assertSealed, look, varAndLogOnLvm, withAgent } from '../harness/scenario.ts';
import { shared } from '../harness/shared.ts';

/** A single sealed boot. The command in maintenance mode is tested in `overlay-maintenance.test.ts`. */
const changes = suite('changes of a running guest with an overlay on /var and one on /var/log');

const command = 'immutafs-agent changes';
const plant = [
  'mkdir -p /var/spool/cron/crontabs /run/systemd/system',
  'echo "* * * * * root /bin/true" >/var/spool/cron/crontabs/root',
  'echo "[Service]" >/run/systemd/system/planted.service',
  'cp /bin/true /var/tmp/shell && chmod 4755 /var/tmp/shell',
  'cp /usr/bin/sleep /run/foreign && (setsid /run/foreign 600 </dev/null >/dev/null 2>&1 &)',
  'rm /var/lib/dpkg/diversions',
  'rm -r /var/lib/dpkg/info && mkdir /var/lib/dpkg/info',
  'touch -d @1 /var/lib/dpkg/status',
  'echo planted >/var/log/planted.log',
].join(' && ');

const steps = {
  ...look,
  clean: command,
  seen: `${command} --since-report`,
  plant,
  view: command,
  json: `${command} --json --sha256`,
  unseen: `${command} --json --since-report`,
  export: `${command} --export - >$OUT/evidence.tar`,
  'to-home': `${command} --export /home/evidence.tar && tar -tf /home/evidence.tar | grep -c . && rm /home/evidence.tar`,
  'to-layer': `${command} --export /var/evidence.tar`,
  limited: `${command} --export - --max-size 1M | tar -xOf - manifest.json`,
  user: `runuser -u nobody -- ${command}`,
};

interface Line {
  path: string;
  layer: string;
  change: string;
  what: string[];
  category?: string;
  sha256?: string;
  member?: string;
}

const linesOf = (text: string) =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);

/** The boot, and the exported tar file. */
const booted = shared(() =>
  withAgent({ layout: varAndLogOnLvm }, (guest) =>
    whileTemporaryDirectory(async (folder) => {
      const boot = await guest.boot({ disk: 'readonly', steps, outTo: folder, limitSeconds: 500 });
      const evidence = boot.done ? await readFile(join(folder, 'evidence.tar')) : Buffer.alloc(0);
      return { boot, evidence };
    }),
  ),
);

changes('the guest is sealed', async () => {
  assertSealed((await booted()).boot);
});

changes('on a clean boot, nothing is a program that starts by itself, or a set-uid program', async () => {
  const { boot } = await booted();
  const { exit, stdout, stderr } = boot.step('clean');
  assert.is(exit, 0, stderr);
  assert.not.match(stdout, /^(cron|unit|udev|at|startup|setuid|device|login|executable) /m);
  assert.match(stdout, /in logs, caches and service state/);
});

changes('a planted cron job, unit and set-uid program come first', async () => {
  const { boot } = await booted();
  const { exit, stdout, stderr } = boot.step('view');
  assert.is(exit, 0, stderr);
  const first = stdout
    .split('\n')
    .slice(0, 3)
    .map((line) => line.replace(/ {2,}/g, ' ').split(' ').slice(0, 3).join(' '));
  assert.equal(first, [
    'cron added /var/spool/cron/crontabs/root',
    'unit added /run/systemd/system/planted.service',
    'setuid added /var/tmp/shell',
  ]);
  const lines = linesOf(boot.step('json').stdout);
  const found = (path: string) => {
    const { change, what, layer } = lines.find((each) => each.path === path) ?? {};
    return [layer, change, what?.join()];
  };
  assert.equal(found('/var/lib/dpkg/diversions'), ['/var', 'deleted', '']);
  assert.equal(found('/var/lib/dpkg/info')[1], 'opaque');
  assert.equal(found('/var/lib/dpkg/status'), ['/var', 'modified', 'mtime']);
  assert.equal(found('/var/log/planted.log'), ['/var/log', 'added', '']);
  assert.ok(lines.some(({ path, change }) => change === 'deleted' && path.startsWith('/var/lib/dpkg/info/')));
  const sum = createHash('sha256').update('planted\n').digest('hex');
  assert.is(lines.find(({ path }) => path === '/var/log/planted.log')?.sha256, sum);
  const unseen = linesOf(boot.step('unseen').stdout).map(({ path }) => path);
  assert.ok(unseen.includes('/var/tmp/shell') && unseen.includes('/var/log/planted.log'));
  assert.ok(unseen.length < lines.length, 'a change that was seen is not reported again');
  assert.is(boot.step('user').exit, 3);
});

changes('the export contains what was planted, and matches its manifest', async () => {
  const { boot, evidence } = await booted();
  assert.is(boot.step('export').exit, 0, boot.step('export').stderr);
  const read = (member: string) =>
    execFileSync('tar', ['-xOf', '-', member], { input: evidence, maxBuffer: 2 ** 30 });
  const summary = JSON.parse(read('manifest.json').toString()) as Record<
    'texts' | 'processes' | 'journal' | 'manifest',
    { member: string; sha256: string }[]
  >;
  const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
  const parts = [...summary.texts, ...summary.processes, ...summary.journal, ...summary.manifest];
  for (const { member, sha256: expected } of parts) assert.is(sha256(read(member)), expected, member);
  for (const member of [
    'mountinfo',
    'boot.env',
    'report.json',
    'processes/00001.ndjson',
    'journal/00001.export',
  ])
    assert.ok(
      parts.some((each) => each.member === member),
      member,
    );
  assert.match(read('journal/00001.export').toString('latin1'), /^_BOOT_ID=/m);
  const processes = read('processes/00001.ndjson').toString().trimEnd().split('\n');
  const marks = processes.map((line) => JSON.parse(line) as { executable: string; foreign: unknown });
  assert.equal(
    marks.filter(({ foreign }) => foreign !== false).map(({ executable, foreign }) => [executable, foreign]),
    [
      [
        '/run/foreign',
        {
          ...{ path: '/run/foreign', role: 'executable', why: 'memory' },
          ...{ reason: 'in memory, tmpfs at /run', otherFiles: 0 },
        },
      ],
    ],
  );
  const lines = linesOf(summary.manifest.map(({ member }) => read(member).toString()).join(''));
  const shell = lines.find(({ path }) => path === '/var/tmp/shell');
  assert.is(sha256(read('files/var/tmp/shell')), shell?.sha256);
  assert.is(read('files/run/systemd/system/planted.service').toString(), '[Service]\n');
  assert.is(read('files/var/log/planted.log').toString(), 'planted\n');
  assert.ok(Number(boot.step('to-home').stdout) > 10, boot.step('to-home').stderr);
  assert.is(boot.step('to-layer').exit, 3);
  assert.match(boot.step('to-layer').stderr, /lost at a reboot/);
  assert.match(boot.step('limited').stderr, /raise --max-size/);
});

changes.run();
