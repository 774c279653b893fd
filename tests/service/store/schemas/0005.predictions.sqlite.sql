BEGIN TRANSACTION;
CREATE TABLE alembic_version_prediction_log (
	version_num VARCHAR(32) NOT NULL, 
	PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version_prediction_log" VALUES('0001');
CREATE TABLE predictions (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	at DOUBLE NOT NULL, 
	request_id VARCHAR(128) NOT NULL, 
	"row" INTEGER NOT NULL, 
	dialect VARCHAR(20) NOT NULL, 
	version INTEGER NOT NULL, 
	lights TEXT NOT NULL, 
	score DOUBLE NOT NULL, 
	decision INTEGER NOT NULL
);
INSERT INTO "predictions" VALUES(1,1.79580937458023977282e+09,'walked',0,'native',1,'[1.0, 0.0, 1.0]',1.0,1);
CREATE INDEX ix_predictions_request_id ON predictions (request_id);
CREATE INDEX ix_predictions_at ON predictions (at);
CREATE INDEX ix_predictions_version ON predictions (version, id);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('predictions',1);
COMMIT;
