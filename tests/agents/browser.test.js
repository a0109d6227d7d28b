// All stories in a page of Chromium, with the package's build for browsers. The page comes from another origin than the
// server, as an agent's desktop does. The build leaves what it depends on to the application's bundler, so here too.

"use strict";

const assert = require("node:assert/strict");
const { readFileSync, readdirSync } = require("node:fs");
const { createServer } = require("node:http");
const { join } = require("node:path");
const { after, before, test } = require("node:test");
const esbuild = require("esbuild-wasm");
const { chromium } = require("playwright-core");
const { Office } = require("./office");
require("./floor");

const directory = join(__dirname, "stories");
const files = readdirSync(directory).sort();
for (const file of files) require(join(directory, file));

/** The scripts of the page by their paths. */
function scripts() {
  const contents = 'globalThis.TaskRouter = require("twilio-taskrouter");';
  const main = require.resolve("twilio-taskrouter");
  const bundle = esbuild.buildSync({
    stdin: { contents, resolveDir: join(main, "..") },
    bundle: true,
    platform: "browser",
    write: false,
    logLevel: "error",
    nodePaths: [join(main, "..", "..", "..")],
  });
  const read = (...path) => readFileSync(join(__dirname, ...path), "utf8");
  return new Map([
    ["/sdk.js", bundle.outputFiles[0].text],
    ["/floor.js", read("floor.js")],
    ...files.map((file) => [`/stories/${file}`, read("stories", file)]),
  ]);
}

/** What a story may ask of the office. */
const OFFICE = ["kill", "phone", "printedToken", "rest", "start", "token"];

let office, desktop, server, browser;

before(async () => {
  office = await Office.open();
  const parts = scripts();
  const tags = [...parts.keys()].map((path) => `<script src="${path}"></script>`);
  const page = `<!doctype html><meta charset="utf-8"><title>Agents</title>${tags.join("")}`;
  server = createServer((request, response) => {
    const script = parts.get(request.url);
    response.setHeader("content-type", script ? "text/javascript" : "text/html");
    response.end(script ?? page);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  // Chromium's sandbox needs what containers and the super-user do not have; the page is our own.
  const args = ["--no-sandbox", "--disable-dev-shm-usage"];
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM_BIN, args });
  desktop = await browser.newPage();
  await desktop.exposeFunction("askOffice", (name, values) => {
    assert.ok(OFFICE.includes(name), name);
    return office[name](...values.map((value) => value ?? undefined));
  });
  await desktop.goto(`http://127.0.0.1:${server.address().port}/`);
});

after(async () => {
  await browser?.close();
  server?.close();
  await office?.close();
});

for (const [number, { name }] of stories.entries()) {
  test(name, async () => {
    const exceptions = [];
    const note = (error) => exceptions.push(error.message);
    desktop.on("pageerror", note);
    await desktop.evaluate(
      async ({ number, url, names }) => {
        const asking = names.map((name) => [name, (...values) => askOffice(name, values)]);
        const floor = new Floor(TaskRouter, Object.fromEntries(asking), url, () => {});
        await floor.furnish();
        try {
          await stories[number].tell(floor);
        } finally {
          floor.leave();
        }
      },
      { number, url: office.url, names: OFFICE },
    );
    desktop.off("pageerror", note);
    assert.deepEqual(exceptions, []);
  });
}
