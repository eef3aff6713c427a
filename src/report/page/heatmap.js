/* A map of layers (columns) by heads (rows): one tab stop, arrow keys, hover, and numbers where they fit. */

const mapAxis = { left: 46, bottom: 40, top: 6 };

function cellSize(width, columns, rows) {
  const least = width < 560 ? 15 : 8;
  const wide = Math.max(least, Math.min(64, Math.floor((width - mapAxis.left - 6) / columns)));
  const stretch = rows * wide < 260 ? 1.2 : 1;
  return { wide, high: Math.max(Math.min(Math.round(wide * stretch), 30), least) };
}

/** Every how many cells a label fits. */
function labelStep(size, space, steps) {
  return steps.find((step) => step * size >= space) || steps[steps.length - 1];
}

function cellText(texts, wide, high) {
  const longest = Math.max(...texts.map((text) => text.length));
  const font = Math.min(11, high * 0.62, (wide - 3) / (longest * 0.6));
  return font >= 7.5 ? font : 0;
}

/**
 * options: id, label, columns, rows, rowTitle, describe(column, row): {title, rows, note}, onSelect(column, row)
 * draw(picture): values (column-major: values[column * rows + row]), scale, muted(i), text(v), outlines: [{column, row, span}], rowsPerGroup
 */
function heatmap(container, options) {
  const axis = svg("svg.map-axis", { "aria-hidden": "true" });
  const map = svg("svg.map", { id: options.id, tabindex: 0, role: "application", "aria-roledescription": "map of heads", "aria-label": options.label, "aria-describedby": "tooltip" });
  const scroller = el("div.map-scroll", map);
  container.replaceChildren(el("div.map-box", axis, scroller));

  let width = 0;
  let size = null;
  let picture = null;
  let rows = options.rows;
  let at = { column: 0, row: 0 };
  let selected = null;
  let cells = [];
  let laidOut = "";
  const words = svg("g.cell-texts", { "aria-hidden": "true" });
  const outlines = svg("g");
  const cursor = svg("rect.cell-cursor", { visibility: "hidden" });
  const ring = svg("rect.cell-selected", { visibility: "hidden" });

  function place(rect, cell, grow) {
    rect.setAttribute("x", cell.column * size.wide - grow);
    rect.setAttribute("y", mapAxis.top + cell.row * size.high - grow);
    rect.setAttribute("width", size.wide + 2 * grow - 1);
    rect.setAttribute("height", (cell.span || 1) * size.high + 2 * grow - 1);
    rect.setAttribute("visibility", "visible");
    return rect;
  }

  function paintAxes() {
    const wide = options.columns * size.wide;
    const high = mapAxis.top + rows * size.high;
    const total = high + mapAxis.bottom;
    for (const [node, w] of [[map, wide + 4], [axis, mapAxis.left]]) {
      node.setAttribute("viewBox", `0 0 ${w} ${total}`);
      node.setAttribute("width", w);
      node.setAttribute("height", total);
      node.style.setProperty("--width", w);
    }
    const rowStep = labelStep(size.high, 12, [1, 2, 4, 8, 16, 32]);
    const columnStep = labelStep(size.wide, String(options.columns).length * 8 + 2, [1, 2, 4, 5, 10, 20]);
    axis.replaceChildren(axisTitle(picture.rowTitle, 11, mapAxis.top + (rows * size.high) / 2, true));
    for (let row = 0; row < rows; row += rowStep) {
      axis.append(svg("text.tick", { x: mapAxis.left - 6, y: mapAxis.top + (row + 0.5) * size.high + 4, "text-anchor": "end" }, String(row)));
    }
    const labels = svg("g");
    for (let column = 0; column < options.columns; column += columnStep) {
      labels.append(svg("text.tick", { x: (column + 0.5) * size.wide, y: high + 14, "text-anchor": "middle" }, String(column)));
    }
    labels.append(axisTitle("layer", Math.min(wide, width - mapAxis.left) / 2, high + 32));
    return labels;
  }

  /** The rectangles stay as long as their places do: thousands of new ones would make every change of the score wait. */
  function layOut() {
    size = cellSize(width, options.columns, rows);
    const layout = `${rows} ${size.wide} ${size.high} ${picture.rowsPerGroup}`;
    if (layout === laidOut) return;
    laidOut = layout;
    const gap = size.wide >= 12 ? 1 : 0.5;
    cells = Array.from(picture.values, (_, i) => {
      const row = i % rows;
      const last = picture.rowsPerGroup > 1 && (row + 1) % picture.rowsPerGroup === 0 && row + 1 < rows;
      return svg("rect", {
        x: Math.floor(i / rows) * size.wide, y: mapAxis.top + row * size.high, width: size.wide - gap, height: size.high - (last ? Math.max(gap, 2.5) : gap),
      });
    });
    map.replaceChildren(svg("g", cells), words, outlines, ring, cursor, paintAxes());
  }

  function paint() {
    if (!picture || !width) return;
    rows = picture.rows;
    layOut();
    const { values, muted, scale } = picture;
    const texts = Array.from(values, (v, i) => (muted(i) ? "" : picture.text(v)));
    const font = cellText(texts, size.wide, size.high);
    words.setAttribute("font-size", font);
    words.replaceChildren();
    cells.forEach((rect, i) => {
      rect.setAttribute("class", muted(i) ? "cell-muted" : "");
      rect.style.fill = muted(i) ? "" : scale.color(values[i]);
      if (!font || !texts[i]) return;
      words.append(svg("text", { x: (Math.floor(i / rows) + 0.5) * size.wide, y: mapAxis.top + ((i % rows) + 0.5) * size.high + font * 0.34, "text-anchor": "middle", style: { fill: scale.ink(values[i]) } }, texts[i]));
    });
    outlines.replaceChildren(...picture.outlines.flatMap((cell) => [place(svg("rect.outline-halo"), cell, 1), place(svg("rect.outline"), cell, 0)]));
    cursor.setAttribute("visibility", "hidden");
    if (selected && selected.row < rows) place(ring, selected, 2);
    else ring.setAttribute("visibility", "hidden");
  }

  function point(cell) {
    at = { column: Math.max(0, Math.min(options.columns - 1, cell.column)), row: Math.max(0, Math.min(rows - 1, cell.row)) };
    place(cursor, at, 0.5);
    const { title, rows: facts, note } = options.describe(at.column, at.row);
    showTooltip(title, facts, cells[at.column * rows + at.row].getBoundingClientRect(), note);
  }

  /** Only the map's own box scrolls. */
  function showColumn(column) {
    const [left, right] = [column * size.wide, (column + 1) * size.wide];
    if (left < scroller.scrollLeft) scroller.scrollLeft = left - 20;
    else if (right > scroller.scrollLeft + scroller.clientWidth) scroller.scrollLeft = right + 20 - scroller.clientWidth;
  }

  function leave() {
    cursor.setAttribute("visibility", "hidden");
    hideTooltip();
  }

  function cellUnder(event) {
    const box = map.getBoundingClientRect();
    const scale = map.viewBox.baseVal.width / box.width;
    const column = Math.floor(((event.clientX - box.left) * scale) / size.wide);
    const row = Math.floor(((event.clientY - box.top) * scale - mapAxis.top) / size.high);
    return column >= 0 && column < options.columns && row >= 0 && row < rows ? { column, row } : null;
  }

  map.addEventListener("pointermove", (event) => {
    if (event.pointerType === "touch") return;
    const cell = cellUnder(event);
    if (!cell) leave();
    else if (tooltip.hidden || cell.column !== at.column || cell.row !== at.row) point(cell);
  });
  map.addEventListener("pointerleave", leave);
  map.addEventListener("blur", leave);
  map.addEventListener("focus", () => {
    if (map.matches(":focus-visible")) point(selected && selected.row < rows ? selected : at);
  });
  map.addEventListener("click", (event) => {
    const cell = cellUnder(event);
    if (!cell) return;
    at = cell;
    if (options.onSelect) options.onSelect(cell.column, cell.row);
    else point(cell);
  });
  map.addEventListener("keydown", (event) => {
    const step = {
      ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1],
      Home: [-options.columns, 0], End: [options.columns, 0], PageUp: [0, -rows], PageDown: [0, rows],
    }[event.key];
    if (step) {
      event.preventDefault();
      showColumn(Math.max(0, Math.min(options.columns - 1, at.column + step[0])));
      point({ column: at.column + step[0], row: at.row + step[1] });
    } else if ((event.key === "Enter" || event.key === " ") && options.onSelect) {
      event.preventDefault();
      options.onSelect(at.column, at.row);
    }
  });

  onWidth(container, (w) => {
    width = w;
    paint();
  });
  return {
    draw(next) {
      picture = next;
      paint();
    },
    select(column, row) {
      selected = { column, row };
      at = selected;
      if (!size) return;
      place(ring, selected, 2);
      showColumn(column);
    },
  };
}
