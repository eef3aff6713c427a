/* Everything about the selected head: in words, over depth and length, and under every score. */

function placesOf(unit) {
  const { score } = headsState;
  if (!score.by_place || listOf("places").length === 0) return null;
  const lowest = extent(score.mean)[0];
  const scale = valueScale(lowest < 0 ? Math.min(lowest, score.by_place.min) : 0, score.by_place.max);
  const grid = placeGrid(report.places, (place, i) => {
    const value = valueAt(score, i, unit);
    if (Number.isNaN(value)) return { content: "–", muted: true, title: `${placeName(place)}: no accepted probe` };
    return { content: number(value), color: scale.color(value), ink: scale.ink(value), title: `${placeName(place)}: ${number(value)}, ${plural(place.accepted, "probe")}` };
  });
  const note = el("p.hint", "A colour means the same value for all heads.");
  return el("div.panel-places", el("h4", "By place of the needle, ", foreign(score.name)), grid, note);
}

function panelScores(unit) {
  const { score, view } = headsState;
  const range = (of) => intervalOf(of, unit);
  const box = el("div.panel-scores");
  const table = sortableTable(box, {
    caption: "Under every score",
    columns: [
      { label: "Score", value: (of) => of.name, cell: (of) => foreign(of.name) },
      { label: "Mean", numeric: true, descending: true, value: (of) => meanOf(of.mean, unit), cell: (of) => number(meanOf(of.mean, unit)) },
      { label: "95\u00a0% interval", numeric: true, value: (of) => (range(of) ? range(of)[0] : null), cell: (of) => (range(of) ? interval(range(of)) : "–") },
      { label: "Rank", numeric: true, value: (of) => rankOf(of, view, unit), cell: (of) => rankText(of, view, unit) },
    ],
    decorate: (tr, of) => tr.classList.toggle("chosen", of === score),
  });
  table.setRows(scores);
  box.prepend(el("h4", "Under every score"));
  return box;
}

function drawPanel(unit) {
  const { score } = headsState;
  const { rows, note } = headFacts(unit);
  byId("head-panel").replaceChildren(...[
    el("h3", `${unitTitle(unit)} · `, foreign(score.name)), note && el("p.hint", note),
    el("dl.facts", rows.map(([label, value]) => el("div", el("dt", label), el("dd", value)))),
    el("div.panel-columns", placesOf(unit), panelScores(unit)),
  ].filter(Boolean));
}
