import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isIn, packageParser, readPackages } from '../../../../agent/prepare/steps/packages.ts';
import type { SystemReader } from '../../../../agent/system/reader.ts';

const packages = suite('package database');
const output = [
  '=gpg-pubkey (none) 1700000000\n',
  '=bash 1700000100 1700000150\n/bin/bash\n/etc/skel\n',
  '=filesystem 1700000100 1700000110\n/etc\n/etc/skel\n',
  '=glibc 1700009000 1700009005\n/lib64/libc.so.6\n/usr/share/a b\n',
].join('');
const paths = new Set(['/usr/bin/bash', '/etc/skel', '/usr/lib64/libc.so.6', '/usr/share/a b', '/other']);
const wanted = (path: string) => paths.has(path);

function parse(...parts: string[]) {
  const { take, done } = packageParser(wanted, ['/bin', '/lib64']);
  parts.forEach(take);
  const { ownerOf, transactions } = done();
  return {
    owners: [...ownerOf].map(
      ([path, { name, installing }]) => `${path} ${name} ${installing.from}-${installing.to}`,
    ),
    transactions,
  };
}

const expected = {
  owners: [
    '/usr/bin/bash bash 1700000100-1700000270',
    '/etc/skel bash 1700000100-1700000270',
    '/usr/lib64/libc.so.6 glibc 1700009000-1700009125',
    '/usr/share/a b glibc 1700009000-1700009125',
  ],
  transactions: [
    { from: 1700000100, to: 1700000450 },
    { from: 1700009000, to: 1700009305 },
  ],
};

packages('knows the owners, with merged folders, and the transactions, wherever the output is split', () => {
  assert.equal(parse(output), expected);
  for (let cut = 0; cut <= output.length; cut++) {
    assert.equal(parse(output.slice(0, cut), output.slice(cut)), expected, `cut at ${cut}`);
  }
});

packages('without merged folders, a path is as the package names it', () => {
  const { take, done } = packageParser(wanted, []);
  take(output);
  assert.equal([...done().ownerOf.keys()], ['/etc/skel', '/usr/share/a b']);
});

packages('the last installed owner of a directory counts, in either order', () => {
  for (const order of [
    ['=a 1 10\n/etc/skel\n', '=b 1 20\n/etc/skel\n'],
    ['=b 1 20\n/etc/skel\n', '=a 1 10\n/etc/skel\n'],
  ]) {
    assert.match(parse(...order).owners[0] ?? '', /^\/etc\/skel b /);
  }
});

packages('an unusable database is a reason, not an empty database', async () => {
  const reader = (present: boolean, ended: 'good' | 'bad' | 'deadline') =>
    ({
      stat: (file: string) => (file === '/usr/bin/rpm' && present ? { kind: 'file' } : undefined),
      run: () => Promise.resolve({ stdout: '', ended }),
    }) as unknown as SystemReader;
  assert.is(await readPackages(reader(false, 'good'), wanted), '/usr/bin/rpm is not installed');
  assert.is(
    await readPackages(reader(true, 'bad'), wanted),
    '/usr/bin/rpm -qa failed; to repair the package database, run `rpm --rebuilddb`',
  );
  assert.is(await readPackages(reader(true, 'deadline'), wanted), '/usr/bin/rpm did not end within 60 s');
  assert.type(await readPackages(reader(true, 'good'), wanted), 'object');
});

packages('a period includes its first and its last moment', () => {
  const period = { from: 10, to: 20 };
  assert.equal(
    [9.9, 10, 20, 20.1].map((at) => isIn(period, at)),
    [false, true, true, false],
  );
});
packages.run();
