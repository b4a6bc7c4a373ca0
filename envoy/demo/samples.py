"""The sample requests of `demo.py demo`: what is sent, what is expected, and the table."""

import collections
import http.client
import json
import socket

ALICE = {"x-user-id": "alice", "x-user-groups": "staff,ops", "x-tenant-id": "acme", "x-authenticated-by": "account"}
BOB = {"x-user-id": "bob", "x-user-groups": "staff", "x-tenant-id": "acme", "x-authenticated-by": "account_if_up"}
KNOWN_BOB = {**BOB, "x-authenticated-by": "account"}
NOBODY = {}
NAMES = [*ALICE, "x-admin-id"]  # every header that the policy lets only Meshgate set, but for
VARIANT = "x-variant-checkout"

AS_ALICE = ["Authorization: Bearer alice-token"]
AS_BOB = ["Authorization: Bearer bob-token"]
BROWSER = ["Accept: text/html,application/xhtml+xml", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"]
FORGED = [
    "X-User-Id: root", "x-user-id: root2", "X_User_Id: root", "x.user.id: root", "x~user~id: root",
    "X-User-Groups: ops", "x-tenant-id: evil", "x-authenticated-by: me", "x-admin-id: root",
    "x-auth-user: root", "x-internal-debug: 1", "x-variant-checkout: blue",
]
# Who is nobody goes by the cookie that the policy gives out; a random one could be of either version.
GUEST = "Cookie: mg_unit=guest-5"
GUEST_OF_BLUE = "Cookie: mg_unit=guest-7"

# `saw`: the identity that the upstream was told, or None if the request must not reach it.
# `error`: the code in Meshgate's own refusals. `has`: headers of the reply and how they start.
# `variant`: which one of `checkout` the upstream is told, and so which of its versions that is.
Sample = collections.namedtuple("Sample", "what who line headers status error saw has path variant")
VERSIONS = {"control": "v1", "blue": "v2", None: "v1"}


def sample(what, who, line, headers, status, error=None, saw=None, has=None, path=None, variant="control"):
    return Sample(what, who, line, headers, status, error, saw, has or {}, path, variant)


BEFORE = [
    sample("allowed", "alice", "GET /orders/7", AS_ALICE, 200, saw=ALICE),
    sample("variant control", "alice", "GET /orders/8", AS_ALICE, 200, saw=ALICE, variant="control"),
    sample("variant blue", "bob", "GET /orders/8", AS_BOB, 200, saw=KNOWN_BOB, variant="blue"),
    sample("forged variant", "alice", "GET /orders/8", ["x-variant-checkout: blue"] + AS_ALICE, 200, saw=ALICE),
    sample("forged variant", "bob", "GET /orders/8", ["X_Variant.Checkout: control", "x-variant-checkout: control"] + AS_BOB,
           200, saw=KNOWN_BOB, variant="blue"),
    sample("session cookie", "alice", "GET /orders/7", ["Cookie: theme=dark; session=alice-session"], 200, saw=ALICE),
    sample("denied by the service", "mallory", "GET /orders/7", ["Authorization: Bearer mallory-token"], 403, "banned"),
    sample("unknown credential", "?", "GET /orders/7", ["Authorization: Bearer guessed"], 401, "invalid_token",
           has={"www-authenticate": 'Bearer realm="demo"'}),
    sample("no credential", "nobody", "GET /orders/7", [], 401, "unauthenticated", has={"www-authenticate": ""}),
    sample("two credentials", "alice, bob", "GET /orders/7", AS_ALICE + AS_BOB, 400, "bad_request"),
    sample("forged identity", "alice", "GET /orders/7", FORGED + AS_ALICE, 200, saw=ALICE),
    sample("public path, forged", "nobody", "GET /public/hello", [GUEST, *FORGED, *AS_BOB], 200, saw=NOBODY),
    sample("variant of nobody", "nobody", "GET /public/hello", [GUEST_OF_BLUE], 200, saw=NOBODY, variant="blue"),
    sample("open to all, nobody", "nobody", "GET /catalog/tea", FORGED, 200, saw=NOBODY, variant=None),
    sample("open to all, known", "bob", "GET /catalog/tea", AS_BOB, 200, saw=BOB, variant=None),
    sample("preflight", "nobody", "OPTIONS /catalog/tea",
           ["Origin: https://shop.example.com", "Access-Control-Request-Method: GET"], 200, saw=NOBODY, variant=None),
    sample("closed path", "alice", "GET /internal/debug", AS_ALICE, 404, "not_found"),
    sample("path without a rule", "alice", "GET /elsewhere", AS_ALICE, 403, "forbidden"),
    sample("group held", "alice", "GET /admin/users", AS_ALICE, 200, saw={**ALICE, "x-admin-id": "alice"}),
    sample("group not held", "bob", "GET /admin/users", AS_BOB, 403, "forbidden"),
    sample("browser is sent to sign in", "nobody", "GET /orders/7", BROWSER, 302,
           has={"location": "http://localhost:10000/sign-in?rd=http%3A%2F%2Flocalhost"}),
    sample("faulty path", "alice", "GET /orders%2f..", AS_ALICE, 400, "bad_request"),
    sample("encoded slash from public", "nobody", "GET /public/..%2forders/7", [], 400, "bad_request"),
    sample("empty segment", "alice", "GET //orders/7", AS_ALICE, 400, "bad_request"),
    sample("dots from public", "nobody", "GET /public/%2e%2e/orders/7", [], 401, "unauthenticated"),
    sample("encoded letter", "alice", "GET /%6frders/7?q=a%2fb", AS_ALICE, 200, saw=ALICE, path="/orders/7?q=a%2fb"),
]
DOWN = [
    sample("auth down: deny", "alice", "GET /orders/7", AS_ALICE, 503, "auth_unavailable"),
    sample("auth down: allow", "alice", "GET /catalog/tea", AS_ALICE, 200, saw=NOBODY, variant=None),
    sample("auth down: public", "nobody", "GET /public/hello", [GUEST], 200, saw=NOBODY),
    sample("auth down: no credential", "nobody", "GET /orders/7", [], 401, "unauthenticated"),
]
AFTER = [sample("auth back again", "alice", "GET /orders/7", AS_ALICE, 200, saw=ALICE)]

Row = collections.namedtuple("Row", "sample verdict saw faults")


def send_all(site):
    rows = [send(site, one) for one in BEFORE]
    site.stop_auth()
    rows += [send(site, one) for one in DOWN]
    site.start_auth()
    return rows + [send(site, one) for one in AFTER]


def send(site, one):
    before = site.served()
    try:
        status, headers, body = exchange(site.port, one)
    except (OSError, http.client.HTTPException) as error:
        return Row(one, "no reply", "", [("a reply", f"{type(error).__name__}: {error}")])
    answer = as_json(body)
    reached = site.served() - before
    saw = answer if answer.get("upstream") == "echo" else None
    verdict = " ".join(filter(None, [str(status), "" if saw else str(answer.get("error", ""))]))
    return Row(one, verdict, told(saw), list(faults(one, status, headers, answer, saw, reached)))


def exchange(port, one):
    """Sent byte for byte as written: an HTTP library would tidy up what must arrive untidy."""
    method, _, target = one.line.partition(" ")
    lines = [f"{method} {target} HTTP/1.1", f"Host: localhost:{port}", "Connection: close", *one.headers]
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
        response = http.client.HTTPResponse(connection, method=method)
        response.begin()
        return response.status, response.getheaders(), response.read()


def ask(host, port, path):
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    finally:
        connection.close()


def served(echoes):
    return sum(json.loads(ask(host, port, "/served"))["served"] for host, port in echoes)


def as_json(body):
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def faults(one, status, headers, answer, saw, reached):
    """Pairs of expected and got, for all that is not as it should be."""
    if status != one.status:
        yield f"status {one.status}", f"status {status}, {answer or 'no JSON'}"
    if one.error and answer.get("error") != one.error:
        yield f"error {one.error}", f"error {answer.get('error')}"
    if one.error in {"bad_request", "unauthenticated", "forbidden", "not_found", "auth_unavailable"}:
        if not (answer.get("message") and answer.get("request_id")):
            yield "message and request_id in the body", str(answer)
        if ("cache-control", "no-store") not in [(name.lower(), value) for name, value in headers]:
            yield "cache-control: no-store", str(headers)
    for name, start in one.has.items():
        values = [value for key, value in headers if key.lower() == name]
        if not (len(values) == 1 and values[0].startswith(start)):
            yield f"{name}: {start}…", f"{name}: {values}"
    if reached != (0 if one.saw is None else 1):
        yield f"{0 if one.saw is None else 1} requests at the upstream", str(reached)
    if one.saw is None or saw is None:
        if (one.saw is None) != (saw is None):
            yield "no answer of the upstream" if saw else "the upstream's answer", str(answer)
        return
    path = one.path or one.line.split(" ")[1]
    if saw["path"] != path:
        yield f"path {path} at the upstream", saw["path"]
    if saw["version"] != VERSIONS[one.variant]:
        yield f"version {VERSIONS[one.variant]} of the upstream", saw["version"]
    got = [pair(header) for header in saw["headers"]]
    names = {fold(name) for name in NAMES}
    identity = sorted((name, value) for name, value in got if fold(name) in names)
    if identity != sorted(one.saw.items()):
        yield f"identity {sorted(one.saw.items())}", str(identity)
    variants = [(name, value) for name, value in got if fold(name) == fold(VARIANT)]
    if variants != ([(VARIANT, one.variant)] if one.variant else []):
        yield f"variant {one.variant}", str(variants)
    for name, value in got:
        if fold(name).startswith(("x_auth_", "x_internal_")) or fold(name) == "authorization" or "session=" in value:
            yield f"no {name} at the upstream", f"{name}: {value}"
    cookies = [value for name, value in got if name.lower() == "cookie"]
    if any("theme=dark" in header for header in one.headers) and cookies != ["theme=dark"]:
        yield "cookie: theme=dark at the upstream", str(cookies)


def pair(header):
    name, _, value = header.partition(": ")
    return name, value


def fold(name):
    """As CGI-like servers read names: x.user.id, X_USER_ID and x-user-id are one."""
    return "".join(c if c.isalnum() else "_" for c in name.lower())


def told(saw):
    """The values of NAMES, in that order, and the variant; two values of one header are shown as a+b."""
    if saw is None:
        return "-"
    got = [pair(header) for header in saw["headers"]]
    *words, variant = ["+".join(value for key, value in got if fold(key) == fold(name)) for name in [*NAMES, VARIANT]]
    return "  ".join(filter(None, ["  ".join(filter(None, words)) or "no identity", variant]))


def table(rows, colours):
    def paint(code, text):
        return f"\033[{code}m{text}\033[0m" if colours else text

    head = ("", "sample", "request", "who", "verdict", "the upstream saw (user, groups, tenant, known by, admin, variant)")
    cells = [("FAIL" if r.faults else "ok", r.sample.what, r.sample.line, r.sample.who, r.verdict, r.saw) for r in rows]
    widths = [max(len(row[i]) for row in [head, *cells]) for i in range(len(head))]
    lines = [paint("1", "  ".join(cell.ljust(width) for cell, width in zip(head, widths)).rstrip())]
    for cell, row in zip(cells, rows):
        text = "  ".join(one.ljust(width) for one, width in zip(cell, widths)).rstrip()
        lines.append(paint("31" if row.faults else "32", text[: widths[0]]) + text[widths[0]:])
        for expected, got in row.faults:
            lines += [paint("31", f"      expected  {expected}"), paint("31", f"      got       {got}")]
    bad = sum(1 for row in rows if row.faults)
    good = f"{len(rows)} of {len(rows)} as expected"
    lines += ["", paint("31", f"{bad} of {len(rows)} not as expected") if bad else good]
    return "\n".join(lines)
