import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseConfig } from '../../../../agent/config/config.ts';
import { remedyFor, topmost } from '../../../../agent/prepare/rehearsal/remedies.ts';

const remedies = suite('the remedy for a refused write');
for (const [path, folder, proposed, says] of [
  ['/opt/agent/data/state', '/opt/agent/data', '/opt/agent/data', /Add \/opt\/agent\/data to OVERLAY/],
  ['/u01/oradata/x', '/u01/oradata', '/u01/oradata', /Oracle.*overlay would lose.*to PERSIST\.$/],
  ['/etc/vendor/key', '/etc/vendor', '/etc/vendor', /PERSIST/],
  ['/root/.bash_history', '/root', '/root', /OVERLAY/],
  ['/usr/local/agent/x', '/usr/local/agent', '/usr/local/agent', /OVERLAY/],
  ['/etc/resolv.conf', '/etc', null, /rename\(2\); OVERLAY=\/etc works, but/],
  ['/state', '/', null, /Create the folder for \/state/],
  ['/usr/lib/x/cache', '/usr/lib/x', null, /Only updates change \/usr\/lib\/x/],
  ['/boot/grub2/grubenv', '/boot/grub2', null, /Only updates change/],
  ['/home/alice/x', '/home/alice', null, /--home-device/],
  ['/tmp/x', '/tmp', null, /--only tmp/],
  ['/run/x/y', '/run/x', null, /not on the system disk/],
  ['/var/lib/x', '/var/lib', null, /^\/var should be writable/],
  ['/srv/kept/x', '/srv/kept', null, /^\/srv should be writable/],
  ['/opt/my agent/x', '/opt/my agent', null, /characters/],
  ['/opt/$(reboot)/x', '/opt/$(reboot)', null, /characters/],
  [null, '/', null, /names no file/],
] as const) {
  remedies(String(path), () => {
    const remedy = remedyFor(path, folder, ['/srv']);
    assert.is(remedy.folder, proposed);
    assert.match(remedy.text, says);
    assert.is(remedy.harmless, false);
    if (proposed === null) return;
    for (const key of ['OVERLAY', 'PERSIST'])
      assert.equal(parseConfig(`${key}=${proposed}\n`).problems, [], 'the configuration accepts it');
  });
}
remedies("Python's cache is not needed", () => {
  for (const path of ['/opt/a/__pycache__/b.cpython-39.pyc', '/opt/a/b.pyc'])
    assert.equal(
      [remedyFor(path, '/opt/a', []).harmless, remedyFor(path, '/opt/a', []).folder],
      [true, null],
    );
});
remedies('a folder with a similar name is not covered', () =>
  assert.is(remedyFor('/srv2/x', '/srv2', ['/srv']).folder, '/srv2'),
);
remedies('folders below another one are left out', () =>
  assert.equal(topmost(['/opt/a/b', '/opt/a', '/opt/ab', '/opt/a']), ['/opt/a', '/opt/ab']),
);
remedies.run();
