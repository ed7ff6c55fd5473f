// The beginning, and what tests may ask.

const run = readRun(JSON.parse($('run').textContent));
const page = new Page(run);
page.start();

/** For tests and for the console of a browser: what is seen, and where on the page things are. */
window.solumTimeline = Object.freeze({
  visible: () => ({ from_ns: page.goal.from, to_ns: page.goal.to }),
  see: (from, to) => page.see(from, to, true),
  search: text => { $('search').value = text; return page.search(text); },
  chosen: () => page.chosen < 0 ? null : run.texts[run.label[page.chosen]],
  frames: () => page.frames,
  shapes: () => page.painter.shapes,
  /** The middle of the first item with this label, in pixels of the window. */
  place(label) {
    const item = run.order.find(item => run.texts[run.label[item]] === label);
    if (item === undefined) return null;
    const box = $('canvas').getBoundingClientRect();
    const arrow = page.painter.arrowsSeen.find(([seen]) => seen === item);
    if (arrow) return { x: box.left + (arrow[1] + arrow[3]) / 2, y: box.top + (arrow[2] + arrow[4]) / 2 };
    const place = page.painter.placeOf(item);
    return place && { x: box.left + place.left + place.width / 2, y: box.top + place.top + place.height / 2 };
  },
});
