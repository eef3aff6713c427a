/* One prompt as text, shaded by the attention of a head, step by step through the answer. */

const looks = listOf("looks");
const lookState = { look: looks[0], head: 0, step: 0 };
const foldAtLeast = 40;
const foldMargin = 10;
const foldBelow = 0.002;
const weightsByStep = new Map();

function weightsOf(step) {
  if (!weightsByStep.has(step)) weightsByStep.set(step, Array.from(bytesOf(step.weights), (byte) => (byte / 255) * step.max));
  return weightsByStep.get(step);
}

const inNeedle = (look, token) => look.needle.some(([from, to]) => token >= from && token < to);

/** Stretches that the head leaves alone at every step, so that the text stays where it is from step to step. */
function foldsOf(look, head) {
  const keep = new Uint8Array(look.tokens.length);
  const around = (token) => keep.fill(1, Math.max(0, token - foldMargin), token + foldMargin + 1);
  look.tokens.forEach((_, token) => {
    if (inNeedle(look, token) || head.steps.some((step) => weightsOf(step)[token] >= foldBelow)) around(token);
  });
  const folds = [];
  for (let from = 0; from < keep.length; from++) {
    if (keep[from]) continue;
    let to = from;
    while (to < keep.length && !keep[to]) to++;
    if (to - from >= foldAtLeast) folds.push([from, to]);
    from = to;
  }
  return folds;
}

let tokenSpans = [];

/** Line breaks of the prompt are kept as they are, and marked, so that a shaded one can be seen. */
function tokenSpan(look, token) {
  const text = look.tokens[token];
  const kind = inNeedle(look, token) ? "token needle" : "token";
  const span = el("span", { class: kind, "data-token": token }, text.split("\n").flatMap((line, i) => (i === 0 ? [line] : [el("span.line-break", { "aria-hidden": "true" }, "↵"), "\n", line])));
  tokenSpans[token] = span;
  return span;
}

function foldButton(look, head, from, to) {
  const most = Math.max(...head.steps.map((step) => weightsOf(step).slice(from, to).reduce((a, b) => a + b, 0)));
  const spans = el("span", { hidden: true }, Array.from({ length: to - from }, (_, i) => tokenSpan(look, from + i)));
  const button = el("button", { type: "button", class: "fold", title: `At most ${percent(most)} of the attention at any step` },
    `${integer(to - from)} tokens with ${most < 0.001 ? "almost no" : `at most ${percent(most)} of the`} attention`);
  button.addEventListener("click", () => {
    spans.hidden = false;
    button.remove();
  });
  return [button, spans];
}

function drawPrompt() {
  const { look } = lookState;
  const head = look.heads[lookState.head];
  tokenSpans = [];
  const parts = [];
  let token = 0;
  for (const [from, to] of [...foldsOf(look, head), [look.tokens.length, look.tokens.length]]) {
    for (; token < from; token++) parts.push(tokenSpan(look, token));
    if (to > from) parts.push(...foldButton(look, head, from, to));
    token = to;
  }
  byId("look-text").replaceChildren(...parts);
  shadeStep();
  scrollToNeedle();
}

/** Inside its own box: the page must not jump when a head is chosen. */
function scrollToNeedle() {
  const box = byId("look-text");
  const first = lookState.look.needle.length > 0 ? tokenSpans[lookState.look.needle[0][0]] : null;
  if (first) box.scrollTop += first.getBoundingClientRect().top - box.getBoundingClientRect().top - box.clientHeight / 3;
}

/** The square root keeps small weights visible beside the first token, on which heads rest. */
const shadeOf = (weight, max) => Math.sqrt(Math.max(0, weight) / (max || 1));

function onNeedle(look, step) {
  return weightsOf(step).reduce((sum, w, token) => sum + (inNeedle(look, token) ? w : 0), 0);
}

/** The first step seldom shows anything: heads that have nothing to do rest on the first token. */
function tellingStep() {
  const { steps } = lookState.look.heads[lookState.head];
  const shares = steps.map((step) => onNeedle(lookState.look, step));
  return shares.indexOf(Math.max(...shares));
}

function shadeStep() {
  const { look } = lookState;
  const head = look.heads[lookState.head];
  const step = head.steps[lookState.step];
  const weights = weightsOf(step);
  tokenSpans.forEach((span, token) => {
    const shade = shadeOf(weights[token], step.max);
    span.style.background = shade > 0.02 ? `color-mix(in oklab, var(--heat) ${(100 * shade).toFixed(0)}%, transparent)` : "";
    span.classList.toggle("hot", shade > 0.6);
  });
  const strongest = weights.indexOf(Math.max(...weights));
  byId("look-facts").replaceChildren("Writing ", el("b", foreign(JSON.stringify(step.token))), ` (step ${lookState.step + 1} of ${head.steps.length}), `,
    `head ${head.layer}-${head.head} gives ${percent(onNeedle(look, step))} of its attention to the needle, and the most, ${percent(weights[strongest])}, to `,
    el("b", foreign(JSON.stringify(look.tokens[strongest]))), ` (token ${integer(strongest)}).`);
  for (const [i, chip] of Array.from(byId("look-stepper").querySelectorAll(".chip")).entries()) {
    if (i === lookState.step) chip.setAttribute("aria-current", "step");
    else chip.removeAttribute("aria-current");
  }
  byId("look-step").value = lookState.step;
  byId("look-legend").replaceChildren(colorBar({
    gradient: gradientOf((t) => `color-mix(in oklab, var(--heat) ${(100 * t).toFixed(0)}%, transparent)`, 0, 1),
    ticks: [0, 0.25, 0.5, 1].map((at) => ({ at, label: percent(at * at * step.max) })),
  }, "attention (square root)"), legendKey("key-needle", "needle"));
}

function goToStep(step) {
  const { steps } = lookState.look.heads[lookState.head];
  lookState.step = Math.max(0, Math.min(steps.length - 1, step));
  shadeStep();
}

function drawStepper() {
  const { steps } = lookState.look.heads[lookState.head];
  const slider = el("input", {
    type: "range", id: "look-step", min: 0, max: steps.length - 1, step: 1, value: lookState.step, "aria-label": "Step of the answer",
    oninput: (event) => goToStep(Number(event.target.value)),
  });
  byId("look-stepper").replaceChildren(
    el("div", { class: "stepper-controls no-print" },
      el("button", { type: "button", "aria-label": "Previous token", onclick: () => goToStep(lookState.step - 1) }, "←"), slider,
      el("button", { type: "button", "aria-label": "Next token", onclick: () => goToStep(lookState.step + 1) }, "→")),
    el("div.chips", { role: "group", "aria-label": "Tokens of the answer" }, el("span.chips-label", "Answer"),
      steps.map((step, i) => el("button", { type: "button", class: "chip", onclick: () => goToStep(i) }, foreign(step.token.trim() === "" ? JSON.stringify(step.token) : step.token)))));
}

function describeToken(event) {
  const span = event.target.closest("[data-token]");
  if (!span) return hideTooltip();
  const token = Number(span.dataset.token);
  const { look } = lookState;
  const weight = weightsOf(look.heads[lookState.head].steps[lookState.step])[token];
  return showTooltip(foreign(JSON.stringify(look.tokens[token])), [["Attention", percent(weight)], ["Token", `${integer(token)} of ${integer(look.tokens.length)}`]], span.getBoundingClientRect(), inNeedle(look, token) ? "Part of the needle." : null);
}

function fillLookHeads() {
  const labels = lookState.look.heads.map((head) => `${head.layer}-${head.head}${head.score ? ` (${head.score})` : ""}`);
  byId("look-head").replaceChildren(...labels.map((label, i) => el("option", { value: i }, label)));
  byId("look-head").value = lookState.head;
}

function chooseHead(head) {
  lookState.head = head;
  lookState.step = Math.min(lookState.step, lookState.look.heads[head].steps.length - 1);
  drawStepper();
  drawPrompt();
}

function startLook() {
  if (looks.length === 0) return;
  byId("look").hidden = false;
  const names = looks.map((look) => `${look.about}, ${integer(look.length)} tokens${look.depth === null || look.depth === undefined ? "" : `, depth ${tickNumber(look.depth)}`}`);
  fillSelect(byId("look-select"), names, (i) => {
    lookState.look = looks[i];
    lookState.head = 0;
    lookState.step = tellingStep();
    fillLookHeads();
    chooseHead(0);
  });
  byId("look-head").addEventListener("change", (event) => chooseHead(Number(event.target.value)));
  byId("look-text").addEventListener("pointerover", describeToken);
  byId("look-text").addEventListener("pointerleave", hideTooltip);
  byId("look-text").addEventListener("keydown", (event) => {
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!move) return;
    event.preventDefault();
    goToStep(lookState.step + move);
  });
  lookState.step = tellingStep();
  fillLookHeads();
  chooseHead(0);
}
