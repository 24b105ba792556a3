/** What SCRATCH accepts, in Node. test/packaging/scratch.test.ts runs the executable. */
import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runBoot } from '../../harness/boot-native.ts';
import { makeSysfs } from '../../harness/sysfs.ts';
import { inTemporaryDirectory, writeFiles } from '../../harness/temporary.ts';

const onDevice = 'STATE=failed\nREASON=/dev/vdb has no mark\nREMEDY=Mark it.\n';

/** Runs `scratch` in a sealed boot with an overlay on /var and no usable device. @returns the exit code and the records by name */
function mounted(
  scratch: string,
  {
    config = '',
    mode = 'sealed',
    files = {},
  }: { config?: string; mode?: string; files?: Parameters<typeof writeFiles>[1] } = {},
): { code: number; stderr: string; records: Record<string, string> } {
  return inTemporaryDirectory((root) => {
    makeSysfs(root, [{ name: 'vda', device: '252:0', bus: 'virtio-blk', offered: true }]);
    writeFiles(root, {
      'proc/self/mountinfo': `1 0 252:0 / / ro - ext4 /dev/vda ro
2 1 0:20 / /run rw - tmpfs run rw
3 2 252:0 /var /run/immutafs/lower ro - ext4 /dev/vda ro
4 1 0:30 / /var rw,nosuid,nodev - overlay immutafs rw,lowerdir=/run/immutafs/lower,upperdir=/run/var/upper,workdir=/run/var/work
`,
      'proc/uptime': '10.00 5.00\n',
      'etc/immutafs/immutafs.conf': `${config}SCRATCH=${scratch}\n`,
      'run/immutafs/boot.env': `MODE=${mode}\n`,
      'run/immutafs/scratch-device': `${onDevice}DEVICE=252:16\n`,
      'srv/file': '',
      'srv/real/file': '',
      'srv/link': { linkTo: 'real' },
      'srv/cache/in/file': '',
      'var/lib/x/file': '',
      'run/immutafs/lower/lib/x/file': '',
      ...files,
    });
    const { code, stderr } = runBoot(root, ['scratch']);
    const folder = path.join(root, 'run/immutafs/scratch');
    const names = fs.existsSync(folder) ? fs.readdirSync(folder).sort() : [];
    const record = (name: string) => [name, fs.readFileSync(path.join(folder, name), 'utf8')];
    return { code, stderr, records: Object.fromEntries(names.map(record)) as Record<string, string> };
  });
}

const paths = suite('scratch: refused');
for (const [title, reason, items, config = ''] of [
  ['a directory of the agent', '/etc/immutafs configures this agent or the boot', '/etc/immutafs'],
  ['a symbolic link', '/srv/link is a symbolic link', '/srv/link'],
  ['a missing directory', '/srv/none does not exist on the disk', '/srv/none'],
  ['a directory that this boot has made', '/var/lib/new does not exist on the disk', '/var/lib/new'],
  ['a file', '/srv/file is not a directory', '/srv/file'],
  ['in PERSIST, too', 'PERSIST or OVERLAY names it, too', '/srv/cache', 'PERSIST=/srv/cache\n'],
  ['below a path of OVERLAY', 'it is below /srv, also in the configuration', '/srv/cache', 'OVERLAY=/srv\n'],
  ['above another path', '/srv/cache/in, also in the configuration, is below it', '/srv/cache /srv/cache/in'],
] as const) {
  paths(`${title}: ${reason}`, () => {
    const { code, records, stderr } = mounted(items, { config, files: { 'var/lib/new/file': '' } });
    const [path = ''] = items.split(' ');
    assert.is(code, 1);
    assert.match(
      records[path.slice(1).replaceAll('/', '=')] ?? '',
      new RegExp(`^STATE=failed\nREASON=.*${reason}.*\nREMEDY=.+\n$`),
    );
    assert.match(stderr, `immutafs: ${path} of SCRATCH is failed: `);
  });
}
paths('the twin: a path in /var, which is in memory; of two items with a path, the first one counts', () => {
  const { code, records } = mounted('/var/lib/x /var/lib/x:required');
  assert.is(code, 0);
  assert.equal(records, { 'var=lib=x': onDevice.replace('failed', 'memory') });
});
paths('maintenance: nothing is mounted or recorded', () => {
  assert.equal(mounted('/srv/link', { mode: 'maintenance' }), { code: 0, stderr: '', records: {} });
});
paths('a soft reboot: the earlier reason remains, and not that of the device', () => {
  const earlier = 'STATE=memory\nREASON=earlier\nREMEDY=Wait.\n';
  const { records } = mounted('/var/lib/x', { files: { 'run/immutafs/scratch/var=lib=x': earlier } });
  assert.equal(records, { 'var=lib=x': earlier });
});
paths('no record of the device', () => {
  const { records } = mounted('/var/lib/x', { files: { 'run/immutafs/scratch-device': '' } });
  assert.match(records['var=lib=x'] ?? '', 'REASON=SCRATCH_DEVICE was not ready in time\n');
});
paths.run();
