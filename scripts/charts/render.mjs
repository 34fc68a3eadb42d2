// Draws Vega-Lite charts without a browser: reads [{name, spec}] from standard input, writes FOLDER/NAME.svg.
//   node render.mjs FOLDER < charts.json
import {readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import * as vega from 'vega';
import * as vegaLite from 'vega-lite';

const folder = process.argv[2];
for (const {name, spec} of JSON.parse(readFileSync(0, 'utf8'))) {
  const view = new vega.View(vega.parse(vegaLite.compile(spec).spec), {renderer: 'none'});
  writeFileSync(join(folder, `${name}.svg`), await view.toSVG());
  view.finalize();
}
