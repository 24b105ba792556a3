import type { SystemReader } from '../../system/reader.ts';

/** What configures a system, as root, by what it finds on any disk or in the network. */
export interface Provisioning {
  /** Units that are installed and that this boot does not keep from running. */
  units: string[];
  /** What cloud-init left in /run: it ran in this boot. */
  ran: string[];
}

/** units/provisioning.sh masks the same ones. */
export const provisioningUnits = [
  ...['cloud-init-main.service', 'cloud-init-local.service', 'cloud-init-network.service'],
  ...['cloud-init.service', 'cloud-config.service', 'cloud-final.service'],
  ...['cloud-init-hotplugd.service', 'cloud-init-hotplugd.socket'],
  ...['afterburn.service', 'afterburn-checkin.service', 'afterburn-firstboot-checkin.service'],
  ...['afterburn-hostname.service', 'afterburn-sshkeys@.service'],
];

/** By this file cloud-init leaves a boot alone (cloud-init 0.7.7 and later, "Disable cloud-init"). */
export const cloudInitDisabled = '/etc/cloud/cloud-init.disabled';

/** @param words of the kernel command line, where cloud-init= wins over the file */
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

/** By our generator, by the administrator, or at run time (systemd.unit(5)). */
function isMasked(reader: SystemReader, unit: string): boolean {
  const folders = ['/run/systemd/generator.early', '/etc/systemd/system', '/run/systemd/system'];
  return folders.some((folder) => {
    const file = `${folder}/${unit}`;
    const stat = reader.stat(file);
    if (stat?.kind === 'link') return reader.link(file) === '/dev/null';
    return stat?.kind === 'file' && stat.bytes === 0;
  });
}
