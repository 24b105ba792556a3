import { HostError } from '../../errors.ts';
import type { Doing } from '../doing.ts';
import type { Action } from '../step.ts';

type Executor<Kind extends Action['do']> = (
  doing: Doing,
  action: Extract<Action, { do: Kind }>,
) => Promise<void>;

/** Moves /home to a disk of its own. May have been interrupted before, anywhere. */
export const moveHome: Executor<'move-home'> = () =>
  Promise.reject(new HostError('moving /home is not built yet'));

/** Removes the old content of /home, once the new copy is proven. */
export const purgeHome: Executor<'purge-home'> = () =>
  Promise.reject(new HostError('removing the old content of /home is not built yet'));
