// The entry point: create the stage with its views, and the service's half of the page.

import { startService } from "./service/service.js";
import { Stage } from "./stage/stage.js";
import { STATIONS } from "./stage/stations.js";

const stage = new Stage(STATIONS[0].setup);

startService(stage);
