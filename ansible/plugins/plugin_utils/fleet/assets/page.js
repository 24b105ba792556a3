'use strict';

/* Sorts and filters the table of guests. The page is complete and readable without this script. */

const find = (selector) => document.querySelector(selector);
const table = find('#table table');
const body = table.tBodies[0];
const sections = find('#sections');
const collator = new Intl.Collator('en', { numeric: true });
const controls = { search: find('#search'), reason: find('#reason'), hypervisor: find('#hypervisor') };
const tiles = [...document.querySelectorAll('.tiles button')];

/** The guests in the order of the file. */
const guests = [...body.rows].map((row) => ({
  row,
  section: document.getElementById(row.dataset.for),
  flags: row.dataset.flags.split(' '),
}));
const headers = [...table.tHead.rows[0].cells].map((header) => ({ header, name: header.textContent.trim() }));
let state = '';

function matches({ row, flags }) {
  const words = controls.search.value.toLowerCase().split(/\s+/);
  return (
    (state === '' || row.dataset.state === state) &&
    (controls.reason.value === '' || flags.includes(controls.reason.value)) &&
    (controls.hypervisor.value === '' || row.dataset.host === controls.hypervisor.value) &&
    words.every((word) => row.dataset.search.includes(word))
  );
}

function filter() {
  let shown = 0;
  for (const guest of guests) {
    const hidden = !matches(guest);
    guest.row.hidden = hidden;
    guest.section.hidden = hidden;
    if (!hidden) shown += 1;
  }
  for (const tile of tiles) tile.setAttribute('aria-pressed', String(tile.dataset.state === state));
  find('#shown').textContent = `${shown} of ${guests.length} guests`;
  find('#none').hidden = shown > 0;
}

/** Sorts by a column. Numbers sort by `data-key`, all other cells by their text; the sort is stable. */
function sort(column, direction) {
  const keys = new Map(guests.map(({ row }) => [row, keyOf(row.cells[column])]));
  const compare = (a, b) => {
    const [x, y] = [keys.get(a.row), keys.get(b.row)];
    return direction * (typeof x === 'number' ? x - y : collator.compare(x, y));
  };
  const sorted = guests.toSorted(compare);
  body.append(...sorted.map(({ row }) => row));
  sections.append(...sorted.map(({ section }) => section));
  mark(column, direction);
}

/** Marks the column by which the table is sorted. */
function mark(column, direction) {
  headers.forEach(({ header }, index) => {
    if (index === column) header.setAttribute('aria-sort', direction > 0 ? 'ascending' : 'descending');
    else header.removeAttribute('aria-sort');
  });
  find('#order').value = `${column} ${direction}`;
}

function keyOf(cell) {
  return cell.dataset.key === undefined ? cell.textContent.trim() : Number(cell.dataset.key);
}

headers.forEach(({ header, name }, column) => {
  const button = document.createElement('button');
  button.type = 'button';
  button.textContent = name;
  button.addEventListener('click', () => {
    sort(column, header.getAttribute('aria-sort') === 'ascending' ? -1 : 1);
  });
  header.replaceChildren(button);
  for (const [direction, words] of [
    [1, 'ascending'],
    [-1, 'descending'],
  ]) {
    find('#order').append(new Option(`${name}, ${words}`, `${column} ${direction}`));
  }
});
find('#order').addEventListener('change', (event) => {
  const [column, direction] = event.target.value.split(' ').map(Number);
  sort(column, direction);
});

for (const tile of tiles) {
  tile.addEventListener('click', () => {
    state = tile.dataset.state === state ? '' : tile.dataset.state;
    filter();
  });
}
for (const control of Object.values(controls)) control.addEventListener('input', filter);
const form = find('.filters');
form.addEventListener('submit', (event) => event.preventDefault());
form.addEventListener('reset', (event) => {
  // The fields have their initial values only after the event, so that the filter could not run here.
  event.preventDefault();
  clear();
});

function clear() {
  for (const control of Object.values(controls)) control.value = '';
  state = '';
  filter();
}

function open(wanted) {
  for (const { section } of guests) if (!section.hidden) section.open = wanted;
}
find('#expand').addEventListener('click', () => open(true));
find('#collapse').addEventListener('click', () => open(false));

/** Opens the section that the address names, even if the filters hide it. */
function openTarget() {
  const section = document.getElementById(location.hash.slice(1));
  if (section?.tagName !== 'DETAILS') return;
  if (section.hidden) clear();
  section.open = true;
  section.querySelector('summary').focus({ preventScroll: true });
  section.scrollIntoView();
}
addEventListener('hashchange', openTarget);
openTarget();

let closed = [];
addEventListener('beforeprint', () => {
  closed = guests.filter(({ section }) => !section.hidden && !section.open);
  open(true);
});
addEventListener('afterprint', () => {
  for (const { section } of closed) section.open = false;
});

// The file is sorted by state.
mark(1, 1);
