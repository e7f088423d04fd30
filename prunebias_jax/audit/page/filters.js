// What to show, as form fields: the gallery and the queue share them. Each
// change is a new link.

import { change } from "./api.js";
import { choice, h } from "./dom.js";

// The names of the fields in a link, beside population and question.
export const FILTERS = [
  "groups", "exemplar", "onset", "cell", "confidence", "side", "flipped", "text",
];

export function chosen(query, names) {
  return Object.fromEntries(
    names.filter((name) => query[name]).map((name) => [name, query[name]]),
  );
}

export function populationField(session, view, query) {
  return choice(
    "population",
    "Compressed to",
    session.compressed.map((place) => [place, session.populations[place].label]),
    query.population ?? session.compressed[0],
    go(view, "population"),
  );
}

// `all` is what no attribute in the link stands for, if it is not the first.
export function questionField(session, view, query, all = null) {
  if (session.questions.length < 2) return null;
  const names = session.questions.map((name, place) => [place, name]);
  return choice(
    "question",
    "Attribute",
    all === null ? names : [["", all], ...names],
    query.question ?? (all === null ? 0 : ""),
    go(view, "question"),
  );
}

export function caseFields(session, view, query, { exemplars, groups = true }) {
  const onsets = session.onsets.map((one) => [one, `${+(100 * one).toFixed(2)} %`]);
  const field = (name, label, options) =>
    choice(name, label, options, query[name] ?? "", go(view, name));
  const text = h("input", { id: "text", type: "search", value: query.text ?? "", maxlength: 300 });
  text.addEventListener("change", () => go(view, "text")(text.value));
  return [
    field("exemplar", "Exemplars", exemplars),
    field("onset", "Flips from", [["", "any sparsity"], ...onsets]),
    field("cell", "Answer", cells(session)),
    field("confidence", "Confidence", [["", "any"], ["sure", "sure"], ["unsure", "unsure (.1 < p < .9)"]]),
    field("side", "of members", [["", "compressed"], ["dense", "dense"]]),
    groups ? groupFields(session, view, query) : null,
    session.knows_flipped
      ? field("flipped", "Label", [["", "all"], ["yes", "flipped when made"], ["no", "not flipped"]])
      : null,
    h("div", { class: "field" }, h("label", { for: "text" }, "Id contains"), text),
  ];
}

function groupFields(session, view, query) {
  const now = readGroups(query.groups);
  return session.identities.map((name, place) =>
    choice(
      `group-${place}`,
      name.slice(0, 30),
      [["", "all"], ["1", "yes"], ["0", "no"]],
      now.get(String(place)) ?? "",
      (value) =>
        change(view, (latest) => {
          const groups = readGroups(latest.groups);
          if (value === "") groups.delete(String(place));
          else groups.set(String(place), value);
          return { groups: [...groups].sort().map((one) => one.join(":")).join(",") };
        }),
    ),
  );
}

function readGroups(text) {
  const parts = (text ?? "").split(",").filter(Boolean);
  return new Map(parts.map((one) => one.split(":")));
}

function cells(session) {
  if (session.classes.length) {
    return [["", "any"], ["right", "right"], ["wrong", "wrong"]];
  }
  return [
    ["", "any"], ["tp", "true positive"], ["fp", "false positive"],
    ["tn", "true negative"], ["fn", "false negative"],
    ["right", "right"], ["wrong", "wrong"], ["unlabelled", "not labelled"],
  ];
}

export function go(view, name) {
  return (value) => change(view, () => ({ [name]: value }));
}
