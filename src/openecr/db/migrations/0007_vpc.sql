-- VPCs: the source networks that are declared as such, and what is in each. A VPC is an aggregate in one row: everything
-- in it refers to nothing outside, is small by quota, and is decided on together (decision 0019).
-- An older release would not see what a private network may not reach: it must not use this schema.

UPDATE deployment SET value = '7' WHERE name = 'oldest_reader';

CREATE TABLE vpc (
    id {key},
    vpc_id TEXT NOT NULL UNIQUE,
    account_id TEXT NOT NULL,
    region TEXT NOT NULL,
    -- JSON: networks, listeners, subnets, security groups, route tables, endpoints (access/vpcs.py).
    document TEXT NOT NULL,
    created_us BIGINT NOT NULL
) {table};
CREATE INDEX vpc_owner ON vpc (account_id, region, vpc_id);
