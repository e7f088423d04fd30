// The page: its header, and the view that the link names.

import { openSession, readLink } from "./api.js";
import { h, say, show } from "./dom.js";
import { compareView } from "./compare.js";
import { galleryView } from "./gallery.js";
import { itemView } from "./item.js";
import { queueView } from "./queue.js";
import { resultsView } from "./results.js";

const VIEWS = {
  queue: queueView,
  gallery: galleryView,
  compare: compareView,
  results: resultsView,
  item: itemView,
};
const NAME = "prunebias-audit-reviewer";

const main = document.getElementById("view");
const field = document.getElementById("reviewer");
let leave = () => {};
let turn = 0;

async function render(session) {
  const { view, query } = readLink();
  if (view === "view") return;
  const name = VIEWS[view] ? view : "queue";
  const mine = ++turn;
  leave();
  leave = () => {};
  for (const anchor of document.querySelectorAll("nav a")) {
    if (anchor.dataset.view === name) anchor.setAttribute("aria-current", "page");
    else anchor.removeAttribute("aria-current");
  }
  document.title = `${name[0].toUpperCase()}${name.slice(1)} · ${session.name}`;
  const cleanup = new AbortController();
  leave = () => cleanup.abort();
  try {
    await VIEWS[name]({
      session,
      query,
      main,
      reviewer: field.value.trim(),
      signal: cleanup.signal,
      isCurrent: () => mine === turn,
    });
  } catch (error) {
    if (mine === turn) {
      show(main, h("p", { class: "warning" }, error.message));
    }
  }
}

async function begin() {
  let session;
  try {
    session = await openSession();
  } catch (error) {
    show(main, h("p", { class: "warning" }, error.message));
    return;
  }
  document.getElementById("name").textContent =
    `${session.name}, ${session.split} split`;
  field.value = session.reviewer || localStorage.getItem(NAME) || "";
  show(
    document.getElementById("reviewers"),
    session.reviewers.map((one) => h("option", { value: one })),
  );
  show(
    document.getElementById("notices"),
    session.notices.map((one) => h("p", { class: "warning" }, one)),
  );
  const again = () => render(session);
  document.getElementById("who").addEventListener("submit", (event) => {
    event.preventDefault();
    field.blur();
  });
  field.addEventListener("change", () => {
    localStorage.setItem(NAME, field.value.trim());
    say("");
    again();
  });
  addEventListener("hashchange", again);
  // A name given before there is a session would be lost.
  field.disabled = false;
  await again();
}

begin();
