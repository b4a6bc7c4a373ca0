#!/usr/bin/env python3
"""The demo's upstream: answers with what it saw, headers in order and duplicates kept."""

import itertools
import json

import serve

numbers = itertools.count(1)


class Echo(serve.Handler):
    server_version = "demo-echo"

    def answer(self, body_length):
        saw = {
            "upstream": "echo",
            "number": next(numbers),
            "method": self.command,
            "path": self.path,
            "host": self.headers.get("host"),
            "headers": [f"{name}: {value}" for name, value in self.headers.items()],
            "body_bytes": body_length,
        }
        body = json.dumps(saw, indent=1).encode() + b"\n"
        self.reply(200, [("content-type", "application/json")], body)


if __name__ == "__main__":
    serve.main(Echo, __doc__)
