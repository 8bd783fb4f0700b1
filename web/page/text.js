// Elements and numbers as text. Whatever comes from outside becomes a text node, never markup.

const MINUS = "\u2212";

/** An element with attributes and children; strings become text nodes, null and false nothing. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

const SVG = "http://www.w3.org/2000/svg";
const DECISIONS = ["accept", "reject", "invalid"];

/** The decision as one of the words this page knows, or "none". */
export const known = (decision) => (DECISIONS.includes(decision) ? decision : "none");

/** The icon of a decision: told apart by shape, not by colour. */
export function icon(decision) {
  const drawn = document.createElementNS(SVG, "svg");
  drawn.setAttribute("class", "icon");
  drawn.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#icon-${known(decision)}`);
  drawn.append(use);
  return drawn;
}

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

/** Three significant digits, no exponent where it can be avoided; "–" for what is no number. */
export function number(value, digits = 3) {
  if (!isNumber(value)) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  const places = Math.min(7, Math.max(0, digits - 1 - Math.floor(Math.log10(size))));
  const plain = size < 1e6 && size >= 1e-4;
  const text = plain ? (Number.isInteger(value) ? String(value) : value.toFixed(places)) : value.toExponential(digits - 1);
  return text.replaceAll("-", MINUS);
}

/** With its sign, plus included. */
export function signed(value, digits = 3) {
  return isNumber(value) && value > 0 ? `+${number(value, digits)}` : number(value, digits);
}

/** A fraction as percent. */
export function percent(fraction) {
  if (!isNumber(fraction)) return "–";
  const value = 100 * fraction;
  const shown = Math.abs(value) < 10 || (value > 90 && value < 100) ? value.toFixed(1) : value.toFixed(0);
  // 99.97 % must not read as certainty.
  if (value < 100 && shown === "100.0") return "> 99.9 %";
  if (value > 0 && shown === "0.0") return "< 0.1 %";
  const signless = Number(shown) === 0 ? shown.replace("-", "") : shown;
  return `${signless.replace("-", MINUS)} %`;
}

/** As in "3 min 12 s". */
export function duration(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 48 * 3600) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} days`;
}

/** Microseconds as µs, ms or s. */
export function micros(us) {
  if (!isNumber(us)) return "–";
  if (us < 1e3) return `${number(us)} µs`;
  return us < 1e6 ? `${number(us / 1e3)} ms` : `${number(us / 1e6)} s`;
}

/** A Raman shift without needless decimals. */
export const shift = (perCm) => (isNumber(perCm) ? String(Math.round(10 * perCm) / 10) : "–");

/** How many decimals show three significant digits of the largest of a column. */
export const decimals = (largest) => (largest > 0 ? Math.min(9, Math.max(0, 2 - Math.floor(Math.log10(largest)))) : 2);

/** With its sign and as many decimals as its column. */
export function aligned(value, places) {
  if (!isNumber(value)) return "–";
  const text = value.toFixed(places);
  // What rounds to zero has no sign.
  if (Number(text) === 0) return text.replace("-", "");
  return value > 0 ? `+${text}` : text.replace("-", MINUS);
}

/** A time of the station's clock, in this viewer's zone; with its date unless that is today. */
export function clock(time) {
  const at = new Date(time);
  if (Number.isNaN(at.getTime())) return String(time ?? "–");
  const day = (date) => date.toLocaleDateString("sv"); // Swedish dates are those of ISO 8601
  return `${day(at) === day(new Date()) ? "" : `${day(at)} `}${at.toLocaleTimeString([], { hour12: false })}`;
}

/** The kinds that a prediction without a name leaves possible: none of one that is not valid. */
export function possible(prediction, decision) {
  if (decision === "invalid") return "unknown";
  const others = (prediction.set?.labels ?? []).filter((label) => label !== prediction.label);
  return [prediction.label, ...others].join(" or ");
}

/** What a model says, in words. */
export function said(prediction, decision) {
  if (prediction?.kind === "class" && prediction.named === false) return possible(prediction, decision);
  if (prediction?.kind === "class") return `${prediction.label} ${percent(prediction.probability)}`;
  if (prediction?.kind === "value") return quantity(prediction.value, prediction.unit);
  return "no prediction";
}

/** A value with its unit; a negative zero after rounding is zero. */
export function quantity(value, unit) {
  const rounded = isNumber(value) && Math.abs(value) < 0.05 && String(unit).startsWith("%") ? 0 : value;
  const shown = String(unit).startsWith("%") && isNumber(rounded) ? rounded.toFixed(1).replace("-", MINUS) : number(rounded);
  return `${shown}\u00a0${unit}`;
}
