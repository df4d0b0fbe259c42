// TLS as both ends of a blob connection set it: 1.3 only, the fastest strong cipher first.
import type { SecureContextOptions } from 'node:tls';

/** Shared by server and client. */
export const TLS_OPTIONS: SecureContextOptions = {
  minVersion: 'TLSv1.3',
  ciphers: 'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256',
};
