CREATE TABLE alembic_version_ledger (
    version_num character varying(32) NOT NULL
);
CREATE TABLE alembic_version_prediction_log (
    version_num character varying(32) NOT NULL
);
CREATE TABLE hosts (
    name character varying(200) NOT NULL,
    promotion bigint,
    promoted_at double precision,
    applied_at double precision,
    seen_at double precision NOT NULL
);
CREATE TABLE idempotency (
    scope character varying(20) NOT NULL,
    key character varying(200) NOT NULL,
    sha256 character varying(64) NOT NULL,
    answer text NOT NULL,
    at double precision NOT NULL
);
CREATE TABLE job_rows (
    job bigint NOT NULL,
    data text NOT NULL
);
CREATE TABLE jobs (
    id bigint NOT NULL,
    state character varying(20) NOT NULL,
    "order" text NOT NULL,
    trigger character varying(20) NOT NULL,
    request_id character varying(128),
    submitted_at double precision NOT NULL,
    started_at double precision,
    finished_at double precision,
    owner character varying(200),
    attempt integer DEFAULT 0 NOT NULL,
    lease_until double precision,
    cancel_requested boolean DEFAULT false NOT NULL,
    revision integer DEFAULT 0 NOT NULL,
    progress text,
    version integer,
    promoted boolean,
    verdict text,
    error text,
    key text,
    traceparent text
);
CREATE SEQUENCE jobs_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE jobs_id_seq OWNED BY jobs.id;
CREATE TABLE observations (
    id bigint NOT NULL,
    client_id character varying(200),
    at double precision NOT NULL,
    lights text NOT NULL,
    outcome integer NOT NULL,
    source character varying(100) NOT NULL,
    version integer,
    said integer,
    withdrawn_at double precision,
    request_id character varying(128)
);
CREATE TABLE predictions (
    id bigint NOT NULL,
    at double precision NOT NULL,
    request_id character varying(128) NOT NULL,
    "row" integer NOT NULL,
    dialect character varying(20) NOT NULL,
    version integer NOT NULL,
    lights text NOT NULL,
    score double precision NOT NULL,
    decision integer NOT NULL
);
CREATE SEQUENCE predictions_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE predictions_id_seq OWNED BY predictions.id;
CREATE TABLE promotions (
    id bigint NOT NULL,
    at double precision NOT NULL,
    action character varying(20) NOT NULL,
    version integer NOT NULL,
    instead_of integer,
    reason text NOT NULL,
    key text
);
CREATE TABLE versions (
    number integer NOT NULL,
    job bigint,
    sha256 character varying(64) NOT NULL,
    file bytea NOT NULL
);
CREATE TABLE webhook_deliveries (
    id bigint NOT NULL,
    webhook_id character varying(40) NOT NULL,
    type character varying(20) NOT NULL,
    payload text NOT NULL,
    created_at double precision NOT NULL,
    state character varying(20) NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    next_attempt_at double precision,
    finished_at double precision,
    status integer,
    error text
);
CREATE TABLE webhook_position (
    id bigint NOT NULL,
    "position" text NOT NULL
);
ALTER TABLE ONLY jobs ALTER COLUMN id SET DEFAULT nextval('jobs_id_seq'::regclass);
ALTER TABLE ONLY predictions ALTER COLUMN id SET DEFAULT nextval('predictions_id_seq'::regclass);
INSERT INTO alembic_version_ledger VALUES ('0005');
INSERT INTO alembic_version_prediction_log VALUES ('0001');
INSERT INTO hosts VALUES ('a', 2, 1795581111.5, 1795581111.6, 1795581119.25);
INSERT INTO idempotency VALUES ('observations', 'k1', 'c7091542538eb78677f385ab6b5c6fbe3cc4664e7b5574997008fc941e5768a7', 'zlib:eAGLrlYqSy1KyUwuUbJSUEpMTk4tKElNUdJRUMpMAYqYAhnJ+XklRYkgJcVAkehYoFBBUSqIn5mfBxTJK83JAYqlFhXlF0G5tbEA4Sgcjg==', 1795809375.21149);
INSERT INTO idempotency VALUES ('retrain', 'k2', '2138d01c4ccf95960017a7072b51ee62dcbd647897f316020a0284885de33815', 'zlib:eAEzBAAAMgAy', 1795809375.255345);
INSERT INTO job_rows VALUES (1, '[[[1.0, 0.0], [0.0, 1.0]], [1.0, 0.0]]');
INSERT INTO jobs VALUES (1, 'succeeded', '{"recipe": {"hidden_sizes": [8], "alpha": 0.2, "iterations": 1000, "batch_size": 1, "seed": 1, "restarts": 20, "target_error": 0.01, "patience": null, "weight_decay": 0.0, "l1_penalty": 0.0, "activation": "relu", "repeats": "grouped"}, "promote": "never", "must_hold": [], "exam": null, "data": {"source": "rows", "read": "when the job is queued", "dataset": null, "rows": 2, "last_id": null}, "last_observation": 0, "live": null}', 'request', '01a21e94740ccb59304a37a9b77a4320', 1795809375.252899, 1795809375.27186, 1795809375.350551, 'owner', 1, NULL, false, 3, '{"restart": 0, "seed": 1, "iteration": 1000, "error": 7.703719777548943e-32, "curve": [[1, 1.2977698682348986], [17, 9.871278227283754e-05], [33, 7.667987613227294e-12], [49, 6.222623972720286e-19], [65, 7.8749304044103e-26], [81, 7.703719777548943e-32], [97, 7.703719777548943e-32], [113, 7.703719777548943e-32], [129, 7.703719777548943e-32], [145, 7.703719777548943e-32], [161, 7.703719777548943e-32], [177, 7.703719777548943e-32], [193, 7.703719777548943e-32], [209, 7.703719777548943e-32], [225, 7.703719777548943e-32], [241, 7.703719777548943e-32], [257, 7.703719777548943e-32], [273, 7.703719777548943e-32], [289, 7.703719777548943e-32], [305, 7.703719777548943e-32], [321, 7.703719777548943e-32], [337, 7.703719777548943e-32], [353, 7.703719777548943e-32], [369, 7.703719777548943e-32], [385, 7.703719777548943e-32], [401, 7.703719777548943e-32], [417, 7.703719777548943e-32], [433, 7.703719777548943e-32], [449, 7.703719777548943e-32], [465, 7.703719777548943e-32], [481, 7.703719777548943e-32], [497, 7.703719777548943e-32], [513, 7.703719777548943e-32], [529, 7.703719777548943e-32], [545, 7.703719777548943e-32], [561, 7.703719777548943e-32], [577, 7.703719777548943e-32], [593, 7.703719777548943e-32], [609, 7.703719777548943e-32], [625, 7.703719777548943e-32], [641, 7.703719777548943e-32], [657, 7.703719777548943e-32], [673, 7.703719777548943e-32], [689, 7.703719777548943e-32], [705, 7.703719777548943e-32], [721, 7.703719777548943e-32], [737, 7.703719777548943e-32], [753, 7.703719777548943e-32], [769, 7.703719777548943e-32], [785, 7.703719777548943e-32], [801, 7.703719777548943e-32], [817, 7.703719777548943e-32], [833, 7.703719777548943e-32], [849, 7.703719777548943e-32], [865, 7.703719777548943e-32], [881, 7.703719777548943e-32], [897, 7.703719777548943e-32], [913, 7.703719777548943e-32], [929, 7.703719777548943e-32], [945, 7.703719777548943e-32], [961, 7.703719777548943e-32], [977, 7.703719777548943e-32], [993, 7.703719777548943e-32], [1000, 7.703719777548943e-32]]}', 2, false, '{"passed": false, "forced": false, "reasons": ["can''t compare version 1, which takes 3 lights, with version 2, which takes 2"], "against": 1, "accuracy": 1.0, "live_accuracy": null, "changed": 0, "changes": [], "unseen": false, "why_no_exam": "can''t compare version 1, which takes 3 lights, with version 2, which takes 2", "exam": null}', NULL, NULL, NULL);
INSERT INTO jobs VALUES (2, 'queued', '{"recipe": {"hidden_sizes": [8], "alpha": 0.2, "iterations": 1000, "batch_size": 1, "seed": 2, "restarts": 20, "target_error": 0.01, "patience": null, "weight_decay": 0.0, "l1_penalty": 0.0, "activation": "relu", "repeats": "grouped"}, "promote": "not_worse", "must_hold": [], "exam": null, "data": {"source": "ledger", "read": "when the job starts", "dataset": null, "rows": 5, "last_id": 6}, "last_observation": 6, "live": null}', 'request', '01a21e9474824e60621ecb864731b3a8', 1795809375.372385, NULL, NULL, NULL, 0, NULL, false, 0, NULL, NULL, NULL, NULL, NULL, 'training', '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01');
INSERT INTO observations VALUES (1, NULL, 1795809375.107825, '[1.0, 0.0, 1.0]', 1, 'lab', NULL, NULL, NULL, NULL);
INSERT INTO observations VALUES (2, NULL, 1795809375.107825, '[0.0, 1.0, 1.0]', 1, 'lab', NULL, NULL, NULL, NULL);
INSERT INTO observations VALUES (3, NULL, 1795809375.107825, '[0.0, 0.0, 1.0]', 0, 'lab', NULL, NULL, NULL, NULL);
INSERT INTO observations VALUES (4, NULL, 1795809375.107825, '[1.0, 1.0, 1.0]', 0, 'lab', NULL, NULL, NULL, NULL);
INSERT INTO observations VALUES (6, NULL, 1795809375.223003, '[1.0, 0.0, 1.0]', 1, 'api', 1, 1, NULL, 'walked');
INSERT INTO observations VALUES (5, 'mine', 1795809375.201995, '[0.0, 1.0, 0.0]', 0, 'api', 1, 1, 1795809375.24234, NULL);
INSERT INTO predictions VALUES (1, 1795809375.188098, 'walked', 0, 'native', 1, '[1.0, 0.0, 1.0]', 1, 1);
INSERT INTO promotions VALUES (1, 1795581110.5, 'promote', 1, NULL, 'first', NULL);
INSERT INTO promotions VALUES (2, 1795581111.5, 'promote', 2, 1, 'job 1', 'deployment');
INSERT INTO versions VALUES (1, NULL, '0000000000000000000000000000000000000000000000000000000000000000', '\x504b0304');
INSERT INTO versions VALUES (2, 1, '1111111111111111111111111111111111111111111111111111111111111111', '\x504b0305');
INSERT INTO webhook_deliveries VALUES (1, 'msg_0b1c2d3e4f5061728394a5b6c7d8e9f0', 'version.promoted', '{"type": "version.promoted", "timestamp": "2026-11-27T23:00:00.000+00:00", "data": {"key": "ci", "action": "promote", "version": 2, "instead_of": 1, "reason": "job 1"}}', 1795820400.25, 'delivered', 1, NULL, 1795820400.5, 204, NULL);
INSERT INTO webhook_deliveries VALUES (2, 'msg_1b1c2d3e4f5061728394a5b6c7d8e9f0', 'job.ended', '{"type": "job.ended", "timestamp": "2026-11-27T23:00:00.000+00:00", "data": {"job": 1, "state": "failed"}}', 1795820401.25, 'waiting', 2, 1795820466.5, NULL, 500, 'the receiver answered 500');
INSERT INTO webhook_position VALUES (1, '{"job": 1, "unfinished": [], "promotion": 2, "inaccurate": null}');
SELECT pg_catalog.setval('jobs_id_seq', 2, true);
SELECT pg_catalog.setval('predictions_id_seq', 1, true);
ALTER TABLE ONLY alembic_version_ledger
    ADD CONSTRAINT alembic_version_ledger_pkey PRIMARY KEY (version_num);
ALTER TABLE ONLY alembic_version_prediction_log
    ADD CONSTRAINT alembic_version_prediction_log_pkey PRIMARY KEY (version_num);
ALTER TABLE ONLY hosts
    ADD CONSTRAINT hosts_pkey PRIMARY KEY (name);
ALTER TABLE ONLY idempotency
    ADD CONSTRAINT idempotency_pkey PRIMARY KEY (scope, key);
ALTER TABLE ONLY job_rows
    ADD CONSTRAINT job_rows_pkey PRIMARY KEY (job);
ALTER TABLE ONLY jobs
    ADD CONSTRAINT jobs_pkey PRIMARY KEY (id);
ALTER TABLE ONLY observations
    ADD CONSTRAINT observations_client_id_key UNIQUE (client_id);
ALTER TABLE ONLY observations
    ADD CONSTRAINT observations_pkey PRIMARY KEY (id);
ALTER TABLE ONLY predictions
    ADD CONSTRAINT predictions_pkey PRIMARY KEY (id);
ALTER TABLE ONLY promotions
    ADD CONSTRAINT promotions_pkey PRIMARY KEY (id);
ALTER TABLE ONLY versions
    ADD CONSTRAINT versions_job_key UNIQUE (job);
ALTER TABLE ONLY versions
    ADD CONSTRAINT versions_pkey PRIMARY KEY (number);
ALTER TABLE ONLY webhook_deliveries
    ADD CONSTRAINT webhook_deliveries_pkey PRIMARY KEY (id);
ALTER TABLE ONLY webhook_position
    ADD CONSTRAINT webhook_position_pkey PRIMARY KEY (id);
CREATE INDEX ix_idempotency_at ON idempotency USING btree (at);
CREATE INDEX ix_jobs_unfinished ON jobs USING btree (id) WHERE state IN ('queued', 'running');
CREATE INDEX ix_observations_accuracy ON observations USING btree (version, id, said, outcome, withdrawn_at);
CREATE INDEX ix_observations_at ON observations USING btree (at);
CREATE INDEX ix_observations_state ON observations USING btree (lights, outcome, id);
CREATE INDEX ix_observations_withdrawn ON observations USING btree (withdrawn_at) WHERE (withdrawn_at IS NOT NULL);
CREATE INDEX ix_predictions_at ON predictions USING btree (at);
CREATE INDEX ix_predictions_request_id ON predictions USING btree (request_id);
CREATE INDEX ix_predictions_version ON predictions USING btree (version, id);
CREATE INDEX ix_webhook_deliveries_created_at ON webhook_deliveries USING btree (created_at);
CREATE INDEX ix_webhook_deliveries_waiting ON webhook_deliveries USING btree (next_attempt_at) WHERE state = 'waiting';
