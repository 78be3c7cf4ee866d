// Requests to the gateway: what it refuses is an error with its own words, and changes carry the token.

const TOKEN = "bookrunner.token"; // for as long as the tab is open

export class Refused extends Error {
  constructor(status, problem) {
    super(problem.detail ?? problem.title ?? `HTTP ${status}`);
    this.status = status;
    this.problem = problem;
  }
}

export async function get(path, signal) {
  return answered(await fetch(path, { signal, cache: "no-store" }));
}

const AT_ONCE = 2; // requests for what came before: the gateway has others to serve
let reading = 0;
const waiting = [];

/** Ask for old records: few at once, whoever asks. */
export async function getOld(path, signal) {
  if (reading >= AT_ONCE) await new Promise((done) => waiting.push(done));
  reading += 1;
  try {
    return await get(path, signal);
  } finally {
    reading -= 1;
    waiting.shift()?.();
  }
}

export async function send(method, path, body) {
  const headers = { "content-type": "application/json" };
  const token = sessionStorage.getItem(TOKEN);
  if (token) headers.authorization = `Bearer ${token}`;
  return answered(await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) }));
}

export const hasToken = () => sessionStorage.getItem(TOKEN) !== null;
export const keepToken = (token) => sessionStorage.setItem(TOKEN, token);
export const forgetToken = () => sessionStorage.removeItem(TOKEN);

async function answered(answer) {
  const text = await answer.text();
  let body = null;
  try {
    body = text ? JSON.parse(text) : null;
  } catch {
    throw new Refused(answer.status, { detail: `no JSON came back: ${text.slice(0, 200)}` });
  }
  if (!answer.ok) throw new Refused(answer.status, body ?? {});
  return body;
}
