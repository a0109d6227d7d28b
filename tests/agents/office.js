// The other side of the stories: the server and the phone system under test, REST, and tokens as the official library
// makes them. One office serves one environment, Node or Chromium.
//
// SWITCHHOOK_BIN names the program; run.sh sets it. Nothing here talks to any other machine.

"use strict";

const { execFile, spawn } = require("node:child_process");
const { mkdtempSync, rmSync } = require("node:fs");
const { createServer } = require("node:net");
const { tmpdir } = require("node:os");
const { join } = require("node:path");
const { createInterface } = require("node:readline");
const { promisify } = require("node:util");
const { jwt } = require("twilio");

const accountSid = `AC${"1".repeat(32)}`;
const authToken = "a-token-of-the-tests";
const phoneAccountSid = `AC${"2".repeat(32)}`;
const phoneAuthToken = "another-token-of-the-tests";

/** Longest time, in milliseconds, that a process may take to listen. */
const START_TIME = 60_000;
/** Lines of a process's log that are kept for failures. */
const LOG_LINES = 40;

class Office {
  /** Starts the phone system and the server on free ports, with a database of their own. */
  static async open() {
    const office = new Office();
    office.directory = mkdtempSync(join(tmpdir(), "switchhook-agents-"));
    office.log = [];
    office.running = new Map();
    try {
      const [port, phonePort] = await freePorts(2);
      office.url = `http://127.0.0.1:${port}`;
      office.phoneUrl = `http://127.0.0.1:${phonePort}`;
      await office.startPhone();
      await office.start();
      const key = await office.rest("POST", `/2010-04-01/Accounts/${accountSid}/Keys.json`, { FriendlyName: "agents" });
      if (key.status !== 201) throw new Error(`no API key could be made: ${JSON.stringify(key)}`);
      office.key = key.body;
      return office;
    } catch (error) {
      await office.close();
      throw error;
    }
  }

  async close() {
    await Promise.all([this.kill("serve"), this.kill("phone")]);
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** Starts the phone system, after `kill` on the same port; it has forgotten all calls then. */
  async startPhone() {
    const listen = this.phoneUrl.replace("http://", "");
    await this.launch("phone", "the phone system listens on ", ["--phone-listen", listen]);
  }

  /** Starts the server, after `kill` on the same port and database as before. */
  async start() {
    const database = `sqlite:${join(this.directory, "agents.db")}`;
    const listen = this.url.replace("http://", "");
    await this.launch("serve", "Switchhook listens on ", ["--listen", listen, "--database", database]);
  }

  async launch(command, sign, options) {
    const environment = {
      SWITCHHOOK_ACCOUNT_SID: accountSid,
      SWITCHHOOK_AUTH_TOKEN: authToken,
      SWITCHHOOK_PHONE_URL: this.phoneUrl,
      SWITCHHOOK_PHONE_ACCOUNT_SID: phoneAccountSid,
      SWITCHHOOK_PHONE_AUTH_TOKEN: phoneAuthToken,
    };
    const child = spawn(process.env.SWITCHHOOK_BIN, [command, ...options], {
      cwd: this.directory,
      env: { PATH: process.env.PATH, ...environment },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const ended = new Promise((resolve) => {
      child.once("exit", resolve);
      child.once("error", resolve);
    });
    this.running.set(command, { child, ended });
    createInterface({ input: child.stderr }).on("line", (line) => {
      this.log.push(`${command}: ${line}`);
      if (this.log.length > LOG_LINES) this.log.shift();
    });
    const listens = new Promise((resolve) => {
      createInterface({ input: child.stdout }).on("line", (line) => line.startsWith(sign) && resolve("listens"));
    });
    const late = new Promise((resolve) => setTimeout(resolve, START_TIME, "late").unref());
    const outcome = await Promise.race([listens, late, ended.then(() => "ended")]);
    if (outcome !== "listens") throw new Error(`switchhook ${command} does not listen: ${this.log.join("\n")}`);
  }

  /** Ends a process without a warning, as a crash would. */
  async kill(command = "serve") {
    const process = this.running.get(command);
    if (!process) return;
    this.running.delete(command);
    process.child.kill("SIGKILL");
    await process.ended;
  }

  /** A request to the server; the form is sent as the helper libraries send it. */
  async rest(method, path, form) {
    const body = form && new URLSearchParams(Object.entries(form));
    return send(method, `${this.url}${path}`, accountSid, authToken, body);
  }

  /** A request to the phone system: its control API with JSON, or its REST with a form. */
  async phone(method, path, content) {
    const body = content && (content instanceof URLSearchParams ? content : JSON.stringify(content));
    const url = `${this.phoneUrl}${path.replace("{account}", phoneAccountSid)}`;
    return send(method, url, phoneAccountSid, phoneAuthToken, body);
  }

  /** Name and password of the phone system. */
  phoneCredentials() {
    return [phoneAccountSid, phoneAuthToken];
  }

  /** What `switchhook create-token` prints beside the running server. */
  async printedToken(...words) {
    const database = ["--database", `sqlite:${join(this.directory, "agents.db")}`];
    const all = ["create-token", "--key", this.key.sid, ...words, ...database];
    const options = { cwd: this.directory, env: { PATH: process.env.PATH } };
    const { stdout } = await promisify(execFile)(process.env.SWITCHHOOK_BIN, all, options);
    return stdout.trim();
  }

  /** An access token for a worker, or without one for the workspace alone. */
  async token(workspaceSid, workerSid, role = "worker", ttl = 3600, secret = this.key.secret) {
    const grant = new jwt.AccessToken.TaskRouterGrant({ workspaceSid, workerSid, role });
    const token = new jwt.AccessToken(accountSid, this.key.sid, secret, { identity: "agent", ttl });
    token.addGrant(grant);
    return token.toJwt();
  }
}

async function send(method, url, user, password, body) {
  const credentials = Buffer.from(`${user}:${password}`).toString("base64");
  const response = await fetch(url, { method, body, headers: { authorization: `Basic ${credentials}` } });
  const text = await response.text();
  return { status: response.status, body: text ? JSON.parse(text) : null };
}

/** Ports that nobody listens on; held together for a moment, so that they differ. */
async function freePorts(count) {
  const servers = Array.from({ length: count }, () => createServer());
  await Promise.all(servers.map((server) => new Promise((resolve) => server.listen(0, "127.0.0.1", resolve))));
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

module.exports = { Office };
