import { join } from 'node:path';
import { type DomainOptions, defineDomain, freePort } from './domain.ts';
import { type Hypervisor, redefine, setReadOnly } from './hypervisor.ts';
import { makeDisks } from './images.ts';
import type { InventoryGuest } from './playbooks.ts';

/** What a stub domain may have in place of two raw disks that are writable. */
export interface StubOptions extends Pick<DomainOptions, 'systemFormat' | 'homeFormat'> {
  /** Further elements of <os>. @param folder the folder of the hypervisor */
  firmware?: (folder: string) => string;
  /** The image of the system disk, in place of the domain's own. */
  image?: string;
  /** Whether the system disk is read-only. */
  isSealed?: boolean;
}

/**
 * Defines a domain with two empty disks and nothing to boot, at a port that is not in use. The domain has no sshd and does not
 * react to the power button.
 *
 * @returns the guest for an inventory
 */
export async function defineStubDomain(
  host: Hypervisor,
  name: string,
  { firmware, image, isSealed = false, ...formats }: StubOptions = {},
): Promise<InventoryGuest> {
  const folder = join(host.folder, name);
  await makeDisks(folder, formats);
  const port = await freePort();
  const boot = { loader: null, firmware: firmware?.(host.folder) ?? '' };
  await defineDomain(host, { name, folder, port, memoryMiB: 128, ...boot, ...formats });
  const source = /<source file='[^']*'/;
  if (image !== undefined)
    await redefine(host, name, (xml) => xml.replace(source, `<source file='${image}'`));
  if (isSealed) await setReadOnly(host, name, true);
  return { name, port, key: '/dev/null' };
}

/** Returns the arguments of the collection's modules for `stub`. */
export const stubArguments = ({ uri }: Hypervisor) => ({ uri, domain: 'stub', target: 'vda' });

/** The boot problems that the module `domain` reports for a domain as virt-install defines it. */
export const unsetBoot = [
  'vda has no serial',
  'vdb has no serial',
  "the firmware may boot from a disk other than vda: the domain has <boot dev='hd'/>",
];
