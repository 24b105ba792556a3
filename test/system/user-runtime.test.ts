import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { bootEnv, generatorScripts } from '../harness/generator.ts';
import { runInSandbox } from '../shell/sandbox.ts';

/**
 * What logind of systemd 219 does at the first login of a user and at the last logout: user_mkdir_runtime_path() and
 * user_remove_runtime_path() in src/login/logind-user.c of RHEL 7.
 */
const logind = `
import ctypes, errno, os, shutil, sys
libc = ctypes.CDLL(None, use_errno=True)
path, uid, gid = "/run/user/1000", 1000, 1000
if sys.argv[1] == "login":
    os.mkdir(path, 0o700)
    if libc.mount(b"tmpfs", path.encode(), b"tmpfs", 4 | 2, b"mode=0700,uid=1000,gid=1000,size=1048576") == 0:
        print("mounted")
    elif ctypes.get_errno() == errno.EPERM:
        os.chmod(path, 0o700)
        os.chown(path, uid, gid)
        print("directory")
    else:
        sys.exit(os.strerror(ctypes.get_errno()))
else:
    for name in os.listdir(path):
        os.remove(os.path.join(path, name))
    if libc.umount2(path.encode(), 2) != 0:
        print(errno.errorcode[ctypes.get_errno()])
    os.rmdir(path)
`;

/** @param restricted whether logind has the capabilities of the drop-in; otherwise, those of its unit */
function login(restricted: boolean): string[] {
  const { stdout, stderr, code } = runInSandbox({
    shell: ['dash'],
    files: {
      'etc/fstab': '',
      'etc/immutafs/immutafs.conf': 'MOUNT_OPTIONS=strict\n',
      'run/immutafs/boot.env': bootEnv('sealed'),
      'logind.py': logind,
    },
    scripts: generatorScripts,
    run: `
set -e
rm /usr/lib/systemd/system/user-runtime-dir@.service
mkdir -p /out/units /run/user
dash /usr/libexec/immutafs/immutafs-generator /out/units /out/units /out/units
options=$(sed -n 's/^Options=//p' /out/units/run-user.mount)
capabilities=$(sed -n 's/^CapabilityBoundingSet=CAP_/CAP_/p' /out/units/systemd-logind.service.d/immutafs.conf)
rm -r /out/units
${restricted ? '' : 'capabilities="$capabilities CAP_SYS_ADMIN"'}
mount -t tmpfs -o "$options" tmpfs /run/user
bounding=-all
for each in $capabilities; do bounding=$bounding,+$(echo "\${each#CAP_}" | tr A-Z a-z); done
as_logind() { setpriv --bounding-set="$bounding" --inh-caps=-all python3 /logind.py "$1"; }
as_user() { setpriv --reuid=1000 --regid=1000 --clear-groups "$@"; }
as_logind login
stat -c '%u:%g %a' /run/user/1000
as_user cp /usr/bin/true /run/user/1000/program
as_user /run/user/1000/program 2>/dev/null && echo ran || echo "exit $?"
as_logind logout
ls -A /run/user`,
  });
  assert.is(code, 0, stderr);
  return stdout.trim().split('\n');
}

const runtime = suite('/run/user on RHEL 7');

runtime('the user owns a directory in which no program runs, from the first moment on', () => {
  // logind logs EPERM as an error at each logout, and removes the directory.
  assert.equal(login(true), ['directory', '1000:1000 700', 'exit 126', 'EPERM']);
});

runtime('with the capabilities of its unit, logind mounts a file system from which programs run', () => {
  assert.equal(login(false), ['mounted', '1000:1000 700', 'ran']);
});
runtime.run();
