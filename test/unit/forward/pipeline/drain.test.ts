import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { hasRunningStop, isShuttingDown, stallGuard } from '../../../../agent/forward/pipeline/drain.ts';
import { HostError } from '../../../../agent/lib/errors.ts';
import { type SystemReader, systemReader } from '../../../../agent/system/reader.ts';

const drain = suite('drain');

/** Returns a system whose systemctl prints a text. With undefined, systemctl cannot be started. */
function systemWith(stdout: string | undefined): SystemReader {
  const run: SystemReader['run'] = () =>
    stdout === undefined
      ? Promise.reject(new HostError('/usr/bin/systemctl: no such file', 'ENOENT'))
      : Promise.resolve({ stdout, ended: 'bad' });
  return { ...systemReader(), run };
}

for (const [stdout, expected] of [
  ['running\n', false],
  ['degraded\n', false],
  ['stopping\n', true],
  ['', true],
  [undefined, true],
] as const) {
  drain(
    `systemctl says ${JSON.stringify(stdout)}: ${expected ? 'a shutdown' : 'only the service stops'}`,
    async () => {
      assert.is(await isShuttingDown(systemWith(stdout)), expected);
    },
  );
}

for (const [what, jobs, expected] of [
  ['no job', '', false],
  ['a start', '1 a.service start running\n', false],
  ['a stop that waits', '1 a.service stop waiting\n', false],
  ["the forwarder's own stop", '7 immutafs-forward.service stop running\n', false],
  ['another stop', '7 immutafs-forward.service stop running\n 8 a.service  stop   running\n', true],
] as const) {
  drain(`${what}: ${expected ? 'wait' : 'do not wait'}`, () => assert.is(hasRunningStop(jobs), expected));
}

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
