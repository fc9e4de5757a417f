-- Events as EventBridge has them, in the transaction that causes them; read in order by key, kept for event_days.
CREATE TABLE event (
    id {key},
    event_id TEXT NOT NULL,
    registry_key BIGINT NOT NULL REFERENCES registry (id) ON DELETE RESTRICT,
    source TEXT NOT NULL,
    detail_type TEXT NOT NULL,
    resources TEXT NOT NULL,
    detail TEXT NOT NULL,
    at_us BIGINT NOT NULL
) {table};
CREATE INDEX event_at ON event (at_us);
CREATE INDEX event_registry ON event (registry_key)
