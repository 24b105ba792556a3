import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { releaseIn, trim } from './kernel.ts';

const kernel = suite('the configuration of a kernel of RHEL');

kernel('modules that guests do not use are left out; all others, and what is built in, stay', () => {
  const lines = trim(
    'CONFIG_XFS_FS=m\nCONFIG_MLX5_CORE=m\nCONFIG_SECURITY_SELINUX=y\n# CONFIG_KASAN is not set',
  ).split('\n');
  assert.equal(lines.slice(0, 4), [
    'CONFIG_XFS_FS=m',
    '# CONFIG_MLX5_CORE is not set',
    'CONFIG_SECURITY_SELINUX=y',
    '# CONFIG_KASAN is not set',
  ]);
});

kernel('a name that only begins like that of a kept module is left out', () => {
  assert.match(trim('CONFIG_XFS_FS_OTHER=m'), /^# CONFIG_XFS_FS_OTHER is not set$/m);
});

kernel('hardware that QEMU does not have follows as left out, so that the last line decides', () => {
  const lines = trim('CONFIG_DRM=y').split('\n');
  assert.ok(lines.indexOf('# CONFIG_DRM is not set') > lines.indexOf('CONFIG_DRM=y'));
});

kernel('an option that is not to be left out stays, and others do not', () => {
  const lines = trim('CONFIG_FTRACE=y\nCONFIG_DRM=y', ['DRM']).split('\n');
  assert.not(lines.includes('# CONFIG_FTRACE is not set'));
  assert.ok(lines.includes('# CONFIG_DRM is not set'));
});

kernel('the release of the package is the end of the version', () => {
  assert.is(
    releaseIn('https://example.org/Packages/kernel-5.14.0-570.32.1.el9_6.src.rpm'),
    '-570.32.1.el9_6.x86_64',
  );
});

kernel('a subject without a package is an error', () => {
  assert.throws(() => releaseIn('Update README'), /no package of a kernel in "Update README"/);
});

kernel.run();
