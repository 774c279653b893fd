// A walking and a standing figure. The class `walk` or `stop` of a parent shows one of them.

import { svgElement } from "../shared/dom.js";

const WALKING = "M0-30L-3-4M-3-26L-18-10M-1-26L16-14M-3-4L-14 12-20 30M-3-4L10 10 16 30";
const STANDING = "M0-30V-2M0-26L-11-4M0-26L11-4M0-2L-5 30M0-2L5 30";

export const figure = () => svgElement("g", { class: "figure" },
  svgElement("circle", { cy: -41, r: 8 }),
  svgElement("path", { class: "walking", d: WALKING }),
  svgElement("path", { class: "standing", d: STANDING }));
