import { configFile } from '../config/config.ts';
import { type ForwardCounts, type Forwarder, heartbeat } from '../facts/forwarder.ts';
import { unwrap } from '../facts/observed.ts';
import type { Check, Outcome } from './check.ts';

/** So long a server, or the network at boot, may be away. */
const patienceSeconds = 300;

/** What is logged reaches the log server. */
export const forwardHealthy: Check = {
  id: 'forward-healthy',
  severity: 'required',
  seal: false,
  messageId: 'd6eec8b9bbd44ad798ac78b0d47c8a7e',
  documentation: {
    title: 'what is logged reaches the log server',
    means:
      'Where FORWARD names a server, immutafs-forward.service runs, is connected, and nothing was lost on the way; a server may be away for five minutes. With a bad value of FORWARD or FORWARD_*, or a line of the configuration that is not understood, the forwarder does not start, and the check fails.',
    why: 'In a sealed boot /var is memory: what is not forwarded ends with the boot, and with it the traces of whoever was there.',
    fix: 'Where the check names lines of the configuration, fix them and restart immutafs-forward.service. Else immutafs-agent forward --test says step by step what does not work: the name, the connection, the certificates or the protocol. systemctl status immutafs-forward.service has the reason of an end.',
  },
  evaluate: (facts) => {
    const { config, forward, forwardProblems } = facts;
    if (forwardProblems.length > 0) return misconfigured(forwardProblems);
    const subject = config.FORWARD;
    const nothing = { subject, expected: '', remedy: '' };
    if (subject === '')
      return { status: 'skip', ...nothing, observed: 'FORWARD is empty: what is logged ends with this boot' };
    const { status, observed } = judge(unwrap(forward), facts.identity.uptime);
    const remedy = status === 'pass' ? '' : remedies[status];
    return { status, subject, expected: 'connected, and nothing lost', observed, remedy };
  },
};

/** Its subject is the file: the configuration alone is at fault (exit code 2). */
function misconfigured(problems: readonly string[]): Outcome {
  return {
    status: 'fail',
    subject: configFile,
    expected: 'a configuration that says where to forward and whom to trust',
    observed: `the forwarder does not start: ${problems.join('; ')}`,
    remedy: 'Fix the lines named, then `systemctl restart immutafs-forward.service`.',
  };
}

const remedies = {
  warn: 'Look at it again in some minutes, and at `immutafs-agent forward --test`.',
  fail: 'Run `immutafs-agent forward --test`, and `systemctl status immutafs-forward.service`.',
};

type Judgement = { status: keyof typeof remedies | 'pass'; observed: string };

function judge(forwarder: Forwarder | undefined, uptime: number): Judgement {
  const early = (seconds: number) => (seconds < patienceSeconds ? 'warn' : 'fail');
  if (forwarder === undefined) return { status: early(uptime), observed: 'not started in this boot' };
  const { state, alive, reportedSeconds, sinceSeconds } = forwarder;
  const { error } = state;
  const why = error === '' ? '' : `: ${error}`;
  if (!alive || state.state === 'stopped') return { status: early(uptime), observed: `not running${why}` };
  if (reportedSeconds > (3 * heartbeat) / 1000)
    return { status: 'fail', observed: `silent for ${Math.round(reportedSeconds)} s` };
  if (state.state !== 'connected')
    return { status: early(sinceSeconds), observed: `not connected for ${Math.round(sinceSeconds)} s${why}` };
  if (error !== '') return { status: 'warn', observed: `connected, but ${error}` };
  const behind = state.lag.seconds ?? 0;
  if (behind > patienceSeconds) return { status: 'warn', observed: `${Math.round(behind)} s behind` };
  const missing = describeLoss(state.counts);
  if (missing !== '') return { status: 'warn', observed: `connected, but ${missing}` };
  return { status: 'pass', observed: `connected to ${state.target}` };
}

function describeLoss({ lost, corrupt, refused, cut, suppressed }: ForwardCounts): string {
  return [
    [lost, 'gone from the journal before they were sent'],
    [corrupt, 'unreadable in the journal'],
    [refused, 'refused by the server'],
    [cut, 'too long and cut'],
    [suppressed, 'suppressed by journald'],
  ]
    .filter(([count]) => count !== 0)
    .map(([count, what]) => `${count} entries ${what}`)
    .join(', ');
}
