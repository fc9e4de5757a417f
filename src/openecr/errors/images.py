"""Images, their manifests, tags and scans."""

from openecr.errors.base import LimitExceeded, RegistryError


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


class ReferencedImagesNotFound(RegistryError):
    """A manifest list names images that the repository does not hold."""

    code = "ReferencedImagesNotFoundException"
    oci = ("MANIFEST_BLOB_UNKNOWN", 404)
    template = (
        "Images with digests '[{digests}]' required for pushing image into repository with name '{repository}' "
        "in the registry with id '{registry_id}' do not exist"
    )


class ManifestInvalid(RegistryError):
    """A manifest whose digest in the URL or Content-Type contradicts its bytes."""

    code = "InvalidParameterException"
    oci = ("MANIFEST_INVALID", 400)


class ManifestTooLarge(RegistryError):
    """A manifest over 4 MiB, refused before it is held in memory."""

    code = "InvalidParameterException"
    oci = ("SIZE_INVALID", 413)
    template = (
        "Invalid parameter at 'imageManifest' failed to satisfy constraint: "
        "'must have length less than or equal to 4194304'"
    )
