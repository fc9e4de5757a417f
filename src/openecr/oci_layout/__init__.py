"""Images in and out as OCI image layouts (OCI image specification 1.1, "OCI Image Layout"), for air-gapped transfer.

    oci-layout, index.json, blobs/<algorithm>/<hex>       in a folder, or in an uncompressed tar

``index.json`` has one descriptor a tag, and one for each untagged image and each referrer:

    io.openecr.repository                 the repository
    org.opencontainers.image.ref.name     the tag; with several repositories in one layout ``repository:tag``
"""
