// API keys: made with the account's token, used in its place, and revoked.

"use strict";

const assert = require("node:assert/strict");
const { test } = require("node:test");
const { accountSid, connect, fails, unique } = require("./server");

test("a key is made, used, renamed and revoked", async () => {
  const client = connect();
  const made = await client.newKeys.create({ friendlyName: unique("key") });
  assert.match(made.sid, /^SK[0-9a-f]{32}$/);
  const user = connect(made.sid, made.secret, { accountSid });
  const workspace = await user.taskrouter.v1.workspaces.create({ friendlyName: unique("By key") });
  assert.equal(workspace.accountSid, accountSid);
  assert.equal(await user.taskrouter.v1.workspaces(workspace.sid).remove(), true);
  assert.equal((await client.keys(made.sid).update({ friendlyName: "renamed" })).friendlyName, "renamed");
  assert.ok((await client.keys.list()).some((key) => key.sid === made.sid));
  assert.equal(await client.keys(made.sid).remove(), true);
  await fails(401, 20003, user.taskrouter.v1.workspaces.list());
  await fails(404, 20404, client.keys(made.sid).fetch());
});
