import path from 'node:path';
import * as assert from 'uvu/assert';
import { runInSandbox } from './sandbox.ts';
import { inShells } from './shells.ts';

const script = path.join(import.meta.dirname, '../../units/start-forwarder');
const idle = '<5>Forwarding ended: FORWARD is empty, the journal is lost at the end of this boot\n';

const forward = 'agent forward\n';

inShells('start-forwarder', (test, shell) => {
  /** Starts the forwarder after each of the lines of bash, and returns what it prints. @param user runs it */
  const started = (cases: readonly (readonly [string, string, string])[], user: string) => {
    const { code, stdout, stderr } = runInSandbox({
      ...{
        shell,
        scripts: [script],
        files: { 'usr/bin/immutafs-agent': '#!/bin/bash\necho agent "$@"\nexit 2\n' },
      },
      run: `chmod 755 / /usr /usr/bin
        ${cases
          .map(
            ([, lines]) => `(
          umount /etc/immutafs; rm -rf /etc; mkdir -p /etc/immutafs
          cd /etc/immutafs; echo FORWARD= >immutafs.conf; chmod 755 /etc .
          ${lines}
          cd /; ${user} sh /usr/libexec/immutafs/start-forwarder 2>&1; echo "$? =" ) 2>>/out/errors`,
          )
          .join('\n')}`,
    });
    assert.is(code, 0, stderr);
    return stdout.split(' =\n').slice(0, -1);
  };
  const other = 'setpriv --reuid 4242 --regid 4242 --clear-groups';
  for (const [title, user, cases] of [
    [
      'the configuration decides whether the agent starts; it reports a mistake, and exits with 2',
      '',
      [
        ['no configuration', 'rm immutafs.conf', idle],
        ['FORWARD is empty', 'printf "MODE=auto\\nFORWARD=\\n" >immutafs.conf', idle],
        ['FORWARD is a comment', 'echo "#FORWARD=relp://log" >immutafs.conf', idle],
        ['the later line counts', 'echo FORWARD=relp://log >>immutafs.conf', forward],
        ['FORWARD has a target', 'echo " FORWARD=relp://log " >immutafs.conf', forward],
        ['a mistake', 'echo FORWRAD=relp://log >immutafs.conf', forward],
        ['immutafs-boot is empty', ': >/usr/libexec/immutafs/immutafs-boot', forward],
      ],
    ],
    [
      'a configuration that the user of the forwarder cannot read: the agent reports it',
      other,
      [
        ['it may not be read', 'chmod 600 immutafs.conf', forward],
        ['it is in a folder that may not be searched', 'chmod 700 .', forward],
        ['it is below a folder that may not be searched', 'chmod 744 /etc', forward],
        ['it is a dangling link', 'ln -sf nowhere immutafs.conf', forward],
        ['it is below a dangling link', 'mv ../immutafs /etc/away; ln -s nowhere /etc/immutafs', forward],
        ['it is below a file', 'rm -r ../immutafs; : >/etc/immutafs', forward],
        // As with SELinux, stat(2) fails although the folder above may be listed: FUSE refuses it to users other than root.
        [
          'it is in a folder whose status may not be read',
          'exec 3<>/dev/fuse; mount -i -t fuse -o fd=3,rootmode=40000,user_id=0,group_id=0 x /etc/immutafs',
          forward,
        ],
        ['the twin: it is absent', 'rm immutafs.conf', idle],
        ['its folder is absent', 'rm -r ../immutafs', idle],
      ],
    ],
  ] as const) {
    test(title, () =>
      assert.equal(
        started(cases, user),
        cases.map(([, , expected]) => `${expected}${expected === idle ? 0 : 2}`),
      ),
    );
  }
});
