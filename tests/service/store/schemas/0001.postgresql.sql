CREATE TABLE idempotency (
    scope character varying(20) NOT NULL,
    key character varying(200) NOT NULL,
    sha256 character varying(64) NOT NULL,
    answer text NOT NULL,
    at double precision NOT NULL
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
    error text
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
    withdrawn_at double precision
);
ALTER TABLE ONLY jobs ALTER COLUMN id SET DEFAULT nextval('jobs_id_seq'::regclass);
INSERT INTO idempotency VALUES ('observations', 'k1', 'c7091542538eb78677f385ab6b5c6fbe3cc4664e7b5574997008fc941e5768a7', '[{"verdict": "accepted", "id": 5, "contradicts": [], "error": null}]', 1795581110.9099998);
INSERT INTO idempotency VALUES ('retrain', 'k2', '83548dfc787f055f86dfa12929f685c5a24764a9aef3ae59f31accfb562aba03', '1', 1795581110.9349847);
INSERT INTO jobs VALUES (1, 'succeeded', '{"recipe": {"hidden_sizes": [8], "alpha": 0.2, "iterations": 1000, "batch_size": 1, "seed": 1, "restarts": 20, "target_error": 0.01, "patience": null, "weight_decay": 0.0, "activation": "relu"}, "promote": "if_better", "must_hold": [{"lights": [0.0, 0.0, 1.0], "outcome": "stop"}]}', 'request', '99713d19dcfa410ab54c34cba76beb85', 1795581110.934019, 1795581110.9559865, 1795581111.0280037, 'owner', 1, NULL, false, 3, '{"restart": 0, "seed": 1, "iteration": 1000, "error": 9.306322928325607e-10, "curve": [[1, 1.3343918338011471], [17, 0.011288999414000953], [33, 9.794940816884327e-05], [49, 4.850798463176896e-05], [65, 3.9603335449546694e-05], [81, 3.24963584239718e-05], [97, 2.675524887702415e-05], [113, 2.2088981785103993e-05], [129, 1.8277186095456805e-05], [145, 1.515047927566135e-05], [161, 1.2576999567090817e-05], [177, 1.0452951983169633e-05], [193, 8.695848734030235e-06], [209, 7.239593638866394e-06], [225, 6.030850921760837e-06], [241, 5.026323470709345e-06], [257, 4.21367840598577e-06], [273, 3.500278316726742e-06], [289, 2.9197846680201685e-06], [305, 2.43598204791465e-06], [321, 2.032595987024383e-06], [337, 1.696157550545251e-06], [353, 1.4154907973992899e-06], [369, 1.1813097773942585e-06], [385, 9.858905141601452e-07], [401, 8.2280265674663e-07], [417, 6.866890968157593e-07], [433, 5.730843916381653e-07], [449, 4.782647559857483e-07], [465, 3.991238576155713e-07], [481, 3.330697891550912e-07], [497, 2.779394781487797e-07], [513, 2.319274977984342e-07], [529, 1.9352679805743462e-07], [545, 1.614793230747224e-07], [561, 1.347348410071722e-07], [577, 1.1241660437662681e-07], [593, 9.379269746409373e-08], [609, 7.82521225099571e-08], [625, 6.528483709956287e-08], [641, 5.446508763896716e-08], [657, 4.543749346183289e-08], [673, 3.7905427008829764e-08], [689, 3.162131102084199e-08], [705, 2.6378516483182532e-08], [721, 2.2004597350929398e-08], [737, 1.8355641667577196e-08], [753, 1.5311555039311317e-08], [769, 1.2772122760739584e-08], [785, 1.065372221107097e-08], [801, 8.886578286120242e-09], [817, 7.412472293871014e-09], [833, 6.18282949578839e-09], [849, 5.157122801755034e-09], [865, 4.301540424554715e-09], [881, 3.5878739028882413e-09], [897, 2.99259008950122e-09], [913, 2.4960567051224817e-09], [929, 2.0818960750129003e-09], [945, 1.7364458543370993e-09], [961, 1.4483090479347635e-09], [977, 1.2079785527007591e-09], [993, 1.0075238914051292e-09], [1000, 9.306322928325607e-10]]}', 2, true, '{"passed": true, "forced": false, "reasons": [], "against": 1, "accuracy": 1.0, "live_accuracy": 0.8333333333333334, "changes": [{"lights": [0.0, 1.0, 0.0], "was": "walk", "now": "stop", "difference": -0.9959216661382322}]}', NULL);
INSERT INTO jobs VALUES (2, 'succeeded', '{"recipe": {"hidden_sizes": [40], "alpha": 0.2, "iterations": 1000, "batch_size": null, "seed": 1, "restarts": 20, "target_error": null, "patience": null, "weight_decay": 0.0, "activation": "relu"}, "promote": "never", "must_hold": []}', 'request', '76a238ac248242fea9e8a7a566411c51', 1795581111.030981, 1795581111.03601, 1795581111.2790182, 'owner', 1, NULL, false, 4, '{"restart": 0, "seed": 1, "iteration": 1000, "error": 2.0491733256075146e-13, "curve": [[1, 126.66201866174379], [17, 2.003413870133272], [33, 0.9853089320783397], [49, 0.29773887716586955], [65, 0.10500458534231782], [81, 0.038177396490436166], [97, 0.01469659560165848], [113, 0.006228148759934049], [129, 0.00290568715726347], [145, 0.0014561824098260345], [161, 0.0007706361230088721], [177, 0.00042453881703508056], [193, 0.00024080062928770463], [209, 0.00013885863233230322], [225, 8.062220354292451e-05], [241, 4.698455670170201e-05], [257, 2.753303982010874e-05], [273, 1.611064753920949e-05], [289, 9.443545389059907e-06], [305, 5.541263803518709e-06], [321, 3.2469799756209856e-06], [337, 1.9044511705460735e-06], [353, 1.1170455087148754e-06], [369, 6.546276580759558e-07], [385, 3.840184270655528e-07], [401, 2.2477033090296476e-07], [417, 1.3192578774879238e-07], [433, 7.714297994888085e-08], [449, 4.5232191316013165e-08], [465, 2.6621583135329535e-08], [481, 1.5535929289278158e-08], [497, 9.09517130054762e-09], [513, 5.325920015961256e-09], [529, 3.14671312948631e-09], [545, 1.8323365467094888e-09], [561, 1.0720469092304238e-09], [577, 6.238361073386159e-10], [593, 3.702416280843504e-10], [609, 2.114642217680388e-10], [625, 1.2704580718771293e-10], [641, 7.741446499913227e-11], [657, 4.6435896527145925e-11], [673, 2.3033097386800196e-11], [689, 1.5510710689904344e-11], [705, 1.0125139286756183e-11], [721, 6.526693237115613e-12], [737, 3.733825172348587e-12], [753, 2.83842511692909e-12], [769, 2.5556320779854516e-12], [785, 9.031403210246547e-13], [801, 8.135848867788942e-13], [817, 3.9251420886726824e-13], [833, 3.1525089530864557e-13], [849, 3.9251420886726824e-13], [865, 3.1525089530864557e-13], [881, 4.2399894674980705e-13], [897, 3.1366538400191294e-13], [913, 2.0491733256075146e-13], [929, 2.0491733256075146e-13], [945, 3.1366538400191294e-13], [961, 5.567939477637446e-13], [977, 5.66913515389821e-13], [993, 2.0491733256075146e-13], [1000, 2.0491733256075146e-13]]}', 3, false, '{"passed": true, "forced": false, "reasons": [], "against": 2, "accuracy": 1.0, "live_accuracy": 1.0, "changes": [{"lights": [1.0, 0.0, 0.0], "was": "walk", "now": "stop", "difference": -0.6124217546130404}]}', NULL);
INSERT INTO jobs VALUES (3, 'succeeded', '{"recipe": {"hidden_sizes": [], "alpha": 0.2, "iterations": 1000, "batch_size": 1, "seed": 1, "restarts": 20, "target_error": 0.01, "patience": null, "weight_decay": 0.0, "activation": "relu"}, "promote": "if_better", "must_hold": []}', 'request', '366d0128bb7a49c69897e9b30c3af2be', 1795581111.2819955, 1795581111.2860188, 1795581111.5680127, 'owner', 1, NULL, false, 4, '{"restart": 20, "seed": 21, "iteration": 1000, "error": 1.5853559990197406, "curve": [[1, 4.052841528109687], [17, 1.5825013487317756], [33, 1.5853387733498416], [49, 1.5853558890977528], [65, 1.5853559983133716], [81, 1.5853559990151982], [97, 1.5853559990197112], [113, 1.5853559990197406], [129, 1.5853559990197406], [145, 1.5853559990197406], [161, 1.5853559990197406], [177, 1.5853559990197406], [193, 1.5853559990197406], [209, 1.5853559990197406], [225, 1.5853559990197406], [241, 1.5853559990197406], [257, 1.5853559990197406], [273, 1.5853559990197406], [289, 1.5853559990197406], [305, 1.5853559990197406], [321, 1.5853559990197406], [337, 1.5853559990197406], [353, 1.5853559990197406], [369, 1.5853559990197406], [385, 1.5853559990197406], [401, 1.5853559990197406], [417, 1.5853559990197406], [433, 1.5853559990197406], [449, 1.5853559990197406], [465, 1.5853559990197406], [481, 1.5853559990197406], [497, 1.5853559990197406], [513, 1.5853559990197406], [529, 1.5853559990197406], [545, 1.5853559990197406], [561, 1.5853559990197406], [577, 1.5853559990197406], [593, 1.5853559990197406], [609, 1.5853559990197406], [625, 1.5853559990197406], [641, 1.5853559990197406], [657, 1.5853559990197406], [673, 1.5853559990197406], [689, 1.5853559990197406], [705, 1.5853559990197406], [721, 1.5853559990197406], [737, 1.5853559990197406], [753, 1.5853559990197406], [769, 1.5853559990197406], [785, 1.5853559990197406], [801, 1.5853559990197406], [817, 1.5853559990197406], [833, 1.5853559990197406], [849, 1.5853559990197406], [865, 1.5853559990197406], [881, 1.5853559990197406], [897, 1.5853559990197406], [913, 1.5853559990197406], [929, 1.5853559990197406], [945, 1.5853559990197406], [961, 1.5853559990197406], [977, 1.5853559990197406], [993, 1.5853559990197406], [1000, 1.5853559990197406]]}', 4, false, '{"passed": false, "forced": false, "reasons": ["its error is 1.15, above the target of 0.01", "its accuracy is 66.7%, and that of version 2 on the same observations 100.0%"], "against": 2, "accuracy": 0.6666666666666666, "live_accuracy": 1.0, "changes": [{"lights": [0.0, 1.0, 1.0], "was": "walk", "now": "stop", "difference": -0.7274710313436454}, {"lights": [1.0, 0.0, 0.0], "was": "walk", "now": "stop", "difference": -0.8895726374266147}, {"lights": [1.0, 0.0, 1.0], "was": "walk", "now": "stop", "difference": -0.6577031851942087}]}', NULL);
INSERT INTO jobs VALUES (4, 'queued', '{"recipe": {"hidden_sizes": [8], "alpha": 0.2, "iterations": 1000, "batch_size": 1, "seed": 1, "restarts": 20, "target_error": 0.01, "patience": null, "weight_decay": 0.0, "activation": "relu"}, "promote": "if_better", "must_hold": []}', 'request', '7688bc2de12446218733c8b8f4262a98', 1795581111.5810082, NULL, NULL, NULL, 0, NULL, false, 0, NULL, NULL, NULL, NULL, NULL);
INSERT INTO observations VALUES (1, NULL, 1795581110.7680173, '[1.0, 0.0, 1.0]', 1, 'lab', NULL, NULL, NULL);
INSERT INTO observations VALUES (2, NULL, 1795581110.7680173, '[0.0, 1.0, 1.0]', 1, 'lab', NULL, NULL, NULL);
INSERT INTO observations VALUES (3, NULL, 1795581110.7680173, '[0.0, 0.0, 1.0]', 0, 'lab', NULL, NULL, NULL);
INSERT INTO observations VALUES (4, NULL, 1795581110.7680173, '[1.0, 1.0, 1.0]', 0, 'lab', NULL, NULL, NULL);
INSERT INTO observations VALUES (5, 'mine', 1795581110.905011, '[0.0, 1.0, 0.0]', 0, 'api', 1, 1, NULL);
INSERT INTO observations VALUES (6, NULL, 1795581110.9180064, '[1.0, 1.0, 0.0]', 0, 'api', 1, 0, NULL);
INSERT INTO observations VALUES (7, NULL, 1795581110.9180064, '[1.0, 1.0, 1.0]', 1, 'api', 1, 0, 1795581110.9260128);
SELECT pg_catalog.setval('jobs_id_seq', 4, true);
ALTER TABLE ONLY idempotency
    ADD CONSTRAINT idempotency_pkey PRIMARY KEY (scope, key);
ALTER TABLE ONLY jobs
    ADD CONSTRAINT jobs_pkey PRIMARY KEY (id);
ALTER TABLE ONLY observations
    ADD CONSTRAINT observations_client_id_key UNIQUE (client_id);
ALTER TABLE ONLY observations
    ADD CONSTRAINT observations_pkey PRIMARY KEY (id);
CREATE INDEX ix_jobs_unfinished ON jobs USING btree (id) WHERE state IN ('queued', 'running');
CREATE INDEX ix_observations_at ON observations USING btree (at);
CREATE INDEX ix_observations_state ON observations USING btree (lights, outcome, id);
CREATE INDEX ix_observations_version ON observations USING btree (version, said, outcome, withdrawn_at);
