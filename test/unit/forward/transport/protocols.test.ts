import fs from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { protocolOf } from '../../../../agent/forward/transport/protocols.ts';
import { parseTargets } from '../../../../agent/forward/transport/target.ts';

const protocols = suite('protocols');

for (const name of ['relp', 'journal+http']) {
  protocols(`${name}: the documentation names the maximum number of entries that are sent twice`, () => {
    const [target] = parseTargets(`${name}://127.0.0.1:2514`);
    if (target === undefined) throw new Error('no target');
    const text = fs.readFileSync(`${import.meta.dirname}/../../../../docs/log-server.md`, 'utf8');
    const [, paragraph = ''] = /(entries may be sent twice:[^.]*)\./.exec(text.replace(/\s+/g, ' ')) ?? [];
    assert.ok(paragraph.includes(protocolOf(target).window.toLocaleString('en')), paragraph);
  });
}

protocols.run();
