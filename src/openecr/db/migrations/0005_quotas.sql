-- Storage quotas, by name: one outlives its repository and may come before it. An empty region means the whole account,
-- an empty repository name the whole registry. What was used is written by a job, never by a push: a push adds the rows
-- after ``position`` (links of a repository, blobs of a registry) to it, so that no push waits for another's row.
CREATE TABLE storage_quota (
    account_id TEXT NOT NULL,
    region TEXT NOT NULL,
    repository_name TEXT NOT NULL,
    limit_bytes BIGINT NOT NULL,
    used_bytes BIGINT NOT NULL,
    position BIGINT NOT NULL,
    measured_us BIGINT NOT NULL,
    PRIMARY KEY (account_id, region, repository_name)
) {table};

-- What was added since a measurement, and steps of bounded size.
CREATE INDEX blob_registry_id ON blob (registry_key, id);
CREATE INDEX layer_repository_id ON layer (repository_key, id);

-- The repositories of a registry that count.
CREATE INDEX repository_live ON repository (registry_key) WHERE trashed_us IS NULL;

-- How often a job's worker died with it: such a job runs alone, so that one that kills its process takes none along.
ALTER TABLE job ADD COLUMN lost BIGINT NOT NULL DEFAULT 0;
