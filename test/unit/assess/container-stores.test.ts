import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { proposePersist } from '../../../agent/assess/persist-proposal.ts';
import { proposeScratch } from '../../../agent/assess/scratch-proposal.ts';
import { inRoot } from '../../../packaging/build/paths.ts';

for (const stores of [['/var/lib/containers/storage'], ['/var/lib/docker', '/var/lib/containerd']]) {
  const scratch = proposeScratch({ SCRATCH: '', PERSIST: '', OVERLAY: '' }, stores) ?? '';
  const persist = proposePersist({ PERSIST: '' }, stores) ?? '';

  test(`the documents and the table of services have the lines that the agent proposes for ${stores.join(' ')}`, () => {
    assert.match(scratch, /^SCRATCH=\//);
    assert.match(persist, /^PERSIST=\//);
    const page = readFileSync(inRoot('docs/writable-paths.md'), 'utf8');
    assert.ok(page.includes(`\`${scratch}\``), scratch);
    assert.ok(page.includes(`\`${persist}\``), persist);
    assert.ok(readFileSync(inRoot('agent/services/services.json'), 'utf8').includes(`(${scratch})`), scratch);
  });
}
test.run();
