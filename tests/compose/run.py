#!/usr/bin/env python3
"""envoy/docker-compose.yaml with a Docker engine of its own: `make compose-test`.

The engine, its containers, networks, mounts and packet filter live in namespaces that end with
this program, however it ends. What a namespace does not hold, a folder and control groups, is
removed here, also what an earlier run that was killed has left.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading

sys.dont_write_bytecode = True  # leave nothing in the checkout
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "envoy", "demo"))
from demo import PRCTL, PR_SET_PDEATHSIG  # noqa: E402

SECONDS = 400  # it takes a minute; a busy machine has several times that
NAME = "meshgate-compose-"
CGROUPS = "/sys/fs/cgroup"


def main():
    if os.geteuid() != 0:
        sys.exit("error: only root may start a Docker engine\n       run it as root: sudo make compose-test")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    folders = sys.argv[1]
    os.makedirs(folders, exist_ok=True)
    for left in os.listdir(folders):
        if left.startswith(NAME) and not os.path.exists(f"/proc/{left[len(NAME):]}"):
            remove(folders, left)
    name = f"{NAME}{os.getpid()}"
    os.mkdir(os.path.join(folders, name))
    status = 1
    try:
        status = inside(os.path.join(folders, name), name)
    except KeyboardInterrupt:
        print("stopped", flush=True)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # the clean-up runs once and whole
        remove(folders, name)
    left = leftovers(folders, name)
    print("\n".join(f"FAILED nothing is left: {one}" for one in left) or "ok     nothing is left behind")
    print(f"test result: {'FAILED' if left else 'ok'}. {0 if left else 1} passed; {len(left)} failed; 0 ignored;", flush=True)
    return 1 if left else status


def stop(*_):
    raise KeyboardInterrupt


def inside(folder, name):
    docker = os.environ["MESHGATE_DOCKER"]
    command = [
        "unshare", "--net", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child", "--mount-proc", "--",
        os.path.join(docker, "usr", "bin", "docker-init"), "--",
        sys.executable, "-B", os.path.join(HERE, "inside.py"), folder, name,
    ]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=end_with_parent)
    timer = threading.Timer(SECONDS, process.kill)
    timer.start()
    try:
        return process.wait()
    finally:
        timer.cancel()
        # The first process of the namespace dies with `unshare`, and all others with that one.
        process.kill()
        process.wait()


def end_with_parent():
    """Even if this program is killed outright. `unshare` ignores SIGTERM."""
    if PRCTL:
        PRCTL(PR_SET_PDEATHSIG, signal.SIGKILL)


def cgroups(name):
    found = []
    for folder, names, _ in os.walk(CGROUPS):
        if name in names:
            found.append(os.path.join(folder, name))
        names[:] = [one for one in names if folder.count("/") < 5 and one != name]
    return found


def remove(folders, name):
    shutil.rmtree(os.path.join(folders, name), ignore_errors=True)
    for group in cgroups(name):
        for folder, _, _ in os.walk(group, topdown=False):
            try:
                os.rmdir(folder)
            except OSError:
                pass  # said by `leftovers`


def leftovers(folders, name):
    """What is still there, of all that an engine makes."""
    left = [f"the folder {one}" for one in os.listdir(folders) if one == name]
    left += [f"the control group {one}" for one in cgroups(name)]
    with open("/proc/self/mountinfo", encoding="utf-8") as mounts:
        left += [f"the mount {line.split()[4]}" for line in mounts if name in line]
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                words = file.read().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue  # it has ended
        if name in words:
            left.append(f"the process {pid}: {words[:100]}")
    return left


if __name__ == "__main__":
    sys.exit(main())
