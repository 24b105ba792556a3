import { hostQuery, reports, type Collected } from './fleet.ts';

/** Sets `hit` in the page if a value is treated as markup or as a program. */
export const markup =
  '</script></style><script>hit=1</script><img src=x onerror=hit=1>"\' onload=hit=1 {{ 7 * 7 }}';

/** A formula, which a spreadsheet program would run. */
export const formula = '=HYPERLINK("http://evil.example","x")';

const boot = { ageSeconds: 1, stage: 'initramfs', says: [], warnings: [], errors: [] };

/** Returns a report in which each text that the schema leaves open is replaced. */
function filled(text: string): unknown {
  const replace = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(replace);
    if (typeof value === 'object' && value !== null)
      return Object.fromEntries(
        Object.entries(value).map(([key, inner]) => [key, key === 'status' ? inner : replace(inner)]),
      );
    return typeof value === 'string' ? text : value;
  };
  return { ...(replace(reports.waiting) as object), mode: 'sealed', verdict: 'sealed', boot };
}

const { sealed, waiting } = reports;

/** An integer of 400 digits, which Python reads as such, and which no floating-point number can represent. */
const digits = (JSON as unknown as { rawJSON: (text: string) => unknown }).rawJSON('9'.repeat(400));

/** Reports that a hostile guest could send, by the name of the guest. */
export const hostileReports: Record<string, unknown> = {
  markup: filled(markup),
  formula: { ...sealed, agent: { version: formula }, host: { ...sealed.host, os: `\t${formula}` } },
  image: { ...sealed, image: { name: markup, version: formula, built: '2026-11-28T01:02:03Z' } },
  'image-type': { ...sealed, image: [{ name: 'x' }] },
  long: { ...sealed, reason: 'x'.repeat(5_000_000), host: { ...sealed.host, os: `${'y'.repeat(300)}<b>` } },
  many: { ...sealed, footholds: Array.from({ length: 100_000 }, () => sealed.footholds[0]) },
  characters: { ...sealed, reason: 'a\u202eb\u0000c\nd\u200be', agent: { version: '\ud800' } },
  numbers: {
    ...sealed,
    var: {
      ...sealed.var,
      usedBytes: 1e300,
      sizeBytes: -1,
      inodes: '7',
      inodesUsed: true,
      forecast: { secondsUntilFull: -5 },
    },
    forward: {
      ...waiting.forward,
      lag: { seconds: -1, entries: 1.5 },
      lost: -3,
      sources: [{ path: '/a', behindBytes: -1, lostBytes: 'x', error: '' }],
    },
  },
  huge: {
    ...sealed,
    var: {
      ...sealed.var,
      usedBytes: digits,
      inodes: digits,
      forecast: { secondsUntilFull: -5, limit: 'everything' },
    },
  },
  types: {
    ...sealed,
    host: { bootId: '', kernel: 5, os: [] },
    agent: null,
    boot: 'x',
    footholds: {},
    programs: [],
    impostors: [[]],
  },
  forward: { ...sealed, forward: 'x' },
  sources: { ...sealed, forward: { ...waiting.forward, sources: [1, null, { behindBytes: 'x' }] } },
  host: { ...sealed, host: 5 },
  unknown: {
    ...sealed,
    verdict: 'perfect',
    mode: 'best',
    enforcement: 'all',
    checks: [{ id: 'x', status: 'ok', severity: 'none' }],
  },
  time: { ...sealed, at: '2026-99-99T99:99:99Z', boot: { ...boot, at: 'yesterday' } },
  empty: {},
  list: [],
  disks: { ...sealed, disks: [{ name: 'vda' }] },
  text: 'sealed',
};

/** Returns the hostile fleet. */
export const hostileFleet = (): Collected[] =>
  Object.entries(hostileReports).map(([name, json]) => ({
    name,
    query: hostQuery(true, 3600),
    status: { json },
    more: { hypervisor: 'kvm', domain: name, disk: 'vda' },
  }));
