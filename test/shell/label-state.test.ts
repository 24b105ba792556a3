import path from 'node:path';
import * as assert from 'uvu/assert';
import { type Sandbox, runInSandbox } from './sandbox.ts';
import { withoutBusybox } from './shells.ts';

const script = path.join(import.meta.dirname, '../../units/label-state');
const state = 'system_u:object_r:immutafs_forward_state_t:s0';

/** Prints the label in the file LABELS for `-c %C`, and the owner in the file OWNER for `-c %U`. */
const stat = `#!/bin/bash
case $2:$3 in
  %C:/run/immutafs/forward) cat /reference ;;
  %C:*) echo system_u:object_r:unlabeled_t:s0 ;;
  %U:*) cat /owner ;;
esac
`;

// Runs only in the real root, which has no busybox; busybox would run its own stat and chcon.
withoutBusybox('label-state', (test, shell) => {
  for (const [title, folder, reference, owner, expected] of [
    ['a data disk', '/data/forward', state, 'immutafs-forward', `chcon -R -h ${state} /data/forward\n`],
    ['the default folder', '', state, 'immutafs-forward', ''],
    ['a folder in /run, which systemd-tmpfiles labels', '/run/state', state, 'immutafs-forward', ''],
    ['the module is not installed', '/data/forward', 'a:b:var_run_t:s0', 'immutafs-forward', ''],
    ['the folder does not exist', '/data/other', state, 'immutafs-forward', ''],
    ['a symbolic link', '/data/link', state, 'immutafs-forward', ''],
  ] as const)
    test(title, () => {
      assert.equal(label(shell, folder, reference, owner), [0, expected, '']);
    });
  test('a folder of another user is not relabelled, and a warning is logged', () => {
    const [code, stdout, stderr] = label(shell, '/data/forward', state, 'root');
    assert.equal([code, stdout], [0, '']);
    assert.match(
      String(stderr),
      /^<4>label-state: \/data\/forward does not belong to immutafs-forward, .*\n$/,
    );
  });
});

function label(
  shell: Sandbox['shell'],
  folder: string,
  reference: string,
  owner: string,
): (string | number | null)[] {
  const { code, stdout, stderr } = runInSandbox({
    shell,
    scripts: [script],
    files: {
      'usr/bin/stat': stat,
      'usr/bin/chcon': '#!/bin/bash\necho chcon "$@"\n',
      'etc/immutafs/immutafs.conf': folder === '' ? '' : `FORWARD_STATE=${folder}\n`,
      reference: `${reference}\n`,
      owner: `${owner}\n`,
    },
    run: `mkdir -p /data/forward /run/state /run/immutafs/forward
      ln -s forward /data/link; PATH=/usr/bin:$PATH sh /usr/libexec/immutafs/label-state`,
  });
  return [code, stdout, stderr];
}
