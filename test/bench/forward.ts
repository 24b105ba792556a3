import { execa } from 'execa';
import { inRoot } from '../../packaging/build/paths.ts';
import { figures } from './forward/figures.ts';
import type { Measured, Plan } from './forward/measure.ts';
import { buildPrograms } from './programs.ts';
import type { Result } from './run.ts';
import { unpack } from './unpack.ts';

/** Of each sender; five times as many go through the agent alone. */
const entries = Number(process.env['BENCH_ENTRIES'] ?? 200_000);
const many = 5 * entries;

/** The forwarder against what else takes the journal to a log server, each to the same receiver. */
export async function forward(): Promise<Result> {
  const { agent } = await buildPrograms();
  // rsyslog, which the tests need, and syslog-ng exclude each other as packages.
  const syslogNg = unpack('syslog-ng', ['syslog-ng-core', 'libivykis0t64', 'libnet1', 'libwrap0']);
  const plan: Plan = { programs: { agent, syslogNg }, entries, many };
  const { stdout } = await execa(
    'sh',
    [inRoot('packaging/build/run-dist.sh'), process.execPath, inRoot('test/bench/forward/measure.ts')],
    { env: { BENCH_PLAN: JSON.stringify(plan) }, stderr: 'inherit' },
  );
  const measured = JSON.parse(stdout) as Measured;
  return {
    about:
      `${entries} entries of 800 bytes of export; one run of each on this machine, whole, and one with a SIGKILL\n` +
      "half-way. Processor time is the sender's with its children, from its start; rivals' limits of rate are off.\n" +
      'Latency: journald itself tells readers of new entries every 250 ms only; systemd-journal-remote of each.\n' +
      busy(measured),
    control: 'rival',
    figures: figures(measured),
  };
}

/** What bounds a sender, if it is not the sender: a receiver that is at work all the time. */
function busy({ whole }: Measured): string {
  const shares = Object.entries(whole).map(
    ([name, { wall, receiverSeconds }]) => `${name} ${((100 * receiverSeconds) / wall).toFixed(0)} %`,
  );
  return `The receivers' processor time, of the time: ${shares.join('; ')}`;
}
