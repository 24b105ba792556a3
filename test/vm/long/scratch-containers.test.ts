import { createHash } from 'node:crypto';
import { cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { proposePersist } from '../../../agent/assess/persist-proposal.ts';
import { proposeScratch } from '../../../agent/assess/scratch-proposal.ts';
import { agentTree } from '../harness/agent.ts';
import { persistOnDataDisk, withDataDisk } from '../harness/data-disk.ts';
import { denialsOf, denialsStep } from '../harness/denials.ts';
import type { Edit } from '../harness/disk.ts';
import { emptyDevice, withEmptyDisk } from '../harness/empty-disk.ts';
import { labelFiles } from '../harness/mounts.ts';
import { treeWithPackages } from '../harness/packages.ts';
import type { Drive } from '../harness/qemu.ts';
import { withRunFolder } from '../harness/run-folder.ts';
import {
  type Boot,
  assertSealed,
  checkOf,
  enforcing,
  look,
  notPassed,
  statusOf,
  withAgent,
} from '../harness/scenario.ts';
import { configureScratch, markDisk, statesOf, uuid } from '../harness/scratch.ts';

/**
 * Podman and Docker in a sealed guest with SELinux in enforcing mode and the policy of Debian, with the lines for
 * immutafs.conf that the step `var` of prepare shows.
 */
const containers = suite('containers in a sealed guest');

const stores = ['/var/lib/docker', '/var/lib/containers/storage', '/var/lib/containerd'];
const items = (line: string | undefined) => line?.replace(/^[A-Z]+=/, '') ?? '';
const scratchItems = items(proposeScratch({ SCRATCH: '', PERSIST: '', OVERLAY: '' }, stores));
const persistItems = items(proposePersist({ PERSIST: '' }, stores));

/** The settings that docs/writable-paths.md names. By default, Podman writes what it loads and builds to /var/tmp. */
const podmanSettings = '[engine]\nimage_copy_tmp_dir = "/var/lib/containers/storage"\n';
/** The containers have no network, so Docker needs no bridge and no firewall. */
const dockerSettings = { bridge: 'none', iptables: false, ip6tables: false, 'selinux-enabled': true };

/** Writes an image as `docker save` does: a busybox with the libraries that it needs, from a tree. */
async function writeImage(tree: string, folder: string): Promise<string> {
  const system = join(tree, 'root');
  const [layer, image] = [join(folder, 'layer'), join(folder, 'image')];
  await mkdir(join(layer, 'bin'), { recursive: true });
  await mkdir(image);
  const { stdout } = await execa('chroot', [system, 'ldd', '/usr/bin/busybox'], { reject: false });
  const libraries = [...stdout.matchAll(/(\/\S+) \(0x/g)].map(([, path = '']) => path);
  await cp(join(system, 'usr/bin/busybox'), join(layer, 'bin/busybox'));
  for (const path of libraries) await cp(join(system, path), join(layer, path), { dereference: true });
  for (const name of ['sh', 'cat', 'sleep']) await symlink('busybox', join(layer, 'bin', name));
  const tar = join(image, 'layer.tar');
  await execa('tar', ['--owner=0', '--group=0', '--numeric-owner', '-cf', tar, '-C', layer, '.']);
  const digest = createHash('sha256')
    .update(await readFile(tar))
    .digest('hex');
  const config = {
    ...{ architecture: 'amd64', os: 'linux', config: { Cmd: ['/bin/sh'] } },
    rootfs: { type: 'layers', diff_ids: [`sha256:${digest}`] },
  };
  const manifest = [{ Config: 'config.json', RepoTags: ['localhost/base:latest'], Layers: ['layer.tar'] }];
  await writeFile(join(image, 'config.json'), JSON.stringify(config));
  await writeFile(join(image, 'manifest.json'), JSON.stringify(manifest));
  const archive = join(folder, 'image.tar');
  await execa('tar', ['-cf', archive, '-C', image, '.']);
  return archive;
}

/**
 * Runs an engine and prints its exit code. With SELinux, it may write to a pipe, but not to the files with the output of
 * a step, and it may not read the files of the scenario.
 */
const call = (engine: 'podman' | 'docker', command: string) =>
  `{ ${engine} ${command}; echo "exit $?"; } 2>&1 | cat`;
const podman = (command: string) => call('podman', command);
const docker = (command: string) => call('docker', command);

const run = 'run --rm --pull never --network none localhost/app';
/** Leaves a container with the name `kept`, which adds a line to a file in its volume whenever it starts. */
const runKept =
  'run --name kept --pull never --network none --volume data:/data localhost/app sh -c "echo stored >>/data/file; cat /built /data/file"';
/** Leaves a container that runs until the guest is powered off. */
const runOn = 'run --detach --pull never --network none --stop-signal KILL localhost/app sleep 3600';
const images = 'images --format "{{.Repository}}"';
const label = `${run} cat /proc/self/attr/current`;
const loadInto = (load: string) => `cat "$BOX/image.tar" | ${load}`;
const containerfile = String.raw`printf 'FROM localhost/base\nRUN echo built >/built; cat /proc/self/attr/current >/label\n'`;
const buildLabel = `${run} cat /label`;
/** BuildKit, Docker's other builder, requires the package docker-buildx. */
const buildDocker = `export DOCKER_BUILDKIT=0; ${containerfile} | ${docker('build --quiet --network none --tag localhost/app -')}`;

const found = { found: podman(images), dockerFound: docker(images) };
const use = {
  load: loadInto(podman('load --quiet')),
  plainBuild: `${containerfile} | ${podman('build --quiet --network none --tag localhost/plain -')}`,
  build: `${containerfile} | ${podman('build --security-opt label=disable --quiet --network none --tag localhost/app -')}`,
  run: podman(runKept),
  label: podman(label),
  buildLabel: podman(buildLabel),
  driver: podman('info --format "{{.Store.GraphDriverName}}"'),
  after: podman(images),
  dockerLoad: loadInto(docker('load --quiet')),
  dockerBuild: buildDocker,
  dockerRun: docker(runKept),
  dockerLabel: docker(label),
  dockerBuildLabel: docker(buildLabel),
  dockerDriver: docker('info --format "{{.Driver}}"'),
  dockerAfter: docker(images),
  start: podman(runOn),
  dockerStart: docker(runOn),
  running: look.status,
};
const useAgain = {
  start: podman('start --attach kept'),
  run: podman(`${run} cat /built`),
  check: podman('system check'),
  dockerStart: docker('start --attach kept'),
  dockerRun: docker(`${run} cat /built`),
};
/** The twins: the same stores on the overlay on /var. */
const twins = {
  twin: `umount /var/lib/containers/storage && ${use.driver}`,
  dockerTwin: `systemctl stop docker.socket docker && umount /var/lib/docker && systemctl start docker && ${use.dockerDriver}`,
};

type Start = (steps: Record<string, string>) => Promise<Boot>;

/** Calls `work` with a function that boots a sealed guest with both engines and with SELinux in enforcing mode. */
async function withEngines(
  drive: Drive,
  configure: (root: string) => Promise<void>,
  work: (start: Start) => Promise<void>,
): Promise<void> {
  const packages = ['podman', 'crun', 'conmon', 'netavark', 'docker.io', 'docker-cli'];
  const tree = await treeWithPackages('containers-tree', await agentTree(), packages);
  const edit: Edit = async (root, mounts) => {
    for (const path of ['etc/docker', 'etc/containers', ...stores])
      await mkdir(join(root, path), { recursive: true });
    await writeFile(join(root, 'etc/docker/daemon.json'), JSON.stringify(dockerSettings));
    await writeFile(join(root, 'etc/containers/containers.conf'), podmanSettings);
    await configure(root);
    await labelFiles(mounts, '/etc', '/var/lib/containers', '/var/lib/docker', '/var/lib/containerd');
  };
  await withRunFolder(async (folder) => {
    const image = await writeImage(tree, folder);
    await withAgent({ tree, edit }, (guest) =>
      work((steps) =>
        guest.boot({
          ...{ disk: 'readonly', arguments: enforcing, allUnits: true, drives: [drive], uuid },
          steps: { enforce: 'getenforce', ...look, ...found, ...steps, denials: denialsStep },
          files: { 'image.tar': image },
          memoryMiB: 1536,
          limitSeconds: 900,
        }),
      ),
    );
  });
}

function assertSteps(boot: Boot, expected: Record<string, RegExp>): void {
  assertSealed(boot);
  assert.is(boot.step('enforce').stdout, 'Enforcing\n');
  for (const [name, pattern] of Object.entries(expected)) {
    const { stdout, stderr } = boot.step(name);
    assert.match(stdout, pattern, `${name}: ${stdout}${stderr}`);
  }
}

const nothing = /^exit 0\n$/;
const both = /^localhost\/app\nlocalhost\/base\nexit 0\n$/;
const built = /^built\nexit 0\n$/;
const stored = /^built\nstored\nexit 0\n$/;
const storedTwice = /^built\nstored\nstored\nexit 0\n$/;
const confined = /:container_t:s0:c\d+,c\d+\S* ?exit 0\n$/;
const loaded = /^Loaded image: localhost\/base:latest\nexit 0\n$/;
const identifier = /^[0-9a-f]{64}\nexit 0\n$/;
const used = {
  ...{ found: nothing, load: loaded, build: identifier, run: stored, label: confined },
  ...{ driver: /^overlay\nexit 0\n$/, after: both },
  ...{ dockerFound: nothing, dockerLoad: loaded, dockerBuild: /^sha256:[0-9a-f]{64}\nexit 0\n$/m },
  ...{ dockerRun: stored, dockerLabel: confined, dockerDriver: /^overlay2\nexit 0\n$/, dockerAfter: both },
  ...{ buildLabel: /:spc_t:s0[^]?exit 0\n$/, dockerBuildLabel: confined },
  ...{ start: identifier, dockerStart: identifier },
};

/**
 * Asserts that the policy is in force, and that it denies no engine a file of a store. The policy does not let podman_t read
 * the classes of SELinux, by which a build finds the label for the pipes of a command. This denial is not in the audit
 * log (dontaudit).
 */
function assertConfined(boot: Boot): void {
  assert.match(
    boot.step('plainBuild').stdout,
    /context for pipes: open \/sys\/fs\/selinux\/class\/fifo_file\/index: permission denied\n[^]*exit 1\n$/,
  );
  const aboutStores =
    /^(podman|dockerd|container|spc|crun)\S* (container\S*|tmpfs_t|unlabeled_t|file_t|var_\S*) /;
  assert.equal(
    denialsOf(boot).filter((each) => aboutStores.test(each)),
    [],
  );
}

/** Asserts that the guest counts as sealed while containers run, and that their program is reported. */
function assertReported(boot: Boot): void {
  const { exit, report } = statusOf(boot, 'running');
  assert.equal(notPassed(report), []);
  assert.is(exit, 0);
  const { status, observed } = checkOf(report, 'foreign-programs');
  assert.is(status, 'warn');
  assert.match(observed, /busybox/);
}

containers('SCRATCH: images are loaded, built and run; the stores are empty after the reboot', () =>
  withEmptyDisk(2000, async (drive) => {
    await markDisk(drive);
    const configure = (root: string) => configureScratch(root, scratchItems, emptyDevice);
    await withEngines(drive, configure, async (start) => {
      const first = await start(use);
      assertSteps(first, used);
      assertConfined(first);
      assertReported(first);
      assert.equal(statesOf(first), ['disk', 'disk', 'disk']);
      const vfs = /^vfs\nexit 0\n$/;
      const next = await start(twins);
      assertSteps(next, { found: nothing, dockerFound: nothing, twin: vfs, dockerTwin: vfs });
    });
  }),
);

containers('PERSIST: images, containers and volumes are there and consistent after the reboot', () =>
  withDataDisk(
    async (drive) => {
      await withEngines(
        drive,
        (root) => persistOnDataDisk(root, persistItems),
        async (start) => {
          const first = await start(use);
          assertSteps(first, used);
          assertConfined(first);
          assertReported(first);
          const next = await start(useAgain);
          assertSteps(next, {
            ...{ found: both, start: storedTwice, run: built, check: nothing },
            ...{ dockerFound: both, dockerStart: storedTwice, dockerRun: built },
          });
        },
      );
      await execa('e2fsck', ['-fn', drive.file]);
    },
    [],
    1000,
  ),
);

containers.run();
