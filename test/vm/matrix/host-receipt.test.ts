import { readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { execa } from 'execa';
import * as assert from 'uvu/assert';
import { defineXml, setReadOnly } from '../libvirt/hypervisor.ts';
import { writeBytes } from '../libvirt/images.ts';
import { type Answer, type Stub, stubSuite } from '../libvirt/stub-suite.ts';

/** Tests the receipts of sealed guests with real qcow2 files, qemu-nbd, nbdcopy and gpg, in stub domains. */
const host = stubSuite('the host records what a sealed guest contains', {
  systemFormat: 'qcow2',
  isSealed: true,
});

const MiB = 1024 * 1024;

const claims = [
  'agent 0.1.0',
  'kernel 6.12.1',
  'package bash 5.2-1.x86_64',
  'deb openssl 3.2.2-6.amd64',
  'file aaaa  /boot/vmlinuz-6.12.1',
  'file bbbb  /boot/initramfs-6.12.1.img',
  'file cccc  /boot/loader/entries/6.12.1.conf',
].join('\n');

/** The difference of a disk of which a byte of the chunk from 8 MiB on was changed. */
const inBothPartitions =
  "the disk differs in bytes 8388608-12582911 (partition 1 'boot', partition 2 'root')";

/** What the tests do with the system disk and its receipt. */
function receiptOf({ directory, expect, image }: Stub) {
  /** Runs the module with a state, and compares what it returns. */
  const expectReceipt = (state: string, more: Record<string, unknown>, answer: Answer) =>
    expect('receipt', { directory, state, ...more }, answer);
  return {
    expectReceipt,
    /** Verifies the receipt. @returns the differences @throws if there was an error */
    differences: async (more = {}) => (await expectReceipt('verified', more, {}))['differences'],
    /** Asserts the error of a verification. */
    refused: (message: RegExp, more = {}) => expectReceipt('verified', more, message),
    /** Writes bytes at an offset of the disk's content. */
    write: (offset: number, length = 1) => writeBytes(image, offset, length, 7),
    /** The file with the receipt. */
    file: join(directory, 'stub/receipt.json'),
  };
}

/** A test of a sealed domain whose qcow2 disk of 24 MiB has two partitions, `boot` from 1 MiB and `root` from 9 MiB. */
const onDisk = (title: string, test: (stub: Stub & ReturnType<typeof receiptOf>) => Promise<void>) =>
  host(title, async (stub) => {
    const raw = join(stub.folder, 'raw');
    await execa('truncate', ['--size', '24M', raw]);
    const table = 'label: gpt\nstart=1MiB, size=8MiB, name=boot\nstart=9MiB, size=14MiB, name=root\n';
    await execa('sfdisk', ['--quiet', raw], { input: table });
    await execa('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', raw, stub.image]);
    await test({ ...stub, ...receiptOf(stub) });
  });

onDisk(
  'one changed byte is found and its place is named; the hash can be computed without this module',
  async (disk) => {
    const { directory, folder, image, virsh, expectReceipt, differences, refused, write, file } = disk;
    await refused(/^stub has no receipt: seal it with immutafs_receipts: true/);
    const recorded = await expectReceipt('recorded', { claims, by: 'alice@control' }, { changed: true });
    const { age, sha256, ...rest } = recorded['receipt'] as Record<string, unknown>;
    assert.equal({ ...rest, at: '' }, { at: '', by: 'alice@control', agent: '0.1.0', state: 'not signed' });
    assert.ok((age as number) < 60);
    const hashes = `split --bytes=4M --filter='openssl dgst -sha256 -binary' "$1" | sha256sum`;
    const { stdout } = await execa('sh', ['-c', hashes, 'sh', join(folder, 'raw')]);
    assert.is(stdout.split(' ')[0], sha256, 'the recipe of docs/receipts.md');
    // A receipt is never overwritten.
    await expectReceipt('recorded', { claims }, { changed: false });
    assert.equal(await differences(), []);

    await virsh('start', 'stub');
    assert.equal(await differences({ claims }), [], 'a sealed domain is read while it is running');
    await virsh('destroy', 'stub');

    await write(9 * MiB + 4711);
    assert.equal(await differences(), [inBothPartitions]);
    await write(13 * MiB, 2 * MiB);
    await write(24 * MiB - 1);
    assert.equal(await differences(), [
      "the disk differs in bytes 8388608-16777215 (partition 1 'boot', partition 2 'root')",
      "the disk differs in bytes 20971520-25165823 (partition 2 'root')",
    ]);
    const played = await disk.ansible.play('verify', { immutafs_state_directory: directory });
    assert.is(played.exit, 2, played.output);
    assert.match(played.output, /stub: the disk differs in bytes 8388608-16777215 \(partition 1 /);
    await execa('qemu-img', ['resize', '-f', 'qcow2', image, '25M']);
    assert.match(JSON.stringify(await differences()), /^\["the disk has 26214400 bytes, recorded: 25165824"/);
    const edit = async (from: string, to: string) =>
      writeFile(file, (await readFile(file, 'utf8')).replace(from, to));
    await edit('"domain": "stub"', '"domain": "other"');
    assert.match(JSON.stringify(await differences()), /^\["the receipt is of other, disk vda"/);
    await edit('"version": 1', '"version": 2');
    await refused(/receipt\.json is not a receipt: its version is 2, not 1/);
    await writeFile(file, '{"time": "2026-11-26T15:00:00Z"}');
    await refused(/receipt\.json is not a receipt/);
  },
);

onDisk(
  'an image that several domains have is read once, unless it was written since',
  async ({ hypervisor, image, xml, write, expectReceipt, differences }) => {
    const text = await xml();
    /** Writes without a change of the time of the last write, to see whether the image is read. */
    const writeUnseen = async () => {
      const { atime, mtime } = await stat(image);
      await write(9 * MiB);
      await utimes(image, atime, mtime);
    };
    // The cluster exists then, so that a second write does not change the size of the file.
    await write(9 * MiB + 4096);
    await utimes(image, 1_700_000_000, 1_700_000_000);
    for (const name of ['second', 'third'])
      await defineXml(hypervisor, text.replace('<name>stub<', `<name>${name}<`).replace(/ *<uuid>.*\n/, ''));
    const hashOf = async (domain: string) => {
      const { receipt } = await expectReceipt('recorded', { domain, claims }, {});
      return (receipt as { sha256: string }).sha256;
    };
    const first = await hashOf('stub');
    const { measured, image: identity } = await expectReceipt('verified', {}, {});
    assert.equal(measured, { image: identity, sha256: first, size: 24 * MiB });

    await writeUnseen();
    assert.is(await hashOf('second'), first, 'it was not read');
    const domain = 'second';
    const other = { ...(measured as object), sha256: 'f00' };
    assert.equal(await differences({ domain, measured }), [], 'it was not read');
    assert.equal(await differences({ domain }), [inBothPartitions], 'the first of each play reads it');
    assert.equal(await differences({ domain, measured: other }), [inBothPartitions]);

    await utimes(image, 1_700_000_001, 1_700_000_001);
    assert.equal(await differences({ domain, measured }), [inBothPartitions], 'it was written since');
    assert.is.not(await hashOf('third'), first);
  },
);

onDisk(
  'what the guest reports is compared: boot files, packages, versions',
  async ({ expectReceipt, differences }) => {
    await expectReceipt(
      'recorded',
      { claims: 'agent 0.1.0' },
      /^stub: the guest reported no kernel, no packages, no files/,
    );
    await expectReceipt('recorded', { claims }, {});
    const now = claims
      .replace('agent 0.1.0', 'agent 0.2.0')
      .replace('bash 5.2-1', 'bash 5.2-2')
      .replace('deb openssl 3.2.2-6.amd64', 'package backdoor 1-1.noarch')
      .replace('file bbbb', 'file 6666')
      .replace('file cccc  /boot/loader/entries/6.12.1.conf', 'file dddd  /boot/grub2/grub.cfg');
    assert.equal(await differences({ claims: now }), [
      'agent version: 0.2.0, recorded: 0.1.0',
      'boot configuration /boot/grub2/grub.cfg is new',
      'initramfs /boot/initramfs-6.12.1.img has other content',
      'boot configuration /boot/loader/entries/6.12.1.conf is missing',
      'package backdoor 1-1.noarch was added',
      'package bash is 5.2-2.x86_64, recorded: 5.2-1.x86_64',
      'package openssl 3.2.2-6.amd64 was removed',
    ]);
  },
);

onDisk(
  'a receipt is retired when the guest is opened, and reinstated by a rollback; no writable disk is read',
  async ({ hypervisor, virsh, expectReceipt, differences, refused }) => {
    for (const [state, more, answer] of [
      ['recorded', { claims }, {}],
      ['retired', {}, { changed: true }],
      // The previous receipt is kept.
      ['retired', {}, { changed: false }],
      ['query', {}, { receipt: null }],
      ['reinstated', {}, { changed: true }],
      ['reinstated', {}, { changed: false }],
    ] as const)
      await expectReceipt(state, more, answer);
    assert.equal(await differences(), []);
    await setReadOnly(hypervisor, 'stub', false);
    await virsh('start', 'stub');
    await refused(/^stub can write to its disk, which can be hashed only while/);
  },
);

onDisk(
  'a receipt is signed, and a changed receipt, another key or no signature are refused',
  async ({ expectReceipt, differences, refused, write, file }) => {
    await withKeys(['seal', 'other'], async (home) => {
      const gpg = (...args: string[]) => execa('gpg', ['--homedir', home, '--batch', ...args]);
      const by = (name: string) => ({ key: `${name}@example.org`, gnupg_home: home });
      const key = by('seal');
      const signed = await expectReceipt('recorded', { claims, ...key }, {});
      assert.is((signed['receipt'] as { state: string }).state, 'signed');
      assert.equal(await differences(key), []);
      await refused(/has no valid signature by other@example\.org/, by('other'));
      const text = await readFile(file, 'utf8');
      await writeFile(file, text.replace('bash 5.2-1', 'bash 5.2-2'));
      await refused(/gpg stub: .*BAD signature/, key);
      await writeFile(file, text);
      await rm(`${file}.asc`);
      await refused(/gpg stub: .*receipt\.json\.asc/, key);
      // The signature is completed.
      await expectReceipt('recorded', { claims, ...key }, { changed: true });
      assert.equal(await differences(key), []);
      const { stdout } = await gpg('--with-colons', '--fingerprint', 'seal@example.org');
      const [, fingerprint = ''] = /^fpr:+([0-9A-F]{40}):/m.exec(stdout) ?? [];
      await gpg('--quick-set-expire', fingerprint, 'seconds=1');
      await setTimeout(3000);
      await refused(/has no valid signature by seal@example\.org: the key has expired$/, key);
      await gpg('--quick-set-expire', fingerprint, '0');
      await revoke(home, fingerprint);
      await refused(/has no valid signature by seal@example\.org: the key is revoked$/, key);

      await rm(`${file}.asc`);
      await write(9 * MiB);
      await expectReceipt(
        'recorded',
        { claims, ...by('other') },
        /receipt\.json was not signed, because the guest differs from it: the disk differs in bytes 8388608-/,
      );
      assert.is(await readFile(file, 'utf8'), text, 'a receipt is never overwritten');
    });
  },
);

onDisk(
  'a receipt is bound to the image again whose device number has changed, unless the content differs',
  async ({ hypervisor, xml, expectReceipt, differences, write, file }) => {
    const read = async () => JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>;
    const { image } = await expectReceipt('recorded', { claims }, {});
    const recorded = await read();
    assert.is(recorded['image'], image);
    const stale = String(image).replace(/ \d+:/, ' 64999:');
    assert.is.not(stale, image);
    const asAfterReboot = (more = {}) =>
      writeFile(file, JSON.stringify({ ...recorded, image: stale, ...more }));

    await asAfterReboot();
    await expectReceipt('recorded', { claims }, { changed: true, image });
    assert.equal(await read(), recorded, 'time and user are those of the seal');
    await expectReceipt('recorded', { claims }, { changed: false });

    await withKeys(['seal', 'other'], async (home) => {
      const by = (name: string) => ({ key: `${name}@example.org`, gnupg_home: home });
      await expectReceipt('recorded', { claims, ...by('seal') }, { changed: true });
      // A device number that changes does not change the receipt, so this signature is valid after a reboot.
      await asAfterReboot();
      await execa('gpg', [
        ...['--homedir', home, '--batch', '--yes', '--local-user', 'seal@example.org'],
        ...['--armor', '--detach-sign', '--output', `${file}.asc`, file],
      ]);
      await expectReceipt('recorded', { claims }, /receipt\.json is signed, but no key is given/);
      await expectReceipt('recorded', { claims, ...by('other') }, /has no valid signature by other@/);
      await expectReceipt('recorded', { claims, ...by('seal') }, { changed: true });
      assert.equal(await read(), recorded);
      assert.equal(await differences(by('seal')), []);
      // What somebody has changed is not signed.
      await asAfterReboot({ by: 'mallory@control' });
      await expectReceipt('recorded', { claims, ...by('seal') }, /BAD signature/);
      await rm(`${file}.asc`);
    });

    await asAfterReboot();
    await write(9 * MiB);
    const before = await readFile(file, 'utf8');
    const differs =
      /receipt\.json was not bound to the present image, because the guest differs from it: the disk differs in bytes 8388608-/;
    await expectReceipt('recorded', { claims }, differs);
    assert.is(await readFile(file, 'utf8'), before);
    const { image: now } = await expectReceipt('query', {}, {});
    const text = (await xml()).replace('<name>stub<', '<name>second<').replace(/ *<uuid>.*\n/, '');
    await defineXml(hypervisor, text);
    // The image that the receipt of another domain describes is not read again.
    await expectReceipt('recorded', { domain: 'second', claims }, { image: now });
    await expectReceipt('recorded', { claims }, differs);
  },
);

/** Calls `work` with a directory of GnuPG keys of these users, and removes it. */
async function withKeys(names: readonly string[], work: (home: string) => Promise<unknown>): Promise<void> {
  const home = (await execa('mktemp', ['-d'])).stdout;
  try {
    for (const name of names) {
      const key = ['--quick-generate-key', `${name}@example.org`, 'ed25519', 'sign', 'never'];
      await execa('gpg', ['--homedir', home, '--batch', '--passphrase', '', ...key]);
    }
    await work(home);
  } finally {
    await execa('gpgconf', ['--homedir', home, '--kill', 'all']);
    await rm(home, { recursive: true, force: true });
  }
}

/** Revokes a key with the certificate that gpg has written for it. */
async function revoke(home: string, fingerprint: string): Promise<void> {
  const certificate = await readFile(join(home, 'openpgp-revocs.d', `${fingerprint}.rev`), 'utf8');
  // The colon keeps the certificate from being imported by mistake.
  const input = certificate.replace(':-----BEGIN', '-----BEGIN');
  await execa('gpg', ['--homedir', home, '--batch', '--import'], { input });
}

host.run();
