import { readFileSync, writeFileSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { guestSuite } from '../harness/ansible-guest.ts';

/** Tests the tasks that prepare a guest, with real Ansible and a stub for the agent. `long/update.test.ts` has a real guest. */
const prepare = guestSuite('the playbook prepare');

for (const { title, codes, runs, exit } of [
  { title: 'nothing is left', codes: [0], runs: 1, exit: 0 },
  { title: 'a step is left, such as a recorded move: prepare runs again', codes: [1, 0], runs: 2, exit: 0 },
  { title: 'a step is still left the second time: it fails', codes: [1, 1], runs: 2, exit: 2 },
  { title: 'prepare fails: it does not run again', codes: [2], runs: 1, exit: 2 },
]) {
  prepare(title, async ({ guest }) => {
    const calls = guest.file('calls');
    const cases = codes.map((code, index) => `${index + 1}) exit ${code} ;;`).join(' ');
    const stub = `#!/bin/sh\necho "$*" >>${calls}\ncase $(grep -c . ${calls}) in ${cases} *) exit 99 ;; esac\n`;
    writeFileSync(guest.file('bin/immutafs-agent'), stub, { mode: 0o755 });
    const { all: output, exitCode } = await guest.play({ immutafs_prepare_arguments: ['--apply', '--yes'] }, [
      { 'ansible.builtin.include_role': { name: 'immutafs.agent.guest', tasks_from: 'prepare' } },
    ]);
    assert.is(exitCode, exit, output);
    assert.is(readFileSync(calls, 'utf8'), 'prepare --apply --yes\n'.repeat(runs));
    assert.not.match(output, '[WARNING]: Found duplicate mapping key');
  });
}

prepare.run();
