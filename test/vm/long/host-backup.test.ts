/** Runs the commands of docs/host.md for backups, snapshots and migration with a real libvirt and QEMU. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { blocksOf, commandsIn } from '../../harness/pages/blocks.ts';
import { until } from '../../wire/support/until.ts';
import { type AgentDomain, agentOf, startAgentDomain } from '../libvirt/agent-domain.ts';
import { type Hypervisor, refusalOf, withHypervisor } from '../libvirt/hypervisor.ts';
import { migrationHere } from '../libvirt/migration.ts';

const host = suite('docs/host.md: backup, snapshots and migration');

interface Page {
  /** Files by name. */
  files: Map<string, string>;
  /** The commands, as lists of the words after `virsh`. */
  commands: string[][];
}

const section = blocksOf('docs/host.md').filter(
  ({ heading }) => heading === 'Backup, snapshots and migration',
);

function readPage(): Page {
  const xml = section.find(({ language }) => language === 'xml')?.text ?? '';
  const files = [...xml.matchAll(/<!-- (\S+) -->\n([^]*?)(?=<!-- |$)/g)];
  return { files: new Map(files.map(([, name = '', text = '']) => [name, text])), commands: virshCommands() };
}

function virshCommands(): string[][] {
  const shell = section.filter(({ language }) => language === 'sh');
  return shell
    .flatMap(({ text }) => commandsIn(text))
    .map(({ text }) => {
      const [program, ...words] = text.split(' ');
      assert.is(program, 'virsh', text);
      return words;
    });
}

/** The commands that the tests have run. */
const ran = new Set<string>();

interface Fixture {
  page: Page;
  hypervisor: Hypervisor;
  domain: AgentDomain;
  folder: string;
  /** Runs the command of the page that begins with these words. */
  run: (...words: string[]) => Promise<string>;
}

/** Calls `work` with a running domain `guest` that has a sealed disk and a data disk. */
function withDomain(work: (fixture: Fixture) => Promise<void>): Promise<void> {
  return withHypervisor(async (hypervisor) => {
    const { folder } = hypervisor;
    const page = readPage();
    const domain = await startAgentDomain(hypervisor, 'guest', 'qcow2');
    const here = (text: string) => text.replaceAll('GUEST', 'guest').replaceAll('/backup', folder);
    for (const [name, text] of page.files) await writeFile(join(folder, name), here(text));
    const run: Fixture['run'] = async (...start) => {
      const found = page.commands.find((words) => start.every((word, index) => words[index] === word));
      assert.ok(found, start.join(' '));
      ran.add(found.join(' '));
      const words = found.map((word) => (page.files.has(word) ? join(folder, word) : here(word)));
      return hypervisor.virsh(...words);
    };
    await work({ page, hypervisor, domain, folder, run });
  });
}

/** Writes a line into the data disk, and tries the same on the sealed disk. @returns what the guest says about the latter */
async function write({ domain }: Pick<Fixture, 'domain'>, text: string): Promise<string> {
  await domain.run(`box=/bin/busybox
    echo ${text} | $box dd of=/dev/vdb bs=64k seek=1 conv=sync 2>/dev/null
    $box sync
    { echo ${text} | $box dd of=/dev/vda bs=512; } >/tmp/new 2>&1
    $box mv /tmp/new /tmp/${text}`);
  return readFileIn(domain, `/tmp/${text}`);
}

async function readFileIn({ agent }: AgentDomain, path: string): Promise<string> {
  let said = '';
  const read = async () => {
    const handle = await agent('guest-file-open', { path, mode: 'r' });
    const { 'buf-b64': content } = (await agent('guest-file-read', { handle })) as { 'buf-b64': string };
    await agent('guest-file-close', { handle });
    said = Buffer.from(content, 'base64').toString();
    return true;
  };
  await until(path, () => read().catch(() => false), 60);
  return said;
}

/** Returns the line that the guest wrote, from an image. */
async function lineIn(image: string): Promise<string> {
  const raw = `${image}.raw`;
  await execa('qemu-img', ['convert', '-U', '-O', 'raw', image, raw]);
  return (await readFile(raw)).subarray(65_536).toString('latin1').replace(/\n.*/s, '');
}

const source = async ({ hypervisor }: Fixture, target: string) =>
  new RegExp(`^ ${target} +(.*)$`, 'm').exec(await hypervisor.virsh('domblklist', 'guest'))?.[1];

host('incremental backups of the data disk; a checkpoint of the sealed disk is refused', () =>
  withDomain(async (fixture) => {
    const { run, folder, hypervisor } = fixture;
    const ended = () => until('the backup', async () => /Completed/.test(await run('domjobinfo')), 60);
    assert.match(await write(fixture, 'one'), /vda.*(Read-only|Operation not permitted)/i);
    await run('backup-begin', 'GUEST', 'backup.xml');
    await ended();
    await write(fixture, 'two');
    await run('backup-begin', 'GUEST', 'increment.xml');
    await ended();
    const [full, increment] = ['vdb.full.qcow2', 'vdb.increment.qcow2'].map((name) => join(folder, name));
    assert.is(await lineIn(full ?? ''), 'one');
    await execa('qemu-img', ['rebase', '-u', '-b', full ?? '', '-F', 'qcow2', increment ?? '']);
    assert.is(await lineIn(increment ?? ''), 'two');

    const bad = ['checkpoint-create-as', 'guest', 'bad', '--diskspec', 'vda,checkpoint=bitmap'];
    assert.match(await refusalOf(hypervisor.virsh(...bad)), /disk 'vda' is empty or readonly/);
  }),
);

host('an external snapshot of the data disk leaves the sealed disk alone, and is merged again', () =>
  withDomain(async (fixture) => {
    const { run, folder } = fixture;
    const before = [await source(fixture, 'vda'), await source(fixture, 'vdb')];
    await write(fixture, 'one');
    await run('snapshot-create-as');
    assert.equal(
      [await source(fixture, 'vda'), await source(fixture, 'vdb')],
      [before[0], join(folder, 'vdb.new.qcow2')],
    );
    await write(fixture, 'two');
    assert.is(await lineIn(before[1] ?? ''), 'one', 'the file is frozen');
    await run('blockcommit');
    assert.equal([await source(fixture, 'vda'), await source(fixture, 'vdb')], before);
    assert.is(await lineIn(before[1] ?? ''), 'two');
  }),
);

host('a live migration keeps the seal and the data; the sealed disk is not copied', () =>
  withDomain(async (fixture) => {
    const { page, hypervisor, folder, domain } = fixture;
    await write(fixture, 'one');
    await domain.run('while :; do /bin/busybox date +%s >/tmp/alive; /bin/busybox usleep 100000; done');
    await withHypervisor(async (destination) => {
      const { options: here } = await migrationHere(hypervisor, 'guest');
      const words = page.commands.find(([command]) => command === 'migrate') ?? [];
      const command = words.map((word) =>
        word.replace('GUEST', 'guest').replace('DESTINATION', destination.uri),
      );
      const copied = ['--copy-storage-all', '--migrate-disks', 'vda'];
      assert.match(
        await refusalOf(hypervisor.virsh(...command, ...here, ...copied)),
        /Cannot migrate empty or read-only disk/,
      );

      await hypervisor.virsh(...command, ...here);
      ran.add(words.join(' '));
      assert.not.match(await hypervisor.virsh('list', '--all', '--name'), 'guest');
      for (const options of [[], ['--inactive']]) {
        assert.match(await destination.virsh('dumpxml', ...options, 'guest'), /<readonly\/>/);
      }
      const moved = { ...domain, ...agentOf(destination, domain.name) };
      assert.match(await write({ domain: moved }, 'two'), /vda.*(Read-only|Operation not permitted)/i);
      assert.is(await lineIn(join(folder, 'guest/home.qcow2')), 'two');
      const alive = await readFileIn(moved, '/tmp/alive');
      await until('the program runs on', async () => (await readFileIn(moved, '/tmp/alive')) !== alive, 30);
    });
  }),
);

host('every command of the page was run', () => {
  assert.equal(
    [...ran].toSorted(),
    virshCommands()
      .map((words) => words.join(' '))
      .toSorted(),
  );
});

host.run();
