"""Cloudflare's official Python SDK, walked through every operation on service tokens of a Countersign.

The SDK is unmodified; it is given our base URL and a token, and nothing else. Every secret is tried at the
door as well, because an answer that looks right and a door that opens are two things.

Environment: COUNTERSIGN_URL (like http://127.0.0.1:8787), COUNTERSIGN_ACCOUNT_ID, COUNTERSIGN_TOKEN.
Status 0 when every expectation held; otherwise the traceback of the first that did not.
"""

import http.client
import http.server
import json
import os
import re
import threading
import urllib.parse
import uuid
import zlib
from datetime import datetime, timedelta, timezone

# The SDK also reads its own variables: with CLOUDFLARE_EMAIL it would not even send the token.
for stray in [name for name in os.environ if name.startswith("CLOUDFLARE_")]:
    del os.environ[stray]

import cloudflare
from cloudflare import Cloudflare

URL = os.environ["COUNTERSIGN_URL"].rstrip("/")
ACCOUNT = os.environ["COUNTERSIGN_ACCOUNT_ID"]
TOKEN = os.environ["COUNTERSIGN_TOKEN"]

# Names of this run, so that other tokens on the same server do not matter.
RUN = f"python-{uuid.uuid4().hex[:8]}"
REFUSALS = set()


def main():
    tokens = Cloudflare(base_url=f"{URL}/client/v4", api_token=TOKEN).zero_trust.access.service_tokens
    for step in STEPS:
        step(tokens)
        print(f"ok  {step.__name__.replace('_', ' ')}", flush=True)
    for leftover in list(tokens.list(account_id=ACCOUNT, search=RUN)):
        tokens.delete(leftover.id, account_id=ACCOUNT)
    equal(REFUSALS, {b'{"error":"invalid_token"}'}, "every refusal at the door has the same bytes")
    print(f"{len(STEPS)} steps passed")


def create_with_the_default_duration(tokens):
    answer = tokens.with_raw_response.create(account_id=ACCOUNT, name=f"{RUN} default")
    equal(answer.status_code, 201, "status of create")
    equal(answer.headers["cache-control"], "no-store", "an answer with a secret is not stored")
    token = answer.parse()
    equal(token.name, f"{RUN} default", "name")
    equal(token.duration, "8760h", "duration")
    equal(token.enabled, True, "enabled")
    equal(str(uuid.UUID(token.id)), token.id, "id")
    matches(token.client_id, r"[0-9a-f]{32}\.access", "client id")
    matches(token.client_secret, r"[a-z0-9]+_[0-9A-Za-z]{40}[0-9a-f]{8}", "client secret")
    body, checksum = token.client_secret[-48:-8], token.client_secret[-8:]
    equal(f"{zlib.crc32(body.encode()):08x}", checksum, "checksum of the client secret")
    equal(token.client_secret_version, 1, "secret version")
    near(moment(token.expires_at), moment(token.created_at) + timedelta(hours=8760), "expiry")
    headers = opens(token.client_id, token.client_secret)
    equal(headers["x-countersign-account"], ACCOUNT, "account at the door")
    equal(headers["x-countersign-token"], token.id, "token at the door")
    equal(headers["x-countersign-kind"], "service", "kind at the door")
    refuses(token.client_id, token.client_secret[:-8] + "00000000")
    refuses(f"{'0' * 32}.access", token.client_secret)


def create_with_a_duration_and_for_ever(tokens):
    short = tokens.create(account_id=ACCOUNT, name=f"{RUN} short", duration="2h45m")
    equal(short.duration, "2h45m", "duration is echoed")
    near(moment(short.expires_at), moment(short.created_at) + timedelta(hours=2, minutes=45), "expiry")
    forever = tokens.create(account_id=ACCOUNT, name=f"{RUN} forever", duration="forever")
    equal(forever.duration, "forever", "duration is echoed")
    century_later = moment(forever.created_at).replace(year=moment(forever.created_at).year + 100)
    near(moment(forever.expires_at), century_later, "expiry of forever")
    opens(forever.client_id, forever.client_secret)


def list_in_pages(tokens):
    made = [tokens.create(account_id=ACCOUNT, name=f"{RUN} page {n}").id for n in range(7)]
    page = tokens.list(account_id=ACCOUNT, per_page=3, search=f"{RUN} page")
    info = page.result_info
    equal((info.page, info.per_page, info.count), (1, 3, 3), "page, per_page, count")
    equal((info.total_count, info.total_pages), (7, 3), "total_count, total_pages")
    seen = []
    for token in tokens.list(account_id=ACCOUNT, per_page=3):
        holds(token.id not in seen, "no token twice, or the SDK's own paging would not end")
        seen.append(token.id)
    equal([token for token in seen if token in made], made, "each token once, oldest first")
    equal(tokens.list(account_id=ACCOUNT, page=1000).result, [], "past the end")
    holds(all(not hasattr(token, "client_secret") for token in page.result), "a list shows no secret")


def list_by_name_and_by_search(tokens):
    names = lambda **query: sorted(token.name for token in tokens.list(account_id=ACCOUNT, **query))
    pages = [f"{RUN} page {n}" for n in range(7)]
    equal(names(name=f"{RUN} page 3"), [f"{RUN} page 3"], "by name")
    equal(names(name=f"{RUN} page"), [], "a name filters exactly")
    equal(names(search=f"{RUN} page"), pages, "by search")
    equal(names(search=f"{RUN} PAGE".upper()), pages, "search does not mind case")
    equal(names(search="no such token"), [], "search without a hit")


def get(tokens):
    made = tokens.create(account_id=ACCOUNT, name=f"{RUN} get")
    token = tokens.get(made.id, account_id=ACCOUNT)
    for field in ["id", "name", "client_id", "duration", "enabled", "created_at", "updated_at"]:
        equal(getattr(token, field), getattr(made, field), field)
    equal(token.expires_at, moment(made.expires_at), "expires_at")
    equal(token.last_seen_at, None, "last_seen_at before the first use")
    holds(not hasattr(token, "client_secret"), "get shows no secret")
    opens(made.client_id, made.client_secret)
    holds(tokens.get(made.id, account_id=ACCOUNT).last_seen_at is not None, "last_seen_at after a use")


def update_the_name_alone(tokens):
    made = tokens.create(account_id=ACCOUNT, name=f"{RUN} old name", duration="24h")
    token = tokens.update(made.id, account_id=ACCOUNT, name=f"{RUN} new name")
    equal(token.name, f"{RUN} new name", "name")
    equal(token.duration, "24h", "duration")
    equal(token.expires_at, moment(made.expires_at), "expiry")
    opens(made.client_id, made.client_secret)


def update_the_duration(tokens):
    made = tokens.create(account_id=ACCOUNT, name=f"{RUN} duration", duration="24h")
    token = tokens.update(made.id, account_id=ACCOUNT, duration="48h")
    equal(token.duration, "48h", "duration")
    equal(token.name, f"{RUN} duration", "name")
    near(token.expires_at, moment(token.updated_at) + timedelta(hours=48), "expiry counts from the update")
    opens(made.client_id, made.client_secret)


def disable_and_enable(tokens):
    made = tokens.create(account_id=ACCOUNT, name=f"{RUN} switch")
    equal(tokens.update(made.id, account_id=ACCOUNT, enabled=False).enabled, False, "enabled")
    refuses(made.client_id, made.client_secret)
    equal(tokens.update(made.id, account_id=ACCOUNT, enabled=True).enabled, True, "enabled")
    opens(made.client_id, made.client_secret)
    asleep = tokens.create(account_id=ACCOUNT, name=f"{RUN} asleep", enabled=False)
    refuses(asleep.client_id, asleep.client_secret)


def update_that_rotates(tokens):
    made = tokens.create(account_id=ACCOUNT, name=f"{RUN} versions", client_secret_version=1)
    same = tokens.update(made.id, account_id=ACCOUNT, client_secret_version=1)
    holds(not hasattr(same, "client_secret"), "the same version is no rotation")
    opens(made.client_id, made.client_secret)
    rotated = tokens.update(made.id, account_id=ACCOUNT, client_secret_version=2)
    equal(rotated.client_secret_version, 2, "secret version")
    opens(made.client_id, rotated.client_secret)
    refuses(made.client_id, made.client_secret)
    fails(cloudflare.BadRequestError, 12130, "/client_secret_version",
          lambda: tokens.update(made.id, account_id=ACCOUNT, client_secret_version=1))


def refresh(tokens):
    made = tokens.create(account_id=ACCOUNT, name=f"{RUN} refresh", duration="1h")
    token = tokens.refresh(made.id, account_id=ACCOUNT)
    holds(token.expires_at > moment(made.expires_at), "a later expiry")
    near(token.expires_at, moment(token.updated_at) + timedelta(hours=1), "expiry counts from the refresh")
    opens(made.client_id, made.client_secret)


def rotate_without_overlap(tokens):
    made = tokens.create(account_id=ACCOUNT, name=f"{RUN} rotate")
    rotated = tokens.rotate(made.id, account_id=ACCOUNT)
    equal(rotated.client_id, made.client_id, "client id")
    equal(rotated.client_secret_version, 2, "secret version")
    holds(rotated.client_secret != made.client_secret, "another secret")
    refuses(made.client_id, made.client_secret)
    opens(made.client_id, rotated.client_secret)


def rotate_with_overlap(tokens):
    made = tokens.create(account_id=ACCOUNT, name=f"{RUN} overlap")
    deadline = in_an_hour()
    rotated = tokens.rotate(made.id, account_id=ACCOUNT, previous_client_secret_expires_at=deadline)
    equal(moment(rotated.previous_client_secret_expires_at), deadline, "deadline of the previous secret")
    for secret in [made.client_secret, rotated.client_secret]:
        opens(made.client_id, secret)
    headers = opens(made.client_id, made.client_secret)
    matches(headers["deprecation"], r"@\d+", "the door says that the previous secret is going")
    holds(headers["sunset"] is not None, "and when")
    equal(opens(made.client_id, rotated.client_secret)["deprecation"], None, "not so the new one")
    longer = deadline + timedelta(hours=1)
    moved = tokens.update(made.id, account_id=ACCOUNT, previous_client_secret_expires_at=longer)
    equal(moment(moved.previous_client_secret_expires_at), longer, "a moved deadline")
    opens(made.client_id, made.client_secret)
    end_previous_secret(tokens, made, rotated)


def rotate_whose_answer_is_lost(tokens):
    made = tokens.create(account_id=ACCOUNT, name=f"{RUN} lost answer")
    deadline = in_an_hour()
    with LossyProxy() as proxy:
        through_proxy = Cloudflare(base_url=f"{proxy.url}/client/v4", api_token=TOKEN)
        rotated = through_proxy.zero_trust.access.service_tokens.rotate(
            made.id, account_id=ACCOUNT, previous_client_secret_expires_at=deadline)
    equal(proxy.retry_counts, ["0", "1"], "the SDK sent the rotation twice by itself")
    equal(rotated.client_secret_version, 2, "a retried rotation is one rotation")
    equal(moment(rotated.previous_client_secret_expires_at), deadline, "deadline of the previous secret")
    opens(made.client_id, made.client_secret)
    opens(made.client_id, rotated.client_secret)
    refuses(made.client_id, json.loads(proxy.lost_answer)["result"]["client_secret"])
    end_previous_secret(tokens, made, rotated)


def delete(tokens):
    made = tokens.create(account_id=ACCOUNT, name=f"{RUN} delete")
    opens(made.client_id, made.client_secret)
    deleted = tokens.delete(made.id, account_id=ACCOUNT)
    equal((deleted.id, deleted.name), (made.id, made.name), "the deleted token")
    refuses(made.client_id, made.client_secret)
    for attempt in [tokens.get, tokens.delete, tokens.refresh, tokens.rotate]:
        fails(cloudflare.NotFoundError, 12135, None, lambda: attempt(made.id, account_id=ACCOUNT))


def errors(tokens):
    for duration in ["1d", "", "-1h", "1 h"]:
        fails(cloudflare.BadRequestError, 12130, "/duration",
              lambda: tokens.create(account_id=ACCOUNT, name=f"{RUN} bad", duration=duration))
    for name in ["", "n" * 351]:
        fails(cloudflare.BadRequestError, 12130, "/name",
              lambda: tokens.create(account_id=ACCOUNT, name=name))
    equal(list(tokens.list(account_id=ACCOUNT, name=f"{RUN} bad")), [], "a refused create creates nothing")
    stranger = Cloudflare(base_url=f"{URL}/client/v4", api_token="0" * 40)
    fails(cloudflare.PermissionDeniedError, 9109, None,
          lambda: stranger.zero_trust.access.service_tokens.list(account_id=ACCOUNT))


def without_the_prefix_of_the_vendor(_):
    tokens = Cloudflare(base_url=URL, api_token=TOKEN).zero_trust.access.service_tokens
    made = tokens.create(account_id=ACCOUNT, name=f"{RUN} short path")
    equal(tokens.get(made.id, account_id=ACCOUNT).id, made.id, "the same token")


STEPS = [
    create_with_the_default_duration,
    create_with_a_duration_and_for_ever,
    list_in_pages,
    list_by_name_and_by_search,
    get,
    update_the_name_alone,
    update_the_duration,
    disable_and_enable,
    update_that_rotates,
    refresh,
    rotate_without_overlap,
    rotate_with_overlap,
    rotate_whose_answer_is_lost,
    delete,
    errors,
    without_the_prefix_of_the_vendor,
]


def end_previous_secret(tokens, made, rotated):
    """Moves the deadline of the previous secret into the past: it ends now, the new one stays."""
    past = datetime.now(timezone.utc) - timedelta(minutes=1)
    tokens.update(made.id, account_id=ACCOUNT, previous_client_secret_expires_at=past)
    refuses(made.client_id, made.client_secret)
    opens(made.client_id, rotated.client_secret)


def opens(client_id, client_secret):
    """The door lets these in; gives the headers of its answer."""
    status, headers, _ = door(client_id, client_secret)
    equal(status, 200, "the door")
    return headers


def refuses(client_id, client_secret):
    """The door turns these away."""
    status, headers, body = door(client_id, client_secret)
    equal(status, 401, "the door")
    challenge = 'Bearer realm="countersign", error="invalid_token"'
    equal(headers["www-authenticate"], challenge, "WWW-Authenticate")
    REFUSALS.add(body)


def door(client_id, client_secret):
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(URL).netloc, timeout=10)
    credentials = {"CF-Access-Client-Id": client_id, "CF-Access-Client-Secret": client_secret}
    connection.request("GET", "/authz", headers=credentials)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, answer.headers, body


class LossyProxy:
    """Passes requests on and loses the answer to the first: the work is done and the client does not know."""

    def __init__(self):
        self.retry_counts = []
        self.lost_answer = None
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                proxy.retry_counts.append(self.headers["x-stainless-retry-count"])
                status, headers, body = proxy.forward(self)
                if proxy.lost_answer is None:
                    proxy.lost_answer = body
                    self.close_connection = True
                    return
                self.send_response(status)
                self.send_header("Content-Type", headers["content-type"])
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def forward(self, request):
        connection = http.client.HTTPConnection(urllib.parse.urlsplit(URL).netloc, timeout=10)
        body = request.rfile.read(int(request.headers.get("content-length", 0)))
        connection.request(request.command, request.path, body, dict(request.headers))
        answer = connection.getresponse()
        received = answer.status, answer.headers, answer.read()
        connection.close()
        return received

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def moment(value):
    """A time of the wire; the SDK leaves those it does not model as text."""
    if isinstance(value, datetime):
        return value
    return datetime.fromisoformat(value.replace("Z", "+00:00"))


def in_an_hour():
    return datetime.now(timezone.utc).replace(microsecond=0) + timedelta(hours=1)


def holds(condition, what):
    if not condition:
        raise AssertionError(what)


def equal(actual, wanted, what):
    holds(actual == wanted, f"{what}: {actual!r}, wanted {wanted!r}")


def near(actual, wanted, what):
    holds(abs(actual - wanted) <= timedelta(seconds=1), f"{what}: {actual}, wanted {wanted}")


def matches(text, pattern, what):
    holds(re.fullmatch(pattern, text), f"{what}: {text!r} is not {pattern}")


def fails(kind, code, pointer, attempt):
    """The attempt ends in the SDK's exception `kind`, with one error of that code and source."""
    try:
        attempt()
    except kind as error:
        equal([it.code for it in error.errors], [code], "error code")
        source = error.errors[0].source
        equal(source.pointer if source else None, pointer, "source of the error")
        return
    raise AssertionError(f"no {kind.__name__}")


if __name__ == "__main__":
    main()
