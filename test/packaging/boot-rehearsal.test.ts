/**
 * Tests the start of a rehearsal in the initramfs, on a real ext4: the request is removed before anything else, and a
 * request that cannot be carried out leaves the boot in maintenance mode, with the reason.
 */
import * as assert from 'uvu/assert';
import { parseBootEnv } from '../../agent/facts/boot/boot-env.ts';
import { type Boot, assembled, bootIn, config, env, small } from '../shell/initramfs.ts';
import { inNamespace } from '../shell/shells.ts';

const requested = (text = '1800\n') => ({ 'sysroot/etc/immutafs/rehearsal/requested': text });
/** The root is mounted as dracut mounts it. */
const readOnly = 'mount -o remount,ro /sysroot';
/** Replaces the file through which the kernel drops its caches, because that would slow down the whole machine. */
const ownCaches = ': >/dropped; mount --bind /dropped /proc/sys/vm/drop_caches';
/** Prints the flags of the root in its mount and its superblock, and whether the request still exists. */
const state = `while read -r _ _ _ _ target flags rest; do
    [ "$target" = /sysroot ] && echo "\${flags%%,*} \${rest##* }" | cut -d, -f1
  done </proc/self/mountinfo
  [ -e /sysroot/etc/immutafs/rehearsal/requested ] && echo requested || echo gone`;
const rehearsal = { DISKS: 'vda:0:none', REASON: 'rehearsal of a sealed boot, enforced by the guest alone' };
const maintenance = { DISKS: 'vda:0:none', MODE: 'maintenance', REASON: 'disk vda is writable', VAR: 'disk' };
const withdraw = '; `immutafs-agent prepare --end-rehearsal` withdraws the request';
const ignored = (reason: string, more = withdraw) =>
  `WARNING=a rehearsal was requested and is not carried out, because ${reason}${more}`;

inNamespace('rehearsal', (test, shell) => {
  const boot = bootIn(shell);
  const rehearse = ({ before = readOnly, ...options }: Partial<Boot> = {}) =>
    boot({
      disk: 'writable',
      before: `${ownCaches}; ${before}`,
      after: state,
      ...options,
      files: { ...config(small), ...requested(), ...options.files },
    });

  test('a request seals one boot on the writable disk, and is removed', () => {
    const { bootEnv: written, made, after, code, stderr } = rehearse();
    assert.equal(written, [...env(rehearsal), 'REHEARSAL=1800'], stderr);
    assert.equal(made, assembled);
    assert.is(after, 'ro ro\ngone\n');
    assert.is(code, 0);
    assert.equal(parseBootEnv(`UPTIME=1\n${written.join('\n')}`).rehearsal, { limitSeconds: 1800 });
  });

  test('without a request: maintenance', () => {
    const before = `rm -r /sysroot/etc/immutafs/rehearsal; ${readOnly}`;
    const { bootEnv: written, made, after, stderr } = rehearse({ before });
    assert.equal(written, env(maintenance));
    assert.equal(made, []);
    assert.is(after, 'ro ro\ngone\n');
    assert.is(stderr, 'immutafs: maintenance: disk vda is writable; /var\n');
  });

  test('after the remount, the kernel forgets the inodes that it read before the policy of SELinux is loaded', () => {
    assert.is(rehearse({ after: 'cat /dropped' }).after, '2\n');
    const none = 'rm -r /sysroot/etc/immutafs/rehearsal';
    assert.is(rehearse({ before: `${none}; ${readOnly}`, after: 'cat /dropped' }).after, '');
  });

  test('the boot after it is maintenance', () => {
    const command = '/usr/libexec/immutafs/immutafs-boot initramfs /sysroot';
    const again = `umount /sysroot/var /run/var /run/immutafs/lower; rm /run/immutafs/boot.env; ${command}`;
    const { bootEnv: written, after } = rehearse({ script: `${command}; ${again}` });
    assert.equal(written, env(maintenance));
    assert.is(after, 'ro ro\ngone\n');
  });

  test('with the kernel argument rw, the root becomes read-only', () => {
    const { bootEnv: written, after } = rehearse({ before: ':' });
    assert.ok(written.includes('REHEARSAL=1800'));
    assert.is(after, 'ro ro\ngone\n');
  });

  test('the kernel argument auto permits it', () =>
    assert.ok(rehearse({ files: { 'proc/cmdline': 'immutafs=auto' } }).bootEnv.includes('REHEARSAL=1800')));

  test('on a disk that the host made read-only, the seal of the host decides', () => {
    const { bootEnv: written, after } = rehearse({ disk: 'sealed' });
    assert.equal(written, [...env({}), ignored('the host made the disk read-only and seals this boot')]);
    assert.is(after, 'ro ro\nrequested\n');
  });

  for (const [title, files, expected, reason] of [
    [
      'the kernel argument off',
      { 'proc/cmdline': 'immutafs=off' },
      { ...maintenance, MODE: 'off', REASON: 'kernel argument immutafs=off' },
      'the kernel argument immutafs=off is set',
    ],
    [
      'the kernel argument sealed',
      { 'proc/cmdline': 'immutafs=sealed' },
      { DISKS: 'vda:0:none', REASON: 'kernel argument immutafs=sealed' },
      'the kernel argument immutafs=sealed is set',
    ],
    [
      'MODE=sealed',
      config(`${small}MODE=sealed\n`),
      { DISKS: 'vda:0:none', REASON: 'MODE=sealed' },
      'MODE=sealed is set',
    ],
    [
      'MODE=off',
      config(`${small}MODE=off\n`),
      { ...maintenance, MODE: 'off', REASON: 'MODE=off' },
      'MODE=off is set',
    ],
    ...['', '0\n', '-1\n', '9999999\n', '1; reboot\n', '18 00\n'].map(
      (text) =>
        [
          `the limit ${JSON.stringify(text)}`,
          requested(text),
          maintenance,
          '/etc/immutafs/rehearsal/requested has no valid time limit',
        ] as const,
    ),
  ] as const) {
    test(`${title}: not carried out, and the request remains`, () => {
      const { bootEnv: written, after } = rehearse({ files });
      assert.equal(written, [...env(expected), ignored(reason)]);
      assert.is(after, 'ro ro\nrequested\n');
    });
  }

  test('a directory or a symbolic link in place of the request or on the way to it is not followed', () => {
    for (const [change, reason] of [
      ['rm requested; mkdir requested', '/etc/immutafs/rehearsal/requested is not a file'],
      ['mv requested other; ln -s other requested', '/etc/immutafs/rehearsal/requested is a symbolic link'],
      ['cd ..; mv rehearsal other; ln -s other rehearsal', '/etc/immutafs/rehearsal is a symbolic link'],
      ['cd ../..; mv immutafs /sysroot/opt; ln -s ../opt immutafs', '/etc/immutafs is a symbolic link'],
    ] as const) {
      const before = `(cd /sysroot/etc/immutafs/rehearsal; ${change}); ${readOnly}`;
      const { bootEnv: written, after } = rehearse({ before });
      assert.equal(
        written.filter((line) => !/No such|unknown key/.test(line)),
        [...env(maintenance), ignored(reason)],
      );
      assert.is(after, 'ro ro\nrequested\n', change);
    }
  });

  test('a request of more than a day ago is removed and not carried out; one of the future is carried out', () => {
    for (const [when, isCarriedOut] of [
      ['25 hours ago', false],
      ['23 hours ago', true],
      ['14 hours', true],
    ] as const) {
      const before = `touch -d '${when}' /sysroot/etc/immutafs/rehearsal/requested; ${readOnly}`;
      const { bootEnv: written, after } = rehearse({ before });
      assert.is(written.includes('REHEARSAL=1800'), isCarriedOut, when);
      if (!isCarriedOut) {
        const warning =
          'WARNING=a rehearsal was requested more than a day ago and is not carried out; the request was removed';
        assert.equal(written, [...env(maintenance), warning]);
      }
      assert.is(after, 'ro ro\ngone\n', when);
    }
  });

  test('a request that cannot be removed is not carried out', () => {
    const before = `chattr +i /sysroot/etc/immutafs/rehearsal/requested; ${readOnly}`;
    const { bootEnv: written, made, after } = rehearse({ before });
    const [warning = '', ...rest] = written.filter((line) => line.startsWith('WARNING='));
    assert.equal(rest, []);
    assert.match(warning, /, because the request could not be removed: .*not permitted/);
    assert.equal(
      written.filter((line) => line !== warning),
      env(maintenance),
    );
    assert.equal(made, []);
    assert.is(after, 'ro ro\nrequested\n');
  });
});

inNamespace('rehearsal, and the root cannot be remounted', (test, shell) => {
  const boot = bootIn(shell);
  for (const [failing, left] of [
    ['read-write', 'ro ro\nrequested\n'],
    ['read-only', 'rw rw\ngone\n'],
  ] as const) {
    test(`${failing}: maintenance`, () => {
      const booted = boot({
        disk: 'writable',
        files: { ...config(small), ...requested(), fail: `remount ${failing}` },
        before: `${ownCaches}; ${readOnly}`,
        after: state,
      });
      const reason = `the request could not be removed: the remount of /sysroot ${failing} failed: Input/output error`;
      assert.equal(booted.bootEnv, [...env(maintenance), ignored(reason, '')]);
      assert.equal(booted.made, []);
      assert.is(booted.after, left);
    });
  }
});
