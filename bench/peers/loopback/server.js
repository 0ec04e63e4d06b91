'use strict';

// The real LoopBack 3 with everything in memory: `GET /v1/Accounts/authorized` gives the account of the token in use,
// found by its key, as the vendor's does. It is no more than what the framework does by itself: its token middleware, its
// check of who may call, its serialization.
//
//   node server.js PORT TOKENS COUNT
//
// TOKENS is a file of lines that end in a token's text; the first COUNT of them are known, ten to an account.

const fs = require('fs');
const loopback = require('loopback');

const [port, path, count] = process.argv.slice(2);
const TOKENS_OF_AN_ACCOUNT = 10;
const A_YEAR = 31556926;

const app = loopback();
app.set('restApiRoot', '/v1');
app.set('logoutSessionsOnSensitiveChanges', false);
app.set('remoting', {context: false, errorHandler: {debug: false, log: false}});

const memory = app.dataSource('memory', {connector: 'memory'});

const AccessToken = app.registry.createModel({
  name: 'accessToken',
  base: 'AccessToken',
  relations: {user: {type: 'belongsTo', model: 'Account', foreignKey: 'userId'}},
});
app.model(AccessToken, {dataSource: memory, public: false});

const Account = app.registry.createModel({
  name: 'Account',
  plural: 'Accounts',
  base: 'User',
  properties: {
    id: {type: 'string', id: true},
    parentId: 'string',
    masterId: 'string',
    createdAt: 'date',
    updatedAt: 'date',
  },
  relations: {accessTokens: {type: 'hasMany', model: 'accessToken', foreignKey: 'userId'}},
  acls: [{principalType: 'ROLE', principalId: '$authenticated', permission: 'ALLOW', property: 'authorized'}],
});
app.model(Account, {dataSource: memory});

Account.authorized = (options, done) => Account.findById(options.accessToken.userId, done);
Account.remoteMethod('authorized', {
  http: {verb: 'get', path: '/authorized'},
  accepts: {arg: 'options', type: 'object', http: 'optionsFromRequest'},
  returns: {arg: 'account', type: 'Account', root: true},
});

app.use(loopback.token({model: AccessToken}));
app.enableAuth({dataSource: memory});
app.use(app.get('restApiRoot'), loopback.rest());

const connector = memory.connector;

// The in-memory connector reads every row to find one by its key. A real database has an index: so has this one.
const scan = connector._findAllSkippingIncludes;
connector._findAllSkippingIncludes = function(model, filter) {
  const where = filter && filter.where;
  const isKeyed = where && Object.keys(where).length === 1 && typeof where.id === 'string';
  if (!isKeyed) return scan.call(this, model, filter);
  const row = this.collection(model)[where.id];
  return row === undefined ? [] : [this.fromDb(model, row)];
};

// Rows are put where the connector keeps them: through the models each of them would cost a hash of its password and a
// look at every account for the uniqueness of its address.
const put = (model, row) => {
  connector.collection(model)[row.id] = JSON.stringify(row);
};

const now = new Date();
const lines = fs.readFileSync(path, 'latin1').split('\n', Number(count));
lines.forEach((line, number) => {
  const account = Math.floor(number / TOKENS_OF_AN_ACCOUNT).toString(16).padStart(32, '0');
  const master = '0'.repeat(32);
  if (number % TOKENS_OF_AN_ACCOUNT === 0) {
    const email = `account-${account}@bench.test`;
    const times = {createdAt: now, updatedAt: now};
    put('Account', {id: account, email, emailVerified: false, parentId: master, masterId: master, ...times});
  }
  put('accessToken', {id: line.slice(line.lastIndexOf(' ') + 1), ttl: A_YEAR, userId: account, created: now});
});

app.listen(Number(port), '127.0.0.1');
