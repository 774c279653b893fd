// Rows from CSV, in the format of the service's ledger: light names and `outcome` as header, then one
// line for each observation. The header may be left out, and cells may be separated by
// tabs, or as by spreadsheets with a decimal comma, by semicolons.

const OUTCOMES = new Map([["walk", 1], ["1", 1], ["stop", 0], ["0", 0]]);
const NUMBER = /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i;
const DECIMAL_COMMA = /^([\s"]*[-+]?\d*),(\d+[\s"]*)$/;
// A comma that is followed by an even number of quotes is in no quoted cell.
const COMMA = /,(?=(?:[^"]*"[^"]*")*[^"]*$)/;

// Return {lights, outcomes}; throw an Error whose message names the line and the field.
export function parseCsv(text) {
  const lines = text.replace(/^\uFEFF/, "").split(/\r\n|\r|\n/)
    .map((line, i) => ({ number: i + 1, cells: cellsOf(line) })).filter(({ cells }) => cells.length > 1 || cells[0]);
  if (!lines.length) throw new Error("expected at least one observation, got none");
  const header = headerOf(lines);
  const count = header.indexOf("outcome");
  const rows = lines.map(({ number, cells }) => {
    if (cells.length !== header.length) throw new Error(`line ${number}: expected ${header.length} columns, got ${cells.length}`);
    const outcome = OUTCOMES.get(cells[count].toLowerCase());
    if (outcome === undefined) throw new Error(`line ${number}: outcome: expected walk, stop, 1 or 0, got "${cells[count]}"`);
    return { lights: cells.slice(0, count).map((cell, i) => lightOf(cell, `line ${number}: ${header[i]}`)), outcome };
  });
  if (!rows.length) throw new Error("expected at least one observation, got only a header");
  return { lights: rows.map(({ lights }) => lights), outcomes: rows.map(({ outcome }) => outcome) };
}

// Remove the header from `lines` and return its names, or the names that the first row's cells stand for.
function headerOf(lines) {
  const [{ number, cells }] = lines;
  const names = cells.map((cell) => (cell.toLowerCase() === "outcome" ? "outcome" : cell));
  const last = names.at(-1) === "request_id" ? names.length - 2 : names.length - 1;
  if (names[last] === "outcome" && last > 0) return lines.shift() && names;
  if (cells.length < 2 || !NUMBER.test(cells[0])) {
    throw new Error(`line ${number}: expected a header of light names and then outcome, or numbers and then an outcome, got "${cells.join()}"`);
  }
  return cells.map((_, i) => (i === cells.length - 1 ? "outcome" : `light_${i}`));
}

function cellsOf(line) {
  const cells = line.includes("\t") ? line.split("\t") : isBySemicolons(line)
    ? line.split(";").map((cell) => cell.replace(DECIMAL_COMMA, "$1.$2")) : line.split(COMMA);
  return cells.map((cell) => cell.trim().replace(/^"(.*)"$/, (_, inner) => inner.replaceAll('""', '"').trim()));
}

const isBySemicolons = (line) => line.replace(/"[^"]*"/g, "").includes(";");

function lightOf(cell, place) {
  if (!NUMBER.test(cell) || !isFinite(cell)) throw new Error(`${place}: expected a finite number, got "${cell}"`);
  return Number(cell);
}
