/* The map of all heads under one score, and the table of the best. */

const tableRows = 20;
const tableStep = 1000;
const headsState = { score: scores[0], view: views.heads, shade: "mean", unit: null, rows: tableRows };
const scoreListeners = [];

/** What a cell's colour says: the score, the probability of the top ten, or one kind of head. */
function shadePicture() {
  const { score, view, shade } = headsState;
  const facts = factsOf(score, view);
  if (shade === "mean") {
    const [min, max] = extent(facts.values);
    return { values: facts.values, scale: valueScale(min, max), muted: (i) => facts.muted[i], title: score.name, grey: facts.muted.some(Boolean) };
  }
  const source = shade === "top" ? score.top : report.kinds[shade];
  const values = view.units.map((unit) => meanOf(source, unit));
  const max = shade === "top" ? 1 : extent(values)[1];
  const title = shade === "top" ? "probability of the top ten" : `${spaced(shade)}, share of attention`;
  return { values, scale: amountScale(max), muted: () => false, title: view.single ? title : `${title}, mean of the heads`, grey: false };
}

function outlinesOf(score, view) {
  return bestUnits(score, view).map((unit) => (score.kv && view === views.heads ? { column: unit.layer, row: unit.row * groupSize, span: groupSize } : { column: unit.layer, row: unit.row }));
}

/** What is known of a unit under the chosen score: label and value. */
function headFacts(unit) {
  const { score, view } = headsState;
  const single = unit.heads.length === 1;
  const range = intervalOf(score, unit);
  const rows = [["Layer", String(unit.layer)]];
  if (single) rows.push(["Head", String(unit.row)]);
  rows.push(["KV group", single ? String(groupOf(unit)) : `${unit.row}, heads ${headSpan(unit)}`]);
  rows.push([single || score.kv ? "Mean" : "Mean of its heads", number(meanOf(score.mean, unit))]);
  if (range) rows.push(["95\u00a0% interval", interval(range)]);
  if (score.top && (single || score.kv)) rows.push(["In the top ten", percent(meanOf(score.top, unit))]);
  rows.push(["Rank", rankText(score, view, unit)]);
  if (!single && !score.kv) rows.push(["Its heads", unit.heads.map((head) => number(score.mean[head])).join(" · ")]);
  for (const kind of kindNames) rows.push([`${capital(spaced(kind))} attention`, percent(meanOf(report.kinds[kind], unit))]);
  const grey = single || score.kv ? "Not told apart from 0." : "None of its heads is told apart from 0.";
  return { rows, note: factsOf(score, view).muted[unit.index] ? grey : null };
}

function describeHead(column, row) {
  const { score, view } = headsState;
  const unit = view.units[column * view.rows + row];
  const { rows, note } = headFacts(unit);
  const others = scores.filter((other) => other !== score).slice(0, 8);
  rows.push(...others.map((other) => [foreign(other.name), `${number(meanOf(other.mean, unit))} · rank ${integer(rankOf(other, view, unit))}`]));
  return { title: el("span", `${unitTitle(unit)} · `, foreign(score.name)), rows, note };
}

let headsMap = null;

function legendKey(kind, text) {
  return el("span.legend-key", el("span", { class: `key ${kind}`, "aria-hidden": "true" }), text);
}

function drawMap() {
  const { score, view } = headsState;
  const picture = shadePicture();
  const best = outlinesOf(score, view);
  headsMap.draw({
    ...picture, rows: view.rows, text: (v) => cellNumber(v).replace(/^0$/, ""), outlines: best,
    rowTitle: view === views.heads ? "head" : "KV group", rowsPerGroup: view === views.heads ? groupSize : 1,
  });
  const keys = [colorBar(picture.scale, picture.title)];
  if (best.length > 0) keys.push(legendKey("key-outline", `the ${best.length === topCount ? "ten" : best.length} best ${unitsOf(score, view)}${best.length > topCount ? " (with ties)" : ""}`));
  if (picture.grey) keys.push(legendKey("key-muted", `${view.single || score.kv ? "not" : "no head"} told apart from 0 (95\u00a0%)`));
  byId("heads-legend").replaceChildren(...keys);
  if (headsState.unit) headsMap.select(headsState.unit.layer, headsState.unit.row);
}

/** A selected row's mark moves without the table being drawn again. */
function markRow(tr, unit) {
  const chosen = unit === headsState.unit || (headsState.unit && headsState.score.kv && groupOf(unit) === groupOf(headsState.unit) && unit.layer === headsState.unit.layer);
  tr.classList.toggle("chosen", Boolean(chosen));
}

let headsTable = null;
let tableUnits = new Map();

function buildTable() {
  const { score } = headsState;
  const view = rankedIn(score, headsState.view);
  const facts = factsOf(score, view);
  const [min, max] = extent(score.low ? [...score.low, ...score.high] : score.mean);
  const columns = [
    { label: "#", title: "Rank", numeric: true, value: (u) => facts.rank[u.index], cell: (u) => integer(facts.rank[u.index]) },
    {
      label: unitsOf(score, view) === "heads" ? "Head" : "Group", title: "Layer-head", value: (u) => u.index,
      cell: (u) => el("button", { type: "button", class: "link", onclick: () => selectUnit(sameUnit(u, headsState.view)) }, unitName(u)),
    },
    { label: "Mean", numeric: true, descending: true, value: (u) => facts.values[u.index], cell: (u) => number(facts.values[u.index]) },
  ];
  const ranged = score.low !== null && (view.single || score.kv);
  columns.push({
    label: ranged ? "95\u00a0% interval" : "Value", title: ranged ? "Sorts by the lower end" : "", descending: true,
    value: (u) => (ranged ? intervalOf(score, u)[0] : facts.values[u.index]),
    cell: (u) => {
      const range = intervalOf(score, u) || [null, null];
      const bar = intervalBar(facts.values[u.index], range[0], range[1], min < -0.1 * max ? min : 0, max);
      if (ranged) bar.setAttribute("title", interval(range));
      return bar;
    },
  });
  if (score.top && (view.single || score.kv)) {
    const top = (u) => meanOf(score.top, u);
    columns.push({ label: "Top ten", title: "Probability of being among the ten best", numeric: true, descending: true, value: top, cell: (u) => percent(top(u)) });
  }
  tableUnits = new Map();
  headsTable = sortableTable(byId("heads-table"), {
    columns, caption: `Best by ${score.name}`,
    decorate: (tr, unit) => {
      tableUnits.set(tr, unit);
      tr.classList.toggle("muted", facts.muted[unit.index]);
      markRow(tr, unit);
    },
  });
  fillTable(view, facts);
}

/** Thousands of rows at once would hold the page up. */
function fillTable(view, facts) {
  const total = facts.order.length;
  const name = unitsOf(headsState.score, view);
  tableUnits.clear();
  headsTable.setRows(facts.order.map((i) => view.units[i]), headsState.rows);
  byId("heads-table-title").textContent = headsState.rows >= total ? `All ${integer(total)} ${name}` : `The ${integer(headsState.rows)} best ${name}`;
  const resize = (label, rows) => el("button.more", {
    type: "button",
    onclick: () => {
      headsState.rows = rows;
      fillTable(view, facts);
    },
  }, label);
  const next = total - headsState.rows <= tableStep ? total : headsState.rows + tableStep;
  byId("heads-table-more").replaceChildren(...[
    next > headsState.rows && resize(next === total ? `Show all ${integer(total)}` : `Show ${integer(tableStep)} more of ${integer(total)}`, next),
    headsState.rows > tableRows && resize(`Show the best ${tableRows} only`, tableRows),
  ].filter(Boolean));
}

/** The unit of a view that holds this one's first head. */
function sameUnit(unit, view) {
  if (view.units[unit.index] === unit) return unit;
  return view.units[unit.layer * view.rows + Math.floor((unit.heads[0] % model.heads) / (model.heads / view.rows))];
}

function selectUnit(unit) {
  headsState.unit = unit;
  headsMap.select(unit.layer, unit.row);
  for (const [tr, of] of tableUnits) markRow(tr, of);
  drawPanel(unit);
}

function showScore() {
  const { score } = headsState;
  byId("score-title").textContent = `${capital(score.title)}.`;
  byId("score-formula").replaceChildren(el("summary", "Formula and source"), el("p.formula", { dir: "auto" }, score.formula),
    el("p", { dir: "auto" }, score.source));
  const ranking = unitsOf(score, views.heads);
  const total = rankedIn(score, views.heads).units.length;
  const told = score.low ? `${integer(toldApart(score))} of ${plural(total, ranking.replace(/s$/, ""), ranking)} ${toldApart(score) === 1 ? "is" : "are"} told apart from 0. ` : "";
  byId("heads-lead").textContent = `Which heads score high, and how sure is that? ${told}Means of ${plural(score.probes, "probe")}${score.kv ? "; this score is one number per KV head" : ""}.`;
}

function drawHeads() {
  headsState.rows = tableRows;
  showScore();
  if (!headsState.unit) headsState.unit = sameUnit(rankedIn(headsState.score, headsState.view).units[factsOf(headsState.score, rankedIn(headsState.score, headsState.view)).order[0]], headsState.view);
  buildTable();
  drawMap();
  drawPanel(headsState.unit);
}

function setShade(shade) {
  headsState.shade = shade;
  drawMap();
}

/** A score without the probability of the top ten cannot be shaded by it. */
function shadeChoice() {
  const options = [{ value: "mean", label: "mean" }];
  if (headsState.score.top) options.push({ value: "top", label: "top ten" });
  for (const kind of kindNames) options.push({ value: kind, label: spaced(kind) });
  if (!options.some((option) => option.value === headsState.shade)) headsState.shade = "mean";
  byId("shade-choice").replaceChildren(...(options.length > 1 ? [segmented("Shade", "shade", options, headsState.shade, setShade)] : []));
}

function startHeads() {
  if (scores.length === 0) return;
  byId("heads").hidden = false;
  headsMap = heatmap(byId("heads-map-box"), {
    id: "heads-map", columns: model.layers, rows: views.heads.rows, label: "Scores of all heads, layer by head. Arrow keys move, Enter selects.",
    describe: describeHead,
    onSelect: (column, row) => selectUnit(headsState.view.units[column * headsState.view.rows + row]),
  });
  fillSelect(byId("score-select"), scores.map((score) => score.name), (i) => {
    headsState.score = scores[i];
    shadeChoice();
    drawHeads();
    for (const listener of scoreListeners) listener(scores[i]);
  });
  if (groupSize > 1) {
    const options = [{ value: "heads", label: "query heads" }, { value: "groups", label: "KV groups" }];
    byId("view-choice").append(segmented("View", "view", options, "heads", (value) => {
      headsState.unit = sameUnit(headsState.unit, views[value]);
      headsState.view = views[value];
      drawHeads();
    }));
  }
  shadeChoice();
  drawHeads();
}
