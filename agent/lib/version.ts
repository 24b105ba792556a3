import description from '../../package.json' with { type: 'json' };

/** Of the agent, and of the boot scripts that came with it. */
export const version = description.version;
