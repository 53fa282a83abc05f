/**
 * Records what Python's huggingface_hub sends to the embedded Hub, and what it is answered, as the fixtures of
 * test/server/recorded.test.ts: node hub_record.mjs PYTHON OUTPUT.json [DIST_FOLDER]. HF_HUB_DISABLE_XET=1 for the LFS way.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const [python, output, dist = join(here, "../../dist")] = process.argv.slice(2);
const { startHub } = await import(pathToFileURL(resolve(dist, "server/hub-server.js")).href);
const token = "hf_recordedRequests0000";

/** Headers that say nothing about the contract, or something new each time. */
const dropped =
  /^(host|user-agent|connection|content-length|transfer-encoding|accept-encoding|traceparent|x-amzn-trace-id|x-request-id|x-xet-session-id)$/;
const kept = /^(content-type|x-repo-commit|etag|x-linked-.*|location|x-error-.*|link|content-range|x-total-count|content-disposition|accept-ranges)$/;

const recorded = [];
const emit = http.Server.prototype.emit;
http.Server.prototype.emit = function (event, ...args) {
  if (event === "request") record(...args);
  return emit.call(this, event, ...args);
};

function record(request, response) {
  const entry = { method: request.method, path: request.url, headers: pick(request.headers, (name) => !dropped.test(name)) };
  recorded.push(entry);
  const sent = [];
  const push = request.push;
  request.push = (chunk, ...rest) => {
    if (chunk) sent.push(Buffer.from(chunk));
    return push.call(request, chunk, ...rest);
  };
  const answered = [];
  for (const name of ["write", "end"]) {
    const original = response[name];
    response[name] = (chunk, ...rest) => {
      if (chunk && typeof chunk !== "function") answered.push(Buffer.from(chunk));
      return original.call(response, chunk, ...rest);
    };
  }
  response.on("close", () => {
    if (sent.length > 0) entry.body = textOrBase64(Buffer.concat(sent));
    const headers = pick(response.getHeaders(), (name) => kept.test(name));
    entry.answer = { status: response.statusCode, headers, body: bodyOf(Buffer.concat(answered), headers["content-type"]) };
  });
}

function pick(headers, wanted) {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => wanted(name)).sort());
}

function textOrBase64(bytes) {
  const text = bytes.toString();
  return Buffer.from(text).equals(bytes) ? { text } : { base64: bytes.toString("base64") };
}

function bodyOf(bytes, type = "") {
  if (bytes.length === 0) return undefined;
  if (type.includes("json")) return { json: JSON.parse(bytes.toString()) };
  return { bytes: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") };
}

const folder = mkdtempSync(join(tmpdir(), "vene-record-"));
const hub = await startHub({ dir: join(folder, "hub"), port: 0, tokens: [{ token, name: "ada", role: "write" }] });
const session = spawn(python, [join(here, "hub_session.py"), hub.url, token], {
  env: { ...process.env, HF_HOME: join(folder, "home") },
  stdio: "inherit",
});
const code = await new Promise((done) => session.on("close", done));
await hub.close();
rmSync(folder, { recursive: true });
if (code !== 0) process.exit(1);
const lines = recorded.map((entry) => JSON.stringify(entry));
writeFileSync(output, `[\n${lines.join(",\n")}\n]\n`);
console.log(`${recorded.length} requests`);
