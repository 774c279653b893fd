// The entry point: create the stage with its views, and the service's half of the page.

import { startService } from "./service/service.js";
import { byId } from "./shared/dom.js";
import { createArithmetic } from "./stage/arithmetic.js";
import { createComparison } from "./stage/comparison.js";
import { createCurve } from "./stage/curve.js";
import { createDrawing } from "./stage/drawing.js";
import { createLesson } from "./stage/lesson.js";
import { createPlayer } from "./stage/player.js";
import { createSetupForm } from "./stage/setup_form.js";
import { createShownRow } from "./stage/shown_row.js";
import { Stage } from "./stage/stage.js";
import { createStationList } from "./stage/station_list.js";
import { STATIONS } from "./stage/stations.js";

export const stage = new Stage(STATIONS[0].setup);

createShownRow(stage, byId("shown-row"));
createDrawing(stage, byId("drawing"));
createArithmetic(stage, byId("arithmetic"));
createCurve(stage, byId("curve"));
createComparison(stage, byId("comparison"));

createStationList(stage, byId("stations"));
createLesson(stage, byId("lesson"));
createPlayer(stage, byId("player"));
createSetupForm(stage, byId("setup"));
startService(stage);
