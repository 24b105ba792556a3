/** When dracut's initqueue runs `immutafs-boot lvm-config` (test/unit/boot/lvm.test.ts). */
import * as assert from 'uvu/assert';
import { runInSandbox } from './sandbox.ts';
import { inShells } from './shells.ts';

inShells('the hook for LVM', (test, shell) => {
  for (const [title, links, times] of [
    ['a sealed volume alone', ['lvm/vda2'], 0],
    ['an unsealed volume alone', ['unsealed-lvm/vdb2'], 0],
    ['both: once', ['lvm/vda2', 'unsealed-lvm/vdb2'], 1],
    ['a sealed volume, and an unsealed device that may be one', ['lvm/vda2', 'unsealed/vdb'], 1],
    ['an unsealed device alone', ['unsealed/vdb'], 0],
    ['a sealed volume on SCSI', ['lvm/sda2'], 1],
    ['a read-only volume on SCSI that is not sealed', ['read-only-lvm/sda2'], 1],
    ['none', [], 0],
  ] as const) {
    test(title, () => {
      const { out } = runInSandbox({
        shell,
        files: { job: '#!/bin/bash\necho "$@" >>/out/jobs\n' },
        run: `mkdir -p /dev/block/immutafs; mount -t tmpfs x /dev/block/immutafs; mkdir /dev/block/immutafs/{lvm,read-only-lvm,unsealed-lvm,unsealed}
          cp /job /usr/libexec/immutafs/immutafs-boot
          ${links.map((link, index) => `ln -s /dev/loop${index} /dev/block/immutafs/${link}`).join('\n')}
          echo '. /usr/libexec/immutafs/95immutafs/immutafs-lvm.sh
            . /usr/libexec/immutafs/95immutafs/immutafs-lvm.sh' >/twice; sh /twice`,
      });
      assert.is(out['jobs'], times === 0 ? undefined : 'lvm-config\n');
    });
  }
});
