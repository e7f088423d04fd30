// Talking to the server. A write is asked for again with the same key until
// the server has answered: what it has saved already it does not save twice.

const params = new URLSearchParams(location.search);
let token = params.get("token");
if (token) {
  // The link that is shared or kept in the history is one without the token.
  history.replaceState(null, "", location.pathname + location.hash);
}

export class Refused extends Error {}

async function answer(response) {
  const isJson = (response.headers.get("content-type") ?? "").includes("json");
  const found = isJson ? await response.json() : { error: await response.text() };
  if (!response.ok) throw new Refused(found.error);
  return found;
}

export async function get(path, query = {}) {
  const given = Object.entries(query).filter(
    ([, value]) => value !== "" && value !== null && value !== undefined,
  );
  const headers = token ? { "x-audit-token": token } : {};
  return answer(
    await fetch(`${path}?${new URLSearchParams(given)}`, { headers }),
  );
}

export async function openSession() {
  const session = await get("/api/session");
  token = session.token;
  return session;
}

function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return [...bytes].map((one) => one.toString(16).padStart(2, "0")).join("");
}

export async function save(values) {
  const body = JSON.stringify({ key: newKey(), ...values });
  const headers = {
    "content-type": "application/json",
    "x-audit-token": token ?? "",
  };
  for (let wait = 300; ; wait *= 2) {
    try {
      return await answer(
        await fetch("/api/verdicts", { method: "POST", headers, body }),
      );
    } catch (error) {
      if (error instanceof Refused || wait > 5000) throw error;
      await new Promise((done) => setTimeout(done, wait));
    }
  }
}

// The state of a view is its link: the same link shows the same.
export function readLink() {
  const [view, query] = location.hash.replace(/^#/, "").split("?", 2);
  return { view, query: Object.fromEntries(new URLSearchParams(query ?? "")) };
}

export function link(view, query) {
  const given = Object.entries(query)
    .filter(([, value]) => value !== "" && value !== undefined && value !== null)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  const text = new URLSearchParams(given).toString();
  return `#${view}${text ? `?${text}` : ""}`;
}

// Goes to the link of now with some of it changed: a form may be older.
export function change(view, changes) {
  const now = readLink();
  const query = now.view === view ? now.query : {};
  location.hash = link(view, { ...query, ...changes(query) });
}
