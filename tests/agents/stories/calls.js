// Calls: a conference with both legs on the phone system, and what moves legs, checked against the routing state.

"use strict";

story("a caller and an agent meet in a conference, and the agent wraps up", async (floor) => {
  const { office } = floor;
  const line = `+1555${floor.sid.replace(/\D/g, "").slice(0, 7).padEnd(7, "0")}`;
  const alice = await floor.connect(await floor.hire("alice", { Attributes: '{"contact_uri":"client:alice"}' }));
  const number = { voice_url: `${floor.url}/voice/enqueue/${floor.workflow.sid}` };
  await office.phone("PUT", `/control/numbers/${line}`, number);
  await office.phone("PUT", "/control/addresses/client:alice", { ring_after_ms: 10, answer_after_ms: 50 });
  const ring = () => office.phone("POST", "/control/calls", { from: "+15550199", to: line });
  const [call, reservation] = await floor.after(ring, [alice, "reservationCreated"]);
  const { task } = reservation;
  check.equal([task.attributes.call_sid, task.taskChannelUniqueName], [call.body.call_sid, "voice"], "the call's task");
  await floor.after(() => reservation.conference({ beep: false }), [reservation, "accepted"]);
  check.equal([reservation.status, task.status], ["accepted", "assigned"], "accepted");
  const rooms = `/2010-04-01/Accounts/{account}/Conferences`;
  const { conferences } = (await office.phone("GET", `${rooms}.json?FriendlyName=${task.sid}`)).body;
  check.equal(conferences.map((row) => row.status), ["in-progress"], "the room");
  const { participants } = (await office.phone("GET", `${rooms}/${conferences[0].sid}/Participants.json`)).body;
  check.equal(participants.length, 2, "legs");
  check.ok(participants.some((row) => row.call_sid === call.body.call_sid), "the caller is in the room");
  const end = () => office.phone("POST", `/control/calls/${call.body.call_sid}/hangup`);
  await floor.after(end, [reservation, "wrapup"], [task, "wrapup"]);
  await floor.after(() => task.complete("served"), [reservation, "completed"], [task, "completed"]);
});

story("an agent who does not answer gets no call", async (floor) => {
  const { office } = floor;
  const line = `+1556${floor.sid.replace(/\D/g, "").slice(0, 7).padEnd(7, "0")}`;
  const alice = await floor.connect(await floor.hire("alice", { Attributes: '{"contact_uri":"client:away"}' }));
  const number = { voice_url: `${floor.url}/voice/enqueue/${floor.workflow.sid}` };
  await office.phone("PUT", `/control/numbers/${line}`, number);
  await office.phone("PUT", "/control/addresses/client:away", { ring_after_ms: 10, no_answer: true });
  const ring = () => office.phone("POST", "/control/calls", { from: "+15550198", to: line });
  const [, reservation] = await floor.after(ring, [alice, "reservationCreated"]);
  await floor.after(() => reservation.conference({ timeout: 1 }), [reservation, "canceled"]);
  check.equal([reservation.status, reservation.task.status], ["canceled", "pending"], "afterwards");
});

story("instructions without legs are refused, and the reservation stays", async (floor) => {
  const alice = await floor.connect(await floor.hire("alice"));
  const reservation = await floor.offer(alice);
  const document = "http://localhost/document";
  const call = `CA${"0".repeat(32)}`;
  await check.refused(/the task has no call_sid/, reservation.call("+15550100", document, { timeout: 5 }));
  await check.refused(/the task has no call_sid/, reservation.dequeue({ to: "client:alice" }));
  await check.refused(/the task has no call_sid/, reservation.redirect(call, document));
  await reservation.fetchLatestVersion();
  check.equal(reservation.status, "pending", "status");
  await floor.after(() => reservation.accept(), [reservation, "accepted"]);
});

story("legs are moved only by those who hold the task together", async (floor) => {
  const alice = await floor.connect(await floor.hire("alice"));
  const reservation = await floor.offer(alice);
  const { task } = reservation;
  const bob = await floor.hire("bob", { ActivitySid: floor.activities.offline });
  const alone = /no accepted reservation of the task/;
  await check.refused(alone, reservation.updateParticipant({ mute: true }));
  await check.refused(alone, task.updateParticipant({ hold: true }));
  await floor.after(() => reservation.accept(), [reservation, "accepted"]);
  // Accepted without legs, there is no conference.
  const later = /the task has no conference/;
  await check.refused(later, task.hold(bob.sid, true));
  await check.refused(later, task.kick(bob.sid));
  await check.refused(later, reservation.updateParticipant({ endConferenceOnExit: true }));
  await check.refused(later, task.updateParticipant({ hold: true }));
});

story("a supervisor listens only to what somebody holds", async (floor) => {
  const sue = await floor.hire("sue", { ActivitySid: floor.activities.offline });
  const supervisor = await floor.connect(sue, {}, "supervisor");
  const alice = await floor.connect(await floor.hire("alice"));
  const reservation = await floor.offer(alice);
  const { task } = reservation;
  await check.refused(/the reservation is not accepted/, supervisor.monitor(task.sid, reservation.sid));
  await floor.after(() => reservation.accept(), [reservation, "accepted"]);
  await check.refused(/the reservation is not accepted/, supervisor.monitor(task.sid, reservation.sid));
  check.equal([reservation.status, task.status], ["accepted", "assigned"], "the work goes on");
});
