// Asks shopkeeper a question by HTTP, and shows the answer when it is there, or while it is made. Node 20, no packages.
//
//   node ask.mjs "Which sleeping bag is for snow?"
//   node ask.mjs --stream --session chat-7 "And how much is it?"
//   node ask.mjs --id ID                       goes on with a question that was asked before
//
// SHOPKEEPER_URL is the daemon's address, SHOPKEEPER_TOKEN a token where it asks for one. The text goes to stdout, all
// else to stderr.
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";

const LIMIT = 120_000; // milliseconds that an answer is waited for
const SETTLED = new Set(["completed", "incomplete", "failed", "cancelled", "expired"]);
const url = process.env.SHOPKEEPER_URL ?? "http://127.0.0.1:8080";
const token = process.env.SHOPKEEPER_TOKEN;

/** What the daemon says is wrong (RFC 9457). `code` is for programs, `detail` for people. */
class Problem extends Error {
  constructor(response, { code = "unknown", detail = response.statusText } = {}) {
    super(`${response.status} ${code}: ${detail}`);
    this.code = code;
    this.isPassing = response.status === 429 || response.status === 503;
    this.retryAfter = Math.min(Number(response.headers.get("retry-after") ?? 1), 30) * 1000;
  }
}

/** Sends a request; what is not a success is thrown. A connection that cannot be made is a TypeError. */
async function call(path, { headers, limit = 40_000, ...rest } = {}) {
  headers = { ...headers, ...(token && { Authorization: `Bearer ${token}` }) };
  const response = await fetch(url + path, { ...rest, headers, signal: AbortSignal.timeout(limit) });
  if (!response.ok) throw new Problem(response, await response.json().catch(() => undefined));
  return response;
}

/** Hands a question over. Under one key it is one question, however often it is sent: so sending it again is safe. */
async function ask(key, question) {
  const headers = { "Content-Type": "application/json", "Idempotency-Key": key };
  for (let attempt = 1; ; attempt++) {
    try {
      const response = await call("/v1/answers", { method: "POST", headers, body: JSON.stringify(question) });
      return await response.json();
    } catch (error) {
      const isPassing = error.isPassing ?? error instanceof TypeError;
      if (attempt === 5 || !isPassing) throw error;
      await sleep(error.retryAfter ?? 1000);
    }
  }
}

/** Polls until the answer is settled; each request waits at the daemon, so there are few. */
async function wait(id) {
  const deadline = Date.now() + LIMIT;
  while (Date.now() < deadline) {
    const answer = await (await call(`/v1/answers/${id}`, { headers: { Prefer: "wait=20" } })).json();
    if (SETTLED.has(answer.status)) return answer;
  }
  throw new Error(`no answer in ${LIMIT / 1000} s; ask for ${id} again later`);
}

/** The server-sent events of a response: id, name and data of each. */
async function* frames(response) {
  let rest = "";
  for await (const piece of response.body.pipeThrough(new TextDecoderStream())) {
    const whole = (rest + piece).split("\n\n");
    rest = whole.pop();
    for (const frame of whole) {
      const fields = Object.fromEntries(frame.split("\n").map((line) => line.split(/: (.*)/s)));
      if (!fields.data) continue; // a comment that keeps the connection
      yield { id: fields.id, name: fields.event, data: JSON.parse(fields.data) };
    }
  }
}

/** Yields events until the answer is settled. A connection that ends is made again, after the last event. */
async function* watch(id) {
  let last;
  const deadline = Date.now() + LIMIT;
  while (Date.now() < deadline) {
    try {
      const headers = last && { "Last-Event-ID": last };
      const response = await call(`/v1/answers/${id}/events`, { headers, limit: deadline - Date.now() });
      if (response.status === 204) return; // the last event was seen
      for await (const event of frames(response)) {
        last = event.id;
        yield event;
        if (SETTLED.has(event.name.slice("answer.".length))) return;
      }
    } catch (error) {
      // A TypeError is a connection that could not be made or was cut.
      if (!(error.isPassing ?? error instanceof TypeError)) throw error;
      await sleep(error.retryAfter ?? 0);
    }
    await sleep(500);
  }
  throw new Error(`no answer in ${LIMIT / 1000} s; watch ${id} again later`);
}

/** Writes the text as it comes, and returns the answer. */
async function stream(id) {
  let hasBegun = false;
  for await (const { name, data } of watch(id)) {
    if (name === "answer.delta") {
      process.stdout.write(data.delta);
      hasBegun = true;
    } else if (name === "answer.reset") {
      if (hasBegun) process.stdout.write("\n"); // what was said until now does not count
      hasBegun = false;
    } else if (SETTLED.has(name.slice("answer.".length))) {
      return data;
    }
  }
  return wait(id);
}

async function main() {
  const { values: given, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      id: { type: "string" },
      stream: { type: "boolean" },
      session: { type: "string" },
      "on-busy": { type: "string" },
      key: { type: "string" },
    },
  });
  if ((positionals.length === 1) === (given.id !== undefined)) throw new Error("give a question, or --id");
  const question = { question: positionals[0], session_id: given.session, on_busy: given["on-busy"] };
  const id = given.id ?? (await ask(given.key ?? randomUUID(), question)).id;
  console.error(`answer ${id}`);
  const answer = given.stream ? await stream(id) : await wait(id);
  console.log(given.stream ? "" : (answer.answer?.text ?? ""));
  for (const source of answer.sources.filter((source) => source.cited)) {
    console.error(`[${source.n}] ${source.title} ${source.url ?? ""}`);
  }
  if (answer.escalation) console.error(`a human is asked for: ${answer.escalation.reason}`);
  if (!answer.answer) {
    throw new Error(`there is no answer: ${answer.status} ${answer.outcome ?? ""} ${answer.error ?? ""}`);
  }
}

main().catch((error) => {
  console.error(`ask.mjs: ${error.cause?.message ?? error.message}`);
  process.exitCode = 1;
});
