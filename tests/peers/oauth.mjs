// Tokens, introspection and revocation, driven by openid-client as clients and resource servers use it, with nothing but the
// issuer.
//
// Environment: COUNTERSIGN_URL (like http://127.0.0.1:8787), COUNTERSIGN_ACCOUNT_ID, COUNTERSIGN_TOKEN, and
// COUNTERSIGN_PEERS_NODE_DIR, where the client is installed.
// Status 0 when every expectation held; otherwise the first that did not.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const environment = (name) => process.env[name] ?? assert.fail(`${name} is not set`);
const installed = createRequire(`${environment('COUNTERSIGN_PEERS_NODE_DIR')}/`);
const client = await import(pathToFileURL(installed.resolve('openid-client')).href);

const ISSUER = environment('COUNTERSIGN_URL').replace(/\/$/, '');
const ACCOUNT = environment('COUNTERSIGN_ACCOUNT_ID');
const ROOT = environment('COUNTERSIGN_TOKEN');

const discover = (id, secret, authentication) =>
  client.discovery(new URL(ISSUER), id, secret, authentication, {
    algorithm: 'oauth2',
    execute: [client.allowInsecureRequests],
  });

const post = async (path, body) => {
  const headers = { authorization: `Bearer ${ROOT}`, 'content-type': 'application/json' };
  const answer = await fetch(`${ISSUER}${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
  assert.ok(answer.ok, `${path}: ${answer.status}`);
  return answer.json();
};
const accessToken = async (body) => (await post(`/v1/Accounts/${ACCOUNT}/accessTokens`, body)).id;
const serviceToken = async (body) =>
  (await post(`/client/v4/accounts/${ACCOUNT}/access/service_tokens`, body)).result;
const shownAtTheDoor = async (token, demand = '') =>
  (await fetch(`${ISSUER}/authz?${demand}`, { headers: { authorization: `Bearer ${token}` } })).status;

const server = await serviceToken({ name: 'resource server', scopes: ['countersign:verify'] });
const methods = [client.ClientSecretBasic, client.ClientSecretPost];
const as = (method, { client_id: id, client_secret: secret } = server) => discover(id, secret, method(secret));

const steps = {
  async 'find the endpoints'() {
    const metadata = (await as(client.ClientSecretBasic)).serverMetadata();
    assert.equal(metadata.issuer, ISSUER);
    assert.equal(metadata.introspection_endpoint, `${ISSUER}/oauth2/introspect`);
    assert.equal(metadata.revocation_endpoint, `${ISSUER}/oauth2/revoke`);
  },

  async 'introspect an access token'() {
    const token = await accessToken({ scopes: ['orders:read', 'orders:write'], ttl: 60 });
    for (const method of methods) {
      const said = await client.tokenIntrospection(await as(method), token);
      assert.deepEqual([said.active, said.scope, said.sub], [true, 'orders:read orders:write', ACCOUNT]);
      assert.deepEqual([said.token_type, said.jti], ['Bearer', token.slice(0, 22)]);
      assert.ok(Number.isInteger(said.exp));
    }
  },

  async 'introspect a service token'() {
    const { id, client_id, client_secret } = await serviceToken({ name: 'worker', scopes: ['orders:read'] });
    const said = await client.tokenIntrospection(await as(methods[0]), `${client_id}:${client_secret}`);
    assert.deepEqual([said.active, said.client_id, said.jti], [true, client_id, id]);
  },

  async 'what is not good is not active'() {
    for (const token of ['nonsense', 'x'.repeat(64), `${'0'.repeat(32)}.access:nonsense`]) {
      assert.deepEqual({ ...(await client.tokenIntrospection(await as(methods[0]), token)) }, { active: false });
    }
  },

  async 'a wrong client learns nothing'() {
    const token = await accessToken({ scopes: ['orders:read'] });
    const door = await serviceToken({ name: 'door' });
    for (const method of methods) {
      const wrong = await as(method, { ...server, client_secret: door.client_secret });
      await assert.rejects(client.tokenIntrospection(wrong, token), { status: 401 });
    }
    await assert.rejects(client.tokenIntrospection(await as(methods[0], door), token), { status: 403 });
  },

  async 'revoke in the name of a client'() {
    for (const method of methods) {
      const token = await accessToken({ scopes: ['orders:read'] });
      const config = await as(method);
      assert.equal((await client.tokenIntrospection(config, token)).active, true);
      await client.tokenRevocation(config, token, { token_type_hint: 'access_token' });
      await client.tokenRevocation(config, token);
      assert.equal((await client.tokenIntrospection(config, token)).active, false);
      assert.equal(await shownAtTheDoor(token), 401);
    }
  },

  async 'revoke by possession'() {
    const token = await accessToken({ scopes: ['orders:read'] });
    assert.equal(await shownAtTheDoor(token), 200);
    await client.tokenRevocation(await discover('anybody', undefined, client.None()), token);
    assert.equal(await shownAtTheDoor(token), 401);
  },

  async 'a service token is not revoked so'() {
    const { client_id, client_secret } = await serviceToken({ name: 'worker' });
    const revoked = client.tokenRevocation(await as(methods[0]), `${client_id}:${client_secret}`);
    await assert.rejects(revoked, { status: 400, error: 'unsupported_token_type' });
  },

  async 'get a signed token'() {
    const worker = await serviceToken({ name: 'worker', scopes: ['orders:read', 'orders:write'] });
    const resource = 'https://orders.example.com';
    for (const method of methods) {
      const got = await client.clientCredentialsGrant(await as(method, worker), { scope: 'orders:read', resource });
      assert.deepEqual([got.token_type, got.expires_in, got.scope], ['bearer', 300, 'orders:read']);
      assert.equal(await shownAtTheDoor(got.access_token, `audience=${resource}&scope=orders:read`), 200);
      assert.equal(await shownAtTheDoor(got.access_token, `audience=${resource}&scope=orders:write`), 403);
      assert.equal(await shownAtTheDoor(got.access_token), 401);
      const [claims] = got.access_token.split('.').slice(1).map((part) => Buffer.from(part, 'base64url'));
      const { iss, aud, client_id, account } = JSON.parse(claims);
      assert.deepEqual([iss, aud, client_id, account], [ISSUER, resource, worker.client_id, ACCOUNT]);
    }
  },

  async 'no signed token is got by who may not'() {
    const worker = await serviceToken({ name: 'worker', scopes: ['orders:read'] });
    const refused = async (who, asked, said) =>
      assert.rejects(client.clientCredentialsGrant(await as(methods[0], who), asked), said);
    await refused({ ...worker, client_secret: 'a1'.repeat(32) }, {}, { status: 401 });
    await refused(worker, { scope: 'orders:write' }, { error: 'invalid_scope' });
    await refused(worker, { resource: 'no-uri' }, { error: 'invalid_target' });
  },
};

for (const [name, step] of Object.entries(steps)) {
  await step();
  console.log(`ok  ${name}`);
}
console.log(`${Object.keys(steps).length} steps passed`);
