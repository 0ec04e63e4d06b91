// Signed tokens, checked by jose as services use it, by key sets and by the certificates of Cloudflare's key endpoint, and by
// Hono's middleware for applications of Cloudflare Access.
//
// Environment: COUNTERSIGN_URL (like http://127.0.0.1:8787), where the keys are; COUNTERSIGN_ISSUER, which must be
// https://TEAM.cloudflareaccess.com, COUNTERSIGN_ALGORITHM and COUNTERSIGN_AUDIENCE of access tokens, COUNTERSIGN_APPLICATION,
// the audience of assertions, and COUNTERSIGN_PEERS_NODE_DIR, where the libraries are installed.
// Reads lines of JSON, {"kind": "access" or "assertion", "token": …}, and says for each, as JSON, what every validator of that
// kind says of it: "accepted", or why not. Status 0 when it could say so of all.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

const environment = (name) => process.env[name] ?? assert.fail(`${name} is not set`);
const directory = environment('COUNTERSIGN_PEERS_NODE_DIR');
const installed = createRequire(`${directory}/`);
const load = (name) => import(pathToFileURL(installed.resolve(name)).href);
const jose = await load('jose');
const { Hono } = await load('hono');
const { cloudflareAccess } = await load('@hono/cloudflare-access');

const URL_OF_KEYS = environment('COUNTERSIGN_URL').replace(/\/$/, '');
const ISSUER = environment('COUNTERSIGN_ISSUER');
const TEAM = /^https:\/\/([a-z0-9-]+)\.cloudflareaccess\.com$/.exec(ISSUER)?.[1] ?? assert.fail(ISSUER);
const APPLICATION = environment('COUNTERSIGN_APPLICATION');
const CERTS = '/cdn-cgi/access/certs';

// The middleware knows no address but Cloudflare's, where nobody of ours is.
const reallyFetch = globalThis.fetch;
globalThis.fetch = (address, options) => {
  if (String(address) === `${ISSUER}${CERTS}`) return reallyFetch(`${URL_OF_KEYS}${CERTS}`, options);
  return reallyFetch(address, options);
};

const demanded = { issuer: ISSUER, requiredClaims: ['exp', 'iat'] };
const ofAccess = { ...demanded, audience: environment('COUNTERSIGN_AUDIENCE'), typ: 'at+jwt' };
ofAccess.algorithms = [environment('COUNTERSIGN_ALGORITHM')];
const ofAssertions = { ...demanded, audience: APPLICATION, algorithms: ['RS256'] };

const accessKeys = jose.createRemoteJWKSet(new URL(`${URL_OF_KEYS}/.well-known/jwks.json`));
const assertionKeys = jose.createRemoteJWKSet(new URL(`${URL_OF_KEYS}${CERTS}`));
const certificates = new Map();
for (const { kid, cert } of (await (await fetch(`${URL_OF_KEYS}${CERTS}`)).json()).public_certs) {
  certificates.set(kid, await jose.importX509(cert, 'RS256'));
}
const byCertificate = ({ kid }) => {
  if (!certificates.has(kid)) throw new jose.errors.JWKSNoMatchingKey();
  return certificates.get(kid);
};

const app = new Hono();
app.use(cloudflareAccess(TEAM, APPLICATION));
app.get('/', (context) => context.text('accepted'));
// Its own errors are answers. It has others, where claims are `null`; nobody is let in by them either.
app.onError((error, context) => context.text(`${error.name}: ${error.message}`, 500));

const verified = (keys, options) => async (token) => {
  // Anything else than its own errors would be the service's error 500.
  try {
    await jose.jwtVerify(token, keys, options);
    return 'accepted';
  } catch (error) {
    if (error instanceof jose.errors.JOSEError) return `${error.code}: ${error.message}`;
    throw error;
  }
};
const byMiddleware = async (token) => {
  const headers = new Headers();
  try {
    headers.set('Cf-Access-Jwt-Assertion', token);
  } catch {
    return 'no value of a header';
  }
  const answer = await app.request('/', { headers });
  return answer.status === 200 ? answer.text() : `${answer.status}: ${await answer.text()}`;
};

const validators = {
  access: { jose: verified(accessKeys, ofAccess) },
  assertion: {
    jose: verified(assertionKeys, ofAssertions),
    'jose by certificate': verified(byCertificate, ofAssertions),
    Hono: byMiddleware,
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { kind, token } = JSON.parse(line);
  const verdicts = {};
  for (const [name, validate] of Object.entries(validators[kind])) verdicts[name] = await validate(token);
  console.log(JSON.stringify(verdicts));
}
