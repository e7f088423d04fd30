// Dense beside compressed: which examples flip, and FPR and FNR by group at a
// threshold.

import { get, link } from "./api.js";
import { strip } from "./charts.js";
import { h, named, percent, picture, say, show } from "./dom.js";
import { populationField, questionField } from "./filters.js";

const LIMIT = 8; // logits

function probability(logit) {
  return 1 / (1 + Math.exp(-logit));
}

function mean(values) {
  const there = (values ?? []).filter((one) => one !== null);
  return there.length ? there.reduce((a, b) => a + b, 0) / there.length : null;
}

export async function compareView(page) {
  const { session, main, isCurrent } = page;
  if (!session.compressed.length) {
    show(main, h("p", { class: "warning" }, "There are no dense and compressed members to compare."));
    return;
  }
  const query = {
    population: page.query.population ?? String(session.compressed[0]),
    question: page.query.question ?? "0",
  };
  let threshold = page.query.threshold ?? "0";
  const [found, flips] = await Promise.all([
    get("/api/compare", { ...query, threshold }),
    get("/api/gallery", { ...query, exemplar: "yes", limit: 36 }),
  ]);
  if (!isCurrent()) return;
  const table = h("div", {});
  const value = h("output", { for: "threshold", id: "threshold-value" });
  const slider = h("input", {
    id: "threshold", type: "range", min: -LIMIT, max: LIMIT, step: 0.05,
    list: "marks", value: threshold === "calibrated" ? 0 : threshold,
  });

  function words() {
    value.textContent =
      threshold === "calibrated"
        ? "calibrated, each member at its own"
        : `p > ${probability(Number(threshold)).toFixed(3)} (logit ${Number(threshold).toFixed(2)})`;
  }

  let asked = 0;
  async function update() {
    const mine = ++asked;
    words();
    try {
      const now = await get("/api/compare", { ...query, threshold });
      if (mine !== asked || !isCurrent()) return;
      show(table, rates(now, session));
      history.replaceState(null, "", link("compare", { ...query, threshold }));
    } catch (error) {
      say(error.message, true);
    }
  }

  slider.addEventListener("input", () => {
    threshold = slider.value;
    update();
  });
  words();
  show(table, rates(found, session));
  const marks = Object.entries(found.calibrated ?? {});
  show(
    main,
    h(
      "form",
      { class: "filters", "aria-label": "Comparison", onsubmit: (event) => event.preventDefault() },
      populationField(session, "compare", query),
      questionField(session, "compare", query),
    ),
    found.calibrated
      ? h(
          "div",
          { class: "threshold" },
          h("label", { for: "threshold" }, "Threshold of all members "),
          value,
          h("div", { class: "slider" }, slider, marks.map(([side, logit]) => mark(side, logit))),
          h("datalist", { id: "marks" }, marks.map(([side, logit]) => h("option", { value: logit.toFixed(2), label: side }))),
          h(
            "p",
            { class: "actions" },
            h("button", { type: "button", onclick: () => { threshold = "0"; slider.value = 0; update(); } }, "p > .5"),
            h("button", { type: "button", disabled: marks.length < 2, onclick: () => { threshold = "calibrated"; update(); } }, "Calibrated thresholds"),
          ),
          h(
            "p",
            { class: "small" },
            marks.length
              ? `Calibrated on the validation split, mean over seeds: ${marks.map(([side, logit]) => `${side} at p > ${probability(logit).toFixed(3)}`).join(", ")} (marked).`
              : `No calibrated threshold: ${found.reason}.`,
          ),
        )
      : h("p", { class: "small" }, `No threshold: ${found.reason}.`),
    table,
    h("h2", {}, `Examples whose label differs: ${flips.total.toLocaleString("en")}`),
    h("p", { class: "small" }, "What most dense members say against what most compressed members say. ", h("a", { href: link("gallery", { ...query, exemplar: "yes" }) }, "All of them")),
    h(
      "ul",
      { class: "tiles" },
      flips.items.map((one) =>
        h(
          "li",
          {},
          h(
            "a",
            { href: link("item", { row: one.row, question: query.question }) },
            picture(session, one.row, { small: true }),
            h("span", { class: "id" }, named(one.example_id, 24)),
            h("span", {}, `${one.label || "–"}: ${one.dense?.toFixed(2)} → ${one.compressed.toFixed(2)}`),
          ),
        ),
      ),
    ),
  );
}

function mark(side, logit) {
  const made = h("span", { class: `mark ${side}`, "aria-hidden": "true" }, side[0]);
  const place = (Math.min(Math.max(logit, -LIMIT), LIMIT) + LIMIT) / (2 * LIMIT);
  made.style.left = `calc(8px + (100% - 16px) * ${place})`;
  return made;
}

function rates(found, session) {
  const has = Boolean(found.groups[0].dense);
  const limit = Math.max(
    0.01,
    ...found.groups.flatMap((one) =>
      has ? [one.dense, one.compressed].flatMap((side) => [...side.fpr, ...side.fnr].map((v) => v ?? 0)) : [0],
    ),
  );
  const heads = ["Group", "n", "Flips", "Right to wrong", "Wrong to right"];
  const more = ["FPR dense", "compressed", `0 to ${percent(limit)}`, "FNR dense", "compressed", `0 to ${percent(limit)}`];
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": "Rates by group" },
    h(
      "table",
      { id: "rates" },
      h("caption", {}, "By group; rates are means over seeds, dots are seeds (above: dense)"),
      h("thead", {}, h("tr", {}, [...heads, ...(has ? more : [])].map((one, place) => h("th", { scope: "col", class: place ? "n" : "" }, one)))),
      h(
        "tbody",
        {},
        found.groups.map((one) =>
          h(
            "tr",
            {},
            h("th", { scope: "row" }, one.name ? [named(one.name, 30), one.value === "1" ? ": yes" : ": no"] : "everyone"),
            [one.n, one.flips, one.lost, one.won].map((number) => h("td", { class: "n" }, number.toLocaleString("en"))),
            has
              ? ["fpr", "fnr"].map((rate) => [
                  h("td", { class: "n" }, percent(mean(one.dense[rate]), 1)),
                  h("td", { class: "n" }, percent(mean(one.compressed[rate]), 1)),
                  h("td", {}, strip(one.dense[rate], one.compressed[rate], limit)),
                ])
              : null,
          ),
        ),
      ),
    ),
  );
}
