/* The header, the navigation, the theme, the run's facts; starts every section. */

const themes = [{ value: "auto", label: "auto" }, { value: "light", label: "light" }, { value: "dark", label: "dark" }];

/** Files opened from a disk may have no storage; the choice then holds until the page is closed. */
function storedTheme() {
  try {
    return localStorage.getItem("headprof-theme") || "auto";
  } catch {
    return "auto";
  }
}

function setTheme(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem("headprof-theme", theme);
  } catch {
    // Nothing is lost but the memory of the choice.
  }
}

function parameterCount(n) {
  if (n >= 1e9) return `${number(n / 1e9)} billion parameters`;
  if (n >= 1e6) return `${number(n / 1e6)} million parameters`;
  return `${integer(n)} parameters`;
}

function modelFacts() {
  const facts = [`${plural(model.layers, "layer")} × ${plural(model.heads, "head")}`];
  if (model.kv_heads) facts.push(plural(model.kv_heads, "KV head"));
  if (model.parameters) facts.push(parameterCount(model.parameters));
  if (model.weights) facts.push(`weights ${model.weights}`);
  return facts.join(" · ");
}

/** One sentence a section, with what a reader would quote. None names a winner: intervals overlap. */
function scoreSentence() {
  const score = scores[0];
  const ranking = rankedIn(score, views.heads);
  const facts = factsOf(score, ranking);
  const best = ranking.units[facts.order[0]];
  const range = intervalOf(score, best);
  const sentence = [`${unitTitle(best)} scores highest on `, foreign(score.name), " (", foreign(score.title), `): ${number(facts.values[best.index])}${range ? `, 95\u00a0% interval ${interval(range)}` : ""}.`];
  if (score.low) {
    const told = toldApart(score);
    sentence.push(` ${integer(told)} of ${integer(facts.order.length)} ${unitsOf(score, views.heads)} ${told === 1 ? "is" : "are"} told apart from 0.`);
  }
  return sentence;
}

function compressionSentence(evaluation) {
  const full = evaluation.rows.find((row) => row.budget === null);
  const limited = evaluation.rows.filter((row) => row.budget !== null);
  if (limited.length === 0) return null;
  const budget = extent(limited.map((row) => row.budget))[0];
  const rows = limited.filter((row) => row.budget === budget).sort((a, b) => a.accuracy - b.accuracy);
  const named = (row) => [`${percent(row.accuracy)} (`, foreign(row.method), row.head_score && " by ", row.head_score && foreign(row.head_score), ")"];
  const span = rows.length > 1 ? ["from ", named(rows[0]), " to ", named(rows[rows.length - 1])] : named(rows[0]);
  return [`With ${plural(budget, "token")} a head, the share of right answers is `, span, full ? `; with the full cache it is ${percent(full.accuracy)}.` : "."];
}

function ablationSentence(ablation) {
  const none = ablation.rows.find((row) => row.chosen === "none");
  const most = extent(ablation.rows.map((row) => row.k))[1];
  const at = (chosen) => ablation.rows.find((row) => row.chosen === chosen && row.k === most);
  if (!none || !at("top")) return null;
  const random = at("random") ? ` and ${percent(at("random").accuracy)} with as many random ones off` : "";
  return [`With the ${most === 1 ? "best head" : `${integer(most)} best heads`} off, ${percent(at("top").accuracy)} of the answers are right, against ${percent(none.accuracy)} with all heads on${random}.`];
}

function writeSummary() {
  const sentences = [scores.length > 0 ? scoreSentence() : null, listOf("evaluations").length > 0 ? compressionSentence(report.evaluations[0]) : null,
    listOf("ablations").length > 0 ? ablationSentence(report.ablations[0]) : null].filter(Boolean);
  byId("summary").replaceChildren(...sentences.map((parts) => el("p", parts.flat(3))));
}

function writeHeader() {
  byId("kicker").textContent = `headprof ${report.headprof} · attention-head report`;
  byId("model-name").textContent = model.name;
  byId("model-facts").textContent = modelFacts();
  const theme = storedTheme();
  setTheme(theme);
  byId("theme-toggle").append(segmented("Theme", "theme", themes, theme, setTheme));
  writeSummary();
}

function writeNavigation() {
  for (const section of document.querySelectorAll("main > section")) {
    if (section.hidden) continue;
    byId("nav-links").append(el("li", el("a", { href: `#${section.id}` }, section.querySelector("h2").textContent)));
  }
}

function howToRead() {
  const lines = ["Head 18-6 is query head 6 of layer 18; both count from 0. Heads of a KV group share keys and values."];
  if (scores.some((score) => score.low) || listOf("evaluations").length > 0 || listOf("ablations").length > 0) {
    lines.push("A 95\u00a0% interval takes needles and places as clusters: it is about other needles and other places, not only about more of the same prompts.");
  }
  if (scores.length > 0) {
    lines.push("Grey: the head’s interval contains 0. These prompts do not show that it does anything, nor that it does nothing.",
      "Top ten: the share of 1,000 resamples of needles and places in which the head is among the ten best.",
      "Only accepted answers count: a head’s score is about answers that came out right.");
  } else {
    lines.push("A difference whose interval contains 0 may be chance: these prompts do not tell the two apart.");
  }
  return lines;
}

function startAbout() {
  byId("about").hidden = false;
  byId("about-list").replaceChildren(...listOf("about").flatMap(([label, text]) => [el("dt", { dir: "auto" }, label), el("dd", { dir: "auto", class: label === "Command" ? "command" : null }, text)]));
  byId("how-to-read").replaceChildren(...howToRead().map((line) => el("li", line)));
}

const failures = [];
for (const start of [writeHeader, startHeads, startCurve, startAnswers, startBudgets, startCompression, startAblation, startLook, startAbout, writeNavigation]) {
  // A section that cannot be drawn must not take the others with it.
  try {
    start();
  } catch (error) {
    failures.push(error);
    console.error(error);
  }
}
if (failures.length > 0) byId("summary").append(el("p", "A part of this page cannot be drawn. The browser’s console says why."));

window.headprofReport = { ready: true };
