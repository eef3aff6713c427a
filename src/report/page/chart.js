/* Lines over a horizontal axis, with error bars, levels and marks; drawn anew for every width. */

const chartMargin = { top: 14, right: 18, bottom: 46, left: 58 };

function chartScale(axis, from, to) {
  const apply = axis.log ? (v) => Math.log2(v + (axis.offset || 0)) : (v) => v;
  const low = apply(axis.min);
  const span = apply(axis.max) - low || 1;
  return (v) => from + ((apply(v) - low) / span) * (to - from);
}

function axisTitle(text, x, y, turned) {
  return svg("text.axis-title", { x, y, "text-anchor": "middle", transform: turned ? `rotate(-90 ${x} ${y})` : null }, text);
}

/** Labels along x that would touch the one before are left out. */
function drawAxes(node, xAxis, yAxis, { x, y, left, right, bottom, height }) {
  for (const tick of yAxis.ticks) {
    const at = y(tick.value);
    node.append(svg("line.grid-line", { x1: left, x2: right, y1: at, y2: at }), svg("text.tick", { x: left - 8, y: at + 4, "text-anchor": "end" }, tick.label));
  }
  let free = -Infinity;
  for (const tick of xAxis.ticks) {
    const at = x(tick.value);
    const half = tick.label.length * 3.6;
    node.append(svg("line.tick-line", { x1: at, x2: at, y1: bottom, y2: bottom + 4 }));
    if (at - half < free + 5) continue;
    free = at + half;
    node.append(svg("text.tick", { x: at, y: bottom + 18, "text-anchor": "middle" }, tick.label));
  }
  node.append(svg("line.axis-line", { x1: left, x2: right, y1: bottom, y2: bottom }),
    axisTitle(xAxis.title, (left + right) / 2, height - 8), axisTitle(yAxis.title, 15, (chartMargin.top + bottom) / 2, true));
}

function drawLevel(node, level, { y, left, right }) {
  if (level.low !== null) node.append(svg("rect.level-band", { x: left, width: right - left, y: y(level.high), height: Math.max(1, y(level.low) - y(level.high)) }));
  node.append(svg("line.level", { x1: left, x2: right, y1: y(level.y), y2: y(level.y), stroke: level.color }), svg("text.level-label", { x: left + 6, y: y(level.y) - 5 }, level.name));
}

/** Points of a long line that fall on the same pixel are left out. */
function linePath(list, x, y) {
  let path = "";
  let last = -Infinity;
  list.forEach((point, i) => {
    const at = x(point.x);
    if (at - last < 0.4 && i !== list.length - 1) return;
    path += `${path ? "L" : "M"}${at.toFixed(1)} ${y(point.y).toFixed(1)}`;
    last = at;
  });
  return path;
}

function drawMark(shape, x, y, fill) {
  return shape === "diamond" ? svg("path.mark", { d: `M${x} ${y - 5.5}l5.5 5.5l-5.5 5.5l-5.5 -5.5z`, fill }) : svg("circle.mark", { cx: x, cy: y, r: shape === "dot" ? 3.2 : 4, fill });
}

function drawSeries(series, x, y, clip) {
  const { color, points } = series;
  const group = svg("g.series", { "data-series": series.name });
  for (const p of points) {
    if (p.low === null || p.low === undefined) continue;
    const [at, top, bottom] = [x(p.x), y(p.high), y(p.low)];
    group.append(svg("path.error-bar", { d: `M${at} ${top}V${bottom}M${at - 3} ${top}h6M${at - 3} ${bottom}h6`, stroke: color }));
  }
  group.append(svg("path.line", { d: linePath(points, x, y), stroke: color, "stroke-dasharray": series.dash, "clip-path": `url(#${clip})` }));
  const marks = series.marks || points.map((p) => ({ ...p, shape: "dot" }));
  group.append(...marks.map((mark) => drawMark(mark.shape, x(mark.x), y(mark.y), color)));
  return group;
}

/** The tooltip of the stop nearest to the pointer, or next by arrow keys. */
function followPointer(node, { stops, describe }, { x, bottom }) {
  const cursor = svg("line.cursor-line", { y1: chartMargin.top, y2: bottom, visibility: "hidden" });
  node.append(cursor);
  let stop = -1;
  const point = (index) => {
    stop = Math.max(0, Math.min(stops.length - 1, index));
    const at = x(stops[stop]);
    for (const [key, value] of [["x1", at], ["x2", at], ["visibility", "visible"]]) cursor.setAttribute(key, value);
    const box = node.getBoundingClientRect();
    const left = box.left + (at * box.width) / node.viewBox.baseVal.width;
    const { title, rows } = describe(stops[stop]);
    showTooltip(title, rows, { left: left - 2, right: left + 2, top: box.top + chartMargin.top, bottom: box.top + bottom });
  };
  const leave = () => {
    cursor.setAttribute("visibility", "hidden");
    hideTooltip();
  };
  node.addEventListener("pointermove", (event) => {
    const box = node.getBoundingClientRect();
    const at = ((event.clientX - box.left) * node.viewBox.baseVal.width) / box.width;
    const off = stops.map((value) => Math.abs(x(value) - at));
    point(off.indexOf(extent(off)[0]));
  });
  node.addEventListener("pointerleave", leave);
  node.addEventListener("blur", leave);
  node.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    point(stop + step);
  });
}

/**
 * options: x, y: {title, min, max, ticks: [{value, label}], log, offset, pad}; levels: [{name, y, low, high, color}];
 * series: [{name, color, dash, points: [{x, y, low, high}], marks}]: every point has a dot unless there are marks;
 * stops: the x values that the pointer snaps to; describe(x): {title, rows}; dodge: pixels between neighbouring lines
 */
function lineChart(container, options, id) {
  let current = options;
  let strong = null;
  let width = 0;
  let root = el("div");
  let groups = [];
  container.append(root);

  /** The lines stay as they are: only their classes follow the pointer. */
  function lift() {
    for (const group of groups) {
      const chosen = group.dataset.series === strong;
      group.classList.toggle("strong", chosen);
      group.classList.toggle("weak", strong !== null && !chosen);
      if (chosen) group.parentNode.append(group);
    }
  }

  function paint() {
    if (!width) return;
    const { series, levels, dodge = 0 } = current;
    const height = Math.round(Math.max(260, Math.min(400, width * 0.56)));
    const { left, top } = chartMargin;
    const [right, bottom] = [width - chartMargin.right, height - chartMargin.bottom];
    const pad = current.x.pad || 0;
    const frame = { height, left, right, bottom, x: chartScale(current.x, left + pad, right - pad), y: chartScale(current.y, bottom, top) };
    const node = svg("svg.chart", { id, viewBox: `0 0 ${width} ${height}`, width, height, role: "img", tabindex: 0, "aria-label": current.label });
    const clip = `${id}-clip`;
    node.append(svg("clipPath", { id: clip }, svg("rect", { x: left - 8, y: 0, width: width - left + 8, height: bottom + 1 })));
    drawAxes(node, current.x, current.y, frame);
    for (const level of levels) drawLevel(node, level, frame);
    groups = series.map((s, i) => drawSeries(s, (v) => frame.x(v) + (i - (series.length - 1) / 2) * dodge, frame.y, clip));
    node.append(svg("g", groups));
    followPointer(node, current, frame);
    root.replaceWith(node);
    root = node;
    lift();
  }

  onWidth(container, (w) => {
    width = w;
    paint();
  });
  return {
    update(next) {
      current = next;
      paint();
    },
    emphasise(name) {
      strong = name;
      lift();
    },
  };
}

function lineSwatch({ color, dash }) {
  return svg("svg.swatch", { width: 26, height: 10, "aria-hidden": "true" }, svg("line", { x1: 1, x2: 25, y1: 5, y2: 5, stroke: color, "stroke-dasharray": dash, "stroke-width": 2.5 }));
}

/** One button a line: pointing at it lifts its line out, pressing it keeps it lifted. */
function lineLegend(series, chart) {
  let pinned = null;
  const buttons = series.map(({ name, ...style }) => el("button.legend-item", {
    type: "button", "aria-pressed": "false", onpointerenter: () => chart.emphasise(name), onpointerleave: () => chart.emphasise(pinned),
    onclick: () => {
      pinned = pinned === name ? null : name;
      buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(series[i].name === pinned)));
      chart.emphasise(pinned);
    },
  }, lineSwatch(style), foreign(name)));
  return el("div.line-legend", { role: "group", "aria-label": "Lines" }, buttons);
}

/** Shares from 0 up to the round number above the highest interval. */
function shareAxis(title, series, levels) {
  const ends = [...series.flatMap((s) => s.points), ...levels].map((p) => p.high ?? p.y);
  const max = Math.min(1, Math.max(0.2, Math.ceil(Math.max(...ends) * 5 - 1e-9) / 5));
  return { title, min: 0, max, ticks: roundTicks(0, max, 5).map((value) => ({ value, label: `${Math.round(100 * value)}\u00a0%` })) };
}

/** Accuracy and interval of every line at one x, for the tooltip. */
const rowsAt = (series, x) => series.flatMap((s) => s.points.filter((p) => p.x === x).map((p) => [foreign(s.name), p.low === null ? percent(p.y) : `${percent(p.y)} (${interval([p.low, p.high], percent)})`]));

const accuracyPoint = (x, row) => ({ x, y: row.accuracy, low: row.low, high: row.high });
const stopsOf = (series) => [...new Set(series.flatMap((s) => s.points.map((p) => p.x)))].sort((a, b) => a - b);
