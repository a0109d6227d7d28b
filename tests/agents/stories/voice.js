// Conversations with live legs: the SDK's call operations, checked against what the phone system says of the legs.

"use strict";

(function () {
  let lines = 0;

  /** A line of its own into the workflow, and addresses that answer at once. */
  async function wire(floor, ...names) {
    const { office } = floor;
    lines += 1;
    const line = `+1557${floor.sid.replace(/\D/g, "").slice(0, 5).padEnd(5, "0")}${String(lines).padStart(2, "0")}`;
    const number = {
      voice_url: `${floor.url}/voice/enqueue/${floor.workflow.sid}`,
      status_callback: `${floor.url}/voice/cb/call/inbound`,
    };
    await office.phone("PUT", `/control/numbers/${line}`, number);
    const quick = { ring_after_ms: 10, answer_after_ms: 50 };
    for (const name of names) await office.phone("PUT", `/control/addresses/${address(floor, name)}`, quick);
    return line;
  }

  /** Addresses are the floor's own, so that stories do not meet. */
  const address = (floor, name) => (name.startsWith("+") ? name : `client:${name}-${floor.sid.slice(-8)}`);

  async function agent(floor, name, options = {}, role = "worker", form = {}) {
    const attributes = JSON.stringify({ contact_uri: address(floor, name) });
    return floor.connect(await floor.hire(name, { Attributes: attributes, ...form }), options, role);
  }

  /** A caller talks to the agent: `[call's SID, reservation]`. */
  async function talk(floor, line, agent, conference = {}) {
    const ring = () => floor.office.phone("POST", "/control/calls", { from: "+15550155", to: line });
    const [call, reservation] = await floor.after(ring, [agent, "reservationCreated"]);
    await floor.after(() => reservation.conference(conference), [reservation, "accepted"]);
    return [call.body.call_sid, reservation];
  }

  /** The room of a task at the phone system: its status, and its legs by label. */
  async function room(floor, task) {
    const rooms = "/2010-04-01/Accounts/{account}/Conferences";
    const { conferences } = (await floor.office.phone("GET", `${rooms}.json?FriendlyName=${task.sid}`)).body;
    if (conferences.length === 0) return { status: "none", legs: {} };
    const [{ sid, status }] = conferences;
    const { participants } = (await floor.office.phone("GET", `${rooms}/${sid}/Participants.json`)).body;
    return { status, legs: Object.fromEntries(participants.map((leg) => [leg.label, leg])) };
  }

  /** Asks until the room has exactly these legs, with the marks `hold`, `muted` and `coaching` where named. */
  async function untilLegs(floor, task, expected) {
    const show = (legs) =>
      Object.entries(legs)
        .map(([label, marks]) => `${label}: ${marks.join(" ")}`)
        .sort()
        .join(", ");
    const marks = (leg) => ["hold", "muted", "coaching"].filter((mark) => leg[mark]);
    const wanted = show(expected);
    let seen;
    for (const end = Date.now() + 20_000; Date.now() < end; ) {
      const { legs } = await room(floor, task);
      seen = show(Object.fromEntries(Object.entries(legs).map(([label, leg]) => [label, marks(leg)])));
      if (seen === wanted) return legs;
    }
    throw new Error(`the room has "${seen}" instead of "${wanted}"`);
  }

  const hangUp = (floor, call) => floor.office.phone("POST", `/control/calls/${call}/hangup`);

  story("an agent holds, mutes, and a caller who hangs up ends the call", async (floor) => {
    const line = await wire(floor, "alice");
    const alice = await agent(floor, "alice");
    const [call, reservation] = await talk(floor, line, alice);
    const { task, sid } = reservation;
    check.equal((await room(floor, task)).status, "in-progress", "the room");
    await task.updateParticipant({ hold: true, holdUrl: "http://localhost/music" });
    await untilLegs(floor, task, { customer: ["hold"], [sid]: [] });
    await task.updateParticipant({ hold: false });
    await untilLegs(floor, task, { customer: [], [sid]: [] });
    await reservation.updateParticipant({ mute: true });
    await untilLegs(floor, task, { customer: [], [sid]: ["muted"] });
    await task.hold(alice.sid, true);
    await untilLegs(floor, task, { customer: [], [sid]: ["hold", "muted"] });
    await task.hold(alice.sid, false);
    await reservation.updateParticipant({ mute: false, endConferenceOnExit: true });
    const legs = await untilLegs(floor, task, { customer: [], [sid]: [] });
    check.equal(legs.customer.call_sid, call, "the caller's leg");
    await floor.after(() => hangUp(floor, call), [reservation, "wrapup"], [task, "wrapup"]);
    check.equal(await room(floor, task), { status: "completed", legs: {} }, "afterwards");
    await floor.after(() => reservation.complete(), [reservation, "completed"], [task, "completed"]);
  });

  story("a cold transfer: the first agent leaves, the customer is held until the second one takes over", async (floor) => {
    const line = await wire(floor, "alice", "bob");
    const alice = await agent(floor, "alice");
    const [call, first] = await talk(floor, line, alice, { endConferenceOnExit: true });
    const bob = await agent(floor, "bob");
    const { task } = first;
    const [, outgoing, second] = await floor.after(
      () => task.transfer(bob.sid, { mode: "COLD" }),
      [task, "transferInitiated"],
      [bob, "reservationCreated"],
      [first, "wrapup"],
    );
    check.equal([outgoing.status, second.transfer.mode], ["initiated", "COLD"], "the transfer");
    await untilLegs(floor, task, { customer: ["hold"] });
    check.equal((await room(floor, task)).status, "in-progress", "the room goes on");
    await floor.after(() => first.complete(), [first, "completed"]);
    await floor.after(() => second.conference({ endConferenceOnExit: true }), [second, "accepted"]);
    await untilLegs(floor, task, { customer: ["hold"], [second.sid]: [] });
    await second.task.updateParticipant({ hold: false });
    const legs = await untilLegs(floor, task, { customer: [], [second.sid]: [] });
    await floor.after(() => hangUp(floor, legs[second.sid].call_sid), [second, "wrapup"], [second.task, "wrapup"]);
    check.equal((await room(floor, task)).status, "completed", "the room");
    await floor.after(() => second.complete(), [second, "completed"], [second.task, "completed"]);
    check.equal(second.task.status, "completed", "the task");
    check.ok(call, "a caller");
  });

  story("a warm transfer: three are in the room, the first agent leaves, or takes the second one out", async (floor) => {
    const line = await wire(floor, "alice", "bob");
    const alice = await agent(floor, "alice");
    const [, first] = await talk(floor, line, alice, { endConferenceOnExit: true });
    const bob = await agent(floor, "bob");
    const { task } = first;
    const [, outgoing, second] = await floor.after(
      () => task.transfer(bob.sid, { mode: "WARM" }),
      [task, "transferInitiated"],
      [bob, "reservationCreated"],
    );
    await floor.after(() => second.conference(), [second, "accepted"], [outgoing, "completed"]);
    await untilLegs(floor, task, { customer: ["hold"], [first.sid]: [], [second.sid]: [] });
    await task.updateParticipant({ hold: false });
    await task.hold(bob.sid, true);
    await untilLegs(floor, task, { customer: [], [first.sid]: [], [second.sid]: ["hold"] });
    await task.hold(bob.sid, false);
    await floor.after(() => task.kick(bob.sid), [second, "wrapup"]);
    await untilLegs(floor, task, { customer: [], [first.sid]: [] });
    check.equal([first.status, task.status], ["accepted", "assigned"], "the first one goes on");
  });

  story("a transferee who rejects, or cannot be dialled, leaves the customer on hold", async (floor) => {
    const line = await wire(floor, "alice", "bob");
    await floor.office.phone("PUT", "/control/addresses/+1234567891011", { refuse: 13223 });
    const alice = await agent(floor, "alice");
    const [, first] = await talk(floor, line, alice);
    const bob = await agent(floor, "bob");
    const { task } = first;
    const hand = () => task.transfer(bob.sid, { mode: "WARM" });
    const [, outgoing, second] = await floor.after(hand, [task, "transferInitiated"], [bob, "reservationCreated"]);
    await floor.after(() => second.reject(), [second, "rejected"], [outgoing, "failed"]);
    await untilLegs(floor, task, { customer: ["hold"], [first.sid]: [] });
    await task.updateParticipant({ hold: false });
    await untilLegs(floor, task, { customer: [], [first.sid]: [] });
    const [, again, third] = await floor.after(hand, [task, "transferInitiated"], [bob, "reservationCreated"]);
    const dial = () => third.conference({ to: "+1234567891011" });
    await floor.after(dial, [third, "canceled"], [again, "failed"]);
    check.equal(third.canceledReasonCode, 13223, "why");
    await untilLegs(floor, task, { customer: ["hold"], [first.sid]: [] });
  });

  story("a supervisor hears a call, is heard by nobody, and leaves unnoticed", async (floor) => {
    const line = await wire(floor, "alice", "sue");
    const alice = await agent(floor, "alice");
    const sue = await agent(floor, "sue", {}, "supervisor", { ActivitySid: floor.activities.offline });
    const [call, reservation] = await talk(floor, line, alice);
    const { task, sid } = reservation;
    await sue.monitor(task.sid, sid);
    const label = `supervisor-${sue.sid}`;
    const legs = await untilLegs(floor, task, { customer: [], [sid]: [], [label]: ["muted"] });
    await hangUp(floor, legs[label].call_sid);
    await untilLegs(floor, task, { customer: [], [sid]: [] });
    check.equal([reservation.status, task.status], ["accepted", "assigned"], "the call goes on");
    await floor.after(() => hangUp(floor, call), [reservation, "wrapup"]);
  });

  story("an outbound task rings its agent first, offline or not, and then the customer", async (floor) => {
    const line = await wire(floor, "alice", "+15558880055");
    const alice = await agent(floor, "alice", {}, "worker", { ActivitySid: floor.activities.offline });
    const begin = () => alice.createTask("+15558880055", line, floor.workflow.sid, floor.queue.sid);
    const [task, reservation] = await floor.after(begin, [alice, "reservationCreated"]);
    check.equal(reservation.task.sid, task, "the task");
    const join = () => reservation.conference({ endConferenceOnExit: true, record: "true", recordingChannels: "dual" });
    await floor.after(join, [reservation, "accepted"]);
    const legs = await untilLegs(floor, reservation.task, { customer: [], [reservation.sid]: [] });
    const recordings = `/2010-04-01/Accounts/{account}/Calls/${legs[reservation.sid].call_sid}/Recordings.json`;
    const made = (await floor.office.phone("GET", recordings)).body.recordings;
    check.equal(made.map((one) => one.channels), [2], "one recording, each side on its channel");
    const end = () => hangUp(floor, legs.customer.call_sid);
    await floor.after(end, [reservation, "wrapup"], [reservation.task, "wrapup"]);
    check.equal(await room(floor, reservation.task), { status: "completed", legs: {} }, "afterwards");
  });

  story("an outbound customer who cannot be dialled cancels offer and task, and says why", async (floor) => {
    const line = await wire(floor, "alice");
    const alice = await agent(floor, "alice");
    for (const [number, code] of [["+1234567891011", 13223], ["+8836231420287", 21215]]) {
      await floor.office.phone("PUT", `/control/addresses/${number}`, { refuse: code });
      const begin = () => alice.createTask(number, line, floor.workflow.sid, floor.queue.sid);
      const [, reservation] = await floor.after(begin, [alice, "reservationCreated"]);
      const { task } = reservation;
      await floor.after(() => reservation.conference(), [reservation, "canceled"], [task, "canceled"]);
      check.equal([reservation.canceledReasonCode, task.status], [code, "canceled"], "the end");
      check.equal(task.reason, `RoutingTarget not available for Reservation acceptance: ${alice.sid}`, "the reason");
      check.equal((await room(floor, task)).legs, {}, "nobody is left");
    }
  });
})();
