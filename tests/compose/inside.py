"""Inside the namespaces of run.py: the engine, the images, and what docker-compose.yaml does with them."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.parse

import images

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "envoy", "demo"))
import samples  # noqa: E402

FILE = os.path.join(ROOT, "envoy", "docker-compose.yaml")
# Without Grafana: nothing on this machine could stand in for it. A test reads its dashboard, and runs what it asks.
SERVICES = ["envoy", "auth", "upstream", "upstream-v2", "prometheus"]
PORT, PROMETHEUS = 10000, 9090
LONG = 90  # for what takes seconds on an idle machine


class Failed(Exception):
    pass


def run(*command, timeout=LONG, **more):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout, **more)
    if done.returncode != 0:
        raise Failed(f"{' '.join(command)}: {done.returncode}: {done.stdout.strip()[-2000:]}")
    return done.stdout


def compose(*words, timeout=LONG):
    return run(os.environ["MESHGATE_COMPOSE"], "--ansi", "never", "-f", FILE, "-p", "meshgate", *words, timeout=timeout)


def until(what, ready, seconds=LONG):
    """Asks again until there is an answer; the last reason is told."""
    end, why = time.monotonic() + seconds, None
    while time.monotonic() < end:
        try:
            answer = ready()
            if answer:
                return answer
        except (OSError, Failed, LookupError, ValueError, samples.http.client.HTTPException) as error:
            why = error
        time.sleep(0.1)
    raise Failed(f"{seconds} s without {what}: {why}")


def expect(true, what):
    if not true:
        raise Failed(what)


class Compose:
    """The checks, in their order; what `samples.send_all` needs of a site is here, too."""

    port = PORT

    def __init__(self, folder, name):
        self.folder, self.name = folder, name
        self.docker = os.environ["MESHGATE_DOCKER"]

    def the_engine_starts(self):
        run("ip", "link", "set", "lo", "up")
        run("mount", "-t", "tmpfs", "tmpfs", "/run")  # sockets and what is mounted for networks, out of everybody's way
        within = [os.path.join(self.docker, one) for one in ("usr/bin", "usr/sbin", "bin")]
        triple = next(one for one in os.listdir(f"{self.docker}/usr/lib") if one.endswith("-linux-gnu"))
        self.environment = {
            **os.environ,
            "PATH": os.pathsep.join([*within, os.environ["PATH"], "/usr/sbin", "/sbin"]),
            "LD_LIBRARY_PATH": f"{self.docker}/usr/lib/{triple}:{self.docker}/lib/{triple}",
            "XTABLES_LIBDIR": f"{self.docker}/usr/lib/{triple}/xtables",
        }
        os.environ["DOCKER_HOST"] = "unix:///run/docker.sock"
        self.log = os.path.join(self.folder, "dockerd.log")
        # The driver for layers is its own choice: overlay2 where the file system can, else vfs.
        command = ["dockerd", "--data-root", f"{self.folder}/data", "--exec-root", "/run/docker",
                   "--pidfile", "/run/docker.pid", "--cgroup-parent", f"/{self.name}"]
        with open(self.log, "wb") as log:
            self.engine = subprocess.Popen(command, stdout=log, stderr=log, env=self.environment,
                                           executable=f"{self.docker}/usr/sbin/dockerd")

        def ready():
            expect(self.engine.poll() is None, f"dockerd ended: {self.tail()}")
            return self.ask("info", "--format", "{{.Driver}}").strip()

        return until("an engine", ready)

    def tail(self):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return log.read()[-2000:]

    def ask(self, *words, **more):
        return run(f"{self.docker}/usr/bin/docker", *words, **more)

    def images_are_built_under_their_public_names(self):
        with open(FILE, encoding="utf-8") as file:
            names = dict(re.findall(r"^ +image: (\S+):(\S+)$", file.read(), re.MULTILINE))
        for name, environment, files in images.build(self.docker):
            changes = [f"ENV {key}={value}" for key, value in {"PATH": "/usr/local/bin:/usr/bin:/bin", **environment}.items()]
            if name == "prom/prometheus":
                changes.append('ENTRYPOINT ["/bin/prometheus"]')
            words = [word for change in changes for word in ("--change", change)]
            command = [f"{self.docker}/usr/bin/docker", "import", *words, "-", f"{name}:{names.pop(name)}"]
            made = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
            images.archive(files, made.stdin)
            made.stdin.close()
            expect(made.wait(LONG) == 0, f"docker import of {name} failed")
        expect(list(names) == ["grafana/grafana"], f"no stand-in for {list(names)}")

    def all_come_up_healthy(self):
        compose("up", "-d", *SERVICES, timeout=2 * LONG)
        for service in SERVICES:
            until(f"a healthy {service}", lambda: self.health(service) == "healthy")

    def inspect(self, service):
        container = compose("ps", "-q", service).strip()
        return json.loads(self.ask("inspect", container))[0]

    def health(self, service):
        return self.inspect(service)["State"]["Health"]["Status"]

    def address(self, service):
        networks = self.inspect(service)["NetworkSettings"]["Networks"]
        return networks["meshgate_inside"]["IPAddress"]

    def each_is_held_as_the_file_says(self):
        for service in SERVICES:
            about = self.inspect(service)
            host, config = about["HostConfig"], about["Config"]
            user = config["User"].partition(":")[0]
            expect(user.isdecimal() and user != "0", f"{service} runs as {user}")
            expect(host["ReadonlyRootfs"] and not host["Privileged"], f"{service} can write to its image")
            expect([one.upper() for one in host["CapDrop"]] == ["ALL"], f"{service} has capabilities")
            expect("no-new-privileges:true" in host["SecurityOpt"], f"{service} may gain privileges")
            limits = {one: host[one] for one in ("Memory", "NanoCpus", "PidsLimit")}
            expect(all(limits.values()), f"{service} is not limited: {limits}")
            published = [one["HostIp"] for ports in about["NetworkSettings"]["Ports"].values() for one in ports or []]
            expect(set(published) <= {"127.0.0.1"}, f"{service} is published at {published}")
            with open(f"/proc/{about['State']['Pid']}/status", encoding="ascii") as file:
                status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
            expect(set(status["Uid"].split()) == {user}, f"{service} is {status['Uid']}")
            expect(int(status["CapEff"], 16) == 0 and status["NoNewPrivs"] == "1", f"{service}: {status}")

    def the_sample_requests_meet_what_they_should(self):
        self.echoes = [(self.address(one), 8080) for one in ("upstream", "upstream-v2")]
        rows = samples.send_all(self)
        print(samples.table(rows, colours=False), flush=True)
        expect(not any(row.faults for row in rows), "see the table")
        return f"{len(rows)} of them"

    def served(self):
        return samples.served(self.echoes)

    def stop_auth(self):
        compose("kill", "auth")

    def start_auth(self):
        compose("start", "auth")
        until("a healthy auth service", lambda: self.health("auth") == "healthy")
        # Envoy looks its address up every 5 s.
        until("an answer of the auth service", lambda: self.status("/orders/7", samples.AS_ALICE) == 200)

    def status(self, path, headers):
        one = samples.sample("", "", f"GET {path}", headers, 0)
        return samples.exchange(PORT, one)[0]

    def a_crash_heals_by_itself_and_nobody_hangs(self):
        before = self.inspect("upstream")
        os.kill(before["State"]["Pid"], signal.SIGKILL)
        seen = []

        def back():
            begin = time.monotonic()
            seen.append(self.status("/public/hello", [samples.GUEST]))
            # The policy's 2 s, and room for a busy machine.
            expect(time.monotonic() - begin < 10, "a caller waited longer than the policy's timeout")
            now = self.inspect("upstream")
            return seen[-1] == 200 and now["RestartCount"] > before["RestartCount"] and now["State"]["Running"]

        until("the upstream again", back)
        until("a healthy upstream", lambda: self.health("upstream") == "healthy")
        expect(set(seen) <= {200, 503, 504}, f"callers saw {seen}")
        return "callers saw " + ", ".join(f"{one} {seen.count(one)} times" for one in sorted(set(seen)))

    def prometheus_reads_envoy_and_has_the_rules(self):
        def query(path):
            answer = json.loads(samples.ask("127.0.0.1", PROMETHEUS, path))
            expect(answer["status"] == "success", answer)
            return answer["data"]

        def up():
            query_of = urllib.parse.quote("up == 1")
            return query(f"/api/v1/query?query={query_of}")["result"]

        until("a target that is up", up)

        def outcomes():
            result = query("/api/v1/query?query=meshgate_requests_total")["result"]
            found = {one["metric"]["outcome"] for one in result}
            return found >= {"allowed", "public", "denied", "unauthenticated", "auth_unavailable", "failed_open"} and found

        found = until("the outcomes of the requests", outcomes)
        rules = [rule for group in query("/api/v1/rules")["groups"] for rule in group["rules"]]
        broken = [rule["name"] for rule in rules if rule["health"] == "err"]
        expect(rules and not broken, f"rules {len(rules)}, broken {broken}")
        return f"{len(found)} outcomes, {len(rules)} rules"

    def metrics_and_nothing_else_is_for_prometheus(self):
        envoy = self.inspect("envoy")["NetworkSettings"]["Networks"]["meshgate_metrics"]["IPAddress"]
        connect = samples.http.client.HTTPConnection
        seen = {}
        for method, path in [("GET", "/stats/prometheus"), ("POST", "/stats/prometheus"), ("GET", "/config_dump"),
                             ("POST", "/quitquitquit"), ("GET", "/stats/prometheus/../../config_dump")]:
            connection = connect(envoy, 9902, timeout=10)
            connection.request(method, path)
            seen[method, path] = connection.getresponse().status
            connection.close()
        expect([status for status in seen.values()] == [200, 404, 404, 404, 404], seen)
        for port in (9901,):
            try:
                connect(envoy, port, timeout=10).request("GET", "/ready")
            except OSError:
                continue
            raise Failed("the admin's port answers other containers")

    def down_leaves_nothing(self):
        compose("down", "-v", timeout=LONG)
        left = {
            "containers": self.ask("ps", "-aq").split(),
            "volumes": self.ask("volume", "ls", "-q").split(),
            "networks": sorted(self.ask("network", "ls", "--format", "{{.Name}}").split()),
        }
        expect(left == {"containers": [], "volumes": [], "networks": ["bridge", "host", "none"]}, left)

    def stop(self):
        if getattr(self, "engine", None):
            self.engine.terminate()
            try:
                self.engine.wait(30)
            except subprocess.TimeoutExpired:
                self.engine.kill()


def main():
    compose_file = Compose(*sys.argv[1:3])
    checks = [value for name, value in vars(Compose).items() if name.startswith(("the_", "images_", "all_", "each_", "a_",
                                                                                   "prometheus_", "metrics_", "down_"))]
    passed = failed = 0
    for check in checks:
        name, begin = check.__name__.replace("_", " "), time.monotonic()
        try:
            said = check(compose_file)
        except (Failed, OSError, LookupError, ValueError, subprocess.SubprocessError,
                samples.http.client.HTTPException) as error:
            failed += 1
            print(f"FAILED {name}: {type(error).__name__}: {error}", flush=True)
            if check in checks[:3]:  # nothing runs
                print_logs()
                break
            continue
        passed += 1
        print(f"ok     {time.monotonic() - begin:3.0f} s  {name}{f': {said}' if said else ''}", flush=True)
    if failed and passed > 2:
        print_logs()
    compose_file.stop()
    print(f"test result: {'FAILED' if failed else 'ok'}. {passed} passed; {failed} failed; 0 ignored;", flush=True)
    return 1 if failed else 0


def print_logs():
    try:
        print(compose("ps"), compose("logs", "--tail", "20"), flush=True)
    except (Failed, subprocess.SubprocessError) as error:
        print(error, flush=True)


if __name__ == "__main__":
    sys.exit(main())
