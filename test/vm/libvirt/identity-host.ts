import { spawn } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { Socket } from 'node:net';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { until } from '../../wire/support/until.ts';
import { type Hypervisor, libvirtdOf } from './hypervisor.ts';
import type { Ansible } from './playbooks.ts';
import type { VirtualGuest } from './virtual-guest.ts';

/** immutafs-identity, as the role installs it, in the mount namespace of a libvirt. */
export interface IdentityHost {
  /** The lines that the service has written to the journal, since its last start. */
  log: () => string[];
  /** Kills the service with SIGKILL. */
  kill: () => Promise<void>;
  start: (settings?: Record<string, unknown>) => Promise<void>;
  /**
   * Memory in bytes: resident, its part without what other processes also use, and without files; and processor time in seconds,
   * also of ended child processes.
   */
  use: () => Promise<{ memory: number; proportional: number; anonymous: number; cpu: number }>;
}

/** Records a receipt of the system disk of a guest. What the guest reports is not part of this test. */
export async function recordReceipt(
  ansible: Ansible,
  { uri }: Hypervisor,
  { name }: Pick<VirtualGuest, 'name'>,
  directory: string,
): Promise<void> {
  const claims = `agent 1\nkernel 1\npackage a 1\nfile ${'0'.repeat(64)}  /boot/vmlinuz\n`;
  const args = { uri, domain: name, target: 'vda', directory, by: 'test', claims };
  for (const state of ['retired', 'recorded']) {
    const { failed, msg } = await ansible.module('receipt', { ...args, state });
    assert.is(failed, false, msg);
  }
}

/** Installs the service with the playbook, and returns it, not started. @param keys the directory with host.key and host.pem */
export async function installIdentity(
  ansible: Ansible,
  host: Hypervisor,
  keys: string,
  receipts: string,
): Promise<IdentityHost> {
  const { folder, uri } = host;
  const installed = join(folder, 'installed');
  const settings = {
    ...{ uri, directory: receipts, state: keys, runtime: keys, ssh_key: join(keys, 'ssh_ca') },
    key: join(keys, 'host.key'),
    certificate: join(keys, 'host.pem'),
  };
  const { exit, output } = await ansible.play('identity', {
    ...{ immutafs_hypervisors: 'hypervisor', immutafs_identity_destination: installed },
    ...{ immutafs_identity_trust_domain: 'example.org', immutafs_identity_settings: settings },
  });
  assert.is(exit, 0, output);
  const program = join(installed, 'usr/local/libexec/immutafs-identity/immutafs-identity');
  const file = join(installed, 'etc/immutafs/identity.json');
  const unit = await readFile(join(installed, 'etc/systemd/system/immutafs-identity.service'), 'utf8');
  const environment = [...unit.matchAll(/^Environment=(\w+)=(.*)$/gm)].map(([, name, value]) => [
    name,
    value,
  ]);
  let child: ReturnType<typeof spawn> | undefined;
  let text = '';
  const start: IdentityHost['start'] = async (more = {}) => {
    text = '';
    const own = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>;
    await writeFile(file, JSON.stringify({ ...own, ...more }));
    const enter = ['--pdeathsig', 'KILL', '--', 'nsenter', '--mount', '--target', await libvirtdOf(host)];
    child = spawn('setpriv', [...enter, '/usr/bin/python3', '-B', program, file], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, ...(Object.fromEntries(environment) as Record<string, string>) },
    });
    child.stdout?.on('data', (data: Buffer) => void (text += data.toString()));
    // The service ends with this process, which must not wait for it.
    child.unref();
    if (child.stdout instanceof Socket) child.stdout.unref();
  };
  const kill = async () => {
    const ended = new Promise((resolve) => child?.once('exit', resolve));
    child?.kill('SIGKILL');
    await ended;
  };
  const use = async () => {
    const proc = (name: string) => readFile(`/proc/${child?.pid}/${name}`, 'utf8');
    const status = await proc('status');
    const kib = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1]) * 1024;
    const fields = (await proc('stat'))
      .replace(/^.*\) /, '')
      .split(' ')
      .slice(11, 15)
      .map(Number);
    return {
      memory: kib('VmRSS'),
      proportional: Number(/^Pss:\s+(\d+)/m.exec(await proc('smaps_rollup'))?.[1]) * 1024,
      anonymous: kib('RssAnon'),
      cpu: fields.reduce((sum, ticks) => sum + ticks, 0) / 100,
    };
  };
  return { log: () => text.split('\n').slice(0, -1), kill, start, use };
}

/** Waits until the state of a guest's certificate is as expected. @returns it */
export async function certificateOf(
  { ssh }: VirtualGuest,
  isExpected: (state: { problem: string; certificate: { until: string } | null }) => boolean,
  seconds = 180,
) {
  let last = '';
  await until(
    'the certificate is as expected',
    async () => {
      last = (await ssh('cat /run/immutafs/identity/state.json')).stdout;
      return last !== '' && isExpected(JSON.parse(last) as Parameters<typeof isExpected>[0]);
    },
    seconds,
  ).catch((error: unknown) => {
    throw new Error(`the state is ${last}`, { cause: error });
  });
  return JSON.parse(last) as { problem: string; certificate: { until: string; id: string; host: string } };
}
