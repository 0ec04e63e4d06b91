"""Signed tokens, checked by PyJWT as services use it: by the key set, and by the certificates of Cloudflare's key endpoint.

Environment: COUNTERSIGN_URL (like http://127.0.0.1:8787), where the keys are; COUNTERSIGN_ISSUER, COUNTERSIGN_ALGORITHM and
COUNTERSIGN_AUDIENCE of access tokens, COUNTERSIGN_APPLICATION, the audience of assertions.
Reads lines of JSON, {"kind": "access" or "assertion", "token": …}, and says for each, as JSON, what every validator of that
kind says of it: "accepted", or why not. Status 0 when it could say so of all.
"""

import json
import os
import sys

import jwt
import requests
from cryptography.x509 import load_pem_x509_certificate

URL = os.environ["COUNTERSIGN_URL"].rstrip("/")
ISSUER = os.environ["COUNTERSIGN_ISSUER"]
ALGORITHM = os.environ["COUNTERSIGN_ALGORITHM"]
AUDIENCE = os.environ["COUNTERSIGN_AUDIENCE"]
APPLICATION = os.environ["COUNTERSIGN_APPLICATION"]

CERTS = f"{URL}/cdn-cgi/access/certs"
ACCESS_KEYS = jwt.PyJWKClient(f"{URL}/.well-known/jwks.json")
ASSERTION_KEYS = jwt.PyJWKClient(CERTS)
CERTIFICATES = {
    entry["kid"]: load_pem_x509_certificate(entry["cert"].encode()).public_key()
    for entry in requests.get(CERTS, timeout=10).json()["public_certs"]
}


def access_by_key_set(token):
    if jwt.get_unverified_header(token).get("typ") != "at+jwt":
        raise jwt.InvalidTokenError("no access token")
    key = ACCESS_KEYS.get_signing_key_from_jwt(token)
    return jwt.decode(token, key, algorithms=[ALGORITHM], audience=AUDIENCE, issuer=ISSUER, options=REQUIRED)


def assertion_by_key_set(token):
    key = ASSERTION_KEYS.get_signing_key_from_jwt(token)
    return jwt.decode(token, key, algorithms=["RS256"], audience=APPLICATION, issuer=ISSUER, options=REQUIRED)


def assertion_by_certificate(token):
    key = CERTIFICATES.get(jwt.get_unverified_header(token).get("kid"))
    if key is None:
        raise jwt.InvalidKeyError("no such certificate")
    return jwt.decode(token, key, algorithms=["RS256"], audience=APPLICATION, issuer=ISSUER, options=REQUIRED)


REQUIRED = {"require": ["exp", "iat", "iss", "aud"]}
VALIDATORS = {
    "access": {"PyJWT": access_by_key_set},
    "assertion": {"PyJWT": assertion_by_key_set, "PyJWT by certificate": assertion_by_certificate},
}


def verdict(validate, token):
    # Anything else than its own errors would be the service's error 500.
    try:
        validate(token)
    except jwt.PyJWTError as error:
        return f"{type(error).__name__}: {error}"
    return "accepted"


for line in sys.stdin:
    shown = json.loads(line)
    validators = VALIDATORS[shown["kind"]].items()
    print(json.dumps({name: verdict(validate, shown["token"]) for name, validate in validators}), flush=True)
