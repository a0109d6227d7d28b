// The page of `switchhook phone`: asks the control API once a second, shows what it says, and is a telephone.
// Whatever comes from calls is put in with textContent, never as HTML. Start with `look`.

"use strict";

const PAUSE_MS = 1000;
const LOG_LINES = 200;
const KEYS = "123456789*0#";

const $ = (id) => document.getElementById(id);
/** SID of the call that the keys go to. */
let inHand = null;
/** The calls of the last look, by SID. */
let calls = new Map();
/** Sequence number of the newest event that is shown. */
let seen = 0;
let timer = null;

/** One request to the control API; throws its refusal as an Error. */
async function ask(method, path, body) {
  const response = await fetch(new URL(`/control/${path}`, location.origin), {
    method,
    headers: body === undefined ? {} : { "content-type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await response.text();
  const answer = text ? JSON.parse(text) : null;
  if (!response.ok) throw new Error(answer?.message ?? `The phone system answered ${response.status}`);
  return answer;
}

function tell(problem) {
  $("problem").textContent = problem ?? "";
  $("problem").hidden = !problem;
}

/** Does what somebody asked for, shows what went wrong, and looks again at once. */
async function act(work) {
  try {
    tell(null);
    await work();
  } catch (error) {
    tell(error.message);
  }
  await look();
}

async function look() {
  clearTimeout(timer);
  try {
    const now = await ask("GET", "snapshot");
    show(now);
    await readOn(now.last_event);
    const many = now.more.calls ? "more than " : "";
    $("state").textContent = `${many}${count(now.calls.length, "live call")}`;
  } catch (error) {
    $("state").textContent = `No answer from the phone system (${error.message}); trying again`;
  }
  clearTimeout(timer);
  timer = setTimeout(look, PAUSE_MS);
}

const count = (number, what) => `${number} ${what}${number === 1 ? "" : "s"}`;

function show(now) {
  calls = new Map(now.calls.map((call) => [call.call_sid, call]));
  const rooms = new Map(now.conferences.map((room) => [room.conference_sid, room.name]));
  const queues = new Map(now.queues.map((queue) => [queue.sid, queue.friendly_name]));
  const where = (call) =>
    [call.place.replaceAll("-", " "), rooms.get(call.conference_sid) ?? queues.get(call.queue_sid)]
      .filter(Boolean)
      .join(": ");
  fill("calls", now.calls, now.more.calls, (call) => call.call_sid, (call, row) => {
    row.classList.toggle("in-hand", call.call_sid === inHand);
    const [from, to, status, place, since, actions] = cells(row, 6);
    from.textContent = call.from;
    to.textContent = call.to;
    status.textContent = call.status;
    place.textContent = where(call);
    since.textContent = lasts(call.created, now.at);
    if (!actions.firstChild) {
      const take = button("Take in hand", () => takeInHand(call.call_sid));
      const answer = button("Answer", () => answerCall(call.call_sid));
      actions.append(answer, " ", take, " ", button("Hang up", () => hangUp(call.call_sid)));
    }
    actions.firstChild.disabled = !rings(call);
  });
  fill("rooms", now.conferences, now.more.conferences, (room) => room.conference_sid, (room, row) => {
    const [name, status, participants] = cells(row, 3);
    name.textContent = room.name;
    status.textContent = room.status;
    const list = document.createElement("ul");
    for (const one of room.participants) {
      const item = document.createElement("li");
      const marks = ["muted", "hold", "coaching"].filter((mark) => one[mark]);
      const party = calls.get(one.call_sid);
      const who = party ? `${party.direction === "inbound" ? party.from : party.to}` : one.call_sid;
      const label = one.label ? `${one.label}: ` : "";
      item.textContent = `${label}${who} (${[one.status, ...marks].join(", ")})`;
      list.append(item);
    }
    if (!room.participants.length) list.append("nobody");
    participants.replaceChildren(list);
  });
  fill("queues", now.queues, now.more.queues, (queue) => queue.sid, (queue, row) => {
    const [name, size, wait, most] = cells(row, 4);
    name.textContent = queue.friendly_name;
    size.textContent = queue.current_size;
    wait.textContent = `${queue.average_wait_time} s`;
    most.textContent = queue.max_size;
  });
  const known = [...$("numbers").children].map((option) => option.value);
  if (known.join("\n") !== now.numbers.join("\n")) {
    const option = (number) => Object.assign(document.createElement("option"), { value: number });
    $("numbers").replaceChildren(...now.numbers.map(option));
    if (!$("to").value && now.numbers.length) $("to").value = now.numbers[0];
  }
  $("no-numbers").hidden = now.numbers.length > 0;
  showHandset(where);
}

function showHandset(where) {
  const call = calls.get(inHand);
  const ended = inHand !== null && !call;
  $("call").hidden = inHand === null;
  $("no-call").hidden = inHand !== null;
  if (call) {
    $("call-parties").textContent = `${call.from} → ${call.to}`;
    $("call-state").textContent = `${call.status}, ${where(call)}`;
  } else if (ended) {
    $("call-state").textContent = "ended";
  }
  $("answer").disabled = !call || !rings(call);
  $("hang-up").disabled = !call;
  $("say").disabled = !call;
  for (const key of $("keys").children) key.disabled = !call;
}

/** A leg that rings at a far end can be answered; a call that comes in is answered by its document. */
const rings = (call) => call.status === "ringing" && call.direction !== "inbound";

/** Keeps one row for each item, so that a focused button stays where it is. */
function fill(id, items, more, key, draw) {
  const body = $(id).tBodies[0];
  const rows = new Map([...body.rows].map((row) => [row.dataset.key, row]));
  items.forEach((item, index) => {
    let row = rows.get(key(item));
    rows.delete(key(item));
    if (!row) {
      row = document.createElement("tr");
      row.dataset.key = key(item);
    }
    if (body.rows[index] !== row) body.insertBefore(row, body.rows[index] ?? null);
    draw(item, row);
  });
  for (const row of rows.values()) row.remove();
  $(`${id}-count`).textContent = items.length ? `(${items.length}${more ? "+" : ""})` : "";
  $(`no-${id}`).hidden = items.length > 0;
  $(id).hidden = items.length === 0;
}

function cells(row, number) {
  while (row.cells.length < number) row.insertCell();
  return row.cells;
}

function button(text, press) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = text;
  made.addEventListener("click", press);
  return made;
}

function lasts(from, to) {
  const secs = Math.max(0, Math.round((Date.parse(to) - Date.parse(from)) / 1000));
  return secs < 60 ? `${secs} s` : `${Math.floor(secs / 60)} min ${secs % 60} s`;
}

/** Adds what happened since the last look to the log, newest first. */
async function readOn(last) {
  if (last < seen) {
    // The phone system has been started anew.
    seen = 0;
    $("log").replaceChildren();
    $("no-log").hidden = false;
  }
  if (last === seen) return;
  const after = Math.max(seen, last - LOG_LINES);
  const { events } = await ask("GET", `events?after=${after}&limit=${LOG_LINES}`);
  for (const event of events) {
    const line = document.createElement("li");
    line.classList.toggle("warning", /warning|error|failed/.test(event.kind));
    const about = (event.call_sid ?? event.conference_sid ?? "").slice(0, 10);
    line.textContent = `${event.at.slice(11, 23)} ${event.kind} ${about} ${event.detail}`;
    $("log").prepend(line);
    seen = event.sequence;
  }
  while ($("log").children.length > LOG_LINES) $("log").lastChild.remove();
  $("no-log").hidden = $("log").children.length > 0;
}

function takeInHand(sid) {
  inHand = sid;
  return look().then(() => $("keys").firstChild.focus());
}

const answerCall = (sid) =>
  act(async () => {
    await ask("POST", `calls/${sid}/answer`);
    inHand = sid;
  });

const hangUp = (sid) => act(() => ask("POST", `calls/${sid}/hangup`));

const press = (digits) => inHand && calls.has(inHand) && act(() => ask("POST", `calls/${inHand}/digits`, { digits }));

$("place").addEventListener("submit", (event) => {
  event.preventDefault();
  act(async () => {
    const placed = await ask("POST", "calls", { from: $("from").value.trim(), to: $("to").value.trim() });
    inHand = placed.call_sid;
  });
});

$("take").addEventListener("submit", (event) => {
  event.preventDefault();
  const byHand = event.submitter?.value !== "itself";
  const address = encodeURIComponent($("address").value.trim());
  act(() => ask("PUT", `addresses/${address}`, byHand ? { no_answer: true } : {}));
});

$("number").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = $("number-name").value.trim();
  act(async () => {
    await ask("PUT", `numbers/${encodeURIComponent(name)}`, { voice_url: $("number-url").value.trim() });
    $("to").value = name;
  });
});

for (const key of KEYS) $("keys").append(button(key, () => press(key)));
$("answer").addEventListener("click", () => answerCall(inHand));
$("hang-up").addEventListener("click", () => hangUp(inHand));
$("put-down").addEventListener("click", () => {
  inHand = null;
  look();
});
$("say").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !$("say").value.trim()) return;
  const text = $("say").value.trim();
  $("say").value = "";
  act(() => ask("POST", `calls/${inHand}/speech`, { text }));
});
document.addEventListener("keydown", (event) => {
  const typing = event.target instanceof HTMLInputElement;
  if (typing || event.ctrlKey || event.altKey || event.metaKey || event.repeat || !KEYS.includes(event.key)) return;
  if (!inHand) return;
  event.preventDefault();
  press(event.key);
});

look();
