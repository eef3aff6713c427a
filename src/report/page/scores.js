/* What the maps, tables and tooltips ask about scores: values per head or KV group, ranks, what is told apart from 0. */

const scores = listOf("scores");
const headCount = model.layers * model.heads;
const topCount = 10;

/** A view cuts a layer into rows: query heads, or KV groups of several. A unit is one row of one layer. */
function makeView(id, rows) {
  const heads = model.heads / rows;
  const units = Array.from({ length: model.layers * rows }, (_, index) => {
    const layer = Math.floor(index / rows);
    const row = index % rows;
    const first = layer * model.heads + row * heads;
    return { index, layer, row, heads: Array.from({ length: heads }, (_, i) => first + i) };
  });
  return { id, rows, units, single: heads === 1 };
}

const views = { heads: makeView("heads", model.heads), groups: groupSize > 1 ? makeView("groups", model.heads / groupSize) : makeView("groups", model.heads) };

const headName = (head) => `${Math.floor(head / model.heads)}-${head % model.heads}`;
const groupOf = (unit) => Math.floor((unit.heads[0] % model.heads) / groupSize);

function headSpan(unit) {
  const first = unit.heads[0] % model.heads;
  return `${first} to ${first + unit.heads.length - 1}`;
}

const unitName = (unit) => (unit.heads.length === 1 ? headName(unit.heads[0]) : `${unit.layer}-g${unit.row}`);
const unitTitle = (unit) => (unit.heads.length === 1 ? `Head ${headName(unit.heads[0])}` : `Layer ${unit.layer}, KV group ${unit.row}`);

/** KV scores are ranked by KV head: as query heads, every one would stand there several times. */
const rankedIn = (score, view) => (score.kv ? views.groups : view);
const unitsOf = (score, view) => (rankedIn(score, view) === views.groups && groupSize > 1 ? (score.kv ? "KV heads" : "KV groups") : "heads");

const meanOf = (values, unit) => unit.heads.reduce((sum, head) => sum + values[head], 0) / unit.heads.length;

function notTold(score, head) {
  return score.low !== null && score.high !== null && containsZero(score.low[head], score.high[head]);
}

const factsByScore = new Map();

/** values, order (best first), rank (equal values share one) of all units of a view under a score; computed once. */
function factsOf(score, view) {
  const key = `${scores.indexOf(score)} ${view.id}`;
  if (factsByScore.has(key)) return factsByScore.get(key);
  const values = view.units.map((unit) => meanOf(score.mean, unit));
  const order = view.units.map((unit) => unit.index).sort((a, b) => values[b] - values[a] || a - b);
  const rank = [];
  const tied = [];
  order.forEach((unit, place) => {
    const before = place > 0 && values[order[place - 1]] === values[unit] ? rank[order[place - 1]] : place + 1;
    rank[unit] = before;
    tied[before] = (tied[before] || 0) + 1;
  });
  const facts = { values, order, rank, tied, muted: view.units.map((unit) => unit.heads.every((head) => notTold(score, head))) };
  factsByScore.set(key, facts);
  return facts;
}

/** The unit of the ranking that holds this unit: itself, or its KV head. */
function rankedUnit(score, view, unit) {
  return score.kv && view === views.heads && groupSize > 1 ? views.groups.units[unit.layer * views.groups.rows + groupOf(unit)] : unit;
}

const rankOf = (score, view, unit) => factsOf(score, rankedIn(score, view)).rank[rankedUnit(score, view, unit).index];

function rankText(score, view, unit) {
  const facts = factsOf(score, rankedIn(score, view));
  const rank = rankOf(score, view, unit);
  const others = facts.tied[rank] - 1;
  return `${integer(rank)} of ${integer(facts.order.length)}${unitsOf(score, view) === "heads" ? "" : ` ${unitsOf(score, view)}`}${others > 0 ? `, tied with ${integer(others)}` : ""}`;
}

/** The best units by value. Values of 0 and below are no retrieval, however few are above. */
function bestUnits(score, view) {
  const ranking = rankedIn(score, view);
  const facts = factsOf(score, ranking);
  return facts.order.filter((unit) => facts.rank[unit] <= topCount && facts.values[unit] > 0).map((unit) => ranking.units[unit]);
}

/** A group has an interval only where its heads share one. */
function intervalOf(score, unit) {
  if (score.low === null || score.high === null || (unit.heads.length > 1 && !score.kv)) return null;
  return [score.low[unit.heads[0]], score.high[unit.heads[0]]];
}

const toldApart = (score) => {
  const facts = factsOf(score, rankedIn(score, views.heads));
  return facts.muted.filter((muted) => !muted).length;
};

const wordsByScore = new Map();

/** The mean of a unit at a place; NaN where no probe there was accepted. */
function valueAt(score, place, unit) {
  const packed = score.by_place;
  if (!wordsByScore.has(score)) wordsByScore.set(score, wordsOf(packed.values));
  const words = wordsByScore.get(score);
  const values = unit.heads.map((head) => words[place * headCount + head]).filter((word) => word !== 65535);
  if (values.length === 0) return NaN;
  return packed.min + ((values.reduce((a, b) => a + b, 0) / values.length) / 65534) * (packed.max - packed.min);
}

const kindNames = Object.keys(report.kinds || {});

/** The smallest and the largest value: the ends of the colours and of the interval bars. */
function extent(values) {
  let [min, max] = [Infinity, -Infinity];
  for (const v of values) {
    if (v < min) min = v;
    if (v > max) max = v;
  }
  return [min, max];
}
