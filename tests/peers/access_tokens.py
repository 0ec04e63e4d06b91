"""The vendor's access tokens, driven by plain `requests` as its documentation shows, with only the base URL changed.

Bodies are forms, as in the older examples, or JSON; the token is the bare value of `Authorization` or in the
query. Tokens are also shown at the door, because an answer that looks right and a door that opens are two things.

Environment: COUNTERSIGN_URL (like http://127.0.0.1:8787), COUNTERSIGN_ACCOUNT_ID, COUNTERSIGN_TOKEN.
Status 0 when every expectation held; otherwise the traceback of the first that did not.
"""

import json
import os
import re
import uuid

import requests

URL = os.environ["COUNTERSIGN_URL"].rstrip("/")
BASE = f"{URL}/v1"
ROOT_ACCOUNT = os.environ["COUNTERSIGN_ACCOUNT_ID"]
ROOT = os.environ["COUNTERSIGN_TOKEN"]

# Addresses of this run, so that other accounts on the same server do not matter.
RUN = f"python-{uuid.uuid4().hex[:8]}"
PASSWORD = "Correct-horse1"
TWO_WEEKS = 1209600
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
REQUIRED = {"error": {"statusCode": 401, "name": "Error", "message": "Authorization Required",
                      "code": "AUTHORIZATION_REQUIRED"}}


def main():
    for step in STEPS:
        step()
        print(f"ok  {step.__name__.replace('_', ' ')}", flush=True)
    print(f"{len(STEPS)} steps passed")


def create_a_sub_account_with_a_form():
    email = f"{RUN}-form@example.com"
    answer = requests.post(f"{BASE}/Accounts", headers={"Authorization": ROOT},
                           data={"email": email, "password": PASSWORD, "firstname": "Ada"})
    account = good(answer)
    equal(account["email"], email, "email")
    equal(account["firstname"], "Ada", "firstname")
    equal((account["parentId"], account["masterId"]), (ROOT_ACCOUNT, ROOT_ACCOUNT), "parentId, masterId")
    equal((account["emailVerified"], account["disabled"]), (False, False), "emailVerified, disabled")
    matches(account["id"], r"[0-9a-f]{32}", "id")
    matches(account["createdAt"], TIME, "createdAt")
    holds(not {"password", "tokens"} & account.keys() and PASSWORD not in answer.text, "a password is not shown")
    holds("date" in answer.headers, "the vendor's own client reads a date from every answer")


def create_a_sub_account_with_json():
    custom = {"plan": {"seats": 5}}
    account = good(requests.post(f"{BASE}/Accounts", headers={"Authorization": ROOT}, json={
        "email": f"{RUN}-JSON@Example.com", "password": PASSWORD, "id": "0" * 32, "parentId": "0" * 32,
        "custom": custom}))
    equal(account["custom"], custom, "custom")
    holds(account["id"] != "0" * 32, "an id is never the client's")
    equal(account["parentId"], ROOT_ACCOUNT, "nor the parent")


def refuse_a_bad_sub_account():
    taken = {"email": f"{RUN}-form@example.com", "password": PASSWORD}
    for body, codes in [
        (taken, {"email": ["uniqueness"]}),
        ({**taken, "email": taken["email"].upper()}, {"email": ["uniqueness"]}),
        ({**taken, "email": "nonsense"}, {"email": ["custom.email"]}),
        ({"email": f"{RUN}-bad@example.com"}, {"password": ["presence"]}),
        ({}, {"email": ["presence"], "password": ["presence"]}),
        ({"email": f"{RUN}-bad@example.com", "password": "short"}, {"password": ["custom"]}),
    ]:
        error = fails(requests.post(f"{BASE}/Accounts", headers={"Authorization": ROOT}, json=body), 422)
        equal(error["name"], "ValidationError", "name")
        equal(error["details"]["context"], "Account", "context")
        equal(error["details"]["codes"], codes, f"codes of {body}")
        equal(error["details"]["messages"].keys(), codes.keys(), "messages")
    for credential in [{}, {"Authorization": "x" * 64}]:
        unauthorized(requests.post(f"{BASE}/Accounts", headers=credential, json=taken))


def log_in():
    child = Child("login")
    credentials = {"email": child.email, "password": PASSWORD}
    for answer in [requests.post(f"{BASE}/Accounts/login", data=credentials),
                   requests.post(f"{BASE}/accounts/login/", json=credentials)]:
        token = good(answer)
        equal(answer.headers["cache-control"], "no-store", "an answer with a token is not stored")
        matches(token["id"], "[0-9A-Za-z]{64}", "id")
        equal((token["ttl"], token["userId"]), (TWO_WEEKS, child.id), "ttl, userId")
        matches(token["created"], TIME, "created")
        equal(token.keys(), {"id", "ttl", "created", "userId"}, "properties")
        equal(authorized(token["id"])["id"], child.id, "whose token it is")
    for ttl, wanted in [(60, 60), ("60", 60), (-1, -1), (0, TWO_WEEKS), (None, TWO_WEEKS), (10 ** 12, 31556926)]:
        token = good(requests.post(f"{BASE}/Accounts/login", json={**credentials, "ttl": ttl}))
        equal(token["ttl"], wanted, f"ttl {ttl}")
    user = good(requests.post(f"{BASE}/Accounts/login?include=user", json=credentials))["user"]
    equal((user["id"], user["email"]), (child.id, child.email), "the account with it")


def refuse_to_log_in():
    child = Child("refused")
    login = lambda body: requests.post(f"{BASE}/Accounts/login", json=body)
    wrong = login({"email": child.email, "password": "wrong-" + PASSWORD})
    unknown = login({"email": f"{RUN}-nobody@example.com", "password": PASSWORD})
    no_text = login({"email": child.email, "password": {"neq": ""}})
    for answer in [wrong, unknown, no_text]:
        equal(fails(answer, 401), {"statusCode": 401, "name": "Error", "message": "login failed",
                                   "code": "LOGIN_FAILED"}, "a failed login, whatever the cause")
        equal(answer.content, wrong.content, "the same bytes")
    equal(fails(login({}), 400)["code"], "USERNAME_EMAIL_REQUIRED", "code")
    equal(fails(login({"email": {"neq": ""}, "password": "x"}), 400)["code"], "INVALID_EMAIL", "code")


def be_authorized_in_every_place():
    child = Child("places")
    headers = [{"Authorization": child.token}, {"Authorization": f"Bearer {child.token}"},
               {"authorization": f"bearer {child.token}"}, {"X-Access-Token": child.token}]
    for place in [
        *({"headers": header} for header in headers),
        {"params": {"access_token": child.token}}, {"auth": (child.token, "")}, {"auth": ("token", child.token)},
    ]:
        equal(good(requests.get(f"{BASE}/Accounts/authorized", **place))["email"], child.email, str(place.keys()))
    for place in [
        {}, {"headers": {"Authorization": "x" * 64}}, {"params": {"access_token": "x"}},
        {"headers": {"Authorization": ROOT}, "params": {"access_token": child.token}},
        {"cookies": {"access_token": child.token}},
    ]:
        unauthorized(requests.get(f"{BASE}/Accounts/authorized", **place))


def create_a_token():
    child = Child("create")
    path = f"{BASE}/Accounts/{child.id}/accessTokens"
    token = good(requests.post(path, headers={"Authorization": ROOT}))
    equal(token.keys(), {"id", "ttl", "created", "userId"}, "properties")
    equal((token["ttl"], token["userId"]), (TWO_WEEKS, child.id), "ttl, userId")
    form = {"ttl": "60", "scopes[]": ["invoices:read", "clients:*"], "name": "by form"}
    token = good(requests.post(path, headers={"Authorization": child.token}, data=form))
    equal((token["ttl"], token["scopes"], token["name"]), (60, ["invoices:read", "clients:*"], "by form"), "stated")
    for ttl, wanted in [(-1, -1), (0, TWO_WEEKS), (None, TWO_WEEKS), ("3600", 3600), (10 ** 12, 31556926)]:
        token = good(requests.post(path, headers={"Authorization": child.token}, json={"ttl": ttl}))
        equal(token["ttl"], wanted, f"ttl {ttl}")
        equal(authorized(token["id"])["id"], child.id, "whose token it is")
    for body, property in [({"ttl": "abc"}, "ttl"), ({"ttl": 1.5}, "ttl"), ({"scopes": [1]}, "scopes"),
                           ({"name": ""}, "name"), ({"resources": ["reports"]}, "resources")]:
        error = fails(requests.post(path, headers={"Authorization": child.token}, json=body), 422)
        equal(error["details"]["codes"].keys(), {property}, f"what is wrong with {body}")
        equal(error["details"]["context"], "AccessToken", "context")
    fails(requests.post(path, headers={"Authorization": child.token}, json={"scopes": "read"}), 400)
    for stranger in [child.token, Child("sibling").token]:
        unauthorized(requests.post(f"{BASE}/Accounts/{ROOT_ACCOUNT}/accessTokens",
                                   headers={"Authorization": stranger}))
        unauthorized(requests.post(f"{BASE}/Accounts/{'0' * 32}/accessTokens",
                                   headers={"Authorization": stranger}))


def a_token_has_its_scopes_and_no_more():
    child = Child("scopes")
    token = child.mint(scopes=["invoices:read"])["id"]
    equal(authorized(token)["id"], child.id, "every good token is somebody's")
    unauthorized(requests.get(f"{BASE}/Accounts/me/accessTokens", headers={"Authorization": token}))
    unauthorized(requests.post(f"{BASE}/Accounts/me/accessTokens", headers={"Authorization": token}))
    equal(door(token, account=child.id, scope="invoices:read"), 200, "the door")
    equal(door(token, account=child.id, scope="invoices:write"), 403, "the door")
    equal(door(token, account=ROOT_ACCOUNT, scope="invoices:read"), 200, "the door of an account above")
    minter = child.mint(scopes=["countersign:access-tokens:write", "a:*"])["id"]
    good(requests.post(f"{BASE}/Accounts/me/accessTokens", headers={"Authorization": minter},
                       json={"ttl": 60, "scopes": ["a:b"]}))
    for beyond in [["DEFAULT"], ["b"], ["a:b", "b"]]:
        unauthorized(requests.post(f"{BASE}/Accounts/me/accessTokens", headers={"Authorization": minter},
                                   json={"ttl": 60, "scopes": beyond}))


def list_with_filters():
    child = Child("list")
    made = {ttl: child.mint(ttl=ttl, scopes=scopes) for ttl, scopes in
            [(60, ["read"]), (120, ["read", "write"]), (180, ["write"])]}
    path, headers = f"{BASE}/Accounts/{child.id}/accessTokens", {"Authorization": child.token}
    answer = requests.get(path, headers=headers)
    listed = good(answer)
    equal([token["ttl"] for token in listed], [TWO_WEEKS, 60, 120, 180], "in the order they were made")
    equal(answer.headers["x-total-count"], "4", "x-total-count")
    equal([token["id"] for token in listed[1:]], [token["id"][:22] for token in made.values()], "handles")
    for filter, wanted in [
        ({"where": {"ttl": 60}}, [60]),
        ({"where": {"ttl": {"gt": 60}}, "order": "ttl DESC"}, [TWO_WEEKS, 180, 120]),
        ({"where": {"scopes": "write"}}, [120, 180]),
        ({"where": {"ttl": {"inq": [60, 180]}}}, [60, 180]),
        ({"where": {"or": [{"ttl": 60}, {"ttl": {"between": [100, 130]}}]}}, [60, 120]),
        ({"where": {"userId": ROOT_ACCOUNT}}, []),
        ({"where": {"id": made[120]["id"]}}, [120]),
        ({"order": "created ASC", "limit": 2, "skip": 1}, [60, 120]),
    ]:
        answers = [requests.get(path, headers=headers, params={"filter": json.dumps(filter)}),
                   requests.get(path, headers=headers, params=brackets("filter", filter))]
        for answer in answers:
            equal([token["ttl"] for token in good(answer)], wanted, str(filter))
    page = requests.get(path, headers=headers, params={"filter[limit]": 1, "filter[where][ttl][lt]": 200})
    equal((len(good(page)), page.headers["x-total-count"]), (1, "3"), "a page and the total")
    only = requests.get(path, headers=headers, params={"filter": '{"fields":{"ttl":true},"limit":1}'})
    equal(good(only), [{"ttl": TWO_WEEKS}], "fields")
    with_user = good(requests.get(path, headers=headers, params={"filter[include]": "user"}))
    equal({token["user"]["email"] for token in with_user}, {child.email}, "include")
    equal(len(good(requests.get(path, headers={"Authorization": ROOT}))), 4, "as the root")
    for bad in ["{bad", '{"limit":-1}', '{"order":"ttl SIDEWAYS"}', '{"where":{"id":{"regexp":"("}}}']:
        fails(requests.get(path, headers=headers, params={"filter": bad}), 400)
    unauthorized(requests.get(path, headers={"Authorization": Child("curious").token}))


def list_page_by_page():
    child = Child("pages")
    for _ in range(104):
        child.mint(ttl=60)
    path, headers = f"{BASE}/Accounts/me/accessTokens", {"Authorization": child.token}
    seen = []
    for skip in [0, 100, 200]:
        answer = requests.get(path, headers=headers, params={"filter": json.dumps({"skip": skip})})
        equal(answer.headers["x-total-count"], "105", "x-total-count")
        seen += [token["id"] for token in good(answer)]
    equal((len(seen), len(set(seen))), (105, 105), "each token once, 100 a page")


def delete_by_handle_and_by_text():
    child = Child("delete")
    path, headers = f"{BASE}/Accounts/{child.id}/accessTokens", {"Authorization": child.token}
    for key in [lambda text: text[:22], lambda text: text]:
        text = child.mint()["id"]
        equal(door(text, account=child.id), 200, "the door")
        answer = requests.delete(f"{path}/{key(text)}", headers=headers)
        equal((answer.status_code, answer.json()), (200, {}), "as the vendor documents it")
        equal(door(text, account=child.id), 401, "the door")
        unauthorized(requests.get(f"{BASE}/Accounts/authorized", headers={"Authorization": text}))
        again = requests.delete(f"{path}/{key(text)}", headers=headers)
        message = f"No instance with id {text[:22]} found for AccessToken"
        equal(fails(again, 404), {"statusCode": 404, "name": "Error", "message": message}, "gone")
    for strange in ["missing", "null", '{"neq":""}']:
        fails(requests.delete(f"{path}/{strange}", headers=headers), 404)
    other = Child("victim")
    fails(requests.delete(f"{path}/{other.token}", headers=headers), 404)
    unauthorized(requests.delete(f"{BASE}/Accounts/{other.id}/accessTokens/{other.token}", headers=headers))
    equal(authorized(other.token)["id"], other.id, "it is still there")
    good(requests.delete(f"{BASE}/Accounts/{other.id}/accessTokens/{other.token}", headers={"Authorization": ROOT}))
    unauthorized(requests.get(f"{BASE}/Accounts/authorized", headers={"Authorization": other.token}))


def end_a_token_with_its_descendants():
    child = Child("descendants")
    parent = child.mint()["id"]
    below = good(requests.post(f"{BASE}/Accounts/me/accessTokens", headers={"Authorization": parent}))["id"]
    good(requests.delete(f"{BASE}/Accounts/me/accessTokens/{parent}", headers={"Authorization": child.token},
                         params={"descendants": "true"}))
    for token in [parent, below]:
        unauthorized(requests.get(f"{BASE}/Accounts/authorized", headers={"Authorization": token}))
    equal(authorized(child.token)["id"], child.id, "the one that asked")


def end_every_token_but_the_one_in_use():
    child = Child("all")
    others = [child.login(), child.mint()["id"]]
    answer = requests.post(f"{BASE}/Accounts/me/revoke-access-tokens", headers={"Authorization": child.token})
    equal(good(answer), {"success": True}, "answer")
    for token in others:
        unauthorized(requests.get(f"{BASE}/Accounts/authorized", headers={"Authorization": token}))
    equal(authorized(child.token)["id"], child.id, "the one that asked")


def impersonate():
    child = Child("impersonate")
    path, headers = f"{BASE}/Accounts/impersonate", {"Authorization": ROOT}
    for answer in [requests.post(path, headers=headers, data={"email": child.email}),
                   requests.post(path, headers=headers, json={"id": child.id, "ttl": 60})]:
        token = good(answer)
        equal(token["userId"], child.id, "userId")
        equal(authorized(token["id"])["email"], child.email, "whose token it is")
        unauthorized(requests.get(f"{BASE}/Accounts/{ROOT_ACCOUNT}", headers={"Authorization": token["id"]}))
    equal(token["ttl"], 60, "ttl")
    fails(requests.post(path, headers=headers, json={}), 400)
    for body in [{"id": "0" * 32}, {"email": f"{RUN}-nobody@example.com"}]:
        unauthorized(requests.post(path, headers=headers, json=body))
    for body in [{"id": ROOT_ACCOUNT}, {"email": Child("neighbour").email}]:
        unauthorized(requests.post(path, headers={"Authorization": child.token}, json=body))


def find_and_count_child_accounts():
    parent = Child("parent")
    names = [f"{RUN}-grandchild-{n}@example.com" for n in range(3)]
    for name in names:
        account = good(requests.post(f"{BASE}/Accounts", headers={"Authorization": parent.token},
                                     data={"email": name, "password": PASSWORD}))
        equal((account["parentId"], account["masterId"]), (parent.id, ROOT_ACCOUNT), "parentId, masterId")
    headers = {"Authorization": parent.token}
    answer = requests.get(f"{BASE}/accounts", headers=headers)
    equal([account["email"] for account in good(answer)], names, "children")
    equal(answer.headers["x-total-count"], "3", "x-total-count")
    page = requests.get(f"{BASE}/accounts", headers=headers, params={"filter[limit]": 1, "filter[skip]": 1})
    equal([account["email"] for account in good(page)], names[1:2], "a page")
    equal(good(requests.get(f"{BASE}/accounts/count", headers=headers)), {"count": 3}, "count")


def get_and_update_an_account():
    child = Child("update")
    headers = {"Authorization": child.token}
    for path in [f"{BASE}/Accounts/{child.id}", f"{BASE}/Accounts/me"]:
        equal(good(requests.get(path, headers=headers))["email"], child.email, "email")
    patch = {"firstname": "Grace", "custom": {"a": 1}, "emailVerified": True, "masterId": "0" * 32}
    account = good(requests.patch(f"{BASE}/Accounts/{child.id}", headers=headers, json=patch))
    equal((account["firstname"], account["custom"]), ("Grace", {"a": 1}), "what was stated")
    equal((account["emailVerified"], account["masterId"]), (False, ROOT_ACCOUNT), "what no client sets")
    account = good(requests.patch(f"{BASE}/Accounts/me", headers=headers, data={"lastname": "Hopper"}))
    equal((account["firstname"], account["lastname"]), ("Grace", "Hopper"), "the rest stays")
    unauthorized(requests.patch(f"{BASE}/Accounts/{ROOT_ACCOUNT}", headers=headers, json=patch))
    equal(good(requests.get(f"{BASE}/Accounts/{child.id}/is-verified", headers=headers)),
          {"isVerified": False}, "is-verified")
    for email, is_unique in [(child.email, False), (f"{RUN}-free@example.com", True)]:
        equal(good(requests.get(f"{BASE}/Accounts/is-unique", params={"email": email})),
              {"isUnique": is_unique}, "is-unique")


def create_and_find_organizations():
    child = Child("organizations")
    path, headers = f"{BASE}/Accounts/{child.id}/organizations", {"Authorization": child.token}
    made = [good(requests.post(path, headers=headers, data={"name": "Acme", "country": "Slovenia"})),
            good(requests.post(path, headers={"Authorization": ROOT}, json={"name": "Umbrella", "taxSubject": True}))]
    for organization in made:
        matches(organization["id"], r"[0-9a-f]{32}", "id")
        equal((organization["ownerId"], organization["active"]), (child.id, True), "ownerId, active")
    equal((made[0]["country"], made[1]["taxSubject"]), ("Slovenia", True), "what it says of itself")
    answer = requests.get(path, headers=headers)
    equal([row["name"] for row in good(answer)], ["Acme", "Umbrella"], "names")
    equal(answer.headers["x-total-count"], "2", "x-total-count")
    equal(good(requests.get(f"{path}/count", headers=headers)), {"count": 2}, "count")
    one = f"{BASE}/Organizations/{made[0]['id']}"
    equal(good(requests.get(one, headers=headers))["name"], "Acme", "name")
    patched = good(requests.patch(one, headers=headers, json={"name": "Acme Ltd", "ownerId": ROOT_ACCOUNT}))
    equal((patched["name"], patched["country"], patched["ownerId"]), ("Acme Ltd", "Slovenia", child.id), "patched")
    error = fails(requests.post(path, headers=headers, json={}), 422)
    equal((error["details"]["context"], error["details"]["codes"]), ("Organization", {"name": ["presence"]}), "no name")
    stranger = {"Authorization": Child("outsider").token}
    for method in ["GET", "PATCH"]:
        unauthorized(requests.request(method, one, headers=stranger))
        unauthorized(requests.request(method, f"{BASE}/Organizations/{'0' * 32}", headers=headers))


def deactivate_and_activate_an_organization():
    child = Child("deactivate")
    headers = {"Authorization": child.token}
    organization = child.found("Sleepy")
    one = f"{BASE}/Organizations/{organization}"
    equal(door(child.token, organization=organization), 200, "the door")
    equal(good(requests.post(f"{one}/deactivate", headers=headers)), {"success": True}, "answer")
    equal(door(child.token, organization=organization), 403, "the door")
    equal(good(requests.get(one, headers=headers))["active"], False, "active")
    fails(requests.patch(one, headers=headers, json={"name": "x"}), 422)
    equal(good(requests.post(f"{one}/activate", headers=headers)), {"success": True}, "answer")
    equal(door(child.token, organization=organization), 200, "the door")


def grant_access_silently():
    owner, member = Child("owner"), Child("member")
    organization = owner.found("Shared")
    path = f"{BASE}/Organizations/{organization}"
    equal(door(member.token, organization=organization), 403, "the door")
    silent = {"accountId": member.id, "role": "readonly", "requireConfirmation": False, "sendEmail": False}
    access = good(requests.post(f"{path}/invite", headers={"Authorization": ROOT}, json=silent))
    equal((access["organizationId"], access["accountId"]), (organization, member.id), "of what and whose")
    state = (access["role"], access["active"], access["disabled"], access["rejected"])
    equal(state, ("readonly", True, False, False), "its state")
    matches(access["createdAt"], TIME, "createdAt")
    equal(door(member.token, organization=organization), 200, "the door")
    answer = requests.get(f"{path}/accountorganizations", headers={"Authorization": owner.token})
    equal([(row["accountId"], row["role"]) for row in good(answer)],
          [(owner.id, "admin"), (member.id, "readonly")], "who belongs to it")
    equal(answer.headers["x-total-count"], "2", "x-total-count")
    unauthorized(requests.get(f"{path}/accountorganizations", headers={"Authorization": member.token}))
    # One that is not below the caller has to be asked.
    unauthorized(requests.post(f"{path}/invite", headers={"Authorization": owner.token},
                               json={**silent, "accountId": Child("unasked").id}))
    restricted = member.mint(organizations=[organization])["id"]
    equal(door(restricted, organization=organization), 200, "the door")
    equal(door(restricted, organization=member.found("Other")), 403, "the door of another organization")


def ask_for_access():
    owner, member = Child("host"), Child("guest")
    as_owner, as_member = {"Authorization": owner.token}, {"Authorization": member.token}
    organization = owner.found("By invitation")
    is_in = lambda: door(member.token, organization=organization) == 200
    access = good(requests.post(f"{BASE}/Organizations/{organization}/invite", headers=as_owner,
                                data={"email": member.email, "sendEmail": "false"}))
    equal((access["active"], access["rejected"], access["role"]), (False, False, "default"), "its state")
    holds(not is_in(), "who has not accepted is not in")
    step = lambda name, headers, **body: requests.post(
        f"{BASE}/AccountOrganizations/{access['id']}/{name}", headers=headers, **body)
    for name, headers in [("accept", as_owner), ("reject", as_owner), ("enable", as_member), ("disable", as_member)]:
        unauthorized(step(name, headers))
    unauthorized(step("change-role", as_member, json={"role": "admin"}))
    for name, headers, body, wanted in [
        ("reject", as_member, {}, False), ("accept", as_member, {}, True),
        ("disable", as_owner, {}, False), ("enable", as_owner, {}, True),
        ("change-role", as_owner, {"data": {"role": "admin"}}, True),
    ]:
        equal(good(step(name, headers, **body)), {"success": True}, name)
        equal(is_in(), wanted, f"the door after {name}")
    error = fails(step("change-role", as_owner, json={"role": "king"}), 422)
    equal(error["details"]["context"], "AccountOrganization", "context")
    rows = good(requests.get(f"{BASE}/Organizations/{organization}/accountorganizations", headers=as_owner))
    equal(rows[1]["role"], "admin", "role")
    equal(good(requests.delete(f"{BASE}/AccountOrganizations/{access['id']}", headers=as_member)),
          {"count": 1}, "to leave")
    holds(not is_in(), "who has left is not in")
    unauthorized(step("accept", as_member))


def change_the_password():
    child = Child("password")
    other, eternal = child.login(), child.mint(ttl=-1)["id"]
    path, headers = f"{BASE}/Accounts/change-password", {"Authorization": child.token}
    wrong = requests.post(path, headers=headers, data={"oldPassword": "not it", "newPassword": "Another-horse2"})
    equal(fails(wrong, 400)["code"], "INVALID_PASSWORD", "code")
    answer = requests.post(path, headers=headers, data={"oldPassword": PASSWORD, "newPassword": "Another-horse2"})
    equal((answer.status_code, answer.content), (204, b""), "answer")
    equal(authorized(child.token)["id"], child.id, "the token in use stays")
    for ended in [other, eternal]:
        unauthorized(requests.get(f"{BASE}/Accounts/authorized", headers={"Authorization": ended}))
    login = lambda password: requests.post(f"{BASE}/Accounts/login", data={"email": child.email, "password": password})
    equal(fails(login(PASSWORD), 401)["code"], "LOGIN_FAILED", "the old password")
    good(login("Another-horse2"))


def log_out():
    child = Child("logout")
    other = child.login()
    answer = requests.post(f"{BASE}/Accounts/logout", headers={"Authorization": child.token})
    equal((answer.status_code, answer.content), (204, b""), "answer")
    unauthorized(requests.post(f"{BASE}/Accounts/logout", headers={"Authorization": child.token}))
    unauthorized(requests.post(f"{BASE}/Accounts/logout"))
    equal(authorized(other)["id"], child.id, "another token stays")
    answer = requests.post(f"{BASE}/Accounts/logout", params={"access_token": other})
    equal(answer.status_code, 204, "with the token in the query")


def disable_and_enable_an_account():
    child = Child("disable")
    below = good(requests.post(f"{BASE}/Accounts", headers={"Authorization": child.token},
                               data={"email": f"{RUN}-below@example.com", "password": PASSWORD}))["id"]
    token = good(requests.post(f"{BASE}/Accounts/{below}/accessTokens", headers={"Authorization": ROOT}))["id"]
    one, headers = f"{BASE}/Accounts/{child.id}", {"Authorization": ROOT}
    equal(good(requests.post(f"{one}/disable", headers=headers)), {"success": True}, "answer")
    for stopped in [child.token, token]:
        unauthorized(requests.get(f"{BASE}/Accounts/authorized", headers={"Authorization": stopped}))
        equal(door(stopped, account=child.id), 401, "the door")
    login = requests.post(f"{BASE}/Accounts/login", data={"email": child.email, "password": PASSWORD})
    equal(fails(login, 401)["code"], "LOGIN_FAILED", "code")
    equal(good(requests.get(one, headers=headers))["disabled"], True, "disabled")
    equal(good(requests.post(f"{one}/enable", headers=headers)), {"success": True}, "answer")
    for running in [child.token, token]:
        equal(door(running, account=child.id), 200, "the door")


def delete_an_account():
    child = Child("goner")
    below = good(requests.post(f"{BASE}/Accounts", headers={"Authorization": child.token},
                               data={"email": f"{RUN}-goner-below@example.com", "password": PASSWORD}))["id"]
    token = good(requests.post(f"{BASE}/Accounts/{below}/accessTokens", headers={"Authorization": ROOT}))["id"]
    headers = {"Authorization": ROOT}
    equal(good(requests.delete(f"{BASE}/Accounts/{child.id}", headers=headers)), {"count": 1}, "answer")
    for gone in [child.token, token]:
        unauthorized(requests.get(f"{BASE}/Accounts/authorized", headers={"Authorization": gone}))
    for path in [child.id, below, f"{child.id}/accessTokens", f"{below}/organizations"]:
        unauthorized(requests.get(f"{BASE}/Accounts/{path}", headers=headers))
    holds(Child("goner").id != child.id, "the address is free again")
    for step in ["disable", "enable"]:
        fails(requests.post(f"{BASE}/Accounts/{ROOT_ACCOUNT}/{step}", headers=headers), 422)
    fails(requests.delete(f"{BASE}/Accounts/{ROOT_ACCOUNT}", headers=headers), 422)


def have_errors_of_one_shape():
    headers = {"Authorization": ROOT}
    for answer, status in [
        (requests.get(f"{BASE}/nope"), 404),
        (requests.put(f"{BASE}/Accounts/me/accessTokens", headers=headers), 404),
        (requests.post(f"{BASE}/Accounts", headers=headers, data="{", ), 400),
        (requests.post(f"{BASE}/Accounts", headers={**headers, "Content-Type": "application/json"}, data="[]"), 400),
        (requests.post(f"{BASE}/Accounts", headers={**headers, "Content-Type": "text/plain"}, data="a"), 415),
        (requests.post(f"{BASE}/Accounts", headers=headers, json={"custom": {"a": "x" * 200_000}}), 413),
        (requests.post(f"{BASE}/Accounts/reset", data={"email": "a@example.com"}), 400),
        (requests.get(f"{BASE}/Accounts/authorized", headers={"Accept": "text/html"}), 401),
    ]:
        error = fails(answer, status)
        holds({"statusCode", "name", "message"} <= error.keys(), f"{error}")
        equal(answer.headers["content-type"], "application/json", "content type")


def be_told_to_come_again_after_too_many_logins():
    body = {"email": f"{RUN}-guessed@example.com", "password": "guess"}
    for _ in range(100):
        answer = requests.post(f"{BASE}/Accounts/login", json=body)
        if answer.status_code != 401:
            break
    error = fails(answer, 429)
    equal((error["name"], error["code"]), ("Error", "RATE_LIMIT_EXCEEDED"), "name, code")
    holds(1 <= int(answer.headers["retry-after"]) <= 60, "Retry-After in seconds")
    equal(authorized(ROOT)["id"], ROOT_ACCOUNT, "a token goes on")


STEPS = [
    create_a_sub_account_with_a_form, create_a_sub_account_with_json, refuse_a_bad_sub_account, log_in,
    refuse_to_log_in, be_authorized_in_every_place, create_a_token, a_token_has_its_scopes_and_no_more,
    list_with_filters, list_page_by_page, delete_by_handle_and_by_text, end_a_token_with_its_descendants,
    end_every_token_but_the_one_in_use, impersonate, find_and_count_child_accounts,
    get_and_update_an_account, create_and_find_organizations, deactivate_and_activate_an_organization,
    grant_access_silently, ask_for_access, change_the_password, log_out, disable_and_enable_an_account,
    delete_an_account, have_errors_of_one_shape, be_told_to_come_again_after_too_many_logins,
]


class Child:
    """A sub-account with a password and a token of its own."""

    def __init__(self, name):
        self.email = f"{RUN}-{name}@example.com"
        account = good(requests.post(f"{BASE}/Accounts", headers={"Authorization": ROOT},
                                     data={"email": self.email, "password": PASSWORD}))
        self.id = account["id"]
        # Not by logging in: there is a limit to how often that is done in a minute.
        path = f"{BASE}/Accounts/{self.id}/accessTokens"
        self.token = good(requests.post(path, headers={"Authorization": ROOT}))["id"]

    def login(self):
        body = {"email": self.email, "password": PASSWORD}
        return good(requests.post(f"{BASE}/Accounts/login", data=body))["id"]

    def mint(self, **body):
        path = f"{BASE}/Accounts/{self.id}/accessTokens"
        return good(requests.post(path, headers={"Authorization": self.token}, json=body))

    def found(self, name):
        """The id of a new organization."""
        path = f"{BASE}/Accounts/{self.id}/organizations"
        return good(requests.post(path, headers={"Authorization": self.token}, json={"name": name}))["id"]


def authorized(token):
    """The account of a token, as the documentation checks one."""
    return good(requests.get(f"{BASE}/Accounts/authorized", headers={"Authorization": token}))


def door(token, **demand):
    """The status of the door's answer."""
    return requests.get(f"{URL}/authz", params=demand, headers={"Authorization": f"Bearer {token}"}).status_code


def brackets(name, value):
    """A filter as the documentation writes it: `filter[where][ttl][gt]=60`."""
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    else:
        return {name: value}
    return {key: text for part, inner in items for key, text in brackets(f"{name}[{part}]", inner).items()}


def good(answer):
    holds(answer.status_code == 200, f"{answer.request.method} {answer.request.path_url}: {answer.text}")
    return answer.json()


def fails(answer, status):
    """The error object of an answer that has this status."""
    holds(answer.status_code == status,
          f"{answer.request.method} {answer.request.path_url}: {answer.status_code} {answer.text}, wanted {status}")
    error = answer.json()["error"]
    equal(error["statusCode"], status, "statusCode")
    return error


def unauthorized(answer):
    """Denied, without a word about why."""
    fails(answer, 401)
    equal(answer.json(), REQUIRED, "denied")
    equal(answer.headers["www-authenticate"], "Bearer", "WWW-Authenticate")


def holds(condition, what):
    if not condition:
        raise AssertionError(what)


def equal(actual, wanted, what):
    holds(actual == wanted, f"{what}: {actual!r}, wanted {wanted!r}")


def matches(text, pattern, what):
    holds(re.fullmatch(pattern, text), f"{what}: {text!r} is not {pattern}")


if __name__ == "__main__":
    main()
