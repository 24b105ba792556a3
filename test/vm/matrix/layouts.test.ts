import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { assertRow, bootOptions, layoutOf } from '../harness/layout-boot.ts';
import { labelledRow, layoutRows, matrixRows } from '../harness/layout-rows.ts';
import { editFile, withAgent } from '../harness/scenario.ts';

const layouts = suite('every layout, sealed');

layouts('every pair of values of two columns is in a row', () => {
  const columns = [0, 1, 2, 3, 4] as const;
  const values = columns.map((column) => [...new Set(layoutRows.map((row) => row[column]))]);
  const missing = columns.flatMap((a) =>
    columns
      .filter((b) => b > a)
      .flatMap((b) => (values[a] ?? []).flatMap((x) => (values[b] ?? []).map((y) => ({ a, b, x, y }))))
      .filter(({ a: i, b: j, x, y }) => !layoutRows.some((row) => row[i] === x && row[j] === y)),
  );
  assert.equal(missing, []);
});

for (const row of matrixRows) {
  if (row === labelledRow) continue;
  layouts(row.join(', '), () =>
    withAgent({ layout: layoutOf(row) }, async (guest) => {
      assertRow(await guest.boot(bootOptions(row)), row);
    }),
  );
}

layouts(
  `${labelledRow.join(', ')}; /var by a quoted label; /var/log by a label with a space and as an automount`,
  () =>
    withAgent(
      {
        layout: layoutOf(labelledRow),
        damage: { '/var': 'e2label "$1" varfs', '/var/log': 'e2label "$1" "my logs"' },
        edit: (root) =>
          editFile(`${root}/etc/fstab`, (text) =>
            text
              .replace(/^UUID=\S+ \/var ext4 ro/m, 'LABEL="varfs" /var ext4 ro')
              .replace(
                /^UUID=\S+ \/var\/log ext4 ro/m,
                'LABEL=my\\040logs /var/log ext4 noauto,x-systemd.automount,ro',
              ),
          ),
      },
      async (guest) => {
        const { steps, ...options } = bootOptions(labelledRow);
        const labels = {
          fstab: 'cat /etc/fstab',
          mounts:
            'awk \'$4 == "/" && $5 ~ "^/var" { sub(/.* - /, $5 " "); print $1, $2 }\' /proc/self/mountinfo',
          automount: 'systemctl show --value -p LoadState,ActiveState var-log.automount',
          waited: 'systemctl show --value -p ActiveEnterTimestampMonotonic local-fs.target',
        };
        const boot = await guest.boot({ ...options, steps: { ...steps, ...labels } });
        assertRow(boot, labelledRow);
        assert.match(boot.step('fstab').stdout, /^LABEL="varfs" \/var (.*\n)*LABEL=my\\040logs \/var\/log /m);
        assert.is(boot.step('mounts').stdout, '/var overlay\n/var/log overlay\n');
        assert.is(boot.step('automount').stdout, 'loaded\ninactive\n');
        // systemd's timeout for a device is 90 s, and starts some seconds after the kernel.
        assert.ok(Number(boot.step('waited').stdout) < 90e6, boot.step('waited').stdout);
        assert.not.match(boot.console, /Failed (to )?unmount|FAILED/);
      },
    ),
);

layouts.run();
