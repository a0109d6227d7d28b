#!/usr/bin/env python3
"""Starts a server of its own and lets schemathesis loose on it, once by our description and once by the contract.

`run.py --cases 5000 --seed 42`. Needs Python 3.11 or newer with venv; what else it needs it installs below
`target/schemathesis`. Start with `main`.
"""

import argparse
import hashlib
import json
import os
import pathlib
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CACHE = ROOT / "target" / "schemathesis"
CONTRACT = ROOT / "tests" / "fixtures" / "contract" / "taskrouter_v1.openapi.json"
ACCOUNT = "AC0123456789abcdef0123456789abcdef"
# Share of the cases that go by our own description.
OWN_SHARE = 0.85
# Requests of one operation in one phase, at least and at most; the phase of boundary values makes as many as it needs.
EXAMPLES = (3, 300)
PATIENCE = 60


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=5000, help="requests to generate in total")
    parser.add_argument("--seed", type=int, default=42, help="the same seed generates the same requests")
    arguments = parser.parse_args()
    schemathesis = install()
    print(f"schemathesis: {arguments.cases} cases, seed {arguments.seed}")
    with tempfile.TemporaryDirectory() as directory, Server(pathlib.Path(directory)) as server:
        own = round(arguments.cases * OWN_SHARE)
        by_own = Run(
            "our description",
            f"{server.url}/openapi.json",
            ["--checks", "all", "--exclude-checks", "negative_data_rejection,positive_data_acceptance"],
        )
        by_contract = Run(
            "the contract",
            str(CONTRACT),
            ["--url", server.url, "--mode", "positive", "--checks", "not_a_server_error,response_schema_conformance"],
        )
        begun = time.monotonic()
        total = by_own.drive(schemathesis, server, own, arguments.seed)
        total += by_contract.drive(schemathesis, server, arguments.cases - own, arguments.seed)
        print(f"schemathesis: {total} cases in {time.monotonic() - begun:.0f} s, no findings, seed {arguments.seed}")


class Run:
    """Rounds of schemathesis by one description."""

    def __init__(self, name, location, options):
        self.name, self.location, self.options = name, location, options

    def drive(self, schemathesis, server, cases, seed):
        """Goes on until there were so many cases; the first finding ends the program."""
        done = 0
        while done < cases:
            # Each phase takes about as many for each of some 70 operations.
            examples = min(max((cases - done) // 300, EXAMPLES[0]), EXAMPLES[1])
            report = server.directory / "report.json"
            command = [
                schemathesis, "--config-file", HERE / "schemathesis.toml", "run", self.location,
                "--auth", f"{ACCOUNT}:{server.token}", "--seed", str(seed), "--max-examples", str(examples),
                "--generation-database", "none", "--no-color", "--continue-on-failure",
                "--report", "json", "--report-json-path", report, *self.options,
            ]
            environment = {
                **os.environ, "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(HERE), "PYTHONDONTWRITEBYTECODE": "1",
                "SERVER": server.url, "ACCOUNT_SID": ACCOUNT, "AUTH_TOKEN": server.token, "SEED": str(seed),
            }
            log = server.directory / "schemathesis.log"
            with log.open("w") as output:
                outcome = subprocess.run(command, cwd=server.directory, env=environment, stdout=output,
                                         stderr=subprocess.STDOUT, check=False)
            if outcome.returncode != 0:
                print(log.read_text())
                print(server.log.read_text()[-4000:])
                fail(f"schemathesis found something by {self.name}; again: tests/schemathesis/run.py --seed {seed}")
            generated = json.loads(report.read_text())["test_cases"]["generated"]
            if generated == 0:
                fail(f"schemathesis generated nothing by {self.name}:\n{log.read_text()}")
            done += generated
            print(f"schemathesis: by {self.name}, seed {seed}: {generated} cases, {done} of {cases}", flush=True)
            seed += 1
        return done


class Server:
    """`switchhook serve` on a free port with a database of its own."""

    def __init__(self, directory):
        self.directory, self.log, self.token = directory, directory / "server.log", secrets.token_hex(16)

    def __enter__(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = "127.0.0.1:%d" % free.getsockname()[1]
        self.url = f"http://{address}"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SWITCHHOOK_")}
        environment |= {
            "SWITCHHOOK_LISTEN": address, "SWITCHHOOK_DATABASE_URL": f"sqlite:{self.directory}/switchhook.db",
            "SWITCHHOOK_ACCOUNT_SID": ACCOUNT, "SWITCHHOOK_AUTH_TOKEN": self.token, "SWITCHHOOK_LOG": "warn",
        }
        with self.log.open("w") as log:
            self.process = subprocess.Popen([binary(), "serve"], cwd=self.directory, env=environment, stdout=log,
                                            stderr=log)
        deadline = time.monotonic() + PATIENCE
        while not self.ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.__exit__()
                fail(f"the server did not start:\n{self.log.read_text()}")
            time.sleep(0.05)
        return self

    def ready(self):
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()


def binary():
    """The program that was built last: a release that is older than the debug one may be of another state."""
    built = [ROOT / "target" / profile / "switchhook" for profile in ("release", "debug")]
    built = [path for path in built if path.exists()]
    if not built:
        fail("there is no program to test: cargo build")
    return max(built, key=lambda path: path.stat().st_mtime)


def install():
    """The pinned packages, in an environment of their own; made anew when the list of them changes."""
    pinned = HERE / "requirements.txt"
    mark = hashlib.sha256(pinned.read_bytes() + sys.version.encode()).hexdigest()
    environment = CACHE / "venv"
    installed = CACHE / "installed"
    if not installed.exists() or installed.read_text() != mark:
        print("schemathesis: installing what tests/schemathesis/requirements.txt lists", flush=True)
        shutil.rmtree(environment, ignore_errors=True)
        made = subprocess.run([sys.executable, "-m", "venv", environment], capture_output=True, text=True, check=False)
        if made.returncode != 0:
            fail("Python's venv is missing; Debian and Ubuntu: apt-get install python3-venv\n" + made.stdout + made.stderr)
        pip = [environment / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", "-r", pinned]
        if subprocess.run(pip, check=False).returncode != 0:
            fail("the packages of tests/schemathesis/requirements.txt could not be installed; pip says why above")
        installed.write_text(mark)
    return environment / "bin" / "st"


def fail(message):
    print(f"error: {message}", file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
    if sys.version_info < (3, 11):
        fail(f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}")
    main()
