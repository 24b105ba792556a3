import { existsSync } from 'node:fs';
import { readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import * as assert from 'uvu/assert';
import { markOf } from '../harness/scratch.ts';
import { defineXml } from '../libvirt/hypervisor.ts';
import { rawCopy } from '../libvirt/images.ts';
import { type Answer, type Stub, stubSuite } from '../libvirt/stub-suite.ts';
import { writeProgram } from '../libvirt/write-program.ts';

/** Uses a stub domain like `host.test.ts`. Guests with SCRATCH boot in `long/scratch.test.ts`. */
const disks = stubSuite('the disk for SCRATCH');

const size = 256 * 1024 * 1024;

/** The file of the disk, and the arguments of the module. */
const scratchOf = ({ directory, folder }: Stub, format = 'raw') => ({
  file: join(folder, `stub/stub-scratch.${format}`),
  at: { system: 'vda', target: 'vdz', size: '256M', directory, ...(format !== 'raw' && { format }) },
});

/** Returns the text at the beginning of a disk as the guest sees it. */
async function markIn({ folder }: Stub, file: string, format: string): Promise<string> {
  const { stdout } = await execa('head', ['--bytes', '4096', await rawCopy(folder, file, format)]);
  return stdout.replaceAll('\0', '');
}

const compact = (xml: string) => xml.replace(/\s+/g, '');
const diskOf = (xml: string, target = 'vdz') =>
  new RegExp(`<disk (?:(?!<disk )[^])*?<target dev='${target}'[^]*?</disk>`).exec(xml)?.[0] ?? '';

/** Attaches the controller without which there are no SCSI disks. */
async function addController({ folder, virsh }: Stub): Promise<void> {
  const controller = join(folder, 'controller.xml');
  await writeFile(controller, `<controller type='scsi' index='0' model='virtio-scsi'/>`);
  await virsh('attach-device', 'stub', controller, '--config');
}

/** By title: the format and the target of the disk, its bus in the XML, and its name in the guest. */
const kinds: Record<string, [format: 'raw' | 'qcow2', target: string, bus: string, link: string]> = {
  raw: ['raw', 'vdz', 'virtio', '/dev/disk/by-id/virtio-scratch'],
  qcow2: ['qcow2', 'vdz', 'virtio', '/dev/disk/by-id/virtio-scratch'],
  'virtio-scsi': ['raw', 'sdb', 'scsi', '/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_scratch'],
};

for (const [title, [format, target, bus, link]] of Object.entries(kinds)) {
  disks(
    `${title}: made and attached once, beside the system disk, sparse, with discard and a serial number`,
    async (stub) => {
      const { expect, virsh, xml } = stub;
      const { file, at } = scratchOf(stub, format);
      const scratch = (answer: Answer, mode?: 'check') => expect('scratch', { ...at, target }, answer, mode);
      if (bus === 'scsi') await addController(stub);
      const before = await xml();

      await scratch({ changed: true }, 'check');
      assert.not(existsSync(file), 'check mode changes nothing');

      await scratch({ changed: true, path: file, link, live: false, marked: true });
      const mark = await markIn(stub, file, format);
      assert.match(mark, new RegExp(`^device ${link}$`, 'm'));
      if (bus === 'virtio')
        assert.is(mark, markOf({ serial: 'scratch' }, (await virsh('domuuid', 'stub')).trim()));
      const { size: bytes, blocks, mode } = await stat(file);
      assert.is(mode & 0o777, 0o600);
      assert.ok(blocks * 512 < 1024 * 1024, 'sparse');
      if (format === 'raw') assert.is(bytes, size);
      const after = await xml();
      const disk = diskOf(after, target);
      assert.match(disk, `<driver name='qemu' type='${format}' discard='unmap'/>`);
      assert.match(disk, `<source file='${file}'/>`);
      assert.match(disk, new RegExp(`<target dev='${target}' bus='${bus}'/>\\s*<serial>scratch</serial>`));
      assert.is(compact(after.replace(disk, '')), compact(before), 'nothing else');

      await writeFile(file, 'content', { flag: 'r+' });
      await scratch({ changed: false, live: false, marked: true });
      assert.is((await readFile(file)).toString('latin1', 0, 7), 'content', 'only a new file is marked');
      assert.is(await xml(), after);
    },
  );
}

disks('a running domain gets it at once, and one that has it only from its next start on', async (stub) => {
  const { expect, virsh, xml } = stub;
  const scratch = (answer: Answer) => expect('scratch', scratchOf(stub).at, answer);
  const live = () => virsh('dumpxml', 'stub');
  await virsh('start', 'stub');
  await scratch({ changed: true, live: true });
  for (const text of [await live(), await xml()]) assert.match(diskOf(text), '<serial>scratch</serial>');
  await scratch({ changed: false });
  await virsh('destroy', 'stub');
  await virsh('detach-disk', 'stub', 'vdz', '--config');
  await virsh('start', 'stub');
  assert.is(diskOf(await live()), '');
  await scratch({ live: true });
  await scratch({ changed: false });
});

/** Replaces a text in the XML of the domain, which may be that of its UUID. */
async function defineAnew(
  { hypervisor, virsh, xml }: Stub,
  from: string | RegExp,
  to: string,
): Promise<void> {
  const text = await xml();
  await virsh('undefine', 'stub');
  await defineXml(hypervisor, text.replace(from, to));
}

disks(
  'a domain whose guest gets another UUID: the disk stays blank, and the guest must mark it',
  async (stub) => {
    const { file, at } = scratchOf(stub);
    await defineAnew(stub, '</os>', `<smbios mode='host'/></os>`);
    await stub.expect('scratch', at, { changed: true, marked: false });
    assert.is(await markIn(stub, file, 'raw'), '');
  },
);

disks('a domain with a new UUID: the disk keeps the mark of the earlier one', async (stub) => {
  const { file, at } = scratchOf(stub);
  await stub.expect('scratch', at, { marked: true });
  const before = await markIn(stub, file, 'raw');
  await defineAnew(stub, /<uuid>.*<\/uuid>/, '<uuid>6b2d0c1e-0001-4c1b-9d7e-0123456789ab</uuid>');
  await stub.expect('scratch', at, { changed: false, marked: false });
  assert.is(await markIn(stub, file, 'raw'), before);
});

disks('another file or disk is refused and left alone, and so is another size', async (stub) => {
  const { directory, expect, folder, xml } = stub;
  const { file, at } = scratchOf(stub);
  const scratch = (options: Record<string, unknown>, answer: Answer) =>
    expect('scratch', { ...at, ...options }, answer);
  await writeFile(file, 'of somebody');
  await scratch({}, /stub-scratch\.raw exists, and this module has not made it/);
  assert.is(await readFile(file, 'utf8'), 'of somebody');
  await rm(file);
  for (const [options, message] of [
    [{ target: 'vdb' }, /vdb has the file .*home\.raw, not .*stub-scratch\.raw/],
    [{ target: 'sdb' }, /has no virtio-scsi controller/],
    [{ target: 'hda' }, /immutafs_scratch_target is 'hda'/],
    [{ size: '50%' }, /immutafs_scratch_size is '50%', but must be a size such as 8G/],
    [{ serial: 'a b' }, /the serial number 'a b'/],
    [{ image_directory: join(folder, 'none') }, /none\/stub-scratch\.raw cannot be written/],
  ] as const)
    await scratch(options, message);
  assert.not(existsSync(file));
  assert.not(existsSync(directory), 'a refusal makes nothing');

  await scratch({}, { changed: true });
  await scratch(
    { size: '1G' },
    /has the bytes 268435456, not 1073741824[^]*virsh detach-disk stub vdz --config; rm .*stub-scratch\.raw .*scratch\.json/,
  );
  assert.is((await stat(file)).size, size);

  const left = await scratch({ size: '' }, { changed: false });
  assert.match(String(left['left']), /the disk vdz \(.*stub-scratch\.raw\) was kept/);
  assert.ok(existsSync(file));
  assert.match(diskOf(await xml()), '<serial>scratch</serial>');
});

/** Takes the place of ssh: an open guest, whose agent marks the disk. The first argument that is a command is run. */
const guest = (folder: string, uri: string) => `for argument; do [ "$argument" != -O ] || exit 0; done
/usr/bin/virsh --connect '${uri}' dumpxml stub | grep -q '<serial>scratch' || exit 255
export PATH=${folder}/bin:/usr/bin:/bin
exec sh -c "$(printf %s "$argument" | sed 's|ls /dev/disk/by-id/virtio-scratch|true|')"`;
const agent = (folder: string) => `[ "$1" = status ] || echo "$*" >>${folder}/calls
case $* in
  'status --json') echo '{"at": "2026-01-01T00:00:00.000Z", "host": {"bootId": "1"}, "verdict": "maintenance", "mode": "'"$(cat ${folder}/mode)"'", "enforcement": "none", "checks": [{"id": "root-readonly", "status": "skip", "severity": "required"}], "disks": [], "image": null, "forward": null}'; exit 4 ;;
  *--apply*) : >${folder}/marked ;;
  *) [ -e ${folder}/marked ] ;;
esac`;

disks(
  'the playbook marks the disk on the host, and configures it in an open guest only',
  async ({ ansible, directory, folder, hypervisor, virsh }) => {
    const ssh = await writeProgram(join(folder, 'bin/ssh'), guest(folder, hypervisor.uri));
    await writeProgram(join(folder, 'bin/immutafs-agent'), agent(folder));
    const variables = { ansible_ssh_executable: ssh, immutafs_state_directory: directory };
    /** Runs the playbook. @param prepared how often `prepare` was called, and with which options, since the start */
    const scratch = async (size: string, said: readonly RegExp[], prepared: readonly string[]) => {
      const { exit, output } = await ansible.play('scratch', { ...variables, immutafs_scratch_size: size });
      assert.is(exit, 0, output);
      for (const each of said) assert.match(output, each);
      const calls = await readFile(join(folder, 'calls'), 'utf8').catch(() => '');
      assert.equal(calls.split('\n').slice(0, -1), prepared);
    };
    const device = '--only scratch --scratch-device /dev/disk/by-id/virtio-scratch';
    const configured = [`prepare ${device}`, `prepare --apply --yes ${device}`];
    await scratch('', [/changed=0/], []);
    await scratch('256M', [/stub: The disk is marked\. From its next sealed boot on/], []);
    await virsh('start', 'stub');
    const mode = join(folder, 'mode');
    await writeFile(mode, 'sealed');
    await scratch('256M', [/stub: the mode is sealed\. The disk is marked\./], []);
    await writeFile(mode, 'maintenance');
    await scratch('256M', [/changed=1/], configured);
    // Without --apply.
    const again = [...configured, `prepare ${device}`];
    await scratch('256M', [/changed=0/], again);
    await scratch('', [/stub: the disk vdz .* was kept/, /changed=0/], again);
  },
);

disks.run();
