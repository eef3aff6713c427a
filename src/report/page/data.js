/*
 * headprof's report page.
 *
 * The files are concatenated into one script of type module in this order, and share its scope:
 *   data.js dom.js color.js chart.js heatmap.js table.js scores.js heads.js head_panel.js
 *   curve.js answers.js budgets.js compression.js ablation.js look.js report.js
 * The style sheets follow each other as report.css sections.css.
 * Every string of the data goes into the page as text, never as markup.
 */

const report = JSON.parse(document.getElementById("data").textContent);
const model = report.model;
const groupSize = Math.max(1, Math.floor(model.heads / (model.kv_heads || model.heads)));

/** A section's data, or an empty list where the run has none. */
const listOf = (name) => report[name] || [];

function bytesOf(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** Little-endian u16 numbers, whatever the byte order of the machine that shows the page. */
function wordsOf(base64) {
  const bytes = bytesOf(base64);
  const words = new Uint16Array(bytes.length >> 1);
  for (let i = 0; i < words.length; i++) words[i] = bytes[2 * i] + 256 * bytes[2 * i + 1];
  return words;
}

const minus = (text) => text.replace("-", "\u2212");
const grouped = (n) => Math.round(n).toLocaleString("en-US");

/** Three significant digits. Sums of floats that should cancel leave 1e-18, which is shown as 0. */
function number(v) {
  if (v === null || v === undefined || Number.isNaN(v)) return "–";
  if (Math.abs(v) < 1e-12) return "0";
  if (Math.abs(v) >= 1000) return minus(grouped(v));
  return minus(v.toPrecision(3));
}

function integer(v) {
  return minus(grouped(v));
}

function percent(v) {
  if (v === null || v === undefined) return "–";
  const text = (100 * v).toFixed(1);
  return `${text === "100.0" ? "100" : text === "0.0" || text === "-0.0" ? "0" : minus(text)}\u00a0%`;
}

function points(v) {
  const text = (100 * v).toFixed(1);
  if (text === "0.0" || text === "-0.0") return "0";
  return (v > 0 ? "+" : "") + minus(text);
}

const interval = ([low, high], format = number) => `${format(low)} to ${format(high)}`;
const plural = (n, one, many = `${one}s`) => `${integer(n)} ${n === 1 ? one : many}`;
/** Without an interval nothing is told apart from 0. */
const containsZero = (low, high) => low === null || high === null || (low <= 0 && high >= 0);
const spaced = (name) => name.replace(/_/g, " ");
const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** Short enough for a cell of a map: two decimals without the leading 0. */
function cellNumber(v) {
  const size = Math.abs(v);
  if (size >= 1000) return integer(v);
  if (size >= 10) return minus(v.toFixed(0));
  const text = v.toFixed(size >= 0.995 ? 1 : 2);
  return Number(text) === 0 ? "0" : minus(text.replace(/^(-?)0\./, "$1."));
}
