/* Elements, the tooltip, and the small controls that several sections share. */

const byId = (id) => document.getElementById(id);

/** build("td.numeric", {title: "…"}, children): the properties may be left out; empty children are. */
function build(make, tag, rest) {
  const [name, kind] = tag.split(".");
  const node = make(name);
  if (kind) node.setAttribute("class", kind);
  const props = rest[0] && rest[0].constructor === Object ? rest.shift() : {};
  for (const [key, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "style") for (const [property, v] of Object.entries(value)) node.style.setProperty(property, v);
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...rest.flat(2).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

const el = (tag, ...rest) => build((name) => document.createElement(name), tag, rest);
const svg = (tag, ...rest) => build((name) => document.createElementNS("http://www.w3.org/2000/svg", name), tag, rest);

/** Text of the data, whose direction is that of its first letters and does not leak into its neighbours. */
const foreign = (text, props) => el("bdi", props, String(text));

function debounced(run, milliseconds) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(run, milliseconds);
  };
}

/** Calls draw(width) now and whenever the width of the node changes. */
function onWidth(node, draw) {
  let last = 0;
  const check = () => {
    const width = Math.floor(node.getBoundingClientRect().width);
    if (width > 0 && width !== last) {
      last = width;
      draw(width);
    }
  };
  check();
  new ResizeObserver(() => requestAnimationFrame(check)).observe(node);
}

const tooltip = byId("tooltip");

/** rows: [label, value] pairs. box: where it belongs, in coordinates of the window. */
function showTooltip(title, rows, box, note) {
  tooltip.replaceChildren(
    el("p.tooltip-title", title),
    el("dl", rows.map(([label, value]) => [el("dt", label), el("dd", value)])),
  );
  if (note) tooltip.append(el("p.tooltip-note", note));
  tooltip.hidden = false;
  const size = tooltip.getBoundingClientRect();
  const wide = document.documentElement.clientWidth;
  const high = document.documentElement.clientHeight;
  const right = box.right + 12;
  const left = right + size.width <= wide - 8 ? right : box.left - 12 - size.width;
  const below = Math.max(8, Math.min(box.top - 8, high - size.height - 8));
  const fits = left >= 8;
  tooltip.style.left = `${fits ? left : Math.max(8, Math.min(box.left, wide - size.width - 8))}px`;
  tooltip.style.top = `${fits ? below : box.bottom + 12 + size.height < high ? box.bottom + 12 : Math.max(8, box.top - size.height - 12)}px`;
}

function hideTooltip() {
  tooltip.hidden = true;
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") hideTooltip();
});
document.addEventListener("scroll", hideTooltip, { passive: true, capture: true });

/** A row of radio buttons. options: [{value, label}]. Returns the element; .choose(value) sets it without a call. */
function segmented(label, name, options, chosen, onChange) {
  const box = el("fieldset.segmented", el("legend", label));
  for (const option of options) {
    const input = el("input", {
      type: "radio", name, value: option.value, checked: option.value === chosen,
      onchange: () => onChange(option.value),
    });
    box.append(el("label", input, el("span", option.label)));
  }
  return box;
}

/** The options are numbered: names in the data need not differ. */
function fillSelect(select, labels, onChange) {
  select.replaceChildren(...labels.map((label, i) => el("option", { value: i }, label)));
  select.addEventListener("change", () => onChange(Number(select.value)));
  select.closest(".field").hidden = labels.length < 2;
}
