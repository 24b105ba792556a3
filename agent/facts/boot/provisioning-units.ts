export const cloudInitUnits: readonly string[] = [
  ...['cloud-init-main.service', 'cloud-init-local.service', 'cloud-init-network.service'],
  ...['cloud-init.service', 'cloud-config.service', 'cloud-final.service'],
];

/** The units of cloud-init and Afterburn, which the generator masks. */
export const provisioningUnits = [
  ...cloudInitUnits,
  ...['cloud-init-hotplugd.service', 'cloud-init-hotplugd.socket'],
  ...['afterburn.service', 'afterburn-checkin.service', 'afterburn-firstboot-checkin.service'],
  ...['afterburn-hostname.service', 'afterburn-sshkeys@.service'],
];
