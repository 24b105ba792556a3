import { existsSync, writeFileSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { guestSuite } from '../harness/ansible-guest.ts';

/** Tests the tasks that list the state that a restart discards, with real Ansible and a stub for the agent. */
const state = guestSuite('the playbooks restart no guest that would lose state');

const loss = JSON.stringify({
  ...{ schema: 1, service: 'postgresql', name: 'PostgreSQL', directories: ['/var/lib/pgsql'] },
  ...{ units: ['postgresql.service'], files: 1, bytes: 12 * 2 ** 20, loses: 'all databases' },
});
const line =
  'localhost: PostgreSQL, /var/lib/pgsql (postgresql.service): 12 MiB in 1 file: a restart loses all databases';

interface Case {
  title: string;
  /** What the stub for the agent does, in sh. */
  agent: string;
  variables?: Record<string, unknown>;
  restarts: boolean;
  prints: readonly string[];
}

const cases: readonly Case[] = [
  { title: 'nothing would be lost', agent: 'exit 0', restarts: true, prints: [] },
  {
    title: 'state would be lost',
    agent: `echo '${loss}'`,
    restarts: false,
    prints: [
      `"${line}"`,
      'localhost was not shut down, because state that is neither kept nor accepted would be lost: PostgreSQL, ',
      'or set immutafs_lose_state: true',
    ],
  },
  {
    title: 'state may be lost',
    agent: `echo '${loss}'`,
    variables: { immutafs_lose_state: true },
    restarts: true,
    prints: [`"${line}"`],
  },
  {
    title: 'the agent does not have the option --state',
    agent: `echo "error: unknown option '--state'" >&2; exit 2`,
    restarts: false,
    prints: [
      'could be lost: the agent in the guest is missing, or older than the option --state of immutafs-agent changes',
    ],
  },
  {
    title: 'the agent does not have the option --state, and state may be lost',
    agent: `echo "error: unknown option '--state'" >&2; exit 2`,
    variables: { immutafs_lose_state: true },
    restarts: true,
    prints: [],
  },
];

for (const { title, agent, variables, restarts, prints } of cases) {
  state(title, async ({ guest }) => {
    const stub = `#!/bin/sh\n[ "$*" = "changes --state --json" ] || exit 99\n${agent}\n`;
    writeFileSync(guest.file('bin/immutafs-agent'), stub, { mode: 0o755 });
    const restarted = guest.file('restarted');
    const all = { immutafs_hypervisor: 'localhost', immutafs_disk: 'vda', ...variables };
    const { all: output, exitCode } = await guest.play(all, [
      { 'ansible.builtin.include_role': { name: 'immutafs.agent.host', tasks_from: 'require-kept' } },
      { 'ansible.builtin.command': { argv: ['touch', restarted] } },
    ]);
    for (const text of prints) assert.ok(output.includes(text), `${text}\n${output}`);
    if (prints.length === 0) assert.not.match(output, 'a restart loses', output);
    assert.equal([existsSync(restarted), exitCode], [restarts, restarts ? 0 : 2], output);
  });
}

state.run();
