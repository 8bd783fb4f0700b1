// The preprocessed spectrum and, below it on the same Raman shifts, the map that explains it.

import uPlot from "./vendor/uplot.js";
import { number, shift as shiftText, signed } from "./text.js";

const LABEL_ROWS = 3;
const byId = (id) => document.getElementById(id);
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export class Charts {
  constructor() {
    this.shown = null;
    this.plots = [];
    this.look = null;
    this.index = null;
    const box = byId("charts");
    box.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.draw()).observe(box);
  }

  /** `data` is { axis, preprocessed, map, bands: [{name, from_cm, to_cm, gross_share}], receptive_field_cm, unit, letter }. */
  show(data) {
    this.shown = data;
    this.draw();
  }

  draw() {
    const data = this.shown;
    const box = byId("charts");
    const width = Math.floor(box.clientWidth);
    if (!data) return;
    box.parentElement.hidden = data.axis.length < 2;
    if (box.parentElement.hidden) return;
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
    if (width < 100) return;
    const look = { rem, width, narrow: width < 40 * rem, unit: data.unit, letter: data.letter, theme: colour("--ground") };
    const series = [[data.axis, data.preprocessed], mapSeries(data)];
    const key = JSON.stringify(look);
    if (key === this.look) this.plots.forEach((plot, i) => plot.setData(series[i]));
    else this.rebuild(key, look, series);
    box.setAttribute("aria-valuemin", data.axis[0]);
    box.setAttribute("aria-valuemax", data.axis.at(-1));
    if (this.index !== null && this.index < data.axis.length) this.moveTo(this.index);
    else this.read(null);
  }

  rebuild(key, look, series) {
    for (const plot of this.plots) plot.destroy();
    const { rem, narrow, width } = look;
    Object.assign(look, {
      font: `${Math.round(0.75 * rem)}px system-ui, sans-serif`,
      height: narrow ? 11 * rem : Math.min(19 * rem, Math.max(13 * rem, 0.18 * width)),
      gutter: Math.round((narrow ? 3 : 4.6) * rem),
    });
    this.look = key;
    this.plots = [
      new uPlot(this.spectrumOptions(look), series[0], byId("chart-spectrum")),
      new uPlot(this.mapOptions(look), series[1], byId("chart-map")),
    ];
  }

  common(look) {
    return {
      width: look.width,
      legend: { show: false },
      cursor: {
        sync: { key: "shift" }, drag: { x: false, y: false }, y: false,
        points: { size: 7 },
        bind: { mousedown: () => null, mouseup: () => null, dblclick: () => null },
      },
      select: { show: false },
    };
  }

  axes(look, label, xShown) {
    const stroke = colour("--quiet");
    const grid = { stroke: colour("--line"), width: 1 };
    const common = { stroke, grid, ticks: grid, font: look.font, labelFont: look.font };
    return [
      {
        ...common, label: xShown ? "Raman shift / cm⁻¹" : undefined, labelSize: xShown ? 1.3 * look.rem : 0,
        size: xShown ? 1.9 * look.rem : 0, labelGap: 0, space: 4 * look.rem, values: (_, ticks) => ticks.map((tick) => xShown ? String(tick) : ""),
      },
      {
        ...common, label: look.narrow ? undefined : label, size: look.gutter - (look.narrow ? 0 : 1.3 * look.rem),
        labelSize: look.narrow ? 0 : 1.3 * look.rem, labelGap: 0, space: 2 * look.rem, values: evenly,
      },
    ];
  }

  spectrumOptions(look) {
    const row = 1.15 * look.rem;
    return {
      ...this.common(look),
      height: look.height + LABEL_ROWS * row,
      padding: [LABEL_ROWS * row + 4, 1.5 * look.rem, 4, 0],
      scales: { x: { time: false }, y: { range: padded } },
      series: [{}, { stroke: colour("--trace"), width: 0.11 * look.rem, points: { show: false } }],
      axes: this.axes(look, "preprocessed intensity", false),
      hooks: {
        drawClear: [(plot) => shade(plot, this.shown.bands)],
        draw: [(plot) => label(plot, this.shown.bands, row, look), (plot) => caption(plot, "preprocessed intensity", look)],
        setCursor: [(plot) => this.read(plot.cursor.idx)],
      },
    };
  }

  mapOptions(look) {
    const fill = (name) => ({ stroke: colour(name), fill: `color-mix(in srgb, ${colour(name)} 55%, transparent)`, width: 1.4, points: { show: false } });
    const unit = look.unit ? ` / ${look.unit}` : "";
    return {
      ...this.common(look),
      height: look.height + 4 * look.rem,
      padding: [6, 1.5 * look.rem, 1.6 * look.rem, 0],
      scales: { x: { time: false }, y: { range: () => symmetric(this.shown.map) } },
      series: [{}, fill("--positive"), fill("--negative")],
      axes: this.axes(look, `${look.letter}${unit}`, true),
      hooks: {
        drawClear: [(plot) => shade(plot, this.shown.bands)],
        draw: [zeroLine, (plot) => caption(plot, `${look.letter}${unit}`, look), (plot) => receptiveField(plot, this.shown.receptive_field_cm, look)],
      },
    };
  }

  key(event) {
    const data = this.shown;
    if (!data || data.axis.length < 2) return;
    const last = data.axis.length - 1;
    const step = event.shiftKey ? 10 : 1;
    const at = this.index ?? Math.floor(last / 2);
    const to = { ArrowLeft: at - step, ArrowDown: at - step, ArrowRight: at + step, ArrowUp: at + step, Home: 0, End: last }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.moveTo(Math.min(last, Math.max(0, to)));
  }

  moveTo(index) {
    const x = this.shown.axis[index];
    for (const plot of this.plots) {
      plot.setCursor({ left: plot.valToPos(x, "x"), top: 0 }, false);
    }
    this.read(index);
  }

  read(index) {
    const data = this.shown;
    const box = byId("charts");
    if (index === null || index === undefined || !data) {
      this.index = null;
      byId("readout").textContent = "";
      box.setAttribute("aria-valuenow", data?.axis[0] ?? 0);
      box.setAttribute("aria-valuetext", "no position");
      return;
    }
    this.index = index;
    const shift = data.axis[index];
    const names = data.bands.filter((band) => band.from_cm <= shift && shift <= band.to_cm).map((band) => band.name);
    const text = `${shiftText(shift)} cm⁻¹   intensity ${number(data.preprocessed[index])}   ${data.letter} ${signed(data.map[index])}`
      + (data.unit ? ` ${data.unit}` : "") + (names.length > 0 ? `   ${names.join(", ")}` : "");
    byId("readout").textContent = text;
    box.setAttribute("aria-valuenow", shift);
    box.setAttribute("aria-valuetext", text);
  }
}

/** Two series, each on its side of zero, so that sign is told by side and by colour. */
function mapSeries({ axis, map }) {
  // A neighbour of what is kept goes to zero, the rest is a gap: no line lies on the zero of the other sign.
  const part = (keep) => map.map((value, i) => {
    if (value === null) return null;
    if (keep(value)) return value;
    return keep(map[i - 1] ?? 0) || keep(map[i + 1] ?? 0) ? 0 : null;
  });
  return [axis, part((value) => value > 0), part((value) => value < 0)];
}

function padded(_, low, high) {
  if (low === null || high === null) return [0, 1];
  const margin = 0.05 * (high - low || 1);
  return [low - margin, high + margin];
}

/** Zero in the middle, so that the two sides compare. */
function symmetric(map) {
  const largest = map.reduce((most, value) => Math.max(most, Math.abs(value ?? 0)), 0) || 1;
  return [-1.08 * largest, 1.08 * largest];
}

/** Tick labels with the same number of decimals. */
function evenly(_, ticks, __, ___, increment) {
  const places = Math.max(0, -Math.floor(Math.log10(increment) + 1e-9));
  return ticks.map((tick) => (tick === 0 ? "0" : tick.toFixed(places).replace("-", "\u2212")));
}

/** What the axis shows, inside the plot: a phone has no room beside it. */
function caption(plot, text, look) {
  if (!look.narrow) return;
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.font = `${Math.round(0.75 * look.rem * uPlot.pxRatio)}px system-ui, sans-serif`;
  ctx.fillStyle = colour("--quiet");
  ctx.textBaseline = "top";
  ctx.textAlign = "left";
  ctx.fillText(text, bbox.left + 4 * uPlot.pxRatio, bbox.top + 2 * uPlot.pxRatio);
  ctx.restore();
}

function visible(plot, bands) {
  const { left, width } = plot.bbox;
  return bands.flatMap((band) => {
    const from = Math.max(left, plot.valToPos(band.from_cm, "x", true));
    const to = Math.min(left + width, plot.valToPos(band.to_cm, "x", true));
    return to > from ? [{ band, from, to }] : [];
  });
}

function shade(plot, bands) {
  const { top, height } = plot.bbox;
  plot.ctx.save();
  for (const { band, from, to } of visible(plot, bands)) {
    plot.ctx.fillStyle = `rgb(${colour("--band")} / ${0.05 + 0.2 * Math.min(1, band.gross_share ?? 0)})`;
    plot.ctx.fillRect(from, top, to - from, height);
  }
  plot.ctx.restore();
}

/** Names above the bands, the loudest first in choosing a place; the position where the name has none. */
function label(plot, bands, row, look) {
  const { ctx, bbox } = plot;
  const ratio = uPlot.pxRatio;
  const rows = Array.from({ length: LABEL_ROWS }, () => []);
  ctx.save();
  ctx.font = `${Math.round(0.75 * look.rem * ratio)}px system-ui, sans-serif`;
  ctx.textBaseline = "bottom";
  ctx.textAlign = "left";
  const right = bbox.left + bbox.width;
  const ranked = visible(plot, bands).sort((a, b) => (b.band.gross_share ?? 0) - (a.band.gross_share ?? 0));
  for (const { band, from, to } of ranked) {
    const centre = (from + to) / 2;
    const texts = [band.name, String(Math.round((band.from_cm + band.to_cm) / 2))];
    for (const text of look.narrow ? texts.slice(1) : texts) {
      const size = ctx.measureText(text).width;
      const start = Math.min(right - size, Math.max(bbox.left, centre - size / 2));
      const gap = 0.5 * look.rem * ratio;
      const free = rows.findIndex((taken) => taken.every(([a, b]) => start > b + gap || start + size < a - gap));
      if (free < 0) continue;
      rows[free].push([start, start + size]);
      const base = bbox.top - 3 * ratio - free * row * ratio;
      ctx.fillStyle = colour("--text");
      ctx.fillText(text, start, base);
      ctx.strokeStyle = colour("--quiet");
      ctx.lineWidth = ratio;
      ctx.beginPath();
      ctx.moveTo(centre, base);
      ctx.lineTo(centre, bbox.top + 4 * ratio);
      ctx.globalAlpha = 0.5;
      ctx.stroke();
      ctx.globalAlpha = 1;
      break;
    }
  }
  ctx.restore();
}

function zeroLine(plot) {
  const { ctx, bbox } = plot;
  const y = plot.valToPos(0, "y", true);
  ctx.save();
  ctx.strokeStyle = colour("--text");
  ctx.lineWidth = 1.5 * uPlot.pxRatio;
  ctx.beginPath();
  ctx.moveTo(bbox.left, y);
  ctx.lineTo(bbox.left + bbox.width, y);
  ctx.stroke();
  ctx.restore();
}

/** How much of the axis one cell of the network sees, to scale, under the axis. */
function receptiveField(plot, field, look) {
  if (!(field > 0)) return;
  const { ctx, bbox } = plot;
  const ratio = uPlot.pxRatio;
  const length = plot.valToPos(plot.scales.x.min + field, "x", true) - bbox.left;
  const y = plot.height * ratio - 0.5 * look.rem * ratio;
  const tick = 0.3 * look.rem * ratio;
  ctx.save();
  ctx.strokeStyle = ctx.fillStyle = colour("--text");
  ctx.lineWidth = 2 * ratio;
  ctx.beginPath();
  ctx.moveTo(bbox.left, y - tick);
  ctx.lineTo(bbox.left, y);
  ctx.lineTo(bbox.left + length, y);
  ctx.lineTo(bbox.left + length, y - tick);
  ctx.stroke();
  ctx.font = `${Math.round(0.75 * look.rem * ratio)}px system-ui, sans-serif`;
  ctx.textBaseline = "middle";
  ctx.textAlign = "left";
  ctx.fillText(`receptive field ${number(field)} cm⁻¹`, bbox.left + length + 0.5 * look.rem * ratio, y - tick / 2);
  ctx.restore();
}
