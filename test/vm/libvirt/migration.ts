import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from './domain.ts';
import type { Hypervisor } from './hypervisor.ts';

/**
 * Returns the options of `virsh migrate` with which a domain migrates between two hypervisors on this machine, and the port
 * of 127.0.0.1 that is forwarded to the guest afterwards.
 *
 * @param change changes the XML of the running domain, and that of the next start, on the destination
 */
export async function migrationHere(
  { virsh, folder }: Hypervisor,
  name: string,
  change: { live?: (xml: string) => string; nextStart?: (xml: string) => string } = {},
): Promise<{ options: string[]; port: number }> {
  const port = await freePort();
  const xml = (await virsh('dumpxml', '--migratable', '--security-info', name)).replace(
    /hostfwd=tcp:127.0.0.1:\d+/,
    `hostfwd=tcp:127.0.0.1:${port}`,
  );
  const [live, nextStart] = ['live.xml', 'next-start.xml'].map((file) => join(folder, file)) as [
    string,
    string,
  ];
  await writeFile(live, change.live?.(xml) ?? xml);
  await writeFile(nextStart, change.nextStart?.(xml) ?? xml);
  const files = ['--xml', live, '--persistent-xml', nextStart];
  // The disks have cache=unsafe, and libvirt does not know that both hypervisors see the same files.
  return { options: ['--unsafe', ...files, '--migrateuri', `tcp://127.0.0.1:${await freePort()}`], port };
}
