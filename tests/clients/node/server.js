// What all tests share: a client of the running server, and workspaces that are removed again.
//
// The address and the account come from SWITCHHOOK_URL, SWITCHHOOK_ACCOUNT_SID and SWITCHHOOK_AUTH_TOKEN; run.sh sets
// them. Nothing here talks to any other server.

"use strict";

const assert = require("node:assert/strict");
const twilio = require("twilio");

const url = process.env.SWITCHHOOK_URL;
const accountSid = process.env.SWITCHHOOK_ACCOUNT_SID;
const authToken = process.env.SWITCHHOOK_AUTH_TOKEN;

let number = 0;

/** A client whose requests go to the server under test. */
function connect(user = accountSid, password = authToken, options = {}) {
  const client = twilio(user, password, options);
  client.taskrouter.baseUrl = url;
  client.api.baseUrl = url;
  return client;
}

/** A name that no other test uses. */
const unique = (name) => `${name} ${process.pid} ${++number}`;

/** Waits for an error, which must have this status and code, and returns it. */
async function fails(status, code, promise) {
  const error = await promise.then(
    () => assert.fail("it did not fail"),
    (error) => error,
  );
  assert.deepEqual([error.status, error.code], [status, code], error.message);
  return error;
}

/** Calls `use` with a workspace that has a queue and a workflow, and the SIDs of its activities by name. */
async function withWorkspace(use) {
  const workspaces = connect().taskrouter.v1.workspaces;
  const made = await workspaces.create({ friendlyName: unique("Floor"), template: "FIFO" });
  const workspace = workspaces(made.sid);
  try {
    const list = await workspace.activities.list();
    const activities = Object.fromEntries(list.map((row) => [row.friendlyName.toLowerCase(), row.sid]));
    await use(workspace, activities, made);
  } finally {
    await workspace.remove();
  }
}

/** A worker who may be reserved. */
async function addWorker(workspace, activities) {
  const made = await workspace.workers.create({ friendlyName: unique("dana"), activitySid: activities.available });
  return workspace.workers(made.sid);
}

/** A request without the library, for what it does not show or cannot send. */
async function plain(path, options = {}) {
  const credentials = Buffer.from(`${accountSid}:${authToken}`).toString("base64");
  const headers = { authorization: `Basic ${credentials}`, ...options.headers };
  return fetch(`${url}/v1${path}`, { ...options, headers });
}

const nobody = "0".repeat(32);

module.exports = { accountSid, addWorker, connect, fails, nobody, plain, unique, withWorkspace };
