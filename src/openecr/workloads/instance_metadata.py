"""Credentials for nodes, by address: version 2 of EC2's instance metadata service, as far as credentials need it.

Sources: Amazon EC2 User Guide, "Use the Instance Metadata Service to access instance metadata" and "Retrieve security
credentials from instance metadata". Version 1 is not there: a request without a token is refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from openecr.access import metadata_tokens
from openecr.errors import DatabaseAway
from openecr.origin import Origin
from openecr.services.workloads.credentials import Node, NoWorkload, RoleUnusable, credentials, role_name
from openecr.services.workloads.workload_rules import names_this_machine, was_forwarded
from openecr.waist import Waist
from openecr.workloads.answers import Answer, as_json, instant, said

_TOKEN_PATH = "/latest/api/token"  # noqa: S105 - a path
_TTL = b"x-aws-ec2-metadata-token-ttl-seconds"
_TOKEN = b"x-aws-ec2-metadata-token"
_ROOT = "/latest/meta-data"
_ROLES = f"{_ROOT}/iam/security-credentials"
_INDEXES = {_ROOT: "iam/\nplacement/", f"{_ROOT}/iam": "security-credentials/", f"{_ROOT}/placement": "region"}


@dataclass(frozen=True, slots=True)
class InstanceMetadata:
    """Answers ``/latest/...`` on the listeners of ``metadata_listen``, and nowhere else."""

    waist: Waist

    async def answer(self, method: str, path: str, headers: Mapping[bytes, bytes], origin: Origin) -> Answer:
        """What a node is told.

        Args:
            origin: with the peer's own address, whatever headers say.
        """
        if was_forwarded(headers):
            return said(403, "A proxy passed this request on; nodes ask for themselves.")
        if not names_this_machine(headers.get(b"host", b"").decode("latin-1")):
            return said(403, "The Host header must be an address.")
        try:
            name = await self.waist.run(role_name, origin, bearer=Node(origin.source_address))
        except NoWorkload:
            return said(403, "No role is bound to this address.")
        except DatabaseAway as away:
            return said(away.status, away.message)
        if path == _TOKEN_PATH:
            return self._token(method, headers, origin)
        if method not in ("GET", "HEAD"):
            return said(405, "Metadata is asked for with GET.")
        token = headers.get(_TOKEN, b"").decode("latin-1")
        keyring = self.waist.deployment.keyring
        if not metadata_tokens.verifies(keyring, token, origin.source_address, origin.now_us):
            return said(401, "A token of PUT /latest/api/token must come with the request.")
        return await self._metadata(path.removesuffix("/"), name, origin)

    def _token(self, method: str, headers: Mapping[bytes, bytes], origin: Origin) -> Answer:
        if method != "PUT":
            return said(405, "A token is asked for with PUT.")
        text = headers.get(_TTL, b"").decode("latin-1").strip()
        seconds = int(text) if text.isascii() and text.isdigit() and len(text) <= 6 else 0
        if not metadata_tokens.LEAST_SECONDS <= seconds <= metadata_tokens.MOST_SECONDS:
            return said(400, f"{_TTL.decode()} must be a number of seconds from 1 to {metadata_tokens.MOST_SECONDS}.")
        expires_us = origin.now_us + seconds * 1_000_000
        token = metadata_tokens.issue(self.waist.deployment.keyring, origin.source_address, expires_us)
        return Answer(200, token.encode(), headers=((_TTL, str(seconds).encode()),))

    async def _metadata(self, path: str, name: str | None, origin: Origin) -> Answer:
        if path in _INDEXES:
            return Answer(200, _INDEXES[path].encode())
        if path == f"{_ROOT}/placement/region":
            return Answer(200, self.waist.deployment.settings.region.encode())
        if name is not None and path == _ROLES:
            return Answer(200, name.encode())
        if name is not None and path == f"{_ROLES}/{name}":
            return await self._credentials(origin)
        return said(404, "There is nothing here.")

    async def _credentials(self, origin: Origin) -> Answer:
        try:
            given = await credentials(self.waist.run, origin, Node(origin.source_address))
        except NoWorkload:
            return said(403, "No role is bound to this address.")
        except RoleUnusable as unusable:
            # EC2 tells this with 200 and a code, which the SDKs look for.
            last = instant(origin.now_us)
            return as_json(200, {"Code": "AssumeRoleUnauthorizedAccess", "Message": str(unusable), "LastUpdated": last})
        except DatabaseAway as away:
            return said(away.status, away.message)
        document = {
            "Code": "Success",
            "LastUpdated": instant(given.issued_us),
            "Type": "AWS-HMAC",
            "AccessKeyId": given.access_key_id,
            "SecretAccessKey": given.secret_access_key,
            "Token": given.session_token,
            "Expiration": instant(given.expires_us),
        }
        return as_json(200, document)
