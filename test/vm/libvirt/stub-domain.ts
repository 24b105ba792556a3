import { join } from 'node:path';
import { execa } from 'execa';
import { asQcow2, defineDomain, freePort } from './domain.ts';
import type { DomainOptions } from './domain.ts';
import { withHypervisor } from './hypervisor.ts';
import type { Hypervisor } from './hypervisor.ts';
import { withAnsible } from './playbooks.ts';
import type { Ansible } from './playbooks.ts';

/**
 * Defines a domain with two empty disks and nothing to boot. The domain has no sshd and does not react to the power
 * button.
 */
export async function defineStubDomain(
  host: Hypervisor,
  name: string,
  port: number,
  options: Pick<DomainOptions, 'targets' | 'firmware' | 'systemFormat' | 'homeFormat'> = {},
): Promise<void> {
  const folder = join(host.folder, name);
  await execa('mkdir', [folder]);
  for (const image of ['system.raw', 'home.raw']) {
    await execa('truncate', ['--size', '1M', join(folder, image)]);
  }
  if (options.systemFormat === 'qcow2') await asQcow2(folder);
  if (options.homeFormat === 'qcow2') await asQcow2(folder, 'home');
  await defineDomain(host, { name, folder, loader: null, port, memoryMiB: 128, ...options });
}

/** Runs the collection's module `disk` on the system disk of `stub`. */
export type Disk = (
  readonly: boolean,
  more?: Record<string, unknown>,
  mode?: 'check',
) => ReturnType<Ansible['module']>;

/** Returns the arguments of the collection's modules for `stub`. */
export const stubArguments = ({ uri }: Hypervisor) => ({ uri, domain: 'stub', target: 'vda' });

/** Returns the XML of the domain `stub` for its next start. */
export const stubXml = (hypervisor: Hypervisor, ...options: string[]) =>
  hypervisor.virsh('dumpxml', '--security-info', '--inactive', ...options, 'stub');

/** The boot problems that the module `domain` reports for a domain as virt-install defines it. */
export const unsetBoot = [
  'vda has no serial',
  'vdb has no serial',
  "the firmware may boot from a disk other than vda: the domain has <boot dev='hd'/>",
];

/** Calls `work` with Ansible, a libvirt, and a function that runs the module `disk` on the domain `stub`. */
export async function withStubDomain(
  work: (ansible: Ansible, hypervisor: Hypervisor, disk: Disk) => Promise<void>,
  firmware?: (folder: string) => string,
  systemFormat: 'raw' | 'qcow2' = 'raw',
): Promise<void> {
  await withHypervisor(async (hypervisor) => {
    const port = await freePort();
    await defineStubDomain(hypervisor, 'stub', port, {
      firmware: firmware?.(hypervisor.folder) ?? '',
      systemFormat,
    });
    await withAnsible(hypervisor, [{ name: 'stub', port, key: '/dev/null' }], (ansible) => {
      const disk: Disk = (readonly, more = {}, mode) => {
        const args = { uri: hypervisor.uri, domain: 'stub', target: 'vda', readonly, ...more };
        return ansible.module('disk', args, mode);
      };
      return work(ansible, hypervisor, disk);
    });
  });
}
