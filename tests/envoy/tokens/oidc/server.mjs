// An OpenID provider (npm oidc-provider) whose keys a test turns. `node server.mjs FOLDER`, where FOLDER holds
// node_modules. Prints its port; then takes a word a line and prints an answer a line:
//   publish  another key stands in the set; the old one still signs
//   turn     the other key signs, and the old one is gone
//   token    an ID token, by the authorization code flow
import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

// The provider's own notices are no answers.
console.info = console.error;
console.warn = console.error;
const { default: Provider } = await import(pathToFileURL(`${process.argv[2]}/node_modules/oidc-provider/lib/index.js`));

const redirect = 'https://app.example.com/callback';
const client = { client_id: 'api', client_secret: 'of-the-client', redirect_uris: [redirect] };
let made = 0;
let keys = [key()];
let provider;

function key() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  made += 1;
  return { ...privateKey.export({ format: 'jwk' }), kid: `key-${made}`, use: 'sig', alg: 'RS256' };
}

const server = createServer((request, response) => provider.callback()(request, response));
await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
const issuer = `http://127.0.0.1:${server.address().port}`;

function start() {
  provider = new Provider(issuer, {
    clients: [client],
    jwks: { keys },
    cookies: { keys: ['of-the-test'] },
    pkce: { required: () => false },
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  });
}

async function token() {
  const jar = new Map();
  const go = async (url, form) => {
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ');
    const options = form ? { method: 'POST', body: new URLSearchParams(form) } : {};
    const answer = await fetch(url, { redirect: 'manual', headers: { cookie }, ...options });
    for (const set of answer.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(set);
      jar.set(name, value);
    }
    return answer;
  };
  const question = { client_id: client.client_id, response_type: 'code', redirect_uri: redirect, scope: 'openid' };
  let url = `${issuer}/auth?${new URLSearchParams(question)}`;
  for (let pages = 0; pages < 10 && !url.startsWith(redirect); pages += 1) {
    let answer = await go(url);
    if (answer.status === 200) {
      const [, prompt] = /name="prompt" value="(\w+)"/.exec(await answer.text());
      answer = await go(url, { prompt, login: 'ann', password: 'any' });
    }
    url = new URL(answer.headers.get('location'), url).href;
  }
  const basic = Buffer.from(`${client.client_id}:${client.client_secret}`).toString('base64');
  const code = new URL(url).searchParams.get('code');
  const answer = await fetch(`${issuer}/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${basic}` },
    body: new URLSearchParams({ grant_type: 'authorization_code', code, redirect_uri: redirect }),
  });
  return (await answer.json()).id_token;
}

start();
console.log(server.address().port);
for await (const word of createInterface({ input: process.stdin })) {
  if (word === 'publish') keys = [keys[0], key()];
  if (word === 'turn') keys = [keys[1]];
  if (word !== 'token') start();
  console.log(word === 'token' ? await token() : keys.map(({ kid }) => kid).join(' '));
}
process.exit(0);
