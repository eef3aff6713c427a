/* Sorted scores over rank: how few heads hold how much of a score. */

/** A KV score has one value per KV head, the others one per query head. */
function sortedValues(score) {
  const facts = factsOf(score, rankedIn(score, views.heads));
  return facts.order.map((unit) => facts.values[unit]);
}

/** How many of the best hold this share of the sum of all positive values. */
function holding(values, share) {
  const total = values.reduce((sum, v) => sum + Math.max(0, v), 0);
  let sum = 0;
  for (let i = 0; i < values.length; i++) {
    sum += Math.max(0, values[i]);
    if (total > 0 && sum >= share * total * (1 - 1e-9)) return i + 1;
  }
  return 0;
}

function curveSeries() {
  return scores.map((score) => {
    const values = sortedValues(score);
    const largest = values[0] > 0 ? values[0] : 1;
    const [half, most] = [holding(values, 0.5), holding(values, 0.9)];
    const mark = (rank, shape) => ({ x: rank, y: values[rank - 1] / largest, shape });
    return {
      ...scoreStyle(score.name), name: score.name, score, values, half, most, points: values.map((v, rank) => ({ x: rank + 1, y: v / largest })),
      marks: half > 0 ? [mark(half, "circle"), mark(most, "diamond")] : [],
    };
  });
}

/** Room below 0 is made for the chosen score only: of another one the tail is cut off. */
function curveOptions(series, log, chosen) {
  const tail = series[scores.indexOf(chosen)].points;
  const lowest = Math.min(0, tail[tail.length - 1].y);
  const longest = Math.max(...series.map((s) => s.points.length));
  const powers = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000].filter((v) => v <= longest);
  const low = lowest < 0 ? Math.floor(lowest * 5) / 5 : 0;
  const ticks = log ? powers : [1, ...roundTicks(0, longest, 6).slice(1)];
  return {
    label: "Sorted scores over rank. The table beside it has how many heads hold 50 and 90 percent.", series, levels: [],
    x: { title: log ? "rank of the head (logarithmic)" : "rank of the head", min: 1, max: longest, log, ticks: ticks.map((value) => ({ value, label: integer(value) })) },
    y: { title: "score / largest", min: low, max: 1, ticks: roundTicks(low, 1, 5).map((value) => ({ value, label: tickNumber(value) })) },
    stops: Array.from({ length: longest }, (_, i) => i + 1),
    describe: (rank) => ({
      title: `Rank ${integer(rank)}`,
      rows: series.filter((s) => rank <= s.points.length).map((s) => {
        const ranking = rankedIn(s.score, views.heads);
        return [foreign(s.name), `${number(s.values[rank - 1])} · ${unitName(ranking.units[factsOf(s.score, ranking).order[rank - 1]])}`];
      }),
    }),
  };
}

function curveTable(series, chart) {
  const holds = (label, title, count) => ({ label, title, numeric: true, value: count, cell: (s) => (s.half > 0 ? integer(count(s)) : "–") });
  const rows = new Map();
  sortableTable(byId("curve-table"), {
    caption: "Heads that hold a share of the sum",
    columns: [
      { label: "Score", value: (s) => s.name, cell: (s) => el("span.method", lineSwatch(s), foreign(s.name)) },
      holds("● 50 %", "Heads that hold half of the sum", (s) => s.half), holds("◆ 90 %", "Heads that hold nine tenths of the sum", (s) => s.most),
      { label: "of", title: "Heads in all", numeric: true, value: (s) => s.values.length, cell: (s) => `${integer(s.values.length)}${s.score.kv && groupSize > 1 ? " KV" : ""}` },
    ],
    decorate: (tr, s) => {
      rows.set(s, tr);
      tr.classList.toggle("chosen", s.score === headsState.score);
      tr.addEventListener("pointerenter", () => chart.emphasise(s.name));
      tr.addEventListener("pointerleave", () => chart.emphasise(headsState.score.name));
    },
  }).setRows(series);
  byId("curve-table").prepend(el("h3", "Heads that hold 50 and 90 %"));
  return rows;
}

function startCurve() {
  if (scores.length === 0) return;
  byId("curve").hidden = false;
  const series = curveSeries();
  let log = true;
  const chart = lineChart(byId("curve-chart"), curveOptions(series, log, headsState.score), "curve-lines");
  const rows = curveTable(series, chart);
  const draw = () => {
    chart.update(curveOptions(series, log, headsState.score));
    chart.emphasise(scores.length > 1 ? headsState.score.name : null);
  };
  byId("curve-controls").append(segmented("Rank axis", "rank-axis", [{ value: "log", label: "logarithmic" }, { value: "linear", label: "linear" }], "log", (value) => {
    log = value === "log";
    draw();
  }));
  scoreListeners.push((score) => {
    for (const [s, tr] of rows) tr.classList.toggle("chosen", s.score === score);
    draw();
  });
  draw();
}
