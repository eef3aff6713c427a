/* Tables that sort by a click on a column's head, small interval bars, and the grid of places. */

/** Nulls come last in either direction. */
function compareBy(value, descending) {
  return (a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === null || y === null) return (x === null) - (y === null);
    const order = typeof x === "string" ? x.localeCompare(y, "en", { numeric: true }) : x - y;
    return descending ? -order : order;
  };
}

/**
 * columns: [{label, title, numeric, value(row), cell(row), descending: whether the first click sorts from the largest}]
 * setRows(rows, limit): rows in their own order, shown up to limit. decorate(tr, row, place) may add to a row.
 */
function sortableTable(container, { columns, caption, decorate, id }) {
  let rows = [];
  let limit = Infinity;
  let sorted = null;
  const heads = columns.map((column, i) => {
    const button = el("button", { type: "button", title: column.title, onclick: () => sortBy(i) }, column.label);
    return el("th", { scope: "col", class: column.numeric ? "numeric" : null }, button);
  });
  const body = el("tbody");
  const table = el("table.data", { id }, el("caption.unseen", caption), el("thead", el("tr", heads)), body);
  container.replaceChildren(el("div.table-scroll", table));

  function sortBy(i) {
    const descending = sorted && sorted.i === i ? !sorted.descending : Boolean(columns[i].descending);
    sorted = { i, descending };
    heads.forEach((head, k) => (k === i ? head.setAttribute("aria-sort", descending ? "descending" : "ascending") : head.removeAttribute("aria-sort")));
    paint();
  }

  function paint() {
    const ordered = sorted ? [...rows].sort(compareBy(columns[sorted.i].value, sorted.descending)) : rows;
    body.replaceChildren(...ordered.slice(0, limit).map((row, place) => {
      const tr = el("tr", columns.map((column) => el(column.numeric ? "td.numeric" : "td", column.cell(row))));
      if (decorate) decorate(tr, row, place);
      return tr;
    }));
  }

  return {
    table,
    setRows(next, most = Infinity) {
      rows = next;
      limit = most;
      paint();
    },
  };
}

/** A dot with its interval on a scale that all rows of a table share. */
function intervalBar(mean, low, high, min, max, color) {
  const at = (v) => `${(100 * (Math.min(max, Math.max(min, v)) - min)) / (max - min || 1)}%`;
  const bar = el("span.interval", { "aria-hidden": "true", style: color ? { "--bar": color } : null });
  if (min < 0) bar.append(el("span.interval-zero", { style: { left: at(0) } }));
  if (low !== null && low !== undefined) bar.append(el("span.interval-range", { style: { left: at(low), right: `calc(100% - ${at(high)})` } }));
  bar.append(el("span.interval-dot", { style: { left: at(mean) } }));
  return bar;
}

const placeRow = (place) => (place.depth === null || place.depth === undefined ? place.label || "all" : place.depth);
const placeName = (place) => `${integer(place.length)} tokens, ${place.depth === null || place.depth === undefined ? place.label || "no depth" : `depth ${tickNumber(place.depth)}`}`;

/** Depth (or label) by length. cell(place, index): {content, color, ink, title, muted, onclick} */
function placeGrid(places, cell) {
  const lengths = [...new Set(places.map((p) => p.length))].sort((a, b) => a - b);
  const rows = [...new Set(places.map(placeRow))];
  const deep = rows.every((row) => typeof row === "number");
  if (deep) rows.sort((a, b) => a - b);
  const find = (row, length) => places.findIndex((p) => placeRow(p) === row && p.length === length);
  const head = el("thead",
    el("tr", el("td"), el("th.grid-title", { colspan: lengths.length, scope: "colgroup" }, "prompt length, tokens")),
    el("tr", el("th.grid-title", { scope: "col" }, deep ? "depth" : "task"), lengths.map((n) => el("th", { scope: "col" }, integer(n)))));
  const body = rows.map((row) => el("tr", el("th", { scope: "row" }, deep ? tickNumber(row) : foreign(row)), lengths.map((length) => {
    const i = find(row, length);
    if (i < 0) return el("td.grid-none");
    const { content, color, ink, title, muted, onclick } = cell(places[i], i);
    const look = muted ? null : { background: color, color: ink };
    const inner = onclick ? el("button", { type: "button", title, "aria-pressed": "false", onclick }, content) : el("span", { title }, content);
    return el("td", { class: muted ? "grid-muted" : null, style: look }, inner);
  })));
  return el("div.table-scroll", el("table.place-grid", head, el("tbody", body)));
}
