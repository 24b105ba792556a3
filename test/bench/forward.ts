import { execa } from 'execa';
import { inRoot } from '../../packaging/build/paths.ts';
import { figures } from './forward/figures.ts';
import type { Measured, Plan } from './forward/measure.ts';
import { fileFigures } from './forward-files.ts';
import { buildPrograms } from './programs.ts';
import type { Result } from './run.ts';
import { unpack } from './unpack.ts';

/** The number of entries per sender. In a second run, the agent and journal-upload forward five times as many. */
const entries = Number(process.env['BENCH_ENTRIES'] ?? 200_000);
const many = 5 * entries;

/** Compares the forwarder with other programs that send the journal to a log server, each with the same receiver. */
export async function forward(): Promise<Result> {
  const { agent } = await buildPrograms();
  // The packages of syslog-ng and rsyslog conflict, and the tests need rsyslog.
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
      `${entries} entries of 800 bytes in the export format (${many} to compare uploads); for each sender one complete\n` +
      'run and one with a SIGKILL half-way. Processor time includes child processes; rate limits are switched off.\n' +
      'Latency: journald notifies readers only every 250 ms, systemd-journal-remote of each entry.\n' +
      busy(measured),
    control: 'rival',
    figures: [...figures(measured), ...(await fileFigures(agent))],
  };
}

/** Shows whether a receiver is the bottleneck. */
function busy({ whole }: Measured): string {
  const shares = Object.entries(whole).map(
    ([name, { wall, receiverSeconds }]) => `${name} ${((100 * receiverSeconds) / wall).toFixed(0)} %`,
  );
  return `The receivers' processor time, as a share of the elapsed time: ${shares.join('; ')}`;
}
