// What the verdicts add up to, and the files of them.

import { get } from "./api.js";
import { h, named, percent, show } from "./dom.js";

const ARMS = { exemplar: "Exemplars", control: "Controls", rest: "Rest of the ranking" };

export async function resultsView(page) {
  const { session, main, isCurrent } = page;
  const found = await get("/api/results");
  if (!isCurrent()) return;
  const arms = Object.keys(ARMS);
  const rate = (arm, verdict) => found.rates.find((one) => one.arm === arm && one.verdict === verdict);
  show(
    main,
    h("h2", {}, "Verdicts"),
    found.reviewers.length
      ? h("p", {}, found.reviewers.map((one) => `${one.name}: ${one.verdicts}`).join("; "))
      : h("p", {}, "None yet."),
    h(
      "p",
      { class: "actions" },
      h("a", { href: "/export/verdicts.csv", download: "" }, "Save as CSV"),
      h("a", { href: "/export/verdicts.json", download: "" }, "Save as JSON"),
    ),
    h(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": "Verdict rates" },
      h(
        "table",
        {},
        h("caption", {}, "Blind verdicts: exemplars against controls, with 95 % intervals (Wilson) that take verdicts as independent"),
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Verdict"), arms.map((arm) => h("th", { scope: "col", class: "n" }, `${ARMS[arm]} (${rate(arm, session.verdicts[0].key).total})`)))),
        h(
          "tbody",
          {},
          session.verdicts.map((verdict) =>
            h(
              "tr",
              {},
              h("th", { scope: "row" }, verdict.text),
              arms.map((arm) => {
                const one = rate(arm, verdict.key);
                return h("td", { class: "n" }, one.total ? `${percent(one.share)} (${percent(one.low)} to ${percent(one.high)})` : "n/a");
              }),
            ),
          ),
        ),
      ),
    ),
    h("h2", {}, "Agreement"),
    found.agreement.length
      ? h(
          "div",
          { class: "scroll", tabindex: "0", role: "region", "aria-label": "Agreement" },
          h(
            "table",
            {},
            h("thead", {}, h("tr", {}, ["Reviewers", "Cases", "Agreed", "Cohen’s kappa"].map((one) => h("th", { scope: "col" }, one)))),
            h(
              "tbody",
              {},
              found.agreement.map((one) =>
                h(
                  "tr",
                  {},
                  h("th", { scope: "row" }, named(one.first, 30), ", ", named(one.second, 30)),
                  h("td", { class: "n" }, one.cases),
                  h("td", { class: "n" }, one.agreed),
                  h("td", { class: "n" }, one.kappa === null ? one.reason : one.kappa.toFixed(2)),
                ),
              ),
            ),
          ),
        )
      : h("p", {}, "There are not two reviewers yet."),
  );
}
