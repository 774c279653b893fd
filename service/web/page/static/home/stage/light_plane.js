// `LightPlane`: the light states of a map over two lights, with the further lights at fixed values.
//
// A place on the map is [part across, part up], each from 0 to 1. Drawing is in heat_map.js.

import { lightNames } from "../shared/light_names.js";
import { formatNumber } from "../shared/numbers.js";

const MARGIN = 0.15; // of the range of the lights, around it

export class LightPlane {
  // The first two lights are across and up. If there is one light only, it is across.
  constructor(lights) {
    this.names = lightNames(lights[0].length);
    this.range = [Math.min(0, ...lights.map((row) => Math.min(...row))), Math.max(0, ...lights.map((row) => Math.max(...row)))];
    if (this.range[0] === this.range[1]) this.range[1] = 1;
    this.axes = this.names.length > 1 ? [0, 1] : [0];
    this.values = this.names.map(() => this.range[1]); // those of the axes are not used
    this.usual = this.numbers.join();
  }

  get numbers() {
    return [...this.axes, ...this.others.map((i) => this.values[i])];
  }

  // The axes and the values of the other lights, as text for a link; "" for the usual ones.
  get text() {
    const text = this.numbers.join();
    return text === this.usual ? "" : text;
  }

  // Take the axes and values of a text; change nothing if they don't fit these lights.
  read(text) {
    const numbers = text.split(",").map(Number);
    const axes = numbers.splice(0, this.axes.length);
    const isFitting = axes.every((axis) => axis in this.names) && new Set(axes).size === axes.length
      && numbers.length === this.others.length && numbers.every((value) => value >= this.range[0] && value <= this.range[1]);
    if (!isFitting) return;
    this.axes = axes;
    this.others.forEach((light, i) => { this.values[light] = numbers[i]; });
  }

  // The lights that are not on an axis.
  get others() {
    return this.names.map((_, i) => i).filter((i) => !this.axes.includes(i));
  }

  // Put `light` on an axis: 0 is across, 1 is up. If it is on the other axis, the axes swap.
  setAxis(axis, light) {
    if (this.axes[1 - axis] === light) this.axes[1 - axis] = this.axes[axis];
    this.axes[axis] = light;
  }

  // Return all lights, with those of the axes at the given values.
  withAxes(lights) {
    return this.values.map((value, i) => lights[this.axes.indexOf(i)] ?? value);
  }

  lightsAt(place) {
    const [low, high] = this.range;
    return this.withAxes(place.map((part) => low + (part * (1 + 2 * MARGIN) - MARGIN) * (high - low)));
  }

  placeOf(row) {
    const [low, high] = this.range;
    const parts = this.axes.map((axis) => ((row[axis] - low) / (high - low) + MARGIN) / (1 + 2 * MARGIN));
    return [parts[0], parts[1] ?? 0.5];
  }

  // Whether the further lights of a row have the values of the map.
  has(row) {
    return this.others.every((i) => Math.abs(row[i] - this.values[i]) < 1e-9);
  }

  // The light states with the lights of the axes off or on.
  get corners() {
    const [, up] = this.axes;
    return this.range.flatMap((first) => (up === undefined ? [[first]] : this.range.map((second) => [first, second])))
      .map((lights) => this.withAxes(lights));
  }

  inWords(lights, which = lights.map((_, i) => i)) {
    return which.map((i) => `${this.names[i]} ${formatNumber(Number(lights[i].toFixed(2)))}`).join(", ");
  }
}
