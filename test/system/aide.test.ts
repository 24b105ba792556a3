/** Runs AIDE with the rules of docs/compliance.md on a directory before and after an overlay was mounted on it. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { aideReport, aideRules } from '../../docs/compliance.ts';
import { inNamespace } from '../harness/namespace.ts';

const aide = suite('AIDE');

/** Builds a database of the disk's /var, seals it, and checks it on the overlay. @param change made on the overlay */
function reported(rules: string, change: string): string[] {
  const script = `
cd /mnt
truncate -s 64m image
mkfs.ext4 -q -F image
mkdir disk guest guest/var upper
mount -o loop image disk
mkdir -p disk/lib/app/sub disk/lib/empty disk/log
echo one >disk/lib/app/file
ln -s file disk/lib/app/link
ln disk/lib/app/file disk/lib/app/hard
setfacl -m u:1000:r disk/lib/app/file
setfattr -n user.x -v y disk/lib/app/file
mount --bind disk guest/var
cat >aide.conf <<'RULES'
database_in=file:/mnt/db
database_out=file:/mnt/db.new
report_url=stdout
${rules.replaceAll(/^(!?)\//gm, '$1/mnt/guest/')}RULES
aide --config=aide.conf --init >/dev/null
mv db.new db
umount guest/var
mount -o remount,ro disk
mount -t tmpfs upper upper
mkdir upper/upper upper/work
mount -t overlay -o lowerdir=disk,upperdir=upper/upper,workdir=upper/work overlay guest/var
# Copies directories and a file up without a change of content.
touch guest/var/lib/app/new guest/var/lib/app/hard
rm guest/var/lib/app/new
echo entry >guest/var/log/messages
${change}
aide --config=aide.conf --check >report || [ $? -lt 8 ] || cat report >&2
sed -n 's,^\\([a-z]\\).*: /mnt/guest,\\1 ,p' report`;
  const { stdout, stderr } = inNamespace(script);
  assert.is(stderr, '');
  return stdout.split('\n').filter((line) => line !== '');
}

aide('nothing is reported on an overlay that was only used', () => {
  assert.equal(reported(aideRules, ''), []);
});

aide('a change of content, owner or extended attributes, a new and a removed file are reported', () => {
  const change = `cd guest/var/lib; echo two >>app/file; chown 7 app/sub; ln -s x new; rm app/link; setfattr -n user.y -v z empty; cd /mnt`;
  assert.equal(reported(aideRules, change), [
    'l /var/lib/new',
    'l /var/lib/app/link',
    'f /var/lib/app/file',
    'd /var/lib/app/sub',
    'd /var/lib/empty',
  ]);
});

aide('the usual group of AIDE reports directories that nobody changed', () => {
  const usual = reported(aideRules.replace(/^Sealed = .*$/m, 'Sealed = R'), '');
  assert.ok(usual.includes('d /var/lib/app/sub'), usual.join('\n'));
});

aide(
  'AIDE sends its report to the facility of the page; the twin is a facility that it does not know',
  () => {
    const warned = (report: string) =>
      inNamespace(`cd /mnt; printf '%s\\n' database_out=file:/mnt/db '${report}' '/mnt/aide.conf p' >aide.conf
      aide --config=aide.conf --init`).stderr;
    assert.is(warned(aideReport), '');
    assert.match(warned('report_url=syslog:LOG_AUTHPRIV'), 'Syslog facility "LOG_AUTHPRIV" is unknown');
  },
);

aide.run();
