"""Layers and uploads."""

from openecr.errors.base import RegistryError


class LayersNotFound(RegistryError):
    """A manifest names layers or a config that the repository does not hold."""

    code = "LayersNotFoundException"
    oci = ("MANIFEST_BLOB_UNKNOWN", 404)
    template = (
        "Layers with digests '[{digests}]' required for pushing image into repository with name '{repository}' "
        "in the registry with id '{registry_id}' do not exist"
    )


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
