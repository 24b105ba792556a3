import { createConnection } from 'node:net';
import { createInterface } from 'node:readline';

/** The name of the port of the guest agent (QEMU: docs/interop/qemu-ga). */
export const agentPort = 'org.qemu.guest_agent.0';

/** Sends a command of the guest agent (QEMU: docs/interop/qemu-ga-ref.html), and returns its answer. */
export type AskAgent = (command: string, args?: Record<string, unknown>) => Promise<unknown>;

/**
 * Calls `work` with the agent of a guest, which must run already.
 *
 * @param socket the socket of its port, `agentPort`
 */
export async function withGuestAgent<T>(socket: string, work: (ask: AskAgent) => Promise<T>): Promise<T> {
  const connection = createConnection(socket);
  const lines = createInterface({ input: connection })[Symbol.asyncIterator]();
  const ask: AskAgent = async (command, args = {}) => {
    connection.write(`${JSON.stringify({ execute: command, arguments: args })}\n`);
    for (;;) {
      const line = await lines.next();
      if (line.done === true) throw new Error(`no answer to ${command}`);
      const answer = JSON.parse(line.value) as { return?: unknown; error?: { desc: string } };
      if (answer.error !== undefined) throw new Error(`${command}: ${answer.error.desc}`);
      // QEMU's monitor (`monitor.ts`) sends a greeting and events, too.
      if ('return' in answer) return answer.return;
    }
  };
  try {
    return await work(ask);
  } finally {
    connection.destroy();
  }
}
