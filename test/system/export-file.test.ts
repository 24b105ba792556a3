/** Tests where an export is written, on real file systems with and without hard links. */
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { SystemError } from '../../agent/lib/errors.ts';
import { createExportFile } from '../../agent/system/layers/export-file.ts';
import { type LocalGuest, localGuest } from '../harness/ansible-guest.ts';
import { whileTemporaryDirectory } from '../harness/temporary.ts';

/** By file system: the commands that create and mount it. FAT is mounted by fusefat(1), because CI's kernel has no vfat. */
const fileSystems = {
  ext4: 'mkfs.ext4 -q "$1"; mount -o loop "$1" "$2"',
  FAT: 'mkfs.vfat "$1"; fusefat -o rw+ "$1" "$2"',
};

/** Runs an action with a folder on a file system, and a folder for other files. */
function on(type: keyof typeof fileSystems, action: (at: string, folder: string) => unknown): Promise<void> {
  return whileTemporaryDirectory(async (folder) => {
    const [image, at] = [path.join(folder, 'image'), path.join(folder, 'mounted')];
    fs.mkdirSync(at);
    fs.writeFileSync(image, '');
    fs.truncateSync(image, 16 * 1024 * 1024);
    execFileSync('sh', ['-ec', fileSystems[type], 'sh', image, at], { stdio: 'ignore' });
    try {
      fs.rmSync(path.join(at, 'lost+found'), { recursive: true, force: true });
      await action(at, folder);
    } finally {
      // A descriptor that a failed test left open must not keep the daemon of fusefat running.
      execFileSync('umount', ['-l', at]);
    }
  });
}

const content = (at: string) =>
  fs.readdirSync(at).map((name) => `${name}: ${fs.readFileSync(path.join(at, name), 'utf8')}`);
const create = (at: string, name = 'x.tar') => createExportFile(path.join(at, name));
const codeOf = (action: () => unknown) => {
  try {
    action();
  } catch (error) {
    return error instanceof SystemError ? error.code : String(error);
  }
  return 'no error';
};

const files = suite('the file of an export');
for (const type of ['ext4', 'FAT'] as const) {
  files(`${type}: it gets its name when it is complete`, () =>
    on(type, async (at) => {
      const target = create(at);
      await target.write(Buffer.from('data'));
      const before = content(at).filter((each) => each.startsWith('x.tar'));
      // Without hard links, an empty file reserves the name.
      assert.equal(before, type === 'FAT' ? ['x.tar: '] : []);
      target.finish();
      assert.equal(content(at), ['x.tar: data']);
    }),
  );
  files(`${type}: a file that exists is not overwritten, and nothing is written`, () =>
    on(type, (at) => {
      fs.writeFileSync(path.join(at, 'x.tar'), 'mine');
      assert.is(
        codeOf(() => create(at)),
        'EEXIST',
      );
      assert.equal(content(at), ['x.tar: mine']);
    }),
  );
  files(`${type}: a file that was created meanwhile is not overwritten`, () =>
    on(type, async (at) => {
      const target = create(at);
      await target.write(Buffer.from('data'));
      fs.writeFileSync(path.join(at, 'x.tar'), 'mine');
      assert.is(
        codeOf(() => target.finish()),
        'EEXIST',
      );
      target.abandon();
      assert.equal(content(at), ['x.tar: mine']);
    }),
  );
  files(`${type}: an incomplete file is removed`, () =>
    on(type, async (at) => {
      const target = create(at);
      await target.write(Buffer.from('data'));
      target.abandon();
      assert.equal(content(at), []);
    }),
  );
}
files('FAT: a name that is not possible there is an error before anything is written', () =>
  on('FAT', (at) => {
    assert.is.not(
      codeOf(() => create(at, 'a:b')),
      'no error',
    );
    assert.equal(content(at), []);
  }),
);
files.run();

/** A stub for the agent, which exports a tar file. @param exit the exit code */
function agent(guest: LocalGuest, exit = 0): void {
  const summary = { host: { bootId: 'b00t' }, ended: '2026-03-04T05:06:07.000Z', changes: 0, bytes: 0 };
  fs.writeFileSync(guest.file('manifest.json'), JSON.stringify(summary));
  const text = `#!/bin/sh\ntar -C ${path.dirname(guest.file('manifest.json'))} -c manifest.json\nexit ${exit}\n`;
  fs.writeFileSync(guest.file('bin/immutafs-agent'), text, { mode: 0o755 });
}

const fetched = suite('the file of the evidence that Ansible fetched');
for (const type of ['ext4', 'FAT'] as const) {
  fetched(`${type}: it arrives, and nothing else remains`, () =>
    on(type, async (at, folder) => {
      const guest = localGuest(folder);
      agent(guest);
      const { failed, msg, file = '' } = await guest.run({ dest: at }, 'evidence');
      assert.is(failed, false, msg);
      assert.equal(fs.readdirSync(path.dirname(file)).sort(), [
        path.basename(file),
        `${path.basename(file)}.sha256`,
      ]);
      assert.match(execFileSync('tar', ['-tf', file]).toString(), 'manifest.json');
    }),
  );
  fetched(`${type}: of a failed export, nothing remains`, () =>
    on(type, async (at, folder) => {
      const guest = localGuest(folder);
      agent(guest, 4);
      const { failed } = await guest.run({ dest: at }, 'evidence');
      assert.is(failed, true);
      assert.equal(fs.readdirSync(path.join(at, 'localhost')), []);
    }),
  );
}
fetched.run();
