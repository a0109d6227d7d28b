// What stories are told with, in Node and in a page alike: a workspace of their own, agents with the SDK, and waiting for
// its events. No story sleeps; each wait ends with an event or, after `PATIENCE`, with an error that names it.
//
// A plain script, so that a page can load it too: it puts `story`, `Floor` and `check` into the global scope.

"use strict";

(function (scope) {
  /** Longest wait for an event, in milliseconds. */
  const PATIENCE = 20_000;
  const stories = [];

  /** Adds a story: `tell` gets a floor whose workspace was just made. */
  const story = (name, tell) => stories.push({ name, tell });

  const show = (value) => JSON.stringify(value);

  const check = {
    equal(actual, expected, what = "value") {
      if (show(actual) !== show(expected)) throw new Error(`${what}: ${show(actual)} instead of ${show(expected)}`);
    },
    ok(value, what) {
      if (!value) throw new Error(what);
    },
    /** The request must fail, and its message must match. */
    async refused(pattern, promise) {
      const error = await promise.then(
        () => null,
        (error) => error,
      );
      if (!error) throw new Error(`it was not refused: ${pattern}`);
      if (!pattern.test(error.message)) throw new Error(`refused with "${error.message}" instead of ${pattern}`);
      return error;
    },
  };

  /** The class of an SDK object by its public members: the package's own class names are minified. */
  function kind(object) {
    if ("reservations" in object) return "Worker";
    if ("transfers" in object) return "Task";
    if ("transferFailedReason" in object || "mode" in object) return "OutgoingTransfer";
    if ("capacity" in object) return "Channel";
    if ("task" in object) return "Reservation";
    throw new Error("an object of the SDK that emits nothing we know");
  }

  class Floor {
    /** `seen` collects the events that stories waited for, as `Class.event`. */
    constructor(sdk, office, url, seen) {
      Object.assign(this, { sdk, office, url, seen });
      this.agents = [];
      this.errors = [];
      this.errorsExpected = false;
    }

    /** Makes the workspace. */
    async furnish() {
      const made = await this.office.rest("POST", "/v1/Workspaces", { FriendlyName: "Floor", Template: "FIFO" });
      this.sid = this.made(made).sid;
      const { activities } = await this.get("/Activities");
      this.activities = Object.fromEntries(activities.map((row) => [row.friendly_name.toLowerCase(), row.sid]));
      this.queue = (await this.get("/TaskQueues")).task_queues[0];
      this.workflow = (await this.get("/Workflows")).workflows[0];
    }

    /** Ends all sockets; errors that no story expected fail it. */
    leave() {
      for (const agent of this.agents) agent.disconnect();
      if (!this.errorsExpected) check.equal(this.errors, [], "errors");
    }

    made(answer) {
      if (answer.status >= 300) throw new Error(`the server answered ${show(answer)}`);
      return answer.body;
    }

    /** REST below the workspace; anything but success is an error. */
    async get(path) {
      return this.made(await this.office.rest("GET", `/v1/Workspaces/${this.sid}${path}`));
    }

    async post(path, form = {}) {
      return this.made(await this.office.rest("POST", `/v1/Workspaces/${this.sid}${path}`, form));
    }

    async remove(path) {
      return this.made(await this.office.rest("DELETE", `/v1/Workspaces/${this.sid}${path}`));
    }

    /** A worker in the database, available unless the form says otherwise. */
    async hire(name, form = {}) {
      return this.post("/Workers", { FriendlyName: name, ActivitySid: this.activities.available, ...form });
    }

    async enqueue(form = {}) {
      return this.post("/Tasks", { WorkflowSid: this.workflow.sid, ...form });
    }

    /** Options of the SDK that lead to the server under test. */
    options(more = {}) {
      const bridge = `${this.url}/v1/wschannels`;
      return { ebServer: bridge, wsServer: bridge.replace("http", "ws"), logLevel: "silent", ...more };
    }

    /** The SDK's worker, not ready yet. */
    agent(token, options = {}, type = this.sdk.Worker) {
      const agent = new type(token, this.options(options));
      agent.on("error", (error) => this.errors.push(error.message));
      this.agents.push(agent);
      return agent;
    }

    /** The SDK's worker, connected and ready. */
    async connect(worker, options = {}, role = "worker") {
      const token = await this.office.token(this.sid, worker.sid, role);
      const agent = this.agent(token, options, role === "worker" ? this.sdk.Worker : this.sdk.Supervisor);
      await this.next(agent, "ready");
      return agent;
    }

    async workspace(role = "admin", options = {}) {
      return new this.sdk.Workspace(await this.office.token(this.sid, undefined, role), this.options(options));
    }

    /** The next event of this name (for which `where` holds), and what came with it. */
    next(emitter, event, where = () => true) {
      return new Promise((resolve, reject) => {
        const listener = (...values) => {
          if (!where(...values)) return;
          clearTimeout(timer);
          emitter.removeListener(event, listener);
          this.seen(`${kind(emitter)}.${event}`);
          resolve(values[0]);
        };
        const late = () => reject(new Error(`${kind(emitter)}.${event} did not come; errors: ${show(this.errors)}`));
        const timer = setTimeout(late, PATIENCE);
        emitter.on(event, listener);
      });
    }

    /** Listens, does what causes the events, and waits for both: `[result, ...values]`. */
    async after(cause, ...expected) {
      const coming = expected.map((one) => this.next(...one));
      return Promise.all([cause(), ...coming]);
    }

    /** Offers a new task to the agent who is the only one that can take it. */
    async offer(agent, form = {}) {
      const [task, reservation] = await this.after(() => this.enqueue(form), [agent, "reservationCreated"]);
      check.equal(reservation.task.sid, task.sid, "the offered task");
      return reservation;
    }

    /** Offers a task, and the agent accepts it. */
    async hold(agent, form = {}) {
      const reservation = await this.offer(agent, form);
      await this.after(() => reservation.accept(), [reservation, "accepted"]);
      return reservation;
    }
  }

  Object.assign(scope, { Floor, check, stories, story });
})(globalThis);
