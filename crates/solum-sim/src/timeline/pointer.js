// Wheel, drag and click, on the lanes, on the axis and on the small picture of the whole run.

/** Follows a drag from where a button went down, also outside of the element. */
function onDrag(element, begin) {
  element.addEventListener('pointerdown', event => {
    if (event.button !== 0) return;
    const drag = begin(event);
    element.setPointerCapture(event.pointerId);
    const move = moved => drag.move(moved);
    const end = ended => {
      element.removeEventListener('pointermove', move);
      element.removeEventListener('pointerup', end);
      element.removeEventListener('pointercancel', end);
      drag.end?.(ended);
    };
    element.addEventListener('pointermove', move);
    element.addEventListener('pointerup', end);
    element.addEventListener('pointercancel', end);
  });
}

function listenToPointer(page) {
  const canvas = $('canvas');
  for (const element of [canvas, $('axis'), $('minimap')]) {
    element.addEventListener('wheel', event => wheel(page, event), { passive: false });
  }
  onDrag(canvas, event => event.shiftKey ? mark(page, event) : move(page, event));
  onDrag($('axis'), event => mark(page, event));
  onDrag($('minimap'), event => overview(page, event));
  canvas.addEventListener('pointermove', event => {
    if (event.buttons === 0) page.point(page.painter.hit(event.offsetX, event.offsetY), event);
  });
  canvas.addEventListener('pointerleave', event => page.point(-1, event));
  canvas.addEventListener('dblclick', () => { if (page.chosen >= 0) page.goTo(page.chosen, true); });
}

function wheel(page, event) {
  event.preventDefault();
  // Lines and pages count as so many pixels.
  const unit = [1, 16, 400][event.deltaMode] ?? 1;
  const sideways = event.shiftKey ? event.deltaY + event.deltaX : event.deltaX;
  if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
    const { from, to } = page.goal;
    const by = sideways * unit * (to - from) / $('plot').clientWidth;
    page.see(from + by, to + by, true);
    return;
  }
  const factor = Math.exp(Math.max(-300, Math.min(300, event.deltaY * unit)) * 0.002);
  if (event.currentTarget === $('minimap')) page.zoom(factor);
  else page.zoom(factor, event.offsetX);
}

/** A drag moves the lanes; a press that hardly moved chooses what lies there. */
function move(page, start) {
  const { from, to } = page.goal;
  const top = $('stage').scrollTop;
  let isDrag = false;
  return {
    move(event) {
      const [x, y] = [event.clientX - start.clientX, event.clientY - start.clientY];
      if (!isDrag && Math.hypot(x, y) < 4) return;
      isDrag = true;
      page.point(-1, event);
      $('canvas').classList.add('dragging');
      const by = -x * (to - from) / $('plot').clientWidth;
      page.see(from + by, to + by, true);
      $('stage').scrollTop = top - y;
    },
    end(event) {
      $('canvas').classList.remove('dragging');
      if (!isDrag) page.choose(page.painter.hit(event.offsetX, event.offsetY));
    },
  };
}

/** A stretch of time is marked, and then fills the sight. */
function mark(page, start) {
  const { from, to } = page.goal;
  const time = event => from + (to - from) * (event.clientX - $('plot').getBoundingClientRect().left) / $('plot').clientWidth;
  return {
    move() {},
    end(event) {
      if (Math.abs(event.clientX - start.clientX) < 4) return;
      const [a, b] = [time(start), time(event)];
      page.see(Math.min(a, b), Math.max(a, b));
    },
  };
}

/** In the whole run, a press goes there, and a drag takes the window along. */
function overview(page, start) {
  const box = $('minimap').getBoundingClientRect();
  const width = page.goal.to - page.goal.from;
  const time = event => -page.margin + (page.run.end + 2 * page.margin) * (event.clientX - box.left) / box.width;
  const isInside = page.goal.from <= time(start) && time(start) <= page.goal.to;
  const grip = isInside ? time(start) - page.goal.from : width / 2;
  const to = event => page.see(time(event) - grip, time(event) - grip + width, true);
  if (!isInside) to(start);
  return { move: to };
}
