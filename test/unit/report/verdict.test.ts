import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { mountTable } from '../../../agent/facts/mounts/mountinfo.ts';
import { findNamespaceProblems } from '../../../agent/facts/mounts/namespace-check.ts';
import { decideVerdict } from '../../../agent/report/report.ts';
import { all, edit, file, handoff } from '../../harness/changes.ts';
import { type Guest, evaluateGuest, goodGuest, maintenanceGuest, withGuest } from '../../harness/guest.ts';
import { finding } from '../../harness/sample-report.ts';
import { inTemporaryFolder, writeFiles } from '../../harness/temporary.ts';
import { systemReader } from '../../../agent/system/reader.ts';

const view = suite('who looks');
view('what is seen is not the guest: unknown, whatever else fails', () => {
  const elsewhere = finding('error', 'required', 'kernel-view');
  assert.is(decideVerdict('sealed', [elsewhere, finding('fail')]), 'unknown');
  assert.is(decideVerdict('maintenance', [finding('fail'), elsewhere]), 'unknown');
  assert.is(decideVerdict('sealed', [finding('skip', 'required', 'kernel-view'), finding('fail')]), 'failed');
});

view('nothing at "/" is a chroot, also where PID 1 has nothing there', () => {
  inTemporaryFolder((root) => {
    const mountinfo = '61 60 253:0 / /x ro - xfs /dev/sda1 ro\n';
    writeFiles(root, {
      'proc/1/mountinfo': mountinfo,
      'proc/self/ns/pid': { linkTo: 'pid:[4026531836]' },
      'proc/self/ns/user': { linkTo: 'user:[4026531837]' },
    });
    const problems = findNamespaceProblems(systemReader({ root }), mountTable(mountinfo));
    assert.is(problems.at(-1), 'another mount namespace or another root than those of PID 1');
  });
});

view('disks that cannot be looked at do not make a maintenance of a sealed guest', async () => {
  const guest = maintenanceGuest();
  const report = await withGuest(guest, (reader) =>
    evaluateGuest({
      ...reader,
      resolve: (each) => {
        if (each.startsWith('/sys/')) throw new Error('no');
        return reader.resolve(each);
      },
    }),
  );
  assert.equal([report.mode, report.disks], ['sealed', []]);
});
view.run();

const scsi = suite('the evidence of a SCSI disk');
const record = (word: string) => `5,1,2,-;sd 2:0:0:0: [sda] Write Protect is ${word}\n SUBSYSTEM=scsi\n`;

/** On one SCSI disk with its flag set. */
function scsiGuest(): Guest {
  const guest = goodGuest();
  guest.devices[0] = {
    name: 'sda',
    device: '252:0',
    bus: 'virtio-scsi',
    readOnly: true,
    partitions: { sda1: '252:1', sda2: '252:2' },
  };
  guest.devices[2] = { name: 'dm-0', device: '253:0', on: ['sda2'], readOnly: true };
  file('dev/disk/by-uuid/1', { linkTo: '../../sda1' })(guest);
  file('dev/sda1', '')(guest);
  return guest;
}

async function evidence(log: string[], left: Record<string, string> = {}) {
  const guest = scsiGuest();
  Object.assign(guest.files, left);
  const report = await withGuest(guest, (reader) => evaluateGuest({ ...reader, kernelLog: () => log }));
  const disk = report.disks.find(({ name }) => name === 'sda');
  return {
    report,
    found: [disk?.hostReadOnly, report.enforcement, report.verdict],
    evidence: disk?.evidence ?? '',
  };
}

scsi('the kernel says so', async () => {
  const { found, evidence: said } = await evidence([record('on')]);
  assert.equal(found, [true, 'host', 'sealed']);
  assert.is(said, "SCSI write protect is on, by the kernel's log");
});
scsi('the kernel denies it', async () => {
  const { found, evidence: said } = await evidence([record('off')]);
  assert.equal(found, [false, 'guest', 'failed']);
  assert.match(said, 'the disk itself is not write-protected');
});
scsi('it is no longer in the log, but in the last report of this boot', async () => {
  const { report } = await evidence([record('on')]);
  const before = { 'run/immutafs/report.json': JSON.stringify(report) };
  const { found, evidence: said, report: second } = await evidence([], before);
  assert.equal(found, [true, 'host', 'sealed']);
  assert.match(said, /\(seen at boot\)$/);
  const third = await evidence([], { 'run/immutafs/report.json': JSON.stringify(second) });
  assert.is(third.evidence, said);
  assert.equal((await evidence([record('off')], before)).found, [false, 'guest', 'failed']);
});
scsi('nor there, or only as a flag', async () => {
  const { found, report } = await evidence([]);
  assert.equal(found, [null, 'guest', 'failed']);
  const before = { 'run/immutafs/report.json': JSON.stringify(report) };
  assert.equal((await evidence([], before)).found, [null, 'guest', 'failed']);
});
scsi('the log cannot be read', async () => {
  const guest = scsiGuest();
  const { disks } = await withGuest(guest, (reader) =>
    evaluateGuest({
      ...reader,
      kernelLog: () => {
        throw new Error('/dev/kmsg: operation not permitted');
      },
    }),
  );
  assert.match(disks[0]?.evidence ?? '', /cannot be read \(\/dev\/kmsg: operation not permitted\)$/);
});
scsi.run();

const single = suite('single cases');
const statusOf = async (guest: Guest, id: string) =>
  (await withGuest(guest, evaluateGuest)).checks.find((each) => each.id === id)?.status;
const changed = (...changes: ((guest: Guest) => void)[]) => {
  const guest = goodGuest();
  all(...changes)(guest);
  return guest;
};

single('/etc/mtab points to a name that only begins alike', async () => {
  assert.is(await statusOf(changed(file('etc/mtab', { linkTo: '/proc/mounts.old' })), 'mtab-link'), 'fail');
});
single('late boot decided the mode', async () => {
  assert.is(await statusOf(changed(handoff({ STAGE: 'late' })), 'initramfs-hook'), 'warn');
});
single('two disks that differ are partial', async () => {
  const guest = goodGuest();
  guest.devices[2] = { name: 'dm-0', device: '253:0', on: ['vda2', 'vdb'], readOnly: true };
  assert.is((await withGuest(guest, evaluateGuest)).enforcement, 'partial');
});
single('a mount that is rw of a file system that is ro is no foothold', async () => {
  const guest = changed(edit('home', 'rw,noexec,', 'rw,'), edit('home', / rw,seclabel/, ' ro,seclabel'));
  const { footholds } = await withGuest(guest, evaluateGuest);
  assert.not.ok(footholds.some(({ target }) => target === '/home'));
});
single.run();
