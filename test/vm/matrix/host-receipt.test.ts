import { readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { execa } from 'execa';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Hypervisor, defineXml, setReadOnly } from '../libvirt/hypervisor.ts';
import type { Ansible, ModuleResult } from '../libvirt/playbooks.ts';
import { stubArguments, stubXml, withStubDomain } from '../libvirt/stub-domain.ts';

/** Tests the receipts of sealed guests with real qcow2 files, qemu-nbd, nbdcopy and gpg, in stub domains. */
const host = suite('the host records what a sealed guest contains');

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

interface Stub {
  ansible: Ansible;
  hypervisor: Hypervisor;
  image: string;
  receipt: (state: string, more?: Record<string, unknown>) => Promise<ModuleResult>;
  differences: (more?: Record<string, unknown>) => Promise<unknown>;
  /** Returns the error of a verification. */
  refused: (more?: Record<string, unknown>) => Promise<string>;
  /** Writes bytes at an offset of the disk's content. */
  write: (offset: number, length?: number) => Promise<void>;
  /** The file with the receipt. */
  file: string;
}

/** A domain whose qcow2 disk of 24 MiB has two partitions, `boot` from 1 MiB and `root` from 9 MiB. */
const withDisk = (work: (stub: Stub) => Promise<void>) =>
  withStubDomain(
    async (ansible, hypervisor, disk) => {
      const [image, raw] = [join(hypervisor.folder, 'stub/system.qcow2'), join(hypervisor.folder, 'raw')];
      await execa('truncate', ['--size', '24M', raw]);
      const table = 'label: gpt\nstart=1MiB, size=8MiB, name=boot\nstart=9MiB, size=14MiB, name=root\n';
      await execa('sfdisk', ['--quiet', raw], { input: table });
      await execa('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', raw, image]);
      await disk(true);
      const directory = join(hypervisor.folder, 'state');
      const receipt: Stub['receipt'] = (state, more = {}) =>
        ansible.module('receipt', { ...stubArguments(hypervisor), directory, state, ...more });
      const differences: Stub['differences'] = async (more) => {
        const { failed, msg, differences: found } = await receipt('verified', more);
        return failed ? msg : found;
      };
      const refused: Stub['refused'] = async (more) => (await receipt('verified', more)).msg ?? '';
      const write: Stub['write'] = async (offset, length = 1) => {
        await execa('qemu-io', ['-f', 'qcow2', '-c', `write -P 7 ${offset} ${length}`, image]);
      };
      const file = join(directory, 'stub/receipt.json');
      await work({ ansible, hypervisor, image, receipt, differences, refused, write, file });
    },
    undefined,
    'qcow2',
  );

host('one changed byte is found and its place is named; the hash can be computed without this module', () =>
  withDisk(async ({ ansible, hypervisor, image, receipt, differences, refused, write, file }) => {
    assert.match(await refused(), /^stub has no receipt: seal it with immutafs_receipts: true/);
    const { changed, receipt: summary } = await receipt('recorded', { claims, by: 'alice@control' });
    assert.is(changed, true);
    const { age, sha256, ...rest } = summary as Record<string, unknown>;
    assert.equal({ ...rest, at: '' }, { at: '', by: 'alice@control', agent: '0.1.0', state: 'not signed' });
    assert.ok((age as number) < 60);
    const raw = join(hypervisor.folder, 'raw');
    const hashes = `split --bytes=4M --filter='openssl dgst -sha256 -binary' "$1" | sha256sum`;
    const { stdout } = await execa('sh', ['-c', hashes, 'sh', raw]);
    assert.is(stdout.split(' ')[0], sha256, 'the recipe of docs/receipts.md');
    assert.is((await receipt('recorded', { claims })).changed, false, 'a receipt is never overwritten');
    assert.equal(await differences(), []);

    await hypervisor.virsh('start', 'stub');
    assert.equal(await differences({ claims }), [], 'a sealed domain is read while it is running');
    await hypervisor.virsh('destroy', 'stub');

    await write(9 * MiB + 4711);
    assert.equal(await differences(), [
      "the disk differs in bytes 8388608-12582911 (partition 1 'boot', partition 2 'root')",
    ]);
    await write(13 * MiB, 2 * MiB);
    await write(24 * MiB - 1);
    assert.equal(await differences(), [
      "the disk differs in bytes 8388608-16777215 (partition 1 'boot', partition 2 'root')",
      "the disk differs in bytes 20971520-25165823 (partition 2 'root')",
    ]);
    const played = await ansible.play('verify', {
      immutafs_state_directory: join(hypervisor.folder, 'state'),
    });
    assert.is(played.exit, 2, played.output);
    assert.match(
      played.output,
      /stub: the disk differs in bytes 8388608-16777215 \(partition 1 /,
      played.output,
    );
    await execa('qemu-img', ['resize', '-f', 'qcow2', image, '25M']);
    assert.match(JSON.stringify(await differences()), /^\["the disk has 26214400 bytes, recorded: 25165824"/);
    await writeFile(file, (await readFile(file, 'utf8')).replace('"domain": "stub"', '"domain": "other"'));
    assert.match(JSON.stringify(await differences()), /^\["the receipt is of other, disk vda"/);
    await writeFile(file, (await readFile(file, 'utf8')).replace('"version": 1', '"version": 2'));
    assert.match(await refused(), /receipt\.json is not a receipt: its version is 2, not 1/);
    await writeFile(file, '{"time": "2026-11-26T15:00:00Z"}');
    assert.match(await refused(), /receipt\.json is not a receipt/);
  }),
);

host('an image that several domains have is read once, unless it was written since', () =>
  withDisk(async ({ hypervisor, receipt, differences, write, image }) => {
    const xml = await stubXml(hypervisor);
    const define = (name: string) =>
      defineXml(hypervisor, xml.replace('<name>stub<', `<name>${name}<`).replace(/ *<uuid>.*\n/, ''));
    const of = (domain: string) => ({ domain, claims });
    /** Writes without a change of the time of the last write, to see whether the image is read. */
    const writeUnseen = async () => {
      const { atime, mtime } = await stat(image);
      await write(9 * MiB);
      await utimes(image, atime, mtime);
    };
    // The cluster exists then, so that a second write does not change the size of the file.
    await write(9 * MiB + 4096);
    await utimes(image, 1_700_000_000, 1_700_000_000);
    await define('second');
    await define('third');
    const hashOf = async (domain: string) =>
      ((await receipt('recorded', of(domain))).receipt as { sha256: string }).sha256;
    const first = await hashOf('stub');
    const { measured, image: identity } = await receipt('verified');
    assert.equal(measured, { image: identity, sha256: first, size: 24 * MiB });

    await writeUnseen();
    assert.is(await hashOf('second'), first, 'it was not read');
    assert.equal(await differences({ domain: 'second', measured }), [], 'it was not read');
    const changed = ["the disk differs in bytes 8388608-12582911 (partition 1 'boot', partition 2 'root')"];
    assert.equal(await differences({ domain: 'second' }), changed, 'the first of each play reads it');
    const other = { ...(measured as object), sha256: 'f00' };
    assert.equal(await differences({ domain: 'second', measured: other }), changed);

    await utimes(image, 1_700_000_001, 1_700_000_001);
    assert.equal(await differences({ domain: 'second', measured }), changed, 'it was written since');
    assert.is.not(await hashOf('third'), first);
  }),
);

host('what the guest reports is compared: boot files, packages, versions', () =>
  withDisk(async ({ receipt, differences }) => {
    assert.match(
      (await receipt('recorded', { claims: 'agent 0.1.0' })).msg ?? '',
      /^stub: the guest reported no kernel, no packages, no files/,
    );
    await receipt('recorded', { claims });
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
  }),
);

host(
  'a receipt is retired when the guest is opened, and reinstated by a rollback; no writable disk is read',
  () =>
    withDisk(async ({ hypervisor, receipt, differences, refused }) => {
      await receipt('recorded', { claims });
      assert.is((await receipt('retired')).changed, true);
      assert.is((await receipt('retired')).changed, false, 'the previous receipt is kept');
      assert.is((await receipt('query')).receipt, null);
      assert.is((await receipt('reinstated')).changed, true);
      assert.is((await receipt('reinstated')).changed, false);
      assert.equal(await differences(), []);
      await setReadOnly(hypervisor, 'stub', false);
      await hypervisor.virsh('start', 'stub');
      assert.match(await refused(), /^stub can write to its disk, which can be hashed only while/);
    }),
);

host('a receipt is signed, and a changed receipt, another key or no signature are refused', () =>
  withDisk(async ({ receipt, differences, refused, write, file }) => {
    const home = (await execa('mktemp', ['-d'])).stdout;
    try {
      for (const name of ['seal', 'other']) {
        const key = ['--quick-generate-key', `${name}@example.org`, 'ed25519', 'sign', 'never'];
        await execa('gpg', ['--homedir', home, '--batch', '--passphrase', '', ...key]);
      }
      const by = (name: string) => ({ key: `${name}@example.org`, gnupg_home: home });
      const key = by('seal');
      const { receipt: summary, msg } = await receipt('recorded', { claims, ...key });
      assert.is((summary as { state: string } | undefined)?.state, 'signed', msg);
      assert.equal(await differences(key), []);
      assert.match(await refused(by('other')), /has no valid signature by other@example\.org/);
      const text = await readFile(file, 'utf8');
      await writeFile(file, text.replace('bash 5.2-1', 'bash 5.2-2'));
      assert.match(await refused(key), /gpg stub: .*BAD signature/);
      await writeFile(file, text);
      await rm(`${file}.asc`);
      assert.match(await refused(key), /gpg stub: .*receipt\.json\.asc/);
      assert.is((await receipt('recorded', { claims, ...key })).changed, true, 'the signature is completed');
      assert.equal(await differences(key), []);
      const fingerprint = await fingerprintOf(home, 'seal@example.org');
      await execa('gpg', ['--homedir', home, '--batch', '--quick-set-expire', fingerprint, 'seconds=1']);
      await setTimeout(3000);
      assert.match(await refused(key), /has no valid signature by seal@example\.org: the key has expired$/);
      await execa('gpg', ['--homedir', home, '--batch', '--quick-set-expire', fingerprint, '0']);
      await revoke(home, fingerprint);
      assert.match(await refused(key), /has no valid signature by seal@example\.org: the key is revoked$/);

      await rm(`${file}.asc`);
      await write(9 * MiB);
      const { msg: changed } = await receipt('recorded', { claims, ...by('other') });
      assert.match(
        changed ?? '',
        /receipt\.json was not signed, because the guest differs from it: the disk differs in bytes 8388608-/,
      );
      assert.is(await readFile(file, 'utf8'), text, 'a receipt is never overwritten');
    } finally {
      await execa('gpgconf', ['--homedir', home, '--kill', 'all']);
      await rm(home, { recursive: true, force: true });
    }
  }),
);

async function fingerprintOf(home: string, user: string): Promise<string> {
  const { stdout } = await execa('gpg', ['--homedir', home, '--with-colons', '--fingerprint', user]);
  return /^fpr:+([0-9A-F]{40}):/m.exec(stdout)?.[1] ?? '';
}

/** Revokes a key with the certificate that gpg has written for it. */
async function revoke(home: string, fingerprint: string): Promise<void> {
  const certificate = await readFile(join(home, 'openpgp-revocs.d', `${fingerprint}.rev`), 'utf8');
  // The colon keeps the certificate from being imported by mistake.
  const input = certificate.replace(':-----BEGIN', '-----BEGIN');
  await execa('gpg', ['--homedir', home, '--batch', '--import'], { input });
}

host.run();
