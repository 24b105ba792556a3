import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

const units = suite('the units that check');
for (const name of ['immutafs-check.service', 'immutafs-drift.service']) {
  units(`${name}: the unit fails only if the agent has no verdict or was killed`, () => {
    const unit = fs.readFileSync(path.join(import.meta.dirname, '../../../units', name), 'utf8');
    assert.equal(unit.match(/^SuccessExitStatus=.*$/gm), ['SuccessExitStatus=1 2 4']);
  });
  units(`${name}: stderr goes to the journal`, () => {
    const lines = fs.readFileSync(path.join(import.meta.dirname, '../../../units', name), 'utf8').split('\n');
    // StandardError= inherits the value of StandardOutput= (systemd.exec(5)), and the addon for the journal may be
    // missing.
    assert.ok(lines.includes('StandardOutput=null'));
    assert.ok(lines.includes('StandardError=journal'));
  });
}
units.run();
