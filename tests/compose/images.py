"""Images under the public names of docker-compose.yaml, of what this machine has.

Each is a program with the libraries that it needs and nothing around it; paths are those of the real image.
"""

import io
import os
import subprocess
import sys
import sysconfig
import tarfile

# Of Python's own library; what a demo server never imports.
NOT_NEEDED = {"site-packages", "dist-packages", "test", "tests", "idlelib", "tkinter", "lib2to3", "ensurepip", "turtledemo"}


def build(docker):
    """Yields the name of each image and the archive of its files."""
    shell = [("/bin/bash", "/bin/bash"), (which("grep"), "/bin/grep")]
    yield "envoyproxy/envoy", {}, [(os.environ["MESHGATE_ENVOY"], "/usr/local/bin/envoy"), *shell]
    yield "python", {"PYTHONHOME": sys.base_prefix}, list(python())
    prometheus = [(os.environ["MESHGATE_PROMETHEUS"], "/bin/prometheus"),
                  (os.path.join(docker, "bin", "busybox"), "/bin/wget")]
    yield "prom/prometheus", {}, prometheus


def archive(files, write):
    """The files, the libraries of the programs among them, and the folder of Prometheus' data."""
    with tarfile.open(fileobj=write, mode="w|") as tar:
        libraries = {path: path for source, _ in files for path in needed(source)}
        for source, target in [*files, *libraries.items()]:
            info = tar.gettarinfo(os.path.realpath(source), target.lstrip("/"))
            info.type, info.uid, info.gid, info.uname, info.gname = tarfile.REGTYPE, 0, 0, "", ""
            info.mode |= 0o444
            info.size = os.path.getsize(os.path.realpath(source))
            with open(os.path.realpath(source), "rb") as file:
                tar.addfile(info, file)
        data = tarfile.TarInfo("prometheus")
        data.type, data.mode, data.uid, data.gid = tarfile.DIRTYPE, 0o755, 65534, 65534
        tar.addfile(data, io.BytesIO())


def needed(program):
    """Libraries and the loader, as ldd names them."""
    with open(program, "rb") as file:
        if file.read(4) != b"\x7fELF":
            return
    said = subprocess.run(["ldd", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=30)
    for line in said.stdout.splitlines():
        words = line.replace("=>", " ").split()
        path = next((word for word in words if word.startswith("/")), None)
        if path:
            yield path


def python():
    yield sys.executable, "/usr/local/bin/python"
    library = sysconfig.get_paths()["stdlib"]
    for folder, folders, names in os.walk(library):
        folders[:] = [one for one in folders if one not in NOT_NEEDED and not one.startswith("config-")]
        for name in names:
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                yield path, path


def which(name):
    return subprocess.run(["which", name], stdout=subprocess.PIPE, text=True, check=True, timeout=30).stdout.strip()
