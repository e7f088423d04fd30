// One case with all that is known of it.

import { get, link, save } from "./api.js";
import { histogram, lines } from "./charts.js";
import { h, named, picture, say, show } from "./dom.js";
import { groupList, labelText, verdictButtons } from "./queue.js";

export async function itemView(page) {
  const { session, query, main, reviewer, isCurrent } = page;
  const item = await get("/api/item", {
    row: query.row,
    question: query.question ?? "0",
    reviewer: session.can_write ? reviewer : "",
  });
  if (!isCurrent()) return;
  const exemplars = item.populations.filter((one) => "is_cie" in one.exemplar);

  async function give(verdict) {
    if (!reviewer) {
      say("Write your name at the top first.", true);
      return;
    }
    try {
      await save({
        kind: "verdict",
        verdict,
        reviewer,
        row: item.row,
        question: item.question,
        note: main.querySelector("#note").value,
      });
      await itemView(page);
      say("Saved, as a verdict that was not blind.");
    } catch (error) {
      say(`Not saved: ${error.message}`, true);
    }
  }

  show(
    main,
    h(
      "div",
      { class: "case" },
      h(
        "figure",
        {},
        picture(session, item.row, { alt: `Example ${item.example_id}` }),
        h("figcaption", {}, named(item.example_id)),
      ),
      h(
        "div",
        {},
        h("p", { class: "small above" }, "Labelled"),
        h(
          "h2",
          {},
          session.classes.length ? "Class" : named(item.attribute, 40),
          ": ",
          h("strong", {}, labelText(item)),
        ),
        groupList(item.groups),
        truth(item),
        session.can_write
          ? [
              verdictButtons(session, item.mine?.verdict ?? "", give, false),
              h(
                "div",
                { class: "field" },
                h("label", { for: "note" }, "Note"),
                h("textarea", { id: "note", rows: 2, maxlength: 4000, value: item.mine?.note ?? "" }),
              ),
            ]
          : null,
        h(
          "p",
          { class: "actions" },
          h("a", { href: link("gallery", { question: item.question, text: item.example_id }) }, "In the gallery"),
        ),
      ),
    ),
    h("div", { class: "panels" }, histogram(item.populations, session), lines(item.populations, session)),
    exemplars.length
      ? h(
          "div",
          { class: "scroll", tabindex: "0", role: "region", "aria-label": "As an exemplar" },
          h(
            "table",
            {},
            h("caption", {}, "As an exemplar"),
            h(
              "thead",
              {},
              h("tr", {}, ["Population", "Labels differ", "Taxicab", "Excess", "Rank", "Onset"].map((one) => h("th", { scope: "col" }, one))),
            ),
            h("tbody", {}, exemplars.map((one) => exemplarRow(one, session))),
          ),
        )
      : h("p", { class: "small" }, "Not among the listed exemplars."),
    item.neighbours.length
      ? h(
          "section",
          { "aria-label": "Nearest easy examples" },
          h("h2", {}, "Nearest easy examples"),
          h("p", { class: "small" }, "By the dense members’ logits; easy: their mean probability of the label is above .9."),
          h(
            "ul",
            { class: "tiles" },
            item.neighbours.map((one) =>
              h(
                "li",
                {},
                h(
                  "a",
                  { href: link("item", { row: one.row, question: item.question }) },
                  picture(session, one.row, { small: true, alt: "" }),
                  h("span", {}, named(one.example_id, 20)),
                  h("span", {}, `label ${one.label}`),
                ),
              ),
            ),
          ),
        )
      : null,
    item.labels.length
      ? h(
          "details",
          {},
          h("summary", {}, "All labels"),
          h("p", {}, item.labels.filter((one) => one.label === "1").map((one) => one.name).join(", ") || "none is 1"),
        )
      : null,
  );
}

function truth(item) {
  if (!("flipped" in item.truth)) return null;
  const { flipped, margin } = item.truth;
  return h(
    "p",
    { class: "small" },
    flipped ? "This label was flipped when the data were made. " : "This label was not flipped. ",
    margin === undefined || margin === null ? "" : `Distance to the boundary: ${margin.toFixed(2)}.`,
  );
}

function exemplarRow(one, session) {
  const { is_cie: differ, taxicab, excess, rank, onset } = one.exemplar;
  const number = (value) => (value === null ? "n/a" : value.toFixed(2));
  return h(
    "tr",
    {},
    h("th", { scope: "row" }, session.populations[one.population].label),
    h("td", {}, differ ? "yes" : "no"),
    h("td", { class: "n" }, number(taxicab)),
    h("td", { class: "n" }, number(excess)),
    h("td", { class: "n" }, rank === null ? "n/a" : String(rank)),
    h("td", { class: "n" }, onset === null ? "n/a" : `${+(100 * onset).toFixed(2)} %`),
  );
}
