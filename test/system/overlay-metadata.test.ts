/**
 * Tests the search for overlayfs metadata in a real folder, and the effect of the metadata on an overlay over the
 * folder.
 */
import path from 'node:path';
import { dist } from '../../packaging/build/paths.ts';
import { buildProgram } from '../../packaging/build/small-programs.ts';
import { inNamespace } from '../harness/namespace.ts';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

const search = `
import { systemReader } from '/media/agent/system/reader.ts';
import { findLayerFiles } from '/media/agent/prepare/engine/layer-files.ts';
import { findOverlayMetadata } from '/media/agent/prepare/steps/overlay-metadata.ts';
const reader = systemReader();
process.stdout.write(JSON.stringify(await findOverlayMetadata({ reader, layerFiles: (root) => findLayerFiles(reader, root) }, ['/mnt/var'], ['/mnt/var/store'], (each) => each === '/mnt/var/other')));
`;

/** Runs commands of sh and returns the metadata that is found in /mnt/var, and the output of the commands. */
function marksAfter(commands: string): { said: string[]; printed: string } {
  const { stdout, stderr } = inNamespace(`
mount -t tmpfs x /usr/libexec; mkdir /usr/libexec/immutafs; cp '${path.join(dist, 'read-xattrs')}' /usr/libexec/immutafs/
mkdir -p /mnt/var/lib /mnt/up /mnt/work /mnt/merged /mnt/var/store
${commands}
echo; "$1" "$2" --input-type=module -e "${search}"`);
  const lines = stdout.trimEnd().split('\n');
  try {
    return { said: JSON.parse(lines.pop() ?? '') as string[], printed: lines.join('\n').trim() };
  } catch (error) {
    throw new Error(stdout + stderr, { cause: error });
  }
}

const assertOne = ([first = '', ...others]: string[], expected: RegExp) => {
  assert.match(first, expected);
  assert.equal(others, []);
};

const overlay = 'mount -t overlay -o lowerdir=/mnt/var,upperdir=/mnt/up,workdir=/mnt/work x /mnt/merged';
const marks = suite('overlayfs metadata in a real folder');
marks.before(() => buildProgram('read-xattrs'));

marks('a whiteout cannot be opened through the overlay, and is reported', () => {
  const { said, printed } = marksAfter(
    `mknod '/mnt/var/lib/a b' c 0 0; ${overlay}; stat '/mnt/merged/lib/a b' 2>&1 || true`,
  );
  assert.match(printed, /No such file or directory$/);
  assertOne(said, /^\/mnt\/var\/lib\/a b: character devices 0:0/);
});

marks('a different device is not a whiteout', () => {
  const { said, printed } = marksAfter(`mknod /mnt/var/lib/null c 1 3; ${overlay}; ls /mnt/merged/lib`);
  assert.equal({ said, printed }, { said: [], printed: 'null' });
});

marks('an overlayfs attribute is reported, another attribute is not', () => {
  const { said } = marksAfter(
    'mkdir /mnt/var/lib/d /mnt/var/lib/e; setfattr -n trusted.overlay.opaque -v y /mnt/var/lib/d; setfattr -n trusted.other -v y /mnt/var/lib/e',
  );
  assertOne(said, /^\/mnt\/var\/lib\/d: trusted\.overlay attributes/);
});

marks('the attributes are found without getfattr, below names with any characters, and on a link', () => {
  const { said } = marksAfter(
    `mount --bind /bin/false /usr/bin/getfattr
    mkdir '/mnt/var/lib/a
b'; ln -s nowhere /mnt/var/link
    for each in '/mnt/var/lib/a
b' /mnt/var/link; do setfattr -h -n trusted.overlay.origin -v y "$each"; done`,
  );
  assertOne(said, /trusted\.overlay attributes/);
  for (const name of ['/mnt/var/lib/a\nb', '/mnt/var/link']) assert.ok(said[0]?.includes(name), said[0]);
});

marks('a path whose attributes cannot be listed makes the search incomplete', () => {
  const { said } = marksAfter(`cat >/usr/libexec/immutafs/list <<'END'
#!/bin/sh
exec /usr/libexec/immutafs/read-xattrs-itself "$@" "$(printf '%5000s' x)"
END
    cd /usr/libexec/immutafs; mv read-xattrs read-xattrs-itself; mv list read-xattrs; chmod +x read-xattrs
    setfattr -n trusted.overlay.opaque -v y /mnt/var/lib`);
  assertOne(said, /overlayfs attributes: the search failed/);
});

marks('mounts below the folder are not searched', () => {
  const { said } = marksAfter(
    'mkdir /mnt/var/other; mount -t tmpfs y /mnt/var/other; mknod /mnt/var/other/w c 0 0; setfattr -n trusted.overlay.opaque -v y /mnt/var/other',
  );
  assert.equal(said, []);
});

marks('the metadata in a container store are counted', () => {
  const { said } = marksAfter(
    'mkdir /mnt/var/store/d; mknod /mnt/var/store/d/w c 0 0; setfattr -n trusted.overlay.opaque -v y /mnt/var/store/d',
  );
  assertOne(said, /^\/mnt\/var\/store has 1 whiteouts .* 1 files/);
});
marks.run();
