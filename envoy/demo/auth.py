#!/usr/bin/env python3
"""The demo's auth service: answers ext_authz questions at /check, and has a sign-in page.

Its credentials are for the demo only: they stand in this public file.
"""

import html
import json
import urllib.parse
from http.cookies import CookieError, SimpleCookie

import serve

PEOPLE = {
    "alice": {"groups": "staff,ops", "tenant": "acme"},
    "bob": {"groups": "staff", "tenant": "acme"},
    "mallory": {"banned": True},
}
TOKENS = {f"{name}-token": name for name in PEOPLE}
SESSIONS = {f"{name}-session": name for name in PEOPLE}

JSON = ("content-type", "application/json")
PAGE = """<!doctype html><title>Sign in</title><h1>Sign in</h1>
<form method="post" action="/sign-in"><input type="hidden" name="rd" value="{rd}">
<button name="user" value="alice">alice (staff, ops)</button>
<button name="user" value="bob">bob (staff)</button></form>
"""


class Auth(serve.Handler):
    server_version = "demo-auth"

    def answer(self, _):
        url = urllib.parse.urlsplit(self.path)
        if url.path == "/check" or url.path.startswith("/check/"):
            self.check()
        elif url.path == "/sign-in":
            self.sign_in(url.query)
        elif url.path == "/healthz":
            self.reply(200, [])
        else:
            self.reply(404, [])

    def check(self):
        name = self.caller()
        person = PEOPLE.get(name)
        if person is None:
            self.verdict(401, "nobody that is known", [
                ("www-authenticate", 'Bearer realm="demo", error="invalid_token"'), JSON,
            ], {"error": "invalid_token", "message": "this credential is unknown"})
        elif person.get("banned"):
            self.verdict(403, name, [JSON], {"error": "banned", "message": f"{name} is banned"})
        else:
            self.verdict(200, name, [
                ("x-auth-user", name),
                ("x-auth-groups", person["groups"]),
                ("x-auth-tenant", person["tenant"]),
            ])

    def caller(self):
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        if scheme:
            return TOKENS.get(token) if scheme.lower() == "bearer" else None
        try:
            cookie = SimpleCookie(self.headers.get("cookie", "")).get("session")
        except CookieError:
            return None
        return SESSIONS.get(cookie.value) if cookie else None

    def verdict(self, status, name, headers, body=None):
        # One line a question, so that one sees when the service is asked. No credentials.
        print(f"auth: asked {self.command} {self.path.partition('?')[0]}: {name}, {status}", flush=True)
        self.reply(status, headers, json.dumps(body).encode() + b"\n" if body else b"")

    def sign_in(self, query):
        form = dict(urllib.parse.parse_qsl(query if self.command == "GET" else self.body.decode("latin-1")))
        back = local(form.get("rd", "/"))
        if self.command == "GET":
            page = PAGE.format(rd=html.escape(back, quote=True)).encode()
            self.reply(200, [("content-type", "text/html; charset=utf-8"), ("cache-control", "no-store")], page)
        elif self.command == "POST" and form.get("user") in PEOPLE:
            cookie = f"session={form['user']}-session; Path=/; HttpOnly; SameSite=Lax"
            self.reply(303, [("location", back), ("set-cookie", cookie), ("cache-control", "no-store")])
        else:
            self.reply(400, [])


def local(url):
    """Path and query only: the way back never leaves this site, whatever the link said."""
    parts = urllib.parse.urlsplit(url)
    path = "/" + urllib.parse.quote(parts.path.lstrip("/\\"), safe="/%:@-._~!$&'()*+,=")
    return path + ("?" + urllib.parse.quote(parts.query, safe="/%:@-._~!$&'()*+,=?") if parts.query else "")


if __name__ == "__main__":
    serve.main(Auth, serve.options(__doc__).parse_args().listen)
