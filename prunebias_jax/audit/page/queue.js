// The queue: one case after the other, by keyboard, without knowing what the
// models say of it.

import { get, link, save } from "./api.js";
import { h, named, picture, say, show } from "./dom.js";
import { FILTERS, caseFields, chosen, populationField, questionField } from "./filters.js";

const KEYS = ["population", "question", ...FILTERS];

export function verdictButtons(session, current, give, hasKeys) {
  return h(
    "div",
    { class: "verdicts", role: "group", "aria-label": "Verdict" },
    session.verdicts.map((one, place) =>
      h(
        "button",
        {
          type: "button",
          id: `verdict-${place + 1}`,
          "data-verdict": one.key,
          "aria-pressed": String(current === one.key),
          onclick: () => give(one.key),
        },
        hasKeys ? [h("kbd", {}, String(place + 1)), " "] : null,
        one.text,
      ),
    ),
  );
}

export function labelText(item) {
  if (item.label === "") return "not labelled";
  if (item.attribute === "(all)") return item.label;
  return item.label === "1" ? "yes" : "no";
}

export function groupList(groups) {
  return h(
    "ul",
    { class: "groups", "aria-label": "Groups" },
    groups.map((one) =>
      h("li", {}, named(one.name, 40), one.value ? ": yes" : ": no"),
    ),
  );
}

export async function queueView(page) {
  const { session, main, reviewer, signal, isCurrent } = page;
  if (!reviewer && session.can_write) {
    show(
      main,
      h("h2", {}, "Who are you?"),
      h("p", {}, "Write your name at the top: verdicts carry it."),
    );
    document.getElementById("reviewer").focus();
    return;
  }
  const query = chosen(page.query, KEYS);
  const state = { back: 0, busy: false, since: 0, smooth: false, answer: null };
  const asWho = reviewer || "reader";

  async function load(back = 0) {
    const found = await get("/api/queue", { ...query, reviewer: asWho, back });
    if (!isCurrent()) return;
    Object.assign(state, { back, answer: found, since: performance.now() });
    draw();
  }

  async function act(values, text) {
    if (state.busy || !session.can_write) return;
    state.busy = true;
    main.setAttribute("aria-busy", "true");
    const { item } = state.answer;
    try {
      await save({
        reviewer: asWho,
        queue: query,
        row: item?.row,
        question: item?.question,
        note: main.querySelector("#note")?.value ?? "",
        seconds: Math.min((performance.now() - state.since) / 1000, 3600),
        ...values,
      });
      await load(values.kind === "undo" ? 0 : Math.max(state.back - 1, 0));
      say(text);
    } catch (error) {
      say(`Not saved: ${error.message}`, true);
    } finally {
      state.busy = false;
      main.removeAttribute("aria-busy");
    }
  }

  const give = (verdict) =>
    state.answer?.item && act({ kind: "verdict", verdict }, "Saved.");
  const skip = () => state.answer?.item && act({ kind: "skip" }, "Skipped.");
  const undo = () => act({ kind: "undo" }, "Taken back.");
  const step = (by) => {
    const back = state.back + by;
    if (back >= 0 && back <= (state.answer?.history ?? 0)) {
      load(back).catch((error) => say(error.message, true));
    }
  };

  function draw() {
    const { item, left, done, total, history, seconds } = state.answer;
    const minutes = Math.round(seconds / 60);
    const progress = h(
      "div",
      { class: "progress" },
      h("progress", {
        max: Math.max(done + left, 1),
        value: done,
        "aria-label": "Progress",
      }),
      h(
        "span",
        { id: "progress" },
        `${done} judged, ${left} to go` +
          (minutes ? `, ${minutes} min so far` : ""),
      ),
    );
    if (item === null) {
      show(
        main,
        filters(),
        progress,
        ...nothingLeft(total, FILTERS.some((name) => query[name])),
        h(
          "p",
          { class: "actions" },
          button("b", "Back", () => step(1), !history),
          button("u", "Undo", undo, !session.can_write || !history),
        ),
      );
      return;
    }
    const mine = item.mine?.verdict ?? "";
    show(
      main,
      filters(),
      progress,
      h(
        "div",
        { class: "case" },
        h(
          "figure",
          { class: state.smooth ? "smooth" : "" },
          picture(session, item.row, { alt: "The example to judge" }),
          h("figcaption", {}, named(item.example_id)),
        ),
        h(
          "div",
          {},
          h("p", { class: "small above" }, "Labelled"),
          h(
            "h2",
            { id: "asked" },
            session.classes.length ? "Class" : named(item.attribute, 40),
            ": ",
            h("strong", { id: "label" }, labelText(item)),
          ),
          item.groups ? groupList(item.groups) : h("p", { class: "small" }, "Groups are shown after the verdict."),
          state.back
            ? h("p", { class: "small" }, `${state.back} back; a verdict here takes the place of yours.`)
            : null,
          verdictButtons(session, mine, give, true),
          h(
            "div",
            { class: "field" },
            h("label", { for: "note" }, "Note ", h("kbd", {}, "n")),
            h("textarea", { id: "note", rows: 2, maxlength: 4000, value: item.mine?.note ?? "" }),
          ),
          h(
            "div",
            { class: "actions" },
            button("b", "Back", () => step(1), state.back >= history),
            button("f", "Forward", () => step(-1), state.back === 0),
            button("s", "Skip", skip, !session.can_write),
            button("u", "Undo", undo, !session.can_write || !history),
            button("z", "Smooth", smooth, false),
            mine
              ? h("a", { href: link("item", { row: item.row, question: item.question }) }, "What the models say")
              : null,
          ),
        ),
      ),
    );
  }

  function button(key, text, onclick, disabled) {
    return h("button", { type: "button", id: `key-${key}`, onclick, disabled }, h("kbd", {}, key), ` ${text}`);
  }

  function smooth() {
    state.smooth = !state.smooth;
    main.querySelector("figure")?.classList.toggle("smooth", state.smooth);
  }

  function filters() {
    const view = "queue";
    const exemplars = [["", "all that is ranked"], ["yes", "exemplars"], ["no", "others of the ranking"]];
    return h(
      "form",
      { class: "filters", "aria-label": "Queue", onsubmit: (event) => event.preventDefault() },
      populationField(session, view, query),
      questionField(session, view, query, "all"),
      h(
        "details",
        { class: "more", open: FILTERS.some((name) => query[name]) },
        h("summary", {}, "Which cases"),
        h("div", { class: "filters" }, caseFields(session, view, query, { exemplars, groups: !session.hide_groups })),
      ),
      state.answer?.reveals
        ? h("p", { class: "small", id: "reveals" }, "These filters tell what the models say or how the label was made: verdicts count as not blind.")
        : null,
    );
  }

  addEventListener(
    "keydown",
    (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const inText = event.target.matches("input, textarea, select");
      if (inText) {
        if (event.key === "Escape") event.target.blur();
        return;
      }
      const verdict = session.verdicts[Number(event.key) - 1];
      const keys = { b: () => step(1), f: () => step(-1), s: skip, u: undo, z: smooth };
      keys.ArrowLeft = keys.b;
      keys.ArrowRight = keys.f;
      if (verdict) give(verdict.key);
      else if (event.key === "n") {
        event.preventDefault();
        main.querySelector("#note")?.focus();
      } else if (keys[event.key]) keys[event.key]();
    },
    { signal },
  );
  await load();
}

function nothingLeft(total, isFiltered) {
  if (!total) {
    return [
      h("h2", {}, "An empty queue"),
      h("p", {}, isFiltered ? "No exemplar and no control passes these filters." : "There are no exemplars here."),
    ];
  }
  return [
    h("h2", {}, "Nothing left"),
    h("p", {}, "Every case of this queue has been judged, or is with somebody else just now."),
    h("p", {}, h("a", { href: "#results" }, "What the verdicts add up to")),
  ];
}
