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
    ['is below a folder that may not be searched', 'chmod 744 /etc'],
    ['is a dangling link', 'ln -sf nowhere /etc/immutafs/immutafs.conf'],
    ['is below a dangling link', 'mv /etc/immutafs /etc/away; ln -s nowhere /etc/immutafs'],
    ['is below a file', 'rm -r /etc/immutafs; : >/etc/immutafs'],
    // As with SELinux, stat(2) fails although the folder above may be listed: FUSE refuses it to users other than root.
    [
      'is in a folder whose status may not be read',
      'exec 3<>/dev/fuse; mount -i -t fuse -o fd=3,rootmode=40000,user_id=0,group_id=0 x /etc/immutafs',
    ],
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
  for (const [title, change] of [
    ['the configuration', 'rm /etc/immutafs/immutafs.conf'],
    ['its folder', 'rm -r /etc/immutafs'],
  ] as const) {
    forwarder(`${title} is absent: not an error, also for another user`, () => {
      const { code, stdout } = runInSandbox({
        shell,
        scripts: [script],
        files: { 'etc/immutafs/immutafs.conf': '' },
        run: `chmod 755 / /etc /usr /usr/bin /etc/immutafs; ${change}
          setpriv --reuid 4242 --regid 4242 --clear-groups sh /usr/libexec/immutafs/start-forwarder`,
      });
      assert.equal([code, stdout], [0, idle]);
    });
  }
  forwarder.run();
}
