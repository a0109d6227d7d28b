// Agents: connecting, activities, attributes, channels, versions, tokens, sessions.

"use strict";

story("an agent connects and knows itself, the activities and its channels", async (floor) => {
  const worker = await floor.hire("alice", { Attributes: '{"skills":["fish"]}' });
  const alice = await floor.connect(worker);
  check.equal([alice.sid, alice.name, alice.workspaceSid], [worker.sid, "alice", floor.sid], "who");
  check.equal(alice.accountSid, worker.account_sid, "account");
  check.equal(alice.attributes, { skills: ["fish"] }, "attributes");
  check.equal(alice.dateCreated.getTime(), Date.parse(worker.date_created), "created");
  check.equal([...alice.activities.keys()].sort(), Object.values(floor.activities).sort(), "activities");
  const names = [...alice.channels.values()].map((channel) => channel.taskChannelUniqueName);
  check.equal(names.sort(), ["chat", "default", "sms", "video", "voice"], "channels");
  const { activity } = alice;
  check.equal([activity.name, activity.isCurrent, activity.available], ["Available", true, true], "activity");
  check.equal(alice.reservations.size, 0, "reservations");
});

story("an agent changes its activity, and somebody else changes it", async (floor) => {
  const worker = await floor.hire("alice");
  const alice = await floor.connect(worker);
  const activity = alice.activities.get(floor.activities.unavailable);
  const [set] = await floor.after(() => activity.setAsCurrent(), [alice, "activityUpdated"]);
  check.equal([set.sid, alice.activity.sid, alice.available], [activity.sid, activity.sid, false], "activity");
  await activity.setAsCurrent();
  const back = () => floor.post(`/Workers/${worker.sid}`, { ActivitySid: floor.activities.available });
  await floor.after(back, [alice, "activityUpdated"]);
  check.equal([alice.activity.name, alice.available], ["Available", true], "activity");
});

story("the activity for connected agents is set on connecting", async (floor) => {
  const worker = await floor.hire("alice", { ActivitySid: floor.activities.offline });
  const alice = await floor.connect(worker, { connectActivitySid: floor.activities.available });
  if (!alice.activity.available) await floor.next(alice, "activityUpdated");
  check.equal(alice.activity.sid, floor.activities.available, "activity");
});

story("attributes change here and elsewhere", async (floor) => {
  const worker = await floor.hire("alice");
  const alice = await floor.connect(worker);
  await floor.after(() => alice.setAttributes({ languages: ["ga"] }), [alice, "attributesUpdated"]);
  check.equal(JSON.parse((await floor.get(`/Workers/${worker.sid}`)).attributes), { languages: ["ga"] }, "stored");
  const change = () => floor.post(`/Workers/${worker.sid}`, { Attributes: '{"languages":["sq"]}' });
  await floor.after(change, [alice, "attributesUpdated"]);
  check.equal(alice.attributes, { languages: ["sq"] }, "attributes");
  const version = alice.version;
  check.equal((await alice.fetchLatestVersion()).version, version, "version");
});

story("an outdated version is refused, the latest one is taken", async (floor) => {
  const alice = await floor.connect(await floor.hire("alice"), { enableVersionCheck: true });
  await floor.after(() => alice.setAttributes({ step: 1 }), [alice, "attributesUpdated"]);
  alice.version = String(Number(alice.version) - 1);
  await check.refused(/status code 412/, alice.setAttributes({ step: 2 }));
  await alice.fetchLatestVersion();
  await floor.after(() => alice.setAttributes({ step: 3 }), [alice, "attributesUpdated"]);
  check.equal(alice.attributes, { step: 3 }, "attributes");
});

story("channels change", async (floor) => {
  const worker = await floor.hire("alice");
  const alice = await floor.connect(worker);
  const channel = [...alice.channels.values()].find((channel) => channel.taskChannelUniqueName === "chat");
  check.equal([channel.capacity, channel.available, channel.assignedTasks], [1, true, 0], "channel");
  const path = `/Workers/${worker.sid}/Channels/chat`;
  await floor.after(() => floor.post(path, { Capacity: "3" }), [channel, "capacityUpdated"]);
  check.equal(channel.capacity, 3, "capacity");
  await floor.after(() => floor.post(path, { Available: "false" }), [channel, "availabilityUpdated"]);
  check.equal(channel.available, false, "availability");
});

story("a token ends, and another one takes its place", async (floor) => {
  const worker = await floor.hire("alice");
  const alice = floor.agent(await floor.office.token(floor.sid, worker.sid, "worker", 8));
  const ended = floor.next(alice, "tokenExpired");
  await floor.next(alice, "ready");
  await ended;
  const token = await floor.office.token(floor.sid, worker.sid);
  await floor.after(() => alice.updateToken(token), [alice, "tokenUpdated"]);
  await alice.setAttributes({ still: "here" });
});

story("a token that the program made is taken", async (floor) => {
  const worker = await floor.hire("alice");
  const subject = ["--workspace", floor.sid, "--worker", worker.sid, "--lifetime", "600"];
  const alice = floor.agent(await floor.office.printedToken(...subject));
  await floor.next(alice, "ready");
  const bob = await floor.hire("bob");
  const token = await floor.office.printedToken(...subject, "--role", "supervisor");
  const supervisor = floor.agent(token, {}, floor.sdk.Supervisor);
  await floor.next(supervisor, "ready");
  await supervisor.setWorkerAttributes(bob.sid, { floor: 2 });
  check.equal((await floor.get(`/Workers/${bob.sid}`)).attributes, '{"floor":2}', "attributes");
});

story("a token that another key signed opens nothing", async (floor) => {
  floor.errorsExpected = true;
  const worker = await floor.hire("alice");
  const alice = floor.agent(await floor.office.token(floor.sid, worker.sid, "worker", 3600, "another secret"));
  const error = floor.next(alice, "error");
  await floor.next(alice, "disconnected");
  check.ok(/connect to Twilio/i.test((await error).message), "an error of the connection");
});

story("an agent leaves", async (floor) => {
  const alice = await floor.connect(await floor.hire("alice"));
  const [, reason] = await floor.after(async () => alice.disconnect(), [alice, "disconnected"]);
  check.equal(reason.message, "SDK Disconnect", "reason");
});

story("a second session ends the first one, which comes back beside it", async (floor) => {
  const worker = await floor.hire("alice");
  const first = await floor.connect(worker);
  const [second] = await floor.after(
    () => floor.connect(worker, { closeExistingSessions: true }),
    [first, "disconnected"],
    [first, "ready"],
  );
  const change = () => second.setAttributes({ seen: "twice" });
  await floor.after(change, [first, "attributesUpdated"], [second, "attributesUpdated"]);
});

story("an application's own handler of events is used", async (floor) => {
  const handled = [];
  class Handler extends floor.sdk.TaskRouterEventHandler {
    getTREventsToHandlerMapping() {
      return { ...super.getTREventsToHandlerMapping(), "task.wrapup": "noteWrapup" };
    }

    noteWrapup(data) {
      handled.push(data.sid);
    }
  }
  const alice = await floor.connect(await floor.hire("alice"), { eventHandlerClass: Handler });
  const reservation = await floor.hold(alice);
  await floor.after(() => reservation.task.wrapUp({ reason: "done" }), [reservation, "wrapup"]);
  await floor.after(() => reservation.task.complete("done"), [reservation.task, "completed"]);
  check.equal(handled, [reservation.task.sid], "handled");
});
