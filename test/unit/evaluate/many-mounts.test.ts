/** Tests a guest with thousands of mounts that containers or an attacker made. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { evaluateGuest } from '../../../agent/evaluate.ts';
import type { SystemReader } from '../../../agent/system/reader.ts';
import type { Report } from '../../../agent/report/report.ts';
import { formatText } from '../../../agent/report/text.ts';
import { goodGuest, withGuest } from '../../harness/guest.ts';
import { workOf } from '../../harness/work.ts';

/**
 * Returns a line of mountinfo by index, without the IDs. If isStacked, the parent is the previous mount instead of the
 * root.
 */
interface Kind {
  line: (index: number) => string;
  isStacked?: boolean;
}

const upper = (index: number | string) => `lowerdir=/l,upperdir=/run/u${index},workdir=/run/w${index}`;
const kinds: Record<string, Kind> = {
  'binds of one overlay': { line: (index) => `0:60 / /srv/${index} rw - overlay x rw,${upper('')}` },
  'overlays, each with its own layer': {
    line: (index) => `0:60 / /srv/${index} rw - overlay x rw,${upper(index)}`,
  },
  'overlays, each on the previous one': {
    line: (index) =>
      `0:60 / /srv/${index} rw - overlay x rw,lowerdir=/l,upperdir=/srv/${index - 1}/u,workdir=/w`,
  },
  tmpfs: { line: (index) => `0:60 / /srv/${index} rw - tmpfs x rw` },
  'binds of /': { line: (index) => `253:0 / /srv/${index} ro - xfs /dev/mapper/rhel-root ro` },
  'binds of /home': { line: (index) => `252:16 / /srv/${index} rw - xfs /dev/vdb rw` },
  'binds below /home': { line: (index) => `252:16 / /home/${index} rw - xfs /dev/vdb rw` },
  servers: { line: (index) => `0:60 / /srv/${index} rw - nfs4 x:/ rw` },
  'stacked on /etc': { line: () => '0:60 / /etc rw - tmpfs x rw', isStacked: true },
  'stacked on /tmp': { line: () => '0:60 / /tmp rw - tmpfs x rw', isStacked: true },
  'automounts stacked on /etc': { line: () => '0:60 / /etc rw - autofs x rw', isStacked: true },
};

async function reportWith(
  { line, isStacked }: Kind,
  count: number,
): Promise<{ report: Report; work: number }> {
  return withGuest(goodGuest(), async (reader) => {
    const text = reader.read('/proc/self/mountinfo');
    const more = Array.from({ length: count }, (_, index) => {
      const parent = isStacked === true && index > 0 ? 1000 + index - 1 : 60;
      return `${1000 + index} ${parent} ${line(index)}\n`;
    });
    const full = text + more.join('');
    const seeing: SystemReader = {
      ...reader,
      read: (file, limit) => (file.endsWith('/mountinfo') ? full : reader.read(file, limit)),
    };
    let report: Report | undefined;
    const work = await workOf(async () => {
      report = await evaluateGuest(seeing);
      for (const all of [false, true]) formatText(report, { all, color: false, columns: 80 });
    });
    assert.ok(report);
    return { report, work };
  });
}

const many = suite('many mounts');
for (const [title, kind] of Object.entries(kinds)) {
  many(`${title}: twice as many mounts are at most twice the work`, async () => {
    const [some, more] = [await reportWith(kind, 400), await reportWith(kind, 800)];
    const ratio = more.work / some.work;
    assert.ok(ratio < 2.2, `${some.work} and ${more.work}: ${ratio}`);
  });

  many(`${title}: no finding grows with the number of mounts`, async () => {
    const { report } = await reportWith(kind, 400);
    for (const { id, subject, observed, remedy } of report.checks) {
      const length = Math.max(subject.length, observed.length, remedy.length);
      assert.ok(length < 2000, `${id}: ${length}`);
    }
  });
}

many('the mounts that are not named are counted', async () => {
  const { report } = await reportWith({ line: (index) => `252:16 / /srv/${index} rw - xfs /dev/vdb rw` }, 20);
  const finding = report.checks.find(({ id }) => id === 'footholds');
  assert.match(finding?.subject ?? '', /^\/srv\/0 .* \/srv\/7 and 12 more$/);
  assert.is(report.footholds.filter(({ target }) => target.startsWith('/srv/')).length, 20);
});
many.run();
