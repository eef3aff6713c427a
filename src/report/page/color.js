/* Colours: viridis for amounts, blue-grey-red for signed values, Okabe-Ito for lines. */

const viridisStops = ["440154", "481a6c", "472f7d", "414487", "39568c", "31688e", "2a788e", "23888e", "1f988b", "22a884",
  "35b779", "54c568", "7ad151", "a5db36", "d2e21b", "fde725"].map((hex) => [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16)));

function viridisAt(t) {
  const at = Math.min(1, Math.max(0, t)) * (viridisStops.length - 1);
  const from = Math.min(viridisStops.length - 2, Math.floor(at));
  return viridisStops[from].map((c, i) => Math.round(c + (viridisStops[from + 1][i] - c) * (at - from)));
}

const viridis = (t) => `rgb(${viridisAt(t).join(" ")})`;

function luminance([r, g, b]) {
  const linear = (c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4);
  return 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
}

/** Black or white, whichever has the higher contrast; they are equal at a luminance of 0.179. */
const viridisInk = (t) => (luminance(viridisAt(t)) > 0.179 ? "#000" : "#fff");

/** The ends and the middle follow the theme, so the mixing is left to CSS. */
function diverging(t) {
  const share = Math.min(1, Math.abs(t)) * 100;
  return `color-mix(in oklab, var(--${t < 0 ? "negative" : "positive"}) ${share.toFixed(1)}%, var(--zero))`;
}
const divergingInk = (t) => (Math.abs(t) > 0.55 ? "var(--on-signed)" : "var(--ink)");

/** Round numbers between low and high, about count of them. */
function roundTicks(low, high, count = 5) {
  const rough = (high - low) / count;
  if (!(rough > 0)) return [low];
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough * 0.999);
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) ticks.push(i * step);
  return ticks;
}

const tickNumber = (v) => minus(String(Number(v.toPrecision(6))));

function gradientOf(color, from, to) {
  return `linear-gradient(to right, ${Array.from({ length: 17 }, (_, i) => color(from + ((to - from) * i) / 16)).join(", ")})`;
}

function amountScale(max) {
  const top = max > 0 ? max : 1;
  return {
    color: (v) => viridis(v / top), ink: (v) => viridisInk(v / top), gradient: gradientOf(viridis, 0, 1),
    ticks: roundTicks(0, top, 4).map((v) => ({ at: v / top, label: tickNumber(v) })),
  };
}

function signedScale(min, max) {
  const end = Math.max(-min, max);
  return {
    color: (v) => diverging(v / end), ink: (v) => divergingInk(v / end), gradient: gradientOf(diverging, -1, 1),
    ticks: roundTicks(-end, end, 4).map((v) => ({ at: (v / end + 1) / 2, label: tickNumber(v) })),
  };
}

/** From 0, or around 0 where there are negative values. */
const valueScale = (min, max) => (min < 0 ? signedScale(min, max) : amountScale(max));

function logScale(min, max) {
  const low = Math.log2(Math.max(1, min));
  const span = Math.log2(Math.max(1, max)) - low || 1;
  const t = (v) => (Math.log2(Math.max(1, v)) - low) / span;
  const ticks = [];
  const every = Math.max(1, Math.round(span / 6));
  for (let p = Math.ceil(low); p <= low + span + 1e-9; p += every) ticks.push({ at: (p - low) / span, label: integer(2 ** p) });
  return { color: (v) => viridis(t(v)), ink: (v) => viridisInk(t(v)), gradient: gradientOf(viridis, 0, 1), ticks };
}

function colorBar(scale, title) {
  return el("div.color-bar", { role: "img", "aria-label": `Colour scale, ${title}: ${scale.ticks.map((t) => t.label).join(", ")}` },
    el("span.color-bar-title", title),
    el("span", { class: "color-bar-scale" },
      el("span.color-bar-strip", { style: { "background-image": scale.gradient } }),
      scale.ticks.map((tick) => el("span.color-bar-tick", { style: { left: `${(100 * tick.at).toFixed(2)}%` } }, tick.label))));
}

/* Okabe-Ito as variables of the style sheet: black and yellow need other values on a dark page. */
const lineColors = ["blue", "vermillion", "green", "purple", "orange", "sky", "yellow", "ink"].map((name) => `var(--line-${name})`);
const lineDashes = [null, "6 3", "2 3", "8 3 2 3"];
const lineStyle = (i) => ({ color: lineColors[i % lineColors.length], dash: lineDashes[Math.floor(i / lineColors.length) % lineDashes.length] });

const methodOrder = ["headkv", "snapkv", "dililazykv", "h2o", "adakv", "pyramidkv", "streaming_llm"];
const methodNames = [...new Set([...methodOrder, ...listOf("evaluations").flatMap((e) => e.rows.map((row) => row.method))])].filter((m) => m !== "full");

/** A method has one colour in the whole page, and the known methods the same one in every report. */
const methodStyle = (method) => (method === "full" ? { color: "var(--ink-2)", dash: null } : lineStyle(methodNames.indexOf(method)));

const scoreNames = [...new Set([...listOf("scores").map((score) => score.name), ...listOf("evaluations").flatMap((e) => e.rows.map((row) => row.head_score))])].filter(Boolean);

/** So has a score, whether its own curve is drawn or a budget that follows it. */
const scoreStyle = (name) => lineStyle(scoreNames.indexOf(name));
