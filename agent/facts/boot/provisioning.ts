import type { SystemReader } from '../../system/reader.ts';
import { cloudInitUnits, provisioningUnits } from './provisioning-units.ts';

/** The existence of this file disables cloud-init 0.7.7 and later (cloud-init documentation, "Disable cloud-init"). */
export const cloudInitDisabled = '/etc/cloud/cloud-init.disabled';

/**
 * Finds the provisioning programs that can run or have run. They run as root and configure the system from data on any
 * disk or from the network.
 * @param fromSeed whether units count as masked that start only if the boot has accepted the host's seed (SEED=host)
 * @param words the arguments on the kernel command line, where cloud-init= takes precedence over cloudInitDisabled
 */
export function findProvisioning(reader: SystemReader, words: readonly string[], fromSeed: boolean) {
  const argument = words.findLast((word) => /^cloud-init=(en|dis)abled$/.test(word));
  const disabled = argument?.endsWith('=disabled') ?? reader.stat(cloudInitDisabled) !== undefined;
  const units = provisioningUnits.filter(
    (unit) =>
      reader.stat(`/usr/lib/systemd/system/${unit}`) !== undefined &&
      !(disabled && unit.startsWith('cloud-')) &&
      !isMasked(reader, unit) &&
      !(fromSeed && isBoundToSeed(reader, unit)),
  );
  const results = ['/run/cloud-init/result.json', '/run/cloud-init/status.json'];
  return {
    /** Installed units that are neither masked nor disabled. */
    units,
    /** Files in /run which show that cloud-init has run in this boot. */
    ran: results.filter((file) => reader.stat(file) !== undefined),
  };
}

/** Whether immutafs-generator lets a unit of cloud-init start only after the seed was copied. */
function isBoundToSeed(reader: SystemReader, unit: string): boolean {
  const dropin = `/run/systemd/generator/${unit}.d/immutafs.conf`;
  return (
    cloudInitUnits.includes(unit) &&
    /^ConditionPathExists=\/run\/immutafs\/seed\/ready$/m.test(reader.readIfPresent(dropin, 65536) ?? '')
  );
}

/** Whether immutafs-generator, an administrator or a program at run time masked a unit (systemd.unit(5)). */
function isMasked(reader: SystemReader, unit: string): boolean {
  const directories = ['/run/systemd/generator.early', '/etc/systemd/system', '/run/systemd/system'];
  return directories.some((directory) => {
    const file = `${directory}/${unit}`;
    const stat = reader.stat(file);
    if (stat?.kind === 'link') return reader.link(file) === '/dev/null';
    return stat?.kind === 'file' && stat.bytes === 0;
  });
}
