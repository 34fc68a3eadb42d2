// What a page does in a browser: its charts fill the room that they have, and speak to keyboards and readers; its tables sort; its
// filters leave models out.  Without it the page shows the same charts as drawn, and the same tables.

// ---- charts ----

const PHONE = 300, LEGEND_ENTRY = 165, LEAST_WIDTH = 80, CLOSE_ENOUGH = 6;  // px
const element = (name, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
};
const unitOf = spec => spec.spec ? unitOf(spec.spec) : spec;
const distinct = (values, field) => new Set(values.map(point => point[field])).size;
const fieldsOf = spec => [unitOf(spec), ...(unitOf(spec).layer || [])].map(part => part.encoding && part.encoding.tooltip).find(Array.isArray) || [];
const written = value => typeof value !== 'number' ? value ?? '–'
  : value.toLocaleString('en', Math.abs(value) < 1000 ? {maximumSignificantDigits: 4} : {maximumFractionDigits: 0});

class Chart {
  constructor({name, spec, origin}) {
    this.place = document.getElementById('chart-' + name);
    this.figure = this.place.closest('figure');
    this.spec = spec;
    this.all = spec.data.values;
    this.columns = spec.columns;
    this.drawn = this.place.innerHTML;  // as a file, unless the page is lean
    if (!this.place.querySelector('svg')) this.whole = JSON.stringify({...spec, title: {...spec.title, subtitle: [spec.title.subtitle || [], origin || []].flat()}});
    const {text, subtitle = []} = spec.title;
    delete spec.title;
    this.said = element('p', {className: 'said soft'});
    this.said.setAttribute('aria-live', 'polite');
    const table = this.table = element('details', {}, element('summary', {textContent: 'its figures as a table'}));
    table.addEventListener('toggle', () => table.open && this.fill(table));
    this.figure.prepend(element('figcaption', {}, element('b', {textContent: text}), ...[subtitle].flat().map(line => element('span', {textContent: line}))));
    this.figure.append(this.said, element('div', {className: 'tools'}, this.link(name), table));
    this.place.tabIndex = 0;
    spec.description = `${text}: a chart; arrow keys go through its marks`;
    this.place.addEventListener('keydown', event => this.key(event));
  }

  link(name) {
    const blob = svg => URL.createObjectURL(new Blob([svg], {type: 'image/svg+xml'}));
    const link = element('a', {href: this.whole ? '#' : blob(this.drawn), download: `${name}.svg`, textContent: 'SVG'});
    if (this.whole) link.addEventListener('click', async event => {
      if (link.href.startsWith('blob:')) return;
      event.preventDefault();
      const svg = await new vega.View(vega.parse(vegaLite.compile(JSON.parse(this.whole)).spec), {renderer: 'none'}).toSVG();
      link.href = blob(svg.includes('url(#hatch)') ? svg.replace('>', '>' + document.getElementById('hatch').parentNode.outerHTML) : svg);
      link.click();
    });
    return link;
  }

  // Twice at most: how much the axes and their labels take is known when it was drawn once.
  async draw() {
    const {spec, place} = this, unit = unitOf(spec), facet = spec.facet || {}, values = spec.data.values;
    this.figure.hidden = !values.length;
    if (this.table.open) this.fill(this.table);
    if (!values.length) return;
    const room = place.clientWidth;
    if (this.columns) spec.columns = Math.max(1, Math.min(this.columns, Math.floor(room / PHONE)));
    const across = facet.column ? distinct(values, facet.column.field) : facet.field ? Math.min(spec.columns, distinct(values, facet.field)) : 1;
    if (facet.field) facet.header = room < 2 * PHONE ? {labelExpr: "split(datum.value, ', ')"} : {};  // a long one in lines
    spec.config.legend.columns = Math.max(1, Math.floor(room / LEGEND_ENTRY));
    for (let pass = 0; pass < 3; ++pass) {
      if (this.result) this.result.finalize();
      this.result = await vegaEmbed(place, spec, {renderer: 'svg', actions: false});
      const spare = room - place.querySelector('svg').getBoundingClientRect().width;
      const width = Math.max(LEAST_WIDTH, Math.floor(unit.width + spare / across));
      if (spare > -1 && spare < CLOSE_ENOUGH || width === unit.width) break;
      unit.width = width;
    }
  }

  marks() {
    const of = kind => [...this.place.querySelectorAll(`.mark-${kind}.role-mark path[aria-label]`)];
    return [...of('rect'), ...of('symbol')].length ? [...of('rect'), ...of('symbol')] : of('line');
  }

  key(event) {
    const step = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key], marks = this.marks();
    if (!step || !marks.length || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const at = marks.indexOf(document.activeElement), mark = marks[at < 0 ? 0 : (at + step + marks.length) % marks.length];
    mark.setAttribute('tabindex', '-1');
    mark.focus();
    this.said.textContent = mark.getAttribute('aria-label');
  }

  // The points, with the names that their tooltips give them; where there are many, those that the spec names.
  fill(place) {
    const {facet = {}, data, usermeta = {}} = this.spec, only = usermeta.table;
    const panels = [facet, facet.row, facet.column].filter(channel => channel && channel.field).map(({field}) => ({field, title: ''}));
    const fields = fieldsOf(this.spec), columns = [...panels.filter(panel => !fields.some(({field}) => field === panel.field)), ...fields];
    const rows = data.values.filter(point => !only || only.values.includes(point[only.field]));
    const table = element('table', {}, element('thead', {}, element('tr', {}, ...columns.map(({title}) => element('th', {textContent: title, scope: 'col'})))),
      element('tbody', {}, ...rows.map(point => element('tr', {}, ...columns.map(({field}) =>
        element('td', {textContent: written(point[field]), className: typeof point[field] === 'number' ? 'right' : ''}))))));
    place.replaceChildren(place.firstChild, element('div', {className: 'scroll'}, table));
  }
}

const charts = JSON.parse(document.getElementById('charts').textContent).map(chart => new Chart(chart));
async function drawAll() {
  for (const chart of charts) await chart.draw().catch(error => console.error(chart.place.id, error));
  document.body.dataset.drawn = charts.length;
}
let drawing = drawAll(), waiting;
const main = document.querySelector('main');
let width = main.clientWidth;
new ResizeObserver(() => {
  if (main.clientWidth === width) return;  // a chart that was drawn changes the height only
  width = main.clientWidth;
  delete document.body.dataset.drawn;
  clearTimeout(waiting);
  waiting = setTimeout(() => { drawing = drawing.then(drawAll); }, 150);
}).observe(main);

// ---- tables ----

// A heading sorts its table by what its column says: by the first number in each cell, with its unit, else by the text.
const units = {ns: 1, 'µs': 1e3, ms: 1e6, s: 1e9, B: 1, KiB: 1024, MiB: 1024 ** 2};
function figure(text) {
  const match = text.replace(/,/g, '').match(/^[≥<\s]*(-?\d+(?:\.\d+)?)\s*(ns|µs|ms|s|B|KiB|MiB)?(?![A-Za-z])/);
  return match ? Number(match[1]) * (units[match[2]] || 1) : NaN;
}
for (const heading of document.querySelectorAll('th')) {
  const button = element('button', {textContent: heading.textContent});
  heading.replaceChildren(button);
  button.addEventListener('click', () => {
    const table = heading.closest('table'), body = table.tBodies[0], column = heading.cellIndex;
    const down = heading.getAttribute('aria-sort') === 'ascending';
    for (const other of table.querySelectorAll('th')) other.removeAttribute('aria-sort');
    heading.setAttribute('aria-sort', down ? 'descending' : 'ascending');
    const text = row => row.cells[column] ? row.cells[column].textContent : '';
    const rows = [...body.rows].map(row => [figure(text(row)), text(row), row]);
    rows.sort(([a, one], [b, other]) => isNaN(a) !== isNaN(b) ? isNaN(a) - isNaN(b)  // what has no figure comes last, either way
              : (down ? -1 : 1) * (isNaN(a) ? one.localeCompare(other) : a - b));
    body.append(...rows.map(([, , row]) => row));
  });
}

// ---- filters ----

// They leave out rows and whole tables, and what charts show of them.
const filters = document.querySelector('.filters');
function filter() {
  const families = new Set([...filters.querySelectorAll('[name=family]:checked')].map(box => box.value));
  const connections = filters.querySelector('[name=connections]').value;
  const isShown = variant => !Object.hasOwn(filters.families, variant) || families.has(filters.families[variant]);
  const isAsked = number => connections === '' || number === undefined || String(number) === connections;
  for (const row of document.querySelectorAll('tr[data-name]')) row.hidden = !isShown(row.dataset.name);
  for (const part of document.querySelectorAll('[data-connections]'))
    part.hidden = connections !== '' && !part.dataset.connections.split(' ').includes(connections);
  for (const chart of charts) chart.spec.data.values = chart.all.filter(point => isShown(point.variant) && isAsked(point.connections));
  drawing = drawing.then(drawAll);
}
if (filters) {
  filters.families = JSON.parse(filters.dataset.families);
  filters.addEventListener('change', filter);
}
