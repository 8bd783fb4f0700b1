// The last results: a strip to see a pattern at a glance, a table to read.

import { reasons } from "./verdict.js";
import { clock, element, icon, known, quantity, said } from "./text.js";

const KEPT = 50;
const byId = (id) => document.getElementById(id);

export class History {
  constructor() {
    this.results = new Map(); // by seq
  }

  add(results) {
    for (const result of results) {
      if (Number.isFinite(result?.seq)) this.results.set(result.seq, result);
    }
    const order = [...this.results.keys()].sort((a, b) => b - a);
    for (const seq of order.slice(KEPT)) this.results.delete(seq);
    this.draw(order.slice(0, KEPT).map((seq) => this.results.get(seq)));
  }

  /** Whether a kept result has this for a reason. */
  gives(text) {
    return [...this.results.values()].some((result) => reasons(result).some((reason) => reason.text === text));
  }

  draw(newestFirst) {
    byId("strip").replaceChildren(...newestFirst.toReversed().map((result) => {
      const decision = known(result.verdict);
      const text = `#${result.seq} ${clock(result.time)}: ${decision}, ${saidByAll(result)}`;
      return element("li", { "data-decision": decision, title: text }, icon(decision), element("span", { class: "visually-hidden" }, text));
    }));
    const models = [...new Set(newestFirst.flatMap((result) => (result.models ?? []).map((model) => model.name)))];
    const titles = models.map((name) => [name, element("span", { class: "quiet" }, unitOf(newestFirst, name))]);
    const head = [["No."], ["Time"], ["Verdict"], ...titles, ["Why"]].map((title) => element("th", { scope: "col" }, title));
    byId("history").tHead.replaceChildren(element("tr", {}, head));
    byId("history").tBodies[0].replaceChildren(...newestFirst.map((result) => row(result, models)));
  }
}

const saidByAll = (result) => (result.models ?? []).map((model) => said(model.prediction, model.verdict?.decision)).join(", ");

/** The unit of a model's values stands in the head of its column, once. */
function unitOf(results, name) {
  const found = results.map((result) => predictionOf(result, name)?.unit).find((unit) => unit !== undefined);
  return found === undefined ? "" : ` ${found}`;
}

const modelOf = (result, name) => (result.models ?? []).find((model) => model.name === name);
const predictionOf = (result, name) => modelOf(result, name)?.prediction;

function cell(model) {
  const prediction = model?.prediction;
  if (prediction?.kind === "value") return quantity(prediction.value, prediction.unit).split("\u00a0")[0];
  return said(prediction, model?.verdict?.decision);
}

function row(result, models) {
  const decision = known(result.verdict);
  const [first, ...others] = reasons(result);
  const drifting = result.clock_synchronised === false;
  const why = first ? first.text + (others.length > 0 ? ` (and ${others.length} more)` : "") : "";
  return element("tr", {},
    element("td", { class: "number" }, String(result.seq)),
    element("td", { title: `${result.time}${drifting ? ", clock not synchronised" : ""}` }, clock(result.time), drifting ? " ⚠" : ""),
    element("td", {}, element("span", { class: "chip", "data-decision": decision }, icon(decision), decision)),
    models.map((name) => element("td", { "data-unit": predictionOf(result, name)?.unit }, cell(modelOf(result, name)))),
    element("td", {}, why));
}
