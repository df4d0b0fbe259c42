import { describe, expect, it } from 'vitest';
import { LAYERS_MAX, MANIFEST_BYTES_MAX } from '../../../src/drivers/store/layout.ts';
import { parseManifest } from '../../../src/drivers/store/manifest.ts';

const layer = (n: number) => ({ mediaType: 'm', digest: `sha256:${n.toString(16).padStart(64, '0')}`, size: 1 });
const bytes = (value: unknown) => Buffer.from(JSON.stringify(value));

describe('a manifest', () => {
  it('with more layers than any model has is refused, one with as many as allowed is not', () => {
    // As short as they can be written, or the limit of bytes would come first.
    const many = (count: number) => bytes({ layers: Array.from({ length: count }, (_, n) => layer(n)) });
    expect(parseManifest(many(1000))).toMatchObject({ sizeBytes: 1000 });
    expect(parseManifest(bytes({ layers: Array(LAYERS_MAX + 1).fill(0) }))).toEqual({ fault: `more than ${LAYERS_MAX} layers` });
  });

  it('that is larger than four megabytes is refused before it is parsed', () => {
    expect(parseManifest(Buffer.alloc(MANIFEST_BYTES_MAX + 1, ' '))).toEqual({ fault: `larger than ${MANIFEST_BYTES_MAX} bytes` });
  });

  it('whose sizes are no sizes is refused', () => {
    for (const size of [-1, 1.5, 1e30, '1', null])
      expect(parseManifest(bytes({ layers: [{ ...layer(1), size }] }))).toHaveProperty('fault');
    expect(parseManifest(bytes({ layers: [layer(1), { ...layer(1), size: 2 }] }))).toEqual({ fault: 'one blob is named with two sizes' });
  });
});
