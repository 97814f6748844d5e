// Submits jobs, watches one, lists the latest. What comes from a job gets into the page as text alone.
"use strict";

const FIRST_PAUSE = 250; // ms between two looks at a job; each is half as long again as the one before
const LAST_PAUSE = 5000;
const PATIENCE = 15000; // ms for an answer
const PAGE = 10; // jobs at a time in the list

const at = id => document.getElementById(id);
const text = at("text");

// Addresses are relative: the service may be mounted below a path.
async function ask(path, method = "GET", body) {
  const headers = { accept: "application/json" };
  if (body) headers["content-type"] = "application/json";
  let answer;
  try {
    answer = await fetch(path, { method, headers, body, cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
  } catch {
    throw new Error("The service cannot be reached.");
  }
  const told = await answer.json().catch(() => null);
  if (answer.ok && told) return told;
  const after = Number(answer.headers.get("retry-after")) || 0;
  const detail = told?.detail || answer.statusText;
  const again = after ? ` (in ${after} s)` : "";
  throw Object.assign(new Error(`${answer.status}: ${detail}${again}`), { status: answer.status, after });
}

// Shows what goes wrong in `place`, and nothing there when all goes well.
async function tried(place, work) {
  try {
    const done = await work();
    at(place).textContent = "";
    return done;
  } catch (error) {
    at(place).textContent = error.message;
  }
}

function element(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// A live region tells again whatever is set again, so it is set only when it differs.
function say(place, words) {
  if (place.textContent !== words) place.textContent = words;
}

function tag(place, status) {
  say(place, status);
  place.className = `tag ${status}`;
}

function when(time) {
  const date = new Date(time);
  const today = date.toDateString() === new Date().toDateString();
  return today ? date.toLocaleTimeString() : date.toLocaleString();
}

function between(from, to) {
  const ms = new Date(to) - new Date(from);
  return ms < 1000 ? `${ms} ms` : `${(ms / 1000).toFixed(1)} s`;
}

// New job

const kind = () => at("form").elements.kind.value;
const request = () => JSON.stringify({ text: text.value, kind: kind() });

function describe() {
  const sleeps = kind() === "sleep";
  at("wanted").textContent = sleeps ? "How long" : "Text";
  text.placeholder = sleeps ? "for example 250ms or 5s" : "";
  const quoted = words => `'${words.replaceAll("'", `'\\''`)}'`;
  const target = new URL("jobs", document.baseURI).href;
  at("curl").textContent = `curl -H 'Content-Type: application/json' -d ${quoted(request())} ${quoted(target)}`;
  at("copied").textContent = "";
}

let sending = false;

async function submit(event) {
  event.preventDefault();
  if (sending) return;
  sending = true;
  const accepted = await tried("refused", () => ask("jobs", "POST", request()));
  sending = false;
  if (!accepted) return;
  show(accepted.job_id);
  list();
}

async function copy() {
  const range = document.createRange();
  range.selectNodeContents(at("curl"));
  getSelection().removeAllRanges();
  getSelection().addRange(range);
  // The clipboard is there for pages that came over TLS or from this machine; others have what is selected.
  const done = await navigator.clipboard?.writeText(at("curl").textContent).then(() => true, () => false);
  at("copied").textContent = done || document.execCommand("copy") ? "Copied." : "Selected: copy it now.";
}

// The job that is watched. The address names it, so that it can be shared and reloaded.

let watched = null;
let pause = FIRST_PAUSE;
let timer = 0;
let look = 0; // only the latest look counts

function show(id) {
  if (location.hash === `#${id}`) watch();
  else location.hash = id; // and that is heard below
}

function watch() {
  const [id] = location.hash.match(/[0-9a-f-]{36}$/) || [];
  watched = id ? { id } : null;
  pause = FIRST_PAUSE;
  at("job").hidden = !id;
  at("trouble").textContent = "";
  for (const [name, row] of rows) row.mark(name === id);
  if (id) draw({ job_id: id });
  // On a phone it is below what was touched.
  poll().then(() => at("job").scrollIntoView({ block: "nearest" }));
}

async function poll() {
  const mine = quiet();
  // Nobody looks: `visibilitychange` goes on.
  if (!watched || watched.ended || document.hidden) return;
  let after = 0;
  try {
    const job = await ask(`jobs/${watched.id}`);
    if (mine !== look) return;
    if (job.status !== watched.status) pause = FIRST_PAUSE;
    // What else is told there stays.
    if (watched.away) at("trouble").textContent = "";
    watched.away = false;
    draw(job);
  } catch (error) {
    if (mine !== look) return;
    if (error.status === 404) return gone("gone", error.message);
    watched.away = true;
    say(at("trouble"), error.message);
    after = error.after * 1000 || 0;
  }
  timer = setTimeout(poll, Math.max(pause, after));
  pause = Math.min(pause * 1.5, LAST_PAUSE);
}

// No look is waited for, or taken.
function quiet() {
  clearTimeout(timer);
  return ++look;
}

function gone(status, why = "") {
  quiet();
  Object.assign(watched, { status, ended: true });
  tag(at("status"), status);
  at("cancel").hidden = true;
  at("trouble").textContent = why;
  at("result").textContent = "none";
}

function draw(job) {
  Object.assign(watched, job, { ended: job.status === "done" || job.status === "failed" });
  tag(at("status"), job.status || "…");
  at("cancel").hidden = job.status !== "queued";
  const facts = [["Id", job.job_id], ["Kind", job.kind]];
  if (job.created_at) facts.push(["Created", when(job.created_at)]);
  if (job.attempts > 1) facts.push(["Attempts", job.attempts]);
  if (job.started_at) facts.push(["Waited", between(job.created_at, job.started_at)]);
  if (job.finished_at && job.started_at) facts.push(["Took", between(job.started_at, job.finished_at)]);
  at("facts").replaceChildren(...facts.filter(([, fact]) => fact).flatMap(([name, fact]) =>
    [element("dt", { textContent: name }), element("dd", { textContent: fact })]));
  at("result-name").textContent = job.status === "failed" ? "Error" : "Result";
  at("result").textContent = watched.ended ? (job.error ?? shown(job.result)) : "not yet";
  rows.get(job.job_id)?.draw(job);
}

function shown(result) {
  if (typeof result === "string") return result;
  return result == null ? "none" : JSON.stringify(result, null, 2);
}

// Recent jobs

const rows = new Map();
let next = null;
let lists = 0; // only the latest list counts

function row(job) {
  const status = element("span");
  const link = element("a", { href: `#${job.job_id}` }, status, job.kind,
    element("small", { textContent: `…${job.job_id.slice(-6)}` }),
    element("time", { dateTime: job.created_at, textContent: when(job.created_at), title: job.job_id }));
  const button = element("button", { type: "button", className: "quiet", textContent: "Cancel" });
  button.setAttribute("aria-label", `Cancel job ${job.job_id}`);
  button.onclick = () => cancel(job.job_id, "lost");
  const made = {
    item: element("li", {}, link, button),
    mark: current => { link.ariaCurrent = current ? "true" : null; },
    draw({ status: word }) {
      if (!word) return;
      tag(status, word);
      button.hidden = word !== "queued";
    },
  };
  // What was seen of its end may be newer than the list.
  made.draw(watched?.id === job.job_id && watched.ended ? watched : job);
  made.mark(watched?.id === job.job_id);
  return made;
}

async function list(cursor) {
  const mine = ++lists;
  const query = new URLSearchParams({ limit: PAGE, ...(cursor && { cursor }) });
  const page = await tried("lost", () => ask(`jobs?${query}`));
  if (!page || mine !== lists) return;
  if (!cursor) {
    rows.clear();
    at("list").replaceChildren();
  }
  for (const job of page.jobs.filter(job => !rows.has(job.job_id))) {
    rows.set(job.job_id, row(job));
    at("list").append(rows.get(job.job_id).item);
  }
  next = page.next;
  at("older").hidden = !next;
  at("none").hidden = rows.size > 0;
}

async function cancel(id, place) {
  if (watched?.id === id) quiet();
  const done = await tried(place, () => ask(`jobs/${id}`, "DELETE"));
  if (watched?.id === id) done ? gone("cancelled") : poll();
  if (!done) return;
  rows.get(id)?.item.remove();
  rows.delete(id);
  // The button that had the focus is no more.
  at(place === "lost" ? "all" : "watched").focus();
}

async function start() {
  document.querySelector("main").hidden = false;
  describe();
  watch();
  list();
  const service = await tried("refused", () => ask("./"));
  if (!service) return;
  at("about").textContent = `${service.version}, ${service.variant}`;
  if (!service.links.includes("/analyze")) at("form").querySelector("[value=analyze]").parentElement.remove();
}

at("form").onsubmit = submit;
at("form").oninput = describe;
text.onkeydown = event => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) at("form").requestSubmit();
};
at("copy").onclick = copy;
at("cancel").onclick = () => cancel(watched.id, "trouble");
at("refresh").onclick = () => list();
at("older").onclick = () => list(next);
onhashchange = watch;
document.onvisibilitychange = poll;
start();
