import { type AskAgent, withGuestAgent } from './guest-agent.ts';

/**
 * Calls `work` with the monitor of a running QEMU, whose protocol is that of the guest agent after a first command
 * (QEMU: docs/interop/qmp-spec).
 *
 * @param socket `Machine.monitor`
 */
export async function withMonitor<T>(socket: string, work: (ask: AskAgent) => Promise<T>): Promise<T> {
  return withGuestAgent(socket, async (ask) => {
    await ask('qmp_capabilities');
    return work(ask);
  });
}
