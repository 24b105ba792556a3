import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseDeclarations } from '../../../agent/facts/declared-directories.ts';

const declared = suite('directories that units name');

const pathsOf = (text: string) =>
  parseDeclarations('a.service', text).map(({ setting, path }) => `${setting} ${path}`);

declared('each setting that names a directory is read, and nothing else', () => {
  assert.equal(
    pathsOf(`# StateDirectory=comment
[Service]
StateDirectory=acme acme/sub:link
ReadWritePaths=-/var/lib/a +/srv/b "/opt/c d"
WorkingDirectory=-/var/lib/w
Environment=PGDATA=/var/lib/pgsql/data "OTHER=/x y" NUMBER=1
ExecStart=/usr/bin/acmed --data-dir=/var/acme \\
  -D /var/lib/more --verbose
CacheDirectory=acme
Description=/var/lib/not-this
`),
    [
      'StateDirectory= /var/lib/acme',
      'StateDirectory= /var/lib/acme/sub',
      'ReadWritePaths= /var/lib/a',
      'ReadWritePaths= /srv/b',
      'ReadWritePaths= /opt/c',
      'WorkingDirectory= /var/lib/w',
      'Environment= /var/lib/pgsql/data',
      'Environment= /x',
      'ExecStart= /usr/bin/acmed',
      'ExecStart= /var/acme',
      'ExecStart= /var/lib/more',
    ],
  );
});

declared('a path ends before a specifier', () => {
  assert.equal(pathsOf('ReadWritePaths=/var/lib/x/%i/data /var/lib/y%n'), [
    'ReadWritePaths= /var/lib/x',
    'ReadWritePaths= /var/lib',
  ]);
});
declared.run();
