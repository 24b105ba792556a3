import type { SystemReader } from '../../system/reader.ts';

/** Programs that configure a system, as root, from data on any disk or in the network. */
export interface Provisioning {
  /** Installed units that are neither masked nor disabled. */
  units: string[];
  /** Files of cloud-init in /run: it has run in this boot. */
  ran: string[];
}

/** units/provisioning.sh masks the same units. */
export const provisioningUnits = [
  ...['cloud-init-main.service', 'cloud-init-local.service', 'cloud-init-network.service'],
  ...['cloud-init.service', 'cloud-config.service', 'cloud-final.service'],
  ...['cloud-init-hotplugd.service', 'cloud-init-hotplugd.socket'],
  ...['afterburn.service', 'afterburn-checkin.service', 'afterburn-firstboot-checkin.service'],
  ...['afterburn-hostname.service', 'afterburn-sshkeys@.service'],
];

/** With this file cloud-init is disabled (cloud-init 0.7.7 and later, "Disable cloud-init"). */
export const cloudInitDisabled = '/etc/cloud/cloud-init.disabled';

/** @param words of the kernel command line, in which cloud-init= has precedence over the file */
export function findProvisioning(reader: SystemReader, words: readonly string[]): Provisioning {
  const argument = words.findLast((word) => /^cloud-init=(en|dis)abled$/.test(word));
  const disabled = argument?.endsWith('=disabled') ?? reader.stat(cloudInitDisabled) !== undefined;
  const units = provisioningUnits.filter(
    (unit) =>
      reader.stat(`/usr/lib/systemd/system/${unit}`) !== undefined &&
      !(disabled && unit.startsWith('cloud-')) &&
      !isMasked(reader, unit),
  );
  const results = ['/run/cloud-init/result.json', '/run/cloud-init/status.json'];
  return { units, ran: results.filter((file) => reader.stat(file) !== undefined) };
}

/** By immutafs-generator, by an administrator, or at run time (systemd.unit(5)). */
function isMasked(reader: SystemReader, unit: string): boolean {
  const folders = ['/run/systemd/generator.early', '/etc/systemd/system', '/run/systemd/system'];
  return folders.some((folder) => {
    const file = `${folder}/${unit}`;
    const stat = reader.stat(file);
    if (stat?.kind === 'link') return reader.link(file) === '/dev/null';
    return stat?.kind === 'file' && stat.bytes === 0;
  });
}
