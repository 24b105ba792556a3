import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { findResetState } from '../../../agent/facts/reset-state.ts';
import { systemReader } from '../../../agent/system/reader.ts';
import { inTemporaryDirectory, writeFiles } from '../../harness/temporary.ts';

const reset = suite('findResetState');
const ofVar = { target: '/var', upper: '/up' };
const never = () => false;

interface Given {
  files: Record<string, string>;
  accepted?: string[];
  isMount?: (directory: string) => boolean;
  limit?: number;
}

function found({ files, accepted = [], isMount = never, limit }: Given): string[] {
  return inTemporaryDirectory((root) => {
    writeFiles(root, files);
    const layers = [ofVar, { target: '/opt/agent', upper: '/opt' }];
    const { list, isComplete } = findResetState(
      systemReader({ root }),
      layers,
      { paths: accepted },
      isMount,
      limit,
    );
    const lines = list.map(
      ({ service, directories, files: count }) => `${service?.id ?? '-'} ${directories.join()} ${count}`,
    );
    return isComplete ? lines : [...lines, 'incomplete'];
  });
}

const base = { 'opt/x': '', 'up/log/messages': 'x', 'up/lib/systemd/random-seed': 'x', 'up/cache/a/b': 'x' };

reset('state of known and unknown services, the largest first, without what is harmless', () => {
  const files = {
    ...base,
    'up/lib/pgsql/data/a': 'x'.repeat(9000),
    'up/lib/acme/a/b': 'x',
    'up/lib/acme/c': 'x',
    'opt/db/1': 'x'.repeat(20_000),
  };
  assert.equal(found({ files }), ['- /opt/agent 2', 'postgresql /var/lib/pgsql 1', '- /var/lib/acme 2']);
});

reset('what was accepted is left out, also below the path, and nothing beside it', () => {
  const files = { 'up/lib/acme/a/b': 'x', 'up/lib/acmex/c': 'x', 'opt/y': '' };
  assert.equal(found({ files, accepted: ['/var/lib/acme', '/opt/agent'] }), ['- /var/lib/acmex 1']);
});

reset('the content of a mount point is not part of the layer', () => {
  const isMount = (directory: string) => directory === '/up/lib/acme';
  const files = { 'up/lib/acme/a': 'x', 'up/lib/b/c': 'x', 'opt/y': '' };
  assert.equal(found({ files, accepted: ['/opt/agent'], isMount }), ['- /var/lib/b 1']);
});

reset('the limit of entries makes the result incomplete', () => {
  assert.ok(found({ files: base, limit: 2 }).includes('incomplete'));
  assert.not.ok(found({ files: base, limit: 200 }).includes('incomplete'));
});
reset.run();
