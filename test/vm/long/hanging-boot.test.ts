import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Edit } from '../harness/disk.ts';
import { editFile, withAgent } from '../harness/scenario.ts';

const hanging = suite('a boot that does not reach multi-user.target');

const hang = `[Unit]
Before=multi-user.target
[Service]
Type=oneshot
ExecStart=/bin/sleep infinity
`;

/** Prints the verdict on the console and ends the boot, because the steps of a scenario start after multi-user.target. */
const watch = `[Service]
ExecStart=/bin/sh -c 'until test -e /run/immutafs/report.json; do sleep 1; done; \\
  grep -o \\'"verdict": *"[a-z]*"\\' /run/immutafs/report.json | head -n 1 >/dev/console; systemctl poweroff --force'
`;

/** Adds the two services, and shortens the limit of the check. */
const prepare: Edit = async (root) => {
  const [units, wants] = ['etc/systemd/system', 'etc/systemd/system/basic.target.wants'].map((each) =>
    join(root, each),
  );
  await mkdir(wants ?? '', { recursive: true });
  await writeFile(join(units ?? '', 'hang.service'), hang);
  await writeFile(join(units ?? '', 'watch.service'), `[Unit]\nDefaultDependencies=no\n${watch}`);
  await mkdir(join(units ?? '', 'multi-user.target.wants'), { recursive: true });
  await symlink('../hang.service', join(units ?? '', 'multi-user.target.wants/hang.service'));
  await symlink('../watch.service', join(wants ?? '', 'watch.service'));
  await editFile(join(root, 'usr/lib/systemd/system/immutafs-check.service'), (text) =>
    text.replace('JobTimeoutSec=10min', 'JobTimeoutSec=100'),
  );
};

hanging('the guest is checked nevertheless', () =>
  withAgent({ edit: prepare }, async (guest) => {
    const boot = await guest.boot({ disk: 'readonly', steps: {}, limitSeconds: 400 });
    assert.is(boot.endedBy, 'poweroff');
    assert.match(boot.console, /"verdict": *"sealed"/);
  }),
);

hanging.run();
