import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { assembled, boot, config, env, machineMounts, nothingLeft, small } from './assemble-var.ts';
import { noModules, noOverlay as noOverlayFound } from './late-boot.ts';
import { shells } from './shells.ts';

const mountsBefore = machineMounts();

for (const [name, shell] of Object.entries(shells)) {
  const failing = suite(`${name}: failures`);
  const sealedAnyway = suite(`${name}: an unusual /var that is no failure`);
  const noOverlay = { 'proc/filesystems': 'nodev\ttmpfs\n\text4\nnodev\toverlayfs\n' };
  for (const [policy, code] of [
    ['degraded', 1],
    ['emergency', 3],
    ['poweroff', 4],
  ] as const) {
    failing(`no overlay in the kernel, ON_FAILURE=${policy}`, () => {
      const booted = boot({
        shell,
        before: noModules,
        files: { ...config(`ON_FAILURE=${policy}\n`), ...noOverlay },
      });
      assert.is(booted.code, code);
      assert.equal(booted.made, []);
      assert.equal(booted.run, nothingLeft);
      assert.equal(booted.bootEnv.slice(0, -1), env({ VAR: 'failed', ON_FAILURE: policy }));
      const error = booted.bootEnv.at(-1) ?? '';
      assert.match(error, noOverlayFound);
      assert.match(booted.stderr, `/var failed: ${error.replace('ERROR=', '')}\n`);
    });
  }

  failing('ON_FAILURE=poweroff has no effect in maintenance', () => {
    const { code } = boot({
      shell,
      disk: 'writable',
      files: { ...config('ON_FAILURE=poweroff\n'), ...noOverlay },
    });
    assert.is(code, 0);
  });

  for (const [title, lines] of [
    ['no /var on the disk', 'rm -r /sysroot/var'],
    ['/var is a file', 'rm -r /sysroot/var; : >/sysroot/var'],
  ] as const) {
    failing(title, () => {
      const booted = boot({ shell, before: lines });
      assert.is(booted.code, 1);
      assert.equal(booted.made, []);
      assert.equal(booted.run, nothingLeft);
      assert.equal(booted.bootEnv.slice(0, -1), env({ VAR: 'failed' }));
      const error = booted.bootEnv.at(-1) ?? '';
      assert.match(error, /^ERROR=\/sysroot\/var on the disk is not a readable directory: stat failed: /);
      assert.match(error, /No such file|Not a directory/);
    });
  }

  for (const [title, damage, error] of [
    [
      'its inode',
      'clri /var',
      /^ERROR=\/sysroot\/var on the disk is not a readable directory: stat failed: /,
    ],
    [
      'its only block',
      'zap_block -f /var 0',
      /^ERROR=\/run\/immutafs\/lower has subdirectories, but its entries cannot be read$/,
    ],
  ] as const) {
    failing(`/var on the disk is damaged: ${title}`, () => {
      const booted = boot({ shell, damage: `debugfs -w -R '${damage}' /image 2>/dev/null` });
      assert.is(booted.code, 1);
      assert.equal(booted.made, []);
      assert.equal(booted.run, nothingLeft);
      assert.equal(booted.bootEnv.slice(0, -1), env({ VAR: 'failed' }));
      assert.match(booted.bootEnv.at(-1) ?? '', error);
    });
  }

  for (const [title, before] of [
    ['empty', 'rm -r /sysroot/var/*'],
    ['a single directory whose name begins with a dot', 'mv /sysroot/var/lib /sysroot/var/.lib'],
    ['a dangling link and a directory', 'ln -s /nowhere /sysroot/var/a'],
  ] as const) {
    sealedAnyway(`/var on the disk is ${title}`, () => {
      assert.equal(boot({ shell, files: config(small), before }).made, assembled);
    });
  }
  sealedAnyway.run();

  failing('/run/var cannot be created', () => {
    const booted = boot({ shell, before: ': >/run/var' });
    assert.is(booted.code, 1);
    assert.equal(booted.made, []);
    assert.match(booted.bootEnv.at(-1) ?? '', /^ERROR=mkdir failed: .*\/run\/var.*File exists/);
  });

  // busybox runs its built-in mount, not the program in PATH.
  const failingMounts = name.startsWith('busybox')
    ? []
    : (['--bind', 'remount', 'tmpfs', 'overlay'] as const);
  for (const part of failingMounts) {
    failing(`mount fails: ${part}`, () => {
      const shim = `#!/bin/bash\ncase " $* " in *${part}*) printf 'mount: two\\nlines\\n' >&2; exit 32 ;; esac\nexec /usr/bin/mount "$@"\n`;
      const booted = boot({
        shell,
        files: { 'shims/mount': shim },
        before: 'chmod +x /shims/mount; PATH=/shims:$PATH; export PATH',
      });
      assert.is(booted.code, 1);
      assert.equal(booted.made, []);
      assert.equal(booted.run, nothingLeft);
      const error = booted.bootEnv.at(-1) ?? '';
      assert.match(error, /^ERROR=mount failed: mount: two lines \(mount /);
      assert.match(error, part);
    });
  }
  failing.run();
}

const leaks = suite('no mount remains on this machine');
leaks('mounts', () => assert.equal(machineMounts(), mountsBefore));
leaks.run();
