import { withCopy } from './harness/impostor.ts';
import { ext4OnPartition, statusOf, withAgent, withoutAgent, xfsOnLvm } from './harness/scenario.ts';
import type { Boot, Guest, Layout } from './harness/scenario.ts';
import { agentTree } from './harness/agent.ts';
import { ordinaryTree } from './harness/ordinary-tree.ts';

/**
 * `node test/vm/copy-statistics.ts [BOOTS] [--without-agent]`: boots guests with a writable copy of the system disk and
 * prints how many boots ran from the sealed disk and how many from the copy, with the exit codes of `status`. No rule
 * delays a disk, so chance decides the order in which udev processes the disks. No test runs this program.
 */
interface Row {
  name: string;
  layout: Layout;
  damage: Record<string, string>;
  words: string[];
}

const rows: Row[] = [
  {
    name: 'ext4 by LABEL',
    layout: ext4OnPartition,
    damage: { '/': 'e2label "$1" system' },
    words: ['root=LABEL=system'],
  },
  { name: 'XFS on LVM', layout: xfsOnLvm, damage: {}, words: [] },
];

const plain = process.argv.includes('--without-agent');
const boots = Number(process.argv[2] ?? '10');
for (const row of rows) await count(row);

async function count({ name, layout, damage, words }: Row): Promise<void> {
  const results = new Map<string, number>();
  await withCopy({ layout, damage, tree: await (plain ? ordinaryTree() : agentTree()) }, (copy) =>
    (plain ? withoutAgent : withAgent)({ layout, damage }, async (guest: Guest) => {
      for (let index = 0; index < boots; index++) {
        const boot = await guest.boot({
          ...{ disk: 'readonly', drives: [copy], arguments: words, limitSeconds: 400 },
          steps: plain ? {} : { status: 'immutafs-agent status --json' },
        });
        const result = describe(boot);
        process.stdout.write(`${name}: boot ${index + 1}: ${result}\n`);
        results.set(result, (results.get(result) ?? 0) + 1);
      }
    }),
  );
  for (const [result, times] of results) process.stdout.write(`${name}: ${times} of ${boots}: ${result}\n`);
}

/** The copy prints PLANTED on the console when it runs. */
function describe(boot: Boot): string {
  const copied = boot.console.includes('PLANTED');
  if (!boot.done) return `${copied ? 'the copy' : 'no system'} ran, ended by ${boot.endedBy}`;
  const ran = copied ? 'the copy ran' : 'the sealed disk ran';
  if (plain) return ran;
  const { exit, report } = statusOf(boot);
  return `${ran}, exit code ${exit}, mode ${report.mode}, verdict ${report.verdict}`;
}
