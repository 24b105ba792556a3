import { withMonitor } from '../vm/harness/monitor.ts';

/**
 * Returns the devices of a running machine and their properties, as QEMU knows them (`info qtree` in its manual).
 *
 * @param socket the socket of QEMU's monitor
 * @throws if QEMU does not answer, or names no device
 */
export async function readDevices(socket: string): Promise<[string, string][]> {
  const tree = await withMonitor(socket, (ask) =>
    ask('human-monitor-command', { 'command-line': 'info qtree' }),
  );
  return parseDevices(String(tree));
}

/** Parses a tree in which each device begins with a line `dev: NAME`, and its properties follow. @throws if there is none */
export function parseDevices(tree: string): [string, string][] {
  const [, ...devices] = tree.split(/^ *dev: /m);
  if (devices.length === 0) throw new Error(`QEMU names no device: ${tree}`);
  return devices.map((text) => {
    const [name = '', ...properties] = text.trim().split(/\r?\n */);
    return [`device ${name}`, properties.filter((line) => !line.startsWith('bus: ')).join('; ')];
  });
}
