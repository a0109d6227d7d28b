// Tasks that are handed on, warm and cold, to workers and queues: accepted, refused, canceled.

"use strict";

story("a warm transfer to a worker is accepted", async (floor) => {
  const alice = await floor.connect(await floor.hire("alice"));
  const { task } = await floor.hold(alice, { Attributes: '{"fish":"cod"}' });
  const bob = await floor.connect(await floor.hire("bob"));
  const hand = () => task.transfer(bob.sid, { attributes: { fish: "eel" }, priority: 4 });
  const [, transfer, offered] = await floor.after(hand, [task, "transferInitiated"], [bob, "reservationCreated"]);
  const { status, mode, type, to } = transfer;
  check.equal([status, mode, type, to], ["initiated", "WARM", "WORKER", bob.sid], "outgoing");
  check.equal(task.transfers.outgoing.sid, transfer.sid, "outgoing");
  const { incoming } = offered.task.transfers;
  check.equal([incoming.sid, incoming.status, incoming.workerSid], [transfer.sid, "initiated", alice.sid], "incoming");
  await floor.after(() => offered.accept(), [offered, "accepted"], [transfer, "completed"]);
  check.equal([transfer.status, offered.task.status], ["complete", "assigned"], "accepted");
  check.equal(offered.task.attributes, { fish: "eel" }, "attributes");
});

story("a transfer to a worker who refuses gives the task back", async (floor) => {
  const alice = await floor.connect(await floor.hire("alice"));
  const { task } = await floor.hold(alice);
  const bob = await floor.connect(await floor.hire("bob"));
  const hand = () => task.transfer(bob.sid, { mode: "WARM" });
  const [, transfer, offered] = await floor.after(hand, [task, "transferInitiated"], [bob, "reservationCreated"]);
  await floor.after(() => offered.reject(), [offered, "rejected"], [transfer, "failed"], [task, "updated"]);
  check.equal([transfer.status, task.status], ["failed", "assigned"], "afterwards");
  check.equal(transfer.transferFailedReason, "Transfer failed because the reservation was rejected", "reason");
});

story("a transfer is taken back, once", async (floor) => {
  const alice = await floor.connect(await floor.hire("alice"));
  const { task } = await floor.hold(alice);
  const bob = await floor.connect(await floor.hire("bob"));
  const [, transfer, offered] = await floor.after(
    () => task.transfer(bob.sid),
    [task, "transferInitiated"],
    [bob, "reservationCreated"],
  );
  await check.refused(/status code 400/, task.complete("while it is handed on"));
  await floor.after(() => transfer.cancel(), [transfer, "canceled"], [offered, "canceled"], [task, "updated"]);
  check.equal([transfer.status, task.status, bob.reservations.size], ["canceled", "assigned", 0], "afterwards");
  const over = `Transfer ${transfer.sid} is already canceled . Cannot cancel transfer.`;
  const error = await check.refused(/already canceled/, transfer.cancel());
  check.ok(error.message.endsWith(over), error.message);
});

story("nobody can be given a task who is not available", async (floor) => {
  const alice = await floor.connect(await floor.hire("alice"));
  const { task } = await floor.hold(alice);
  const bob = await floor.hire("bob", { ActivitySid: floor.activities.offline });
  await check.refused(/status code 400/, task.transfer(bob.sid));
  check.equal(task.transfers.outgoing, null, "transfer");
});

story("a cold transfer to a worker ends the work of the first one", async (floor) => {
  const alice = await floor.connect(await floor.hire("alice"));
  const reservation = await floor.hold(alice);
  const { task } = reservation;
  const bob = await floor.connect(await floor.hire("bob"));
  const hand = () => task.transfer(bob.sid, { mode: "COLD" });
  const [, transfer, , offered] = await floor.after(
    hand,
    [task, "transferInitiated"],
    [reservation, "wrapup"],
    [bob, "reservationCreated"],
  );
  check.equal([transfer.mode, reservation.status], ["COLD", "wrapping"], "handed on");
  await floor.after(() => offered.accept(), [offered, "accepted"], [transfer, "completed"]);
  await floor.after(() => reservation.complete(), [reservation, "completed"]);
  check.equal([offered.status, offered.task.status], ["accepted", "assigned"], "the second one holds it");
});

story("a warm transfer to a queue goes on after a refusal", async (floor) => {
  const alice = await floor.connect(await floor.hire("alice"));
  const { task } = await floor.hold(alice);
  const queue = await floor.post("/TaskQueues", { FriendlyName: "Second line", TargetWorkers: "second == true" });
  const second = { Attributes: '{"second":true}' };
  const bob = await floor.connect(await floor.hire("bob", second));
  const hand = () => task.transfer(queue.sid);
  const [, transfer, offered] = await floor.after(hand, [task, "transferInitiated"], [bob, "reservationCreated"]);
  check.equal([transfer.type, transfer.to, offered.task.queueSid], ["QUEUE", queue.sid, queue.sid], "outgoing");
  const away = { activitySid: floor.activities.unavailable };
  await floor.after(() => offered.reject(away), [offered, "rejected"], [transfer, "attemptFailed"]);
  check.equal(transfer.status, "initiated", "after one refusal");
  const carol = await floor.connect(await floor.hire("carol", { ...second, ActivitySid: floor.activities.offline }));
  const come = () => carol.activities.get(floor.activities.available).setAsCurrent();
  const [, again] = await floor.after(come, [carol, "reservationCreated"]);
  check.equal(again.task.sid, task.sid, "the task");
  await floor.after(() => again.accept(), [again, "accepted"], [transfer, "completed"]);
});

story("a cold transfer to a queue may come back to the same agent", async (floor) => {
  const worker = await floor.hire("alice");
  const alice = await floor.connect(worker);
  const reservation = await floor.hold(alice);
  await floor.post(`/Workers/${worker.sid}/Channels/default`, { Capacity: "2" });
  const hand = () => reservation.task.transfer(floor.queue.sid, { mode: "COLD" });
  const [, , again] = await floor.after(hand, [reservation, "wrapup"], [alice, "reservationCreated"]);
  check.equal(again.task.sid, reservation.task.sid, "the task");
  check.equal(again.task.transfers.incoming.workerSid, alice.sid, "from whom");
  await floor.after(() => again.accept(), [again, "accepted"]);
});
