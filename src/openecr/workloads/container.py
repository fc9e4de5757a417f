"""Credentials for containers, by bearer token: what ``AWS_CONTAINER_CREDENTIALS_FULL_URI`` names (AWS SDKs and Tools
Reference Guide, "Container credential provider")."""

from collections.abc import Mapping
from dataclasses import dataclass

from openecr.errors import DatabaseAway
from openecr.origin import Origin
from openecr.services.workloads.credentials import NoWorkload, RoleUnusable, TokenBearer, credentials, token_digest
from openecr.waist import Waist
from openecr.workloads.answers import Answer, as_json, instant

_LONGEST_TOKEN = 512


@dataclass(frozen=True, slots=True)
class ContainerCredentials:
    """Answers ``GET /v1/credentials``."""

    waist: Waist

    async def answer(self, method: str, headers: Mapping[bytes, bytes], origin: Origin, *, private: bool) -> Answer:
        """The credentials of the role that the token is bound to.

        Args:
            private: whether nobody in between can read the answer.
        """
        if method not in ("GET", "HEAD"):
            return _refused(405, "MethodNotAllowed", "Credentials are asked for with GET.")
        if not private:
            return _refused(403, "InsecureTransport", "Credentials are given over TLS, or on the machine itself.")
        token = headers.get(b"authorization", b"").decode("latin-1").strip()
        if not token or len(token) > _LONGEST_TOKEN:
            return _refused(401, "InvalidToken", "The Authorization header must hold the token of a workload.")
        try:
            given = await credentials(self.waist.run, origin, TokenBearer(token_digest(token)))
        except NoWorkload:
            return _refused(401, "InvalidToken", "The Authorization header must hold the token of a workload.")
        except RoleUnusable as unusable:
            return _refused(403, "AccessDenied", str(unusable))
        except DatabaseAway as away:
            return _refused(away.status, away.code, away.message)
        document = {
            "AccessKeyId": given.access_key_id,
            "SecretAccessKey": given.secret_access_key,
            "Token": given.session_token,
            "Expiration": instant(given.expires_us),
            "RoleArn": given.role_arn,
        }
        return as_json(200, document)


def _refused(status: int, code: str, message: str) -> Answer:
    return as_json(status, {"code": code, "message": message})
