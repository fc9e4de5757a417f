-- Storage classes: an archived image keeps its rows and bytes, and is not served.

ALTER TABLE image ADD COLUMN archived_us BIGINT;
ALTER TABLE image ADD COLUMN activated_us BIGINT;

-- Listings ask for active images alone unless told otherwise: the status is read from the index.
DROP INDEX image_pushed;
CREATE INDEX image_pushed ON image (repository_key, pushed_us, digest, status);
CREATE INDEX image_inactive ON image (repository_key, status, pushed_us, digest) WHERE status <> 'ACTIVE';

-- 1 where the image is not active, so that a pull of a layer finds in one step whether an active image names it.
ALTER TABLE image_layer ADD COLUMN archived BIGINT NOT NULL DEFAULT 0;
DROP INDEX image_layer_layer;
CREATE INDEX image_layer_layer ON image_layer (layer_key, archived);

-- Principals whose pulls are not noted, by ARN: one may come after its exclusion, and outlive it.
CREATE TABLE pull_time_exclusion (
    registry_key BIGINT NOT NULL REFERENCES registry (id) ON DELETE RESTRICT,
    principal_arn TEXT NOT NULL,
    created_us BIGINT NOT NULL,
    PRIMARY KEY (registry_key, principal_arn)
) {table};
CREATE INDEX pull_time_exclusion_principal ON pull_time_exclusion (principal_arn);

-- 1 where some registry excludes the principal: every request reads this row, and no other, to know.
ALTER TABLE principal ADD COLUMN pull_time_excluded BIGINT NOT NULL DEFAULT 0
