// Each resource is made, read, changed, listed and removed, and has all of its fields.

"use strict";

const assert = require("node:assert/strict");
const { test } = require("node:test");
const { accountSid, addWorker, connect, fails, unique, withWorkspace } = require("./server");

/** The SID, the owner and moments that were understood as such. */
function checkShape(row, prefix) {
  assert.match(row.sid, new RegExp(`^${prefix}[0-9a-f]{32}$`));
  assert.equal(row.accountSid, accountSid);
  for (const name of ["dateCreated", "dateUpdated"]) {
    assert.ok(row[name] instanceof Date && Math.abs(Date.now() - row[name]) < 600_000, `${name} is ${row[name]}`);
  }
  assert.ok(row.url.endsWith(row.sid));
  for (const [name, value] of Object.entries(row.toJSON())) {
    assert.notEqual(value, undefined, `${prefix} has no ${name}`);
  }
}

async function gone(resource) {
  await fails(404, 20404, resource.fetch());
  await fails(404, 20404, resource.remove());
}

test("workspaces", async () => {
  const workspaces = connect().taskrouter.v1.workspaces;
  const name = unique("Support");
  const made = await workspaces.create({ friendlyName: name });
  checkShape(made, "WS");
  assert.deepEqual([made.defaultActivityName, made.timeoutActivityName], ["Offline", "Offline"]);
  assert.deepEqual([made.multiTaskEnabled, made.prioritizeQueueOrder], [true, "FIFO"]);
  assert.deepEqual([made.eventCallbackUrl, made.eventsFilter], ["", null]);
  const resource = workspaces(made.sid);
  assert.equal((await resource.fetch()).friendlyName, name);
  assert.equal((await resource.taskChannels.list()).length, 5);
  const changed = await resource.update({
    friendlyName: `${name}!`,
    eventCallbackUrl: "https://example.org/events",
    eventsFilter: "task.created",
    prioritizeQueueOrder: "LIFO",
  });
  assert.deepEqual([changed.prioritizeQueueOrder, changed.eventsFilter], ["LIFO", "task.created"]);
  assert.equal((await resource.update({ eventsFilter: "" })).eventsFilter, null);
  assert.deepEqual((await resource.update()).toJSON(), (await resource.fetch()).toJSON());
  await fails(400, 20001, resource.update({ multiTaskEnabled: false }));
  assert.deepEqual((await workspaces.list({ friendlyName: `${name}!` })).map((row) => row.sid), [made.sid]);
  assert.equal(await resource.remove(), true);
  await gone(resource);
});

test("activities", () =>
  withWorkspace(async (workspace, activities) => {
    const made = await workspace.activities.create({ friendlyName: "Lunch" });
    checkShape(made, "WA");
    assert.equal(made.available, false);
    const resource = workspace.activities(made.sid);
    assert.equal((await resource.update({ friendlyName: "Break" })).friendlyName, "Break");
    const available = await workspace.activities.list({ available: "yes" });
    assert.deepEqual(available.map((row) => row.friendlyName), ["Available"]);
    await fails(400, 20001, workspace.activities(activities.offline).remove());
    assert.equal(await resource.remove(), true);
    await gone(resource);
  }));

test("task channels", () =>
  withWorkspace(async (workspace) => {
    const made = await workspace.taskChannels.create({ friendlyName: "Fax", uniqueName: "fax" });
    checkShape(made, "TC");
    assert.equal(made.channelOptimizedRouting, false);
    assert.equal((await workspace.taskChannels("voice").fetch()).uniqueName, "voice");
    const changed = await workspace.taskChannels("fax").update({ channelOptimizedRouting: true });
    assert.deepEqual([changed.sid, changed.channelOptimizedRouting], [made.sid, true]);
    await fails(400, 20001, workspace.taskChannels("voice").remove());
    assert.equal(await workspace.taskChannels("fax").remove(), true);
    await gone(workspace.taskChannels(made.sid));
  }));

test("task queues", () =>
  withWorkspace(async (workspace, activities) => {
    const made = await workspace.taskQueues.create({ friendlyName: "Billing" });
    checkShape(made, "WQ");
    assert.deepEqual([made.targetWorkers, made.taskOrder, made.maxReservedWorkers], ["1==1", "FIFO", 1]);
    const resource = workspace.taskQueues(made.sid);
    const changed = await resource.update({
      targetWorkers: 'skills HAS "billing"',
      taskOrder: "LIFO",
      maxReservedWorkers: 5,
      reservationActivitySid: activities.unavailable,
    });
    assert.deepEqual([changed.taskOrder, changed.maxReservedWorkers], ["LIFO", 5]);
    assert.equal(changed.reservationActivityName, "Unavailable");
    const error = await fails(400, 20001, workspace.taskQueues.create({ friendlyName: "Billing" }));
    assert.match(error.message, /^Queue named Billing already exists for workspace WS/);
    assert.equal(await resource.remove(), true);
    await gone(resource);
  }));

test("workflows", () =>
  withWorkspace(async (workspace) => {
    const [queue] = await workspace.taskQueues.list();
    const configuration = JSON.stringify({ task_routing: { default_filter: { queue: queue.sid } } });
    const made = await workspace.workflows.create({ friendlyName: "Inbound", configuration });
    checkShape(made, "WW");
    assert.deepEqual([made.configuration, made.taskReservationTimeout], [configuration, 120]);
    const resource = workspace.workflows(made.sid);
    const changed = await resource.update({
      assignmentCallbackUrl: "https://example.org/assign",
      taskReservationTimeout: 30,
      reEvaluateTasks: "true",
    });
    assert.deepEqual([changed.assignmentCallbackUrl, changed.taskReservationTimeout], ["https://example.org/assign", 30]);
    assert.equal((await resource.update({ assignmentCallbackUrl: "" })).assignmentCallbackUrl, null);
    await fails(400, 20001, workspace.workflows.create({ friendlyName: "X", configuration: "{" }));
    assert.equal(await resource.remove(), true);
    await gone(resource);
  }));

test("workers and their channels", () =>
  withWorkspace(async (workspace, activities) => {
    const made = await workspace.workers.create({ friendlyName: "Dana", attributes: '{"skills": ["billing"]}' });
    checkShape(made, "WK");
    assert.deepEqual([made.activityName, made.available], ["Offline", false]);
    assert.ok(made.dateStatusChanged instanceof Date);
    const resource = workspace.workers(made.sid);
    const changed = await resource.update({ activitySid: activities.available, attributes: "{}" });
    assert.deepEqual([changed.available, changed.attributes], [true, "{}"]);
    const error = await fails(400, 20001, workspace.workers.create({ friendlyName: "dana" }));
    assert.match(error.message, /Worker with the same friendly name already exists/);

    const voice = await resource.workerChannels("voice").update({ capacity: 3, available: false });
    checkShape(voice, "WC");
    assert.deepEqual([voice.configuredCapacity, voice.available, voice.availableCapacityPercentage], [3, false, 100]);
    assert.equal((await resource.workerChannels(voice.sid).fetch()).configuredCapacity, 3);
    assert.equal((await resource.workerChannels.list()).length, 5);
    await fails(400, 20001, resource.workerChannels("voice").update({ capacity: 51 }));
    assert.equal(await resource.remove(), true);
    await gone(resource);
  }));

test("tasks", () =>
  withWorkspace(async (workspace) => {
    const made = await workspace.tasks.create();
    checkShape(made, "WT");
    assert.deepEqual([made.assignmentStatus, made.priority, made.timeout], ["pending", 0, 86_400]);
    assert.ok(made.virtualStartTime instanceof Date);
    const resource = workspace.tasks(made.sid);
    const changed = await resource.update({ attributes: '{"lang": "de"}', priority: 7, taskChannel: "voice" });
    assert.deepEqual([changed.attributes, changed.priority, changed.taskChannelUniqueName], ['{"lang": "de"}', 7, "voice"]);
    const start = new Date("2026-02-03T04:05:06.789Z");
    const early = await workspace.tasks.create({ virtualStartTime: start, timeout: 60 });
    assert.equal(early.virtualStartTime.getTime(), Math.floor(start.getTime() / 1000) * 1000);
    const canceled = await resource.update({ assignmentStatus: "canceled", reason: "gave up" });
    assert.deepEqual([canceled.assignmentStatus, canceled.reason], ["canceled", "gave up"]);
    const again = await fails(400, 20001, resource.update({ assignmentStatus: "canceled" }));
    assert.match(again.message, /because it is not pending or reserved\.$/);
    assert.equal(await resource.remove(), true);
    await gone(resource);
  }));

test("a task is accepted, wrapped up and completed", () =>
  withWorkspace(async (workspace, activities) => {
    const worker = await addWorker(workspace, activities);
    const task = workspace.tasks((await workspace.tasks.create({ attributes: '{"lang": "de"}' })).sid);
    const [reservation] = await worker.reservations.list({ reservationStatus: "pending" });
    checkShape(reservation, "WR");
    assert.equal((await task.fetch()).assignmentStatus, "reserved");
    const offer = task.reservations(reservation.sid);
    assert.equal((await offer.fetch()).workerName, reservation.workerName);
    assert.equal((await offer.update({ reservationStatus: "accepted" })).reservationStatus, "accepted");
    assert.equal((await worker.workerChannels("default").fetch()).assignedTasks, 1);
    await task.update({ assignmentStatus: "wrapping", reason: "talked" });
    assert.equal((await worker.reservations(reservation.sid).fetch()).reservationStatus, "wrapping");
    assert.equal((await task.update({ assignmentStatus: "completed" })).assignmentStatus, "completed");
    assert.equal((await offer.fetch()).reservationStatus, "completed");

    const events = await workspace.events.list({ taskSid: (await task.fetch()).sid });
    const kinds = events.map((event) => event.eventType);
    assert.equal(kinds[0], "task.created");
    assert.ok(kinds.includes("task.completed") && kinds.includes("reservation.accepted"));
    const first = await workspace.events(events[0].sid).fetch();
    assert.ok(first.eventDate instanceof Date);
    assert.equal(first.eventData.task_attributes, '{"lang": "de"}');
  }));
