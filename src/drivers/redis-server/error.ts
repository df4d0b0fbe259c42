/** What an operator must change before the managed Redis can run. */
export class RedisServerError extends Error {
  readonly code: 'REDIS_SERVER_MISSING' | 'REDIS_PORT_IN_USE' | 'REDIS_ADDRESS_ABSENT' | 'REDIS_SERVER_CONFIG' | 'REDIS_SERVER_START';
  readonly hint: string;

  constructor(code: RedisServerError['code'], message: string, hint: string, cause?: unknown) {
    super(message, cause === undefined ? {} : { cause });
    this.name = 'RedisServerError';
    this.code = code;
    this.hint = hint;
  }
}
