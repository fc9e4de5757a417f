BEGIN TRANSACTION;
CREATE TABLE access_key (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    access_key_id TEXT NOT NULL UNIQUE,
    principal_key INTEGER NOT NULL REFERENCES principal (id) ON DELETE RESTRICT,
    sealed_secret BLOB NOT NULL,
    active INTEGER NOT NULL,
    created_us INTEGER NOT NULL
) STRICT;
INSERT INTO "access_key" VALUES(1,'AKIA4HO2PPUEA336P7HV',1,X'000000041B538A0F2659C9CC54819AC30D58C5ADC7BAF029A687DF4AC1807B9F487C84BDE88ABE6486298BF38602A778B2D239C3F3B52B6FDB0C938CC7E14EA25EF0B98075CE7B5D',1,1795479180317724);
INSERT INTO "access_key" VALUES(2,'AKIABHROQRHZQSHR4OCE',2,X'00000004A579B4DDEF8C380B4A0F57B07B92455B3AB35F0A1A2FC34DB9E2467AC12A70D4A113E88045673E1F46AB9DBF28727AB836EBA490FDB0379400BFCEFDD1F04E4CFDD47C8A',1,1795479181054197);
CREATE TABLE access_key_use (
    access_key_id TEXT NOT NULL PRIMARY KEY,
    used_us INTEGER NOT NULL,
    service TEXT NOT NULL,
    region TEXT NOT NULL
) STRICT;
CREATE TABLE account (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id TEXT NOT NULL UNIQUE,
    created_us INTEGER NOT NULL
, organization_id TEXT) STRICT;
INSERT INTO "account" VALUES(1,'123456789012',1795479180317724,NULL);
INSERT INTO "account" VALUES(2,'999988887777',1795479181054197,NULL);
CREATE TABLE account_setting (
    registry_key INTEGER NOT NULL REFERENCES registry (id) ON DELETE RESTRICT,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (registry_key, name)
) STRICT;
INSERT INTO "account_setting" VALUES(1,'BLOB_MOUNTING','ENABLED');
CREATE TABLE attached_policy (
    principal_key INTEGER NOT NULL REFERENCES principal (id) ON DELETE RESTRICT,
    policy_arn TEXT NOT NULL,
    policy_key INTEGER REFERENCES managed_policy (id) ON DELETE RESTRICT,
    attached_us INTEGER NOT NULL,
    PRIMARY KEY (principal_key, policy_arn)
) STRICT;
INSERT INTO "attached_policy" VALUES(1,'arn:aws:iam::aws:policy/AdministratorAccess',NULL,1795479180317724);
INSERT INTO "attached_policy" VALUES(2,'arn:aws:iam::aws:policy/AdministratorAccess',NULL,1795479181054197);
CREATE TABLE audit_segment (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- The file that was sealed; what a dead process had sealed before is not sealed again.
    name TEXT NOT NULL UNIQUE,
    object_id TEXT NOT NULL UNIQUE,
    data_key BLOB,
    size_bytes INTEGER NOT NULL,
    records INTEGER NOT NULL,
    first_us INTEGER NOT NULL,
    last_us INTEGER NOT NULL
) STRICT;
CREATE TABLE audit_server (
    server TEXT NOT NULL PRIMARY KEY,
    host TEXT NOT NULL,
    sealed_us INTEGER NOT NULL,
    seen_us INTEGER NOT NULL
) STRICT;
CREATE TABLE audit_write (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    event_us INTEGER NOT NULL,
    record BLOB NOT NULL
) STRICT;
CREATE TABLE blob (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    registry_key INTEGER NOT NULL REFERENCES registry (id) ON DELETE RESTRICT,
    encryption_key TEXT NOT NULL,
    object_id TEXT NOT NULL UNIQUE,
    cipher TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    created_us INTEGER NOT NULL,
    -- Since when no link and no trash has held it; NULL while something does.
    unheld_us INTEGER
, data_key BLOB, former_object_id TEXT, quarantined_us INTEGER, damage TEXT) STRICT;
INSERT INTO "blob" VALUES(1,1,'AES256:','0d65457e-9b07-4e8a-9500-9aaa7084f263','aes-256-gcm',55,1795479182717739,NULL,X'0100000005AB','0d65457e-9b07-4e8a-9500-9aaa7084f264',NULL,NULL);
INSERT INTO "blob" VALUES(2,1,'AES256:','bf4c4485-908c-4f4c-9d1f-77457a540cbe','none',9,1795479182728910,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "blob" VALUES(3,1,'AES256:','cd71e21e-8334-4d7e-bc85-17ab592f13ad','none',55,1795479182742815,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "blob" VALUES(4,1,'AES256:','27e379fc-fe00-43e3-abab-bfa71a185196','none',9,1795479182759333,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "blob" VALUES(5,1,'AES256:','a6489b75-5dee-4880-a715-8846f2067b15','none',56,1795479182768937,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "blob" VALUES(6,1,'AES256:','d5ee40b4-9cb8-4fc4-be92-01beb3b6f231','none',11,1795479182774917,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE blob_digest (
    registry_key INTEGER NOT NULL REFERENCES registry (id) ON DELETE RESTRICT,
    encryption_key TEXT NOT NULL,
    digest BLOB NOT NULL,
    blob_key INTEGER NOT NULL REFERENCES blob (id) ON DELETE RESTRICT,
    PRIMARY KEY (registry_key, encryption_key, digest)
) STRICT;
INSERT INTO "blob_digest" VALUES(1,'AES256:',X'0149C970632025B843600FC1D543611045EAD874DF9E10DA0538BD0676A51DE78D',1);
INSERT INTO "blob_digest" VALUES(1,'AES256:',X'01F191E625176E7514249870C60BC24622131B04927A418001D1969C9CECD260F1',2);
INSERT INTO "blob_digest" VALUES(1,'AES256:',X'01368624C41679537EE6D82C62E585355CF2E572325EEEAEE4F5BE714BCB3A7AE8',3);
INSERT INTO "blob_digest" VALUES(1,'AES256:',X'0177C7ED05B2E49DF2E55D70CB007508CC66B2F5419A940BFD6F8749BA7DB77C45',4);
INSERT INTO "blob_digest" VALUES(1,'AES256:',X'01ABD606F2126ECA580469CC6210CE92C8C2E4604215488CBFA0175E8D6256377A',5);
INSERT INTO "blob_digest" VALUES(1,'AES256:',X'016483085B79DCEF99D4D90B43A910666CDCE078BF772DA453728F8C385FBFDF2F',6);
CREATE TABLE deployment (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;
INSERT INTO "deployment" VALUES('oldest_reader','7');
INSERT INTO "deployment" VALUES('created_us','1795479180317724');
INSERT INTO "deployment" VALUES('clock','true');
INSERT INTO "deployment" VALUES('kms_keys_adopted','1795479180317724');
CREATE TABLE deployment_key (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    use TEXT NOT NULL,
    wrapped BLOB NOT NULL,
    created_us INTEGER NOT NULL,
    retired_us INTEGER
) STRICT;
INSERT INTO "deployment_key" VALUES(1,'registry-token',X'4CD15748E287F3B2653E8B2B6711CCF4E1002930662CAC3B6021C3393FDB9F4482C63DA029A17C33C7518D7678A8F5DDFB505F58B4248930171BA150',1795479180317724,NULL);
INSERT INTO "deployment_key" VALUES(2,'layer-url',X'013D4DCF7E62F0291274A48C9EC9EEAA76EA52C2EF8DE3446FFED5D434132E25A7D9459C2C60DA5D7CF43314C0978A3415C86E6274FF4BD65A47AC5F',1795479180317724,NULL);
INSERT INTO "deployment_key" VALUES(3,'page-token',X'06AE154F1C82BD265B93F5DB27819142E8845EE5CB41933636C1B24F748FEAC9D4265966FFEC2F3BCE75098D68755553546D99300120796476C8C2C1',1795479180317724,NULL);
INSERT INTO "deployment_key" VALUES(4,'secrets',X'47646BF1AF6556A5E80F9985AA6D3ECC71885298FABCF15EAD07EC79FA452A5BCF92265392B838E3867A0653C6F429EF011508765F93034788A5C7EA',1795479180317724,NULL);
INSERT INTO "deployment_key" VALUES(5,'blob-data-key',X'00',1795479180317724,NULL);
CREATE TABLE discarded_object (
    object_id TEXT NOT NULL PRIMARY KEY,
    due_us INTEGER NOT NULL
) STRICT;
INSERT INTO "discarded_object" VALUES('1c876a45-d88b-4ec9-9219-273f54475296',1795482782749447);
CREATE TABLE event (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id TEXT NOT NULL,
    registry_key INTEGER NOT NULL REFERENCES registry (id) ON DELETE RESTRICT,
    source TEXT NOT NULL,
    detail_type TEXT NOT NULL,
    resources TEXT NOT NULL,
    detail TEXT NOT NULL,
    at_us INTEGER NOT NULL
) STRICT;
CREATE TABLE finding_details (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    sha256 BLOB NOT NULL UNIQUE,
    document TEXT NOT NULL
) STRICT;
CREATE TABLE forgotten (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    scope TEXT NOT NULL,
    transaction_id INTEGER NOT NULL,
    forgotten_us INTEGER NOT NULL
) STRICT;
CREATE TABLE group_member (
    group_key INTEGER NOT NULL REFERENCES principal (id) ON DELETE RESTRICT,
    principal_key INTEGER NOT NULL REFERENCES principal (id) ON DELETE RESTRICT,
    PRIMARY KEY (group_key, principal_key)
) STRICT;
CREATE TABLE identity_tag (
    principal_key INTEGER NOT NULL REFERENCES principal (id) ON DELETE RESTRICT,
    tag_key TEXT NOT NULL,
    tag_value TEXT NOT NULL,
    PRIMARY KEY (principal_key, tag_key)
) STRICT;
CREATE TABLE image (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    repository_key INTEGER NOT NULL REFERENCES repository (id) ON DELETE RESTRICT,
    digest BLOB NOT NULL,
    media_type TEXT NOT NULL,
    artifact_type TEXT,
    config_media_type TEXT,
    subject_digest BLOB,
    annotations TEXT,
    platform TEXT,
    manifest_size_bytes INTEGER NOT NULL,
    image_size_bytes INTEGER NOT NULL,
    pushed_us INTEGER NOT NULL,
    pulled_us INTEGER,
    ever_tagged INTEGER NOT NULL,
    status TEXT NOT NULL,
    manifest BLOB NOT NULL, archived_us INTEGER, activated_us INTEGER,
    UNIQUE (repository_key, digest)
) STRICT;
INSERT INTO "image" VALUES(1,1,X'010EF7BF4FC4DAAFFCD7EE5AC2F4B381DC4187D14641D6BB108B8FF1C9E8B82ED5','application/vnd.oci.image.manifest.v1+json',NULL,'application/vnd.oci.image.config.v1+json',NULL,NULL,NULL,415,64,1795479182731095,1795479182790766,1,'ACTIVE',X'7B22736368656D6156657273696F6E223A20322C20226D6564696154797065223A20226170706C69636174696F6E2F766E642E6F63692E696D6167652E6D616E69666573742E76312B6A736F6E222C2022636F6E666967223A207B226D6564696154797065223A20226170706C69636174696F6E2F766E642E6F63692E696D6167652E636F6E6669672E76312B6A736F6E222C2022646967657374223A20227368613235363A34396339373036333230323562383433363030666331643534333631313034356561643837346466396531306461303533386264303637366135316465373864222C202273697A65223A2035357D2C20226C6179657273223A205B7B226D6564696154797065223A20226170706C69636174696F6E2F766E642E6F63692E696D6167652E6C617965722E76312E7461722B677A6970222C2022646967657374223A20227368613235363A66313931653632353137366537353134323439383730633630626332343632323133316230343932376134313830303164313936396339636563643236306631222C202273697A65223A20397D5D7D',NULL,NULL);
INSERT INTO "image" VALUES(2,1,X'01623AF41BC4EA14C331A324BDC983C7C58BE56E67E5A096186169115888627DDB','application/vnd.oci.image.manifest.v1+json',NULL,'application/vnd.oci.image.config.v1+json',NULL,NULL,NULL,573,73,1795479182760900,NULL,1,'ACTIVE',X'7B22736368656D6156657273696F6E223A20322C20226D6564696154797065223A20226170706C69636174696F6E2F766E642E6F63692E696D6167652E6D616E69666573742E76312B6A736F6E222C2022636F6E666967223A207B226D6564696154797065223A20226170706C69636174696F6E2F766E642E6F63692E696D6167652E636F6E6669672E76312B6A736F6E222C2022646967657374223A20227368613235363A33363836323463343136373935333765653664383263363265353835333535636632653537323332356565656165653466356265373134626362336137616538222C202273697A65223A2035357D2C20226C6179657273223A205B7B226D6564696154797065223A20226170706C69636174696F6E2F766E642E6F63692E696D6167652E6C617965722E76312E7461722B677A6970222C2022646967657374223A20227368613235363A66313931653632353137366537353134323439383730633630626332343632323133316230343932376134313830303164313936396339636563643236306631222C202273697A65223A20397D2C207B226D6564696154797065223A20226170706C69636174696F6E2F766E642E6F63692E696D6167652E6C617965722E76312E7461722B677A6970222C2022646967657374223A20227368613235363A37376337656430356232653439646632653535643730636230303735303863633636623266353431396139343062666436663837343962613764623737633435222C202273697A65223A20397D5D7D',NULL,NULL);
INSERT INTO "image" VALUES(3,1,X'01D0F2047824B9047187A49BC49703B70712020B2DFB60E00E4D48E0F45CDE08FA','application/vnd.oci.image.index.v1+json',NULL,NULL,NULL,NULL,NULL,250,64,1795479182762865,NULL,1,'ACTIVE',X'7B22736368656D6156657273696F6E223A20322C20226D6564696154797065223A20226170706C69636174696F6E2F766E642E6F63692E696D6167652E696E6465782E76312B6A736F6E222C20226D616E696665737473223A205B7B226D6564696154797065223A20226170706C69636174696F6E2F766E642E6F63692E696D6167652E6D616E69666573742E76312B6A736F6E222C2022646967657374223A20227368613235363A30656637626634666334646161666663643765653561633266346233383164633431383764313436343164366262313038623866663163396538623832656435222C202273697A65223A203431357D5D7D',NULL,NULL);
CREATE TABLE image_child (
    image_key INTEGER NOT NULL REFERENCES image (id) ON DELETE RESTRICT,
    position INTEGER NOT NULL,
    child_key INTEGER NOT NULL REFERENCES image (id) ON DELETE RESTRICT,
    PRIMARY KEY (image_key, position)
) STRICT;
INSERT INTO "image_child" VALUES(3,0,1);
CREATE TABLE image_gap (
    image_key INTEGER NOT NULL REFERENCES image (id) ON DELETE RESTRICT,
    position INTEGER NOT NULL,
    repository_key INTEGER NOT NULL REFERENCES repository (id) ON DELETE RESTRICT,
    digest BLOB NOT NULL,
    media_type TEXT NOT NULL,
    PRIMARY KEY (image_key, position)
) STRICT;
CREATE TABLE image_inventory (
    image_key INTEGER NOT NULL PRIMARY KEY REFERENCES image (id) ON DELETE RESTRICT,
    catalogers TEXT NOT NULL,
    document BLOB NOT NULL,
    indexed_us INTEGER NOT NULL
) STRICT;
CREATE TABLE image_layer (
    image_key INTEGER NOT NULL REFERENCES image (id) ON DELETE RESTRICT,
    position INTEGER NOT NULL,
    layer_key INTEGER NOT NULL REFERENCES layer (id) ON DELETE RESTRICT,
    media_type TEXT NOT NULL, archived INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (image_key, position)
) STRICT;
INSERT INTO "image_layer" VALUES(1,0,1,'application/vnd.oci.image.config.v1+json',0);
INSERT INTO "image_layer" VALUES(1,1,2,'application/vnd.oci.image.layer.v1.tar+gzip',0);
INSERT INTO "image_layer" VALUES(2,0,3,'application/vnd.oci.image.config.v1+json',0);
INSERT INTO "image_layer" VALUES(2,1,2,'application/vnd.oci.image.layer.v1.tar+gzip',0);
INSERT INTO "image_layer" VALUES(2,2,5,'application/vnd.oci.image.layer.v1.tar+gzip',0);
CREATE TABLE image_package (
    image_key INTEGER NOT NULL REFERENCES image (id) ON DELETE RESTRICT,
    package_key INTEGER NOT NULL REFERENCES scanned_package (id) ON DELETE RESTRICT,
    -- 1 where it is the distribution's: basic scanning reports no other.
    of_distribution INTEGER NOT NULL,
    PRIMARY KEY (image_key, package_key)
) STRICT;
CREATE TABLE image_scan (
    image_key INTEGER NOT NULL REFERENCES image (id) ON DELETE RESTRICT,
    scan_type TEXT NOT NULL,
    status TEXT NOT NULL,
    description TEXT NOT NULL,
    requested_us INTEGER NOT NULL,
    -- When StartImageScan last began one that did not fail.
    manual_us INTEGER,
    completed_us INTEGER,
    first_us INTEGER,
    -- The generation that findings are of; NULL where they follow the data.
    generation INTEGER,
    data_built_us INTEGER,
    counts TEXT NOT NULL,
    -- What the scan could not judge, so that nothing unknown passes as clean.
    gaps TEXT NOT NULL,
    PRIMARY KEY (image_key, scan_type)
) STRICT;
CREATE TABLE image_suppression (
    image_key INTEGER NOT NULL REFERENCES image (id) ON DELETE RESTRICT,
    package_key INTEGER NOT NULL REFERENCES scanned_package (id) ON DELETE RESTRICT,
    name TEXT NOT NULL,
    justification TEXT NOT NULL,
    source TEXT NOT NULL,
    PRIMARY KEY (image_key, package_key, name)
) STRICT;
CREATE TABLE inline_policy (
    principal_key INTEGER NOT NULL REFERENCES principal (id) ON DELETE RESTRICT,
    name TEXT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (principal_key, name)
) STRICT;
CREATE TABLE job (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    queue TEXT NOT NULL,
    kind TEXT NOT NULL,
    args TEXT NOT NULL,
    dedup TEXT,
    state TEXT NOT NULL,
    due_us INTEGER NOT NULL,
    worker TEXT,
    lease_until_us INTEGER,
    attempt INTEGER NOT NULL,
    max_attempts INTEGER NOT NULL,
    error TEXT,
    created_us INTEGER NOT NULL,
    finished_us INTEGER
, lost INTEGER NOT NULL DEFAULT 0) STRICT;
INSERT INTO "job" VALUES(1,'default','expire-uploads','{}','schedule:expire-uploads','ready',1795479780720751,NULL,NULL,0,5,NULL,1795479180720752,NULL,0);
INSERT INTO "job" VALUES(2,'default','collect-garbage','{}','schedule:collect-garbage','ready',1795479480720838,NULL,NULL,0,5,NULL,1795479180720838,NULL,0);
CREATE TABLE kms_alias (
    account_id TEXT NOT NULL,
    region TEXT NOT NULL,
    name TEXT NOT NULL,
    kms_key INTEGER NOT NULL REFERENCES kms_key (id) ON DELETE RESTRICT,
    created_us INTEGER NOT NULL,
    PRIMARY KEY (account_id, region, name)
) STRICT;
INSERT INTO "kms_alias" VALUES('123456789012','us-east-1','alias/kept',1,1795479180317724);
CREATE TABLE kms_key (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    arn TEXT NOT NULL UNIQUE,
    account_id TEXT NOT NULL,
    region TEXT NOT NULL,
    description TEXT NOT NULL,
    manager TEXT NOT NULL,
    state TEXT NOT NULL,
    sealed_material BLOB,
    created_us INTEGER NOT NULL,
    deletion_us INTEGER
) STRICT;
INSERT INTO "kms_key" VALUES(1,'arn:aws:kms:us-east-1:123456789012:key/6f3f5a39-2c4a-4b0e-9a55-3f0b4a4de001','123456789012','us-east-1','kept','CUSTOMER','PendingDeletion',X'00000004AA',1795479180317724,1798071180317724);
CREATE TABLE last_commit (
    session TEXT NOT NULL PRIMARY KEY,
    number INTEGER NOT NULL,
    committed_us INTEGER NOT NULL
) STRICT;
CREATE TABLE layer (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    repository_key INTEGER NOT NULL REFERENCES repository (id) ON DELETE RESTRICT,
    digest BLOB NOT NULL,
    blob_key INTEGER NOT NULL REFERENCES blob (id) ON DELETE RESTRICT,
    promised_until_us INTEGER NOT NULL,
    linked_us INTEGER NOT NULL,
    UNIQUE (repository_key, digest)
) STRICT;
INSERT INTO "layer" VALUES(1,1,X'0149C970632025B843600FC1D543611045EAD874DF9E10DA0538BD0676A51DE78D',1,1795565582717908,1795479182717906);
INSERT INTO "layer" VALUES(2,1,X'01F191E625176E7514249870C60BC24622131B04927A418001D1969C9CECD260F1',2,1795565582749498,1795479182728955);
INSERT INTO "layer" VALUES(3,1,X'01368624C41679537EE6D82C62E585355CF2E572325EEEAEE4F5BE714BCB3A7AE8',3,1795565582742894,1795479182742892);
INSERT INTO "layer" VALUES(5,1,X'0177C7ED05B2E49DF2E55D70CB007508CC66B2F5419A940BFD6F8749BA7DB77C45',4,1795565582759367,1795479182759367);
INSERT INTO "layer" VALUES(6,1,X'01ABD606F2126ECA580469CC6210CE92C8C2E4604215488CBFA0175E8D6256377A',5,1795565582768972,1795479182768971);
INSERT INTO "layer" VALUES(7,1,X'016483085B79DCEF99D4D90B43A910666CDCE078BF772DA453728F8C385FBFDF2F',6,1795565582774949,1795479182774948);
CREATE TABLE layer_inventory (
    blob_key INTEGER NOT NULL PRIMARY KEY REFERENCES blob (id) ON DELETE RESTRICT,
    catalogers TEXT NOT NULL,
    inventory BLOB NOT NULL
) STRICT;
CREATE TABLE lifecycle_policy (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    repository_key INTEGER NOT NULL UNIQUE REFERENCES repository (id) ON DELETE RESTRICT,
    text TEXT NOT NULL,
    -- Audit records name both; a run whose policy was put again meanwhile stops.
    policy_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    put_us INTEGER NOT NULL,
    evaluated_us INTEGER NOT NULL,
    expired INTEGER NOT NULL,
    -- The safety brake stopped it; it runs again once it is put again, or an operator lets it.
    stopped_us INTEGER,
    stopped_why TEXT,
    unbraked INTEGER NOT NULL
) STRICT;
CREATE TABLE lifecycle_preview (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    repository_key INTEGER NOT NULL UNIQUE REFERENCES repository (id) ON DELETE RESTRICT,
    text TEXT NOT NULL,
    run INTEGER NOT NULL,
    started_us INTEGER NOT NULL,
    finished_us INTEGER,
    expiring INTEGER NOT NULL,
    transitioning INTEGER NOT NULL
) STRICT;
CREATE TABLE lifecycle_preview_result (
    preview_key INTEGER NOT NULL REFERENCES lifecycle_preview (id) ON DELETE RESTRICT,
    run INTEGER NOT NULL,
    position INTEGER NOT NULL,
    digest BLOB NOT NULL,
    tags TEXT NOT NULL,
    tagged INTEGER NOT NULL,
    pushed_us INTEGER NOT NULL,
    storage_class TEXT NOT NULL,
    priority INTEGER NOT NULL,
    action TEXT NOT NULL,
    PRIMARY KEY (preview_key, run, position)
) STRICT;
CREATE TABLE managed_policy (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account_key INTEGER NOT NULL REFERENCES account (id) ON DELETE RESTRICT,
    arn TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    folded TEXT NOT NULL,
    path TEXT NOT NULL,
    unique_id TEXT NOT NULL UNIQUE,
    description TEXT NOT NULL,
    default_version INTEGER NOT NULL,
    newest_version INTEGER NOT NULL,
    created_us INTEGER NOT NULL,
    updated_us INTEGER NOT NULL,
    UNIQUE (account_key, folded)
) STRICT;
CREATE TABLE managed_policy_version (
    policy_key INTEGER NOT NULL REFERENCES managed_policy (id) ON DELETE RESTRICT,
    version INTEGER NOT NULL,
    document TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    PRIMARY KEY (policy_key, version)
) STRICT;
CREATE TABLE object_hold (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    holder TEXT NOT NULL UNIQUE,
    until_us INTEGER NOT NULL
) STRICT;
CREATE TABLE oidc_provider (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account_key INTEGER NOT NULL REFERENCES account (id) ON DELETE RESTRICT,
    -- The issuer without its scheme, as ARNs and condition keys spell it.
    url TEXT NOT NULL,
    client_ids TEXT NOT NULL,
    thumbprints TEXT NOT NULL,
    -- A JSON Web Key Set that an operator gave, where the issuer cannot be asked.
    given_keys TEXT,
    created_us INTEGER NOT NULL,
    UNIQUE (account_key, url)
) STRICT;
CREATE TABLE package_finding (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    package_key INTEGER NOT NULL REFERENCES scanned_package (id) ON DELETE RESTRICT,
    name TEXT NOT NULL,
    severity INTEGER NOT NULL,
    score_tenths INTEGER,
    fixed_version TEXT,
    details_key INTEGER NOT NULL REFERENCES finding_details (id) ON DELETE RESTRICT,
    since_generation INTEGER NOT NULL,
    since_us INTEGER NOT NULL,
    -- NULL while it holds. What only changed its severity, fix or text goes on under the same first_us.
    until_generation INTEGER,
    until_us INTEGER,
    first_us INTEGER NOT NULL,
    UNIQUE (package_key, name, since_generation)
) STRICT;
CREATE TABLE principal (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account_key INTEGER NOT NULL REFERENCES account (id) ON DELETE RESTRICT,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    unique_id TEXT NOT NULL UNIQUE,
    administrator INTEGER NOT NULL,
    created_us INTEGER NOT NULL, path TEXT NOT NULL DEFAULT '/', folded TEXT NOT NULL DEFAULT '', description TEXT NOT NULL DEFAULT '', access_version TEXT NOT NULL DEFAULT '', boundary_arn TEXT, trust_policy TEXT, session_seconds INTEGER NOT NULL DEFAULT 3600, pull_time_excluded INTEGER NOT NULL DEFAULT 0,
    UNIQUE (account_key, kind, name)
) STRICT;
INSERT INTO "principal" VALUES(1,1,'user','administrator','AIDAM67LECUB4UPGJ66T5',1,1795479180317724,'/','administrator','','',NULL,NULL,3600,0);
INSERT INTO "principal" VALUES(2,2,'user','administrator','AIDAUEXCZDUVJFUR7E2YO',1,1795479181054197,'/','administrator','','',NULL,NULL,3600,0);
CREATE TABLE pull_time_exclusion (
    registry_key INTEGER NOT NULL REFERENCES registry (id) ON DELETE RESTRICT,
    principal_arn TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    PRIMARY KEY (registry_key, principal_arn)
) STRICT;
CREATE TABLE registry (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id TEXT NOT NULL,
    region TEXT NOT NULL,
    created_us INTEGER NOT NULL, policy TEXT,
    UNIQUE (account_id, region)
) STRICT;
INSERT INTO "registry" VALUES(1,'123456789012','us-east-1',1795479181972149,NULL);
CREATE TABLE registry_scanning (
    registry_key INTEGER NOT NULL PRIMARY KEY REFERENCES registry (id) ON DELETE RESTRICT,
    scan_type TEXT NOT NULL,
    rules TEXT NOT NULL,
    changed_us INTEGER NOT NULL,
    pull_gate TEXT
) STRICT;
CREATE TABLE repository (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    registry_key INTEGER NOT NULL REFERENCES registry (id) ON DELETE RESTRICT,
    name TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    tag_mutability TEXT NOT NULL,
    mutability_filters TEXT NOT NULL,
    scan_on_push INTEGER NOT NULL,
    encryption_type TEXT NOT NULL,
    kms_key TEXT,
    -- A deleted repository keeps its rows under a name that no client can spell, until it is undeleted or purged.
    trashed_us INTEGER, policy TEXT, pull_gate TEXT, attached_sbom TEXT,
    UNIQUE (registry_key, name)
) STRICT;
INSERT INTO "repository" VALUES(1,1,'kept/app',1795479181972149,'IMMUTABLE_WITH_EXCLUSION','["latest*"]',0,'AES256',NULL,NULL,NULL,NULL,NULL);
INSERT INTO "repository" VALUES(2,1,'kept/gone#2',1795479181977678,'MUTABLE','[]',0,'AES256',NULL,1795479182784766,NULL,NULL,NULL);
CREATE TABLE resource_tag (
    repository_key INTEGER NOT NULL REFERENCES repository (id) ON DELETE RESTRICT,
    tag_key TEXT NOT NULL,
    tag_value TEXT NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (repository_key, tag_key)
) STRICT;
INSERT INTO "resource_tag" VALUES(1,'team','platform',1);
CREATE TABLE scanned_package (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    ecosystem TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    module TEXT NOT NULL,
    UNIQUE (ecosystem, name, version, module)
) STRICT;
CREATE TABLE session (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    access_key_id TEXT NOT NULL UNIQUE,
    principal_key INTEGER NOT NULL REFERENCES principal (id) ON DELETE RESTRICT,
    sealed_secret BLOB NOT NULL,
    token_digest BLOB NOT NULL,
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
    chained INTEGER NOT NULL,
    created_us INTEGER NOT NULL,
    expires_us INTEGER NOT NULL,
    kept_until_us INTEGER NOT NULL
) STRICT;
CREATE TABLE storage_quota (
    account_id TEXT NOT NULL,
    region TEXT NOT NULL,
    repository_name TEXT NOT NULL,
    limit_bytes INTEGER NOT NULL,
    used_bytes INTEGER NOT NULL,
    position INTEGER NOT NULL,
    measured_us INTEGER NOT NULL,
    PRIMARY KEY (account_id, region, repository_name)
) STRICT;
CREATE TABLE tag (
    repository_key INTEGER NOT NULL REFERENCES repository (id) ON DELETE RESTRICT,
    name TEXT NOT NULL,
    image_key INTEGER NOT NULL REFERENCES image (id) ON DELETE RESTRICT,
    moved_us INTEGER NOT NULL,
    PRIMARY KEY (repository_key, name)
) STRICT;
INSERT INTO "tag" VALUES(1,'v1',1,1795479182731095);
INSERT INTO "tag" VALUES(1,'v2',2,1795479182760900);
INSERT INTO "tag" VALUES(1,'multi',3,1795479182762865);
CREATE TABLE trash (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    registry_key INTEGER NOT NULL REFERENCES registry (id) ON DELETE RESTRICT,
    repository_name TEXT NOT NULL,
    kind TEXT NOT NULL,
    digest BLOB,
    tags TEXT NOT NULL,
    document TEXT NOT NULL,
    manifest BLOB,
    deleted_us INTEGER NOT NULL,
    deleted_by TEXT NOT NULL,
    reason TEXT NOT NULL
) STRICT;
INSERT INTO "trash" VALUES(1,1,'kept/app','image',X'01D4ED00253BA93F16AB12BB3ACB5948FCCE04CE20A3C415600F6D29E8F1C80108','["old"]','{"mediaType":"application/vnd.oci.image.manifest.v1+json","pushedUs":1795479182776249,"everTagged":1}',X'7B22736368656D6156657273696F6E223A20322C20226D6564696154797065223A20226170706C69636174696F6E2F766E642E6F63692E696D6167652E6D616E69666573742E76312B6A736F6E222C2022636F6E666967223A207B226D6564696154797065223A20226170706C69636174696F6E2F766E642E6F63692E696D6167652E636F6E6669672E76312B6A736F6E222C2022646967657374223A20227368613235363A61626436303666323132366563613538303436396363363231306365393263386332653436303432313534383863626661303137356538643632353633373761222C202273697A65223A2035367D2C20226C6179657273223A205B7B226D6564696154797065223A20226170706C69636174696F6E2F766E642E6F63692E696D6167652E6C617965722E76312E7461722B677A6970222C2022646967657374223A20227368613235363A36343833303835623739646365663939643464393062343361393130363636636463653037386266373732646134353337323866386333383566626664663266222C202273697A65223A2031317D5D7D',1795479182780427,'arn:aws:iam::123456789012:user/administrator','BatchDeleteImage');
INSERT INTO "trash" VALUES(2,1,'kept/gone','repository',NULL,'[]','{"repositoryKey":2}',NULL,1795479182784766,'arn:aws:iam::123456789012:user/administrator','DeleteRepository');
CREATE TABLE trash_layer (
    trash_key INTEGER NOT NULL REFERENCES trash (id) ON DELETE RESTRICT,
    position INTEGER NOT NULL,
    digest BLOB NOT NULL,
    blob_key INTEGER NOT NULL REFERENCES blob (id) ON DELETE RESTRICT,
    media_type TEXT NOT NULL,
    PRIMARY KEY (trash_key, position)
) STRICT;
INSERT INTO "trash_layer" VALUES(1,0,X'01ABD606F2126ECA580469CC6210CE92C8C2E4604215488CBFA0175E8D6256377A',5,'application/vnd.oci.image.config.v1+json');
INSERT INTO "trash_layer" VALUES(1,1,X'016483085B79DCEF99D4D90B43A910666CDCE078BF772DA453728F8C385FBFDF2F',6,'application/vnd.oci.image.layer.v1.tar+gzip');
CREATE TABLE upload (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    upload_id TEXT NOT NULL UNIQUE,
    repository_key INTEGER NOT NULL REFERENCES repository (id) ON DELETE RESTRICT,
    principal_key INTEGER NOT NULL,
    object_id TEXT NOT NULL UNIQUE,
    offset_bytes INTEGER NOT NULL,
    sha256_state BLOB,
    lease_holder TEXT,
    lease_until_us INTEGER NOT NULL,
    created_us INTEGER NOT NULL,
    touched_us INTEGER NOT NULL
, cipher TEXT NOT NULL DEFAULT 'none', data_key BLOB) STRICT;
INSERT INTO "upload" VALUES(8,'bfb95769-41fa-4d14-b5d6-cb96ca93daa7',1,1,'052f0c2e-3587-40a7-9b07-c759d2790622',10,X'9B569CD062350EF2205068FC6EAB4DEE71BA9DC7D7855CE4815FDE7AEE7F5787',NULL,0,1795479182787178,1795479182789744,'none',NULL);
CREATE TABLE upload_segment (
    upload_key INTEGER NOT NULL REFERENCES upload (id) ON DELETE RESTRICT,
    offset_bytes INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    PRIMARY KEY (upload_key, offset_bytes)
) STRICT;
INSERT INTO "upload_segment" VALUES(8,0,10);
CREATE TABLE vex_document (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    registry_key INTEGER NOT NULL REFERENCES registry (id) ON DELETE RESTRICT,
    name TEXT NOT NULL,
    repository_pattern TEXT NOT NULL,
    document TEXT NOT NULL,
    added_us INTEGER NOT NULL,
    UNIQUE (registry_key, name)
) STRICT;
CREATE TABLE vpc (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    vpc_id TEXT NOT NULL UNIQUE,
    account_id TEXT NOT NULL,
    region TEXT NOT NULL,
    -- JSON: networks, listeners, subnets, security groups, route tables, endpoints (access/vpcs.py).
    document TEXT NOT NULL,
    created_us INTEGER NOT NULL
) STRICT;
INSERT INTO "vpc" VALUES(1,'vpc-12345678','123456789012','us-east-1','{"vpc_id":"vpc-12345678","account_id":"123456789012","region":"us-east-1","cidrs":["10.0.0.0/16"],"counts":true,"listeners":[],"public_access":true,"subnets":[{"subnet_id":"subnet-11112222","cidr":"10.0.1.0/24","zone":"us-east-1a","route_table_id":null,"association_id":null,"tags":{}}],"groups":[{"group_id":"sg-80bacbb1b050febe8","name":"default","description":"default VPC security group","rules":[{"rule_id":"sgr-9a71e90fd04eb62ec","protocol":"-1","from_port":-1,"to_port":-1,"cidr":"10.0.0.0/16","description":""}],"tags":{}}],"route_tables":[{"route_table_id":"rtb-bd382706277469242","main_association_id":"rtbassoc-be205b6c02101d5ef","tags":{}}],"endpoints":[{"endpoint_id":"vpce-0123456789abcdef0","service":"ecr.dkr","created_us":1795479180317724,"policy":null,"private_dns":true,"subnet_ids":["subnet-11112222"],"group_ids":["sg-80bacbb1b050febe8"],"route_table_ids":[],"client_token":"","tags":{}}],"tags":{}}',1795479180317724);
CREATE TABLE vulnerability_data (
    -- When it was published: generations grow, even over a backup that was restored.
    generation INTEGER NOT NULL PRIMARY KEY,
    object_id TEXT NOT NULL UNIQUE,
    size_bytes INTEGER NOT NULL,
    sha256 BLOB NOT NULL,
    built_us INTEGER NOT NULL,
    sources TEXT NOT NULL
) STRICT;
CREATE INDEX access_key_principal ON access_key (principal_key);
CREATE INDEX blob_registry ON blob (registry_key);
CREATE INDEX blob_unheld ON blob (unheld_us) WHERE unheld_us IS NOT NULL;
CREATE INDEX blob_digest_blob ON blob_digest (blob_key);
CREATE INDEX layer_blob ON layer (blob_key, digest, repository_key);
CREATE INDEX layer_promise ON layer (promised_until_us, id);
CREATE INDEX image_subject ON image (repository_key, subject_digest, digest);
CREATE INDEX tag_image ON tag (image_key, name);
CREATE INDEX image_child_child ON image_child (child_key, image_key);
CREATE INDEX image_gap_digest ON image_gap (repository_key, digest);
CREATE INDEX upload_touched ON upload (touched_us);
CREATE INDEX upload_repository ON upload (repository_key);
CREATE INDEX discarded_object_due ON discarded_object (due_us);
CREATE INDEX trash_repository ON trash (registry_key, repository_name, deleted_us, id);
CREATE INDEX trash_kind ON trash (registry_key, repository_name, kind, deleted_us, id);
CREATE INDEX trash_digest ON trash (registry_key, repository_name, digest, kind, deleted_us, id);
CREATE INDEX trash_deleted ON trash (deleted_us);
CREATE INDEX trash_layer_blob ON trash_layer (blob_key);
CREATE INDEX job_due ON job (queue, due_us) WHERE state = 'ready';
CREATE INDEX job_lease ON job (lease_until_us) WHERE state = 'running';
CREATE UNIQUE INDEX job_ready_key ON job (queue, dedup) WHERE dedup IS NOT NULL AND state = 'ready';
CREATE UNIQUE INDEX job_running_key ON job (queue, dedup) WHERE dedup IS NOT NULL AND state = 'running';
CREATE UNIQUE INDEX blob_former_object ON blob (former_object_id) WHERE former_object_id IS NOT NULL;
CREATE INDEX blob_plain ON blob (encryption_key, id) WHERE cipher = 'none';
CREATE INDEX kms_key_owner ON kms_key (account_id, region, id) WHERE state <> 'Deleted';
CREATE INDEX kms_key_deletion ON kms_key (deletion_us) WHERE state = 'PendingDeletion';
CREATE INDEX kms_alias_key ON kms_alias (kms_key, name);
CREATE INDEX forgotten_transaction ON forgotten (transaction_id);
CREATE INDEX forgotten_at ON forgotten (forgotten_us);
CREATE INDEX last_commit_at ON last_commit (committed_us);
CREATE INDEX blob_quarantined ON blob (quarantined_us, id) WHERE quarantined_us IS NOT NULL;
CREATE INDEX blob_digest_digest ON blob_digest (digest);
CREATE INDEX object_hold_until ON object_hold (until_us);
CREATE INDEX blob_registry_id ON blob (registry_key, id);
CREATE INDEX layer_repository_id ON layer (repository_key, id);
CREATE INDEX repository_live ON repository (registry_key) WHERE trashed_us IS NULL;
CREATE UNIQUE INDEX principal_folded ON principal (account_key, kind, folded);
CREATE INDEX group_member_principal ON group_member (principal_key);
CREATE INDEX attached_policy_arn ON attached_policy (policy_arn, principal_key);
CREATE INDEX attached_policy_key ON attached_policy (policy_key);
CREATE INDEX principal_boundary ON principal (boundary_arn) WHERE boundary_arn IS NOT NULL;
CREATE INDEX session_principal ON session (principal_key, id);
CREATE INDEX session_kept ON session (kept_until_us);
CREATE INDEX vpc_owner ON vpc (account_id, region, vpc_id);
CREATE INDEX audit_segment_last ON audit_segment (last_us, id);
CREATE INDEX audit_write_at ON audit_write (event_us, id);
CREATE INDEX audit_server_seen ON audit_server (seen_us);
CREATE INDEX lifecycle_preview_result_digest ON lifecycle_preview_result (preview_key, run, digest);
CREATE INDEX image_pushed ON image (repository_key, pushed_us, digest, status);
CREATE INDEX image_inactive ON image (repository_key, status, pushed_us, digest) WHERE status <> 'ACTIVE';
CREATE INDEX image_layer_layer ON image_layer (layer_key, archived);
CREATE INDEX pull_time_exclusion_principal ON pull_time_exclusion (principal_arn);
CREATE INDEX package_finding_name ON package_finding (name, package_key);
CREATE INDEX package_finding_details ON package_finding (details_key);
CREATE INDEX image_package_package ON image_package (package_key, image_key);
CREATE INDEX image_scan_status ON image_scan (status, scan_type, image_key);
CREATE INDEX image_suppression_package ON image_suppression (package_key);
CREATE INDEX event_at ON event (at_us);
CREATE INDEX event_registry ON event (registry_key);
CREATE INDEX job_dead_key ON job (queue, dedup) WHERE dedup IS NOT NULL AND state = 'dead';
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('deployment_key',5);
INSERT INTO "sqlite_sequence" VALUES('account',2);
INSERT INTO "sqlite_sequence" VALUES('principal',2);
INSERT INTO "sqlite_sequence" VALUES('access_key',2);
INSERT INTO "sqlite_sequence" VALUES('job',2);
INSERT INTO "sqlite_sequence" VALUES('registry',3);
INSERT INTO "sqlite_sequence" VALUES('repository',2);
INSERT INTO "sqlite_sequence" VALUES('upload',8);
INSERT INTO "sqlite_sequence" VALUES('blob',6);
INSERT INTO "sqlite_sequence" VALUES('layer',7);
INSERT INTO "sqlite_sequence" VALUES('image',4);
INSERT INTO "sqlite_sequence" VALUES('trash',2);
INSERT INTO "sqlite_sequence" VALUES('kms_key',1);
INSERT INTO "sqlite_sequence" VALUES('vpc',1);
COMMIT;
PRAGMA user_version = 13;
