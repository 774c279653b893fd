// The verdict on the version of a retraining: why it went live or didn't, which decisions change, and
// the exam.

import { byId, decisionLabel, element, table } from "../shared/dom.js";
import { formatLights, formatP, formatPercent, plural } from "../shared/numbers.js";

export function showVerdict({ version, promoted, error, verdict }) {
  const headline = version ? `Version ${version} was ${promoted ? "" : "not "}promoted.` : error ?? "";
  byId("headline").textContent = headline;
  byId("verdict").replaceChildren(...(verdict?.reasons ?? []).map((reason) => element("li", {}, reason)));
  const changes = verdict?.changes ?? [];
  byId("changes").hidden = !changes.length;
  const more = verdict ? verdict.changed - changes.length : 0;
  byId("more-changes").textContent = more > 0 ? `and ${more} more light states` : "";
  table(byId("changes"), ["lights", "was", "now", "observed"], changes.map((change) => ({
    cells: [formatLights(change.lights), decisionLabel(change.was), decisionLabel(change.now), change.observed == null ? "" : String(change.observed)],
  })));
  showExam(version, verdict);
}

// The result of both versions on the exam, and the table of the observations that each has right.
function showExam(version, verdict) {
  const exam = verdict?.exam;
  byId("exam-table").hidden = !exam;
  if (!exam) {
    byId("exam").textContent = verdict?.why_no_exam ? `Judged on the training data: ${verdict.why_no_exam}.` : "";
    return;
  }
  const { both_right, only_champion, only_challenger, both_wrong } = exam;
  const total = both_right + only_champion + only_challenger + both_wrong;
  const result = (number, { accuracy, interval }) =>
    `Version ${number} has ${formatPercent(accuracy)} right (95 % interval: ${interval.map(formatPercent).join(" to ")}).`;
  byId("exam").textContent = [
    `Judged on ${plural(total, "observation")} that neither version has learnt from.`,
    result(verdict.against, exam.champion), result(version, exam.challenger),
    `McNemar's test: p ${formatP(exam.p)}.`,
  ].join(" ");
  const [old, fresh] = [`version ${verdict.against}`, `version ${version}`];
  table(byId("exam-table"), ["", `${fresh} right`, `${fresh} wrong`], [
    { cells: [`${old} right`, String(both_right), String(only_champion)] },
    { cells: [`${old} wrong`, String(only_challenger), String(both_wrong)] },
  ]);
}
