// The vendor's access tokens, driven by plain `fetch` as its documentation shows, with only the base URL changed.
//
// Bodies are forms, as in the older examples, or JSON; the token is the bare value of `Authorization` or in the
// query. Tokens are also shown at the door, because an answer that looks right and a door that opens are two things.
//
// Environment: COUNTERSIGN_URL (like http://127.0.0.1:8787), COUNTERSIGN_ACCOUNT_ID, COUNTERSIGN_TOKEN.
// Status 0 when every expectation held; otherwise the first that did not.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';

const environment = (name) => process.env[name] ?? assert.fail(`${name} is not set`);
const URL = environment('COUNTERSIGN_URL').replace(/\/$/, '');
const BASE = `${URL}/v1`;
const ROOT_ACCOUNT = environment('COUNTERSIGN_ACCOUNT_ID');
const ROOT = environment('COUNTERSIGN_TOKEN');

// Addresses of this run, so that other accounts on the same server do not matter.
const RUN = `node-${randomUUID().slice(0, 8)}`;
const PASSWORD = 'Correct-horse1';
const TWO_WEEKS = 1209600;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const REQUIRED = {
  statusCode: 401,
  name: 'Error',
  message: 'Authorization Required',
  code: 'AUTHORIZATION_REQUIRED',
};

const steps = {
  async 'create a sub-account with a form and with JSON'() {
    for (const [kind, post] of [['form', form], ['json', json]]) {
      const email = `${RUN}-${kind}@example.com`;
      const answer = await post('/Accounts', ROOT, { email, password: PASSWORD, firstname: 'Ada' });
      const account = await good(answer);
      assert.equal(account.email, email);
      assert.equal(account.firstname, 'Ada');
      assert.deepEqual([account.parentId, account.masterId], [ROOT_ACCOUNT, ROOT_ACCOUNT]);
      assert.deepEqual([account.emailVerified, account.disabled], [false, false]);
      assert.match(account.id, /^[0-9a-f]{32}$/);
      assert.match(account.createdAt, TIME);
      assert(!('password' in account), 'a password is not shown');
      assert(answer.headers.get('date'), "the vendor's own client reads a date from every answer");
      const error = await fails(await post('/Accounts', ROOT, { email, password: PASSWORD }), 422);
      assert.equal(error.name, 'ValidationError');
      assert.deepEqual(error.details.codes, { email: ['uniqueness'] });
    }
    const nothing = await fails(await json('/Accounts', ROOT, {}), 422);
    assert.deepEqual(nothing.details.codes, { email: ['presence'], password: ['presence'] });
    await unauthorized(await json('/Accounts', undefined, { email: `${RUN}-x@example.com`, password: PASSWORD }));
  },

  async 'log in'() {
    const { id, email } = await child('login');
    for (const post of [form, json]) {
      const answer = await post('/Accounts/login', undefined, { email, password: PASSWORD });
      const token = await good(answer);
      assert.equal(answer.headers.get('cache-control'), 'no-store', 'an answer with a token is not stored');
      assert.deepEqual(Object.keys(token), ['id', 'ttl', 'created', 'userId']);
      assert.match(token.id, /^[0-9A-Za-z]{64}$/);
      assert.match(token.created, TIME);
      assert.deepEqual([token.ttl, token.userId], [TWO_WEEKS, id]);
      assert.equal((await authorized(token.id)).id, id);
    }
    for (const [ttl, wanted] of [[60, 60], ['60', 60], [-1, -1], [0, TWO_WEEKS], [1e12, 31556926]]) {
      const body = { email, password: PASSWORD, ttl };
      assert.equal((await good(await json('/Accounts/login', undefined, body))).ttl, wanted);
    }
  },

  async 'refuse to log in'() {
    const { email } = await child('refused');
    for (const body of [{ email, password: 'wrong' }, { email: `${RUN}-nobody@example.com`, password: PASSWORD }]) {
      const error = await fails(await json('/Accounts/login', undefined, body), 401);
      const failed = { statusCode: 401, name: 'Error', message: 'login failed', code: 'LOGIN_FAILED' };
      assert.deepEqual(error, failed, 'whatever the cause');
    }
    assert.equal((await fails(await json('/Accounts/login', undefined, {}), 400)).code, 'USERNAME_EMAIL_REQUIRED');
  },

  async 'be authorized in every place'() {
    const { token, email } = await child('places');
    const basic = Buffer.from(`${token}:`).toString('base64');
    for (const headers of [
      { Authorization: token },
      { Authorization: `Bearer ${token}` },
      { Authorization: `Basic ${basic}` },
      { 'X-Access-Token': token },
    ]) {
      assert.equal((await good(await fetch(`${BASE}/Accounts/authorized`, { headers }))).email, email);
    }
    assert.equal((await good(await fetch(`${BASE}/Accounts/authorized?access_token=${token}`))).email, email);
    await unauthorized(await fetch(`${BASE}/Accounts/authorized`));
    await unauthorized(await get('/Accounts/authorized', 'x'.repeat(64)));
    await unauthorized(await get(`/Accounts/authorized?access_token=${token}`, ROOT));
  },

  async 'create a token'() {
    const { id, token } = await child('create');
    const path = `/Accounts/${id}/accessTokens`;
    const plain = await good(await send('POST', path, ROOT));
    assert.deepEqual([plain.ttl, plain.userId, plain.scopes], [TWO_WEEKS, id, undefined]);
    const body = 'ttl=60&scopes[]=invoices:read&scopes[]=clients:*&name=by+form';
    const type = 'application/x-www-form-urlencoded';
    const made = await good(await send('POST', path, token, body, type));
    assert.deepEqual([made.ttl, made.scopes, made.name], [60, ['invoices:read', 'clients:*'], 'by form']);
    const stated = { ttl: -1, scopes: ['invoices:read'], name: 'by JSON', resources: ['GET /a/**'] };
    const { created, ...rest } = await good(await json(path, token, stated));
    assert.match(created, TIME);
    assert.deepEqual(rest, { ...stated, id: rest.id, userId: id });
    const error = await fails(await json(path, token, { ttl: 'abc' }), 422);
    assert.deepEqual(Object.keys(error.details.codes), ['ttl']);
    await unauthorized(await json(`/Accounts/${ROOT_ACCOUNT}/accessTokens`, token, {}));
    await unauthorized(await json(`/Accounts/${'0'.repeat(32)}/accessTokens`, token, {}));
  },

  async 'a token has its scopes and no more'() {
    const { id, token } = await child('scopes');
    const { id: narrow } = await good(await json('/Accounts/me/accessTokens', token, { scopes: ['invoices:read'] }));
    assert.equal((await authorized(narrow)).id, id);
    await unauthorized(await get('/Accounts/me/accessTokens', narrow));
    await unauthorized(await json('/Accounts/me/accessTokens', narrow, {}));
    assert.equal(await door(narrow, { account: id, scope: 'invoices:read' }), 200);
    assert.equal(await door(narrow, { account: id, scope: 'invoices:write' }), 403);
  },

  async 'list with filters'() {
    const { id, token } = await child('list');
    const path = `/Accounts/${id}/accessTokens`;
    const made = {};
    for (const [ttl, scopes] of [[60, ['read']], [120, ['read', 'write']], [180, ['write']]]) {
      made[ttl] = (await good(await json(path, token, { ttl, scopes }))).id;
    }
    const answer = await get(path, token);
    const listed = await good(answer);
    assert.equal(answer.headers.get('x-total-count'), '4');
    assert.deepEqual(listed.map((it) => it.ttl), [TWO_WEEKS, 60, 120, 180], 'in the order they were made');
    assert.deepEqual(listed.slice(1).map((it) => it.id), Object.values(made).map((text) => text.slice(0, 22)));
    for (const [filter, wanted] of [
      [{ where: { ttl: 60 } }, [60]],
      [{ where: { ttl: { gt: 60 } }, order: 'ttl DESC' }, [TWO_WEEKS, 180, 120]],
      [{ where: { scopes: 'write' } }, [120, 180]],
      [{ where: { or: [{ ttl: 60 }, { ttl: { between: [100, 130] } }] } }, [60, 120]],
      [{ where: { userId: ROOT_ACCOUNT } }, []],
      [{ where: { id: made[120] } }, [120]],
      [{ order: 'created ASC', limit: 2, skip: 1 }, [60, 120]],
    ]) {
      for (const query of [new URLSearchParams({ filter: JSON.stringify(filter) }), brackets('filter', filter)]) {
        const found = await good(await get(`${path}?${query}`, token));
        assert.deepEqual(found.map((it) => it.ttl), wanted, JSON.stringify(filter));
      }
    }
    const only = await good(await get(`${path}?filter={"fields":{"ttl":true},"limit":1}`, token));
    assert.deepEqual(only, [{ ttl: TWO_WEEKS }]);
    await fails(await get(`${path}?filter={bad`, token), 400);
    await unauthorized(await get(path, (await child('curious')).token));
  },

  async 'delete by handle and by text'() {
    const { id, token } = await child('delete');
    const path = `/Accounts/${id}/accessTokens`;
    for (const key of [(text) => text.slice(0, 22), (text) => text]) {
      const { id: text } = await good(await json(path, token, {}));
      assert.equal(await door(text, { account: id }), 200);
      assert.deepEqual(await good(await send('DELETE', `${path}/${key(text)}`, token)), {});
      assert.equal(await door(text, { account: id }), 401);
      await unauthorized(await get('/Accounts/authorized', text));
      const message = `No instance with id ${text.slice(0, 22)} found for AccessToken`;
      const error = await fails(await send('DELETE', `${path}/${key(text)}`, token), 404);
      assert.deepEqual(error, { statusCode: 404, name: 'Error', message });
    }
    const victim = await child('victim');
    await unauthorized(await send('DELETE', `/Accounts/${victim.id}/accessTokens/${victim.token}`, token));
    assert.equal((await authorized(victim.token)).id, victim.id, 'it is still there');
  },

  async 'impersonate'() {
    const { id, email, token } = await child('impersonate');
    const path = '/Accounts/impersonate';
    for (const answer of [await form(path, ROOT, { email, ttl: 60 }), await json(path, ROOT, { id, ttl: 60 })]) {
      const made = await good(answer);
      assert.deepEqual([made.ttl, made.userId], [60, id]);
      assert.equal((await authorized(made.id)).email, email);
    }
    await fails(await json(path, ROOT, {}), 400);
    await unauthorized(await json(path, ROOT, { id: '0'.repeat(32) }));
    await unauthorized(await json(path, token, { id: ROOT_ACCOUNT }));
    await unauthorized(await json(path, token, { email: (await child('neighbour')).email }));
  },

  async 'find, count, get and update accounts'() {
    const { id, email, token } = await child('parent');
    const below = `${RUN}-below@example.com`;
    const made = await good(await form('/Accounts', token, { email: below, password: PASSWORD }));
    assert.deepEqual([made.parentId, made.masterId], [id, ROOT_ACCOUNT]);
    const answer = await get('/accounts', token);
    assert.deepEqual((await good(answer)).map((it) => it.email), [below]);
    assert.equal(answer.headers.get('x-total-count'), '1');
    assert.deepEqual(await good(await get('/accounts/count', token)), { count: 1 });
    assert.equal((await good(await get('/Accounts/me', token))).email, email);
    const patched = await good(await json(`/Accounts/${id}`, token, { custom: { a: [1] }, id: 'x' }, 'PATCH'));
    assert.deepEqual([patched.id, patched.custom], [id, { a: [1] }]);
    const unique = await good(await fetch(`${BASE}/Accounts/is-unique?email=${encodeURIComponent(email)}`));
    assert.deepEqual(unique, { isUnique: false });
  },

  async 'create, find and change organizations'() {
    const { id, token } = await child('organizations');
    const path = `/Accounts/${id}/organizations`;
    const made = await good(await form(path, token, { name: 'Acme', country: 'Slovenia' }));
    assert.deepEqual([made.ownerId, made.active, made.country], [id, true, 'Slovenia']);
    const answer = await get(path, token);
    assert.deepEqual((await good(answer)).map((it) => it.name), ['Acme']);
    assert.equal(answer.headers.get('x-total-count'), '1');
    assert.deepEqual(await good(await get(`${path}/count`, token)), { count: 1 });
    const one = `/Organizations/${made.id}`;
    assert.equal((await good(await json(one, token, { name: 'Acme Ltd' }, 'PATCH'))).country, 'Slovenia');
    assert.equal((await good(await get(one, token))).name, 'Acme Ltd');
    for (const [action, opens] of [['deactivate', 403], ['activate', 200]]) {
      assert.deepEqual(await good(await send('POST', `${one}/${action}`, token)), { success: true });
      assert.equal(await door(token, { organization: made.id }), opens, action);
    }
    await unauthorized(await get(one, (await child('outsider')).token));
  },

  async 'give and take access to an organization'() {
    const [owner, member] = [await child('owner'), await child('member')];
    const { id } = await good(await json(`/Accounts/${owner.id}/organizations`, owner.token, { name: 'Shared' }));
    const silent = { accountId: member.id, role: 'readonly', requireConfirmation: false, sendEmail: false };
    const access = await good(await json(`/Organizations/${id}/invite`, ROOT, silent));
    assert.deepEqual([access.role, access.active, access.disabled, access.rejected], ['readonly', true, false, false]);
    assert.equal(await door(member.token, { organization: id }), 200);
    const rows = await good(await get(`/Organizations/${id}/accountorganizations`, owner.token));
    assert.deepEqual(rows.map((row) => row.accountId), [owner.id, member.id]);
    const one = `/AccountOrganizations/${access.id}`;
    for (const [name, token, body, opens] of [
      ['reject', member.token, {}, 403],
      ['accept', member.token, {}, 200],
      ['disable', owner.token, {}, 403],
      ['enable', owner.token, {}, 200],
      ['change-role', owner.token, { role: 'admin' }, 200],
    ]) {
      assert.deepEqual(await good(await form(`${one}/${name}`, token, body)), { success: true });
      assert.equal(await door(member.token, { organization: id }), opens, name);
    }
    assert.deepEqual(await good(await send('DELETE', one, owner.token)), { count: 1 });
    assert.equal(await door(member.token, { organization: id }), 403);
    const asked = await good(await form(`/Organizations/${id}/invite`, owner.token, { email: member.email }));
    assert.equal(asked.active, false, 'until it is accepted');
    await unauthorized(await send('POST', `/AccountOrganizations/${asked.id}/accept`, owner.token));
  },

  async 'change the password and log out'() {
    const { id, email, token } = await child('password');
    const { id: other } = await good(await form('/Accounts/login', undefined, { email, password: PASSWORD }));
    const change = (oldPassword) =>
      form('/Accounts/change-password', token, { oldPassword, newPassword: 'Another-horse2' });
    assert.equal((await fails(await change('not it'), 400)).code, 'INVALID_PASSWORD');
    assert.equal((await change(PASSWORD)).status, 204);
    await unauthorized(await get('/Accounts/authorized', other));
    assert.equal((await authorized(token)).id, id, 'the token in use stays');
    assert.equal((await send('POST', '/Accounts/logout', token)).status, 204);
    await unauthorized(await send('POST', '/Accounts/logout', token));
  },

  async 'end many tokens at once'() {
    const { token } = await child('many');
    const mint = async (by) => (await good(await json('/Accounts/me/accessTokens', by, {}))).id;
    const parent = await mint(token);
    const family = [parent, await mint(parent)];
    await good(await send('DELETE', `/Accounts/me/accessTokens/${parent}?descendants=true`, token));
    for (const ended of family) await unauthorized(await get('/Accounts/authorized', ended));
    const another = await mint(token);
    await good(await send('POST', '/Accounts/me/revoke-access-tokens', token));
    await unauthorized(await get('/Accounts/authorized', another));
    await authorized(token);
  },

  async 'disable, enable and delete an account'() {
    const { id, token } = await child('stopped');
    assert.deepEqual(await good(await send('POST', `/Accounts/${id}/disable`, ROOT)), { success: true });
    await unauthorized(await get('/Accounts/authorized', token));
    assert.deepEqual(await good(await send('POST', `/Accounts/${id}/enable`, ROOT)), { success: true });
    await authorized(token);
    assert.deepEqual(await good(await send('DELETE', `/Accounts/${id}`, ROOT)), { count: 1 });
    await unauthorized(await get('/Accounts/authorized', token));
    await unauthorized(await get(`/Accounts/${id}`, ROOT));
  },

  async 'have errors of one shape'() {
    for (const [answer, status] of [
      [await get('/nope', ROOT), 404],
      [await send('PUT', '/Accounts/me/accessTokens', ROOT), 404],
      [await send('POST', '/Accounts', ROOT, '{', 'application/json'), 400],
      [await send('POST', '/Accounts', ROOT, 'a', 'text/plain'), 415],
      [await form('/Accounts/reset', undefined, { email: 'a@example.com' }), 400],
    ]) {
      const error = await fails(answer, status);
      assert(error.name && error.message, JSON.stringify(error));
    }
  },

  async 'be told to come again after too many logins'() {
    let answer;
    for (let attempt = 0; attempt < 100 && (!answer || answer.status === 401); attempt += 1) {
      answer = await json('/Accounts/login', undefined, { email: `${RUN}-guessed@example.com`, password: 'guess' });
    }
    assert.equal((await fails(answer, 429)).code, 'RATE_LIMIT_EXCEEDED');
    const seconds = Number(answer.headers.get('retry-after'));
    assert(seconds >= 1 && seconds <= 60, `${seconds}`);
  },
};

/// A sub-account with a password and a token of its own. Not by logging in: there is a limit to how often that is done
/// in a minute.
async function child(name) {
  const email = `${RUN}-${name}@example.com`;
  const { id } = await good(await form('/Accounts', ROOT, { email, password: PASSWORD }));
  const token = await good(await json(`/Accounts/${id}/accessTokens`, ROOT, {}));
  return { id, email, token: token.id };
}

function send(method, path, token, body, type) {
  const headers = {};
  if (token !== undefined) headers.Authorization = token;
  if (type !== undefined) headers['Content-Type'] = type;
  return fetch(`${BASE}${path}`, { method, headers, body });
}

const get = (path, token) => send('GET', path, token);

const json = (path, token, body, method = 'POST') =>
  send(method, path, token, JSON.stringify(body), 'application/json');

/// A form; `fetch` says by itself that it is one.
const form = (path, token, body) => send('POST', path, token, new URLSearchParams(body));

/// The account of a token, as the documentation checks one.
const authorized = async (token) => good(await get('/Accounts/authorized', token));

/// The status of the door's answer.
async function door(token, demand) {
  const headers = { Authorization: `Bearer ${token}` };
  return (await fetch(`${URL}/authz?${new URLSearchParams(demand)}`, { headers })).status;
}

/// A filter as the documentation writes it: `filter[where][ttl][gt]=60`.
function brackets(name, value) {
  if (typeof value !== 'object') return `${name}=${encodeURIComponent(value)}`;
  return Object.entries(value).map(([part, inner]) => brackets(`${name}[${part}]`, inner)).join('&');
}

async function good(answer) {
  const text = await answer.text();
  assert.equal(answer.status, 200, `${answer.url}: ${text}`);
  return JSON.parse(text);
}

/// The error object of an answer that has this status.
async function fails(answer, status) {
  const text = await answer.text();
  assert.equal(answer.status, status, `${answer.url}: ${text}`);
  assert.equal(answer.headers.get('content-type'), 'application/json');
  const { error } = JSON.parse(text);
  assert.equal(error.statusCode, status);
  return error;
}

/// Denied, without a word about why.
async function unauthorized(answer) {
  assert.deepEqual(await fails(answer, 401), REQUIRED);
}

for (const [name, step] of Object.entries(steps)) {
  await step();
  console.log(`ok  ${name}`);
}
console.log(`${Object.keys(steps).length} steps passed`);
