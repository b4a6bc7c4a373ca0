#!/usr/bin/env python3
"""The demo's upstream: answers with what it saw, headers in order and duplicates kept."""

import itertools
import json

import serve

numbers = itertools.count(1)
served = 0
version = "v1"


class Echo(serve.Handler):
    server_version = "demo-echo"

    def answer(self, body_length):
        global served
        if self.path == "/served":  # only asked around Envoy: no rule of the policy leads there
            self.reply(200, [], json.dumps({"served": served}).encode())
            return
        if self.path != "/healthz":  # asked by the container's health check, too
            served = next(numbers)
        saw = {
            "upstream": "echo",
            "version": version,
            "number": served,
            "method": self.command,
            "path": self.path,
            "host": self.headers.get("host"),
            "headers": [f"{name}: {value}" for name, value in self.headers.items()],
            "body_bytes": body_length,
        }
        body = json.dumps(saw, indent=1).encode() + b"\n"
        self.reply(200, [("content-type", "application/json")], body)


if __name__ == "__main__":
    options = serve.options(__doc__)
    options.add_argument("--version", default=version, help="which of the upstream's versions this is")
    arguments = options.parse_args()
    version = arguments.version
    serve.main(Echo, arguments.listen)
