-- What servers that cache must forget, where several share the database: see openecr.db.postgres. A row is written in
-- the transaction that makes something false; its number is that transaction's, so that none is read past.
CREATE TABLE forgotten (
    id {key},
    scope TEXT NOT NULL,
    transaction_id BIGINT NOT NULL,
    forgotten_us BIGINT NOT NULL
) {table};
CREATE INDEX forgotten_transaction ON forgotten (transaction_id);
