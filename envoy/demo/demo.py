#!/usr/bin/env python3
"""Envoy with Meshgate, a demo auth service and an echo upstream, on this machine.

  demo.py run     stays in the foreground; send your own requests (PORT, default 10000)
  demo.py demo    sends sample requests and prints who got where; fails if one is not as expected

Needs dist/meshgate and dist/meshgate.wasm (`make wasm cli`) and an Envoy: MESHGATE_ENVOY, or
`envoy` on the PATH.
"""

import collections
import ctypes
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True  # leave nothing in the checkout
import samples  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
CLI = os.path.join(ROOT, "dist", "meshgate")
MODULE = os.path.join(ROOT, "dist", "meshgate.wasm")
BOOTSTRAP = os.path.join(ROOT, "envoy", "envoy.yaml")
# Of `make run`; the demo compares with what the shipped one does.
POLICY = os.path.join(ROOT, "envoy", "policy.yaml")
if sys.argv[1:] == ["run"] and os.environ.get("POLICY"):
    POLICY = os.path.abspath(os.environ["POLICY"])

READY_SECONDS = 60  # compiling the module takes 1 to 5 of them, more on a busy machine
STOP_SECONDS = 5


class Failed(Exception):
    """What went wrong and what to do next."""


class Stopped(Exception):
    """SIGINT, SIGTERM or SIGHUP."""


def main():
    commands = {"run": run, "demo": demo}
    if len(sys.argv) != 2 or sys.argv[1] not in commands:
        sys.exit(__doc__.strip())
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    try:
        sys.exit(commands[sys.argv[1]]())
    except Failed as failed:
        sys.exit(f"\n{failed}")
    except Stopped:
        print("\nstopped")
        sys.exit(0 if sys.argv[1] == "run" else 130)


def stop(*_):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the clean-up runs once and whole
    raise Stopped


def run():
    port = os.environ.get("PORT", "10000")
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise Failed(f"PORT={port} is no port number")
    with Site(int(port)) as site:
        url = f"http://localhost:{site.port}"
        print(f"""
Meshgate answers at {url}. The upstream replies with what it saw. Try:

  curl -i {url}/orders/7 -H 'authorization: Bearer alice-token'
  curl -i {url}/orders/7
  curl -i {url}/public/hello -H 'x-user-id: root'
  curl -i {url}/admin/users -H 'authorization: Bearer bob-token'
  curl -i --path-as-is {url}/public/..%2forders/7

or open {url}/orders/7 in a browser. The policy is {POLICY}; Envoy's own
pages (metrics, configuration) are at http://{site.admin}/. Ctrl-C stops everything.
""", flush=True)
        for child in site.children:
            child.show = True
        while True:
            site.check_alive()
            time.sleep(0.5)


def demo():
    with Site(0) as site:
        rows = samples.send_all(site)
    print(samples.table(rows, colours=sys.stdout.isatty() and "NO_COLOR" not in os.environ))
    return 0 if all(not row.faults for row in rows) else 1


class Site:
    """The running whole: auth service, upstream and Envoy. Leaving the block stops it all."""

    def __init__(self, port):
        self.port = port
        self.children = []

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for child in reversed(self.children):
            child.stop()
        if hasattr(self, "folder"):
            shutil.rmtree(self.folder, ignore_errors=True)

    def start(self):
        envoy = find_envoy()
        bootstrap = build()
        if self.port:
            check_free(self.port)
        self.folder = tempfile.mkdtemp(prefix="meshgate-demo-")
        self.echo_ports = [self.start_server("echo.py", 0, "--version", version)[1] for version in ("v1", "v2")]
        self.auth, self.auth_port = self.start_server("auth.py", 0)
        first, second = self.echo_ports
        place(bootstrap, self.port, {
            "auth": self.auth_port, "catalog": first, "upstream": first, "upstream-v2": second,
        })
        config = os.path.join(self.folder, "envoy.json")
        with open(config, "w", encoding="utf-8") as file:
            json.dump(bootstrap, file)
        admin_file = os.path.join(self.folder, "admin")
        self.envoy = self.spawn("Envoy", [
            envoy, "-c", config, "--admin-address-path", admin_file, "--concurrency", "2",
            "--disable-hot-restart", "--log-level", "warning", "--component-log-level", "wasm:info",
            "--file-flush-interval-msec", "100",  # the access log, too
        ], short)
        self.wait_ready(admin_file)

    def wait_ready(self, admin_file):
        until = time.monotonic() + READY_SECONDS
        while time.monotonic() < until:
            if self.envoy.process.poll() is not None:
                self.give_up(f"Envoy ended with code {self.envoy.process.returncode} before it was ready")
            try:
                with open(admin_file, encoding="utf-8") as file:
                    self.admin = file.read().strip()
                if self.ask_admin("/ready") == b"LIVE\n":
                    listeners = json.loads(self.ask_admin("/listeners?format=json"))["listener_statuses"]
                    edge = next(one for one in listeners if one["name"] == "edge")
                    self.port = edge["local_address"]["socket_address"]["port_value"]
                    return
            except (OSError, http.client.HTTPException, LookupError, StopIteration, ValueError):
                pass  # not yet
            time.sleep(0.05)
        self.give_up(f"Envoy was not ready after {READY_SECONDS} s")

    def give_up(self, what):
        self.envoy.stop()
        tail = "\n".join("  " + line for line in list(self.envoy.tail)[-25:]) or "  (nothing)"
        raise Failed(
            f"{what}. The last it said:\n{tail}\n\n"
            "Next: `make check POLICY=envoy/policy.yaml` tells the policy's faults; `make wasm` builds the\n"
            "module anew; MESHGATE_ENVOY chooses another Envoy (1.40 is the one this is tested with)."
        )

    def ask_admin(self, path):
        host, _, port = self.admin.rpartition(":")
        return samples.ask(host, int(port), path)

    def served(self):
        """How many requests both versions of the upstream have had, without these questions."""
        return samples.served([("127.0.0.1", port) for port in self.echo_ports])

    def check_alive(self):
        for child in self.children:
            code = child.process.poll()
            if code is not None:
                if child is self.envoy:
                    self.give_up(f"Envoy ended with code {code}")
                raise Failed(f"{child.name} ended with code {code}: {' / '.join(list(child.tail)[-5:])}")

    def stop_auth(self):
        self.auth.stop()
        self.children.remove(self.auth)

    def start_auth(self):
        self.auth, _ = self.start_server("auth.py", self.auth_port)

    def start_server(self, script, port, *more):
        path = os.path.join(HERE, script)
        child = self.spawn(script, [sys.executable, "-B", path, "--listen", f"127.0.0.1:{port}", *more])
        said = child.first_line(READY_SECONDS)
        if not said.startswith("listening on "):
            raise Failed(f"{script} did not start: {said or 'it said nothing'}")
        return child, int(said.rsplit(" ", 1)[1])

    def spawn(self, name, command, shorten=str):
        child = Child(name, command, shorten)
        self.children.append(child)
        return child


class Child:
    """A child process whose output is kept (the last of it) and, if wished, shown."""

    def __init__(self, name, command, shorten):
        self.name = name
        self.tail = collections.deque(maxlen=200)
        self.show = False
        self.said = threading.Event()
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches us alone; we stop them in order
            preexec_fn=end_with_parent,  # no thread of ours holds a lock the child needs
        )
        self.reader = threading.Thread(target=self.read, args=(shorten,), daemon=True)
        self.reader.start()

    def read(self, shorten):
        for raw in self.process.stdout:
            line = raw.decode("utf-8", "replace").rstrip()
            self.tail.append(line)
            if self.show:
                print(shorten(line), flush=True)
            self.said.set()
        self.said.set()

    def first_line(self, seconds):
        self.said.wait(seconds)
        return self.tail[0] if self.tail else ""

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.reader.join(STOP_SECONDS)


PRCTL = getattr(ctypes.CDLL(None), "prctl", None)
PR_SET_PDEATHSIG = 1


def end_with_parent():
    """Even if this program is killed outright, Linux ends its children."""
    if PRCTL:
        PRCTL(PR_SET_PDEATHSIG, signal.SIGTERM)


def find_envoy():
    name = os.environ.get("MESHGATE_ENVOY", "envoy")
    path = shutil.which(name)
    if not path:
        raise Failed(f"no Envoy: {name!r} is not an executable. `make run` and `make demo` find or install one;\n"
                     "or set MESHGATE_ENVOY to an Envoy 1.40.")
    return os.path.abspath(path)


def build():
    """The bootstrap with the policy in it, as the command line makes it."""
    for path in (CLI, MODULE):
        if not os.path.exists(path):
            raise Failed(f"{os.path.relpath(path, ROOT)} is not there: run `make wasm cli` first")
    built = subprocess.run([CLI, "build", POLICY, "--into", BOOTSTRAP], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if built.returncode != 0:
        raise Failed("the policy was refused:\n" + built.stderr.decode("utf-8", "replace").rstrip())
    return json.loads(built.stdout)


def check_free(port):
    with socket.socket() as probe:
        # Envoy would share a port with another Envoy (SO_REUSEPORT) and say nothing.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise Failed(f"port {port} of 127.0.0.1 cannot be had ({error.strerror}): choose another with PORT=10001")


def place(bootstrap, port, servers):
    """Moves the bootstrap to this machine: loopback addresses, ports, the module's place."""
    bootstrap["admin"]["address"]["socket_address"]["port_value"] = 0
    static = bootstrap["static_resources"]
    # The page of metrics is the admin's own here.
    static["listeners"] = [one for one in static["listeners"] if one["name"] != "metrics"]
    listener = next(one for one in static["listeners"] if one["name"] == "edge")
    listener["address"]["socket_address"] = {"address": "127.0.0.1", "port_value": port}
    for cluster in static["clusters"]:
        if cluster["name"] not in servers:
            continue
        (locality,) = cluster["load_assignment"]["endpoints"]
        (endpoint,) = locality["lb_endpoints"]
        endpoint["endpoint"]["address"]["socket_address"] = {
            "address": "127.0.0.1", "port_value": servers[cluster["name"]],
        }
    (hcm,) = listener["filter_chains"][0]["filters"]
    wasm = next(one for one in hcm["typed_config"]["http_filters"] if one["name"] == "meshgate")
    config = wasm["typed_config"]["config"]
    config["vm_config"]["code"]["local"]["filename"] = MODULE
    if port:  # the sign-in page is behind the same listener
        value = config["configuration"]["value"]
        config["configuration"]["value"] = value.replace("http://localhost:10000/", f"http://localhost:{port}/")


def short(line):
    """Envoy's log lines are JSON for machines; in the foreground they are for people."""
    try:
        entry = json.loads(line)
        if "message" in entry:
            return f"envoy: {entry['level']}: {entry['message']}"
        words = [entry["method"], entry["path"], "->", entry["status"]]
    except (ValueError, LookupError, TypeError):
        return line
    keys = ("rule", "outcome", "cause", "subject", "duration_ms")
    words += [f"{key}={entry[key]}" for key in keys if entry.get(key)]
    return "access: " + " ".join(str(word) for word in words)


if __name__ == "__main__":
    main()
