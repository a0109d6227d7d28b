// Pages, filters and orders of the lists; errors; versions.

"use strict";

const assert = require("node:assert/strict");
const { test } = require("node:test");
const { addWorker, connect, fails, nobody, plain, withWorkspace } = require("./server");

const names = (rows) => rows.map((row) => row.friendlyName);

async function withWorkers(use) {
  await withWorkspace(async (workspace, activities) => {
    const workers = [];
    for (const number of [0, 1, 2, 3, 4]) {
      workers.push(await workspace.workers.create({ friendlyName: `w${number}` }));
    }
    await use(workspace, workers, activities);
  });
}

test("pages follow each other without loss while rows are added", () =>
  withWorkers(async (workspace, workers) => {
    const sizes = [];
    const found = [];
    let page = await workspace.workers.page({ pageSize: 2 });
    while (page) {
      sizes.push(page.instances.length);
      found.push(...page.instances.map((row) => row.sid));
      if (sizes.length === 1) {
        await workspace.workers.create({ friendlyName: "late" });
      }
      page = await page.nextPage();
    }
    assert.deepEqual(sizes, [2, 2, 2]);
    assert.deepEqual(found.slice(0, 5), workers.map((row) => row.sid));
    assert.equal(new Set(found).size, 6);
  }));

test("each, limits and pages by URL", () =>
  withWorkers(async (workspace) => {
    const seen = [];
    await new Promise((resolve, reject) => {
      const done = (error) => (error ? reject(error) : resolve());
      workspace.workers.each({ pageSize: 2, done }, (row) => seen.push(row.friendlyName));
    });
    assert.deepEqual(seen, ["w0", "w1", "w2", "w3", "w4"]);
    assert.deepEqual(names(await workspace.workers.list({ limit: 3 })), ["w0", "w1", "w2"]);
    const first = await workspace.workers.page({ pageSize: 2 });
    const second = await workspace.workers.getPage(first.nextPageUrl);
    assert.deepEqual(names(second.instances), ["w2", "w3"]);
    assert.deepEqual(names((await second.previousPage()).instances), ["w0", "w1"]);
    await fails(400, 20001, workspace.workers.page({ pageSize: 0 }));
  }));

test("filters of workers and queues", () =>
  withWorkers(async (workspace, workers, activities) => {
    await workspace.workers(workers[1].sid).update({
      activitySid: activities.available,
      attributes: '{"skills": ["billing"], "level": 3}',
    });
    const queue = await workspace.taskQueues.create({ friendlyName: "Billing", targetWorkers: 'skills HAS "billing"' });
    for (const filters of [
      { available: "true" },
      { activityName: "Available" },
      { activitySid: activities.available },
      { friendlyName: "W1" },
      { targetWorkersExpression: "level >= 3" },
      { taskQueueSid: queue.sid },
      { taskQueueName: "Billing" },
    ]) {
      assert.deepEqual(names(await workspace.workers.list(filters)), ["w1"], JSON.stringify(filters));
    }
    assert.equal((await workspace.workers.list({ available: "0" })).length, 4);
    assert.equal((await workspace.workers.list({ ordering: "DateStatusChanged:desc" }))[0].friendlyName, "w1");
    const queues = (filters) => workspace.taskQueues.list(filters).then(names);
    assert.deepEqual(await queues({ workerSid: workers[1].sid }), ["Sample Queue", "Billing"]);
    assert.deepEqual(await queues({ evaluateWorkerAttributes: "{}" }), ["Sample Queue"]);
    await fails(400, 20001, workspace.workers.list({ targetWorkersExpression: "level >" }));
  }));

test("filters and orders of tasks", () =>
  withWorkspace(async (workspace) => {
    const made = [];
    for (const [priority, call] of [[1, "CA1"], [5, "CA2"], [3, "CA3"]]) {
      made.push((await workspace.tasks.create({ priority, attributes: JSON.stringify({ call_sid: call }) })).sid);
    }
    await workspace.tasks(made[1]).update({ assignmentStatus: "canceled" });
    for (const [filters, expected] of [
      [{}, [0, 1, 2]],
      [{ assignmentStatus: ["pending", "reserved"] }, [0, 2]],
      [{ assignmentStatus: "pending,canceled" }, [0, 1, 2]],
      [{ priority: 3 }, [2]],
      [{ workflowName: "Default Fifo Workflow", priority: 1 }, [0]],
      [{ taskQueueName: "Nobody" }, []],
      [{ hasAddons: true }, []],
      [{ evaluateTaskAttributes: "call_sid == 'CA1' OR call_sid == 'CA3'" }, [0, 2]],
      [{ ordering: "Priority:desc,DateCreated:asc" }, [1, 2, 0]],
      [{ ordering: "Priority:desc", pageSize: 1 }, [1, 2, 0]],
    ]) {
      const found = (await workspace.tasks.list(filters)).map((row) => made.indexOf(row.sid));
      assert.deepEqual(found, expected, JSON.stringify(filters));
    }
    await fails(400, 20001, workspace.tasks.list({ assignmentStatus: ["lost"] }));
    const events = await workspace.events.list({ eventType: "task.created", startDate: new Date(Date.now() - 60_000) });
    assert.equal(events.length, 3);
    await fails(400, 14241, workspace.events.list({ startDate: new Date(Date.now() - 31 * 86_400_000) }));
  }));

test("errors have status and code", () =>
  withWorkspace(async (workspace) => {
    const error = await fails(404, 20404, workspace.workers(`WK${nobody}`).fetch());
    assert.match(error.message, /^The requested resource \/Workspaces\/WS\w+\/Workers\/WK0+ was not found$/);
    assert.equal(error.moreInfo, "https://www.twilio.com/docs/errors/20404");
    await fails(401, 20003, connect(undefined, "wrong").taskrouter.v1.workspaces.list());
    await fails(400, 20001, workspace.workers.create({ friendlyName: "" }));
  }));

test("versions guard against lost updates", () =>
  withWorkspace(async (workspace, activities, { sid }) => {
    const worker = await addWorker(workspace, activities);
    const task = await workspace.tasks.create();
    const tagOf = async (path) => (await plain(`/Workspaces/${sid}/${path}`)).headers.get("etag");
    const [reservation] = await worker.reservations.list();
    const { sid: workerSid } = await worker.fetch();
    for (const [resource, path, change] of [
      [workspace.tasks(task.sid), `Tasks/${task.sid}`, { priority: 1 }],
      [worker, `Workers/${workerSid}`, { attributes: '{"a": 1}' }],
      [worker.reservations(reservation.sid), `Workers/${workerSid}/Reservations/${reservation.sid}`, { reservationStatus: "accepted" }],
    ]) {
      const tag = await tagOf(path);
      await fails(412, 20412, resource.update({ ...change, ifMatch: '"99"' }));
      await resource.update({ ...change, ifMatch: tag });
      assert.notEqual(await tagOf(path), tag, path);
    }
    await fails(412, 20412, workspace.tasks(task.sid).remove({ ifMatch: '"99"' }));
    assert.equal(await workspace.tasks(task.sid).remove({ ifMatch: await tagOf(`Tasks/${task.sid}`) }), true);
  }));
