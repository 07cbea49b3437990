// Which SDK judges which preset, and how it is asked. Nothing here knows how Creel signs.
//
// Every entry: `preset` as `creel presets` calls it, the package (pinned in package.json or requirements.txt), `keys()`
// which makes the secret that signs and whatever the SDK is given, and `believes(request, keys)`, which is true, or false
// or an error when the SDK does not believe the request. A request is {method, url, headers, body}, header names in
// lower case. `covers` says which part the SDK looks at, when that is not the body.

import { File } from "node:buffer";
import { createHash, generateKeyPairSync, randomBytes, webcrypto } from "node:crypto";
import { execFile } from "node:child_process";
import { createRequire } from "node:module";
import { promisify } from "node:util";

// Node 18, which Debian 12 has, keeps these in modules; SDKs look for them as globals.
globalThis.crypto ??= webcrypto;
globalThis.File ??= File;

const require = createRequire(import.meta.url);
const text = () => ({ secret: randomBytes(24).toString("hex") });
const whsec = () => ({ secret: `whsec_${randomBytes(32).toString("base64")}` });
const form = (body) => Object.fromEntries(new URLSearchParams(body));

function ed25519(encoding) {
  const { d, x } = generateKeyPairSync("ed25519").privateKey.export({ format: "jwk" });
  const write = (part) => Buffer.from(part, "base64url").toString(encoding);
  return { secret: write(d), publicKey: write(x) };
}

function ecdsa() {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return {
    secret: privateKey.export({ format: "der", type: "pkcs8" }).toString("base64"),
    publicKey: publicKey.export({ format: "der", type: "spki" }).toString("base64"),
  };
}

function withTwilio(request, { secret }) {
  const { validateRequest, validateRequestWithBody } = require("twilio");
  const signature = request.headers["x-twilio-signature"];
  return request.headers["content-type"].startsWith("application/json")
    ? validateRequestWithBody(secret, signature, request.url, request.body)
    : validateRequest(secret, signature, request.url, form(request.body));
}

async function withTwilioSharedKey(request, { secret }) {
  const asked = JSON.stringify({ ...request, secret });
  const script = new URL("shared_key.py", import.meta.url).pathname;
  const running = promisify(execFile)("python3", [script]);
  running.child.stdin.end(asked);
  return JSON.parse((await running).stdout) === true;
}

function withStandardWebhooks(request, { secret }) {
  const { Webhook } = require("standardwebhooks");
  return Boolean(new Webhook(secret).verify(request.body, request.headers));
}

function withPlivo(request, { secret }) {
  const { validateV3Signature } = require("plivo");
  const nonce = request.headers["x-plivo-signature-v3-nonce"];
  const signature = request.headers["x-plivo-signature-v3"];
  return validateV3Signature(request.method, request.url, nonce, secret, signature, form(request.body));
}

// The SDK checks the token alone; that its hash is the body's is left to the receiver.
async function withVonage(request, { secret }) {
  const { verifySignature } = await import("@vonage/jwt");
  const token = request.headers.authorization.replace(/^Bearer /, "");
  const claims = JSON.parse(Buffer.from(token.split(".")[1], "base64url"));
  const hash = createHash("sha256").update(request.body).digest("hex");
  return verifySignature(token, secret) && claims.payload_hash === hash;
}

function withHubSpot(signatureVersion, signature) {
  return (request, { secret }) => {
    const { Signature } = require("@hubspot/api-client");
    return Signature.isValid({
      signatureVersion,
      signature: request.headers[signature],
      method: request.method,
      url: request.url,
      requestBody: request.body,
      timestamp: Number(request.headers["x-hubspot-request-timestamp"]),
      clientSecret: secret,
    });
  };
}

async function withShopify(request, { secret }) {
  require("@shopify/shopify-api/adapters/node");
  const { shopifyApi, ApiVersion } = require("@shopify/shopify-api");
  const api = shopifyApi({
    apiKey: "key",
    apiSecretKey: secret,
    hostName: "creel.test",
    apiVersion: Object.values(ApiVersion).at(-1),
    isEmbeddedApp: false,
    logger: { log: () => {} },
  });
  const rawRequest = { method: request.method, url: request.url, headers: request.headers };
  return (await api.webhooks.validate({ rawBody: request.body, rawRequest, rawResponse: {} })).valid;
}

async function withSendGrid(request, { publicKey }) {
  const { EventWebhook, EventWebhookHeader } = require("@sendgrid/eventwebhook");
  const webhook = new EventWebhook();
  const [signature, timestamp] = [EventWebhookHeader.SIGNATURE(), EventWebhookHeader.TIMESTAMP()];
  const header = (name) => request.headers[name.toLowerCase()];
  const key = webhook.convertPublicKeyToECDSA(publicKey);
  return webhook.verifySignature(key, request.body, header(signature), header(timestamp));
}

async function withZoom(request, { secret }) {
  const { AwsLambdaReceiver } = require("@zoom/rivet").Meetings;
  const handle = new AwsLambdaReceiver({ webhooksSecretToken: secret }).start();
  return (await handle({ body: request.body, headers: request.headers, isBase64Encoded: false })).statusCode === 200;
}

export const SDKS = [
  { preset: "twilio", package: "twilio", keys: text, believes: withTwilio },
  { preset: "twilio-shared-key", package: "twilio (PyPI)", keys: text, believes: withTwilioSharedKey },
  {
    preset: "retell",
    package: "retell-sdk",
    keys: text,
    believes: (request, { secret }) =>
      require("retell-sdk/lib/webhook_auth").verify(request.body, secret, request.headers["x-retell-signature"]),
  },
  {
    preset: "elevenlabs",
    package: "@elevenlabs/elevenlabs-js",
    keys: text,
    believes: async (request, { secret }) => {
      const { ElevenLabsClient } = require("@elevenlabs/elevenlabs-js");
      const { webhooks } = new ElevenLabsClient({ apiKey: "key" });
      return Boolean(await webhooks.constructEvent(request.body, request.headers["elevenlabs-signature"], secret));
    },
  },
  {
    preset: "livekit",
    package: "livekit-server-sdk",
    keys: text,
    params: { api_key: "APIcreel" },
    believes: async (request, { secret }) => {
      const { WebhookReceiver } = await import("livekit-server-sdk");
      return Boolean(await new WebhookReceiver("APIcreel", secret).receive(request.body, request.headers.authorization));
    },
  },
  {
    preset: "telnyx",
    package: "telnyx",
    keys: () => ed25519("base64"),
    believes: async (request, { publicKey }) => {
      const { Telnyx } = require("telnyx");
      const { webhooks } = new Telnyx({ apiKey: "key", publicKey });
      return Boolean(await webhooks.unwrap(request.body, { headers: request.headers }));
    },
  },
  { preset: "plivo", package: "plivo", keys: text, believes: withPlivo },
  { preset: "vonage", package: "@vonage/jwt", keys: text, covers: "authorization", believes: withVonage },
  { preset: "standard-webhooks", package: "standardwebhooks", keys: whsec, believes: withStandardWebhooks },
  { preset: "gitlab", package: "standardwebhooks", keys: whsec, believes: withStandardWebhooks },
  {
    preset: "svix",
    package: "svix",
    keys: whsec,
    believes: (request, { secret }) => {
      const { Webhook } = require("svix");
      return Boolean(new Webhook(secret).verify(request.body, request.headers));
    },
  },
  {
    preset: "openai",
    package: "openai",
    keys: whsec,
    believes: async (request, { secret }) => {
      const { OpenAI } = require("openai");
      const { webhooks } = new OpenAI({ apiKey: "key", webhookSecret: secret });
      return Boolean(await webhooks.unwrap(request.body, request.headers));
    },
  },
  {
    preset: "slack",
    package: "@slack/bolt",
    keys: text,
    believes: ({ headers, body }, { secret }) => {
      require("@slack/bolt").verifySlackRequest({ signingSecret: secret, body, headers });
      return true;
    },
  },
  {
    preset: "discord",
    package: "discord-interactions",
    keys: () => ed25519("hex"),
    believes: ({ headers, body }, { publicKey }) =>
      require("discord-interactions").verifyKey(
        body,
        headers["x-signature-ed25519"],
        headers["x-signature-timestamp"],
        publicKey,
      ),
  },
  { preset: "sendgrid", package: "@sendgrid/eventwebhook", keys: ecdsa, believes: withSendGrid },
  { preset: "zoom", package: "@zoom/rivet", keys: text, believes: withZoom },
  {
    preset: "github",
    package: "@octokit/webhooks-methods",
    keys: text,
    believes: async (request, { secret }) => {
      const { verify } = await import("@octokit/webhooks-methods");
      return verify(secret, request.body, request.headers["x-hub-signature-256"]);
    },
  },
  {
    preset: "linear",
    package: "@linear/sdk",
    keys: text,
    believes: async (request, { secret }) => {
      const { LinearWebhookClient } = await import("@linear/sdk/webhooks");
      return new LinearWebhookClient(secret).verify(Buffer.from(request.body), request.headers["linear-signature"]);
    },
  },
  {
    preset: "stripe",
    package: "stripe",
    keys: whsec,
    believes: ({ headers, body }, { secret }) => {
      const Stripe = require("stripe");
      return Boolean(new Stripe("sk_test").webhooks.constructEvent(body, headers["stripe-signature"], secret));
    },
  },
  {
    preset: "paddle",
    package: "@paddle/paddle-node-sdk",
    keys: text,
    believes: ({ headers, body }, { secret }) => {
      const { Paddle } = require("@paddle/paddle-node-sdk");
      return new Paddle("key").webhooks.isSignatureValid(body, secret, headers["paddle-signature"]);
    },
  },
  {
    preset: "square",
    package: "square",
    keys: text,
    believes: (request, { secret }) =>
      require("square").WebhooksHelper.verifySignature({
        requestBody: request.body,
        signatureHeader: request.headers["x-square-hmacsha256-signature"],
        signatureKey: secret,
        notificationUrl: request.url,
      }),
  },
  { preset: "shopify", package: "@shopify/shopify-api", keys: text, believes: withShopify },
  { preset: "shopify-events", package: "@shopify/shopify-api", keys: text, believes: withShopify },
  { preset: "hubspot", package: "@hubspot/api-client", keys: text, believes: withHubSpot("v3", "x-hubspot-signature-v3") },
  { preset: "hubspot-v1", package: "@hubspot/api-client", keys: text, believes: withHubSpot("v1", "x-hubspot-signature") },
  { preset: "hubspot-v2", package: "@hubspot/api-client", keys: text, believes: withHubSpot("v2", "x-hubspot-signature") },
];
