-- A blob whose object lost or changed its bytes is quarantined: its row and what is left of its bytes stay, nothing
-- serves it, and a push of the same layer takes its place.
ALTER TABLE blob ADD COLUMN quarantined_us BIGINT;
ALTER TABLE blob ADD COLUMN damage TEXT;
CREATE INDEX blob_quarantined ON blob (quarantined_us, id) WHERE quarantined_us IS NOT NULL;

-- The same bytes in another registry heal a damaged blob.
CREATE INDEX blob_digest_digest ON blob_digest (digest);

-- Who needs every object that a snapshot names, and until when: deleting objects waits.
CREATE TABLE object_hold (
    id {key},
    holder TEXT NOT NULL UNIQUE,
    until_us BIGINT NOT NULL
) {table};
CREATE INDEX object_hold_until ON object_hold (until_us)
