-- Encryption at rest: a data key per object, wrapped, beside the object's id; and the keys of the local KMS.
-- An older release would append plain bytes to an encrypted object: it must not use this schema.

UPDATE deployment SET value = '2' WHERE name = 'oldest_reader';

ALTER TABLE upload ADD COLUMN cipher TEXT NOT NULL DEFAULT 'none';
ALTER TABLE upload ADD COLUMN data_key {bytes};

ALTER TABLE blob ADD COLUMN data_key {bytes};
-- The object that held the bytes before they were encrypted: presigned URLs name it for an hour more.
ALTER TABLE blob ADD COLUMN former_object_id TEXT;
CREATE UNIQUE INDEX blob_former_object ON blob (former_object_id) WHERE former_object_id IS NOT NULL;
CREATE INDEX blob_plain ON blob (encryption_key, id) WHERE cipher = 'none';

-- A key that was deleted keeps its row without its material, so that its ARN never means another key.
CREATE TABLE kms_key (
    id {key},
    arn TEXT NOT NULL UNIQUE,
    account_id TEXT NOT NULL,
    region TEXT NOT NULL,
    description TEXT NOT NULL,
    manager TEXT NOT NULL,
    state TEXT NOT NULL,
    sealed_material {bytes},
    created_us BIGINT NOT NULL,
    deletion_us BIGINT
) {table};
CREATE INDEX kms_key_owner ON kms_key (account_id, region, id) WHERE state <> 'Deleted';
CREATE INDEX kms_key_deletion ON kms_key (deletion_us) WHERE state = 'PendingDeletion';

CREATE TABLE kms_alias (
    account_id TEXT NOT NULL,
    region TEXT NOT NULL,
    name TEXT NOT NULL,
    kms_key BIGINT NOT NULL REFERENCES kms_key (id) ON DELETE RESTRICT,
    created_us BIGINT NOT NULL,
    PRIMARY KEY (account_id, region, name)
) {table};
CREATE INDEX kms_alias_key ON kms_alias (kms_key, name);
