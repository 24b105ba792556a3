import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { agentRpm } from './harness/agent.ts';
import { repository } from './harness/cache.ts';
import { withGuest } from './harness/guest.ts';
import { installedTemplate } from './harness/installed.ts';
import { xfsOnLvm } from './harness/layout.ts';
import { ordinaryTree } from './harness/ordinary-tree.ts';

/**
 * `npm run demo`: installs the package in a running guest with XFS on LVM, boots the guest from the same disk attached
 * read-only, and prints the agent's status. Exits with 0 only if the agent exits with 0, that is, if the guest is
 * sealed.
 */
process.exitCode = await demo();

async function demo(): Promise<number> {
  await timed('the package', agentRpm);
  await timed('a Debian guest with XFS on LVM', () => ordinaryTree());
  const template = await timed('the package installed in the running guest', () =>
    installedTemplate(xfsOnLvm),
  );
  const boot = await timed('the guest booted on its disk, now read-only', () =>
    withGuest({ template }, (guest) =>
      guest.boot({
        disk: 'readonly',
        allUnits: true,
        // Here QEMU starts the kernel. In a guest that GRUB starts, `prepare` sets this argument.
        arguments: ['noresume'],
        steps: { status: 'immutafs-agent status --color=always' },
      }),
    ),
  );
  const { exit, stdout, stderr } = boot.step('status');
  process.stdout.write(`\nguest# immutafs-agent status\n${stdout}${stderr}\n`);
  const folder = join(repository, 'build/demo');
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'status.ansi'), stdout);
  process.stdout.write(`exit code ${exit}\n`);
  return exit;
}

/** Runs the work and prints its name and duration in seconds. */
async function timed<T>(what: string, make: () => Promise<T>): Promise<T> {
  process.stdout.write(`demo: ${what} …`);
  const start = performance.now();
  const result = await make();
  process.stdout.write(` ${((performance.now() - start) / 1000).toFixed(0)} s\n`);
  return result;
}
