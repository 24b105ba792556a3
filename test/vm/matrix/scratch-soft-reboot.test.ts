import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runInContainer } from '../harness/container.ts';

const soft = suite('the services of SCRATCH in a soft reboot');

/**
 * Starts the services with a command that notes its unit, and a copy without Conflicts=shutdown.target, and begins a soft
 * reboot. systemd would unmount /out, and would end the container when the script ends.
 */
const script = `cd /run/systemd/system
mkdir out.mount.d kernel-command-line.service.d local-fs.target.wants sysinit.target.wants
printf '[Unit]\\nDefaultDependencies=no\\nRefuseManualStop=yes\\n' >out.mount.d/keep.conf
printf '[Unit]\\nSuccessAction=none\\nFailureAction=none\\n' >kernel-command-line.service.d/keep.conf
for unit in immutafs-scratch immutafs-scratch-device twin; do
  mkdir $unit.service.d
  printf '[Service]\\nExecStart=\\nExecStart=/bin/sh -c "echo %%n >>/run/started"\\n' >$unit.service.d/command.conf
done
grep -v '^Conflicts=' /usr/lib/systemd/system/immutafs-scratch.service >twin.service
ln -s ../immutafs-scratch.service ../twin.service local-fs.target.wants
cat >report.service <<'END'
[Unit]
DefaultDependencies=no
After=local-fs.target
[Service]
ExecStart=/bin/sh -c "systemctl show --value -p SoftRebootsCount >/out/count; sort /run/started >/out/started; systemctl --force poweroff"
END
ln -s ../report.service sysinit.target.wants
systemctl daemon-reload
systemctl start immutafs-scratch twin
systemctl --job-mode=replace-irreversibly --no-block start soft-reboot.target
sleep 60`;

soft('the paths are mounted again, and the device stays open; the twin is not started again', async () => {
  const { count, started, log } = await runInContainer(script, []);
  assert.is(count, '1\n', log);
  assert.is(
    started,
    'immutafs-scratch-device.service\nimmutafs-scratch.service\nimmutafs-scratch.service\ntwin.service\n',
  );
});

soft.run();
