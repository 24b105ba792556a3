import type { Facts } from '../facts/facts.ts';
import type { ForwardCounts, ForwardState } from '../facts/forwarder.ts';

/** `forward` of a report. */
export interface ForwardReport
  extends Pick<ForwardState, 'target' | 'state' | 'since' | 'lastAckAt' | 'lag' | 'error'>, ForwardCounts {}

/** A daemon that has died without saying so is `stopped`. */
export function describeForward({ config, forward }: Facts): ForwardReport | null {
  const forwarder = 'value' in forward ? forward.value : undefined;
  if (forwarder === undefined || config.FORWARD === '') return null;
  const { target, state, since, lastAckAt, lag, error, counts } = forwarder.state;
  return {
    target,
    state: forwarder.alive ? state : 'stopped',
    since,
    lastAckAt,
    lag: { entries: lag.entries, seconds: lag.seconds },
    error,
    acknowledged: counts.acknowledged,
    repeated: counts.repeated,
    lost: counts.lost,
    corrupt: counts.corrupt,
    refused: counts.refused,
    cut: counts.cut,
    suppressed: counts.suppressed,
  };
}
