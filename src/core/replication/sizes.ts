// Sizes that both ends of a copy must agree on.

/**
 * A blob up to this size is small. Whoever receives it leaves it unflushed, and whoever places it flushes it together with many others: were
 * the two to differ, a blob between them would never be flushed. Small blobs are many and each is mostly waiting, so many of them count as one.
 */
export const SMALL_BLOB_BYTES = 1024 * 1024;
