/* Which prompts were answered: by place, and one by one. */

const answers = listOf("answers");
const answersState = { status: "all", text: "", place: null, shown: 50 };
const answersStep = 50;

/** Answers name no place; its length and depth, or its task where there is no depth, do. */
function answerIn(answer, place) {
  if (answer.length !== place.length) return false;
  if (place.depth !== null && place.depth !== undefined) return answer.depth === place.depth;
  return !place.label || answer.label === place.label || answer.about === place.label;
}

function answerPlace(answer) {
  const where = answer.depth === null || answer.depth === undefined ? answer.label : tickNumber(answer.depth);
  return [integer(answer.length), where].filter(Boolean).join(" · ");
}

const haystackOf = new Map();

function matches(answer) {
  if (answersState.status !== "all" && answer.status !== answersState.status) return false;
  if (answersState.place && !answerIn(answer, answersState.place)) return false;
  if (!haystackOf.has(answer)) {
    haystackOf.set(answer, [answer.id, answer.about, answer.expected, answer.answer, answer.reason].filter(Boolean).join("\n").toLowerCase());
  }
  return answersState.text === "" || haystackOf.get(answer).includes(answersState.text);
}

/** Gates such as exact have no threshold. */
function gateRule() {
  const { name, threshold } = report.gate;
  return threshold === null ? name : `${name}, above ${tickNumber(threshold)}`;
}

function gateCell(answer) {
  if (answer.gate === null || answer.gate === undefined) return "–";
  const threshold = report.gate ? report.gate.threshold : null;
  const bar = el("span.gate", { "aria-hidden": "true" }, el("span.gate-value", { style: { width: `${100 * Math.min(1, Math.max(0, answer.gate))}%` } }));
  if (threshold !== null) bar.append(el("span.gate-threshold", { style: { left: `${100 * threshold}%` } }));
  return el("span.gate-cell", number(answer.gate), bar);
}

function answerRow(answer) {
  const status = el("span", { class: `status status-${answer.status}` }, answer.status);
  const cells = [
    ["Id", el("code", answer.id)], ["About", foreign(answer.about)], ["Place", answerPlace(answer)], ["Expected", foreign(answer.expected)],
    ["Answer", answer.answer === null ? el("em", "no answer") : foreign(answer.answer.trim(), { class: "answer-text" })],
    ["Gate", gateCell(answer)], ["Status", el("span", status, answer.reason ? el("span.reason", { dir: "auto" }, answer.reason) : null)],
  ];
  return el("tr", cells.map(([label, content]) => el("td", { "data-label": label, class: `answer-${label.toLowerCase()}` }, content)));
}

function drawAnswers() {
  const found = answers.filter(matches);
  const { place, shown } = answersState;
  const clear = byId("place-clear");
  clear.hidden = !place;
  clear.textContent = place ? `${placeName(place)} ×` : "";
  clear.setAttribute("aria-label", place ? `Show all places again, not only ${placeName(place)}` : "");
  byId("answers-count").textContent = found.length === answers.length ? `${plural(answers.length, "answer")}` : `${integer(found.length)} of ${plural(answers.length, "answer")}`;
  const gate = report.gate ? `Gate: ${gateRule()}` : "Gate";
  const head = [["Id"], ["About"], ["Place", "Prompt length, tokens · depth"], ["Expected"], ["Answer"], ["Gate", gate], ["Status"]]
    .map(([label, title]) => el("th", { scope: "col", title: title || null }, label));
  const table = el("table", { class: "data answers" }, el("caption.unseen", "Answers"), el("thead", el("tr", head)), el("tbody", found.slice(0, shown).map(answerRow)));
  byId("answers-list").replaceChildren(found.length > 0 ? table : el("p.hint", "No answer matches."));
  if (found.length > shown) {
    byId("answers-list").append(el("button", {
      type: "button", class: "more",
      onclick: () => {
        answersState.shown += answersStep;
        drawAnswers();
      },
    }, `Show ${Math.min(answersStep, found.length - shown)} more of ${integer(found.length - shown)}`));
  }
}

function filterAnswers(change) {
  Object.assign(answersState, change, { shown: answersStep });
  drawAnswers();
}

function drawAnswersGrid() {
  byId("answers-grid").replaceChildren(placeGrid(report.places, (place) => {
    if (place.probes === 0) return { content: "–", muted: true, title: `${placeName(place)}: no prompt` };
    const share = place.accepted / place.probes;
    const counts = `${integer(place.accepted)} of ${integer(place.probes)}`;
    return {
      content: el("span", el("b", percent(share)), el("small", counts)), color: viridis(share), ink: viridisInk(share), title: `${placeName(place)}: ${counts} accepted`,
      onclick: (event) => choosePlace(place, event.currentTarget),
    };
  }));
}

/** A second press on the same cell shows all places again. */
function choosePlace(place, button) {
  const chosen = place !== null && place !== answersState.place;
  for (const other of byId("answers-grid").querySelectorAll("button")) other.setAttribute("aria-pressed", String(chosen && other === button));
  filterAnswers({ place: chosen ? place : null });
}

function startAnswers() {
  if (answers.length === 0 && listOf("places").length === 0) return;
  byId("answers").hidden = false;
  const count = (status) => answers.filter((answer) => answer.status === status).length;
  const [accepted, rejected, failed] = ["accepted", "rejected", "failed"].map(count);
  const gate = report.gate ? ` The gate is ${gateRule()}.` : "";
  const summary = `${integer(accepted)} of ${plural(answers.length, "answer")} accepted (${percent(answers.length ? accepted / answers.length : 0)}), ${integer(rejected)} rejected, ${integer(failed)} failed.`;
  byId("answers-lead").textContent = `${answers.length ? summary : ""}${gate} Only accepted answers enter the scores.`;
  if (listOf("places").length > 0) drawAnswersGrid();
  if (answers.length === 0) {
    byId("answers-list").closest(".no-print").hidden = true;
    return;
  }
  byId("answers-print").textContent = "The single answers are listed on the screen only.";
  const options = [["all", answers.length], ["accepted", accepted], ["rejected", rejected], ["failed", failed]].map(([value, n]) => ({ value, label: `${value} ${integer(n)}` }));
  byId("status-choice").append(segmented("Status", "status", options, "all", (status) => filterAnswers({ status })));
  const search = byId("answers-search");
  search.addEventListener("input", debounced(() => filterAnswers({ text: search.value.trim().toLowerCase() }), 80));
  byId("place-clear").addEventListener("click", () => choosePlace(null));
  drawAnswers();
}
