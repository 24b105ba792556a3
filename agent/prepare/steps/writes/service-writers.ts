import type { KnownWriter } from './known-writer.ts';

/** The rows of services and their timers. The columns are explained in known-writer.ts. */
export const serviceWriters: readonly KnownWriter[] = [
  {
    id: 'keytab',
    paths: /^\/etc\/krb5\.keytab/,
    outcome: 'change',
    advice:
      'sssd renews the password of the machine account every 30 days (with adcli or realm): it changes the password in the domain and then writes the keytab. In a sealed boot the write fails, and with an overlay it is lost at the reboot, so that the guest can no longer authenticate. Set ad_maximum_machine_account_password_age = 0 in the domain section of /etc/sssd/sssd.conf, and renew with `adcli update` while the disk is writable. Or set krb5_keytab there, and default_keytab_name in /etc/krb5.conf, to a file in a directory of PERSIST, for example /var/lib/sss/keytabs/host.keytab: a file alone cannot be persisted, because it may be replaced by renaming.',
    source: 'sssd-ad(5), sssd-krb5(5), adcli(8), SSSD src/providers/ad/ad_machine_pw_renewal.c',
  },
  {
    id: 'sssd',
    paths: /^\/var\/lib\/sss(\/|$)/,
    outcome: 'persist',
    directories: ['/var/lib/sss:autostart'],
    advice:
      'sssd keeps cached identities and credentials here. Without PERSIST they are lost at every reboot: nobody can log in while the servers cannot be reached, and the first logins are slow. With PERSIST, whoever can write there as root can permit logins and sudo after a reboot, so PERSIST accepts the directory only with the option autostart, and the check footholds names it.',
    source: 'sssd.conf(5) (cache_credentials), sssd(8)',
  },
  {
    id: 'crontabs',
    paths: /^\/var\/spool\/cron(\/|$)/,
    outcome: 'persist',
    directories: ['/var/spool/cron:autostart'],
    advice:
      'crontab(1) writes the crontabs of users here. Without PERSIST, a sealed boot starts with the crontabs on the disk and discards changes at the reboot. With PERSIST, whoever can write a crontab can start programs after a reboot, so PERSIST accepts the directory only with the option autostart, and the check footholds names it.',
    source: 'crontab(1), cron(8)',
  },
  {
    id: 'at-jobs',
    paths: /^\/var\/spool\/at(\/|$)/,
    outcome: 'persist',
    directories: ['/var/spool/at:autostart'],
    advice:
      'at(1) and batch(1) keep jobs here that have not run yet. Without PERSIST they are lost at the reboot. With PERSIST, a job can start a program after a reboot, so PERSIST accepts the directory only with the option autostart, and the check footholds names it.',
    source: 'at(1), atd(8)',
  },
  {
    id: 'web-server-key',
    paths: /^\/etc\/pki\/tls\/(certs|private)\/localhost\.(crt|key)$/,
    outcome: 'maintenance',
    advice: 'httpd-init creates this certificate at the first start of httpd. It exists now.',
    source: 'httpd-init.service(8)',
  },
  {
    id: 'certmonger',
    paths: /^(\/var\/lib\/certmonger|\/etc\/pki\/tls\/(certs|private)|\/etc\/httpd\/alias)(\/|$)/,
    outcome: 'change',
    advice:
      'certmonger renews certificates in the files that `getcert list` shows, and keeps its requests in /var/lib/certmonger. In a sealed boot, a renewed certificate cannot be written outside of /var and is lost with the request at the reboot. Keep the certificates in a directory of PERSIST and /var/lib/certmonger too (`getcert start-tracking -f FILE -k FILE` moves a request), or renew them while the disk is writable.',
    source: 'certmonger(8), getcert-start-tracking(1)',
  },
  {
    id: 'subscription-manager',
    paths: /^\/etc\/(pki\/(entitlement|consumer|product)(\/|$)|rhsm(\/|$)|yum\.repos\.d\/redhat\.repo$)/,
    outcome: 'maintenance',
    advice:
      'rhsmcertd and subscription-manager update the entitlement certificates and redhat.repo. A sealed guest installs no packages and does not need them. To avoid the messages of the failed checks, disable rhsmcertd.service; the next maintenance boot updates them.',
    source: 'rhsmcertd(8), subscription-manager(8)',
  },
  {
    id: 'insights-client',
    paths: /^\/etc\/insights-client(\/|$)/,
    outcome: 'overlay',
    directories: ['/etc/insights-client'],
    advice:
      'insights-client writes .registered and .lastupload here at each upload, which insights-client.timer starts every day. The overlay starts with the registration on the disk. Or disable insights-client.timer.',
    source: 'insights-client(8), RedHatInsights/insights-core insights/client/constants.py',
  },
  {
    id: 'cloud-init',
    paths:
      /^\/etc\/(cloud(\/|$)|sudoers\.d\/90-cloud-init-users$|NetworkManager\/system-connections\/cloud-init)/,
    outcome: 'maintenance',
    advice: 'cloud-init wrote this at boot. The step boot disables cloud-init.',
    source: 'cloud-init: docs, explanation/boot.rst',
  },
  {
    id: 'tuned',
    paths: /^\/etc\/tuned\/(active_profile|profile_mode|bootcmdline|post_loaded_profile)$/,
    outcome: 'maintenance',
    advice:
      'tuned writes the profile here when it is selected. Select the profile with `tuned-adm profile` while the disk is writable; tuned applies it in sealed boots.',
    source: 'tuned-adm(8), tuned: tuned/consts.py',
  },
  {
    id: 'resolv.conf',
    paths: /^\/etc\/resolv\.conf/,
    outcome: 'maintenance',
    advice: 'The step etc checks who writes this file.',
    source: 'NetworkManager.conf(5) (rc-manager)',
  },
  {
    id: 'NetworkManager',
    paths:
      /^\/etc\/(NetworkManager|sysconfig\/network-scripts)\/.|^\/etc\/(NetworkManager|sysconfig\/network-scripts)$/,
    outcome: 'maintenance',
    advice:
      'nmcli and other clients of NetworkManager save connections here. Connections that are saved in a sealed boot are lost; configure the network while the disk is writable.',
    source: 'NetworkManager(8), nm-settings-keyfile(5)',
  },
  {
    id: 'chrony',
    paths: /^\/var\/lib\/chrony(\/|$)/,
    outcome: 'maintenance',
    advice: 'chronyd keeps the drift of the clock here. After a reboot it starts with the value on the disk.',
    source: 'chrony.conf(5) (driftfile)',
  },
  {
    id: 'cups',
    paths: /^\/etc\/cups(\/|$)/,
    outcome: 'overlay',
    directories: ['/etc/cups'],
    advice:
      'cupsd writes printers.conf, classes.conf and subscriptions.conf here, even when a printer only changes its state. Configure the printers while the disk is writable; the overlay starts with them.',
    source: 'cups-files.conf(5) (ServerRoot), CUPS scheduler/subscriptions.c',
  },
  {
    id: 'package-managers',
    paths: /^\/(etc\/PackageKit|var\/(cache|lib)\/(dnf|yum|PackageKit))(\/|$)/,
    outcome: 'harmless',
    advice:
      'dnf-makecache.timer and PackageKit load package lists into /var, and so into memory. A sealed guest installs nothing: disable dnf-makecache.timer (RHEL 7: yum-cron.service) and packagekit.service.',
    source: 'dnf(8) (dnf-makecache.timer), PackageKit.conf(5)',
  },
  {
    id: 'unbound',
    paths: /^\/(etc|var\/lib)\/unbound\/(root\.key|unbound.*\.(key|pem))/,
    outcome: 'maintenance',
    advice:
      'unbound-anchor updates the trust anchor, and unbound-keygen creates keys, once. A sealed boot starts with the anchor on the disk. Update it with `unbound-anchor` while the disk is writable: root keys change once in years.',
    source: 'unbound-anchor(8)',
  },
  {
    id: 'podman-networks',
    paths: /^\/etc\/(cni\/net\.d|containers\/networks)(\/|$)/,
    outcome: 'overlay',
    directories: ['/etc/containers/networks', '/etc/cni/net.d'],
    advice:
      'podman network create writes here. Create networks while the disk is writable; the overlay is needed only if networks are created at run time. The storage of containers is in /var/lib/containers (step var).',
    source: 'podman-network(1)',
  },
  {
    id: 'containers',
    paths: /^\/(root|home\/[^/]+)\/\.local\/share\/containers(\/|$)/,
    outcome: 'change',
    advice:
      'Podman keeps images and containers here. An overlay cannot hold them (overlayfs does not accept another overlay as upper layer): set graphroot in /etc/containers/storage.conf (rootless: rootless_storage_path) to a directory of a data disk.',
    source: 'containers-storage.conf(5)',
  },
  {
    id: 'logrotate',
    paths: /^\/(etc|var\/lib)\/logrotate(\/|\.status|$)/,
    outcome: 'maintenance',
    advice: 'logrotate keeps its state in /var; after a reboot it starts with the state on the disk.',
    source: 'logrotate(8)',
  },
  {
    id: 'mlocate',
    paths: /^\/var\/lib\/(m|p)locate(\/|$)/,
    outcome: 'maintenance',
    advice:
      'updatedb writes its database into the layer of /var, and so into memory, every day. Disable mlocate-updatedb.timer or /etc/cron.daily/mlocate if nobody uses locate.',
    source: 'updatedb(8)',
  },
];
