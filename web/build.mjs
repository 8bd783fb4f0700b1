// Vendors the chart library into dist/, where the binary embeds it: `npm ci && npm run build`. The results are committed,
// so that cargo build needs no node.
import { readFile, writeFile } from "node:fs/promises";

const library = new URL("node_modules/uplot/", import.meta.url);
const dist = new URL("dist/", import.meta.url);
const read = (path) => readFile(new URL(path, library), "utf8");

const { version } = JSON.parse(await read("package.json"));
const script = await read("dist/uPlot.iife.min.js");
if (!/var uPlot\s*=/.test(script)) {
  throw new Error("uPlot.iife.min.js no longer declares `var uPlot`: the export below would be undefined");
}
// The minified build is a classic script; one line more makes it the module the page imports.
await writeFile(new URL("uplot.js", dist), `/* uPlot ${version}, MIT: see uplot-licence.txt */\n${script.trim()}\nexport default uPlot;\n`);
await writeFile(new URL("uplot.css", dist), await read("dist/uPlot.min.css"));
await writeFile(new URL("uplot-licence.txt", dist), await read("LICENSE"));
