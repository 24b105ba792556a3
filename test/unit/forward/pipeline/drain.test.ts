import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isShuttingDown, quietGuard, stallGuard } from '../../../../agent/forward/pipeline/drain.ts';
import { SystemError } from '../../../../agent/lib/errors.ts';
import { type SystemReader, systemReader } from '../../../../agent/system/reader.ts';

const drain = suite('drain');

const own = '7 immutafs-forward.service stop running\n';
const shutdown = ' 1 shutdown.target  start waiting\n';

interface Answer {
  stdout: string;
  ended?: 'good' | 'bad' | 'deadline';
  cgroup?: string;
}

/** Returns a system whose systemctl prints a text. Without an answer, systemctl cannot be started. */
function systemWith(answer: Answer | undefined): SystemReader {
  const { stdout = '', ended = 'good', cgroup = '0::/system.slice/immutafs-forward.service' } = answer ?? {};
  return {
    ...systemReader(),
    readIfPresent: () => `${cgroup}\n`,
    run: () =>
      answer === undefined
        ? Promise.reject(new SystemError('/usr/bin/systemctl: no such file', 'ENOENT'))
        : Promise.resolve({ stdout, ended }),
  };
}

for (const [title, answer, expected] of [
  ['the service stops', { stdout: own }, false],
  ['the service restarts', { stdout: '9 immutafs-forward.service restart running\n' }, false],
  ['another unit stops as well', { stdout: `${own}8 a.service stop running\n` }, false],
  ['the system shuts down', { stdout: own + shutdown }, true],
  ['systemctl prints nothing and fails', { stdout: '', ended: 'bad' }, true],
  ['systemctl prints nothing, as in a chroot', { stdout: '' }, true],
  ['systemctl says offline', { stdout: 'offline\n', ended: 'bad' }, true],
  ['systemctl says unknown', { stdout: 'unknown\n', ended: 'bad' }, true],
  ['systemctl fails after the list', { stdout: own, ended: 'bad' }, true],
  ['systemctl does not answer', { stdout: '', ended: 'deadline' }, true],
  ['systemctl cannot be started', undefined, true],
  ['systemd does not run the process', { stdout: '', ended: 'bad', cgroup: '0::/user.slice' }, false],
] satisfies [string, Answer | undefined, boolean][])
  drain(`${title}: ${expected ? 'drains as at a shutdown' : 'only the service stops'}`, async () => {
    assert.is(await isShuttingDown(systemWith(answer)), expected);
  });

drain('the journal is quiet when its last entry has been the same for 5 s', () => {
  let time = 0;
  const quiet = quietGuard(() => time);
  const at = (seconds: number, cursor: string | undefined) => {
    time = seconds * 1000;
    return quiet(cursor);
  };
  assert.equal(
    [at(1, 'a'), at(4, 'b'), at(8, 'b'), at(8.9, undefined), at(9, 'b'), at(10, 'c'), at(15, undefined)],
    [false, false, false, false, true, false, true],
  );
});

/** Returns the seconds after which a backlog is abandoned, at most 100. */
function abandonedAfter(acknowledged: (second: number) => number, idle = false): number {
  let second = 0;
  const progress = { acknowledged: () => acknowledged(second), idle: () => idle };
  const moving = stallGuard(progress, () => second * 1000);
  while (second < 100 && moving()) second += 1;
  return second;
}

drain('a backlog is abandoned after 8 s without an acknowledgement', () => {
  assert.is(
    abandonedAfter(() => 5),
    8,
  );
  assert.is(
    abandonedAfter((second) => Math.min(second, 20)),
    28,
  );
  assert.is(
    abandonedAfter(() => 5, true),
    100,
  );
});

drain('lines of log files are progress, although the cursor of the journal stays', () => {
  assert.is(
    abandonedAfter((second) => Math.floor(second / 7)),
    100,
  );
});

drain.run();
