// Statistics of every kind: of an empty workspace, and after a task was worked on.

"use strict";

const assert = require("node:assert/strict");
const { test } = require("node:test");
const { addWorker, fails, plain, withWorkspace } = require("./server");

const STATUSES = ["assigned", "canceled", "completed", "pending", "reserved", "wrapping"];

async function scopesOf(workspace) {
  const [queue] = await workspace.taskQueues.list();
  const [workflow] = await workspace.workflows.list();
  return [workspace, workspace.taskQueues(queue.sid), workspace.workflows(workflow.sid)];
}

test("an empty workspace has zeros", () =>
  withWorkspace(async (workspace) => {
    for (const scope of await scopesOf(workspace)) {
      const realTime = await scope.realTimeStatistics().fetch();
      assert.deepEqual([realTime.totalTasks, realTime.longestTaskWaitingAge], [0, 0]);
      assert.deepEqual(Object.keys(realTime.tasksByStatus).sort(), STATUSES);
      const cumulative = await scope.cumulativeStatistics().fetch({ splitByWaitTime: "5,10" });
      assert.deepEqual([cumulative.reservationsCreated, cumulative.tasksCompleted, cumulative.avgTaskAcceptanceTime], [0, 0, 0]);
      assert.deepEqual(cumulative.waitDurationUntilAccepted, { avg: 0, min: 0, max: 0, total: 0 });
      assert.deepEqual(Object.keys(cumulative.splitByWaitTime), ["5", "10"]);
      assert.equal(cumulative.endTime - cumulative.startTime, 15 * 60_000);
      const combined = await scope.statistics().fetch({ splitByWaitTime: "5,10" });
      assert.equal(combined.realtime.total_tasks, 0);
      assert.equal(combined.cumulative.reservations_created, 0);
    }
    await fails(400, 14241, workspace.statistics().fetch({ startDate: new Date(Date.now() - 31 * 86_400_000) }));
  }));

test("what happened is counted", () =>
  withWorkspace(async (workspace, activities, { sid }) => {
    const worker = await addWorker(workspace, activities);
    await workspace.tasks.create();
    const [offer] = await worker.reservations.list({ reservationStatus: "pending" });
    await worker.reservations(offer.sid).update({ reservationStatus: "accepted" });
    await worker.reservations(offer.sid).update({ reservationStatus: "completed" });
    await worker.update({ activitySid: activities.offline });
    const waiting = await workspace.tasks.create({ priority: 10 });
    for (const scope of await scopesOf(workspace)) {
      const realTime = await scope.realTimeStatistics().fetch();
      assert.deepEqual([realTime.totalTasks, realTime.longestTaskWaitingSid], [1, waiting.sid]);
      assert.deepEqual(realTime.tasksByPriority, { 10: 1 });
      const cumulative = await scope.cumulativeStatistics().fetch({ minutes: 60 });
      assert.deepEqual([cumulative.reservationsAccepted, cumulative.tasksCompleted], [1, 1]);
    }
    const own = await worker.statistics().fetch();
    assert.equal(own.cumulative.reservations_accepted, 1);
    const workers = await workspace.workers.statistics().fetch({ taskQueueName: "Sample Queue" });
    assert.deepEqual([workers.realtime.total_workers, workers.cumulative.reservations_created], [1, 1]);
    assert.equal((await workspace.workers.realTimeStatistics().fetch()).totalWorkers, 1);
    assert.equal((await workspace.workers.cumulativeStatistics().fetch()).reservationsCreated, 1);

    await workspace.taskQueues.create({ friendlyName: "second" });
    const queues = await workspace.taskQueues.statistics.list({ pageSize: 1 });
    assert.equal(new Set(queues.map((row) => row.taskQueueSid)).size, 2);
    const body = JSON.stringify({ QueueSids: queues.map((row) => row.taskQueueSid) });
    const headers = { "content-type": "application/json" };
    const bulk = await plain(`/Workspaces/${sid}/TaskQueues/RealTimeStatistics`, { method: "POST", body, headers });
    assert.equal(bulk.status, 200);
    assert.equal((await bulk.json()).task_queue_response_count, 2);
  }));
