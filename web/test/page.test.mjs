// The page in a real browser. tests/web_page runs this with the real server behind RAMAND_PAGE, and does what is asked of
// it over RAMAND_CONTROL. With RAMAND_SCREENSHOTS=DIR pictures are kept there.
import assert from "node:assert/strict";
import net from "node:net";
import { after, before, test } from "node:test";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const page_url = process.env.RAMAND_PAGE;
const screenshots = process.env.RAMAND_SCREENSHOTS;
let browser;
let control;
let answers;

/** Has the station do something; resolves when it is done. */
async function station(order) {
  control.write(`${order}\n`);
  const { value } = await answers.next();
  assert.equal(value, "done", order);
}

before(async () => {
  control = net.connect(Number(process.env.RAMAND_CONTROL), "127.0.0.1");
  answers = createInterface({ input: control })[Symbol.asyncIterator]();
  browser = await chromium.launch({
    executablePath: process.env.RAMAND_TEST_CHROMIUM,
    args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-quic", "--no-first-run",
      "--disable-component-update", "--disable-sync"],
  });
});

after(async () => {
  await browser?.close();
  control?.destroy();
});

/** A fresh page that shows the newest result; everything it complains about or asks of others is a failure. */
async function open(t, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 1000 }, ...options });
  const page = await context.newPage();
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => {
    // The first while the station is stopped, the second for the looks of `painted`.
    const expected = /net::ERR_|Canvas2D: Multiple readback/.test(message.text());
    if (["error", "warning"].includes(message.type()) && !expected) complaints.push(message.text());
  });
  page.on("request", (request) => {
    if (!request.url().startsWith(page_url)) complaints.push(`asks for ${request.url()}`);
  });
  await page.goto(page_url);
  await page.waitForFunction(() => document.body.dataset.state !== "connecting");
  t.after(async () => {
    await context.close();
    assert.deepEqual(complaints, []);
  });
  return page;
}

const shoot = async (page, name) => {
  if (!screenshots) return;
  // Tall enough for the whole page, so that the footer, which sticks to the window, covers nothing.
  const { width } = page.viewportSize();
  await page.setViewportSize({ width, height: await page.evaluate(() => document.documentElement.scrollHeight) });
  await page.screenshot({ path: `${screenshots}/${name}.png` });
};
const state = (page, name) => page.waitForFunction((wanted) => document.body.dataset.state === wanted, name);
const word = (page, text) => page.locator("#verdict-word", { hasText: new RegExp(`^${text}$`) }).waitFor();

/** Whether any pixel of a chart has about this colour. */
const painted = (page, chart, variable) => page.evaluate(([id, name]) => {
  const probe = document.createElement("i");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const wanted = getComputedStyle(probe).color.match(/\d+/g).map(Number);
  probe.remove();
  const canvas = document.querySelector(`#${id} canvas`);
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  for (let i = 0; i < data.length; i += 4) {
    if (data[i + 3] > 200 && wanted.every((value, k) => Math.abs(data[i + k] - value) < 12)) return true;
  }
  return false;
}, [chart, variable]);

test("a pure oil is accepted, in words, numbers and maps", async (t) => {
  const page = await open(t);
  await station("olive 0.4");
  await word(page, "accept");
  await state(page, "live");
  assert.equal(await page.locator("#verdict").getAttribute("data-decision"), "accept");
  assert.match(await page.locator("#models").innerText(), /olive\s+98\.9 %[^]*next: peanut[^]*0\.4\s+% sunflower oil/);
  assert.match(await page.locator("#claims").innerText(), /trained on simulated spectra, never validated on measured/);
  assert.match(await page.locator(".non-claims").innerText(), /explains the network, not the chemistry/);
  assert.ok(await page.locator("#claims").isVisible());
  assert.equal(await page.locator("#instrument").innerText(), "QE Pro QEP01234");

  const rows = await page.locator("#bands tbody tr").allInnerTexts();
  assert.equal(rows.length, 9);
  assert.match(rows[0], /C=C stretch, cis\s+1640–1672\s+[+−]\d/);
  assert.match(await page.locator("#bands tfoot").innerText(), /outside every band[^]*whole spectrum\s+\+2\.38/);
  assert.ok(await painted(page, "chart-spectrum", "--trace"), "the spectrum is drawn");
  assert.ok(await painted(page, "chart-map", "--positive"), "the map above zero is drawn");
  assert.ok(await painted(page, "chart-map", "--negative"), "the map below zero is drawn");
  assert.equal(await page.locator("#strip li").count(), 41);
  assert.equal(await page.locator("#history tbody tr").count(), 41);
  await shoot(page, "light");
});

test("an adulterated oil is rejected with its reason, and the map of that model can be chosen", async (t) => {
  const page = await open(t, { colorScheme: "dark" });
  await station("olive 7.2");
  await word(page, "reject");
  assert.match(await page.locator("#verdict-reasons").innerText(), /7\.2 % sunflower oil is above the limit of 5 %/);
  await page.getByLabel("olive-adulteration", { exact: true }).focus();
  await page.keyboard.press("Space");
  assert.match(await page.locator("#explained").innerText(), /pure olive oil.*\+7\.20 % sunflower oil/);
  const difference = await page.locator("#explained").innerText();
  await page.getByLabel("M raw map").focus();
  await page.keyboard.press("Space");
  assert.notEqual(await page.locator("#explained").innerText(), difference);
  await shoot(page, "raw-map");
  await page.getByLabel("D difference").check({ force: true });
  await shoot(page, "dark");
});

test("the cursor moves by keyboard and says what is under it", async (t) => {
  const page = await open(t);
  const charts = page.locator("#charts");
  await charts.focus();
  await page.keyboard.press("Home");
  assert.equal(await charts.getAttribute("aria-valuenow"), "800");
  for (let i = 0; i < 21; i += 1) await page.keyboard.press("Shift+ArrowRight");
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowRight");
  assert.match(await page.locator("#readout").innerText(), /1656 cm⁻¹.*intensity.*D [+−].*C=C stretch, cis/);
  assert.equal(await charts.getAttribute("aria-valuetext"), await page.locator("#readout").textContent());
  await page.locator("#chart-map .u-over").hover({ position: { x: 5, y: 20 } });
  assert.match(await page.locator("#readout").innerText(), /^80\d cm⁻¹/, "pointing at the map moves the cursor of both");
  await page.locator("#chart-spectrum .u-over").hover({ position: { x: 5, y: 20 } });
  assert.match(await page.locator("#readout").innerText(), /^80\d cm⁻¹/);
  await page.mouse.move(0, 0);
  await charts.press("End");
  await charts.press("Shift+ArrowLeft");
  assert.match(await page.locator("#readout").innerText(), /^1760 cm⁻¹/);
  // An update must not take the cursor away.
  await station("olive 0.5");
  await page.locator("#history tbody tr:first-child td", { hasText: /^0\.5$/ }).first().waitFor();
  assert.match(await page.locator("#readout").innerText(), /^1760 cm⁻¹/);
});

test("a spectrum no model could be shown is invalid, without numbers", async (t) => {
  const page = await open(t);
  await station("too-dark");
  await word(page, "invalid");
  assert.match(await page.locator("#verdict-reasons").innerText(), /12 counts of signal/);
  assert.match(await page.locator("#explained").innerText(), /no explanation/);
  assert.ok(await page.locator("#charts").isHidden() && await page.locator(".legend").isHidden());
  await shoot(page, "invalid");
  await station("olive 0.6");
  await word(page, "accept");
  assert.ok(await page.locator("#charts").isVisible());
});

test("payloads as the wire contract freezes them are understood", async (t) => {
  const page = await open(t);
  await station("frozen result.json");
  await word(page, "reject");
  const models = await page.locator("#models").innerText();
  assert.match(models, /olive\s+98\.0 %[^]*next: peanut 1\.9 %[^]*7\.2\s+% sunflower oil\s+5\.10 to 9\.30, 95\.0 % interval/);
  assert.match(await page.locator("#bands tbody").innerText(), /C=C stretch, cis\s+1640–1672\.5\s+−0\.31\d*\s+20 %/);
  assert.match(await page.locator("#measurement").innerText(), /1 retries, 3 damaged, 2 stale/);
  await station("frozen result_invalid.json");
  await word(page, "invalid");
  assert.match(await page.locator("#verdict-reasons").innerText(), /3 pixels are saturated[^]*the model needs 800\.0 to 1800\.0 cm-1/);
  assert.equal(await page.locator("#instrument").innerText(), "");
  assert.match(await page.locator("#measurement").innerText(), /clock not synchronised/);
});

test("it fits a phone and a wall", async (t) => {
  for (const [name, width, height] of [["phone", 380, 800], ["wall", 3840, 2160]]) {
    const page = await open(t, { viewport: { width, height } });
    await station("olive 7.2");
    await word(page, "reject");
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.equal(wide, 0, `${name}: nothing sticks out sideways`);
    for (const table of ["#bands", "#history"]) {
      const hidden = await page.locator(table).evaluate(({ parentElement: box }) => box.scrollWidth - box.clientWidth);
      assert.equal(hidden, 0, `${name}: all columns of ${table} are in sight`);
    }
    assert.ok(await page.locator("#claims").isVisible());
    await shoot(page, name);
  }
});

test("an explanation can be held to be read, while the verdict goes on", async (t) => {
  const page = await open(t);
  await station("olive 0.9");
  await page.locator("#models", { hasText: /0\.9\s+% sunflower oil/ }).waitFor();
  await page.getByRole("button", { name: "hold" }).click();
  const heading = await page.locator("#explanation-heading").innerText();
  assert.match(heading, /^Why no\. \d+ at .*, held$/);
  const bands = await page.locator("#bands").innerText();
  await station("olive 7.2");
  await word(page, "reject");
  assert.equal(await page.locator("#explanation-heading").innerText(), heading);
  assert.equal(await page.locator("#bands").innerText(), bands);
  await page.getByRole("button", { name: "hold" }).click();
  assert.doesNotMatch(await page.locator("#explanation-heading").innerText(), /held/);
  assert.notEqual(await page.locator("#bands").innerText(), bands);
});

test("what the station says of itself is shown until it is mended", async (t) => {
  const page = await open(t);
  await station("problem the broker does not answer; 12 results wait");
  await page.locator("#alerts", { hasText: "the broker does not answer; 12 results wait" }).waitFor();
  // A trouble of the sample is told with its result: as a banner it would outlive it.
  await station("too-dark");
  await station("problem 12 counts of signal are below the 200 a verdict needs");
  await station("olive 0.4");
  await station("problem the journal is full");
  await page.locator("#alerts", { hasText: "the journal is full" }).waitFor();
  assert.doesNotMatch(await page.locator("#alerts").innerText(), /12 counts/);
  await station("problem");
  await page.locator("#alerts .banner", { hasText: "broker" }).waitFor({ state: "detached" });
});

test("a page without news looks stale, one without a station lost, and both recover", async (t) => {
  const page = await open(t);
  await station("olive 0.7");
  await state(page, "live");
  await state(page, "stale");
  assert.match(await page.locator("#alerts").innerText(), /Stale: do not act on this result\. It is \d+ s old/);
  assert.equal(await page.locator("#verdict-heading").innerText(), "Last known verdict");
  assert.match(await page.title(), /stale/);
  await shoot(page, "stale");
  await station("stop");
  await state(page, "lost");
  assert.match(await page.locator("#connection-text").innerText(), /no connection/);
  assert.match(await page.locator("#alerts").innerText(), /No connection to the station/);
  await station("start");
  // The result shown after the reconnect is as old as it was, not new.
  await state(page, "stale");
  await station("olive 0.8");
  await state(page, "live");
  assert.equal(await page.locator("#alerts .banner").count(), 0);
  // Only the latest result comes over the new connection: what was concluded in between is in the history.
  await station("stop");
  await state(page, "lost");
  await station("olive 8.1");
  await station("olive 0.9");
  await station("start");
  await state(page, "live");
  await page.locator("#history tbody tr", { hasText: "8.1 % sunflower oil is above the limit" }).waitFor();
});

test("text from outside stays text", async (t) => {
  const page = await open(t);
  await station("hostile");
  await page.locator("#claims", { hasText: "<script>" }).waitFor();
  assert.match(await page.locator("#models").innerText(), /<img src=x onerror/);
  assert.equal(await page.evaluate(() => window.hacked), undefined);
  assert.equal(await page.locator("main img, main script, footer img").count(), 0);
});
