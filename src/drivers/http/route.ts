// What a route is, and what it may answer.
import type { IncomingMessage, ServerResponse } from 'node:http';

/**
 * Who may use a route: everybody who reaches the port; with the bearer token always; or with the token, as bearer or as a Basic password, where
 * the port is not on loopback. On loopback the last kind also asks for a Host header that is an address or a known name: a web page that rebinds a name of its own to 127.0.0.1 reads nothing.
 */
export type Access = 'open' | 'token' | 'tokenOffLoopback';

/** A request as a route sees it. `body` '' without one. */
export type Asked = {
  readonly query: URLSearchParams;
  readonly body: string;
  readonly signal: AbortSignal;
};

/** An answer. `json` is written as JSON; `stream` takes the response over. */
export type Answered =
  | { readonly k: 'json'; readonly status: number; readonly value: unknown; readonly headers?: Readonly<Record<string, string>> }
  | {
      readonly k: 'text';
      readonly status: number;
      readonly type: string;
      readonly text: string;
      readonly headers?: Readonly<Record<string, string>>;
    }
  | { readonly k: 'stream'; readonly open: (response: ServerResponse, request: IncomingMessage) => void };

/** One line of the route table. */
export type Route = {
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly path: string;
  readonly access: Access;
  readonly answer: (asked: Asked) => Promise<Answered>;
};

/** A JSON answer. */
export function json(status: number, value: unknown): Answered {
  return { k: 'json', status, value };
}
