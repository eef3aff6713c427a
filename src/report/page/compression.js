/* What a smaller cache costs: accuracy over the budget, and the table behind it. */

const differences = [["against_full", "vs full", "Difference from the full cache, percentage points"], ["against_snapkv", "vs SnapKV", "Difference from SnapKV at the same budget, percentage points"],
  ["against_first", "vs first", "Difference from the first head score at the same budget, percentage points"]];

const rowName = (row) => (row.head_score ? `${row.method} · ${row.head_score}` : row.method);

/** One line per method and head score. Where all lines are of one method, the head scores have the colours. */
function budgetLines(rows) {
  const limited = rows.filter((row) => row.budget !== null).sort((a, b) => a.budget - b.budget);
  const single = new Set(limited.map((row) => row.method)).size === 1;
  const seen = {};
  return [...new Set(rows.filter((row) => row.budget !== null).map(rowName))].map((key) => {
    const own = limited.filter((row) => rowName(row) === key);
    const { method, head_score: by } = own[0];
    seen[method] = (seen[method] || 0) + 1;
    const style = single && by ? scoreStyle(by) : { color: methodStyle(method).color, dash: lineDashes[(seen[method] - 1) % lineDashes.length] };
    return { ...style, key, name: single && by ? by : key, points: own.map((row) => accuracyPoint(row.budget, row)) };
  });
}

function compressionChart(container, series, rows, id) {
  const full = rows.find((row) => row.budget === null);
  const stops = stopsOf(series);
  const levels = full ? [{ name: `full cache ${percent(full.accuracy)}`, y: full.accuracy, low: full.low, high: full.high, color: "var(--ink-2)" }] : [];
  const plot = el("div");
  container.append(plot);
  const chart = lineChart(plot, {
    label: `Accuracy over the budget, ${series.length} lines. The table below has the numbers.`, series, levels, stops, dodge: Math.min(6, 36 / series.length),
    x: { title: "budget, tokens a head (logarithmic)", log: true, pad: 30, min: stops[0], max: stops[stops.length - 1], ticks: stops.map((value) => ({ value, label: integer(value) })) },
    y: shareAxis("accuracy, % of the prompts", series, levels),
    describe: (budget) => ({ title: plural(budget, "token"), rows: rowsAt(series, budget) }),
  }, id);
  container.append(el("div.beside", lineLegend(series, chart),
    el("p.hint", "Bars are 95\u00a0% intervals; lines are set off sideways to keep them apart. ", el("span.no-print", "Point at a name to lift its line out, press it to keep it so."))));
}

function differenceCell(value) {
  if (!value) return el("span.difference", el("span", "–"));
  const [mean, low, high] = value;
  const clear = !containsZero(low, high);
  return el("span", { class: clear ? "difference clear" : "difference", title: "Mean and 95\u00a0% interval, percentage points" }, el("span", points(mean)), el("span.star", clear ? "*" : ""),
    low !== null && high !== null && el("span.range", `${points(low)} to ${points(high)}`));
}

function compressionTable(container, evaluation, series, id) {
  const { rows } = evaluation;
  const colorOf = (row) => (series.find((s) => s.key === rowName(row)) || methodStyle(row.method)).color;
  const has = (key) => rows.some((row) => row[key] !== null && row[key] !== undefined);
  const columns = [{ label: "Method", value: rowName, cell: (row) => el("span.method", el("span.dot", { style: { background: colorOf(row) } }), foreign(row.method)) }];
  if (has("head_score")) columns.push({ label: "Head score", value: (row) => row.head_score, cell: (row) => (row.head_score ? foreign(row.head_score) : "–") });
  columns.push(
    { label: "Budget", title: "Tokens a head", numeric: true, value: (row) => row.budget, cell: (row) => (row.budget === null ? "all" : integer(row.budget)) },
    { label: "Accuracy", title: evaluation.accuracy, numeric: true, descending: true, value: (row) => row.accuracy, cell: (row) => percent(row.accuracy) },
    {
      label: "95\u00a0% interval", title: "Sorts by the lower end", descending: true, value: (row) => row.low,
      cell: (row) => el("span.with-bar", intervalBar(row.accuracy, row.low, row.high, 0, 1, colorOf(row)), el("span.range", row.low === null ? "–" : interval([row.low, row.high], percent))),
    },
  );
  for (const [key, label, title] of differences) {
    if (has(key)) columns.push({ label, title, descending: true, value: (row) => (row[key] ? row[key][0] : null), cell: (row) => differenceCell(row[key]) });
  }
  if (has("kv_share")) columns.push({ label: "Cache", title: "Keys and values held, share of the full cache", numeric: true, value: (row) => row.kv_share, cell: (row) => percent(row.kv_share) });
  if (has("prompts")) columns.push({ label: "Prompts", numeric: true, value: (row) => row.prompts, cell: (row) => integer(row.prompts) });
  let last = null;
  const table = sortableTable(container, {
    columns, id, caption: evaluation.title,
    decorate: (tr, row, place) => {
      tr.classList.add(place > 0 && rowName(row) === last ? "same-method" : "new-method");
      last = rowName(row);
    },
  });
  table.setRows(rows);
}

function startCompression() {
  const evaluations = listOf("evaluations");
  if (evaluations.length === 0) return;
  byId("compression").hidden = false;
  evaluations.forEach((evaluation, i) => {
    const figure = el("figure.chart-beside");
    const table = el("div");
    byId("compression-body").append(el("h3", { dir: "auto" }, evaluation.title), el("p.hint", { dir: "auto" }, `Accuracy: share of the answers that pass (${evaluation.accuracy}).`), figure, table);
    const suffix = i === 0 ? "" : `-${i + 1}`;
    const series = budgetLines(evaluation.rows);
    if (series.length > 0) compressionChart(figure, series, evaluation.rows, `compression-chart${suffix}`);
    compressionTable(table, evaluation, series, `compression-table${suffix}`);
  });
}
