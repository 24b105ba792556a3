/**
 * The order of the units of the package in a sealed boot, as systemd computes it from the unit files, from what
 * immutafs-generator writes, and from its own rules (systemd.unit(5), "Default Dependencies" and "Implicit Dependencies").
 */
import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { unitFiles } from '../lint/units.ts';
import { bootEnv, generatorScripts } from '../harness/generator.ts';
import { runInSandbox } from './sandbox.ts';

const folder = 'usr/lib/systemd/system';
const repository = path.join(import.meta.dirname, '../..');

/** The units of the real root. */
const own = unitFiles().filter((file) => file.startsWith('units/'));
const names = own.map((file) => path.basename(file));
/** An instance of each template. */
const instances: Readonly<Record<string, string>> = {
  'immutafs-mount-options@.service': 'immutafs-mount-options@srv-log.service',
  'immutafs-mount@.service': 'immutafs-mount@opt-data.service',
  'immutafs-persist@.service': 'immutafs-persist@srv-kept.service',
  'immutafs-session@.service': 'immutafs-session@1.service',
  'immutafs-user-runtime@.service': 'immutafs-user-runtime@1000.service',
  'immutafs-var@.service': 'immutafs-var@opt-late.service',
};
/** Units of other packages, with whose names no unit of this machine needs to exist. */
const others = [
  ...['sshd.service', 'ssh.service', 'sshd-keygen.service', 'sshd-keygen@.service', 'sshd-keygen.target'],
  ...['cloud-init-local.service', 'cloud-init.service', 'cloud-config.service', 'cloud-final.service'],
];
/** A configuration with which immutafs-generator uses every unit. */
const config = {
  SEED: 'host',
  IDENTITY: 'host',
  OVERLAY: '/opt/late',
  PERSIST: '/srv/kept',
  PERSIST_STORE: '/data/store',
  SCRATCH: '/srv/scratch',
  SCRATCH_DEVICE: '/dev/disk/by-id/virtio-scratch',
  MOUNT_OPTIONS: '/srv/log:noexec /run/user/*:noexec',
  FORWARD: 'relp://log',
  FORWARD_STATE: '/srv/state',
};

interface Order {
  before: string;
  after: string;
}

/** What systemd adds to most units, and the unit of this test. */
const everywhere = new Set(['-.mount', 'systemd-journald.socket', 'table.target']);

/** Returns what systemd loads in its test mode (systemd(1), --test), which needs no privileges and starts nothing. */
function load(): { dump: string; log: string } {
  const unit = (name: string) =>
    name.endsWith('.target')
      ? '[Unit]\nDescription=x\n'
      : '[Service]\nType=oneshot\nExecStart=/usr/bin/true\n';
  const loaded = [...names.map((name) => instances[name] ?? name), ...others];
  const { code, stderr, out } = runInSandbox({
    shell: ['dash'],
    scripts: generatorScripts,
    files: {
      ...Object.fromEntries(others.map((name) => [`${folder}/${name}`, unit(name)])),
      ...Object.fromEntries(
        own.map((file) => [
          `${folder}/${path.basename(file)}`,
          fs.readFileSync(path.join(repository, file), 'utf8'),
        ]),
      ),
      // Loads the units without starting or ordering them.
      [`${folder}/table.target`]: `[Unit]\nWants=multi-user.target\n${loaded.map((name) => `PropagatesReloadTo=${name.replace('@.', '@x.')}\n`).join('')}`,
      [`${folder}/blk-availability.service`]: '',
      'etc/fstab':
        '/dev/vda2 /var/log xfs ro 0 0\n/dev/vda3 /opt/data xfs ro 0 0\n/dev/vdb /data xfs defaults 0 0\n',
      'etc/machine-id': `${'1'.repeat(32)}\n`,
      'etc/immutafs/immutafs.conf': Object.entries(config)
        .map(([key, value]) => `${key}=${value}\n`)
        .join(''),
      'run/immutafs/boot.env': bootEnv('sealed'),
    },
    run: `mkdir -p /run/systemd /sys/fs/cgroup /var
      chmod 0777 /run /run/systemd; chmod 1777 /tmp
      mount -t tmpfs x /var
      mount -t cgroup2 x /sys/fs/cgroup
      cd /usr/lib/systemd/system-generators
      mkdir /generators
      cp systemd-fstab-generator /usr/libexec/immutafs/immutafs-generator /generators
      mount --bind /generators .
      export SYSTEMD_LOG_TARGET=console SYSTEMD_LOG_LEVEL=warning
      setpriv --reuid=65534 --regid=65534 --clear-groups /usr/lib/systemd/systemd --test --system --unit=table.target >/out/dump 2>/out/log; exit $?`,
  });
  const { dump = '', log = '' } = out;
  assert.is(code, 0, `${stderr}${log}`);
  return { dump, log };
}

/** Returns the units of the package, each with the units before and after which systemd starts it. */
function orders(dump: string): Record<string, Order> {
  const entries = dump.split('-> ').flatMap((section) => {
    const [, name = ''] =
      /^Unit (immutafs-\S+\.(?:service|timer|target|path)|sshd-keygen(?:@x)?\.service):/.exec(section) ?? [];
    const list = (word: string) =>
      [...section.matchAll(new RegExp(`^\\s*${word}: (\\S+) `, 'gm'))]
        .map(([, each = '']) => each)
        .filter((each) => !everywhere.has(each) && !each.endsWith('.slice'))
        .sort()
        .join(' ');
    return name === '' ? [] : [[name, { before: list('Before'), after: list('After') }] as const];
  });
  return Object.fromEntries(entries);
}

/** Each unit, with the units that systemd starts after it and before it. A shutdown stops them in the reverse order. */
const table: Readonly<Record<string, Order>> = {
  'immutafs-check.service': {
    before: 'immutafs-drift.service immutafs-identity.service shutdown.target',
    after: `
      basic.target immutafs-seed-close.service immutafs-seed-finish.service immutafs-var.service
      local-fs.target multi-user.target sysinit.target`,
  },
  'immutafs-check.timer': {
    before: 'immutafs-drift.service shutdown.target timers.target',
    after: 'sysinit.target',
  },
  'immutafs-drift.service': {
    before: 'shutdown.target',
    after: 'basic.target immutafs-check.service immutafs-check.timer sysinit.target',
  },
  'immutafs-identity.path': {
    before: 'immutafs-identity.target multi-user.target paths.target shutdown.target',
    after: 'sysinit.target',
  },
  'immutafs-identity.service': {
    before: 'shutdown.target',
    after: `
      basic.target immutafs-check.service immutafs-identity.timer multi-user.target sysinit.target`,
  },
  'immutafs-identity.target': { before: 'shutdown.target', after: 'immutafs-identity.path' },
  'immutafs-identity.timer': {
    before: 'immutafs-identity.service multi-user.target shutdown.target timers.target',
    after: 'sysinit.target',
  },
  'immutafs-forward-state.service': {
    before: 'immutafs-forward.service shutdown.target',
    after: 'basic.target local-fs.target sysinit.target systemd-tmpfiles-setup.service',
  },
  'immutafs-forward.service': {
    before: 'shutdown.target',
    after: `
      basic.target dbus.service immutafs-forward-state.service network.target nss-lookup.target
      sysinit.target systemd-tmpfiles-setup.service`,
  },
  'immutafs-mount-options@srv-log.service': {
    before: 'local-fs.target shutdown.target',
    after: 'systemd-remount-fs.service',
  },
  'immutafs-mount@data.service': {
    before: 'data.mount local-fs.target',
    after: 'dev-vdb.device local-fs-pre.target systemd-remount-fs.service',
  },
  'immutafs-mount@opt-data.service': {
    before: 'local-fs.target opt-data.mount',
    after: 'dev-vda3.device local-fs-pre.target systemd-remount-fs.service',
  },
  'immutafs-move-begin.service': {
    before: 'immutafs-move-end.service immutafs-move.service shutdown.target',
    after: 'systemd-remount-fs.service',
  },
  'immutafs-move-end.service': {
    before: 'shutdown.target',
    after: 'immutafs-move-begin.service immutafs-move.service local-fs.target',
  },
  'immutafs-move.service': {
    before: 'immutafs-move-end.service shutdown.target',
    after: 'immutafs-move-begin.service local-fs.target',
  },
  'immutafs-move.target': { before: '', after: '' },
  'immutafs-persist.service': {
    before: 'immutafs-scratch.service local-fs.target srv-kept.mount',
    after: `
      data-store.mount data.mount immutafs-var.service local-fs-pre.target srv.mount
      systemd-remount-fs.service`,
  },
  'immutafs-persist@srv-kept.service': {
    before: 'local-fs.target',
    after: '',
  },
  'immutafs-rehearsal-limit.service': {
    before: '',
    after: '',
  },
  'immutafs-rehearsal.service': {
    before: 'shutdown.target',
    after: 'audit-rules.service auditd.service basic.target local-fs.target sysinit.target',
  },
  'immutafs-scratch-device.service': {
    before: 'immutafs-scratch.service',
    after: `
      dev-disk-by\\x2did-virtio\\x2dscratch.device local-fs-pre.target systemd-remount-fs.service
      systemd-udev-trigger.service systemd-udevd.service`,
  },
  'immutafs-scratch-discard.service': {
    before: 'final.target',
    after: 'umount.target',
  },
  'immutafs-scratch-trim.service': {
    before: 'shutdown.target',
    after: 'basic.target multi-user.target sysinit.target',
  },
  'immutafs-scratch.service': {
    before: 'local-fs.target shutdown.target srv-scratch.mount',
    after: `
      immutafs-persist.service immutafs-scratch-device.service immutafs-var.service srv.mount`,
  },
  'immutafs-seed-close.service': {
    before: 'immutafs-check.service shutdown.target',
    after: 'basic.target sysinit.target',
  },
  'immutafs-seed-ended.service': { before: 'shutdown.target', after: '' },
  'immutafs-seed-finish.service': {
    before: 'immutafs-check.service shutdown.target',
    after: `
      basic.target cloud-config.service cloud-final.service cloud-init-local.service
      cloud-init-main.service cloud-init-network.service cloud-init.service immutafs-seed.service
      multi-user.target sysinit.target`,
  },
  'immutafs-seed.service': {
    before: `
      cloud-config.service cloud-final.service cloud-init-local.service cloud-init.service
      immutafs-seed-finish.service network-pre.target shutdown.target ssh.service sshd-keygen.service
      sshd-keygen.target sshd-keygen@ecdsa.service sshd-keygen@ed25519.service sshd-keygen@rsa.service
      sshd-keygen@x.service sshd.service`,
    after: `
      etc.mount immutafs-var.service systemd-remount-fs.service systemd-udev-trigger.service
      systemd-udevd.service var.mount`,
  },
  'immutafs-session@1.service': {
    before: 'shutdown.target',
    after: 'basic.target sysinit.target',
  },
  'immutafs-user-runtime@1000.service': {
    before: 'shutdown.target user@1000.service',
    after: 'basic.target sysinit.target user-runtime-dir@1000.service',
  },
  'immutafs-var.service': {
    before: `
      immutafs-check.service immutafs-persist.service immutafs-scratch.service immutafs-seed.service
      local-fs.target lvm2-monitor.service systemd-journal-flush.service systemd-journald.service
      systemd-tmpfiles-setup.service systemd-udev-trigger.service systemd-udevd.service`,
    after: 'systemd-remount-fs.service',
  },
  'immutafs-var@etc.service': {
    before: 'etc.mount local-fs.target',
    after: 'local-fs-pre.target systemd-remount-fs.service',
  },
  'immutafs-var@opt-late.service': {
    before: 'local-fs.target opt-late.mount',
    after: 'local-fs-pre.target systemd-remount-fs.service',
  },
  'immutafs-var@var-log.service': {
    before: 'local-fs.target var-log.mount',
    after: 'dev-vda2.device local-fs-pre.target systemd-remount-fs.service var.mount',
  },
  'sshd-keygen.service': {
    before: 'shutdown.target',
    after: `
      basic.target cloud-init-network.service cloud-init.service immutafs-seed.service sysinit.target`,
  },
  'sshd-keygen@x.service': {
    before: 'shutdown.target',
    after: `
      basic.target cloud-init-network.service cloud-init.service immutafs-seed.service sysinit.target`,
  },
};

const order = suite('the order of the units');
const { dump, log } = load();
const found = orders(dump);
order('systemd finds no cycle and no other problem', () => assert.is(log, ''));
order('the table has every unit of the package, and no other', () => {
  const all = names.map((name) => instances[name] ?? name);
  assert.equal(
    all.filter((name) => !(name in table)),
    [],
  );
  assert.equal(Object.keys(found).sort(), Object.keys(table).sort());
});
for (const [name, { before, after }] of Object.entries(table)) {
  order(name, () => assert.equal(found[name], { before: oneLine(before), after: oneLine(after) }));
}
order.run();

function oneLine(text: string): string {
  return text.trim().replaceAll(/\s+/g, ' ');
}
