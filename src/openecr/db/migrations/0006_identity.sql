-- Who may do what: IAM's identities and policies, STS's sessions, the policies of repositories and registries.
-- An older release would not see a deny: it must not use this schema.

UPDATE deployment SET value = '6' WHERE name = 'oldest_reader';

-- ``o-...``: what aws:PrincipalOrgID is for the account's principals.
ALTER TABLE account ADD COLUMN organization_id TEXT;
-- A name instead of the number, no two accounts' the same.
ALTER TABLE account ADD COLUMN alias TEXT;
CREATE UNIQUE INDEX account_alias ON account (alias) WHERE alias IS NOT NULL;

-- IAM's identities: users, roles and groups; a group is attached policies and is no principal. ``access_version`` is a
-- fresh text whenever what the identity may do changes, so that compiled policies are known by it. ``folded`` is the name
-- in lower case: IAM's names differ by more than case.
ALTER TABLE principal ADD COLUMN path TEXT NOT NULL DEFAULT '/';
ALTER TABLE principal ADD COLUMN folded TEXT NOT NULL DEFAULT '';
ALTER TABLE principal ADD COLUMN description TEXT NOT NULL DEFAULT '';
ALTER TABLE principal ADD COLUMN access_version TEXT NOT NULL DEFAULT '';
ALTER TABLE principal ADD COLUMN boundary_arn TEXT;
ALTER TABLE principal ADD COLUMN trust_policy TEXT;
ALTER TABLE principal ADD COLUMN session_seconds BIGINT NOT NULL DEFAULT 3600;
UPDATE principal SET folded = lower(name);
CREATE UNIQUE INDEX principal_folded ON principal (account_key, kind, folded);

CREATE TABLE group_member (
    group_key BIGINT NOT NULL REFERENCES principal (id) ON DELETE RESTRICT,
    principal_key BIGINT NOT NULL REFERENCES principal (id) ON DELETE RESTRICT,
    PRIMARY KEY (group_key, principal_key)
) {table};
CREATE INDEX group_member_principal ON group_member (principal_key, group_key);

CREATE TABLE identity_tag (
    principal_key BIGINT NOT NULL REFERENCES principal (id) ON DELETE RESTRICT,
    tag_key TEXT NOT NULL,
    tag_value TEXT NOT NULL,
    PRIMARY KEY (principal_key, tag_key)
) {table};

-- Customers' managed policies; those of AWS are in access/aws_managed.py.
CREATE TABLE managed_policy (
    id {key},
    account_key BIGINT NOT NULL REFERENCES account (id) ON DELETE RESTRICT,
    arn TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    folded TEXT NOT NULL,
    path TEXT NOT NULL,
    unique_id TEXT NOT NULL UNIQUE,
    description TEXT NOT NULL,
    default_version BIGINT NOT NULL,
    newest_version BIGINT NOT NULL,
    -- JSON: {tag: value}.
    tags TEXT NOT NULL,
    created_us BIGINT NOT NULL,
    updated_us BIGINT NOT NULL,
    UNIQUE (account_key, folded)
) {table};

CREATE TABLE managed_policy_version (
    policy_key BIGINT NOT NULL REFERENCES managed_policy (id) ON DELETE RESTRICT,
    version BIGINT NOT NULL,
    document TEXT NOT NULL,
    created_us BIGINT NOT NULL,
    PRIMARY KEY (policy_key, version)
) {table};

-- A customer's policy or one of AWS, by ARN: the former has its row, which its attachments hold.
CREATE TABLE attached_policy (
    principal_key BIGINT NOT NULL REFERENCES principal (id) ON DELETE RESTRICT,
    policy_arn TEXT NOT NULL,
    policy_key BIGINT REFERENCES managed_policy (id) ON DELETE RESTRICT,
    attached_us BIGINT NOT NULL,
    PRIMARY KEY (principal_key, policy_arn)
) {table};
CREATE INDEX attached_policy_arn ON attached_policy (policy_arn, principal_key);
CREATE INDEX attached_policy_key ON attached_policy (policy_key);
CREATE INDEX principal_boundary ON principal (boundary_arn, id) WHERE boundary_arn IS NOT NULL;

CREATE TABLE inline_policy (
    principal_key BIGINT NOT NULL REFERENCES principal (id) ON DELETE RESTRICT,
    name TEXT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (principal_key, name)
) {table};

-- Until now a flag made an account's first user its administrator: now a policy does, which may be detached.
INSERT INTO attached_policy (principal_key, policy_arn, attached_us)
    SELECT id, 'arn:aws:iam::aws:policy/AdministratorAccess', created_us FROM principal WHERE administrator = 1;

-- Written in batches, so that using a key writes no row of it. The use of a role's sessions is under its unique id.
CREATE TABLE access_key_use (
    access_key_id TEXT NOT NULL PRIMARY KEY,
    used_us BIGINT NOT NULL,
    service TEXT NOT NULL,
    region TEXT NOT NULL
) {table};

CREATE TABLE oidc_provider (
    id {key},
    account_key BIGINT NOT NULL REFERENCES account (id) ON DELETE RESTRICT,
    -- The issuer without its scheme, as ARNs and condition keys spell it.
    url TEXT NOT NULL,
    client_ids TEXT NOT NULL,
    thumbprints TEXT NOT NULL,
    -- A JSON Web Key Set that an operator gave, where the issuer cannot be asked.
    given_keys TEXT,
    -- JSON: {tag: value}.
    tags TEXT NOT NULL DEFAULT '{}',
    created_us BIGINT NOT NULL,
    UNIQUE (account_key, url)
) {table};

-- What hands a role to a machine.
CREATE TABLE instance_profile (
    id {key},
    account_key BIGINT NOT NULL REFERENCES account (id) ON DELETE RESTRICT,
    name TEXT NOT NULL,
    folded TEXT NOT NULL,
    path TEXT NOT NULL,
    unique_id TEXT NOT NULL UNIQUE,
    role_key BIGINT REFERENCES principal (id) ON DELETE RESTRICT,
    -- JSON: {tag: value}.
    tags TEXT NOT NULL,
    created_us BIGINT NOT NULL,
    UNIQUE (account_key, folded)
) {table};
CREATE INDEX instance_profile_role ON instance_profile (role_key, id);

-- Temporary credentials of STS. A row outlives its credentials as long as registry tokens that they asked for may live.
CREATE TABLE session (
    id {key},
    access_key_id TEXT NOT NULL UNIQUE,
    principal_key BIGINT NOT NULL REFERENCES principal (id) ON DELETE RESTRICT,
    sealed_secret {bytes} NOT NULL,
    token_digest {bytes} NOT NULL,
    -- The role session's name; empty for a user's own session.
    name TEXT NOT NULL,
    -- JSON: [[policy's name, document], ...]; empty where the session has no policy of its own.
    policies TEXT NOT NULL,
    -- JSON: {tag: value}, and the keys of those that a chained session inherits.
    tags TEXT NOT NULL,
    transitive_tags TEXT NOT NULL,
    source_identity TEXT NOT NULL,
    -- The OIDC provider that vouched for the caller; empty otherwise.
    provider TEXT NOT NULL,
    chained BIGINT NOT NULL,
    created_us BIGINT NOT NULL,
    expires_us BIGINT NOT NULL,
    kept_until_us BIGINT NOT NULL
) {table};
CREATE INDEX session_principal ON session (principal_key, id);
CREATE INDEX session_kept ON session (kept_until_us);

-- As its owner set it, with the unique ids of users and roles in place of their ARNs: an ARN that is made again is
-- another principal.
ALTER TABLE repository ADD COLUMN policy TEXT;
ALTER TABLE registry ADD COLUMN policy TEXT;

-- Who gets a role's sessions without a secret of IAM: tasks, which hold a bearer token, and nodes, which come from a
-- network. ``service`` is the principal that the role must trust. The role is known by its unique id: one that is made
-- again under the same name is another.
CREATE TABLE workload (
    id {key},
    name TEXT NOT NULL UNIQUE,
    service TEXT NOT NULL,
    role_id TEXT NOT NULL,
    session_seconds BIGINT NOT NULL,
    -- The session that is handed out now, by every server, until it is time for the next.
    access_key_id TEXT,
    sealed_session {bytes},
    renew_us BIGINT NOT NULL DEFAULT 0,
    created_us BIGINT NOT NULL
) {table};

CREATE TABLE workload_token (
    token_digest {bytes} NOT NULL PRIMARY KEY,
    workload_key BIGINT NOT NULL REFERENCES workload (id) ON DELETE RESTRICT,
    created_us BIGINT NOT NULL,
    expires_us BIGINT
) {table};
CREATE INDEX workload_token_workload ON workload_token (workload_key, created_us);

-- Every session of which credentials or a registry token may live: they end with the workload.
CREATE TABLE workload_session (
    access_key_id TEXT NOT NULL PRIMARY KEY,
    workload_key BIGINT NOT NULL REFERENCES workload (id) ON DELETE RESTRICT
) {table};
CREATE INDEX workload_session_workload ON workload_session (workload_key);

CREATE TABLE workload_source (
    network TEXT NOT NULL PRIMARY KEY,
    workload_key BIGINT NOT NULL REFERENCES workload (id) ON DELETE RESTRICT
) {table};
CREATE INDEX workload_source_workload ON workload_source (workload_key, network);
