/**
 * The points of each task of a boot that moves, in their order, at which tests let it fail (agent/prepare/at-boot/tasks.ts,
 * agent/prepare/move/old-content.ts).
 */
export const statePoints = {
  move: ['begin', 'copy', 'compare', 'record', 'config', 'rename', 'renamed', 'swap', 'aside', 'done'],
  return: ['begin', 'copy', 'compare', 'record', 'beside', 'swapped', 'config', 'rename', 'done'],
  purge: ['begin', 'purge', 'purging'],
};
/** Of /home. There is nothing to rename in a store. */
export const homePoints = {
  move: statePoints.move.filter((point) => point !== 'rename'),
  return: statePoints.return.filter((point) => point !== 'rename'),
};
