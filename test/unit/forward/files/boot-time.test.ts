import fs from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { earliestBootTime } from '../../../../agent/forward/files/boot-time.ts';
import { systemReader } from '../../../../agent/system/reader.ts';
import { forwardedLines, logFiles } from '../../../harness/log-sources.ts';
import { inDirectories } from '../../../harness/temporary.ts';

const bootTimes = suite('the time of the boot, of which later rotations are read');
const bootTimesIn = inDirectories(bootTimes);

const booted = 1_700_000_000;
const hour = 3600;

/** A system with a clock that can be set. @param ahead how far ahead the clock is, in seconds */
function systemAt(directory: string, ahead: number) {
  const clock = { ahead };
  const uptime = 600;
  const reader = {
    ...systemReader({ root: directory }),
    environment: () => ({ hostname: '', kernel: '', uid: 0, seconds: uptime }),
    now: () => new Date((booted + uptime + clock.ahead) * 1000),
  };
  return { clock, reader };
}

/** Writes a file. @param time its mtime, in seconds since the epoch */
function write(file: string, text: string, time: number): void {
  fs.writeFileSync(file, text);
  fs.utimesSync(file, time, time);
}

for (const [title, atStart, atOpen, atRotation] of [
  ['the clock is right', 0, 0, 0],
  ['the clock is set back before the log is opened', 2 * hour, 0, 0],
  ['the clock is set forward before the log is opened', -2 * hour, 0, -2 * hour],
] as const)
  bootTimesIn(`a file that was rotated before the first connection is read: ${title}`, (directory) => {
    const { clock, reader } = systemAt(directory, atStart);
    const log = `${directory}/app.log`;
    const files = logFiles([log], { booted: earliestBootTime(reader) });
    clock.ahead = atOpen;
    write(`${log}.2`, 'an earlier boot\n', booted - 3 * hour);
    write(`${log}.1`, 'one\n', booted + 300 + atRotation);
    write(log, 'two\n', booted + 900);
    assert.equal(forwardedLines(files), ['one', 'two']);
  });

bootTimesIn(
  'a clock that was set forward before the forwarder started: boot.env shows the earlier time',
  (directory) => {
    const { reader } = systemAt(directory, 0);
    const log = `${directory}/app.log`;
    fs.mkdirSync(`${directory}/run/immutafs`, { recursive: true });
    write(`${directory}/run/immutafs/boot.env`, '', booted - 2 * hour);
    write(`${log}.1`, 'one\n', booted - 2 * hour + 300);
    write(log, 'two\n', booted + 900);
    assert.equal(forwardedLines(logFiles([log], { booted: earliestBootTime(reader) })), ['one', 'two']);
  },
);

bootTimes.run();
