/** The units of MOUNT_OPTIONS. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { generate, kept, runVar, same } from '../../../harness/generator.ts';

const restricted = 'noexec,nosuid,nodev';
const logindCapabilities =
  'CAP_MAC_ADMIN CAP_AUDIT_CONTROL CAP_CHOWN CAP_KILL CAP_DAC_READ_SEARCH CAP_DAC_OVERRIDE CAP_FOWNER CAP_SYS_TTY_CONFIG';

const test = suite('generator: MOUNT_OPTIONS');
/** Returns what the generator writes if /var and /var/log are mounted with nosuid and nodev. */
const units = (
  value: string,
  mounts: Readonly<Record<string, string>> = {},
  fstab = '',
  files: Readonly<Record<string, string>> = { 'usr/lib/systemd/system/user-runtime-dir@.service': '' },
) =>
  generate({
    config: `MOUNT_OPTIONS=${value}\n`,
    mounts: { '/var': 'tmpfs rw,nosuid,nodev', '/var/log': 'tmpfs rw,nosuid,nodev', ...mounts },
    ...{ files, fstab },
  });
const onEl7 = (value: string, fstab = '') => units(value, {}, fstab, {});
const command = (options: string, target: string) =>
  `[Service];ExecStart=;ExecStart=/usr/libexec/immutafs/immutafs-boot options ${options} ${target}`;

test('mounts with the options need no unit, except at shutdown', () => {
  same(
    units(`/var/log:${restricted}`, { '/var/log': `tmpfs rw,${restricted}` }),
    kept(['/var/log', '/run/var']),
  );
});
test('a mount without an option, and a path that is mounted later', () => {
  const [homeUnit, logUnit] = ['home', 'var-log'].map((each) => `immutafs-mount-options@${each}.service`);
  same(units('/home:noexec /var/log:noexec', {}, '/dev/vdz /home btrfs nofail 0 0\n'), [
    `${homeUnit}.d/immutafs.conf: [Unit];RequiresMountsFor=/home;${command('noexec', '/home')}`,
    `${logUnit}.d/immutafs.conf: [Unit];RequiresMountsFor=/var/log;Before=local-fs.target;${command('noexec', '/var/log')}`,
    ...kept(['/run/var'], `Wants=${homeUnit};Wants=${logUnit};`),
  ]);
});
test('programs run from /run at shutdown', () => {
  const service = 'immutafs-mount-options@run.service';
  same(units('/run:noexec,nosuid', { '/run': 'tmpfs rw,nosuid,noexec' }), [
    `${service}.d/immutafs.conf: ${command('noexec,nosuid', '/run')};[Service];ExecStop=/usr/libexec/immutafs/immutafs-boot options exec /run`,
    ...kept(['/run/var'], `Wants=${service};`),
  ]);
});
test('the directories of users', () => {
  const service = 'immutafs-user-runtime@';
  same(units('/run/user/*:noexec'), [
    ...runVar,
    `user@.service.d/immutafs.conf: [Unit];Wants=${service}%i.service;After=${service}%i.service`,
    `${service}.service.d/immutafs.conf: ${command('noexec', '/run/user/%i')}`,
  ]);
});
test('the directories of users on RHEL 7: one tmpfs, in which logind cannot mount another', () => {
  const logind = `systemd-logind.service.d/immutafs.conf: [Unit];After=run-user.mount;[Service];CapabilityBoundingSet=;CapabilityBoundingSet=${logindCapabilities}`;
  const tmpfs = (options: string) =>
    `run-user.mount: [Unit];Before=local-fs.target;[Mount];What=tmpfs;Where=/run/user;Type=tmpfs;Options=mode=0755,size=100000k,nosuid,nodev,${options}`;
  same(onEl7('/run/user/*:noexec'), [
    logind,
    tmpfs('noexec'),
    ...kept(['/run/var'], 'Wants=run-user.mount;'),
  ]);
  const both = onEl7('/run/user/*:nodev /run/user/*:noexec');
  assert.ok(both.includes(tmpfs('nodev,noexec')), both.join('\n'));
  assert.is(both.filter((line) => line.startsWith('systemd-logind')).length, 1);
  // The file system of an administrator gets the options instead.
  const own = onEl7('/run/user/*:noexec', 'tmpfs /run/user tmpfs size=1g 0 0\n');
  const service = 'immutafs-mount-options@run-user.service';
  assert.ok(
    own.some((line) => line.startsWith(`${service}.d/immutafs.conf: `) && /noexec \/run\/user$/.test(line)),
  );
  assert.ok(!own.some((line) => line.startsWith('run-user.mount')), own.join('\n'));
  assert.ok(own.includes(logind), own.join('\n'));
});
test('two items for a path', () => {
  const [first, ...more] = units('/srv:noexec /srv:nodev').filter((line) =>
    line.startsWith('immutafs-mount-options@srv'),
  );
  assert.equal(more, []);
  assert.match(
    first ?? '',
    /ExecStart=;ExecStart=\S+ options noexec \/srv;.*;\[Service\];ExecStart=\S+ options nodev \/srv$/,
  );
});

test.run();
