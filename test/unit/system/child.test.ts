import { spawnSync } from 'node:child_process';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { inRoot } from '../../../packaging/build/paths.ts';

const starting = suite('starting a child process');

starting(
  'without a free file descriptor, each way fails, the process goes on, and later each way works',
  () => {
    const program = inRoot('test/harness/without-descriptors.ts');
    const limited = ['--nofile=64', process.execPath, program];
    const { status, stdout, stderr } = spawnSync('prlimit', limited, { encoding: 'utf8', timeout: 60_000 });
    assert.equal([status, stderr], [0, '']);
    const results = JSON.parse(stdout) as Record<'with' | 'without', Record<string, unknown>>;
    const mine = 'not started, because no file descriptor is free';
    assert.equal(results.without, {
      runProgram: 'SystemError EMFILE',
      runChild: 'SystemError EMFILE',
      runSync: 'EMFILE',
      followJournal: { complete: false, killed: false },
      lastCursor: 'undefined',
      listBoots: false,
      earlierBoots: 'the journal of earlier boots is not forwarded: journalctl cannot list the boots',
      exportJournal: 'SystemError EMFILE',
      xattrs: `Error: /bin/cat: ${mine}`,
    });
    assert.equal(results.with, {
      runProgram: 0,
      runChild: 'good',
      runSync: 0,
      followJournal: { complete: true, killed: false },
      lastCursor: 'string',
      listBoots: true,
      earlierBoots: 'started',
      exportJournal: 'read',
      xattrs: 'Error: /bin/cat: its output is malformed',
    });
  },
);

starting.run();
