// The page of `switchhook phone` in Chromium: a telephone by mouse and by keyboard, live lists, nothing run but its own.

"use strict";

const assert = require("node:assert/strict");
const { createServer } = require("node:http");
const { after, before, test } = require("node:test");
const { chromium } = require("playwright-core");
const { Office } = require("./office");

/** What callers hear: a menu whose keys come back here, then the agent, who answers by hand. */
const documents = new Map([
  ["/menu", '<Response><Gather numDigits="1" timeout="60" action="/keys"/></Response>'],
  ["/keys", '<Response><Dial timeout="60"><Client>ann</Client></Dial></Response>'],
]);

let office, application, url, browser, page;
const asked = [];
const complaints = [];

before(async () => {
  office = await Office.open();
  application = createServer((request, response) => {
    let body = "";
    request.on("data", (part) => (body += part));
    request.on("end", () => {
      asked.push([request.url, Object.fromEntries(new URLSearchParams(body))]);
      response.setHeader("content-type", "text/xml");
      response.end(documents.get(request.url) ?? "<Response/>");
    });
  });
  await new Promise((resolve) => application.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${application.address().port}`;
  // Chromium's sandbox needs what containers and the super-user do not have; the page is our own.
  const args = ["--no-sandbox", "--disable-dev-shm-usage"];
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM_BIN, args });
  const [username, password] = office.phoneCredentials();
  page = await (await browser.newContext({ httpCredentials: { username, password } })).newPage();
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (line) => line.type() === "error" && complaints.push(line.text()));
  await page.goto(office.phoneUrl);
});

after(async () => {
  await browser?.close();
  application?.close();
  await office?.close();
});

/** The row of the list of calls that contains `text`. */
const row = (text) => page.locator("#calls tbody tr", { hasText: text });

test("what is not there is said", async () => {
  await page.getByText("No call is live.").waitFor();
  await page.getByText("No conference is open.").waitFor();
  await page.getByText("No number can be called yet.").waitFor();
  await page.getByText("None. Place a call, or take one in hand").waitFor();
  await page.getByText("0 live calls").waitFor();
});

test("a call is placed, keys are pressed, an agent's leg is answered, both hang up", async () => {
  await page.getByLabel("Number", { exact: true }).fill("+15552220000");
  await page.getByLabel("Voice URL").fill(`${url}/menu`);
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByLabel("Address").fill("client:ann");
  await page.getByRole("button", { name: "Ring here" }).click();
  // From here on with the keyboard alone.
  const from = "<img src=x onerror=alert(1)>";
  await page.getByLabel("From").fill(from);
  await page.getByLabel("To", { exact: true }).fill("+15552220000");
  await page.keyboard.press("Enter");
  await page.locator("#call-parties", { hasText: `${from} → +15552220000` }).waitFor();
  await page.locator("#call-state", { hasText: "in-progress" }).waitFor();
  await row(from).getByText("document").waitFor();
  await row(from).getByRole("button", { name: "Take in hand" }).focus();
  await page.keyboard.press("Enter");
  await page.keyboard.press("7");
  await row("client:ann").getByText("ringing").waitFor();
  const keys = asked.find(([path]) => path === "/keys")[1];
  assert.equal(keys.Digits, "7");
  const answer = row("client:ann").getByRole("button", { name: "Answer" });
  await answer.focus();
  await page.keyboard.press("Enter");
  await row("client:ann").getByText("in-progress").waitFor();
  await page.locator("#call-parties", { hasText: "→ client:ann" }).waitFor();
  assert.ok(await row("+15552220000").getByRole("button", { name: "Answer" }).isDisabled(), "it came in");
  await page.locator("#hang-up").click();
  await page.getByText("No call is live.").waitFor();
  await page.locator("#call-state", { hasText: "ended" }).waitFor();
  await page.getByRole("button", { name: "Put down" }).click();
  await page.getByText("None. Place a call").waitFor();
  assert.equal(await page.locator("img").count(), 0, "what a caller sends is text");
  await page.locator("#log li", { hasText: "call.ended" }).first().waitFor();
});

test("rooms show who is in them, and refusals are told", async () => {
  const form = new URLSearchParams({ To: "client:bob", From: "+15550001111", Label: "WR1", Muted: "true" });
  const room = "/2010-04-01/Accounts/{account}/Conferences/WT1/Participants.json";
  const added = await office.phone("POST", room, form);
  assert.equal(added.status, 201);
  await page.locator("#rooms tbody tr", { hasText: "WT1" }).getByText("WR1: client:bob (connected, muted)").waitFor();
  await page.getByLabel("To", { exact: true }).fill("+19990000000");
  await page.getByRole("button", { name: "Call", exact: true }).click();
  await page.getByRole("alert").getByText("was not found").waitFor();
});

test("a phone system that is gone is said, and its return is seen", async () => {
  await office.kill("phone");
  await page.getByText("No answer from the phone system").waitFor();
  await office.startPhone();
  await page.getByText("0 live calls").waitFor();
  await page.getByText("Nothing yet.").waitFor();
  const told = complaints.filter((line) => !/ERR_CONNECTION|404/.test(line));
  assert.deepEqual(told, [], "the page and its policy had nothing to complain of");
});
