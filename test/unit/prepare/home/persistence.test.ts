import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { withHome } from '../../../../agent/prepare/home/persistence.ts';

const line = 'UUID=1234-5 /home xfs rw,noexec,nodev,nosuid 0 0';
const fstab = suite('prepare home: the line in fstab');

for (const [title, before, after] of [
  ['without a file', '', `${line}\n`],
  ['at the end', '# x\n/dev/a / xfs ro 0 0\n', `# x\n/dev/a / xfs ro 0 0\n${line}\n`],
  ['no last newline', '/dev/a / xfs ro 0 0', `/dev/a / xfs ro 0 0\n${line}\n`],
  [
    'in the place of a volume',
    '/dev/a / xfs ro 0 0\n/dev/mapper/rhel-home\t/home xfs defaults 1 2\n\n# end',
    `/dev/a / xfs ro 0 0\n#/dev/mapper/rhel-home\t/home xfs defaults 1 2\n${line}\n\n# end`,
  ],
  [
    'more lines',
    '/dev/b /home/ xfs\n/dev/c /home ext4\n',
    `#/dev/b /home/ xfs\n${line}\n#/dev/c /home ext4\n`,
  ],
  ['bytes stay', '# \xe9\n//s/\xff /m cifs x\n', `# \xe9\n//s/\xff /m cifs x\n${line}\n`],
  ['/homes is another', '/dev/b /homes xfs\n', `/dev/b /homes xfs\n${line}\n`],
] as const) {
  fstab(title, () => {
    assert.is(withHome(before, { uuid: '1234-5', type: 'xfs' }), after);
  });
}
fstab('the line of an ext4 takes precedence over errors=panic in its superblock', () => {
  for (const type of ['ext3', 'ext4'])
    assert.is(
      withHome('', { uuid: '1', type }),
      `UUID=1 /home ${type} rw,noexec,nodev,nosuid,errors=remount-ro 0 0\n`,
    );
});
fstab.run();
