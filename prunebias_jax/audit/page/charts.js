// Small drawings of votes and probabilities, with words for those who do not
// see them.

import { h, percent, svg } from "./dom.js";

const WIDTH = 340;

function text(x, y, words, properties = {}) {
  return svg("text", { x, y, ...properties }, words);
}

// Shares of members by answer, one row a population.
export function histogram(populations, session) {
  const rows = populations.map((one) => ({
    label: session.populations[one.population].label,
    bars: one.histogram,
  }));
  const line = 26;
  const words = rows
    .map((row) => `${row.label}: ${row.bars.map((b) => `${b.answer} ${percent(b.share)}`).join(", ")}`)
    .join("; ");
  const names = [...new Set(rows.flatMap((row) => row.bars.map((b) => b.answer)))];
  return h(
    "figure",
    { class: "chart" },
    h("figcaption", {}, session.classes.length ? "Votes of the seeds" : "Seeds that say yes"),
    svg(
      "svg",
      { viewBox: `0 0 ${WIDTH} ${rows.length * line}`, role: "img", "aria-label": words },
      rows.map((row, place) => {
        const y = place * line;
        let left = 110;
        const bars = session.classes.length ? row.bars : row.bars.filter((b) => b.answer === "1");
        return [
          text(0, y + 16, row.label),
          svg("rect", { x: 110, y: y + 4, width: 180, height: 16, class: "ground" }),
          bars.map((bar) => {
            const rect = svg(
              "rect",
              { x: left, y: y + 4, width: 180 * bar.share, height: 16, class: `s${names.indexOf(bar.answer) % 6}` },
              svg("title", {}, `${bar.answer}: ${percent(bar.share)}`),
            );
            left += 180 * bar.share;
            return rect;
          }),
          text(296, y + 16, session.classes.length ? (bars[0]?.answer.slice(0, 6) ?? "") : percent(bars[0]?.share ?? 0), { class: "number" }),
        ];
      }),
    ),
  );
}

// Probability against sparsity: one line a seed, of one pruner.
export function lines(populations, session) {
  const dense = populations.find((one) => one.population === session.dense);
  const series = new Map();
  for (const one of populations) {
    if (one.population === session.dense) continue;
    const { pruner, quantization } = session.populations[one.population];
    const key = `${pruner}${quantization === "none" ? "" : `, ${quantization}`}`;
    if (!series.has(key)) series.set(key, dense ? [dense] : []);
    series.get(key).push(one);
  }
  return [...series].map(([name, found]) => lineChart(name, found, session));
}

function lineChart(name, populations, session) {
  const height = 170;
  const top = 12;
  const bottom = height - 34;
  const left = 34;
  const step = (WIDTH - left - 20) / Math.max(populations.length - 1, 1);
  const x = (place) => left + 8 + place * step;
  const y = (probability) => bottom - probability * (bottom - top);
  const bySeed = new Map();
  populations.forEach((one, place) =>
    one.seeds.forEach((seed, index) => {
      if (!bySeed.has(seed)) bySeed.set(seed, []);
      bySeed.get(seed).push([x(place), y(one.probabilities[index])]);
    }),
  );
  const level = (one) => `${+(100 * session.populations[one.population].sparsity).toFixed(2)}`;
  const words = populations
    .map((one) => `${level(one)} %: ${Math.min(...one.probabilities).toFixed(2)} to ${Math.max(...one.probabilities).toFixed(2)}`)
    .join("; ");
  return h(
    "figure",
    { class: "chart" },
    h("figcaption", {}, `Probability against sparsity, ${name}: a line for each seed`),
    svg(
      "svg",
      { viewBox: `0 0 ${WIDTH} ${height}`, role: "img", "aria-label": `Probability by sparsity: ${words}` },
      [0, 0.5, 1].map((one) => [
        svg("line", { x1: left, x2: WIDTH, y1: y(one), y2: y(one), class: one === 0.5 ? "middle" : "grid" }),
        text(left - 6, y(one) + 4, String(one), { class: "number end" }),
      ]),
      [...bySeed.values()].map((points) => [
        svg("polyline", { points: points.map((one) => one.join(",")).join(" "), class: "seed" }),
        points.map(([cx, cy]) => svg("circle", { cx, cy, r: 2.5, class: "dot" })),
      ]),
      populations.map((one, place) => text(x(place), bottom + 16, level(one), { class: "number mid" })),
      text(WIDTH, height - 4, "sparsity [%]", { class: "number end" }),
    ),
  );
}

// The seeds of both sides on one line from 0 to 1.
export function strip(dense, compressed, limit) {
  const scale = (value) => 4 + (value / limit) * 112;
  const words = [dense, compressed].map((values) => {
    const there = values.filter((one) => one !== null);
    return there.length ? `${percent(Math.min(...there), 1)} to ${percent(Math.max(...there), 1)}` : "n/a";
  });
  const dots = (values, y, kind) =>
    values
      .filter((one) => one !== null)
      .map((one) => svg("circle", { cx: scale(one), cy: y, r: 2.6, class: kind }));
  return svg(
    "svg",
    { viewBox: "0 0 120 20", class: "strip", role: "img", "aria-label": `dense ${words[0]}, compressed ${words[1]}` },
    svg("line", { x1: 4, x2: 116, y1: 10, y2: 10, class: "grid" }),
    dots(dense, 6, "dense"),
    dots(compressed, 14, "compressed"),
  );
}
