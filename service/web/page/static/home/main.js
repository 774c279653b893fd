// The entry point: create the stage with its views, and the service's half of the page.

import { startService } from "./service/service.js";
import { byId } from "./shared/dom.js";
import { createAddress, keepFragment } from "./stage/address.js";
import { createArithmetic } from "./stage/arithmetic.js";
import { createComparison } from "./stage/comparison.js";
import { createCurve } from "./stage/curve.js";
import { createDataEditor } from "./stage/data_editor.js";
import { createDrawing } from "./stage/drawing.js";
import { createEquivalent } from "./stage/equivalent.js";
import { createHeatMap } from "./stage/heat_map.js";
import { createKeys } from "./stage/keys.js";
import { createLesson } from "./stage/lesson.js";
import { createPlayer } from "./stage/player.js";
import { createPressureGrid } from "./stage/pressure_grid.js";
import { createProof } from "./stage/proof.js";
import { createSetupForm } from "./stage/setup_form.js";
import { createShownRow } from "./stage/shown_row.js";
import { Stage } from "./stage/stage.js";
import { createStationList } from "./stage/station_list.js";
import { STATIONS } from "./stage/stations.js";
import { createTour } from "./stage/tour.js";

export const stage = new Stage(STATIONS[0].setup);

createShownRow(stage, byId("shown-row"));
createDrawing(stage, byId("drawing"));
createArithmetic(stage, byId("arithmetic"));
createComparison(stage, byId("comparison"));
createEquivalent(stage, byId("equivalent"));
createPressureGrid(stage, byId("pressure"));

createStationList(stage, byId("stations"));
const { notify, tour } = createLesson(stage, byId("lesson"));
const remember = createAddress(stage, notify);
createCurve(stage, byId("curve"), remember);
createHeatMap(stage, byId("heat-map"), remember);
createPlayer(stage, byId("player"), remember);
createKeys(stage, byId("player"));
createSetupForm(stage, byId("setup"));
createDataEditor(stage, byId("data"));
createProof(stage, byId("proof"));
createTour(stage, tour);
keepFragment();
startService(stage);
