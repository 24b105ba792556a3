import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

const units = suite('the units that check');
for (const name of ['immutafs-check.service', 'immutafs-drift.service']) {
  units(`${name}: only an agent that could not tell, or that was ended, makes a failed unit`, () => {
    const unit = fs.readFileSync(path.join(import.meta.dirname, '../../../units', name), 'utf8');
    assert.equal(unit.match(/^SuccessExitStatus=.*$/gm), ['SuccessExitStatus=1 2 4']);
  });
  units(`${name}: what it says on stderr is in the journal`, () => {
    const lines = fs.readFileSync(path.join(import.meta.dirname, '../../../units', name), 'utf8').split('\n');
    // StandardError= inherits the value of StandardOutput= (systemd.exec(5)), and the addon for the journal may be
    // missing.
    assert.ok(lines.includes('StandardOutput=null'));
    assert.ok(lines.includes('StandardError=journal'));
  });
}
units.run();
