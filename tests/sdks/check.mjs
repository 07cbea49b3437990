// Shows what `creel trigger` sends to the SDK of each provider: `node check.mjs path/to/creel [preset ...]`.
//
// Every sample of a provider is sent to a receiver on loopback and handed to the SDK as it arrived. The SDK must believe
// it, and must not believe the same request with one byte changed: a check that can't fail shows nothing. One line for
// each preset, a summary, and exit code 1 when anything was judged otherwise.

import { execFile } from "node:child_process";
import { createServer } from "node:http";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { SDKS } from "./sdks.mjs";

const TRIGGER_MS_MAX = 30_000;

const run = promisify(execFile);

/** A receiver that keeps the last request; its URL has a query, because some providers sign it. */
async function receiver() {
  const kept = { request: null };
  const server = createServer(async (incoming, answer) => {
    const chunks = await incoming.toArray();
    const { method, headers, url } = incoming;
    const whole = `http://${headers.host}${url}`;
    kept.request = { method, headers, url: whole, body: Buffer.concat(chunks).toString("utf8") };
    answer.end();
  });
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  kept.url = `http://127.0.0.1:${server.address().port}/in/line-7?step=2`;
  kept.close = () => server.close();
  return kept;
}

async function listed(creel, sdk) {
  const { stdout } = await run(creel, ["trigger", sdk.preset, "--list", "--json"]);
  const mine = JSON.parse(stdout).filter((sample) => sample.presets.includes(sdk.preset));
  return mine.map((sample) => sample.event);
}

async function sent(creel, sdk, event, secretFile, kept) {
  kept.request = null;
  const params = Object.entries(sdk.params ?? {}).flatMap(([name, value]) => ["--param", `${name}=${value}`]);
  const line = ["trigger", sdk.preset, event, "--to", kept.url, "--secret-file", secretFile, ...params];
  await run(creel, line, { timeout: TRIGGER_MS_MAX });
  if (!kept.request) throw new Error("nothing arrived");
  return kept.request;
}

/** The request with one letter or digit changed that stands at the end of a value, so that it still can be read. */
function altered(request, sdk) {
  const other = (letter) => (letter === "5" ? "6" : "5");
  if (sdk.covers) {
    const value = request.headers[sdk.covers];
    const at = Math.floor(value.length / 2);
    const changed = value.slice(0, at) + other(value[at]) + value.slice(at + 1);
    return { ...request, headers: { ...request.headers, [sdk.covers]: changed } };
  }
  const isForm = request.headers["content-type"].startsWith("application/x-www-form-urlencoded");
  const ends = isForm ? /(?<==[^&]*)[A-Za-z0-9](?=&|$)/g : /(?<!\\)[A-Za-z0-9](?="\s*[,}\]])/g;
  const last = [...request.body.matchAll(ends)].at(-1);
  if (!last) throw new Error("the body has no value to change");
  const body = request.body.slice(0, last.index) + other(last[0]) + request.body.slice(last.index + 1);
  return { ...request, body };
}

/** What an SDK says; its own chatter is left out. */
async function verdict(sdk, request, keys) {
  const { debug, error, log, warn } = console;
  Object.assign(console, { debug() {}, error() {}, log() {}, warn() {} });
  try {
    return { believed: (await sdk.believes(request, keys)) === true };
  } catch (refusal) {
    const missing = ["ERR_MODULE_NOT_FOUND", "MODULE_NOT_FOUND", "ERR_PACKAGE_PATH_NOT_EXPORTED", "ENOENT"];
    if (missing.includes(refusal.code) || refusal instanceof TypeError) throw refusal;
    return { believed: false, why: refusal.message };
  } finally {
    Object.assign(console, { debug, error, log, warn });
  }
}

async function judged(creel, sdk, folder, kept) {
  const keys = sdk.keys();
  const secretFile = join(folder, `${sdk.preset}.secret`);
  writeFileSync(secretFile, keys.secret, { mode: 0o600 });
  const events = await listed(creel, sdk);
  const wrong = events.length === 0 ? ["there are no samples"] : [];
  for (const event of events) {
    try {
      const request = await sent(creel, sdk, event, secretFile, kept);
      const said = await verdict(sdk, request, keys);
      if (!said.believed) wrong.push(`${event}: not believed (${said.why ?? "false"})`);
      if ((await verdict(sdk, altered(request, sdk), keys)).believed) wrong.push(`${event}: believed though altered`);
    } catch (error) {
      wrong.push(`${event}: could not be judged: ${error.stderr || error.stack}`);
    }
  }
  return { events, wrong };
}

function pinned(name) {
  if (name.endsWith("(PyPI)")) {
    const found = readFileSync(new URL("requirements.txt", import.meta.url), "utf8").match(/^twilio==(\S+)/m);
    return `${name} ${found[1]}`;
  }
  const { dependencies } = JSON.parse(readFileSync(new URL("package.json", import.meta.url), "utf8"));
  return `${name} ${dependencies[name]}`;
}

async function main([creel, ...only]) {
  if (!creel) throw new Error("usage: node check.mjs path/to/creel [preset ...]");
  const chosen = SDKS.filter((sdk) => only.length === 0 || only.includes(sdk.preset));
  if (chosen.length === 0) throw new Error(`no SDK judges ${only.join(", ")}`);
  const kept = await receiver();
  const folder = mkdtempSync(join(tmpdir(), "creel-sdks-"));
  let [believed, failed] = [0, 0];
  try {
    for (const sdk of chosen) {
      const { events, wrong } = await judged(creel, sdk, folder, kept);
      const what = wrong.length === 0 ? `${events.length} believed, altered ones not` : wrong.join("\n        ");
      console.log(`${wrong.length === 0 ? "ok    " : "WRONG "}${sdk.preset.padEnd(20)} ${pinned(sdk.package).padEnd(34)} ${what}`);
      believed += events.length;
      failed += wrong.length;
    }
  } finally {
    rmSync(folder, { recursive: true });
    kept.close();
  }
  const packages = new Set(chosen.map((sdk) => sdk.package)).size;
  console.log(`${believed} samples, ${chosen.length} presets, ${packages} SDKs: ${failed === 0 ? "all as expected" : `${failed} WRONG`}`);
  return failed === 0 ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));
