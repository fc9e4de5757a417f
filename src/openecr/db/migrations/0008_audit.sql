-- The audit trail. Every request is recorded in files on the machine that served it; each file is sealed into the blob
-- store as it was, and a row names it. What a change did is recorded in the change's own transaction.

CREATE TABLE audit_segment (
    id {key},
    -- The file that was sealed; what a dead process had sealed before is not sealed again.
    name TEXT NOT NULL UNIQUE,
    object_id TEXT NOT NULL UNIQUE,
    data_key {bytes},
    size_bytes BIGINT NOT NULL,
    records BIGINT NOT NULL,
    first_us BIGINT NOT NULL,
    last_us BIGINT NOT NULL
) {table};
CREATE INDEX audit_segment_last ON audit_segment (last_us, id);

-- Records of changes, until they are sealed too.
CREATE TABLE audit_write (
    id {key},
    event_us BIGINT NOT NULL,
    record {bytes} NOT NULL
) {table};
CREATE INDEX audit_write_at ON audit_write (event_us, id);

-- The machines that record: until when each has sealed everything.
CREATE TABLE audit_server (
    server TEXT NOT NULL PRIMARY KEY,
    host TEXT NOT NULL,
    sealed_us BIGINT NOT NULL,
    seen_us BIGINT NOT NULL
) {table};
CREATE INDEX audit_server_seen ON audit_server (seen_us)
