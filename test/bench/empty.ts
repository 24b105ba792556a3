// An empty program, which measures the cost of any program that is built like the agent.
export {};
