// Reads an HdrHistogram log as its users do: by hdr-histogram-js. Prints, for each tag, how many intervals it has and what
// they are merged.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const [modules, file] = process.argv.slice(2);
const hdr = createRequire(`${modules}/package.json`)("hdr-histogram-js");
const reader = new hdr.HistogramLogReader(readFileSync(file, "utf8"));
const tags = {};
for (let interval = reader.nextIntervalHistogram(); interval; interval = reader.nextIntervalHistogram()) {
  const ofTag = (tags[interval.tag] ??= { intervals: 0, merged: null, starts: [], lengths: [] });
  ofTag.intervals += 1;
  ofTag.starts.push(interval.startTimeStampMsec);
  ofTag.lengths.push(interval.endTimeStampMsec - interval.startTimeStampMsec);
  if (ofTag.merged) ofTag.merged.add(interval);
  else ofTag.merged = interval;
}
const summary = Object.entries(tags).map(([tag, { intervals, merged, starts, lengths }]) => [tag, {
  intervals, starts, lengths, count: merged.totalCount, max: merged.maxValue,
  ...Object.fromEntries([50, 90, 99, 99.9].map((percent) => [`p${percent}`, merged.getValueAtPercentile(percent)])),
}]);
console.log(JSON.stringify(Object.fromEntries(summary)));
