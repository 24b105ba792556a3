// The empty program: what any program costs that is built as the agent is.
export {};
