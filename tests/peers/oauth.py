"""Tokens, introspection and revocation, driven by Authlib as clients and resource servers use it, with only the endpoints of the
metadata.

Environment: COUNTERSIGN_URL (like http://127.0.0.1:8787), COUNTERSIGN_ACCOUNT_ID, COUNTERSIGN_TOKEN.
Status 0 when every expectation held; otherwise the traceback of the first that did not.
"""

import os

import requests
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from joserfc import jwt
from joserfc.jwk import KeySet

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
                    "introspection_endpoint", "introspection_endpoint_auth_methods_supported",
                    "token_endpoint", "token_endpoint_auth_methods_supported", "grant_types_supported",
                    "scopes_supported", "jwks_uri"):
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


def get_a_signed_token():
    token = service_token(name="worker", scopes=["orders:read", "orders:write"])
    for method in ("client_secret_basic", "client_secret_post"):
        client = OAuth2Session(token["client_id"], token["client_secret"], token_endpoint_auth_method=method)
        got = client.fetch_token(FOUND["token_endpoint"], grant_type="client_credentials", scope="orders:read")
        equal((got["token_type"], got["expires_in"], got["scope"]), ("Bearer", 300, "orders:read"), method)
        claims = checked(got["access_token"])
        equal((claims["iss"], claims["aud"], claims["client_id"]), (URL, URL, token["client_id"]), "claims")
        equal((claims["scope"], claims["account"]), ("orders:read", ACCOUNT), "what it may")
        equal(shown_at_the_door(got["access_token"], "scope=orders:read"), 200, "the door")
        equal(shown_at_the_door(got["access_token"], "scope=orders:write"), 403, "narrower than its service token")
        said = introspected(resource_server(), got["access_token"])
        equal((said["active"], said["client_id"], said["scope"]), (True, token["client_id"], "orders:read"), "asked")


def a_signed_token_is_for_a_resource():
    token = service_token(name="worker", scopes=["orders:read"])
    client = OAuth2Session(token["client_id"], token["client_secret"])
    resource = "https://orders.example.com"
    got = client.fetch_token(FOUND["token_endpoint"], grant_type="client_credentials", resource=resource)
    equal(checked(got["access_token"])["aud"], resource, "aud")
    equal(shown_at_the_door(got["access_token"]), 401, "for others")
    equal(shown_at_the_door(got["access_token"], f"audience={resource}"), 200, "for the service itself")


def no_signed_token_is_got_by_who_may_not():
    token = service_token(name="worker", scopes=["orders:read"])

    def refused(secret, **asked):
        client = OAuth2Session(token["client_id"], secret)
        try:
            client.fetch_token(FOUND["token_endpoint"], grant_type="client_credentials", **asked)
        except OAuthError as error:
            return error.error
        return None

    equal(refused("a1" * 32), "invalid_client", "a wrong secret")
    equal(refused(token["client_secret"], scope="orders:write"), "invalid_scope", "more than it may")
    equal(refused(token["client_secret"], resource="no-uri"), "invalid_target", "no resource")


STEPS = [find_the_endpoints, introspect_an_access_token, introspect_a_service_token, what_is_not_good_is_not_active,
         a_wrong_client_learns_nothing, revoke_in_the_name_of_a_client, revoke_by_possession,
         a_service_token_is_not_revoked_so, get_a_signed_token, a_signed_token_is_for_a_resource,
         no_signed_token_is_got_by_who_may_not]
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


def checked(token):
    keys = KeySet.import_key_set(requests.get(FOUND["jwks_uri"]).json())
    decoded = jwt.decode(token, keys, algorithms=["EdDSA"])
    equal(decoded.header["typ"], "at+jwt", "typ")
    return decoded.claims


def shown_at_the_door(token, demand=""):
    return requests.get(f"{URL}/authz?{demand}", headers={"Authorization": f"Bearer {token}"}).status_code


def equal(found, expected, what):
    assert found == expected, f"{what}: {found!r}, not {expected!r}"


def holds(condition, what):
    assert condition, what


if __name__ == "__main__":
    main()
