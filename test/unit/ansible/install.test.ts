import { execFileSync } from 'node:child_process';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { inRoot } from '../../../packaging/build/paths.ts';
import { inTemporaryDirectory } from '../../harness/temporary.ts';

const installation = suite('the installed collection');

/** Verifies a report. The module reads a file of the collection when it is imported. */
const program = `from ansible_collections.immutafs.agent.plugins.plugin_utils.report import problem_of
print(problem_of({}))`;

installation('ansible-galaxy copies every file that the plug-ins read', () =>
  inTemporaryDirectory((folder) => {
    const env = { PATH: '/usr/bin:/bin', HOME: folder, PYTHONPATH: folder, ANSIBLE_COLLECTIONS_PATH: folder };
    const options = { env, encoding: 'utf8', stdio: 'pipe' } as const;
    execFileSync('ansible-galaxy', ['collection', 'install', inRoot('ansible'), '-p', folder], options);
    assert.match(execFileSync('/usr/bin/python3', ['-c', program], options), /\S/);
  }),
);
installation.run();
