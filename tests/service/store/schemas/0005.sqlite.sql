BEGIN TRANSACTION;
CREATE TABLE alembic_version_ledger (
	version_num VARCHAR(32) NOT NULL, 
	PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version_ledger" VALUES('0005');
CREATE TABLE hosts (
	name VARCHAR(200) NOT NULL, 
	promotion BIGINT, 
	promoted_at DOUBLE, 
	applied_at DOUBLE, 
	seen_at DOUBLE NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "hosts" VALUES('a',2,1795581111.5,1795581111.6,1795581119.25);
CREATE TABLE idempotency (
	scope VARCHAR(20) NOT NULL, 
	"key" VARCHAR(200) NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	answer TEXT NOT NULL, 
	at DOUBLE NOT NULL, 
	PRIMARY KEY (scope, "key")
);
INSERT INTO "idempotency" VALUES('observations','k1','c7091542538eb78677f385ab6b5c6fbe3cc4664e7b5574997008fc941e5768a7','zlib:eAGLrlYqSy1KyUwuUbJSUEpMTk4tKElNUdJRUMpMAYqYAhnJ+XklRYkgJcVAkehYoFBBUSqIn5mfBxTJK83JAYqlFhXlF0G5tbEA4Sgcjg==',1.79580937458900499349e+09);
INSERT INTO "idempotency" VALUES('retrain','k2','2138d01c4ccf95960017a7072b51ee62dcbd647897f316020a0284885de33815','zlib:eAEzBAAAMgAy',1.79580937461499571799e+09);
CREATE TABLE job_rows (
	job INTEGER NOT NULL, 
	data TEXT NOT NULL, 
	PRIMARY KEY (job)
);
INSERT INTO "job_rows" VALUES(1,'[[[1.0, 0.0], [0.0, 1.0]], [1.0, 0.0]]');
CREATE TABLE jobs (
	id INTEGER NOT NULL, 
	state VARCHAR(20) NOT NULL, 
	"order" TEXT NOT NULL, 
	"trigger" VARCHAR(20) NOT NULL, 
	request_id VARCHAR(128), 
	submitted_at DOUBLE NOT NULL, 
	started_at DOUBLE, 
	finished_at DOUBLE, 
	owner VARCHAR(200), 
	attempt INTEGER DEFAULT '0' NOT NULL, 
	lease_until DOUBLE, 
	cancel_requested BOOLEAN DEFAULT false NOT NULL, 
	revision INTEGER DEFAULT '0' NOT NULL, 
	progress TEXT, 
	version INTEGER, 
	promoted BOOLEAN, 
	verdict TEXT, 
	error TEXT, "key" TEXT, traceparent TEXT, 
	PRIMARY KEY (id)
);
INSERT INTO "jobs" VALUES(1,'succeeded','{"recipe": {"hidden_sizes": [8], "alpha": 0.2, "iterations": 1000, "batch_size": 1, "seed": 1, "restarts": 20, "target_error": 0.01, "patience": null, "weight_decay": 0.0, "l1_penalty": 0.0, "activation": "relu", "repeats": "grouped"}, "promote": "never", "must_hold": [], "exam": null, "data": {"source": "rows", "read": "when the job is queued", "dataset": null, "rows": 2, "last_id": null}, "last_observation": 0, "live": null}','request','01a21e94718db1dde2ecbeb0c96acb8e',1.79580937460799503323e+09,1.7958093746469810009e+09,1.79580937471400952339e+09,'owner',1,NULL,0,3,'{"restart": 0, "seed": 1, "iteration": 1000, "error": 7.703719777548943e-32, "curve": [[1, 1.2977698682348986], [17, 9.871278227283754e-05], [33, 7.667987613227294e-12], [49, 6.222623972720286e-19], [65, 7.8749304044103e-26], [81, 7.703719777548943e-32], [97, 7.703719777548943e-32], [113, 7.703719777548943e-32], [129, 7.703719777548943e-32], [145, 7.703719777548943e-32], [161, 7.703719777548943e-32], [177, 7.703719777548943e-32], [193, 7.703719777548943e-32], [209, 7.703719777548943e-32], [225, 7.703719777548943e-32], [241, 7.703719777548943e-32], [257, 7.703719777548943e-32], [273, 7.703719777548943e-32], [289, 7.703719777548943e-32], [305, 7.703719777548943e-32], [321, 7.703719777548943e-32], [337, 7.703719777548943e-32], [353, 7.703719777548943e-32], [369, 7.703719777548943e-32], [385, 7.703719777548943e-32], [401, 7.703719777548943e-32], [417, 7.703719777548943e-32], [433, 7.703719777548943e-32], [449, 7.703719777548943e-32], [465, 7.703719777548943e-32], [481, 7.703719777548943e-32], [497, 7.703719777548943e-32], [513, 7.703719777548943e-32], [529, 7.703719777548943e-32], [545, 7.703719777548943e-32], [561, 7.703719777548943e-32], [577, 7.703719777548943e-32], [593, 7.703719777548943e-32], [609, 7.703719777548943e-32], [625, 7.703719777548943e-32], [641, 7.703719777548943e-32], [657, 7.703719777548943e-32], [673, 7.703719777548943e-32], [689, 7.703719777548943e-32], [705, 7.703719777548943e-32], [721, 7.703719777548943e-32], [737, 7.703719777548943e-32], [753, 7.703719777548943e-32], [769, 7.703719777548943e-32], [785, 7.703719777548943e-32], [801, 7.703719777548943e-32], [817, 7.703719777548943e-32], [833, 7.703719777548943e-32], [849, 7.703719777548943e-32], [865, 7.703719777548943e-32], [881, 7.703719777548943e-32], [897, 7.703719777548943e-32], [913, 7.703719777548943e-32], [929, 7.703719777548943e-32], [945, 7.703719777548943e-32], [961, 7.703719777548943e-32], [977, 7.703719777548943e-32], [993, 7.703719777548943e-32], [1000, 7.703719777548943e-32]]}',2,0,'{"passed": false, "forced": false, "reasons": ["can''t compare version 1, which takes 3 lights, with version 2, which takes 2"], "against": 1, "accuracy": 1.0, "live_accuracy": null, "changed": 0, "changes": [], "unseen": false, "why_no_exam": "can''t compare version 1, which takes 3 lights, with version 2, which takes 2", "exam": null}',NULL,NULL,NULL);
INSERT INTO "jobs" VALUES(2,'queued','{"recipe": {"hidden_sizes": [8], "alpha": 0.2, "iterations": 1000, "batch_size": 1, "seed": 2, "restarts": 20, "target_error": 0.01, "patience": null, "weight_decay": 0.0, "l1_penalty": 0.0, "activation": "relu", "repeats": "grouped"}, "promote": "not_worse", "must_hold": [], "exam": null, "data": {"source": "ledger", "read": "when the job starts", "dataset": null, "rows": 5, "last_id": 6}, "last_observation": 6, "live": null}','request','01a21e94720117e6d081afe3982bf416',1.79580937472499322891e+09,NULL,NULL,NULL,0,NULL,0,0,NULL,NULL,NULL,NULL,NULL,'training','00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01');
CREATE TABLE observations (
	id INTEGER NOT NULL, 
	client_id VARCHAR(200), 
	at DOUBLE NOT NULL, 
	lights TEXT NOT NULL, 
	outcome INTEGER NOT NULL, 
	source VARCHAR(100) NOT NULL, 
	version INTEGER, 
	said INTEGER, 
	withdrawn_at DOUBLE, 
	request_id VARCHAR(128), 
	PRIMARY KEY (id), 
	UNIQUE (client_id)
);
INSERT INTO "observations" VALUES(1,NULL,1.79580937451099300382e+09,'[1.0, 0.0, 1.0]',1,'lab',NULL,NULL,NULL,NULL);
INSERT INTO "observations" VALUES(2,NULL,1.79580937451099300382e+09,'[0.0, 1.0, 1.0]',1,'lab',NULL,NULL,NULL,NULL);
INSERT INTO "observations" VALUES(3,NULL,1.79580937451099300382e+09,'[0.0, 0.0, 1.0]',0,'lab',NULL,NULL,NULL,NULL);
INSERT INTO "observations" VALUES(4,NULL,1.79580937451099300382e+09,'[1.0, 1.0, 1.0]',0,'lab',NULL,NULL,NULL,NULL);
INSERT INTO "observations" VALUES(5,'mine',1.79580937458598756785e+09,'[0.0, 1.0, 0.0]',0,'api',1,1,1.79580937459998869892e+09,NULL);
INSERT INTO "observations" VALUES(6,NULL,1.79580937459499979016e+09,'[1.0, 0.0, 1.0]',1,'api',1,1,NULL,'walked');
CREATE TABLE promotions (
	id INTEGER NOT NULL, 
	at DOUBLE NOT NULL, 
	action VARCHAR(20) NOT NULL, 
	version INTEGER NOT NULL, 
	instead_of INTEGER, 
	reason TEXT NOT NULL, "key" TEXT, 
	PRIMARY KEY (id)
);
INSERT INTO "promotions" VALUES(1,1795581110.5,'promote',1,NULL,'first',NULL);
INSERT INTO "promotions" VALUES(2,1795581111.5,'promote',2,1,'job 1','deployment');
CREATE TABLE versions (
	number INTEGER NOT NULL, 
	job BIGINT, 
	sha256 VARCHAR(64) NOT NULL, 
	file BLOB NOT NULL, 
	PRIMARY KEY (number), 
	UNIQUE (job)
);
INSERT INTO "versions" VALUES(1,NULL,'0000000000000000000000000000000000000000000000000000000000000000',X'504B0304');
INSERT INTO "versions" VALUES(2,1,'1111111111111111111111111111111111111111111111111111111111111111',X'504B0305');
CREATE TABLE webhook_deliveries (
	id INTEGER NOT NULL, 
	webhook_id VARCHAR(40) NOT NULL, 
	type VARCHAR(20) NOT NULL, 
	payload TEXT NOT NULL, 
	created_at DOUBLE NOT NULL, 
	state VARCHAR(20) NOT NULL, 
	attempts INTEGER DEFAULT '0' NOT NULL, 
	next_attempt_at DOUBLE, 
	finished_at DOUBLE, 
	status INTEGER, 
	error TEXT, 
	PRIMARY KEY (id)
);
INSERT INTO "webhook_deliveries" VALUES(1,'msg_0b1c2d3e4f5061728394a5b6c7d8e9f0','version.promoted','{"type": "version.promoted", "timestamp": "2026-11-27T23:00:00.000+00:00", "data": {"key": "ci", "action": "promote", "version": 2, "instead_of": 1, "reason": "job 1"}}',1795820400.25,'delivered',1,NULL,1795820400.5,204,NULL);
INSERT INTO "webhook_deliveries" VALUES(2,'msg_1b1c2d3e4f5061728394a5b6c7d8e9f0','job.ended','{"type": "job.ended", "timestamp": "2026-11-27T23:00:00.000+00:00", "data": {"job": 1, "state": "failed"}}',1795820401.25,'waiting',2,1795820466.5,NULL,500,'the receiver answered 500');
CREATE TABLE webhook_position (
	id INTEGER NOT NULL, 
	position TEXT NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "webhook_position" VALUES(1,'{"job": 1, "unfinished": [], "promotion": 2, "inaccurate": null}');
CREATE INDEX ix_observations_at ON observations (at);
CREATE INDEX ix_observations_accuracy ON observations (version, id, said, outcome, withdrawn_at);
CREATE INDEX ix_observations_state ON observations (lights, outcome, id);
CREATE INDEX ix_idempotency_at ON idempotency (at);
CREATE INDEX ix_jobs_unfinished ON jobs (id) WHERE state IN ('queued', 'running');
CREATE INDEX ix_observations_withdrawn ON observations (withdrawn_at) WHERE withdrawn_at IS NOT NULL;
CREATE INDEX ix_webhook_deliveries_created_at ON webhook_deliveries (created_at);
CREATE INDEX ix_webhook_deliveries_waiting ON webhook_deliveries (next_attempt_at) WHERE state = 'waiting';
COMMIT;
