// Draws Vega-Lite charts without a browser: reads [{name, spec, origin}] from standard input, writes FOLDER/NAME.svg.  The origin, where
// there is one, becomes the last line of the subtitle: a picture that is pasted elsewhere still says where it is from.
//   node render.mjs FOLDER < charts.json
import {readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import * as vega from 'vega';
import * as vegaLite from 'vega-lite';

// Without a browser texts cannot be measured, and vega's own estimate is a third too wide.
const CHARACTER = 0.6;  // of a font's size
vega.textMetrics.width = (item, text) => CHARACTER * String(text ?? '').length * (item.fontSize ?? 11);

const folder = process.argv[2];
// What is hatched is not to be relied on.  The page has the same pattern for its charts.
const hatch = '<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
  + '<rect width="2.5" height="6" fill="white" fill-opacity="0.75"/></pattern></defs>';
for (const {name, spec, origin} of JSON.parse(readFileSync(0, 'utf8'))) {
  if (origin) spec.title.subtitle = [spec.title.subtitle ?? [], origin].flat();
  const view = new vega.View(vega.parse(vegaLite.compile(spec).spec), {renderer: 'none'});
  const svg = await view.toSVG();
  writeFileSync(join(folder, `${name}.svg`), svg.includes('url(#hatch)') ? svg.replace('>', '>' + hatch) : svg);
  view.finalize();
}
