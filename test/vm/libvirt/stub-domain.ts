import { join } from 'node:path';
import { execa } from 'execa';
import { defineDomain } from './domain.ts';
import type { DomainOptions } from './domain.ts';
import type { Hypervisor } from './hypervisor.ts';

/** Defines a domain with two empty disks and nothing to boot: no sshd, and no reaction to the power button. */
export async function defineStubDomain(
  host: Hypervisor,
  name: string,
  port: number,
  options: Pick<DomainOptions, 'targets' | 'firmware'> = {},
): Promise<void> {
  const folder = join(host.folder, name);
  await execa('mkdir', [folder]);
  for (const image of ['system.raw', 'home.raw']) {
    await execa('truncate', ['--size', '1M', join(folder, image)]);
  }
  await defineDomain(host, { name, folder, loader: null, port, memoryMiB: 128, ...options });
}
