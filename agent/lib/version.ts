import description from '../../package.json' with { type: 'json' };

/** The version of the agent and of immutafs-boot. */
export const version = description.version;
