/** Tests that files which `prepare` edits, backs up and restores keep their attributes, on real file systems. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { inNamespace } from '../harness/namespace.ts';

/** Prints the attributes of a file, except its times. */
const describe = `describe() { # file
  stat -c '%F %a %u %g' "$1"; getfacl -nP --absolute-names "$1" | grep -v '^#'; getfattr -h -d -m - -e hex --absolute-names "$1" | grep -v '^#' || true
}`;
const attributes = `
  chown 1234:4321 "$file"; chmod 2640 "$file"
  setfacl -m u:1001:rw,g:1002:r "$file"
  setfattr -n user.comment -v kept "$file"; setfattr -n trusted.mark -v 0x00ff "$file"
  setfattr -n security.capability -v 0x0100000200040000000000000000000000000000 "$file"
  touch -d @1000000000.5 "$file"`;

/** Runs lines of sh with $file on a new file system, in which `write CODE` runs methods of the writer. */
function onFileSystem(type: string, lines: string): string {
  const { code, stdout, stderr } =
    inNamespace(`mkdir /mnt/fs /mnt/backup; ${mount(type)} file=/mnt/fs/a; echo old >"$file"
    ${describe}
    node=$1 cached=$2
    write() { "$node" "$cached" --input-type=module -e "import { systemWriter } from '/media/agent/system/writer.ts'; const writer = systemWriter(); $1"; }
    ${lines}`);
  assert.is(code, 0, stdout + stderr);
  return stdout;
}

function mount(type: string): string {
  if (type === 'ramfs') return 'mount -t ramfs x /mnt/fs;';
  return `truncate -s 400M /mnt/image; mkfs.${type} -q /mnt/image; mount -o loop /mnt/image /mnt/fs;`;
}

const files = suite('attributes of files');
for (const type of ['ext4', 'xfs']) {
  files(
    `${type}: an edited file keeps owner, mode, ACL, capabilities and extended attributes, and gets a new time`,
    () => {
      const printed = onFileSystem(
        type,
        `${attributes}
      describe "$file" >/mnt/before; cat /mnt/before
      rmdir /mnt/fs/lost+found 2>/dev/null || true
      write "writer.replaceText('$file', 'a longer text')"
      describe "$file" >/mnt/after; diff /mnt/before /mnt/after
      [ "$(cat "$file")" = 'a longer text' ]; [ "$(stat -c %Y "$file")" -gt 1000000000 ]; ls -A /mnt/fs`,
      );
      for (const expected of [
        'regular file 2660 1234 4321',
        'user:1001:rw-',
        'user.comment=',
        'trusted.mark=0x00ff',
        'security.capability=',
      ])
        assert.ok(printed.includes(expected), printed);
      assert.match(printed, /\na\n$/);
    },
  );

  files(
    `${type}: a file that was backed up, replaced by another one and restored is as before, with its times`,
    () => {
      onFileSystem(
        type,
        `${attributes}
      describe "$file" >/mnt/before; stat -c '%y' "$file" >>/mnt/before
      write "writer.copyInto('$file', '/mnt/backup/a.1'); writer.remove('$file'); writer.replaceText('$file', 'other')"
      [ "$(stat -c %a "$file")" = 644 ]; [ -z "$(getfattr -d -m - "$file")" ]
      write "writer.copyInto('/mnt/backup/a.1', '$file')"
      describe "$file" >/mnt/after; stat -c '%y' "$file" >>/mnt/after
      diff /mnt/before /mnt/after; [ "$(cat "$file")" = old ]`,
      );
    },
  );
}

files('a symbolic link keeps its owner and its attributes', () => {
  onFileSystem(
    'ext4',
    `rm "$file"; ln -s nowhere "$file"; chown -h 7:8 "$file"; setfattr -h -n trusted.mark -v x "$file"
    about() { stat -c '%F %u %g' "$file"; readlink "$file"; getfattr -h -d -m - "$file"; }
    about >/mnt/before
    write "writer.copyInto('$file', '/mnt/backup/a.1'); writer.replaceByLink('$file', 'there')"
    [ "$(readlink "$file")" = there ]
    write "writer.copyInto('/mnt/backup/a.1', '$file')"
    about >/mnt/after; diff /mnt/before /mnt/after`,
  );
});

files('a file system without such attributes, like FAT: a file is edited, backed up and restored', () => {
  onFileSystem(
    'ramfs',
    `describe "$file" >/mnt/before
    write "writer.copyInto('$file', '/mnt/backup/a.1'); writer.replaceText('$file', 'new')"
    [ "$(cat "$file")" = new ]
    write "writer.copyInto('/mnt/backup/a.1', '$file')"
    describe "$file" >/mnt/after; diff /mnt/before /mnt/after; [ "$(cat "$file")" = old ]`,
  );
});

files('if an attribute cannot be kept, the file is not changed, and the error names the file', () => {
  const printed = onFileSystem(
    'ext4',
    `setfattr -n trusted.mark -v x "$file"
    chown 12:12 "$file"
    run() { setpriv --bounding-set -chown --inh-caps -chown "$node" --input-type=module -e "import { systemWriter } from '/media/agent/system/writer.ts'; systemWriter().replaceText('$file', 'new')"; }
    run 2>&1 | grep Error: || true
    cat "$file"; ls -A /mnt/fs`,
  );
  assert.match(
    printed,
    /SystemError: \/mnt\/fs\/a: .*the attributes cannot be copied: .*Operation not permitted/,
  );
  assert.match(printed, /\nold\na\nlost\+found\n$/);
});
files.run();
