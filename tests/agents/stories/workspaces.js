// Lists of the workspace, and what supervisors and workers may do to others.

"use strict";

story("workers are listed page by page, filtered and ordered", async (floor) => {
  const hired = [];
  for (const name of ["ann", "ben", "cid", "dot", "eve"]) {
    const form = { Attributes: JSON.stringify({ tall: name < "c" }) };
    if (name === "eve") form.ActivitySid = floor.activities.offline;
    hired.push(await floor.hire(name, form));
  }
  const sids = hired.map((row) => row.sid);
  const workspace = await floor.workspace("admin", { pageSize: 2 });
  const listed = async (parameters) => [...(await workspace.fetchWorkersInfo(parameters)).keys()];
  check.equal(await listed(), sids, "all");
  check.equal([...(await workspace.fetchWorkers()).keys()], sids, "by the old name");
  check.equal(await listed({ AfterSid: sids[2] }), sids.slice(3), "after the third");
  check.equal(await listed({ FriendlyName: "cid" }), [sids[2]], "by name");
  check.equal(await listed({ ActivityName: "Offline" }), [sids[4]], "by activity");
  check.equal(await listed({ ActivitySid: floor.activities.offline }), [sids[4]], "by activity");
  check.equal(await listed({ TargetWorkersExpression: "tall == true" }), sids.slice(0, 2), "by expression");
  check.equal((await listed({ Ordering: "DateStatusChanged:desc" })).sort(), [...sids].sort(), "ordered");
  check.equal((await listed({ MaxWorkers: 3 })).length, 3, "the first three");
  const worker = await workspace.fetchWorkerInfo(sids[1]);
  check.equal([worker.name, worker.attributes, worker.available], ["ben", { tall: true }, true], "one");
  check.equal((await workspace.fetchWorker(sids[1])).sid, sids[1], "one by the old name");
  await check.refused(/status code 404/, workspace.fetchWorkerInfo(`WK${"0".repeat(32)}`));
  await check.refused(/status code 400/, workspace.fetchWorkersInfo({ AfterSid: "WKnone" }));
});

story("queues and tasks are shown, also those of one worker", async (floor) => {
  const fish = await floor.post("/TaskQueues", { FriendlyName: "Fish", TargetWorkers: "fish == true" });
  const worker = await floor.hire("alice", { ActivitySid: floor.activities.offline });
  const workspace = await floor.workspace("worker");
  const listed = async (parameters) => [...(await workspace.fetchTaskQueues(parameters)).keys()];
  check.equal(await listed(), [floor.queue.sid, fish.sid], "all");
  check.equal(await listed({ WorkerSid: worker.sid }), [floor.queue.sid], "of a worker");
  check.equal(await listed({ FriendlyName: "Fish" }), [fish.sid], "by name");
  check.equal(await listed({ Ordering: "DateUpdated:desc" }), [fish.sid, floor.queue.sid], "ordered");
  const queue = await workspace.fetchTaskQueue(fish.sid);
  check.equal([queue.name, queue.targetWorkers], ["Fish", "fish == true"], "one");
  const made = await floor.enqueue({ Attributes: '{"fish":"cod"}' });
  const task = await workspace.fetchTask(made.sid);
  check.equal([task.status, task.attributes], ["pending", { fish: "cod" }], "a task");
  workspace.updateToken(await floor.office.token(floor.sid, undefined, "worker", 3600, "another secret"));
  await check.refused(/status code 403/, workspace.fetchTask(made.sid));
  workspace.updateToken(await floor.office.token(floor.sid, undefined, "worker"));
  check.equal((await workspace.fetchTask(made.sid)).sid, made.sid, "with another token");
});

story("a supervisor changes other workers", async (floor) => {
  const alice = await floor.connect(await floor.hire("alice"));
  const sue = await floor.hire("sue", { ActivitySid: floor.activities.offline });
  const supervisor = await floor.connect(sue, {}, "supervisor");
  const teach = () => supervisor.setWorkerAttributes(alice.sid, { skills: ["eel"] });
  await floor.after(teach, [alice, "attributesUpdated"]);
  check.equal(alice.attributes, { skills: ["eel"] }, "attributes");
  const reservation = await floor.offer(alice);
  const options = { rejectPendingReservations: true };
  const send = () => supervisor.setWorkerActivity(alice.sid, floor.activities.unavailable, options);
  await floor.after(send, [reservation, "rejected"], [alice, "activityUpdated"]);
  check.equal(alice.activity.name, "Unavailable", "activity");
});

story("a worker changes nobody else", async (floor) => {
  const alice = await floor.hire("alice");
  const bob = await floor.hire("bob");
  // The class of a supervisor with the token of a worker: the server decides by the token.
  const token = await floor.office.token(floor.sid, bob.sid, "worker");
  const supervisor = floor.agent(token, {}, floor.sdk.Supervisor);
  await floor.next(supervisor, "ready");
  await check.refused(/status code 403/, supervisor.setWorkerAttributes(alice.sid, { fired: true }));
  await check.refused(/status code 403/, supervisor.setWorkerActivity(alice.sid, floor.activities.offline));
  check.equal((await floor.get(`/Workers/${alice.sid}`)).attributes, "{}", "attributes");
});
