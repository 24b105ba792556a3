import { blocksOf, commandsIn } from './blocks.ts';

/** The pages whose shell blocks are all run by a test, or listed below with the reason. */
export const pages = ['README.md', 'docs/host.md'] as const;

export type Page = (typeof pages)[number];

/** The test that runs the shell blocks below each heading. */
export const executed: Partial<Record<Page, Record<string, string>>> = {
  'docs/host.md': { 'Backup, snapshots and migration': 'test/vm/long/host-backup.test.ts' },
};

/** The playbooks shut guests down, change the disk and start them with the same programs. */
const lifecycle = 'test/vm/long/update.test.ts runs the same for its domain';

/** Commands that no test runs as they stand. */
export const notExecuted: { command: string; reason: string }[] = [
  { command: 'npm run demo', reason: 'installs, seals and boots a guest, as many tests do; run manually' },
  { command: 'npm test', reason: 'runs the tests' },
  { command: 'virsh shutdown GUEST', reason: lifecycle },
  { command: 'virsh domstate --reason GUEST', reason: lifecycle },
  { command: 'virt-xml GUEST --edit target=vda --disk readonly=on', reason: lifecycle },
  { command: 'virsh start GUEST', reason: lifecycle },
  {
    command: 'ansible-galaxy collection install ./ansible',
    reason: 'test/packaging/collection.test.ts installs the collection into a temporary directory',
  },
  {
    command: 'ansible-galaxy collection build ansible --output-path dist',
    reason: 'ansible-galaxy builds the same file for the installation',
  },
  {
    command: 'ansible-playbook -i inventory.yml immutafs.agent.update --check',
    reason: 'test/vm/lifecycle/sealed.ts runs the playbook in check mode',
  },
  {
    command: 'ansible-playbook -i inventory.yml immutafs.agent.update -e immutafs_serial=3',
    reason: 'test/vm/long/update.test.ts runs this playbook, and kills it at every stage',
  },
  {
    command:
      'ansible-playbook -i inventory.yml immutafs.agent.evidence -e immutafs_evidence_directory=/srv/evidence',
    reason: 'test/system/ansible-evidence.test.ts tests the transfer',
  },
  {
    command:
      'ansible-playbook -i inventory.yml immutafs.agent.recycle -e immutafs_evidence_directory=/srv/evidence',
    reason: 'test/vm/long/recycle.test.ts runs this playbook',
  },
];

export const isNotExecuted = (text: string): boolean => notExecuted.some(({ command }) => command === text);

/** The problems of a page: blocks without a language, and commands that no test runs and that are not listed. */
export function problemsOf(page: Page, blocks = blocksOf(page)): string[] {
  const run = executed[page] ?? {};
  const nameless = blocks.filter(({ language }) => language === '');
  const forgotten = blocks
    .filter(({ language, heading }) => language === 'sh' && run[heading] === undefined)
    .flatMap((block) => commandsIn(block.text).map(({ text }) => ({ ...block, text })))
    .filter(({ text }) => !isNotExecuted(text));
  return [
    ...nameless.map(({ line }) => `${page}:${line}: the block has no language: sh, text, …`),
    ...forgotten.map(({ line, text }) => `${page}:${line}: no test runs: ${text}`),
  ];
}
