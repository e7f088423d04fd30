// The gallery: all examples as thumbnails, of which only those in sight are
// elements of the page.

import { get, link } from "./api.js";
import { choice, h, picture, say, show } from "./dom.js";
import { FILTERS, caseFields, chosen, go, populationField, questionField } from "./filters.js";

const TILE = 120; // pixels, with its gap
const TALL = 156;
const PAGE = 120; // examples asked for at a time
const KEYS = ["population", "question", "sort", "direction", ...FILTERS];

export async function galleryView(page) {
  const { session, main, signal, isCurrent } = page;
  const query = chosen(page.query, KEYS);
  const first = await get("/api/gallery", { ...query, limit: PAGE });
  if (!isCurrent()) return;
  const pages = new Map([[0, Promise.resolve(first.items)]]);
  const loaded = new Map([[0, first.items]]);
  const space = h("ul", { class: "space", "aria-label": "Examples" });
  const scroller = h("div", { class: "scroller", id: "scroller", tabindex: "0", role: "region", "aria-label": "Gallery" }, space);
  const question = query.question ?? "0";
  show(
    main,
    filterForm(session, query),
    h(
      "p",
      { class: "small", id: "total" },
      `${first.total.toLocaleString("en")} of ${session.count.toLocaleString("en")} examples. ` +
        "Below each: its label, and the mean probability of dense and compressed members.",
    ),
    scroller,
  );
  let columns = 1;
  const tiles = new Map();
  let wanted = null;

  function itemAt(place) {
    return loaded.get(Math.floor(place / PAGE))?.[place % PAGE] ?? null;
  }

  function fetchPage(number) {
    if (!pages.has(number)) {
      const asked = get("/api/gallery", { ...query, offset: number * PAGE, limit: PAGE });
      pages.set(number, asked);
      asked
        .then((found) => {
          loaded.set(number, found.items);
          if (isCurrent()) draw();
        })
        .catch((error) => {
          pages.delete(number);
          say(error.message, true);
        });
    }
  }

  function tile(place) {
    const item = itemAt(place);
    const made = h("li", {
      class: item ? "tile" : "tile empty",
      "aria-setsize": first.total,
      "aria-posinset": place + 1,
      "data-place": place,
    });
    if (item) {
      const words = [
        `label ${item.label || "missing"}`,
        item.dense === null ? "" : `dense ${item.dense.toFixed(2)}`,
        `compressed ${item.compressed.toFixed(2)}`,
        item.exemplar ? "exemplar" : "",
      ].filter(Boolean);
      made.append(
        h(
          "a",
          {
            href: link("item", { row: item.row, question }),
            "aria-label": `${item.example_id.slice(0, 80)}: ${words.join(", ")}`,
            title: item.example_id.slice(0, 200),
          },
          picture(session, item.row, { small: true }),
          h("span", { class: "id" }, item.example_id.slice(0, 24)),
          h(
            "span",
            {},
            h("b", { class: item.exemplar ? "exemplar" : "" }, item.label || "–"),
            ` ${item.dense === null ? "" : `${item.dense.toFixed(2)} → `}${item.compressed.toFixed(2)}`,
          ),
        ),
      );
    }
    made.style.transform = `translate(${(place % columns) * TILE}px, ${Math.floor(place / columns) * TALL}px)`;
    return made;
  }

  function draw() {
    const now = Math.max(Math.floor(scroller.clientWidth / TILE), 1);
    if (now !== columns) {
      columns = now;
      tiles.clear();
      space.replaceChildren();
    }
    space.style.height = `${Math.ceil(first.total / columns) * TALL}px`;
    const from = Math.max(Math.floor(scroller.scrollTop / TALL) - 2, 0) * columns;
    const rows = Math.ceil(scroller.clientHeight / TALL) + 5;
    const to = Math.min(from + rows * columns, first.total);
    for (let number = Math.floor(from / PAGE); number * PAGE < to; number++) {
      if (!loaded.has(number)) fetchPage(number);
    }
    for (const [place, old] of tiles) {
      const isStale = old.classList.contains("empty") && itemAt(place);
      if (place < from || place >= to || isStale) {
        old.remove();
        tiles.delete(place);
      }
    }
    for (let place = from; place < to; place++) {
      if (tiles.has(place)) continue;
      const made = tile(place);
      tiles.set(place, made);
      // In the order of the list, for the keyboard.
      const next = [...tiles.keys()].filter((one) => one > place);
      space.insertBefore(made, next.length ? tiles.get(Math.min(...next)) : null);
    }
    if (wanted !== null && itemAt(wanted) && tiles.has(wanted)) {
      tiles.get(wanted).querySelector("a").focus({ preventScroll: true });
      wanted = null;
    }
  }

  let isDue = false;
  function later() {
    if (isDue) return;
    isDue = true;
    requestAnimationFrame(() => {
      isDue = false;
      if (isCurrent()) draw();
    });
  }

  function move(event) {
    const here = event.target.closest("li")?.dataset.place;
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns };
    if (here === undefined || !(event.key in steps)) return;
    event.preventDefault();
    const place = Number(here) + steps[event.key];
    if (place < 0 || place >= first.total) return;
    wanted = place;
    const top = Math.floor(place / columns) * TALL;
    if (top < scroller.scrollTop) scroller.scrollTop = top;
    const bottom = top + TALL - scroller.clientHeight;
    if (bottom > scroller.scrollTop) scroller.scrollTop = bottom;
    draw();
  }

  scroller.addEventListener("scroll", later, { signal, passive: true });
  scroller.addEventListener("keydown", move, { signal });
  addEventListener("resize", later, { signal });
  draw();
}

function filterForm(session, query) {
  const view = "gallery";
  const sorts = session.sorts.map((one) => [one.key, one.text]);
  const orders = [["", "usual"], ["up", "small first"], ["down", "large first"]];
  const exemplars = [["", "all examples"], ["yes", "exemplars"], ["no", "others"]];
  return h(
    "form",
    { class: "filters", "aria-label": "Filters", onsubmit: (event) => event.preventDefault() },
    populationField(session, view, query),
    questionField(session, view, query),
    choice("sort", "Sort by", sorts, query.sort ?? "rank", go(view, "sort")),
    choice("direction", "Order", orders, query.direction ?? "", go(view, "direction")),
    caseFields(session, view, query, { exemplars }),
  );
}
