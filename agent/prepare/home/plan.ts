import type { Look } from '../look.ts';
import type { Step } from '../step.ts';

/** What there is to do about /home. Only reads. */
export const planHome: (look: Look) => Promise<Step> = () =>
  Promise.resolve({
    id: 'home',
    state: 'blocked',
    why: ['Moving /home to a disk of its own is not built yet.'],
    actions: [],
  });
