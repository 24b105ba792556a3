import { agentRpm, agentTree } from './harness/agent.ts';
import { installedTemplate } from './harness/installed.ts';
import { xfsOnLvm } from './harness/layout.ts';
import { templateOf } from './harness/template.ts';
import { ordinaryTree } from './harness/ordinary-tree.ts';

/**
 * `node test/vm/warm.ts`: builds the files that most scenarios share: the package, the trees, and the disks of the main
 * layout.
 *
 * It may run while tests run, because the locks of the caches make each process wait for files that another process is
 * building. `--installed` also boots the guest in which the package is installed.
 */
await warmCaches(process.argv.includes('--installed'));

async function warmCaches(withInstalled: boolean): Promise<void> {
  const [tree] = await Promise.all([timed('Debian tree', () => ordinaryTree()), timed('package', agentRpm)]);
  const withAgent = await timed('tree with the agent', () => agentTree());
  for (const each of [withAgent, tree]) await timed('disks', () => templateOf(xfsOnLvm, each));
  if (withInstalled) await timed('installed guest', () => installedTemplate(xfsOnLvm));
}

/** Runs the work and prints its name and duration in seconds. */
async function timed<T>(name: string, work: () => Promise<T>): Promise<T> {
  const start = performance.now();
  const result = await work();
  process.stdout.write(`warm: ${name}: ${((performance.now() - start) / 1000).toFixed(1)} s\n`);
  return result;
}
