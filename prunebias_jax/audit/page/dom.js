// Elements from names, properties and children. Text is always text: nothing
// that comes from a run is ever read as HTML.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(
    ...children
      .flat(Infinity)
      .filter((one) => one !== null && one !== undefined),
  );
  return element;
}

export function h(tag, properties, ...children) {
  return fill(document.createElement(tag), properties, children);
}

export function svg(tag, properties, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

// Replaces what is in an element; the keyboard stays where it was, if that has
// an id and is there again.
export function show(element, ...children) {
  const now = document.activeElement;
  const held = element.contains(now) ? now.id : "";
  element.replaceChildren(...children.flat().filter((one) => one !== null));
  if (held) document.getElementById(held)?.focus({ preventScroll: true });
}

export function say(text, isBad = false) {
  const status = document.getElementById("status");
  status.textContent = text;
  status.classList.toggle("bad", isBad);
}

// A labelled select; options are [value, text].
export function choice(id, label, options, value, onchange) {
  const select = h(
    "select",
    { id, name: id, onchange: () => onchange(select.value) },
    options.map(([key, text]) =>
      h("option", { value: key, selected: String(key) === String(value) }, text),
    ),
  );
  return h("div", { class: "field" }, h("label", { for: id }, label), select);
}

export function percent(share, digits = 0) {
  return share === null || share === undefined
    ? "n/a"
    : `${(100 * share).toFixed(digits)} %`;
}

// A name that may be of any length, whole on demand.
export function named(text, longest = 60) {
  if (text.length <= longest) return text;
  return h("span", { title: text }, `${text.slice(0, longest - 1)}…`);
}

export function picture(session, row, { small = false, alt = "" } = {}) {
  if (!session.has_pictures) return h("div", { class: "none" }, "no picture");
  const image = h("img", {
    src: `/image/${row}.png?v=${session.version}${small ? "&small" : ""}`,
    alt,
    decoding: "async",
    draggable: "false",
    onerror: () =>
      image.replaceWith(h("div", { class: "none" }, "no picture")),
  });
  return image;
}
