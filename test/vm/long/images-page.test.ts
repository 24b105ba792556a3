import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { execa } from 'execa';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Report } from '../../../agent/report/report.ts';
import { linkCollection } from '../../harness/collection.ts';
import { blocksOf } from '../../harness/pages/blocks.ts';
import { PageRun } from '../../harness/pages/run.ts';
import { whileTemporaryDirectory } from '../../harness/temporary.ts';
import { until } from '../../wire/support/until.ts';
import { emulatorWithPorts } from '../libvirt/builder.ts';
import { accepted, firstVersion, page } from '../libvirt/cloud-image.ts';
import { freePort } from '../libvirt/domain.ts';
import { ask } from '../libvirt/fixture.ts';
import { type Hypervisor, withHypervisor } from '../libvirt/hypervisor.ts';
import { local, systemPath, writeInventory } from '../libvirt/page-machines.ts';
import { ansibleEnvironment } from '../libvirt/playbooks.ts';
import { type VirtualGuest, atPort, sshArguments } from '../libvirt/virtual-guest.ts';

/**
 * Runs the commands of docs/images.md from the first version of an image to a pool, its next version, and back, with the
 * inventory that the page shows. What differs: the image is made from a stand-in (see `cloudImage`), processors are emulated,
 * QEMU's user network takes the place of the networks of libvirt, and `prepare` accepts state of Debian's packages.
 */
const images = suite('docs/images.md: from an image to a pool');

/** A guest of the page, and the address that its seed gives it. */
const addresses = { web1: '192.0.2.11', web2: '192.0.2.12' };

images('two guests of one image are sealed, get the next version, and return', () =>
  withHypervisor(async (host) => {
    const { folder } = host;
    const directory = join(folder, 'images');
    await execa('cp', ['--recursive', '--reflink=auto', await firstVersion(), directory]);
    const guests = await guestsOf(host, join(directory, 'admin'));
    const { web1, web2, web } = guests;
    const ports = Object.fromEntries(
      Object.entries(addresses).map(([name, address]) => {
        const port = guests[name as keyof typeof addresses].port;
        return [name, { address, port }];
      }),
    );
    const emulator = await emulatorWithPorts(folder, ports, { name: 'web-builder', port: web.port });
    const tree = join(folder, 'controller');
    await writeControllerFiles(tree, host, guests);

    // The sockets of ssh in this directory need a short path.
    await whileTemporaryDirectory(async (home) => {
      linkCollection(join(home, 'collections'));
      const environment = { PATH: systemPath, LIBVIRT_DEFAULT_URI: host.uri, HOME: folder };
      const machines = {
        'on the host': local(directory, environment),
        'on the controller': local(tree, ansibleEnvironment(home)),
      };
      const pages = new PageRun('test/vm/long/images-page.test.ts', machines, {
        '--import': `--import --virt-type qemu --cpu Nehalem,+rdrand --boot emulator=${emulator}`,
        'network=default': 'type=user,model=virtio',
        '/var/lib/libvirt/images': directory,
      });
      const started = Date.now();
      const past = (what: string) =>
        process.stdout.write(`${Math.round((Date.now() - started) / 1000)} s: ${what}\n`);
      const first = await digestOf(join(directory, 'web-2026.11.qcow2'));

      await pages.section(page, 'The guests');
      past('the guests are sealed');
      const ids = [await assertGuest(web1, '2026.11'), await assertGuest(web2, '2026.11')];
      assert.is(new Set(ids).size, 2, 'each guest has its own machine ID and host key');

      const moves = [watch(web1, host), watch(web2, host)];
      await pages.section(page, 'The next version');
      past('the guests have the next version');
      const second = join(directory, 'web-2026.12.qcow2');
      const built = (await stat(`${second}.sha256`)).mtimeMs;
      const downtimes = [];
      for (const move of moves) {
        const { downtime, lastSign, starts } = await move.end();
        assert.ok(lastSign > built, 'the guest ran while the next version was made');
        assert.is(starts, 1, 'the downtime is one boot');
        downtimes.push(downtime);
      }
      assert.equal([await assertGuest(web1, '2026.12'), await assertGuest(web2, '2026.12')], ids);
      assert.is(await ask(web1, 'rpm --query --queryformat "%{VERSION}" updated'), '2');
      assert.match(await readFile(`${second}.sha256`, 'utf8'), await digestOf(second));

      const reboot = watch(web1, host);
      await ask(web1, 'systemctl --no-block reboot');
      await untilSealed(web1, reboot.lastSign);
      const { downtime, starts } = await reboot.end();
      past('a guest has rebooted');
      assert.is(starts, 0, 'QEMU was not started for a reboot');
      process.stdout.write(
        `downtime: ${downtimes.join(' s and ')} s for a move, ${downtime} s for a reboot\n`,
      );
      for (const each of downtimes) assert.ok(each < 2 * downtime, 'a move takes less time than two boots');

      await pages.section(page, 'Back to the previous version');
      past('the guests have the first version');
      assert.equal([await assertGuest(web1, '2026.11'), await assertGuest(web2, '2026.11')], ids);
      assert.is(await ask(web1, 'rpm --query --queryformat "%{VERSION}" updated'), '1');

      // The counterpart: no playbook opens the image of a pool.
      const unseal = 'ansible-playbook -i inventory.yml immutafs.agent.unseal -e immutafs_hosts=web1';
      const { exit, output } = await machines['on the controller'](unseal);
      assert.is(exit, 2, output);
      assert.match(output, /web2 vda/);
      await assertGuest(web1, '2026.11');
      assert.is(
        await digestOf(join(directory, 'web-2026.11.qcow2')),
        first,
        'no guest has changed the image',
      );
      pages.assertComplete();
    });
  }),
);

/** Returns the guests of the page, and the builder, as the controller reaches them. */
async function guestsOf({ folder }: Hypervisor, key: string) {
  const at = async (name: string) => atPort({ name, key, folder }, await freePort());
  return { web1: await at('web1'), web2: await at('web2'), web: await at('web') };
}

/** Writes the inventory of the page, and what the controller must know about the machines of the test. */
async function writeControllerFiles(
  tree: string,
  host: Hypervisor,
  guests: Record<string, VirtualGuest>,
): Promise<void> {
  await mkdir(join(tree, 'group_vars'), { recursive: true });
  const [inventory] = blocksOf(page).filter(
    ({ heading, language }) => heading === 'The guests' && language === 'yaml',
  );
  // libvirt has no network in the tests; the program that starts QEMU connects the builder.
  const text = (inventory?.text ?? '').replace(
    'immutafs_builder_network: isolated',
    'immutafs_builder_network: ""',
  );
  await writeInventory(tree, text, host, guests);
  const variables = {
    immutafs_uri: host.uri,
    immutafs_state_directory: join(host.folder, 'state'),
    immutafs_seed_directory: join(host.folder, 'images'),
    immutafs_image_arguments: ['--accept', ...accepted],
    // Emulated guests that run at once need minutes for cloud-init and for the answer to a command.
    immutafs_settle_timeout: 300,
    immutafs_status_timeout: 600,
  };
  await writeFile(join(tree, 'group_vars/all.yml'), JSON.stringify(variables));
}

/** Asserts that a guest is sealed from a version, with the identity of its seed. @returns its machine ID and host key */
async function assertGuest(guest: VirtualGuest, version: string): Promise<string> {
  const { exit, stdout } = await guest.ssh('immutafs-agent status --json');
  const report = JSON.parse(stdout) as Report;
  const failed = report.checks.filter(({ status }) => status === 'fail');
  assert.equal([exit, failed, report.image?.version], [0, [], version], guest.name);
  assert.is(await ask(guest, 'hostname'), guest.name);
  assert.is((await guest.ssh('touch /usr/new')).exit, 1);
  return ask(guest, 'cat /etc/machine-id; ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key');
}

async function digestOf(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}

/**
 * Measures for how long a guest is down: from the last second in which a command in the guest finds that users may log in,
 * until the first check after the restart finds the guest sealed. The command needs one connection, because a connection
 * each second would slow an emulated guest down, and sshd would refuse some.
 */
function watch(guest: VirtualGuest, { folder }: Hypervisor) {
  let last = Date.now();
  const command = execa('ssh', sshArguments(guest, 'while ! [ -e /run/nologin ] && echo; do sleep 1; done'), {
    stdin: 'ignore',
    reject: false,
    buffer: false,
  });
  command.stdout.on('data', () => (last = Date.now()));
  const log = async () => readFile(join(folder, `var/log/libvirt/qemu/${guest.name}.log`), 'utf8');
  const countStarts = async () => (await log()).split(': starting up').length - 1;
  const before = countStarts();
  return {
    lastSign: () => last,
    end: async () => {
      command.kill();
      await command;
      const sealed = await firstSealed(guest);
      const [starts, downtime] = [(await countStarts()) - (await before), Math.round((sealed - last) / 1000)];
      return { starts, downtime, lastSign: last };
    },
  };
}

/** Returns when the guest was sealed for the first time since its boot, in milliseconds; NaN if it was not. */
async function firstSealed(guest: VirtualGuest): Promise<number> {
  const { stdout } = await guest.ssh(
    'journalctl --boot --output short-unix IMMUTAFS_VERDICT=sealed | head -n 1',
  );
  return Number.parseFloat(stdout) * 1000;
}

/** Waits until the guest has been sealed since it showed its last sign of life. */
async function untilSealed(guest: VirtualGuest, lastSign: () => number): Promise<void> {
  await until(`${guest.name} is sealed`, async () => (await firstSealed(guest)) > lastSign(), 600);
}

images.run();
