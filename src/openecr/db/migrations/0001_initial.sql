-- The first schema. One text for SQLite and PostgreSQL: {key}, {bytes} and {table} are the dialect's words
-- (see openecr.db.migrations). Instants are integer microseconds UTC, digests are bytes (algorithm byte, raw digest),
-- documents are canonical JSON text, manifests the pushed bytes. Every reference is a foreign key with RESTRICT.

CREATE TABLE deployment (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) {table};

INSERT INTO deployment (name, value) VALUES ('oldest_reader', '1');

-- Wrapped deployment keys: one row per use and version; the root key is never in the database.
CREATE TABLE deployment_key (
    id {key},
    use TEXT NOT NULL,
    wrapped {bytes} NOT NULL,
    created_us BIGINT NOT NULL,
    retired_us BIGINT
) {table};

CREATE TABLE account (
    id {key},
    account_id TEXT NOT NULL UNIQUE,
    created_us BIGINT NOT NULL
) {table};

CREATE TABLE principal (
    id {key},
    account_key BIGINT NOT NULL REFERENCES account (id) ON DELETE RESTRICT,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    unique_id TEXT NOT NULL UNIQUE,
    administrator BIGINT NOT NULL,
    created_us BIGINT NOT NULL,
    UNIQUE (account_key, kind, name)
) {table};

CREATE TABLE access_key (
    id {key},
    access_key_id TEXT NOT NULL UNIQUE,
    principal_key BIGINT NOT NULL REFERENCES principal (id) ON DELETE RESTRICT,
    sealed_secret {bytes} NOT NULL,
    active BIGINT NOT NULL,
    created_us BIGINT NOT NULL
) {table};
CREATE INDEX access_key_principal ON access_key (principal_key);

-- One per account and region, made when first used by someone who may.
CREATE TABLE registry (
    id {key},
    account_id TEXT NOT NULL,
    region TEXT NOT NULL,
    created_us BIGINT NOT NULL,
    UNIQUE (account_id, region)
) {table};

CREATE TABLE account_setting (
    registry_key BIGINT NOT NULL REFERENCES registry (id) ON DELETE RESTRICT,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (registry_key, name)
) {table};

CREATE TABLE repository (
    id {key},
    registry_key BIGINT NOT NULL REFERENCES registry (id) ON DELETE RESTRICT,
    name TEXT NOT NULL,
    created_us BIGINT NOT NULL,
    tag_mutability TEXT NOT NULL,
    mutability_filters TEXT NOT NULL,
    scan_on_push BIGINT NOT NULL,
    encryption_type TEXT NOT NULL,
    kms_key TEXT,
    -- A deleted repository keeps its rows under a name that no client can spell, until it is undeleted or purged.
    trashed_us BIGINT,
    UNIQUE (registry_key, name)
) {table};

CREATE TABLE resource_tag (
    repository_key BIGINT NOT NULL REFERENCES repository (id) ON DELETE RESTRICT,
    tag_key TEXT NOT NULL,
    tag_value TEXT NOT NULL,
    position BIGINT NOT NULL,
    PRIMARY KEY (repository_key, tag_key)
) {table};

-- Bytes in the blob store, once per (registry, encryption key). The row is the visibility of the object.
CREATE TABLE blob (
    id {key},
    registry_key BIGINT NOT NULL REFERENCES registry (id) ON DELETE RESTRICT,
    encryption_key TEXT NOT NULL,
    object_id TEXT NOT NULL UNIQUE,
    cipher TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    created_us BIGINT NOT NULL,
    -- Since when no link and no trash has held it; NULL while something does.
    unheld_us BIGINT
) {table};
CREATE INDEX blob_registry ON blob (registry_key);
CREATE INDEX blob_unheld ON blob (unheld_us) WHERE unheld_us IS NOT NULL;

-- Every digest of a blob: always its sha256, and the others its pushers used.
CREATE TABLE blob_digest (
    registry_key BIGINT NOT NULL REFERENCES registry (id) ON DELETE RESTRICT,
    encryption_key TEXT NOT NULL,
    digest {bytes} NOT NULL,
    blob_key BIGINT NOT NULL REFERENCES blob (id) ON DELETE RESTRICT,
    PRIMARY KEY (registry_key, encryption_key, digest)
) {table};
CREATE INDEX blob_digest_blob ON blob_digest (blob_key);

-- A repository's link to a blob under one digest. It ends when no manifest and no promise holds it.
CREATE TABLE layer (
    id {key},
    repository_key BIGINT NOT NULL REFERENCES repository (id) ON DELETE RESTRICT,
    digest {bytes} NOT NULL,
    blob_key BIGINT NOT NULL REFERENCES blob (id) ON DELETE RESTRICT,
    promised_until_us BIGINT NOT NULL,
    linked_us BIGINT NOT NULL,
    UNIQUE (repository_key, digest)
) {table};
CREATE INDEX layer_blob ON layer (blob_key, digest, repository_key);
CREATE INDEX layer_promise ON layer (promised_until_us, id);

CREATE TABLE image (
    id {key},
    repository_key BIGINT NOT NULL REFERENCES repository (id) ON DELETE RESTRICT,
    digest {bytes} NOT NULL,
    media_type TEXT NOT NULL,
    artifact_type TEXT,
    config_media_type TEXT,
    subject_digest {bytes},
    annotations TEXT,
    platform TEXT,
    manifest_size_bytes BIGINT NOT NULL,
    image_size_bytes BIGINT NOT NULL,
    pushed_us BIGINT NOT NULL,
    pulled_us BIGINT,
    ever_tagged BIGINT NOT NULL,
    status TEXT NOT NULL,
    manifest {bytes} NOT NULL,
    UNIQUE (repository_key, digest)
) {table};
CREATE INDEX image_pushed ON image (repository_key, pushed_us, digest);
CREATE INDEX image_subject ON image (repository_key, subject_digest, digest);

CREATE TABLE tag (
    repository_key BIGINT NOT NULL REFERENCES repository (id) ON DELETE RESTRICT,
    name TEXT NOT NULL,
    image_key BIGINT NOT NULL REFERENCES image (id) ON DELETE RESTRICT,
    moved_us BIGINT NOT NULL,
    PRIMARY KEY (repository_key, name)
) {table};
CREATE INDEX tag_image ON tag (image_key, name);

-- What a manifest needs: layers and config (held by RESTRICT), in manifest order.
CREATE TABLE image_layer (
    image_key BIGINT NOT NULL REFERENCES image (id) ON DELETE RESTRICT,
    position BIGINT NOT NULL,
    layer_key BIGINT NOT NULL REFERENCES layer (id) ON DELETE RESTRICT,
    media_type TEXT NOT NULL,
    PRIMARY KEY (image_key, position)
) {table};
CREATE INDEX image_layer_layer ON image_layer (layer_key);

-- The images that an index names.
CREATE TABLE image_child (
    image_key BIGINT NOT NULL REFERENCES image (id) ON DELETE RESTRICT,
    position BIGINT NOT NULL,
    child_key BIGINT NOT NULL REFERENCES image (id) ON DELETE RESTRICT,
    PRIMARY KEY (image_key, position)
) {table};
CREATE INDEX image_child_child ON image_child (child_key, image_key);

-- What a sparse manifest names and the repository does not hold yet; filled when it is pushed.
CREATE TABLE image_gap (
    image_key BIGINT NOT NULL REFERENCES image (id) ON DELETE RESTRICT,
    position BIGINT NOT NULL,
    repository_key BIGINT NOT NULL REFERENCES repository (id) ON DELETE RESTRICT,
    digest {bytes} NOT NULL,
    media_type TEXT NOT NULL,
    PRIMARY KEY (image_key, position)
) {table};
CREATE INDEX image_gap_digest ON image_gap (repository_key, digest);

-- An upload continues on any worker: its object is named here before the first byte.
CREATE TABLE upload (
    id {key},
    upload_id TEXT NOT NULL UNIQUE,
    repository_key BIGINT NOT NULL REFERENCES repository (id) ON DELETE RESTRICT,
    principal_key BIGINT NOT NULL,
    object_id TEXT NOT NULL UNIQUE,
    offset_bytes BIGINT NOT NULL,
    sha256_state {bytes},
    lease_holder TEXT,
    lease_until_us BIGINT NOT NULL,
    created_us BIGINT NOT NULL,
    touched_us BIGINT NOT NULL
) {table};
CREATE INDEX upload_touched ON upload (touched_us);
CREATE INDEX upload_repository ON upload (repository_key);

CREATE TABLE upload_segment (
    upload_key BIGINT NOT NULL REFERENCES upload (id) ON DELETE RESTRICT,
    offset_bytes BIGINT NOT NULL,
    size_bytes BIGINT NOT NULL,
    PRIMARY KEY (upload_key, offset_bytes)
) {table};

-- Objects that no row names any more; a job deletes each, then its row.
CREATE TABLE discarded_object (
    object_id TEXT NOT NULL PRIMARY KEY,
    due_us BIGINT NOT NULL
) {table};
CREATE INDEX discarded_object_due ON discarded_object (due_us);

-- Deleted repositories, images and tags: read by undelete and purging only.
CREATE TABLE trash (
    id {key},
    registry_key BIGINT NOT NULL REFERENCES registry (id) ON DELETE RESTRICT,
    repository_name TEXT NOT NULL,
    kind TEXT NOT NULL,
    digest {bytes},
    tags TEXT NOT NULL,
    document TEXT NOT NULL,
    manifest {bytes},
    deleted_us BIGINT NOT NULL,
    deleted_by TEXT NOT NULL,
    reason TEXT NOT NULL
) {table};
CREATE INDEX trash_repository ON trash (registry_key, repository_name, deleted_us, id);
CREATE INDEX trash_kind ON trash (registry_key, repository_name, kind, deleted_us, id);
CREATE INDEX trash_digest ON trash (registry_key, repository_name, digest, kind, deleted_us, id);
CREATE INDEX trash_deleted ON trash (deleted_us);

CREATE TABLE trash_layer (
    trash_key BIGINT NOT NULL REFERENCES trash (id) ON DELETE RESTRICT,
    position BIGINT NOT NULL,
    digest {bytes} NOT NULL,
    blob_key BIGINT NOT NULL REFERENCES blob (id) ON DELETE RESTRICT,
    media_type TEXT NOT NULL,
    PRIMARY KEY (trash_key, position)
) {table};
CREATE INDEX trash_layer_blob ON trash_layer (blob_key);

CREATE TABLE job (
    id {key},
    queue TEXT NOT NULL,
    kind TEXT NOT NULL,
    args TEXT NOT NULL,
    dedup TEXT,
    state TEXT NOT NULL,
    due_us BIGINT NOT NULL,
    worker TEXT,
    lease_until_us BIGINT,
    attempt BIGINT NOT NULL,
    max_attempts BIGINT NOT NULL,
    error TEXT,
    created_us BIGINT NOT NULL,
    finished_us BIGINT
) {table};
CREATE INDEX job_due ON job (queue, due_us) WHERE state = 'ready';
CREATE INDEX job_lease ON job (lease_until_us) WHERE state = 'running';
CREATE UNIQUE INDEX job_ready_key ON job (queue, dedup) WHERE dedup IS NOT NULL AND state = 'ready';
CREATE UNIQUE INDEX job_running_key ON job (queue, dedup) WHERE dedup IS NOT NULL AND state = 'running';
