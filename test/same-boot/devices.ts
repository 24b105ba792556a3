import { withMonitor } from '../vm/harness/guest-agent.ts';

/**
 * Returns the devices of a running machine and their properties, as QEMU knows them (`info qtree` in its manual). Without an
 * answer, the reason is in their place.
 *
 * @param socket that of the monitor
 */
export async function readDevices(socket: string): Promise<[string, string][]> {
  try {
    return parseDevices(
      await withMonitor(socket, async (ask) =>
        String(await ask('human-monitor-command', { 'command-line': 'info qtree' })),
      ),
    );
  } catch (error) {
    return [['the devices are not known', String(error)]];
  }
}

/** Parses a tree in which each device begins with a line `dev: NAME`, and its properties follow. */
export function parseDevices(tree: string): [string, string][] {
  const [, ...devices] = tree.split(/^ *dev: /m);
  return devices.map((text) => {
    const [name = '', ...properties] = text.trim().split(/\r?\n */);
    return [`device ${name}`, properties.filter((line) => !line.startsWith('bus: ')).join('; ')];
  });
}
