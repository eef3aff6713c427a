/* Accuracy with the best, random or lowest heads switched off. */

const chosenHeads = [["top", "the best", "vermillion"], ["random", "random", "sky"], ["bottom", "the lowest", "green"]];

function ablationLines(rows) {
  const start = rows.filter((row) => row.chosen === "none").map((row) => accuracyPoint(0, row));
  return chosenHeads.map(([chosen, name, color]) => {
    const own = rows.filter((row) => row.chosen === chosen).sort((a, b) => a.k - b.k);
    return { name, color: `var(--line-${color})`, points: own.length > 0 ? [...start, ...own.map((row) => accuracyPoint(row.k, row))] : [] };
  }).filter((line) => line.points.length > 0);
}

function ablationChart(container, series, id) {
  const stops = stopsOf(series);
  const plot = el("div");
  container.append(plot);
  const chart = lineChart(plot, {
    label: "Accuracy over the number of heads switched off. The table beside it has the numbers.", series, levels: [], stops, dodge: 7,
    x: { title: "heads switched off, k (logarithm of k + 1)", log: true, offset: 1, pad: 20, min: stops[0], max: stops[stops.length - 1], ticks: stops.map((value) => ({ value, label: integer(value) })) },
    y: shareAxis("accuracy, % of the prompts", series, []),
    describe: (k) => ({ title: k === 0 ? "All heads on" : `${plural(k, "head")} off`, rows: rowsAt(series, k) }),
  }, id);
  container.append(lineLegend(series, chart));
}

function ablationTable(container, rows) {
  const named = (row) => (chosenHeads.find(([chosen]) => chosen === row.chosen) || [null, "none"])[1];
  const order = ["none", ...chosenHeads.map(([chosen]) => chosen)];
  const columns = [
    { label: "Off", numeric: true, value: (row) => row.k, cell: (row) => integer(row.k) },
    { label: "Heads", value: (row) => order.indexOf(row.chosen), cell: (row) => {
      const known = chosenHeads.find(([chosen]) => chosen === row.chosen);
      return el("span.method", known ? el("span.dot", { style: { background: `var(--line-${known[2]})` } }) : null, named(row));
    } },
    { label: "Accuracy", numeric: true, descending: true, value: (row) => row.accuracy, cell: (row) => percent(row.accuracy) },
    { label: "95\u00a0% interval", numeric: true, value: (row) => row.low, cell: (row) => (row.low === null ? "–" : interval([row.low, row.high], percent)) },
  ];
  if (rows.some((row) => row.drop)) {
    columns.push({
      label: "Drop", title: "How much the expected answer's log-probability falls, nats; above 0 the heads helped", numeric: true, descending: true, value: (row) => (row.drop ? row.drop[0] : null),
      cell: (row) => (row.drop ? el("span", { title: row.drop[1] === null ? null : `95\u00a0% interval ${interval(row.drop.slice(1))}` }, number(row.drop[0]), el("span.star", containsZero(row.drop[1], row.drop[2]) ? "" : "*")) : "–"),
    });
  }
  if (rows.some((row) => row.p !== null && row.p !== undefined)) {
    columns.push({ label: "p", title: "McNemar's exact test of the same prompts with all heads on, two-sided", numeric: true, value: (row) => row.p, cell: (row) => number(row.p) });
  }
  sortableTable(container, { columns, caption: "Accuracy with heads switched off" }).setRows(rows);
}

function startAblation() {
  const ablations = listOf("ablations");
  if (ablations.length === 0) return;
  byId("ablation").hidden = false;
  ablations.forEach((ablation, i) => {
    const figure = el("figure");
    const table = el("div");
    byId("ablation-body").append(el("h3", { dir: "auto" }, ablation.title), el("p.hint", `${plural(ablation.prompts, "prompt")}. Bars are 95\u00a0% intervals.`), el("div.split", figure, table));
    const series = ablationLines(ablation.rows);
    if (series.length > 0) ablationChart(figure, series, i === 0 ? "ablation-chart" : `ablation-chart-${i + 1}`);
    ablationTable(table, ablation.rows);
    if (ablation.rows.some((row) => row.drop)) table.append(el("p.hint", "Drop: loss of the expected answer’s log-probability, in nats; * where its interval does not contain 0."));
  });
}
