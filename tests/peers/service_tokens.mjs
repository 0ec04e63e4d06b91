// Cloudflare's official Node SDK, walked through every operation on service tokens of a Countersign.
//
// The SDK is unmodified; it is given our base URL and a token, and nothing else. Every secret is tried at the
// door as well, because an answer that looks right and a door that opens are two things.
//
// Environment: COUNTERSIGN_URL (like http://127.0.0.1:8787), COUNTERSIGN_ACCOUNT_ID, COUNTERSIGN_TOKEN, and
// COUNTERSIGN_PEERS_NODE_DIR, the directory in whose node_modules the SDK is installed.
// Status 0 when every expectation held; otherwise the first that did not.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import http from 'node:http';
import { createRequire } from 'node:module';

// The SDK also reads its own variables.
for (const name of Object.keys(process.env)) {
  if (name.startsWith('CLOUDFLARE_')) delete process.env[name];
}

const environment = (name) => process.env[name] ?? assert.fail(`${name} is not set`);
const URL = environment('COUNTERSIGN_URL').replace(/\/$/, '');
const ACCOUNT = environment('COUNTERSIGN_ACCOUNT_ID');
const TOKEN = environment('COUNTERSIGN_TOKEN');
const Cloudflare = createRequire(`${environment('COUNTERSIGN_PEERS_NODE_DIR')}/`)('cloudflare');

const account = { account_id: ACCOUNT };
// Names of this run, so that other tokens on the same server do not matter.
const RUN = `node-${randomUUID().slice(0, 8)}`;
const REFUSALS = new Set();
const HOUR = 3_600_000;

function tokensAt(baseURL, apiToken = TOKEN) {
  return new Cloudflare({ baseURL, apiToken }).zeroTrust.access.serviceTokens;
}

const steps = {
  async 'create with the default duration'(tokens) {
    const created = tokens.create({ ...account, name: `${RUN} default` });
    const { data: token, response } = await created.withResponse();
    assert.equal(response.status, 201);
    assert.equal(response.headers.get('cache-control'), 'no-store', 'an answer with a secret is not stored');
    assert.equal(token.name, `${RUN} default`);
    assert.equal(token.duration, '8760h');
    assert.equal(token.enabled, true);
    assert.match(token.id, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    assert.match(token.client_id, /^[0-9a-f]{32}\.access$/);
    assert.match(token.client_secret, /^[a-z0-9]+_[0-9A-Za-z]{40}[0-9a-f]{8}$/);
    assert.equal(token.client_secret_version, 1);
    near(token.expires_at, Date.parse(token.created_at) + 8760 * HOUR);
    const headers = await opens(token.client_id, token.client_secret);
    assert.equal(headers.get('x-countersign-account'), ACCOUNT);
    assert.equal(headers.get('x-countersign-token'), token.id);
    assert.equal(headers.get('x-countersign-kind'), 'service');
    await refuses(token.client_id, `${token.client_secret.slice(0, -8)}00000000`);
    await refuses(`${'0'.repeat(32)}.access`, token.client_secret);
  },

  async 'create with a duration and for ever'(tokens) {
    const short = await tokens.create({ ...account, name: `${RUN} short`, duration: '2h45m' });
    assert.equal(short.duration, '2h45m', 'echoed');
    near(short.expires_at, Date.parse(short.created_at) + 2.75 * HOUR);
    const forever = await tokens.create({ ...account, name: `${RUN} forever`, duration: 'forever' });
    assert.equal(forever.duration, 'forever', 'echoed');
    const centuryLater = new Date(forever.created_at);
    centuryLater.setUTCFullYear(centuryLater.getUTCFullYear() + 100);
    near(forever.expires_at, centuryLater.getTime());
    await opens(forever.client_id, forever.client_secret);
  },

  async 'list in pages'(tokens) {
    const made = [];
    for (let n = 0; n < 7; n++) made.push((await tokens.create({ ...account, name: `${RUN} page ${n}` })).id);
    const page = await tokens.list({ ...account, per_page: 3, search: `${RUN} page` });
    assert.deepEqual(page.result_info, { page: 1, per_page: 3, count: 3, total_count: 7, total_pages: 3 });
    const seen = [];
    for await (const token of tokens.list({ ...account, per_page: 3 })) {
      assert(!seen.includes(token.id), "no token twice, or the SDK's own paging would not end");
      seen.push(token.id);
    }
    assert.deepEqual(seen.filter((id) => made.includes(id)), made, 'each token once, oldest first');
    assert.deepEqual((await tokens.list({ ...account, page: 1000 })).result, [], 'past the end');
    assert(page.result.every((token) => !('client_secret' in token)), 'a list shows no secret');
  },

  async 'list by name and by search'(tokens) {
    const pages = [...Array(7).keys()].map((n) => `${RUN} page ${n}`);
    assert.deepEqual(await names(tokens, { name: `${RUN} page 3` }), [`${RUN} page 3`]);
    assert.deepEqual(await names(tokens, { name: `${RUN} page` }), [], 'a name filters exactly');
    assert.deepEqual(await names(tokens, { search: `${RUN} page` }), pages);
    assert.deepEqual(await names(tokens, { search: `${RUN} page`.toUpperCase() }), pages, 'in any case');
    assert.deepEqual(await names(tokens, { search: 'no such token' }), []);
  },

  async 'get'(tokens) {
    const { client_secret, ...made } = await tokens.create({ ...account, name: `${RUN} get` });
    const token = await tokens.get(made.id, account);
    for (const [field, value] of Object.entries(made)) assert.deepEqual(token[field], value, field);
    assert.equal(token.last_seen_at, null, 'before the first use');
    assert(!('client_secret' in token), 'get shows no secret');
    await opens(made.client_id, client_secret);
    assert((await tokens.get(made.id, account)).last_seen_at, 'after a use');
  },

  async 'update the name alone'(tokens) {
    const made = await tokens.create({ ...account, name: `${RUN} old name`, duration: '24h' });
    const token = await tokens.update(made.id, { ...account, name: `${RUN} new name` });
    assert.equal(token.name, `${RUN} new name`);
    assert.equal(token.duration, '24h');
    assert.equal(token.expires_at, made.expires_at);
    await opens(made.client_id, made.client_secret);
  },

  async 'update the duration'(tokens) {
    const made = await tokens.create({ ...account, name: `${RUN} duration`, duration: '24h' });
    const token = await tokens.update(made.id, { ...account, duration: '48h' });
    assert.equal(token.duration, '48h');
    assert.equal(token.name, made.name);
    near(token.expires_at, Date.parse(token.updated_at) + 48 * HOUR);
    await opens(made.client_id, made.client_secret);
  },

  async 'disable and enable'(tokens) {
    const made = await tokens.create({ ...account, name: `${RUN} switch` });
    assert.equal((await tokens.update(made.id, { ...account, enabled: false })).enabled, false);
    await refuses(made.client_id, made.client_secret);
    assert.equal((await tokens.update(made.id, { ...account, enabled: true })).enabled, true);
    await opens(made.client_id, made.client_secret);
    const asleep = await tokens.create({ ...account, name: `${RUN} asleep`, enabled: false });
    await refuses(asleep.client_id, asleep.client_secret);
  },

  async 'update that rotates'(tokens) {
    const made = await tokens.create({ ...account, name: `${RUN} versions`, client_secret_version: 1 });
    const same = await tokens.update(made.id, { ...account, client_secret_version: 1 });
    assert(!('client_secret' in same), 'the same version is no rotation');
    await opens(made.client_id, made.client_secret);
    const rotated = await tokens.update(made.id, { ...account, client_secret_version: 2 });
    assert.equal(rotated.client_secret_version, 2);
    await opens(made.client_id, rotated.client_secret);
    await refuses(made.client_id, made.client_secret);
    const lower = () => tokens.update(made.id, { ...account, client_secret_version: 1 });
    await fails(Cloudflare.BadRequestError, 12130, '/client_secret_version', lower);
  },

  async 'refresh'(tokens) {
    const made = await tokens.create({ ...account, name: `${RUN} refresh`, duration: '1h' });
    const token = await tokens.refresh(made.id, account);
    assert(micros(token.expires_at) > micros(made.expires_at), 'a later expiry');
    near(token.expires_at, Date.parse(token.updated_at) + HOUR);
    await opens(made.client_id, made.client_secret);
  },

  async 'rotate without overlap'(tokens) {
    const made = await tokens.create({ ...account, name: `${RUN} rotate` });
    const rotated = await tokens.rotate(made.id, account);
    assert.equal(rotated.client_id, made.client_id);
    assert.equal(rotated.client_secret_version, 2);
    assert.notEqual(rotated.client_secret, made.client_secret);
    await refuses(made.client_id, made.client_secret);
    await opens(made.client_id, rotated.client_secret);
  },

  async 'rotate with overlap'(tokens) {
    const made = await tokens.create({ ...account, name: `${RUN} overlap` });
    const deadline = inHours(1);
    const rotated = await tokens.rotate(made.id, { ...account, previous_client_secret_expires_at: deadline });
    sameMoment(rotated.previous_client_secret_expires_at, deadline);
    const headers = await opens(made.client_id, made.client_secret);
    assert.match(headers.get('deprecation'), /^@\d+$/, 'the door says that the previous secret is going');
    assert(headers.get('sunset'), 'and when');
    const headersOfNew = await opens(made.client_id, rotated.client_secret);
    assert.equal(headersOfNew.get('deprecation'), null, 'not so the new one');
    const later = inHours(2);
    const moved = await tokens.update(made.id, { ...account, previous_client_secret_expires_at: later });
    sameMoment(moved.previous_client_secret_expires_at, later);
    await opens(made.client_id, made.client_secret);
    await endPreviousSecret(tokens, made, rotated);
  },

  async 'rotate whose answer is lost'(tokens) {
    const made = await tokens.create({ ...account, name: `${RUN} lost answer` });
    const deadline = inHours(1);
    const proxy = await lossyProxy();
    const body = { ...account, previous_client_secret_expires_at: deadline };
    const rotated = await tokensAt(`${proxy.url}/client/v4`).rotate(made.id, body);
    proxy.close();
    assert.deepEqual(proxy.retryCounts, ['0', '1'], 'the SDK sent the rotation twice by itself');
    assert.equal(rotated.client_secret_version, 2, 'a retried rotation is one rotation');
    sameMoment(rotated.previous_client_secret_expires_at, deadline);
    await opens(made.client_id, made.client_secret);
    await opens(made.client_id, rotated.client_secret);
    await refuses(made.client_id, JSON.parse(proxy.lostAnswer).result.client_secret);
    await endPreviousSecret(tokens, made, rotated);
  },

  async 'delete'(tokens) {
    const made = await tokens.create({ ...account, name: `${RUN} delete` });
    await opens(made.client_id, made.client_secret);
    const deleted = await tokens.delete(made.id, account);
    assert.deepEqual([deleted.id, deleted.name], [made.id, made.name]);
    await refuses(made.client_id, made.client_secret);
    for (const operation of ['get', 'delete', 'refresh', 'rotate']) {
      await fails(Cloudflare.NotFoundError, 12135, undefined, () => tokens[operation](made.id, account));
    }
  },

  async 'errors'(tokens) {
    for (const duration of ['1d', '', '-1h', '1 h']) {
      const create = () => tokens.create({ ...account, name: `${RUN} bad`, duration });
      await fails(Cloudflare.BadRequestError, 12130, '/duration', create);
    }
    for (const name of ['', 'n'.repeat(351)]) {
      await fails(Cloudflare.BadRequestError, 12130, '/name', () => tokens.create({ ...account, name }));
    }
    assert.deepEqual(await names(tokens, { name: `${RUN} bad` }), [], 'a refused create creates nothing');
    const stranger = tokensAt(`${URL}/client/v4`, '0'.repeat(40));
    await fails(Cloudflare.PermissionDeniedError, 9109, undefined, () => stranger.list(account));
    const nobody = tokensAt(`${URL}/client/v4`, null);
    await fails(Cloudflare.BadRequestError, 9106, undefined, () => nobody.list(account));
  },

  async 'without the prefix of the vendor'() {
    const tokens = tokensAt(URL);
    const made = await tokens.create({ ...account, name: `${RUN} short path` });
    assert.equal((await tokens.get(made.id, account)).id, made.id);
  },
};

/// Moves the deadline of the previous secret into the past: it ends now, the new one stays.
async function endPreviousSecret(tokens, made, rotated) {
  await tokens.update(made.id, { ...account, previous_client_secret_expires_at: inHours(-1) });
  await refuses(made.client_id, made.client_secret);
  await opens(made.client_id, rotated.client_secret);
}

async function names(tokens, query) {
  const found = [];
  for await (const token of tokens.list({ ...account, ...query })) found.push(token.name);
  return found;
}

/// The door lets these in; gives the headers of its answer.
async function opens(clientId, clientSecret) {
  const answer = await door(clientId, clientSecret);
  assert.equal(answer.status, 200, 'the door');
  return answer.headers;
}

/// The door turns these away.
async function refuses(clientId, clientSecret) {
  const answer = await door(clientId, clientSecret);
  assert.equal(answer.status, 401, 'the door');
  assert.equal(answer.headers.get('www-authenticate'), 'Bearer realm="countersign", error="invalid_token"');
  REFUSALS.add(await answer.text());
}

function door(clientId, clientSecret) {
  const headers = { 'CF-Access-Client-Id': clientId, 'CF-Access-Client-Secret': clientSecret };
  return fetch(`${URL}/authz`, { headers });
}

/// Passes requests on and loses the answer to the first: the work is done and the client does not know.
async function lossyProxy() {
  const proxy = { retryCounts: [], lostAnswer: null };
  const server = http.createServer(async (request, response) => {
    proxy.retryCounts.push(request.headers['x-stainless-retry-count']);
    const answer = await forward(request);
    if (proxy.lostAnswer === null) {
      proxy.lostAnswer = answer.body;
      request.socket.destroy();
      return;
    }
    response.writeHead(answer.status, { 'content-type': answer.contentType }).end(answer.body);
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  proxy.url = `http://127.0.0.1:${server.address().port}`;
  proxy.close = () => {
    server.close();
    server.closeAllConnections();
  };
  return proxy;
}

function forward(request) {
  return new Promise((resolve, reject) => {
    const { method, headers, url } = request;
    const onward = http.request(`${URL}${url}`, { method, headers, agent: false }, async (answer) => {
      const chunks = [];
      for await (const chunk of answer) chunks.push(chunk);
      const contentType = answer.headers['content-type'];
      resolve({ status: answer.statusCode, contentType, body: Buffer.concat(chunks).toString() });
    });
    request.pipe(onward.on('error', reject));
  });
}

/// A time of the wire, whole seconds, so many hours from now.
function inHours(hours) {
  return new Date(Math.floor((Date.now() + hours * HOUR) / 1000) * 1000).toISOString();
}

/// A time of the wire as a number; a Date drops what is below a millisecond.
function micros(text) {
  const fraction = /\.(\d+)/.exec(text)?.[1] ?? '';
  const seconds = Math.floor(Date.parse(text) / 1000);
  return BigInt(seconds) * 1_000_000n + BigInt(fraction.slice(0, 6).padEnd(6, '0'));
}

function near(actual, wantedMillis) {
  const wanted = new Date(wantedMillis).toJSON();
  assert(Math.abs(Date.parse(actual) - wantedMillis) <= 1000, `${actual} is not ${wanted}`);
}

function sameMoment(actual, wanted) {
  assert.equal(Date.parse(actual), Date.parse(wanted), `${actual} is not ${wanted}`);
}

/// The attempt ends in the SDK's error `kind`, with one error of that code and source.
async function fails(kind, code, pointer, attempt) {
  const error = await attempt().then(() => assert.fail(`no ${kind.name}`), (thrown) => thrown);
  assert(error instanceof kind, `${error} is no ${kind.name}`);
  assert.deepEqual(error.errors.map((it) => it.code), [code]);
  assert.equal(error.errors[0].source?.pointer, pointer);
}

const tokens = tokensAt(`${URL}/client/v4`);
for (const [name, step] of Object.entries(steps)) {
  await step(tokens);
  console.log(`ok  ${name}`);
}
for await (const leftover of await tokens.list({ ...account, search: RUN })) {
  await tokens.delete(leftover.id, account);
}
assert.deepEqual([...REFUSALS], ['{"error":"invalid_token"}'], 'every refusal has the same bytes');
console.log(`${Object.keys(steps).length} steps passed`);
