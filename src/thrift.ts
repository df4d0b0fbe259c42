// How little memory the agent takes: flags of the engine, set before its modules load. The benches set them too.

/**
 * An agent takes some twenty short turns a second. A young generation that grows while the modules load, and code optimized for a few calls a
 * second, would cost it 30 MB and save nothing; waking four threads for each of its small collections costs more than collecting (measured:
 * make bench-scale).
 */
export const thrift = '--optimize-for-size --semi-space-growth-factor=1 --no-parallel-scavenge --no-maglev --no-turbofan';
