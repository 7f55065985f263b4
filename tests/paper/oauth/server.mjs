// A real authorization server for tests/oauth.rs: oidc-provider on a port of this machine alone.
// Prints {"port": …} when it listens; ends when its standard input does.
import { Provider } from 'oidc-provider';
import http from 'node:http';

// The provider's warnings: standard output is for the port alone, and nobody reads it afterwards.
console.info = console.warn = console.error;

const app = http.createServer((request, response) => handler(request, response));
let handler;

app.listen(0, '127.0.0.1', () => {
  const { port } = app.address();
  const provider = new Provider(`http://127.0.0.1:${port}`, {
    clients: [
      confidential('agency', 'client_secret_basic'),
      confidential('ag:ency/form', 'client_secret_post'),
      { client_id: 'public', token_endpoint_auth_method: 'none', grant_types: ['authorization_code'],
        response_types: ['code'], application_type: 'native', redirect_uris: ['http://localhost/back'] },
    ],
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      introspection: { enabled: true },
      revocation: { enabled: true },
    },
  });

  // What a platform's API does: a living token is let in, any other is refused.
  provider.use(async (ctx, next) => {
    if (ctx.path === '/api/leads') {
      const token = /^Bearer (.+)$/.exec(ctx.get('authorization'))?.[1];
      if (token && await provider.ClientCredentials.find(token)) {
        ctx.body = { leads: [] };
      } else {
        ctx.status = 401;
        ctx.set('www-authenticate', 'Bearer error="invalid_token"');
      }
    } else if (ctx.path === '/issue') {
      // A token of the client that is named, whatever its grant types: for the test of a public one.
      const client = await provider.Client.find(ctx.query.client);
      ctx.body = { access_token: await new provider.ClientCredentials({ client }).save() };
    } else {
      await next();
    }
  });
  handler = provider.callback();
  console.log(JSON.stringify({ port }));
});

process.stdin.resume().on('end', () => process.exit(0));

function confidential(client_id, token_endpoint_auth_method) {
  return { client_id, client_secret: 'opensesame/ +%', token_endpoint_auth_method,
    grant_types: ['client_credentials'], response_types: [], redirect_uris: [] };
}
