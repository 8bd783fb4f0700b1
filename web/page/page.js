// The live page: puts what the station says where it belongs.

import { showBands } from "./bands.js";
import { Charts } from "./chart.js";
import { History } from "./history.js";
import { watch } from "./stream.js";
import { clock, duration, element, micros, number } from "./text.js";
import { directions, showExplained, showModels, showVerdict, spoken } from "./verdict.js";

const byId = (id) => document.getElementById(id);
const charts = new Charts();
const history = new History();
let update = null;
let held = null; // an update whose explanation stays until it is released; the verdict never waits
let chosen = null; // the model whose explanation is shown, by name
let which = "difference";
let drawn = true;

/** Draws at the screen's pace, however fast the line is. */
function schedule() {
  if (!drawn) return;
  drawn = false;
  requestAnimationFrame(() => {
    drawn = true;
    draw();
  });
}

function draw() {
  const { result } = update;
  showVerdict(result);
  showModels(result);
  history.add([result]);
  showMeasurement(result);
  showClaims(update.models ?? []);
  drawExplanation();
  const instrument = result.spectrometer;
  byId("instrument").textContent = instrument ? `${instrument.model ?? ""} ${instrument.serial ?? ""}` : "";
  announce(result);
}

/** Says what changed to who listens instead of looks; a steady line stays quiet. */
let announced = null;
function announce(result) {
  const labels = (result.models ?? []).map((model) => [model.verdict?.decision, model.prediction?.label]);
  const key = JSON.stringify([result.verdict, labels]);
  if (key === announced) return;
  announced = key;
  byId("announcement").textContent = spoken(result);
}

function drawExplanation() {
  const { result, models } = held ?? update;
  showSwitch((result.models ?? []).map((model) => model.name));
  byId("explanation-heading").textContent = `Why no. ${result.seq}${held ? ` at ${clock(result.time)}, held` : ""}`;
  const model = result.models?.find(({ name }) => name === chosen);
  const maps = models?.find(({ name }) => name === chosen);
  const words = directions(model);
  showExplained(model, maps, which);
  showBands(model, maps);
  byId("legend-positive").textContent = words.up;
  byId("legend-negative").textContent = words.down;
  charts.show({
    axis: maps?.axis_cm ?? [],
    preprocessed: maps?.prepared ?? [],
    map: maps?.[which] ?? [],
    bands: model?.explanation?.bands ?? [],
    receptive_field_cm: model?.explanation?.receptive_field_cm,
    unit: words.unit,
    letter: which === "difference" ? "D" : "M",
  });
}

function showSwitch(names) {
  const box = byId("model-switch");
  if (!names.includes(chosen)) chosen = names[0] ?? null;
  const same = names.length === box.children.length && names.every((name, i) => box.children[i].textContent === name);
  if (same) return;
  box.replaceChildren(...names.map((name) => {
    const input = element("input", { type: "radio", name: "model", value: name });
    input.checked = name === chosen;
    return element("label", {}, input, element("span", {}, name));
  }));
}

function showMeasurement(result) {
  const taken = result.acquisition ?? {};
  const temperature = taken.detector_temperature_c;
  const facts = [
    ["Result", `no. ${result.seq}`],
    ["Time", `${clock(result.time)}${result.clock_synchronised === false ? " ⚠ clock not synchronised" : ""}`],
    ["Exposure", taken.integration_us === undefined ? "–" : `${taken.scans ?? 1} × ${micros(taken.integration_us)}`],
    ["Laser", taken.laser ?? "–"],
    ["Saturated pixels", taken.saturated_pixels ?? "–"],
    ["Dark noise", typeof taken.dark_noise_counts === "number" ? `${number(taken.dark_noise_counts)} counts` : "–"],
    ["Detector", typeof temperature === "number" ? `${number(temperature)} °C` : "–"],
    ["Serial line", `${taken.retries ?? 0} retries, ${taken.damaged_frames ?? 0} damaged, ${taken.stale_frames ?? 0} stale`],
    // Nothing takes no time: 0 is a stage that was not timed.
    ...["acquire", "prepare", "infer", "decide"].map((stage) => [`Time to ${stage}`, micros(result.timings_us?.[stage] || null)]),
  ];
  byId("measurement").replaceChildren(...facts.map(([name, value]) =>
    element("div", {}, element("dt", {}, name), element("dd", {}, String(value)))));
}

/** The claims stay in sight whatever is scrolled to; one that several models share is said once. */
function showClaims(models) {
  const byClaim = new Map();
  for (const { name, claim } of models) byClaim.set(claim, [...(byClaim.get(claim) ?? []), name]);
  const parts = [...byClaim].map(([claim, names]) => [element("b", {}, `${names.join(", ")}: `), claim]);
  byId("claims").replaceChildren(...parts.flatMap((part, i) => (i > 0 ? [" · ", ...part] : part)));
}

let problems = [];
/** The age ticks for the eye only: a screen reader would read it out every second. */
function showAlerts(state, age) {
  // What is wrong with a sample stands with its result, and is over with it: the beat may come later than the next result.
  const lines = problems.filter((problem) => !history.gives(problem)).map((problem) => [problem, ""]);
  if (state === "lost") lines.unshift(["No connection to the station.", age === null ? "" : ` What you see is ${duration(age)} old.`]);
  if (state === "stale") lines.unshift(["Stale: do not act on this result.", ` It is ${duration(age)} old.`]);
  const shown = byId("alerts");
  while (shown.children.length > lines.length) shown.lastChild.remove();
  lines.forEach(([text, ticking], i) => {
    if (shown.children[i]?.dataset.text !== text) {
      const banner = element("p", { class: "banner", "data-text": text }, text, element("span", { "aria-hidden": "true" }));
      if (shown.children[i]) shown.children[i].replaceWith(banner);
      else shown.append(banner);
    }
    shown.children[i].lastChild.textContent = ticking;
  });
}

const STATES = {
  connecting: () => "connecting",
  waiting: () => "connected, no result yet",
  live: (age) => (age < 2000 ? "live" : `live, ${duration(age)} ago`),
  stale: (age) => `stale, ${duration(age)} old`,
  lost: (age) => (age === null ? "no connection" : `no connection, ${duration(age)} old`),
};
const MARKS = { accept: "✓", reject: "✕", invalid: "⚠" };

function showState(state, age) {
  document.body.dataset.state = state;
  byId("connection-text").textContent = STATES[state](age);
  byId("verdict-heading").textContent = state === "stale" || state === "lost" ? "Last known verdict" : "Current verdict";
  const mark = state === "live" ? MARKS[update?.result.verdict] ?? "" : "⌛";
  document.title = `${mark} ${state === "live" ? update?.result.verdict : state} – ramand`;
  showAlerts(state, age);
}

function applyTheme(theme) {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  byId("theme").textContent = `◐ ${theme}`;
  byId("theme").setAttribute("aria-label", `Theme: ${theme}`);
  charts.draw();
}

const THEMES = ["system", "light", "dark"];
let theme = localStorage.getItem("theme");
if (!THEMES.includes(theme)) theme = "system";
applyTheme(theme);
byId("theme").addEventListener("click", () => {
  theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
  localStorage.setItem("theme", theme);
  applyTheme(theme);
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => charts.draw());

document.addEventListener("change", ({ target }) => {
  if (target.name === "model") chosen = target.value;
  else if (target.name === "map") which = target.value;
  else return;
  if (update) drawExplanation();
});

byId("hold").addEventListener("click", () => {
  held = held ? null : update;
  byId("hold").setAttribute("aria-pressed", String(held !== null));
  document.body.classList.toggle("held", held !== null);
  if (update) drawExplanation();
});

/** Fetches what was concluded before, or while there was no connection. */
function fillHistory() {
  fetch("api/v1/history?limit=50")
    .then((answer) => (answer.ok ? answer.json() : Promise.reject(new Error(`status ${answer.status}`))))
    .then(({ results }) => history.add(results))
    .catch((error) => console.warn("no history:", error));
}

watch({
  connected: fillHistory,
  result(next) {
    update = next;
    const dot = document.querySelector(".dot");
    dot.classList.remove("beat");
    requestAnimationFrame(() => dot.classList.add("beat"));
    schedule();
  },
  problems(list) { problems = list ?? []; },
  state: showState,
});
