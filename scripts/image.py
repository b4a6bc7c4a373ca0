"""image.py MODULE VERSION INTO TAG...: the module as an image and as an artifact, each an OCI layout, the image also
as an archive that `docker load` takes. Written by hand so that the digest depends on module and version alone:
whatever compresses gives other bytes in other versions of itself, and whatever runs an engine adds its clock."""

import hashlib
import json
import os
import shutil
import struct
import sys
import tarfile
import zlib
from io import BytesIO

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
ABI = "proxy_abi_version_0_2_1"


def tar(files):
    """Nobody's files, from no time at all."""
    out = BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in files:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, BytesIO(data))
    return out.getvalue()


def gzip(data):
    """Stored, in blocks of the 65,535 bytes that deflate allows: nothing that a zlib could do in another way."""
    blocks = [data[at : at + 65535] for at in range(0, len(data), 65535)]
    out = [b"\x1f\x8b\x08\0\0\0\0\0\0\xff"]
    for at, block in enumerate(blocks):
        out += [struct.pack("<BHH", at == len(blocks) - 1, len(block), len(block) ^ 0xFFFF), block]
    return b"".join(out) + struct.pack("<II", zlib.crc32(data), len(data))


def packed(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Layout:
    def __init__(self):
        self.blobs = {}

    def add(self, media_type, data, **more):
        self.blobs[digest(data)] = data
        return {"mediaType": media_type, "digest": digest(data), "size": len(data), **more}

    def files(self, manifest, tags):
        """One entry for each tag, all of the same digest."""
        entries = [{**manifest, "annotations": {"org.opencontainers.image.ref.name": tag}} for tag in tags]
        yield "oci-layout", packed({"imageLayoutVersion": "1.0.0"})
        yield "index.json", packed({"schemaVersion": 2, "manifests": entries})
        for name, data in sorted(self.blobs.items()):
            yield "blobs/" + name.replace(":", "/"), data


def labels(version):
    named = {"title": "meshgate", "version": version, "licenses": "Apache-2.0"}
    return {"org.opencontainers.image." + name: value for name, value in named.items()}


def image(module, version, tags):
    """What `FROM scratch` and `COPY meshgate.wasm /plugin.wasm` would give: one layer, nothing to run."""
    layer = tar([("plugin.wasm", module)])
    layout = Layout()
    config = {
        # Nothing in it is of a platform, but engines refuse an image of one that they do not know.
        "architecture": "amd64",
        "os": "linux",
        "config": {"Labels": labels(version)},
        "rootfs": {"type": "layers", "diff_ids": [digest(layer)]},
    }
    config = layout.add("application/vnd.oci.image.config.v1+json", packed(config))
    layers = [layout.add("application/vnd.oci.image.layer.v1.tar+gzip", gzip(layer))]
    about = {**labels(version), "module.wasm.image/variant": "compat"}
    manifest = layout.add(MANIFEST, packed(whole(config, layers, about)))
    files = list(layout.files(manifest, tags))
    # Engines before Docker 25 read this file instead of the layout.
    path = lambda entry: "blobs/" + entry["digest"].replace(":", "/")
    names = ["meshgate:" + tag for tag in tags]
    old = [{"Config": path(config), "Layers": [path(entry) for entry in layers], "RepoTags": names}]
    return manifest["digest"], files, tar(files + [("manifest.json", packed(old))])


def artifact(module, version, tags):
    """pilot-agent asks for two layers: the module itself, and what it is for, which is the config as well."""
    layout = Layout()
    runtime = packed({"type": "envoy_proxy", "abiVersions": [ABI], "config": {"root_ids": []}})
    title = lambda name: {"org.opencontainers.image.title": name}
    config = layout.add("application/vnd.module.wasm.config.v1+json", runtime)
    layers = [
        {**config, "annotations": title("runtime-config.json")},
        layout.add("application/vnd.module.wasm.content.layer.v1+wasm", module, annotations=title("plugin.wasm")),
    ]
    manifest = layout.add(MANIFEST, packed(whole(config, layers, labels(version))))
    return manifest["digest"], list(layout.files(manifest, tags))


def whole(config, layers, annotations):
    return {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers, "annotations": annotations}


def write(folder, files):
    shutil.rmtree(folder, ignore_errors=True)
    for name, data in files:
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as out:
            out.write(data)


def main(module, version, into, *tags):
    with open(module, "rb") as file:
        module = file.read()
    of_image, files, archive = image(module, version, tags)
    write(os.path.join(into, "image"), files)
    with open(os.path.join(into, "meshgate-image.tar"), "wb") as out:
        out.write(archive)
    of_artifact, files = artifact(module, version, [tag + "-artifact" for tag in tags])
    write(os.path.join(into, "artifact"), files)
    print(f"image    {of_image} {' '.join(tags)}")
    print(f"artifact {of_artifact} {' '.join(tag + '-artifact' for tag in tags)}")


main(*sys.argv[1:])
