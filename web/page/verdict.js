// What is concluded: the verdict over all models, and one panel per model.

import { element, icon, known, number, percent, possible, quantity, said, signed } from "./text.js";

const byId = (id) => document.getElementById(id);
const WORDS = { accept: "accept", reject: "reject", invalid: "invalid", none: "unknown" };
const NOTES = {
  accept: "Every model's prediction stands and is within its limits.",
  reject: "A prediction stands and breaks a limit.",
  invalid: "No conclusion may be drawn from this spectrum.",
  none: "The station sent a verdict this page does not know.",
};

const textOf = (reason) => String(reason.text ?? reason.code);

/** Every reason once, with the models that give it. */
export function reasons(result) {
  const models = new Map();
  for (const model of result.models ?? []) {
    for (const reason of model.verdict?.reasons ?? []) {
      const text = textOf(reason);
      models.set(text, [...(models.get(text) ?? []), model.name]);
    }
  }
  return [...models].map(([text, names]) => ({ text, models: names.join(", ") }));
}

export function showVerdict(result) {
  const decision = known(result.verdict);
  byId("verdict").dataset.decision = decision;
  byId("verdict-icon").setAttribute("href", `#icon-${decision}`);
  byId("verdict-word").textContent = WORDS[decision];
  byId("verdict-note").textContent = NOTES[decision];
  const why = reasons(result);
  byId("verdict-reasons").replaceChildren(...why.map(({ text, models }) => element("li", {}, text, ` (${models})`)));
}

/** The verdict as one spoken sentence. */
export function spoken(result) {
  const models = (result.models ?? []).map((model) => `${model.name}: ${said(model.prediction, model.verdict?.decision)}`);
  const why = reasons(result).map(({ text }) => text);
  return [`Result ${result.seq}: ${WORDS[known(result.verdict)]}`, ...models, ...why].join(". ");
}

export function showModels(result) {
  byId("models").replaceChildren(...(result.models ?? []).map(panel));
}

function panel(model) {
  const decision = known(model.verdict?.decision);
  const prediction = model.prediction;
  const listed = model.verdict?.reasons ?? [];
  return element("article", { class: decision === "invalid" && prediction ? "model not-valid" : "model", "data-model": model.name },
    element("div", { class: "model-head" },
      element("h3", { class: "quiet", title: `sha256 ${model.sha256 ?? "unknown"}` }, model.name, " ", element("small", {}, model.version ?? "")),
      element("span", { class: "chip", "data-decision": decision }, icon(decision), WORDS[decision])),
    headline(prediction, decision),
    details(prediction),
    decision === "invalid" && prediction ? element("p", {}, "This prediction is not valid.") : null,
    listed.length > 0 ? element("ul", { class: "reasons" }, listed.map((reason) => element("li", {}, textOf(reason)))) : null,
    applicability(model.applicability));
}

function headline(prediction, decision) {
  if (prediction?.kind === "class" && prediction.named === false) {
    return element("p", { class: "said" }, possible(prediction, decision));
  }
  if (prediction?.kind === "class") {
    return element("p", { class: "said" }, prediction.label, " ", element("small", {}, percent(prediction.probability)));
  }
  if (prediction?.kind === "value") {
    const [value, ...unit] = quantity(prediction.value, prediction.unit).split("\u00a0");
    return element("p", { class: "said" }, value, " ", element("small", {}, unit.join(" ")));
  }
  return element("p", { class: "said" }, "–");
}

function details(prediction) {
  if (prediction?.kind === "class") {
    const second = prediction.probabilities?.[prediction.runner_up];
    const nearest = prediction.named === false
      ? `not named; nearest: ${prediction.label} ${percent(prediction.probability)}, `
      : "";
    return element("p", { class: "quiet" }, `${nearest}next: ${prediction.runner_up} ${percent(second)}`);
  }
  if (prediction?.interval) {
    const { lower, upper, confidence } = prediction.interval;
    return element("p", { class: "quiet" }, `${number(lower)} to ${number(upper)}, ${percent(confidence)} interval`);
  }
  if (prediction) return element("p", { class: "quiet" }, "The model states no interval.");
  return element("p", { class: "quiet" }, "The spectrum could not be shown to this model.");
}

/** T² and Q against their limits: whether the model knows such spectra at all. */
function applicability(gate) {
  if (!gate || typeof gate.t2 !== "number") return null;
  const p = typeof gate.p_value === "number"
    ? element("p", { class: "quiet" }, `${percent(gate.p_value)} of known samples are at least as unusual`)
    : null;
  return element("div", {}, meter("T², unusual", gate.t2, gate.t2_limit), meter("Q, unknown", gate.q, gate.q_limit), p);
}

function meter(name, value, limit) {
  const over = value > limit;
  const fill = element("i", { class: over ? "over" : null });
  fill.style.width = `${Math.min(100, Math.max(0, (100 * value) / limit))}%`;
  return element("div", { class: "meter" },
    element("span", { class: "quiet" }, name), element("div", { class: "track" }, fill),
    element("span", { class: over ? "over-limit" : null }, `${number(value, 2)} of ${number(limit, 2)}${over ? " ⚠ over" : ""}`));
}

/** The scalar the maps add up to, and its two directions, in words. */
export function directions(model) {
  const explained = model?.explanation?.explained;
  if (explained?.kind === "contrast") {
    return {
      output: `score of ${explained.class} minus score of ${explained.against}`,
      unit: "score",
      up: `speaks for ${explained.class}`,
      down: `speaks for ${explained.against}`,
    };
  }
  const unit = model?.prediction?.unit ?? "";
  return { output: "the predicted value", unit, up: "raises the value", down: "lowers the value" };
}

export function showExplained(model, maps, which) {
  const explanation = model?.explanation;
  const text = byId("explained");
  if (!explanation || explanation.output === undefined) {
    text.textContent = "There is no explanation: the spectrum could not be shown to this model.";
    return;
  }
  const { output, reference_output: reference } = explanation;
  const words = directions(model);
  text.textContent = which === "difference"
    ? `D compares with ${maps?.reference || "the reference population"}: its sum is ${words.output}, ${number(output)}, `
      + `minus the reference's ${number(reference)}, which is ${signed(output - reference)} ${words.unit}.`
    : `M is the 1D Grad-CAM map itself: its sum is ${words.output}, ${number(output)}, up to the network's constant. `
      + "A large part of it is the same for every sample.";
}
