// The Node module of docs/offline.md, in the hands of a service.
//
// Environment: COUNTERSIGN_SNIPPET, the file with the module, beside which `node_modules` is, and COUNTERSIGN_CHECKER, the
// arguments of its Checker as JSON.
// Reads lines of JSON: {"token": …} is answered by `accepted` or `refused`, {"poll": true} by `polled` or `failed`.

import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

const { Checker, Refused } = await import(pathToFileURL(process.env.COUNTERSIGN_SNIPPET).href);
const checker = new Checker(JSON.parse(process.env.COUNTERSIGN_CHECKER));

const answer = async ({ poll, token }) => {
  try {
    await (poll ? checker.poll() : checker.check(token));
    return poll ? 'polled' : 'accepted';
  } catch (error) {
    // Anything else than this one error would be the service's error 500.
    if (!poll && !(error instanceof Refused)) throw error;
    if (poll) console.error(error.message);
    return poll ? 'failed' : 'refused';
  }
};

for await (const line of createInterface({ input: process.stdin })) console.log(await answer(JSON.parse(line)));
