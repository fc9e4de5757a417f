-- What many servers on one database need (see openecr.db.postgres); an embedded deployment leaves both empty.

-- What servers that keep rows in memory must forget. A row is written in the transaction that makes something false; its
-- number is that transaction's, so that none is read past.
CREATE TABLE forgotten (
    id {key},
    scope TEXT NOT NULL,
    transaction_id BIGINT NOT NULL,
    forgotten_us BIGINT NOT NULL
) {table};
CREATE INDEX forgotten_transaction ON forgotten (transaction_id);
CREATE INDEX forgotten_at ON forgotten (forgotten_us);

-- The last transaction that each connection committed, written in that transaction: whoever lost the answer to a commit
-- reads here whether it happened.
CREATE TABLE last_commit (
    session TEXT NOT NULL PRIMARY KEY,
    number BIGINT NOT NULL,
    committed_us BIGINT NOT NULL
) {table};
CREATE INDEX last_commit_at ON last_commit (committed_us);
