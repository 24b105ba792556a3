import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { boot } from './assemble-var.ts';
import { shells } from './shells.ts';

const options = 'SystemdOptions-8cf2644b-4b0b-428f-9387-6d876050dc67';
const efivars = 'sys/firmware/efi/efivars';
const attributes = '\x07\0\0\0';
const variable = { [`${efivars}/${options}`]: `${attributes}s\0y\0` };
const copy = { [`run/systemd/efivars/${options}`]: 'systemd.run=/bin/false' };
const covered = `/${efivars} tmpfs ro,nosuid,nodev,noexec size=4k,mode=555`;
const warning =
  'WARNING=the EFI variable SystemdOptions is set, which adds kernel arguments: the rest of the boot does not see it';

for (const [name, shell] of Object.entries(shells)) {
  const hidden = suite(`${name}: the EFI variable SystemdOptions`);
  const list = `ls /${efivars}; cat /run/systemd/efivars/* 2>/dev/null; echo .`;
  const small = { 'sysroot/etc/immutafs/immutafs.conf': 'VAR_SIZE=8m\nVAR_INODES=5000\n' };
  const run = (files: Record<string, string>, disk: 'sealed' | 'writable' = 'sealed') =>
    boot({ shell, disk, files: { ...small, ...files }, after: list });

  for (const [title, files] of [
    ['in the firmware', variable],
    ['in the copy that PID 1 of the initramfs made', { ...copy, [`${efivars}/BootOrder-x`]: attributes }],
    ['in both', { ...variable, ...copy }],
  ] as const) {
    hidden(`${title}: systemd of the real root finds no variable and no copy`, () => {
      const booted = run(files);
      assert.is(booted.after, '.\n');
      assert.ok(booted.made.includes(covered), booted.made.join('\n'));
      assert.ok(booted.bootEnv.includes(warning), booted.bootEnv.join('\n'));
      assert.is(booted.code, 0);
    });
  }

  hidden('a copy that cannot be emptied: recorded, and the boot goes on', () => {
    const booted = boot({
      shell,
      files: { ...small, ...variable, ...copy, 'sysroot/var/log/x': '' },
      before: `cd /run/systemd/efivars; mount --bind ${options} ${options}; mount -o remount,bind,ro ${options}; cd /`,
      after: 'findmnt -n -o OPTIONS /sysroot/var/log',
    });
    assert.ok(
      booted.bootEnv.includes(warning.replace(/the rest .*/, 'it could not be hidden and is in effect')),
    );
    assert.is(booted.code, 0);
    assert.match(booted.after, 'noexec', 'MOUNT_OPTIONS is set after this step');
  });

  hidden('in maintenance, the variable is not changed', () => {
    const booted = run({ ...variable, ...copy }, 'writable');
    assert.is(booted.after, `${options}\nsystemd.run=/bin/false.\n`);
    assert.equal(booted.made, []);
  });

  hidden('without the variable, efivarfs stays visible', () => {
    const booted = run({ [`${efivars}/BootOrder-x`]: attributes });
    assert.is(booted.after, 'BootOrder-x\n.\n');
    assert.not(booted.made.includes(covered));
    assert.not(booted.bootEnv.some((line) => line.startsWith('WARNING=')));
  });
  hidden.run();
}
