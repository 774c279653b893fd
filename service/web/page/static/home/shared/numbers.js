// Numbers as text. No function returns an exponent, which most readers of the page can't read.

const MAX = 1e6;

// Return at most four significant digits: 0.4812, 12.3, ≈ 0 for noise.
export function formatNumber(value) {
  const size = Math.abs(value);
  if (size > 0 && size < 0.0005) return "≈ 0";
  if (!(size < MAX)) return value < 0 ? "< -999,999" : "> 999,999";
  return String(Number(value.toPrecision(4)));
}

// Return two decimals, or three below 0.1, for numbers that must keep their width while they change.
export function shortNumber(value) {
  const size = Math.abs(value);
  if (Number.isInteger(value) || size < 0.0005 || size >= 100) return formatNumber(value);
  return value.toFixed(size < 0.0995 ? 3 : 2);
}

// Return all digits that distinguish `value` from other floats.
export function exactNumber(value) {
  const text = String(value);
  const [digits, exponent] = text.split("e");
  if (!exponent) return text;
  if (exponent > 0) return formatNumber(value);
  const sign = value < 0 ? "-" : "";
  return `${sign}0.${"0".repeat(-exponent - 1)}${digits.replace(/[-.]/g, "")}`;
}

// Return a change with its direction: ▲ 0.12, ▼ 0.05, or nothing for none.
export const formatChange = (change) =>
  (change === 0 ? "" : `${change > 0 ? "▲" : "▼"} ${shortNumber(Math.abs(change))}`);

export const formatPercent = (share) => `${formatNumber(100 * share)} %`;

// Return the p-value of a test with its relation: "= 0.21", or "< 0.001".
export const formatP = (p) => (p < 0.001 ? "< 0.001" : `= ${formatNumber(p)}`);

export const formatLights = (lights) => lights.map(formatNumber).join(" ");

export const plural = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;
