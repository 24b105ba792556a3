import { chmod, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { markOf } from '../harness/scratch.ts';
import { type Hypervisor, defineXml } from '../libvirt/hypervisor.ts';
import { stubXml, withStubDomain } from '../libvirt/stub-domain.ts';

/** Uses a stub domain like `host.test.ts`. Guests with SCRATCH boot in `long/scratch.test.ts`. */
const disks = suite('the disk for SCRATCH');

const size = 256 * 1024 * 1024;
const at = ({ uri, folder }: Hypervisor) => ({
  ...{ uri, domain: 'stub', system: 'vda', target: 'vdz', size: '256M', directory: join(folder, 'state') },
});
const fileOf = ({ folder }: Hypervisor, format = 'raw') => join(folder, `stub/stub-scratch.${format}`);
const machineOf = async ({ virsh }: Hypervisor) => (await virsh('domuuid', 'stub')).trim();

/** Returns the text at the beginning of the disk as the guest sees it. */
async function markIn(hypervisor: Hypervisor, format = 'raw'): Promise<string> {
  const raw = join(hypervisor.folder, 'seen.raw');
  await execa('qemu-img', ['convert', '-f', format, '-O', 'raw', fileOf(hypervisor, format), raw]);
  const { stdout } = await execa('head', ['--bytes', '4096', raw]);
  return stdout.replaceAll('\0', '');
}
const hasFile = async (file: string) => (await stat(file).catch(() => null)) !== null;
const compact = (xml: string) => xml.replace(/\s+/g, '');
const diskOf = (xml: string) =>
  /<disk (?:(?!<disk )[^])*?<target dev='vdz'[^]*?<\/disk>/.exec(xml)?.[0] ?? '';

for (const format of ['raw', 'qcow2']) {
  disks(
    `${format}: made and attached once, beside the system disk, sparse, with discard and a serial number`,
    () =>
      withStubDomain(async (ansible, hypervisor) => {
        const file = fileOf(hypervisor, format);
        const scratch = (mode?: 'check') => ansible.module('scratch', { ...at(hypervisor), format }, mode);
        const before = await stubXml(hypervisor);

        const planned = await scratch('check');
        assert.is(planned.changed, true, planned.msg);
        assert.not(await hasFile(file), 'check mode changes nothing');
        assert.is(await stubXml(hypervisor), before);

        const made = await scratch();
        assert.equal(
          [made.changed, made['path'], made['link'], made['live']],
          [true, file, '/dev/disk/by-id/virtio-scratch', false],
          made.msg,
        );
        assert.is(made['marked'], true);
        assert.is(
          await markIn(hypervisor, format),
          markOf({ serial: 'scratch' }, await machineOf(hypervisor)),
        );
        const { size: bytes, blocks, mode } = await stat(file);
        assert.is(mode & 0o777, 0o600);
        assert.ok(blocks * 512 < 1024 * 1024, 'sparse');
        if (format === 'raw') assert.is(bytes, size);
        const xml = await stubXml(hypervisor);
        const disk = diskOf(xml);
        assert.match(disk, `<driver name='qemu' type='${format}' discard='unmap'/>`);
        assert.match(disk, `<source file='${file}'/>`);
        assert.match(disk, `<target dev='vdz' bus='virtio'/>`);
        assert.match(disk, '<serial>scratch</serial>');
        assert.is(compact(xml.replace(disk, '')), compact(before), 'nothing else');

        await writeFile(file, 'content', { flag: 'r+' });
        const again = await scratch();
        assert.equal([again.changed, again['live'], again['marked']], [false, false, true], again.msg);
        assert.is((await readFile(file)).toString('latin1', 0, 7), 'content', 'only a new file is marked');
        assert.is(await stubXml(hypervisor), xml);
      }),
  );
}

disks('a running domain gets it at once, and one that has it only from its next start on', () =>
  withStubDomain(async (ansible, hypervisor) => {
    const scratch = () => ansible.module('scratch', at(hypervisor));
    const live = () => hypervisor.virsh('dumpxml', 'stub');
    await hypervisor.virsh('start', 'stub');
    const made = await scratch();
    assert.equal([made.changed, made['live']], [true, true], JSON.stringify(made));
    assert.match(diskOf(await live()), '<serial>scratch</serial>');
    assert.match(diskOf(await stubXml(hypervisor)), '<serial>scratch</serial>');
    assert.is((await scratch()).changed, false);
    await hypervisor.virsh('destroy', 'stub');
    await hypervisor.virsh('detach-disk', 'stub', 'vdz', '--config');
    await hypervisor.virsh('start', 'stub');
    assert.is(diskOf(await live()), '');
    assert.equal([(await scratch())['live'], (await scratch()).changed], [true, false]);
  }),
);

/** Replaces a text in the XML of the domain, which may be that of its UUID. */
async function defineAnew(hypervisor: Hypervisor, from: string | RegExp, to: string): Promise<void> {
  const xml = await stubXml(hypervisor);
  await hypervisor.virsh('undefine', 'stub');
  await defineXml(hypervisor, xml.replace(from, to));
}

disks('a domain whose guest gets another UUID: the disk stays blank, and the guest must mark it', () =>
  withStubDomain(async (ansible, hypervisor) => {
    await defineAnew(hypervisor, '</os>', `<smbios mode='host'/></os>`);
    const made = await ansible.module('scratch', at(hypervisor));
    assert.equal([made.changed, made['marked']], [true, false], made.msg);
    assert.is(await markIn(hypervisor), '');
  }),
);

disks('a domain with a new UUID: the disk keeps the mark of the earlier one', () =>
  withStubDomain(async (ansible, hypervisor) => {
    const mark = () => markIn(hypervisor);
    assert.is((await ansible.module('scratch', at(hypervisor)))['marked'], true);
    const before = await mark();
    await defineAnew(hypervisor, /<uuid>.*<\/uuid>/, '<uuid>6b2d0c1e-0001-4c1b-9d7e-0123456789ab</uuid>');
    const again = await ansible.module('scratch', at(hypervisor));
    assert.equal([again.changed, again['marked']], [false, false], again.msg);
    assert.is(await mark(), before);
  }),
);

disks('virtio-scsi: the name in the guest is that of a SCSI disk', () =>
  withStubDomain(async (ansible, hypervisor) => {
    const controller = join(hypervisor.folder, 'controller.xml');
    await writeFile(controller, `<controller type='scsi' index='0' model='virtio-scsi'/>`);
    await hypervisor.virsh('attach-device', 'stub', controller, '--config');
    const made = await ansible.module('scratch', { ...at(hypervisor), target: 'sdb' });
    assert.is(made['link'], '/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_scratch', made.msg);
    assert.match(await stubXml(hypervisor), /<target dev='sdb' bus='scsi'\/>\s*<serial>scratch</);
    assert.match(await markIn(hypervisor), /^device \/dev\/disk\/by-id\/scsi-0QEMU_QEMU_HARDDISK_scratch$/m);
    assert.is((await ansible.module('scratch', { ...at(hypervisor), target: 'sdb' })).changed, false);
  }),
);

disks('another file or disk is refused and left alone, and so is another size', () =>
  withStubDomain(async (ansible, hypervisor) => {
    const file = fileOf(hypervisor);
    const before = await stubXml(hypervisor);
    const refusal = async (options: Record<string, unknown> = {}) => {
      const { failed, msg = '' } = await ansible.module('scratch', { ...at(hypervisor), ...options });
      assert.ok(failed, msg);
      return msg;
    };
    await writeFile(file, 'of somebody');
    assert.match(await refusal(), /stub-scratch\.raw exists, and this module has not made it/);
    assert.is(await readFile(file, 'utf8'), 'of somebody');
    await rm(file);
    assert.match(await refusal({ target: 'vdb' }), /vdb has the file .*home\.raw, not .*stub-scratch\.raw/);
    assert.match(await refusal({ target: 'sdb' }), /has no virtio-scsi controller/);
    assert.match(await refusal({ target: 'hda' }), /immutafs_scratch_target is 'hda'/);
    assert.match(
      await refusal({ size: '50%' }),
      /immutafs_scratch_size is '50%', but must be a size such as 8G/,
    );
    assert.match(await refusal({ serial: 'a b' }), /the serial number 'a b'/);
    const nowhere = join(hypervisor.folder, 'none');
    assert.match(await refusal({ image_directory: nowhere }), /none\/stub-scratch\.raw cannot be written/);
    assert.is(await stubXml(hypervisor), before);
    assert.not(await hasFile(file));
    assert.not(await hasFile(join(hypervisor.folder, 'state')), 'a refusal makes nothing');

    const made = await ansible.module('scratch', at(hypervisor));
    assert.is(made.changed, true, made.msg);
    const other = await refusal({ size: '1G' });
    assert.match(other, /has the bytes 268435456, not 1073741824/);
    assert.match(other, /virsh detach-disk stub vdz --config; rm .*stub-scratch\.raw .*scratch\.json/);
    assert.is((await stat(file)).size, size);

    const left = await ansible.module('scratch', { ...at(hypervisor), size: '' });
    assert.is(left.changed, false);
    assert.match(String(left['left']), /the disk vdz \(.*stub-scratch\.raw\) was kept/);
    assert.ok(await hasFile(file));
    assert.match(diskOf(await stubXml(hypervisor)), '<serial>scratch</serial>');
  }),
);

/** Takes the place of ssh: an open guest, whose agent marks the disk. The first argument that is a command is run. */
const guest = (folder: string, uri: string) => `#!/bin/sh
for argument; do [ "$argument" != -O ] || exit 0; done
/usr/bin/virsh --connect '${uri}' dumpxml stub | grep -q '<serial>scratch' || exit 255
export PATH=${folder}/bin:/usr/bin:/bin
exec sh -c "$(printf %s "$argument" | sed 's|ls /dev/disk/by-id/virtio-scratch|true|')"
`;
const agent = (folder: string) => `#!/bin/sh
[ "$1" = status ] || echo "$*" >>${folder}/calls
case $* in
  'status --json') echo '{"at": "2026-01-01T00:00:00.000Z", "host": {"bootId": "1"}, "verdict": "maintenance", "mode": "'"$(cat ${folder}/mode)"'", "enforcement": "none", "checks": [{"id": "root-readonly", "status": "skip", "severity": "required"}], "disks": [], "image": null, "forward": null}'; exit 4 ;;
  *--apply*) : >${folder}/marked ;;
  *) [ -e ${folder}/marked ] ;;
esac
`;

disks('the playbook marks the disk on the host, and configures it in an open guest only', () =>
  withStubDomain(async (ansible, hypervisor) => {
    const { folder, uri } = hypervisor;
    await mkdir(join(folder, 'bin'));
    for (const [name, text] of [
      ['bin/ssh', guest(folder, uri)],
      ['bin/immutafs-agent', agent(folder)],
    ] as const) {
      await writeFile(join(folder, name), text);
      await chmod(join(folder, name), 0o755);
    }
    const variables = {
      ...{ ansible_ssh_executable: join(folder, 'bin/ssh'), immutafs_state_directory: join(folder, 'state') },
      immutafs_scratch_size: '256M',
    };
    const calls = () => readFile(join(folder, 'calls'), 'utf8').catch(() => '');
    const none = await ansible.play('scratch', { ...variables, immutafs_scratch_size: '' });
    assert.is(none.exit, 0, none.output);
    assert.match(none.output, /changed=0/);

    const off = await ansible.play('scratch', variables);
    assert.is(off.exit, 0, off.output);
    assert.match(off.output, /stub: The disk is marked\. From its next sealed boot on/);
    assert.is(await calls(), '');

    await hypervisor.virsh('start', 'stub');
    await writeFile(join(folder, 'mode'), 'sealed');
    const sealed = await ansible.play('scratch', variables);
    assert.is(sealed.exit, 0, sealed.output);
    assert.match(sealed.output, /stub: the mode is sealed\. The disk is marked\./);
    assert.is(await calls(), '');

    await writeFile(join(folder, 'mode'), 'maintenance');
    const marked = await ansible.play('scratch', variables);
    assert.is(marked.exit, 0, marked.output);
    assert.match(marked.output, /changed=1/);
    const device = '--only scratch --scratch-device /dev/disk/by-id/virtio-scratch';
    assert.is(await calls(), `prepare ${device}\nprepare --apply --yes ${device}\n`);
    const again = await ansible.play('scratch', variables);
    assert.match(again.output, /changed=0/);
    assert.not.match((await calls()).split('\n').slice(2).join('\n'), /--apply/);

    const removed = await ansible.play('scratch', { ...variables, immutafs_scratch_size: '' });
    assert.match(removed.output, /stub: the disk vdz .* was kept/);
    assert.match(removed.output, /changed=0/);
  }),
);

disks.run();
