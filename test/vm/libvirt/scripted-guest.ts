import { readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import * as assert from 'uvu/assert';
import { freePort } from './domain.ts';
import { type Hypervisor, withHypervisor } from './hypervisor.ts';
import { killAt, withAnsible } from './playbooks.ts';
import type { Ansible, InventoryGuest } from './playbooks.ts';
import { defineStubDomain } from './stub-domain.ts';
import { writeProgram } from './write-program.ts';

/**
 * A pool of stub domains without an operating system, on which the playbooks run. A program takes the place of ssh: it
 * answers for a domain that is running, and reports what the first lines of the image say from which QEMU runs.
 */
export interface Pool {
  ansible: Ansible;
  host: Hypervisor;
  /** Variables of every playbook. */
  common: Record<string, unknown>;
  /** Writes an image. @returns its path */
  image: (name: string, ...lines: string[]) => Promise<string>;
  /** The ports of 127.0.0.1 on which the QEMU of each domain listens. */
  ports: Record<string, number>;
  /** Returns what the domains of the pool have: "NAME STATE FILE", with "writable" if a disk is not read-only. */
  state: () => Promise<string[]>;
  /** Returns the commands that the guests were given and that `note` recorded, in this order. */
  notes: () => Promise<string[]>;
}

/** Returns commands that record their name in the order of execution; for variables with a list of commands. */
export const note = (text: string) => [['sh', '-c', `note ${text}`]];

const programs = {
  note: 'echo "$1 $NAME" >>"$POOL/notes"',
  systemctl: `case $* in
  is-system-running) echo running ;;
  '--no-block poweroff') ! says hangs || exit 0; virsh qemu-monitor-command "$NAME" '{"execute":"quit"}' >/dev/null ;;
  show*) for unit; do :; done; cat "$POOL/$NAME-$unit.state" 2>/dev/null || echo SubState=dead ;;
  esac`,
  /** Runs the command to its end, and without the escapes for systemd. */
  'systemd-run': `while [ "$1" != -- ]; do case $1 in --unit=*) unit=\${1#--unit=} ;; esac; shift; done
shift
for argument; do shift; set -- "$@" "$(printf %s "$argument" | sed "s/[$][$]/$/g")"; done
"$@" >"$POOL/$NAME-$unit.log" 2>&1
printf 'SubState=exited\nExecMainStatus=%s\nExecMainStartTimestamp=\n' $? >"$POOL/$NAME-$unit.state"`,
  journalctl:
    'for argument; do case $argument in --unit=*) cat "$POOL/$NAME-${argument#--unit=}.log" ;; esac; done',
  unshare: 'while [ "$1" != immutafs-agent ]; do shift; done; exec "$@"',
  rpm: `sed -n 's/^version /package pool /p' "$IMAGE"`,
  'dpkg-query': ':',
  'immutafs-agent': `case $* in
  'status --json')
    verdict=sealed rc=0 lag=0 readonly=true mode=sealed
    virsh dumpxml "$NAME" | sed '/<.disk>/q' | grep --quiet readonly ||
      { readonly=false mode=maintenance verdict=maintenance rc=4; }
    ! says fails || { verdict=failed rc=1; }
    ! says unacknowledged || lag=7
    version=$(sed -n 's/^version //p' "$IMAGE")
    cat <<END
{"at": "$(date -u +%Y-%m-%dT%H:%M:%S.000Z)", "host": {"bootId": "1"}, "verdict": "$verdict", "mode": "$mode",
 "enforcement": "host", "checks": [{"id": "disk", "status": "$([ $rc = 1 ] && echo fail || echo pass)", "severity": "required"}],
 "disks": [{"name": "vda", "bus": "virtio-blk", "hostReadOnly": $readonly, "holds": ["/"]}],
 "image": {"name": "pool", "version": "$version", "built": null},
 "forward": {"target": "relp://log", "state": "connected", "error": "", "lag": {"entries": $lag, "seconds": 100000000}, "sources": []}}
END
    exit $rc ;;
  version) echo 0.1.0 ;;
  'prepare --image '*) for version; do :; done; echo "VERSION=$version" | name-image ;;
  esac`,
  /** Writes the version in an image file of `immutafs-agent` to the image. */
  'name-image': `sed -n 's/^VERSION=/version /p' | dd of="$IMAGE" conv=notrunc status=none`,
  /** For the receipt. */
  find: 'echo "aaaa  /boot/vmlinuz"',
  /** Whether the image has a line. */
  says: 'grep --quiet --text --line-regexp "$1" "$IMAGE"',
  virsh: 'exec /usr/bin/virsh --connect "$URI" "$@"',
  ssh: `for argument; do
  case $argument in
    Port=*) NAME=$(cat "$POOL/port-\${argument#Port=}") ;;
    -O) exit 0 ;;
  esac
done
export NAME
IMAGE=$(virsh dumpxml "$NAME" | sed -n "s/.*<source file='\\([^']*\\)'.*/\\1/p" | head -n 1)
export IMAGE
[ "$(virsh domstate "$NAME")" = running ] && ! says dead || { sleep 1; exit 255; }
virsh domuuid "$NAME" | tr -d '\\n' >"$POOL/uuid-$NAME"
exec sh -c "$(printf %s "$argument" | sed "s|/run/immutafs/report.json|$IMAGE|g
s|/sys/class/dmi/id/product_uuid|$POOL/uuid-$NAME|; s|>/etc/immutafs/image|\\| name-image|")"`,
};

/**
 * Calls `work` with a pool of domains that run from the image `one`, sealed, with version 1.
 *
 * @param images hosts of the inventory, in the group `others`, each with the connection of the domain that is named in the file
 * answers-NAME, at first NAME-builder
 * @param spares domains of the pool that are spares, and are shut off
 */
export async function withPool(
  names: readonly string[],
  work: (pool: Pool) => Promise<void>,
  images: readonly string[] = [],
  spares: readonly string[] = [],
): Promise<void> {
  await withHypervisor(async (host) => {
    const at = (name: string): string => join(host.folder, name);
    const settings = `export POOL=${host.folder} URI='${host.uri}' PATH=${at('bin')}:/usr/sbin:/usr/bin:/sbin:/bin`;
    for (const [name, text] of Object.entries(programs)) {
      await writeProgram(at(`bin/${name}`), `${settings}\n${text}`);
    }
    const image: Pool['image'] = async (name, ...lines) => {
      await writeFile(at(name), `${lines.join('\n')}\n`);
      await execa('truncate', ['--size', '1M', at(name)]);
      return at(name);
    };
    await image('one', 'version 1');
    const guests: InventoryGuest[] = [];
    for (const name of names) {
      const guest = await defineStubDomain(host, name, { image: at('one'), isSealed: true });
      await writeFile(at(`port-${guest.port}`), name);
      guests.push({ ...guest, isSpare: spares.includes(name) });
    }
    const builders = [];
    for (const name of images) {
      const port = await freePort();
      await writeFile(at(`answers-${name}`), `${name}-builder`);
      await symlink(at(`answers-${name}`), at(`port-${port}`));
      builders.push({ name, port, key: '/dev/null' });
    }
    const state: Pool['state'] = async () => {
      const lines = [];
      for (const name of names) {
        const xml = await host.virsh('dumpxml', '--inactive', name);
        const [disk = ''] = /<disk [\s\S]*?<\/disk>/.exec(xml) ?? [];
        const [, file = ''] = /<source file='[^']*\/([^'/]+)'/.exec(disk) ?? [];
        const sealed = disk.includes('<readonly/>') ? '' : ' writable';
        lines.push(`${name} ${(await host.virsh('domstate', name)).trim()} ${file}${sealed}`);
      }
      return lines;
    };
    const notes: Pool['notes'] = async () =>
      (await readFile(at('notes'), 'utf8').catch(() => '')).split('\n').filter((line) => line !== '');
    const common = {
      ...{ ansible_ssh_executable: at('bin/ssh'), immutafs_image_format: 'raw', ansible_timeout: 3 },
      ...{ immutafs_state_directory: at('state'), immutafs_settle_timeout: 1, immutafs_health_wait: 0 },
      ...{ immutafs_start_timeout: 5, immutafs_shutdown_timeout: 5, immutafs_backlog_timeout: 1 },
    };
    // The modules of the playbook seal, without the playbook.
    const withSealed = async (ansible: Ansible) => {
      for (const name of names.filter((each) => !spares.includes(each))) {
        const domain = { uri: host.uri, domain: name, target: 'vda' };
        const start = { ...domain, state: 'running', directory: at('state') };
        for (const { failed, msg } of [
          await ansible.module('boot', domain),
          await ansible.module('domain', start),
        ])
          assert.not(failed, msg);
      }
      const ports = Object.fromEntries(guests.map(({ name, port }) => [name, port]));
      await work({ ansible, host, common, image, ports, state, notes });
    };
    await withAnsible(host, guests, withSealed, builders);
  });
}

/** Runs a playbook, kills it as it begins a task, and requires that no disk is writable or without an image. */
export async function killedAt(
  { ansible, state }: Pool,
  playbook: string,
  task: string,
  variables: Record<string, unknown>,
): Promise<void> {
  await killAt(ansible.start(playbook, variables), task);
  for (const line of await state()) assert.match(line, /^\w+ (running|shut off) [\w.-]+$/, task);
}

/** Returns the variables with which a pool gets an image. */
export async function variablesFor(
  { common, image }: Pool,
  name: string,
  ...lines: string[]
): Promise<Record<string, unknown>> {
  return {
    ...common,
    immutafs_image: await image(name, ...lines),
    immutafs_image_version: '2',
    immutafs_drain_commands: note('drain'),
    immutafs_undrain_commands: note('undrain'),
    immutafs_health_commands: note('health'),
  };
}
