"""Credentials for nodes, by address: version 2 of EC2's instance metadata service, as far as credentials need it.

Sources: Amazon EC2 User Guide, "Use the Instance Metadata Service to access instance metadata" and "Retrieve security
credentials from instance metadata". Version 1 is not there: a request without a token is refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from openecr.access import metadata_tokens
from openecr.call import Deployment
from openecr.errors import DatabaseAway
from openecr.services.workloads.credentials import NoWorkload, RoleUnusable, by_source, credentials, role_name
from openecr.services.workloads.workload_rules import names_this_machine, was_forwarded
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

    deployment: Deployment

    async def answer(self, method: str, path: str, headers: Mapping[bytes, bytes], source: str) -> Answer:
        """What a node is told.

        Args:
            source: the peer's own address, whatever headers say.
        """
        if was_forwarded(headers):
            return said(403, "A proxy passed this request on; nodes ask for themselves.")
        if not names_this_machine(headers.get(b"host", b"").decode("latin-1")):
            return said(403, "The Host header must be an address.")
        find = by_source(source)
        try:
            name = await role_name(self.deployment, find)
        except NoWorkload:
            return said(403, "No role is bound to this address.")
        except RoleUnusable:
            name = None
        except DatabaseAway as away:
            return said(away.status, away.message)
        if path == _TOKEN_PATH:
            return self._token(method, headers, source)
        if method not in ("GET", "HEAD"):
            return said(405, "Metadata is asked for with GET.")
        token = headers.get(_TOKEN, b"").decode("latin-1")
        if not metadata_tokens.verifies(self.deployment.keyring, token, source, self.deployment.now_us()):
            return said(401, "A token of PUT /latest/api/token must come with the request.")
        return await self._metadata(path.removesuffix("/"), name, source)

    def _token(self, method: str, headers: Mapping[bytes, bytes], source: str) -> Answer:
        if method != "PUT":
            return said(405, "A token is asked for with PUT.")
        text = headers.get(_TTL, b"").decode("latin-1").strip()
        seconds = int(text) if text.isascii() and text.isdigit() and len(text) <= 6 else 0
        if not metadata_tokens.LEAST_SECONDS <= seconds <= metadata_tokens.MOST_SECONDS:
            return said(400, f"{_TTL.decode()} must be a number of seconds from 1 to {metadata_tokens.MOST_SECONDS}.")
        expires_us = self.deployment.now_us() + seconds * 1_000_000
        token = metadata_tokens.issue(self.deployment.keyring, source, expires_us)
        return Answer(200, token.encode(), headers=((_TTL, str(seconds).encode()),))

    async def _metadata(self, path: str, name: str | None, source: str) -> Answer:
        if path in _INDEXES:
            return Answer(200, _INDEXES[path].encode())
        if path == f"{_ROOT}/placement/region":
            return Answer(200, self.deployment.settings.region.encode())
        if name is not None and path == _ROLES:
            return Answer(200, name.encode())
        if name is not None and path == f"{_ROLES}/{name}":
            return await self._credentials(source)
        return said(404, "There is nothing here.")

    async def _credentials(self, source: str) -> Answer:
        now_us = self.deployment.now_us()
        try:
            given = await credentials(self.deployment, by_source(source))
        except NoWorkload:
            return said(403, "No role is bound to this address.")
        except RoleUnusable as unusable:
            # EC2 tells this with 200 and a code, which the SDKs look for.
            told = {"Code": "AssumeRoleUnauthorizedAccess", "Message": str(unusable), "LastUpdated": instant(now_us)}
            return as_json(200, told)
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
