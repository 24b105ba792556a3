import description from '../../package.json' with { type: 'json' };

/** The version of the agent and of its boot scripts. */
export const version = description.version;
