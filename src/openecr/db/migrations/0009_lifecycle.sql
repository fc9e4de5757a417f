-- Lifecycle policies: the text as it was put, when it ran last, and why it does not run. A trashed repository keeps its.

CREATE TABLE lifecycle_policy (
    id {key},
    repository_key BIGINT NOT NULL UNIQUE REFERENCES repository (id) ON DELETE RESTRICT,
    text TEXT NOT NULL,
    -- Audit records name both; a run whose policy was put again meanwhile stops.
    policy_id TEXT NOT NULL,
    version BIGINT NOT NULL,
    put_us BIGINT NOT NULL,
    evaluated_us BIGINT NOT NULL,
    expired BIGINT NOT NULL,
    -- The safety brake stopped it; it runs again once it is put again, or an operator lets it.
    stopped_us BIGINT,
    stopped_why TEXT,
    unbraked BIGINT NOT NULL
) {table};

-- The last preview of each repository. Results are those of its last run; what earlier runs left goes in batches.
CREATE TABLE lifecycle_preview (
    id {key},
    repository_key BIGINT NOT NULL UNIQUE REFERENCES repository (id) ON DELETE RESTRICT,
    text TEXT NOT NULL,
    run BIGINT NOT NULL,
    started_us BIGINT NOT NULL,
    finished_us BIGINT,
    expiring BIGINT NOT NULL,
    transitioning BIGINT NOT NULL
) {table};

CREATE TABLE lifecycle_preview_result (
    preview_key BIGINT NOT NULL REFERENCES lifecycle_preview (id) ON DELETE RESTRICT,
    run BIGINT NOT NULL,
    position BIGINT NOT NULL,
    digest {bytes} NOT NULL,
    tags TEXT NOT NULL,
    tagged BIGINT NOT NULL,
    pushed_us BIGINT NOT NULL,
    storage_class TEXT NOT NULL,
    priority BIGINT NOT NULL,
    action TEXT NOT NULL,
    PRIMARY KEY (preview_key, run, position)
) {table};
CREATE INDEX lifecycle_preview_result_digest ON lifecycle_preview_result (preview_key, run, digest)
