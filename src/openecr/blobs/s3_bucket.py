"""The requests that the S3 store makes, each a plain call that waits: botocore's client, in threads of its own.

botocore signs, retries (bounded, with back-off), checks TLS, and knows that a CompleteMultipartUpload may answer 200
with an error in its body. What goes wrong is told as ``ObjectMissing``, ``StorageFull``, ``StoreAway`` or
``StoreFailed``.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit
from uuid import uuid4

import botocore.session
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import RefreshableCredentials
from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError, HTTPClientError, SSLError

from openecr.blobs.s3_location import S3Location
from openecr.blobs.store import ObjectMissing, StoreAway, StoreFailed
from openecr.errors import StorageFull
from openecr.settings import SettingsError

T = TypeVar("T")
THREADS = 32
_CONNECT_SECONDS = 5
_READ_SECONDS = 60
_ATTEMPTS = 4
_MOST_DELETED = 1000
_MOST_URL_SECONDS = 7 * 86_400
_FRESH_SECONDS = 60.0
_META = "openecr"
_NO_ROOM = frozenset({"QuotaExceeded", "InsufficientStorage", "InsufficientCapacity", "XMinioStorageFull"})
_BUSY = frozenset({"SlowDown", "RequestTimeout", "Throttling", "TooManyRequests"})
_GONE = frozenset({"NoSuchKey", "404", "NotFound"})


class UploadGone(StoreFailed):
    """The multipart upload is not open any more: it was completed or aborted."""


class PartsDiffer(StoreFailed):
    """The upload's parts are not those that were named: one has another ETag, or, for Ceph, there are more."""


@dataclass(frozen=True, slots=True)
class Head:
    """What a HEAD tells."""

    size_bytes: int
    note: str
    """openecr's own metadata, as it was put; empty where there is none."""


class Bucket:
    """One bucket; keys are relative to the prefix."""

    def __init__(self, location: S3Location) -> None:
        self.location = location
        session = botocore.session.Session(profile=location.profile)
        if not location.instance_credentials:
            session.get_component("credential_provider").remove("iam-role")  # nobody asks the metadata address unasked
        try:
            credentials = session.get_credentials()
        except BotoCoreError as error:
            raise SettingsError(f"the credentials for {location.name} cannot be read: {error}") from None
        if credentials is None:
            raise SettingsError(
                f"there are no credentials for {location.name}; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
                "or name a profile= or credentials=instance in the URL"
            )
        self._credentials = credentials
        self._frozen = credentials.get_frozen_credentials()
        self._frozen_at = time.monotonic()
        self._client = session.create_client(
            "s3",
            region_name=location.region,
            endpoint_url=location.endpoint,
            verify=location.ca,
            config=_config(location),
        )
        self._public = _public_url(session, location)
        asked = None if location.sse == "store" else location.sse
        self._sse = {"ServerSideEncryption": asked, "SSEKMSKeyId": location.sse_kms_key}
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="s3")

    async def run(self, work: Callable[..., T], *arguments: Any) -> T:
        """Run work that waits for the store in one of its threads."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)

    def head(self, key: str) -> Head | None:
        """An object's size and note; None where there is no such object."""
        with self._told(key):
            try:
                answer = self._client.head_object(**self._at(key))
            except ClientError as error:
                if _code(error) in _GONE:
                    return None
                raise
        return Head(answer["ContentLength"], answer["Metadata"].get(_META, ""))

    def open_range(self, key: str, start_byte: int, end_byte: int) -> "tuple[Head, Stream] | None":
        """The object as it is, and its bytes [start, end) as far as it has them; None where it has none of them."""
        with self._told(key):
            try:
                answer = self._client.get_object(**self._at(key), Range=f"bytes={start_byte}-{end_byte - 1}")
            except ClientError as error:
                if _code(error) in _GONE or _code(error) == "InvalidRange":
                    return None
                raise
        size_bytes = int(answer["ContentRange"].rpartition("/")[2])
        return Head(size_bytes, answer["Metadata"].get(_META, "")), Stream(self, key, answer["Body"])

    def get(self, key: str) -> tuple[Head, bytes]:
        """An object whole."""
        with self._told(key):
            answer = self._client.get_object(**self._at(key))
            content: bytes = answer["Body"].read()
        return Head(len(content), answer["Metadata"].get(_META, "")), content

    def put(self, key: str, content: bytes, note: str) -> None:
        """Store an object whole, in place of what was there."""
        with self._told(key):
            self._client.put_object(**self._at(key), **self._made(note), Body=content)

    def begin(self, key: str, note: str) -> str:
        """Open a multipart upload; its id."""
        with self._told(key):
            return str(self._client.create_multipart_upload(**self._at(key), **self._made(note))["UploadId"])

    def put_part(self, key: str, upload_id: str, number: int, content: bytes) -> str:
        """Store a part; its ETag."""
        with self._told(key):
            answer = self._client.upload_part(**self._at(key), UploadId=upload_id, PartNumber=number, Body=content)
        return str(answer["ETag"])

    def copy_part(self, key: str, upload_id: str, number: int, source: str, start_byte: int, end_byte: int) -> str:
        """Store the bytes [start, end) of another object as a part, without moving them here; its ETag."""
        with self._told(source):
            answer = self._client.upload_part_copy(
                **self._at(key),
                UploadId=upload_id,
                PartNumber=number,
                CopySource=self._at(source),
                CopySourceRange=f"bytes={start_byte}-{end_byte - 1}",
            )
        return str(answer["CopyPartResult"]["ETag"])

    def complete(self, key: str, upload_id: str, etags: Sequence[str]) -> None:
        """Make the parts the object.

        Raises:
            UploadGone: the upload was completed or aborted before.
        """
        parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
        with self._told(key):
            self._client.complete_multipart_upload(
                **self._at(key), UploadId=upload_id, MultipartUpload={"Parts": parts}
            )

    def parts(self, key: str, upload_id: str) -> list[str]:
        """ETags of the parts that an open upload has, in order."""
        with self._told(key):
            pages = self._client.get_paginator("list_parts").paginate(**self._at(key), UploadId=upload_id)
            return [str(part["ETag"]) for page in pages for part in page.get("Parts", ())]

    def abort(self, key: str, upload_id: str) -> None:
        """Give the parts of an upload back; one that is not open is no error."""
        with self._told(key):
            try:
                self._client.abort_multipart_upload(**self._at(key), UploadId=upload_id)
            except ClientError as error:
                if _code(error) not in ("NoSuchUpload", *_GONE):
                    raise

    def delete(self, keys: Sequence[str]) -> None:
        """Remove objects, a thousand in a request; those that are not there are no error."""
        for start in range(0, len(keys), _MOST_DELETED):
            named = [{"Key": self._at(key)["Key"]} for key in keys[start : start + _MOST_DELETED]]
            with self._told(keys[start]):
                answer = self._client.delete_objects(
                    Bucket=self.location.bucket, Delete={"Objects": named, "Quiet": True}
                )
            for failed in answer.get("Errors", ()):
                if failed.get("Code") not in _GONE:
                    said = f"{failed.get('Code')} {failed.get('Message', '')}"
                    raise StoreFailed(f"{self.location.name}: {failed.get('Key')} was not deleted: {said}")

    def presigned(self, key: str, seconds: int) -> str:
        """A URL that reads the object for so long, for whoever holds it. Made here, without a request."""
        if isinstance(self._credentials, RefreshableCredentials) and self._age() > _FRESH_SECONDS:
            self._frozen_at = time.monotonic()
            self._threads.submit(self._refresh)
        request = AWSRequest(method="GET", url=self._public + quote(self._at(key)["Key"]))
        signer = S3SigV4QueryAuth(
            self._frozen, "s3", self.location.region, expires=max(1, min(seconds, _MOST_URL_SECONDS))
        )
        signer.add_auth(request)
        return str(request.url)

    def check(self) -> None:
        """Store, read and remove a few bytes, and ask for what is not there.

        Raises:
            SettingsError: one sentence with the remedy.
        """
        key = f"check-{uuid4()}"
        name, where = self.location.name, self.location.endpoint or f"AWS ({self.location.region})"
        try:
            self._require_bucket()
            self._client.put_object(**self._at(key), **self._made(""), Body=b"openecr")
            self._client.get_object(**self._at(key))["Body"].read()
            self._client.delete_object(**self._at(key))
        except SSLError as error:
            raise SettingsError(
                f"the certificate of {where} is not trusted: {error}; give its CA as ca= in the URL or AWS_CA_BUNDLE"
            ) from None
        except (EndpointConnectionError, HTTPClientError) as error:
            raise SettingsError(f"{where} cannot be reached: {error}; check endpoint= and the store itself") from None
        except ClientError as error:
            raise SettingsError(f"{where} refuses to store layers in {name}: {_remedy(error)}") from None
        except BotoCoreError as error:
            raise SettingsError(f"layers cannot be stored in {name}: {error}") from None
        try:
            missing = self.head(key) is None
        except StoreFailed:
            missing = False
        if not missing:
            raise SettingsError(
                f"{where} does not say that a removed object of {name} is missing; allow s3:ListBucket on the bucket"
            )

    def _require_bucket(self) -> None:
        """Some stores would make the bucket with the first object. A HEAD says nothing else that helps."""
        try:
            self._client.head_bucket(Bucket=self.location.bucket)
        except ClientError as error:
            if _code(error) in (*_GONE, "NoSuchBucket"):
                raise SettingsError(
                    f"there is no bucket {self.location.bucket} at {self.location.endpoint or 'AWS'}; create it"
                ) from None

    def _refresh(self) -> None:
        self._frozen = self._credentials.get_frozen_credentials()

    def _age(self) -> float:
        return time.monotonic() - self._frozen_at

    def _at(self, key: str) -> dict[str, str]:
        return {"Bucket": self.location.bucket, "Key": self.location.prefix + key}

    def _made(self, note: str) -> dict[str, Any]:
        made: dict[str, Any] = {"ContentType": "application/octet-stream"}
        made |= {name: value for name, value in self._sse.items() if value is not None}
        return made | ({"Metadata": {_META: note}} if note else {})

    @contextmanager
    def _told(self, key: str) -> Iterator[None]:
        """Tell botocore's errors as the store's."""
        try:
            yield
        except ClientError as error:
            code, status = _code(error), error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            if code in _GONE:
                raise ObjectMissing(key) from None
            if code == "InvalidPart":
                raise PartsDiffer(f"{self.location.name}: the parts of {key} differ") from None
            if code == "NoSuchUpload":
                raise UploadGone(key) from None
            if code in _NO_ROOM or status == 507:
                raise StorageFull from error
            failed = StoreAway if code in _BUSY or (status or 0) >= 500 else StoreFailed
            raise failed(f"{self.location.name}: {error}") from error
        except (BotoCoreError, OSError) as error:
            raise StoreAway(f"{self.location.name}: {error}") from error


class Stream:
    """The bytes of one answer, read in pieces."""

    def __init__(self, bucket: Bucket, key: str, body: Any) -> None:
        self._bucket = bucket
        self._key = key
        self._body = body

    def read(self, size_bytes: int) -> bytes:
        """The next bytes, fewer only where the answer ends."""
        with self._bucket._told(self._key):  # noqa: SLF001 - both are this file's
            return bytes(self._body.read(size_bytes))

    def close(self) -> None:
        """Let go of the connection."""
        self._body.close()


def _config(location: S3Location) -> Config:
    return Config(
        signature_version="s3v4",
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        tcp_keepalive=True,
        retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
        max_pool_connections=2 * THREADS,
        ignore_configured_endpoint_urls=True,  # AWS_ENDPOINT_URL may be openecr's own
        user_agent_extra="openecr",
        # TLS sees to it that bytes arrive as they were sent; without it the signature over them does.
        s3={"addressing_style": location.addressing, "payload_signing_enabled": not location.secure},
    )


def _public_url(session: Any, location: S3Location) -> str:
    """What presigned URLs begin with, as botocore builds it for this endpoint and addressing."""
    client = session.create_client(
        "s3",
        region_name=location.region,
        endpoint_url=location.public_endpoint or location.endpoint,
        config=_config(location),
    )
    example = client.generate_presigned_url("get_object", Params={"Bucket": location.bucket, "Key": "key"})
    parts = urlsplit(example)
    return f"{parts.scheme}://{parts.netloc}{parts.path.removesuffix('key')}"


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _remedy(error: ClientError) -> str:
    """What the store said, and what to do."""
    said = f"{_code(error)} ({error.response.get('Error', {}).get('Message') or 'no message'})"
    match _code(error):
        case "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "InvalidToken" | "ExpiredToken":
            return f"{said}; check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the profile"
        case "NoSuchBucket":
            return f"{said}; create the bucket"
        case "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException":
            return f"{said}; give the bucket's region as region= in the URL"
        case "AccessDenied":
            return (
                f"{said}; allow s3:PutObject, s3:GetObject, s3:DeleteObject, s3:AbortMultipartUpload "
                "and s3:ListBucket, and check the credentials"
            )
    return said
