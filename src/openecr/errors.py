"""One tree of errors, rendered by each protocol in its own way.

    RegistryError                      what every client may be told
    ├── ProtocolError                  the request never reached an operation: signature, scope, body
    ├── AccessDenied                   the decision of ``access``
    ├── InvalidParameter / ValidationFailed
    └── one class per exception of the ECR service model that openecr raises

An error names what went wrong and carries its name on each plane; it does not know how an answer is built. ``code`` is
the exception's name in the service model, ``oci`` the distribution error code and status, ``template`` the text that
clients parse. Source of the texts: ECR's observed answers, gathered in the behaviour reference; see docs/differences.md
for the few that AWS does not document.
"""

from typing import Any, ClassVar


class RegistryError(Exception):
    """Base of everything that a client is told; anything else becomes a ServerException without a text."""

    code: ClassVar[str] = "ServerException"
    status: ClassVar[int] = 400
    oci: ClassVar[tuple[str, int]] = ("UNKNOWN", 400)
    template: ClassVar[str] = "{message}"
    members: ClassVar[dict[str, str]] = {}
    """Members of the modelled error shape beside ``message``, as {shape member: field name}."""

    def __init__(self, **fields: Any) -> None:
        self.fields = fields
        super().__init__(self.template.format_map(fields))

    @property
    def message(self) -> str:
        """The sentence that the client sees."""
        return str(self.args[0])


class ServerFault(RegistryError):
    """openecr itself failed; the text is in the log under the request id, not in the answer."""

    code = "ServerException"
    status = 500
    oci = ("UNKNOWN", 500)
    template = "An internal error occurred. The log of the server has it under the request id {request_id}."


class DatabaseAway(RegistryError):
    """The shared database was not there for as long as a client can be kept waiting; clients try again."""

    code = "ServiceUnavailableException"
    status = 503
    oci = ("UNAVAILABLE", 503)
    template = "The registry's database is not available at the moment. Try again."


class Throttled(RegistryError):
    """The server is out of room for bodies for now; clients back off and try again."""

    code = "ThrottlingException"
    oci = ("TOOMANYREQUESTS", 429)
    template = "Rate exceeded"


# Protocol errors: before an operation is found and its input parsed (reference §1.3).


class ProtocolError(RegistryError):
    """The request never reached an operation."""


class MissingAuthenticationToken(ProtocolError):
    """The api plane was called without a signature."""

    code = "MissingAuthenticationTokenException"
    template = "Missing Authentication Token"


class IncompleteSignature(ProtocolError):
    """The Authorization header lacks a part that Signature Version 4 needs."""

    code = "IncompleteSignatureException"


class UnrecognizedClient(ProtocolError):
    """Unknown access key, inactive access key, or a wrong session token: ECR does not say which."""

    code = "UnrecognizedClientException"
    oci = ("DENIED", 403)
    template = "The security token included in the request is invalid."


class InvalidSignature(ProtocolError):
    """The signature, its date or its scope does not hold."""

    code = "InvalidSignatureException"


class ExpiredToken(ProtocolError):
    """Temporary credentials are past their end."""

    code = "ExpiredTokenException"
    template = "The security token included in the request is expired"


class UnknownOperation(ProtocolError):
    """The operation is not in the service model, or openecr has not built it yet."""

    code = "UnknownOperationException"


class SerializationFailed(ProtocolError):
    """The body is not what the protocol or the shape demands."""

    code = "SerializationException"


class RequestTooLarge(ProtocolError):
    """The body is over the limit of the api plane."""

    code = "RequestEntityTooLargeException"
    status = 413
    oci = ("SIZE_INVALID", 413)
    template = "The request body is larger than {limit_bytes} bytes"


class RequestTimedOut(ProtocolError):
    """The client stalled in the middle of its body; SDKs try again."""

    code = "RequestTimeoutException"
    status = 408
    oci = ("UNKNOWN", 408)
    template = "The request body did not arrive in time"


class ServiceNotServed(ProtocolError):
    """A signed request for an AWS service that openecr does not serve."""

    code = "UnknownOperationException"
    template = "openecr does not serve the AWS service '{service}'; it serves {served}"


# Access and parameters.


class AccessDenied(RegistryError):
    """The evaluator said no; the reason names the kind of policy, as AWS words it."""

    code = "AccessDeniedException"
    oci = ("DENIED", 403)
    template = "User: {principal} is not authorized to perform: {action} on resource: {resource} {reason}"


class NotReachable(RegistryError):
    """No way of the source's VPC leads here, and the deployment explains instead of staying silent."""

    code = "AccessDeniedException"
    status = 403
    oci = ("DENIED", 403)
    template = "On AWS this request would get no answer: {reason}"


class Unanswered(RegistryError):
    """The same where it stays silent: what ends the connection after the time."""

    code = "RequestTimeoutException"
    status = 504
    oci = ("UNAVAILABLE", 504)
    template = "The request got no answer in time"


class AssumptionDenied(AccessDenied):
    """A role may not be assumed, or its session not be tagged: AWS says neither why, nor if there is a role."""

    template = "User: {principal} is not authorized to perform: {action} on resource: {resource}"


class WebIdentityDenied(AccessDenied):
    """A role does not trust the bearer of a web identity, or is not there: the same to whoever asks."""

    template = "Not authorized to perform {action}"


class SessionCredentialsRefused(AccessDenied):
    """An operation of STS that takes long-term credentials only, or a caller who may never do this."""

    template = "{message}"


# STS: what its model declares (API reference, each operation's errors).


class IdentityTokenInvalid(RegistryError):
    """A web identity token that does not prove what its role's account asks for."""

    code = "InvalidIdentityTokenException"


class IdentityTokenExpired(RegistryError):
    """A web identity token past its end."""

    code = "ExpiredTokenException"
    template = "Token expired: current date/time {now} must be before the expiration date/time {expired}"


class IdentityProviderRejected(RegistryError):
    """A web identity token whose claims cannot be what its provider vouches for."""

    code = "IDPRejectedClaimException"
    status = 403


class IdentityProviderAway(RegistryError):
    """The identity provider's keys could not be fetched; clients try again."""

    code = "IDPCommunicationErrorException"
    template = "The keys of the identity provider {issuer} could not be fetched: {why}"


class PackedPolicyTooLarge(RegistryError):
    """Session policies and tags that take more room than a session has."""

    code = "PackedPolicyTooLargeException"
    template = "Packed size of {what} consumes {percent}% of allotted space."


class InvalidParameter(RegistryError):
    """A parameter breaks a constraint of its shape or of the operation."""

    code = "InvalidParameterException"
    oci = ("UNSUPPORTED", 405)
    template = "Invalid parameter at '{parameter}' failed to satisfy constraint: '{constraint}'"


class ConflictingParameters(InvalidParameter):
    """Parameters that exclude each other were given together, or in a combination that has no meaning."""

    template = "{message}"


class ValidationFailed(RegistryError):
    """The newer operations' way to refuse a parameter."""

    code = "ValidationException"
    oci = ("UNSUPPORTED", 405)


class MissingParameter(RegistryError):
    """EC2's way to refuse a request without a member that it needs."""

    code = "MissingParameter"
    template = "The request must contain the parameter {parameter}"


class InvalidParameterValue(RegistryError):
    """EC2's way to refuse a member's value."""

    code = "InvalidParameterValue"
    template = "Value ({value}) for parameter {parameter} is invalid. {constraint}"


class InvalidTag(RegistryError):
    """The tag of an image reference in a URL is outside the grammar."""

    code = "InvalidParameterException"
    oci = ("TAG_INVALID", 400)
    template = (
        "Invalid parameter at 'imageTag' failed to satisfy constraint: "
        "'must satisfy regular expression '[a-zA-Z0-9_][a-zA-Z0-9._-]*''"
    )


class InvalidDigest(RegistryError):
    """A digest in a URL is of unknown form or algorithm."""

    code = "InvalidParameterException"
    oci = ("DIGEST_INVALID", 400)
    template = (
        "Invalid parameter at '{parameter}' failed to satisfy constraint: "
        "'must satisfy regular expression '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+''"
    )


class InvalidName(RegistryError):
    """The repository name in a URL is outside the grammar."""

    code = "InvalidParameterException"
    oci = ("NAME_INVALID", 400)
    template = (
        "Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must satisfy regular expression "
        "'(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*''"
    )


# Repositories.


class RepositoryNotFound(RegistryError):
    """No such repository in the addressed registry."""

    code = "RepositoryNotFoundException"
    oci = ("NAME_UNKNOWN", 404)
    template = "The repository with name '{repository}' does not exist in the registry with id '{registry_id}'"


class RepositoryPolicyNotFound(RegistryError):
    """The repository has no policy."""

    code = "RepositoryPolicyNotFoundException"
    template = (
        "Repository policy does not exist for the repository with name '{repository}' "
        "in the registry with id '{registry_id}'"
    )


class LifecyclePolicyInvalid(InvalidParameter):
    """The text of a lifecycle policy, refused as ECR's JSON schema refuses it; the cause brings the closing quote."""

    template = (
        "Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: "
        "'Lifecycle policy validation failure: {why}"
    )


class LifecyclePolicyNotFound(RegistryError):
    """The repository has no lifecycle policy [moto]."""

    code = "LifecyclePolicyNotFoundException"
    template = (
        "Lifecycle policy does not exist for the repository with name '{repository}' "
        "in the registry with id '{registry_id}'"
    )


class LifecyclePolicyPreviewNotFound(RegistryError):
    """No preview of the repository was started; ECR's own text is not documented."""

    code = "LifecyclePolicyPreviewNotFoundException"
    template = (
        "Lifecycle policy preview does not exist for the repository with name '{repository}' "
        "in the registry with id '{registry_id}'"
    )


class LifecyclePolicyPreviewInProgress(RegistryError):
    """A preview of the repository is being made; the end of the text is the model's."""

    code = "LifecyclePolicyPreviewInProgressException"
    template = (
        "The previous lifecycle policy preview request for the repository with name '{repository}' "
        "in the registry with id '{registry_id}' has not completed. Wait and try again."
    )


class RegistryPolicyNotFound(RegistryError):
    """The registry has no policy."""

    code = "RegistryPolicyNotFoundException"
    template = "Registry policy does not exist in the registry with id '{registry_id}'"


class RegistryNotServed(RegistryError):
    """The host or path names an account or region that this deployment does not serve."""

    code = "RepositoryNotFoundException"
    oci = ("NAME_UNKNOWN", 404)
    template = "Could not resolve registry id from host {host}"


class RepositoryAlreadyExists(RegistryError):
    """CreateRepository for a name that is taken."""

    code = "RepositoryAlreadyExistsException"
    template = "The repository with name '{repository}' already exists in the registry with id '{registry_id}'"


class RepositoryNotEmpty(RegistryError):
    """DeleteRepository without force while images are left."""

    code = "RepositoryNotEmptyException"
    template = (
        "The repository with name '{repository}' in registry with id '{registry_id}' "
        "cannot be deleted because it still contains images"
    )


class TooManyTags(RegistryError):
    """More than 50 resource tags on one repository."""

    code = "TooManyTagsException"
    template = "A repository can have at most 50 tags"


class InvalidTagParameter(RegistryError):
    """A resource tag's key or value is not allowed."""

    code = "InvalidTagParameterException"


class LimitExceeded(RegistryError):
    """A quota of the registry or repository is used up."""

    code = "LimitExceededException"
    oci = ("DENIED", 403)


class TooManyRepositories(LimitExceeded):
    """CreateRepository in a registry that holds as many as it may."""

    template = (
        "The repository with name '{repository}' cannot be created because the maximum number of repositories "
        "({limit}) in the registry with id '{registry_id}' has been reached"
    )


class TooManyImages(LimitExceeded):
    """PutImage of a new image into a repository that holds as many as it may."""

    template = (
        "The image cannot be pushed because the maximum number of images ({limit}) in the repository with name "
        "'{repository}' in the registry with id '{registry_id}' has been reached"
    )


class TooManyTagsOnImage(LimitExceeded):
    """PutImage of one tag more than an image may have."""

    template = (
        "Adding tag '{tag}' to an image in the repository with name '{repository}' in registry with id "
        "'{registry_id}' exceeds the maximum allowed number of tags per image which is '{limit}'"
    )


class StorageQuotaExceeded(LimitExceeded):
    """What is pushed would take a storage quota, which ECR does not have, past its limit."""

    template = (
        "The push into the repository with name '{repository}' in the registry with id '{registry_id}' exceeds the "
        "storage quota of {quota}: {used_bytes} of {limit_bytes} bytes are used, and {size_bytes} more are needed"
    )


# Images.


class ImageNotFound(RegistryError):
    """DescribeImages for an image that is not there; 'null' stands where a part was not given, as on ECR."""

    code = "ImageNotFoundException"
    oci = ("MANIFEST_UNKNOWN", 404)
    template = (
        "The image with imageId {{imageDigest:'{digest}', imageTag:'{tag}'}} does not exist within the repository "
        "with name '{repository}' in the registry with id '{registry_id}'"
    )


class ManifestUnknown(RegistryError):
    """A pull of an image that is not there: BatchGetImage's failure, as the dkr plane words it."""

    code = "ImageNotFoundException"
    oci = ("MANIFEST_UNKNOWN", 404)
    template = "Requested image not found"


class ImageInaccessible(RegistryError):
    """A pull of an archived image: BatchGetImage's failure, on the dkr plane as an image that is not there."""

    code = "ImageNotFoundException"
    oci = ("MANIFEST_UNKNOWN", 404)
    template = "Requested image is archived"


class PullRefused(RegistryError):
    """A pull gate refuses an image for what its scan found, or because there is no scan to go by."""

    code = "ImageInaccessible"
    oci = ("DENIED", 403)
    template = (
        "The pull gate of the repository with name '{repository}' in the registry with id '{registry_id}' refuses the "
        "image with digest '{digest}': {reason}"
    )


class ImageBeingRestored(ImageInaccessible):
    """A pull of an image that is on its way back from the archive."""

    template = "Requested image is being restored from the archive"


class StorageClassUpdateNotSupported(RegistryError):
    """The image cannot change its storage class as it is."""

    code = "ImageStorageClassUpdateNotSupportedException"


class ExclusionAlreadyExists(RegistryError):
    """The principal is excluded from pull time updates already."""

    code = "ExclusionAlreadyExistsException"
    template = (
        "The pull time update exclusion for principal '{principal}' already exists in the registry with id "
        "'{registry_id}'"
    )


class ExclusionNotFound(RegistryError):
    """The principal is not excluded from pull time updates."""

    code = "ExclusionNotFoundException"
    template = (
        "The pull time update exclusion for principal '{principal}' does not exist in the registry with id "
        "'{registry_id}'"
    )


class TooManyExclusions(LimitExceeded):
    """One pull time update exclusion more than an account may have."""

    template = (
        "The number of pull time update exclusions exceeded the limit of {limit} for the registry with id "
        "'{registry_id}'"
    )


class ScanQuotaExceeded(LimitExceeded):
    """StartImageScan of an image whose manual scan of the day was had."""

    template = "The scan quota per image has been exceeded. Wait and try again."


class ScanNotFound(RegistryError):
    """The image was never scanned, by the type of scanning that the registry has."""

    code = "ScanNotFoundException"
    template = (
        "Image scan does not exist for the image with '{{imageDigest:'{digest}', imageTag:'{tag}'}}' in the repository "
        "with name '{repository}' in the registry with id '{registry_id}'"
    )


class UnsupportedImageType(RegistryError):
    """StartImageScan of what is no image: an artifact."""

    code = "UnsupportedImageTypeException"
    template = "The image with imageId {{imageDigest:'{digest}', imageTag:'{tag}'}} is of a type that cannot be scanned"


class ImageArchived(RegistryError):
    """StartImageScan of an image that is archived, or being restored."""

    code = "ImageArchivedException"
    template = "The specified image is archived and cannot be scanned."


class ImageAlreadyExists(RegistryError):
    """PutImage of a digest that already has the tag; the dkr plane hides it."""

    code = "ImageAlreadyExistsException"
    oci = ("TAG_INVALID", 400)
    template = (
        "Image with digest '{digest}' and tag '{tag}' already exists in the repository with name '{repository}' "
        "in registry with id '{registry_id}'"
    )


class ImageTagAlreadyExists(RegistryError):
    """PutImage would move a tag that the repository holds immutable."""

    code = "ImageTagAlreadyExistsException"
    oci = ("TAG_INVALID", 400)
    template = (
        "The image tag '{tag}' already exists in the '{repository}' repository "
        "and cannot be overwritten because the tag is immutable."
    )


class ImageDigestDoesNotMatch(RegistryError):
    """The digest given with a manifest is not the manifest's."""

    code = "ImageDigestDoesNotMatchException"
    oci = ("MANIFEST_INVALID", 400)
    template = (
        "The image with digest '{digest}' in repository '{repository}' and registry ID '{registry_id}' "
        "does not match the image digest that Amazon ECR has calculated."
    )


class ImageReferenced(RegistryError):
    """A delete of an image that a manifest list still names."""

    code = "ImageReferencedByManifestList"
    oci = ("UNSUPPORTED", 405)
    template = "Requested image referenced by manifest list: [{parents}]"


class LayersNotFound(RegistryError):
    """A manifest names layers or a config that the repository does not hold."""

    code = "LayersNotFoundException"
    oci = ("MANIFEST_BLOB_UNKNOWN", 404)
    template = (
        "Layers with digests '[{digests}]' required for pushing image into repository with name '{repository}' "
        "in the registry with id '{registry_id}' do not exist"
    )


class ReferencedImagesNotFound(RegistryError):
    """A manifest list names images that the repository does not hold."""

    code = "ReferencedImagesNotFoundException"
    oci = ("MANIFEST_BLOB_UNKNOWN", 404)
    template = (
        "Images with digests '[{digests}]' required for pushing image into repository with name '{repository}' "
        "in the registry with id '{registry_id}' do not exist"
    )


# Layers and uploads.


class LayerInaccessible(RegistryError):
    """A layer that archived images alone name was asked for."""

    code = "LayerInaccessibleException"
    oci = ("BLOB_UNKNOWN", 404)
    template = (
        "The layer with digest '{digest}' in the repository with name '{repository}' in the registry with id "
        "'{registry_id}' is archived"
    )


class LayerNotFound(RegistryError):
    """A layer that the repository does not hold was asked for."""

    code = "LayersNotFoundException"
    oci = ("BLOB_UNKNOWN", 404)
    template = (
        "The layer with digest '{digest}' does not exist in the repository with name '{repository}' "
        "in the registry with id '{registry_id}'"
    )


class UploadNotFound(RegistryError):
    """No such upload in this repository, or it expired."""

    code = "UploadNotFoundException"
    oci = ("BLOB_UPLOAD_UNKNOWN", 404)
    template = (
        "The upload with id '{upload_id}' in the repository with name '{repository}' in registry with id "
        "'{registry_id}' does not exist"
    )


class EmptyUpload(RegistryError):
    """CompleteLayerUpload before any part: ECR's api plane takes no zero-byte layers."""

    code = "EmptyUploadException"
    oci = ("BLOB_UPLOAD_INVALID", 400)
    template = (
        "The upload with id '{upload_id}' in the repository with name '{repository}' in registry with id "
        "'{registry_id}' cannot be completed because it does not have any parts"
    )


class InvalidLayer(RegistryError):
    """The uploaded bytes have none of the digests that the client named."""

    code = "InvalidLayerException"
    oci = ("DIGEST_INVALID", 400)
    template = "None of the provided layer digests match the calculated layer digest"


class InvalidLayerPart(RegistryError):
    """A part does not continue the upload where it stands, or is not as long as its range says."""

    code = "InvalidLayerPartException"
    oci = ("BLOB_UPLOAD_INVALID", 416)
    members = {  # noqa: RUF012 - never changed; ClassVar of the base
        "registryId": "registry_id",
        "repositoryName": "repository",
        "uploadId": "upload_id",
        "lastValidByteReceived": "last_valid_byte",
    }


class LayerPartTooSmall(RegistryError):
    """A part other than the last is under ECR's 5 MiB."""

    code = "LayerPartTooSmallException"
    oci = ("BLOB_UPLOAD_INVALID", 400)
    template = "All layer parts except the last part should be at least 5MB"


class LayerTooLarge(RegistryError):
    """A layer over ECR's quota of 52,000 MiB."""

    code = "LimitExceededException"
    oci = ("SIZE_INVALID", 413)
    template = "The layer is larger than the maximum allowed size of {limit_bytes} bytes"


class LayerAlreadyExists(RegistryError):
    """CompleteLayerUpload of a layer that the repository holds; the dkr plane answers 201."""

    code = "LayerAlreadyExistsException"
    oci = ("UNKNOWN", 400)
    template = (
        "The layer with digest '{digest}' already exists in the repository with name '{repository}' "
        "in registry with id '{registry_id}'"
    )


class UploadBusy(RegistryError):
    """Another request is writing to this upload."""

    code = "InvalidLayerPartException"
    oci = ("BLOB_UPLOAD_INVALID", 416)
    template = "Another request is writing to the upload with id '{upload_id}'"


class StorageFull(RegistryError):
    """The disk under the data directory has no room; nothing of the request was kept."""

    code = "LimitExceededException"
    status = 400
    oci = ("DENIED", 507)
    template = "The registry has no room left to store this"


# Keys: what ECR says of them, and the KMS's own errors (its API reference, "Common errors" and each operation's).


class KmsRefused(RegistryError):
    """A repository's KMS key may not be used; ``kms_error`` is the KMS's own code."""

    code = "KmsException"
    oci = ("DENIED", 400)
    members = {"kmsError": "kms_error"}  # noqa: RUF012 - never changed; ClassVar of the base


class KeyNotFound(RegistryError):
    """No key or alias of this name in the account and region."""

    code = "NotFoundException"


class KeyStateInvalid(RegistryError):
    """The key's state does not allow this."""

    code = "KMSInvalidStateException"


class AliasExists(RegistryError):
    """CreateAlias for a name that is taken."""

    code = "AlreadyExistsException"
    template = "An alias with the name {arn} already exists"


class AliasNameInvalid(RegistryError):
    """CreateAlias for a name that does not begin with ``alias/``, or that only AWS gives."""

    code = "InvalidAliasNameException"


class MarkerInvalid(RegistryError):
    """A marker that this KMS did not give out for this listing."""

    code = "InvalidMarkerException"
    template = "Could not deserialize marker"


class KeyUnsupported(RegistryError):
    """A kind of key, or a property of one, that this KMS does not have."""

    code = "UnsupportedOperationException"


# Identities: IAM's own errors (its API reference, each operation's; texts as its clients quote them).


class NoSuchEntity(RegistryError):
    """No identity, policy, key or provider of this name or ARN in the account."""

    code = "NoSuchEntityException"
    status = 404


class EntityAlreadyExists(RegistryError):
    """A name is taken, in whatever case."""

    code = "EntityAlreadyExistsException"
    status = 409


class DeleteConflict(RegistryError):
    """What would be deleted still holds something, or is held."""

    code = "DeleteConflictException"
    status = 409


class MalformedPolicyDocument(RegistryError):
    """A policy that is no policy of its kind."""

    code = "MalformedPolicyDocumentException"


class InvalidInput(RegistryError):
    """A parameter that fits its shape and means nothing here."""

    code = "InvalidInputException"


class PolicyNotAttachable(RegistryError):
    """A policy that only a service-linked role has."""

    code = "PolicyNotAttachableException"
    template = "Cannot attach a Service Role Policy to a customer role."


class UnmodifiableEntity(RegistryError):
    """A service-linked role, which only its service changes."""

    code = "UnmodifiableEntityException"
    template = "Cannot perform the operation on the protected role '{role}' - this role is only modifiable by AWS"


# The dkr plane's own.


class TokenExpired(RegistryError):
    """A registry token past its 12 hours."""

    code = "ExpiredTokenException"
    oci = ("DENIED", 403)
    template = "Your authorization token has expired. Reauthenticate and try again."


class TokenInvalid(RegistryError):
    """A registry token that this deployment did not make, or whose access key is gone."""

    code = "UnrecognizedClientException"
    oci = ("DENIED", 403)
    template = "Your Authorization Token is invalid."


class NotSupported(RegistryError):
    """A route of the distribution specification that ECR does not have."""

    code = "InvalidParameterException"
    oci = ("UNSUPPORTED", 405)


class ManifestInvalid(RegistryError):
    """A manifest whose digest in the URL or Content-Type contradicts its bytes."""

    code = "InvalidParameterException"
    oci = ("MANIFEST_INVALID", 400)


class RangeInvalid(RegistryError):
    """A Content-Range or Range header that cannot be read or satisfied."""

    code = "InvalidParameterException"
    oci = ("BLOB_UPLOAD_INVALID", 416)


class ManifestTooLarge(RegistryError):
    """A manifest over 4 MiB, refused before it is held in memory."""

    code = "InvalidParameterException"
    oci = ("SIZE_INVALID", 413)
    template = (
        "Invalid parameter at 'imageManifest' failed to satisfy constraint: "
        "'must have length less than or equal to 4194304'"
    )
