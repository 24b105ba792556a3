# shellcheck shell=sh disable=SC2154 # immutafs-generator sets early
# Masks services that run as root at boot with data from any disk of the guest.

# Masks these units in a sealed boot with empty files of early priority, which override /etc (systemd.unit(5)):
# - cloud-init reads user data from any disk with the label cidata or config-2 in every boot, and a new instance-id there
#   makes it run the user data again (RHEL 7 to 10);
# - Afterburn reads SSH keys from a disk with the label config-2 (RHEL CoreOS).
# These services configured the guest before it was sealed. Starts no process.
mask_provisioning() {
  for unit in cloud-init-main.service cloud-init-local.service cloud-init-network.service cloud-init.service \
    cloud-config.service cloud-final.service cloud-init-hotplugd.service cloud-init-hotplugd.socket \
    afterburn.service afterburn-checkin.service afterburn-firstboot-checkin.service afterburn-hostname.service \
    afterburn-sshkeys@.service; do
    [ ! -e "/usr/lib/systemd/system/$unit" ] || printf '' >"$early/$unit"
  done
}
