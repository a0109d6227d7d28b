// The server is killed and started again under a connected agent.

"use strict";

story("agents come back after the server was killed: no offer is lost, none comes twice", async (floor) => {
  const { office } = floor;
  floor.errorsExpected = true;
  const worker = await floor.hire("alice");
  await floor.post(`/Workers/${worker.sid}/Channels/default`, { Capacity: "50" });
  const alice = await floor.connect(worker);
  const known = new Set();
  const doubled = [];
  const learn = (sid) => (known.has(sid) ? doubled.push(sid) : known.add(sid));
  alice.on("reservationCreated", (reservation) => learn(reservation.sid));
  // What the lists of a new connection bring, and no event did.
  alice.on("ready", () => [...alice.reservations.keys()].forEach((sid) => known.add(sid)));
  const acknowledged = new Set();
  const enqueue = async (count) => {
    for (let left = count; left > 0; left -= 1) acknowledged.add((await floor.enqueue()).sid);
  };
  const held = await floor.hold(alice);
  acknowledged.add(held.task.sid);
  for (let round = 0; round < 3; round += 1) {
    await enqueue(4);
    const gone = floor.next(alice, "disconnected");
    const back = floor.next(alice, "ready");
    // One task is on its way when the server dies; whether it was taken, the list says afterwards.
    const onTheWay = floor.enqueue().then((task) => acknowledged.add(task.sid), () => null);
    await office.kill();
    await Promise.all([gone, onTheWay]);
    await office.start();
    await enqueue(4);
    await back;
    await enqueue(4);
  }
  // An event after all the others: what has not come by then does not come.
  const [last] = await floor.after(() => floor.enqueue(), [alice, "reservationCreated", () => known.size > acknowledged.size]);
  acknowledged.add(last.sid);
  const list = (await floor.get(`/Workers/${worker.sid}/Reservations?PageSize=1000`)).reservations;
  const tasks = new Set(list.map((row) => row.task_sid));
  check.equal([...acknowledged].filter((sid) => !tasks.has(sid)), [], "acknowledged tasks without an offer");
  check.equal(list.map((row) => row.sid).filter((sid) => !known.has(sid)), [], "offers that the agent was not told of");
  check.equal(doubled, [], "offers that came twice");
  check.equal([...alice.reservations.keys()].sort(), list.map((row) => row.sid).sort(), "the agent's reservations");
  const again = alice.reservations.get(held.sid);
  check.equal([again.status, again.task.status], ["accepted", "assigned"], "what was held before");
  await floor.after(() => again.task.complete("done"), [again, "completed"], [again.task, "completed"]);
});
