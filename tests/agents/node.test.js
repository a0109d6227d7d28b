// All stories in Node; and that together they name every method and reach every event of the SDK.

"use strict";

const assert = require("node:assert/strict");
const { readFileSync, readdirSync } = require("node:fs");
const { join } = require("node:path");
const { after, before, test } = require("node:test");
const sdk = require("twilio-taskrouter");
const { Office } = require("./office");
require("./floor");

const directory = join(__dirname, "stories");
const files = readdirSync(directory).sort();
for (const file of files) require(join(directory, file));

const seen = new Set();
let office;

before(async () => {
  office = await Office.open();
});
after(() => office?.close());

for (const { name, tell } of stories) {
  test(name, async () => {
    const floor = new Floor(sdk, office, office.url, (event) => seen.add(event));
    await floor.furnish();
    try {
      await tell(floor);
    } finally {
      floor.leave();
    }
  });
}

/** Names of the members of a declaration in the SDK's types, of those that `pattern` finds. */
function members(types, declaration, pattern) {
  const start = types.indexOf(declaration);
  assert.notEqual(start, -1, `${declaration} is not in the types of the SDK`);
  const body = types.slice(types.indexOf("{", start), types.indexOf("\n}", start));
  return [...body.matchAll(pattern)].map((match) => match[1]);
}

const typesOf = () => {
  const main = require.resolve("twilio-taskrouter");
  return readFileSync(join(main, "..", "types.d.ts"), "utf8");
};

test("the stories reach every event of the SDK", () => {
  const types = typesOf();
  const expected = ["attemptFailed", "canceled", "completed", "failed"].map((event) => `OutgoingTransfer.${event}`);
  for (const name of ["Worker", "Channel", "Task", "Reservation"]) {
    const events = members(types, `interface ${name}Events `, /^\s+(\w+): \(/gm);
    assert.ok(events.length > 0, name);
    expected.push(...events.map((event) => `${name}.${event}`));
  }
  assert.deepEqual(expected.filter((event) => !seen.has(event)), []);
});

test("the stories call every method of the SDK", () => {
  const types = typesOf();
  const told = files.map((file) => readFileSync(join(directory, file), "utf8")).join("\n");
  const missing = [];
  for (const [name, declaration, variables] of [
    ["Worker", "class Worker ", "agent|alice|bob"],
    ["Supervisor", "class Supervisor ", "supervisor"],
    ["Activity", "interface Activity ", "activity"],
    ["Task", "class Task ", "task"],
    ["Reservation", "class Reservation ", "reservation"],
    ["Workspace", "class Workspace ", "workspace"],
    ["OutgoingTransfer", "interface OutgoingTransfer ", "transfer"],
  ]) {
    const methods = members(types, declaration, /^\s+(\w+)\([^)]*\): /gm);
    assert.ok(methods.length > 0, name);
    const called = (method) => new RegExp(`\\b(${variables})\\.${method}\\(`).test(told);
    missing.push(...methods.filter((method) => !called(method)).map((method) => `${name}.${method}`));
  }
  assert.deepEqual(missing, []);
});
