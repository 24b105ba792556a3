import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runInSandbox } from './sandbox.ts';
import { shells } from './shells.ts';

const script = path.join(import.meta.dirname, '../../units/start-forwarder');
const idle = '<5>Forwarding ended: FORWARD is empty, the journal is lost at the end of this boot\n';

for (const [name, shell] of Object.entries(shells)) {
  const forwarder = suite(`${name}: start-forwarder`);
  for (const [title, configuration, expected] of [
    ['no configuration', undefined, idle],
    ['FORWARD is empty', 'MODE=auto\nFORWARD=\n', idle],
    ['FORWARD is a comment', '#FORWARD=relp://log\n', idle],
    ['the later line counts', 'FORWARD=\nFORWARD=relp://log\n', 'agent forward\n'],
    ['FORWARD has a target', ' FORWARD=relp://log \n', 'agent forward\n'],
    // The agent reports the error and exits with 2.
    ['a configuration with a mistake', 'FORWRAD=relp://log\n', 'agent forward\n'],
  ] as const) {
    forwarder(title, () => {
      const conf = configuration === undefined ? {} : { 'etc/immutafs/immutafs.conf': configuration };
      const { code, stdout, stderr } = runInSandbox({
        shell,
        scripts: [script],
        files: { 'usr/bin/immutafs-agent': '#!/bin/bash\necho agent "$@"\n', ...conf },
        run: 'chmod +x /usr/bin/immutafs-agent; sh /usr/libexec/immutafs/start-forwarder',
      });
      assert.equal([code, stdout, stderr], [0, expected, '']);
    });
  }
  for (const [title, change] of [
    ['may not be read', 'chmod 600 /etc/immutafs/immutafs.conf'],
    ['is in a folder that may not be searched', 'chmod 700 /etc/immutafs'],
    ['is a dangling link', 'ln -sf nowhere /etc/immutafs/immutafs.conf'],
  ] as const) {
    forwarder(`a configuration that ${title}: the agent reports it`, () => {
      const { code, stdout } = runInSandbox({
        shell,
        scripts: [script],
        files: {
          'usr/bin/immutafs-agent': '#!/bin/bash\necho agent "$@"\nexit 2\n',
          'etc/immutafs/immutafs.conf': 'FORWARD=\n',
        },
        run: `chmod +x /usr/bin/immutafs-agent; chmod 755 / /etc /usr /usr/bin /etc/immutafs; ${change}
          setpriv --reuid 4242 --regid 4242 --clear-groups sh /usr/libexec/immutafs/start-forwarder`,
      });
      assert.equal([code, stdout], [2, 'agent forward\n']);
    });
  }
  forwarder.run();
}
