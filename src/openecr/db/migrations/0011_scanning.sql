-- Scanning: what layers and images hold, what vulnerability data says of it, and what became of each image's scan.

-- Builds of the vulnerability data, each a file in the blob store; the newest is in use. A verdict is of a
-- generation, so that findings of one moment stay what they were.
CREATE TABLE vulnerability_data (
    -- When it was published: generations grow, even over a backup that was restored.
    generation BIGINT NOT NULL PRIMARY KEY,
    object_id TEXT NOT NULL UNIQUE,
    size_bytes BIGINT NOT NULL,
    sha256 {bytes} NOT NULL,
    built_us BIGINT NOT NULL,
    sources TEXT NOT NULL
) {table};

-- PutRegistryScanningConfiguration; a registry without a row scans as ECR's do: BASIC, by the repositories' own flags.
CREATE TABLE registry_scanning (
    registry_key BIGINT NOT NULL PRIMARY KEY REFERENCES registry (id) ON DELETE RESTRICT,
    scan_type TEXT NOT NULL,
    rules TEXT NOT NULL,
    changed_us BIGINT NOT NULL,
    pull_gate TEXT
) {table};

-- Which pulls are refused for what a scan found, and which SBOM is attached to what is scanned.
ALTER TABLE repository ADD COLUMN pull_gate TEXT;
ALTER TABLE repository ADD COLUMN attached_sbom TEXT;

-- What a layer's bytes hold, as the catalogers of one version read them.
CREATE TABLE layer_inventory (
    blob_key BIGINT NOT NULL PRIMARY KEY REFERENCES blob (id) ON DELETE RESTRICT,
    catalogers TEXT NOT NULL,
    inventory {bytes} NOT NULL
) {table};

-- Packages that verdicts are made of, whichever images hold them.
CREATE TABLE scanned_package (
    id {key},
    ecosystem TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    module TEXT NOT NULL,
    UNIQUE (ecosystem, name, version, module)
) {table};

-- What is told of a vulnerability; each text once.
CREATE TABLE finding_details (
    id {key},
    sha256 {bytes} NOT NULL UNIQUE,
    document TEXT NOT NULL
) {table};

-- A vulnerability that affects a package, from one generation of the data until another.
CREATE TABLE package_finding (
    id {key},
    package_key BIGINT NOT NULL REFERENCES scanned_package (id) ON DELETE RESTRICT,
    name TEXT NOT NULL,
    severity BIGINT NOT NULL,
    score_tenths BIGINT,
    fixed_version TEXT,
    details_key BIGINT NOT NULL REFERENCES finding_details (id) ON DELETE RESTRICT,
    since_generation BIGINT NOT NULL,
    since_us BIGINT NOT NULL,
    -- NULL while it holds. What only changed its severity, fix or text goes on under the same first_us.
    until_generation BIGINT,
    until_us BIGINT,
    first_us BIGINT NOT NULL,
    UNIQUE (package_key, name, since_generation)
) {table};
CREATE INDEX package_finding_name ON package_finding (name, package_key);
CREATE INDEX package_finding_details ON package_finding (details_key);

-- What an image holds: its packages with their places as a compressed document, and a row for each that verdicts are of.
CREATE TABLE image_inventory (
    image_key BIGINT NOT NULL PRIMARY KEY REFERENCES image (id) ON DELETE RESTRICT,
    catalogers TEXT NOT NULL,
    document {bytes} NOT NULL,
    indexed_us BIGINT NOT NULL
) {table};

CREATE TABLE image_package (
    image_key BIGINT NOT NULL REFERENCES image (id) ON DELETE RESTRICT,
    package_key BIGINT NOT NULL REFERENCES scanned_package (id) ON DELETE RESTRICT,
    -- 1 where it is the distribution's: basic scanning reports no other.
    of_distribution BIGINT NOT NULL,
    PRIMARY KEY (image_key, package_key)
) {table};
CREATE INDEX image_package_package ON image_package (package_key, image_key);

-- The last scan of an image of either type; switching the registry's type hides the other's.
CREATE TABLE image_scan (
    image_key BIGINT NOT NULL REFERENCES image (id) ON DELETE RESTRICT,
    scan_type TEXT NOT NULL,
    status TEXT NOT NULL,
    description TEXT NOT NULL,
    requested_us BIGINT NOT NULL,
    -- When StartImageScan last began one that did not fail.
    manual_us BIGINT,
    completed_us BIGINT,
    first_us BIGINT,
    -- The generation that findings are of; NULL where they follow the data.
    generation BIGINT,
    data_built_us BIGINT,
    counts TEXT NOT NULL,
    -- What the scan could not judge, so that nothing unknown passes as clean.
    gaps TEXT NOT NULL,
    PRIMARY KEY (image_key, scan_type)
) {table};
CREATE INDEX image_scan_status ON image_scan (status, scan_type, image_key);

-- VEX documents that an administrator keeps for the repositories whose names a pattern matches.
CREATE TABLE vex_document (
    id {key},
    registry_key BIGINT NOT NULL REFERENCES registry (id) ON DELETE RESTRICT,
    name TEXT NOT NULL,
    repository_pattern TEXT NOT NULL,
    document TEXT NOT NULL,
    added_us BIGINT NOT NULL,
    UNIQUE (registry_key, name)
) {table};

-- Findings of an image that a VEX statement suppresses.
CREATE TABLE image_suppression (
    image_key BIGINT NOT NULL REFERENCES image (id) ON DELETE RESTRICT,
    package_key BIGINT NOT NULL REFERENCES scanned_package (id) ON DELETE RESTRICT,
    name TEXT NOT NULL,
    justification TEXT NOT NULL,
    source TEXT NOT NULL,
    PRIMARY KEY (image_key, package_key, name)
) {table};
CREATE INDEX image_suppression_package ON image_suppression (package_key)
