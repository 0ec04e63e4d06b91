"""Introspection and revocation, driven by Authlib as a resource server uses it, with only the endpoints of the metadata.

Environment: COUNTERSIGN_URL (like http://127.0.0.1:8787), COUNTERSIGN_ACCOUNT_ID, COUNTERSIGN_TOKEN.
Status 0 when every expectation held; otherwise the traceback of the first that did not.
"""

import os

import requests
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata

URL = os.environ["COUNTERSIGN_URL"].rstrip("/")
ACCOUNT = os.environ["COUNTERSIGN_ACCOUNT_ID"]
ROOT = {"Authorization": f"Bearer {os.environ['COUNTERSIGN_TOKEN']}"}


def main():
    for step in STEPS:
        step()
        print(f"ok  {step.__name__.replace('_', ' ')}", flush=True)
    print(f"{len(STEPS)} steps passed")


def find_the_endpoints():
    metadata = AuthorizationServerMetadata(requests.get(f"{URL}/.well-known/oauth-authorization-server").json())
    for checked in ("revocation_endpoint", "revocation_endpoint_auth_methods_supported",
                    "introspection_endpoint", "introspection_endpoint_auth_methods_supported"):
        getattr(metadata, f"validate_{checked}")()
    equal(metadata["issuer"], URL, "issuer")
    FOUND.update(metadata)


def introspect_an_access_token():
    token, handle = access_token(scopes=["orders:read", "orders:write"], ttl=60)
    for method in ("client_secret_basic", "client_secret_post"):
        said = introspected(resource_server(method), token)
        equal((said["active"], said["scope"], said["jti"]), (True, "orders:read orders:write", handle), method)
        equal((said["sub"], said["token_type"]), (ACCOUNT, "Bearer"), method)
        holds(isinstance(said["exp"], int), "exp")


def introspect_a_service_token():
    token = service_token(name="worker", scopes=["orders:read"])
    said = introspected(resource_server(), f"{token['client_id']}:{token['client_secret']}")
    equal((said["active"], said["client_id"], said["jti"]), (True, token["client_id"], token["id"]), "who it is")


def what_is_not_good_is_not_active():
    for token in ("nonsense", "x" * 64, f"{'0' * 32}.access:nonsense"):
        equal(introspected(resource_server(), token), {"active": False}, token)


def a_wrong_client_learns_nothing():
    token, _ = access_token(scopes=["orders:read"])
    door = service_token(name="door")
    stranger = OAuth2Session(CLIENT["client_id"], door["client_secret"])
    answer = stranger.introspect_token(FOUND["introspection_endpoint"], token=token)
    equal((answer.status_code, answer.json()["error"]), (401, "invalid_client"), "a wrong secret")
    stranger = OAuth2Session(door["client_id"], door["client_secret"])
    answer = stranger.introspect_token(FOUND["introspection_endpoint"], token=token)
    equal((answer.status_code, answer.json()["error"]), (403, "insufficient_scope"), "no scope")


def revoke_in_the_name_of_a_client():
    for method in ("client_secret_basic", "client_secret_post"):
        token, _ = access_token(scopes=["orders:read"])
        client = resource_server(method)
        equal(introspected(client, token)["active"], True, "before")
        for _ in ("once", "again"):
            answer = client.revoke_token(FOUND["revocation_endpoint"], token=token, token_type_hint="access_token")
            equal((answer.status_code, answer.text), (200, ""), "revoked")
        equal(introspected(client, token), {"active": False}, "after")
        equal(shown_at_the_door(token), 401, "the door")


def revoke_by_possession():
    token, _ = access_token(scopes=["orders:read"])
    equal(shown_at_the_door(token), 200, "before")
    public = OAuth2Session("anybody", token_endpoint_auth_method="none")
    equal(public.revoke_token(FOUND["revocation_endpoint"], token=token).status_code, 200, "revoked")
    equal(shown_at_the_door(token), 401, "after")


def a_service_token_is_not_revoked_so():
    token = service_token(name="worker")
    answer = resource_server().revoke_token(
        FOUND["revocation_endpoint"], token=f"{token['client_id']}:{token['client_secret']}")
    equal((answer.status_code, answer.json()["error"]), (400, "unsupported_token_type"), "refused")


STEPS = [find_the_endpoints, introspect_an_access_token, introspect_a_service_token, what_is_not_good_is_not_active,
         a_wrong_client_learns_nothing, revoke_in_the_name_of_a_client, revoke_by_possession,
         a_service_token_is_not_revoked_so]
FOUND = {}


def access_token(**body):
    answer = requests.post(f"{URL}/v1/Accounts/{ACCOUNT}/accessTokens", headers=ROOT, json=body)
    text = answer.json()["id"]
    return text, text[:22]


def service_token(**body):
    path = f"/client/v4/accounts/{ACCOUNT}/access/service_tokens"
    return requests.post(f"{URL}{path}", headers=ROOT, json=body).json()["result"]


CLIENT = service_token(name="resource server", scopes=["countersign:verify"])


def resource_server(method="client_secret_basic"):
    return OAuth2Session(CLIENT["client_id"], CLIENT["client_secret"], token_endpoint_auth_method=method,
                         revocation_endpoint_auth_method=method)


def introspected(client, token):
    answer = client.introspect_token(FOUND["introspection_endpoint"], token=token)
    equal(answer.status_code, 200, "introspected")
    return answer.json()


def shown_at_the_door(token):
    return requests.get(f"{URL}/authz", headers={"Authorization": f"Bearer {token}"}).status_code


def equal(found, expected, what):
    assert found == expected, f"{what}: {found!r}, not {expected!r}"


def holds(condition, what):
    assert condition, what


if __name__ == "__main__":
    main()
