// The table of bands: what each adds to the output, signed, and which part of |D| lies in it. The payload's signed share is
// not shown: where D nearly cancels, it is thousands of percent of next to nothing.

import { directions } from "./verdict.js";
import { aligned, decimals, element, number, percent, shift } from "./text.js";

const byId = (id) => document.getElementById(id);

/** Above this share without an assigned band, the explanation rests on something that has no name: a shortcut, maybe. */
const OFF_BAND_SUSPICIOUS = 0.5;

export function showBands(model, maps) {
  const explanation = model?.explanation;
  const table = byId("bands");
  const bands = explanation?.bands ?? [];
  const words = directions(model);
  byId("bands-unit").textContent = bands.length > 0 ? words.unit : "";
  byId("bands-note").textContent = "";
  const largest = bands.reduce((most, band) => Math.max(most, Math.abs(band.contribution ?? 0)), 0) || 1;
  const total = (explanation?.output ?? 0) - (explanation?.reference_output ?? 0);
  const places = decimals(Math.max(largest, Math.abs(total)));
  table.tBodies[0].replaceChildren(...bands.map((band) => row(band, largest, places, words)));
  if (bands.length === 0) {
    table.tBodies[0].append(element("tr", {}, element("td", { colspan: 5 }, explanation ? "The model has no table of bands." : "There is no explanation.")));
    table.tFoot.replaceChildren();
    return;
  }
  const named = bands.reduce((sum, band) => sum + (band.contribution ?? 0), 0);
  table.tFoot.replaceChildren(
    summary("outside every band", total - named, places, explanation.off_band, words),
    summary("whole spectrum", total, places, null, words));

  const notes = [`Contributions are those of D, against ${maps?.reference || "the reference population"}.`];
  if (explanation.off_band > OFF_BAND_SUSPICIOUS) {
    notes.push(`⚠ ${percent(explanation.off_band)} of the map lies where no band has an assignment: a shortcut, maybe.`);
  }
  if (typeof explanation.linear_share === "number") {
    notes.push(`${percent(explanation.linear_share)} of it flows through the linear (PLS) part.`);
  }
  notes.push(`Completeness error ${number(explanation.completeness_error, 2)}.`);
  byId("bands-note").textContent = notes.join(" ");
}

/** Neither up nor down where the shown digits are all zero. */
function direction(value, places) {
  if (Number(value.toFixed(places)) === 0) return "";
  return value < 0 ? "down" : "up";
}

function row(band, largest, places, words) {
  const value = band.contribution ?? 0;
  const bar = element("i");
  const length = (50 * Math.abs(value)) / largest;
  bar.style.width = `${length}%`;
  bar.style.left = value < 0 ? `${50 - length}%` : "50%";
  bar.style.background = value < 0 ? "var(--negative)" : "var(--positive)";
  return element("tr", {},
    element("th", { scope: "row" }, band.name),
    element("td", { class: "number" }, `${shift(band.from_cm)}–${shift(band.to_cm)}`),
    element("td", { class: `number ${direction(value, places)}`, title: value < 0 ? words.down : words.up }, aligned(value, places)),
    element("td", { class: "spark", "aria-hidden": "true" }, element("div", {}, bar)),
    element("td", { class: "number" }, percent(band.gross_share)));
}

function summary(name, value, places, gross, words) {
  return element("tr", {},
    element("th", { scope: "row", colspan: 2 }, name),
    element("td", { class: `number ${direction(value, places)}`, title: value < 0 ? words.down : words.up }, aligned(value, places)),
    element("td", { class: "spark" }),
    element("td", { class: "number" }, gross === null ? "" : percent(gross)));
}
