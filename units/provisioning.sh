# shellcheck shell=sh disable=SC2154 # early is immutafs-generator's
# What runs as root at boot what any disk of the guest says.

# In a sealed boot these units are masked, by empty files of early priority, which win over /etc (systemd.unit(5)):
# - cloud-init takes user data from any disk with the label cidata or config-2, in every boot, and a new instance-id there
#   makes it run that again (RHEL 7 to 10);
# - Afterburn takes ssh keys from a disk with the label config-2 (RHEL CoreOS).
# What they were to set up was set up before the guest was sealed. Nothing is run for it.
mask_provisioning() {
  for unit in cloud-init-main.service cloud-init-local.service cloud-init-network.service cloud-init.service \
    cloud-config.service cloud-final.service cloud-init-hotplugd.service cloud-init-hotplugd.socket \
    afterburn.service afterburn-checkin.service afterburn-firstboot-checkin.service afterburn-hostname.service \
    afterburn-sshkeys@.service; do
    [ ! -e "/usr/lib/systemd/system/$unit" ] || : >"$early/$unit"
  done
}
