// Offers and what becomes of them: accepted, rejected, timed out, rescinded, canceled, wrapped up, completed.

"use strict";

story("a reservation is accepted, wrapped up and completed", async (floor) => {
  const alice = await floor.connect(await floor.hire("alice"));
  const reservation = await floor.offer(alice, { Attributes: '{"fish":"cod"}', Priority: "3" });
  const { task } = reservation;
  check.equal([reservation.status, task.status, task.priority], ["pending", "reserved", 3], "offered");
  check.equal([task.attributes, task.queueSid], [{ fish: "cod" }, floor.queue.sid], "offered");
  check.equal(alice.reservations.get(reservation.sid) === reservation, true, "in the list");
  const version = Number(reservation.version);
  const [answer] = await floor.after(() => reservation.accept(), [reservation, "accepted"]);
  check.equal([answer.status, Number(answer.version)], ["accepted", version + 1], "accepted");
  check.equal([reservation.status, task.status], ["accepted", "assigned"], "accepted");
  await floor.after(() => reservation.wrap(), [reservation, "wrapup"], [task, "wrapup"]);
  check.equal([reservation.status, task.status], ["wrapping", "wrapping"], "wrapping");
  await floor.after(() => reservation.complete(), [reservation, "completed"], [task, "completed"]);
  check.equal([reservation.status, task.status, alice.reservations.size], ["completed", "completed", 0], "completed");
});

story("a task is updated, wrapped up and completed", async (floor) => {
  const alice = await floor.connect(await floor.hire("alice"));
  const reservation = await floor.hold(alice);
  const { task } = reservation;
  const version = Number(task.version);
  await floor.after(() => task.setAttributes({ mood: "calm" }), [task, "updated"]);
  check.equal([task.attributes, Number(task.version)], [{ mood: "calm" }, version + 1], "attributes");
  const start = new Date(Date.UTC(2020, 1, 29, 12));
  await floor.after(() => task.setVirtualStartTime(start), [task, "updated"]);
  check.equal(task.virtualStartTime.getTime(), start.getTime(), "virtual start");
  const change = () => floor.post(`/Tasks/${task.sid}`, { Priority: "9" });
  await floor.after(change, [task, "updated"]);
  check.equal([task.priority, reservation.status], [9, "accepted"], "by somebody else");
  await floor.after(() => task.wrapUp({ reason: "notes" }), [task, "wrapup"], [reservation, "wrapup"]);
  await floor.after(() => task.complete("sold"), [task, "completed"], [reservation, "completed"]);
  check.equal([task.status, task.reason], ["completed", "sold"], "completed");
});

story("versions of reservations and tasks are checked", async (floor) => {
  const alice = await floor.connect(await floor.hire("alice"), { enableVersionCheck: true });
  const reservation = await floor.offer(alice);
  reservation.version = String(Number(reservation.version) + 7);
  await check.refused(/status code 412/, reservation.accept());
  await reservation.fetchLatestVersion();
  check.equal(reservation.status, "pending", "after the refusal");
  await floor.after(() => reservation.accept(), [reservation, "accepted"]);
  const { task } = reservation;
  task.version = String(Number(task.version) + 7);
  await check.refused(/status code 412/, task.complete("too soon"));
  await task.fetchLatestVersion();
  await floor.after(() => task.complete("now"), [task, "completed"]);
});

story("a reservation is rejected, and the agent goes elsewhere", async (floor) => {
  const alice = await floor.connect(await floor.hire("alice"));
  const reservation = await floor.offer(alice);
  const away = { activitySid: floor.activities.unavailable };
  await floor.after(() => reservation.reject(away), [reservation, "rejected"], [alice, "activityUpdated"]);
  check.equal([reservation.status, alice.reservations.size], ["rejected", 0], "reservation");
  check.equal(alice.activity.sid, away.activitySid, "activity");
});

story("pending reservations are rejected by a change of activity", async (floor) => {
  const alice = await floor.connect(await floor.hire("alice"));
  const reservation = await floor.offer(alice);
  const activity = alice.activities.get(floor.activities.offline);
  const leave = () => activity.setAsCurrent({ rejectPendingReservations: true });
  await floor.after(leave, [reservation, "rejected"], [alice, "activityUpdated"]);
  check.equal(alice.activity.name, "Offline", "activity");
});

story("a reservation that is not answered times out", async (floor) => {
  const alice = await floor.connect(await floor.hire("alice"));
  await floor.post(`/Workflows/${floor.workflow.sid}`, { TaskReservationTimeout: "1" });
  const offered = floor.next(alice, "activityUpdated");
  const reservation = await floor.offer(alice);
  check.equal(reservation.timeout, 1, "timeout");
  await floor.next(reservation, "timeout");
  await offered;
  check.equal([reservation.status, alice.activity.name], ["timeout", "Offline"], "afterwards");
});

story("who is slower than another loses the offer", async (floor) => {
  await floor.post(`/TaskQueues/${floor.queue.sid}`, { MaxReservedWorkers: "2" });
  const alice = await floor.connect(await floor.hire("alice"));
  const bob = await floor.connect(await floor.hire("bob"));
  const [, ours, theirs] = await floor.after(
    () => floor.enqueue(),
    [alice, "reservationCreated"],
    [bob, "reservationCreated"],
  );
  await floor.after(() => ours.accept(), [ours, "accepted"], [theirs, "rescinded"]);
  check.equal([ours.status, theirs.status, bob.reservations.size], ["accepted", "rescinded", 0], "afterwards");
});

story("a task is canceled under an offer", async (floor) => {
  const alice = await floor.connect(await floor.hire("alice"));
  const reservation = await floor.offer(alice);
  const { task } = reservation;
  const cancel = () => floor.post(`/Tasks/${task.sid}`, { AssignmentStatus: "canceled", Reason: "gone" });
  await floor.after(cancel, [reservation, "canceled"], [task, "canceled"]);
  check.equal([task.status, task.reason], ["canceled", "gone"], "afterwards");
  check.equal(reservation.canceledReasonCode === undefined, true, "no reason code");
});

story("a task is deleted under its holder", async (floor) => {
  const alice = await floor.connect(await floor.hire("alice"));
  const reservation = await floor.hold(alice);
  await floor.after(() => floor.remove(`/Tasks/${reservation.task.sid}`), [reservation, "completed"]);
  check.equal(alice.reservations.size, 0, "reservations");
});

story("an agent makes a task for itself, wherever it is", async (floor) => {
  const worker = await floor.hire("alice", { ActivitySid: floor.activities.offline });
  const alice = await floor.connect(worker);
  const options = { attributes: { campaign: "spring" }, taskChannelUniqueName: "voice" };
  const make = () => alice.createTask("+15550101", "+15550102", floor.workflow.sid, floor.queue.sid, options);
  const [sid, reservation] = await floor.after(make, [alice, "reservationCreated"]);
  const { task } = reservation;
  check.equal([task.sid, task.routingTarget, task.taskChannelUniqueName], [sid, worker.sid, "voice"], "task");
  const { campaign, outbound_to: to, from } = task.attributes;
  check.equal([campaign, to, from], ["spring", "+15550101", "+15550102"], "attributes");
  const wrong = alice.createTask("+15550101", "+15550102", "WWnone", floor.queue.sid);
  await check.refused(/Value 'WWnone' provided for WorkflowSid as RoutingTarget has an invalid format/, wrong);
});

story("a task for an agent who is taken away fails", async (floor) => {
  const worker = await floor.hire("alice", { ActivitySid: floor.activities.offline });
  const alice = await floor.connect(worker);
  const form = { RoutingTarget: worker.sid, IgnoreCapacity: "false" };
  await floor.post(`/Workers/${worker.sid}/Channels/default`, { Capacity: "0" });
  const task = await floor.enqueue(form);
  const [, failed] = await floor.after(() => floor.remove(`/Workers/${worker.sid}`), [alice, "reservationFailed"]);
  check.equal([failed.sid, failed.assignment_status], [task.sid, "canceled"], "task");
  check.equal(failed.reason, "RoutingTarget SLA for Reservation creation was not met", "reason");
});
