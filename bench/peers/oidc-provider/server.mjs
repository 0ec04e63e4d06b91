// The npm `oidc-provider` with everything in memory: an authorization server that introspects opaque tokens of its own
// (RFC 7662). It is no more than what the library does by itself.
//
//   node server.mjs PORT TOKENS COUNT
//
// COUNT tokens are issued at the start and written to TOKENS, one a line; its memory holds a thousand things.

import { writeFileSync } from 'node:fs';
import Provider from 'oidc-provider';

const [port, path, count] = process.argv.slice(2);

const client = {
  client_id: 'bench',
  client_secret: 'bench-client-secret-that-guards-nothing',
  grant_types: ['client_credentials'],
  redirect_uris: [],
  response_types: [],
  token_endpoint_auth_method: 'client_secret_basic',
};
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [client],
  scopes: ['invoices:read'],
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    introspection: { enabled: true },
  },
  ttl: { ClientCredentials: 86_400 },
});

const known = await provider.Client.find(client.client_id);
const tokens = [];
for (let issued = 0; issued < Number(count); issued += 1) {
  tokens.push(await new provider.ClientCredentials({ client: known, scope: 'invoices:read' }).save());
}
writeFileSync(path, tokens.map((token) => `${token}\n`).join(''));
provider.listen(Number(port), '127.0.0.1');
