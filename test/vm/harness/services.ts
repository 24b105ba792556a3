import * as assert from 'uvu/assert';
import type { StateFinding, Step } from '../../../agent/prepare/engine/step.ts';
import { type Boot, assertSealed, look } from './scenario.ts';

/** A service of a guest, with the lines of sh with which its state is written, read and verified. */
export interface Service {
  /** Writes a record, which is a digit. */
  add: (record: number) => string;
  /** Prints the records in ascending order. */
  read: string;
  /** Checks the consistency of all of the state; fails if it finds an error. */
  verify?: string;
}

export type Services = Record<string, Service>;

export const prepareState = 'immutafs-agent prepare --only state';

/** The steps that write a record of each service. */
export const added = (services: Services, record: number) =>
  stepsOf(services, `add-${record}`, ({ add }) => add(record));

/** The steps that read the state of each service. */
export const reads = (services: Services, when = '') => stepsOf(services, `${when}read`, ({ read }) => read);

/** The steps that read and verify the state of each service. */
export const readings = (services: Services, when = '') => ({
  ...reads(services, when),
  ...stepsOf(services, `${when}verify`, ({ verify }) => verify),
});

/** The steps that wait until all services have started, and look at the guest and at the state of each service. */
export const sealedReadings = (services: Services) => ({
  started: 'timeout 600 systemctl is-system-running --wait',
  ...look,
  ...readings(services),
});

function stepsOf(
  services: Services,
  kind: string,
  lines: (service: Service) => string | undefined,
): Record<string, string> {
  const all = Object.entries(services).map(([name, service]) => [`${kind}-${name}`, lines(service)]);
  return Object.fromEntries(all.filter(([, text]) => text !== undefined)) as Record<string, string>;
}

/** Asserts that `added` has written a record of each service. */
export function assertAdded(boot: Boot, services: Services, record: number): void {
  for (const name of Object.keys(services)) assertEnded(boot, `add-${record}-${name}`);
}

/**
 * Asserts that `reads` found these records of each service.
 * @param records those of all services, or a function that returns those of each service
 */
export function assertRead(
  boot: Boot,
  services: Services,
  records: string | ((name: string) => string),
  when = '',
): void {
  for (const name of Object.keys(services)) {
    const { stdout } = assertEnded(boot, `${when}read-${name}`);
    const expected = typeof records === 'string' ? records : records(name);
    assert.is(stdout.replaceAll(/\s/g, ''), expected, describe(boot, `${when}read-${name}`));
  }
}

/** Asserts that `readings` found these records of each service, and no error. */
export function assertRecords(
  boot: Boot,
  services: Services,
  records: string | ((name: string) => string),
  when = '',
): void {
  assertRead(boot, services, records, when);
  for (const [name, { verify }] of Object.entries(services))
    if (verify !== undefined) assertEnded(boot, `${when}verify-${name}`);
}

/** `assertSealed` and `assertRecords` of `sealedReadings`. */
export function assertKept(
  boot: Boot,
  services: Services,
  records: string | ((name: string) => string),
): void {
  assertSealed(boot);
  assertRecords(boot, services, records);
}

/** Asserts that a step succeeded. */
export function assertEnded(boot: Boot, name: string) {
  const step = boot.step(name);
  assert.is(step.exit, 0, describe(boot, name));
  return step;
}

export function describe(boot: Boot, name: string): string {
  const { exit, stdout, stderr } = boot.step(name);
  return `${name} ended with ${exit}: ${stdout}${stderr}`;
}

/** Returns the step `state` of a plan in JSON. */
export function stateOf(boot: Boot, name: string): Step {
  const { steps } = JSON.parse(boot.step(name).stdout) as { steps: [Step] };
  return steps[0];
}

/** Asserts that the step `state` of a plan in JSON is not done, and that it names exactly these services or directories. */
export function assertNamed(boot: Boot, name: string, names: string[]): StateFinding[] {
  const { state, stateFindings = [] } = stateOf(boot, name);
  assert.is(state, 'by hand');
  assert.equal(
    stateFindings.map(({ service, name: directory }) => service ?? directory).toSorted(),
    names.toSorted(),
    describe(boot, name),
  );
  return stateFindings;
}
