// POST /api/push: this server has no account, so a model that is here is refused by the registry, and one that is not cannot be read.
import { readModel } from './disk.ts';
import { goJson } from './go.ts';
import { type Exchange, ndjson, refuse, reply, TYPE } from './http.ts';
import { pathOf } from './names.ts';
import { fieldsOf, resolveName, textOf } from './request.ts';

const REFUSED = 'you are not authorized to push to this namespace, create the model under a namespace you own';

/** Serves one request. */
export async function servePush(x: Exchange, store: string): Promise<void> {
  const fields = await fieldsOf(x, 'PushRequest', { model: 'string', name: 'string', insecure: 'bool', stream: 'bool' });
  if (fields === null) return;
  const asked = textOf(fields, 'model') || textOf(fields, 'name');
  if (asked === '') return refuse(x, 400, 'model is required');
  const name = resolveName(store, asked);
  const present = name !== null && readModel(store, name) !== null;
  const error = present ? REFUSED : `open ${store}/manifests/${name === null ? asked : pathOf(name)}: no such file or directory`;
  if (fields.stream === false) return reply(x, 500, TYPE.json, goJson({ error }));
  const out = ndjson(x);
  out.line({ status: 'retrieving manifest' });
  if (!present) out.line({ status: "couldn't retrieve manifest" });
  out.line({ error });
  out.end();
}
