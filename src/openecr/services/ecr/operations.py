"""Every operation of ECR that is built. A modelled operation that is not here answers that it is not built yet."""

from openecr.call import Operation
from openecr.services.ecr import (
    image_deletion,
    image_listing,
    images,
    layers,
    pull_time_exclusions,
    registry,
    registry_policies,
    repositories,
    repository_policies,
    resource_tags,
    storage_class_update,
    upload_completion,
    upload_parts,
    uploads,
)
from openecr.services.ecr.lifecycle import policies as lifecycle_policies
from openecr.services.ecr.lifecycle import previews as lifecycle_previews
from openecr.services.ecr.scanning import configuration as scanning_configuration
from openecr.services.ecr.scanning import findings as scanning_findings
from openecr.services.ecr.scanning import starting as scanning_starting

OPERATIONS: dict[str, Operation] = {
    operation.name: operation
    for operation in (
        image_deletion.batch_delete_image,
        image_listing.batch_get_image,
        image_listing.describe_images,
        image_listing.list_image_referrers,
        image_listing.list_images,
        images.put_image,
        layers.batch_check_layer_availability,
        layers.get_download_url_for_layer,
        lifecycle_policies.delete_lifecycle_policy,
        lifecycle_policies.get_lifecycle_policy,
        lifecycle_policies.put_lifecycle_policy,
        lifecycle_previews.get_lifecycle_policy_preview,
        lifecycle_previews.start_lifecycle_policy_preview,
        pull_time_exclusions.deregister_pull_time_update_exclusion,
        pull_time_exclusions.list_pull_time_update_exclusions,
        pull_time_exclusions.register_pull_time_update_exclusion,
        registry.describe_registry,
        registry.get_account_setting,
        registry.get_authorization_token,
        registry.put_account_setting,
        registry_policies.delete_registry_policy,
        registry_policies.get_registry_policy,
        registry_policies.put_registry_policy,
        repositories.create_repository,
        repositories.delete_repository,
        repositories.describe_repositories,
        repositories.put_image_tag_mutability,
        repository_policies.delete_repository_policy,
        repository_policies.get_repository_policy,
        repository_policies.set_repository_policy,
        resource_tags.list_tags_for_resource,
        resource_tags.tag_resource,
        resource_tags.untag_resource,
        scanning_configuration.batch_get_repository_scanning_configuration,
        scanning_configuration.get_registry_scanning_configuration,
        scanning_configuration.put_image_scanning_configuration,
        scanning_configuration.put_registry_scanning_configuration,
        scanning_findings.describe_image_scan_findings,
        scanning_starting.start_image_scan,
        storage_class_update.update_image_storage_class,
        upload_completion.complete_layer_upload,
        upload_parts.upload_layer_part,
        uploads.initiate_layer_upload,
    )
}
