// Puts what is in view on a canvas: only what is visible, and what is narrower than a pixel as one column of it.

const FONT = '11.5px system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif';
const BOLD = `bold ${FONT}`;
const BADGES = { read: 'R', write: 'W', flush: 'F', call: 'C', off: 'off', network: '≈' };
const COLUMN = 1;

/** The colours of the style sheet, as they are now: they change with the scheme of the system. */
function readColours() {
  const style = getComputedStyle(document.documentElement);
  const names = ['back', 'face', 'band', 'line', 'ink', 'muted', 'accent', 'message', 'lost', 'said', 'supervisor', 'fault', 'failure'];
  const kinds = ['life', 'read', 'write', 'flush', 'call', 'off', 'network'];
  const all = [...names, ...kinds, ...kinds.map(kind => `${kind}-edge`)];
  return Object.fromEntries(all.map(name => [name, style.getPropertyValue(`--${name}`).trim()]));
}

/** A canvas that is sharp on every screen; the context draws in CSS pixels. */
function fitCanvas(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  const [w, h] = [Math.max(1, Math.round(width * ratio)), Math.max(1, Math.round(height * ratio))];
  if (canvas.width !== w || canvas.height !== h) { canvas.width = w; canvas.height = h; }
  const context = canvas.getContext('2d');
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.font = FONT;
  context.textBaseline = 'middle';
  return context;
}

/** A small picture, repeated, that tells a kind without its colour. */
function tile(size, paint) {
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = size;
  const context = canvas.getContext('2d');
  paint(context);
  return context.createPattern(canvas, 'repeat');
}

function hatch(colour, size, width) {
  return tile(size, context => {
    context.strokeStyle = colour;
    context.lineWidth = width;
    for (const shift of [-size, 0, size]) {
      context.beginPath();
      context.moveTo(shift, size);
      context.lineTo(shift + size, 0);
      context.stroke();
    }
  });
}

function makePatterns(colours) {
  const dots = kind => tile(4, context => { context.fillStyle = colours[`${kind}-edge`]; context.fillRect(0, 0, 2, 2); });
  const bars = kind => tile(4, context => { context.fillStyle = colours[`${kind}-edge`]; context.fillRect(0, 0, 2, 4); });
  const solid = kind => colours[`${kind}-edge`];
  return {
    read: dots('read'), write: solid('write'), flush: bars('flush'), call: hatch(colours['call-edge'], 4, 1),
    off: hatch(colours['off-edge'], 7, 1), network: dots('network'), fault: hatch(colours.fault, 8, 2.6),
  };
}

/** What all drawing needs: a context, colours, and how times and lanes become places. */
class Painter {
  constructor(run, colours) {
    this.run = run;
    this.colours = colours;
    this.patterns = makePatterns(colours);
    this.widths = new Map();
    this.shapes = 0;
    this.isSearch = false;
  }

  aim(context, view) {
    this.context = context;
    this.view = view;
    this.scale = view.width / (view.to - view.from);
    this.arrowsSeen = [];
    // The signs of faults come last, so that nothing hides them.
    this.flags = [];
  }

  x(time) { return (time - this.view.from) * this.scale; }
  time(x) { return this.view.from + x / this.scale; }

  /** Where a lane is in the canvas; the head of a group stays in sight as long as one of its lanes is. */
  y(lane) {
    const { scroll } = this.view;
    if (!lane.isHead) return lane.top - scroll;
    return Math.max(lane.top, Math.min(scroll, lane.group.bottom - lane.height)) - scroll;
  }

  kindName(item) { return this.run.kinds[this.run.kind[item]].name; }

  chart(layout, marked) {
    const { context, colours, view } = this;
    this.shapes = 0;
    this.layout = layout;
    context.clearRect(0, 0, view.width, view.height);
    this.grid();
    const inSight = layout.groups.filter(group => group.bottom > view.scroll && group.top < view.scroll + view.height);
    for (const group of inSight) for (const lane of group.lanes) this.lane(lane);
    for (const group of inSight) this.lane(group.head);
    this.allArrows(layout.arrows);
    for (const [x, y, size] of this.flags) this.triangle(x, y, size);
    this.allMarks(inSight.flatMap(group => [group.head, ...group.lanes]));
    context.fillStyle = colours.line;
    context.fillRect(0, layout.height - view.scroll, view.width, 1);
    this.failureLines();
    for (const item of marked) this.outline(item);
  }

  grid() {
    const { context, colours, view } = this;
    context.fillStyle = colours.line;
    context.globalAlpha = 0.6;
    for (const { at } of ticksOf(view.from, view.to, view.width).ticks) {
      context.fillRect(Math.round(this.x(at)), 0, 1, view.height);
    }
    context.globalAlpha = 1;
  }

  lane(lane) {
    const { context, colours, view } = this;
    const top = this.y(lane);
    if (top + lane.height < 0 || top > view.height) return;
    if (lane.isHead) { context.fillStyle = colours.band; context.fillRect(0, top, view.width, lane.height); }
    if (lane.life) this.row(lane.life, top + 2, lane.height - 5, 'life');
    lane.rows.forEach((row, i) => this.row(row, top + lane.rowsTop + i * ROW + 1, ROW - 2, 'bar'));
    context.fillStyle = colours.line;
    context.fillRect(0, top + lane.height - 1, view.width, 1);
  }

  /** Where the marks of a lane are: above its spans, or in its middle. */
  stripMiddle(lane) { return lane.rows.length ? lane.rowsTop - STRIP / 2 + 1 : lane.height / 2; }

  allMarks(lanes) {
    for (const lane of lanes) {
      const top = this.y(lane);
      if (lane.marks && top + lane.height > 0 && top < this.view.height) this.marks(lane.marks, top + this.stripMiddle(lane));
    }
  }

  row(row, top, height, look) {
    const { items, from, ends } = row;
    const { view } = this;
    let i = lowerBound(ends, view.from);
    while (i < items.length && from[i] <= view.to) {
      const left = this.x(from[i]), right = this.x(this.run.to[items[i]]);
      if (right - left >= COLUMN * 1.5) {
        this.span(items[i], left, right, top, height, look);
        i += 1;
        continue;
      }
      const column = Math.floor(left / COLUMN) * COLUMN;
      let next = lowerBound(from, this.time(column + COLUMN), i + 1);
      const last = items[next - 1];
      if (next - 1 > i && this.x(this.run.to[last]) - this.x(this.run.from[last]) >= COLUMN * 1.5) next -= 1;
      this.column(row, i, next, column, top, height, look);
      i = next;
    }
  }

  /** Items `i` up to `next` of a row, which all lie within one column of pixels. */
  column(row, i, next, left, top, height, look) {
    const { context, colours } = this;
    const isFaulty = row.faults[next] > row.faults[i];
    const covered = (row.busy[next] - row.busy[i]) * this.scale / COLUMN;
    const name = this.kindName(row.items[i]);
    context.globalAlpha = (0.45 + 0.55 * Math.min(1, covered)) * this.dimming(row.matches[next] > row.matches[i]);
    context.fillStyle = isFaulty ? colours.fault : colours[look === 'life' ? 'life' : `${name}-edge`];
    context.fillRect(left, top, COLUMN, height);
    context.globalAlpha = 1;
    this.shapes += 1;
    const flag = this.flags.at(-1);
    if (isFaulty && !(flag && flag[1] === top - 3 && left - flag[0] < 8)) this.flags.push([left + 0.5, top - 3, 5.5]);
  }

  dimming(isMatch) { return this.isSearch && !isMatch ? 0.22 : 1; }

  span(item, left, right, top, height, look) {
    const { context, colours, patterns, run, view } = this;
    const name = this.kindName(item);
    const isFaulty = run.fault[item] >= 0;
    const x = Math.max(left, -8), width = Math.min(right, view.width + 8) - x;
    this.shapes += 1;
    // A life is what other things happen in: it stays as it is while one searches.
    context.globalAlpha = look === 'life' ? 1 : this.dimming(run.matches[item] === 1);
    if (look === 'life') this.life(item, x, width, top, height, isFaulty);
    else {
      context.fillStyle = colours[name];
      context.fillRect(x, top, Math.max(1, width - 0.5), height);
      context.fillStyle = width < 5 ? colours[`${name}-edge`] : patterns[name];
      // A hatch upon a hatch would be noise.
      const isFull = (name === 'off' || name === 'network') && !isFaulty;
      context.fillRect(x, isFull && width >= 5 ? top : top + height - 4, Math.max(1, width - 0.5), isFull && width >= 5 ? height : 4);
      if (width >= 3) this.edge(x, top, width, height, colours[`${name}-edge`], 1);
      if (isFaulty) this.faulty(x, top, width, height);
      this.spanText(item, name, x, Math.min(right, view.width) - Math.max(left, 0), top, height, isFaulty);
    }
    context.globalAlpha = 1;
  }

  edge(x, top, width, height, colour, thickness) {
    this.context.strokeStyle = colour;
    this.context.lineWidth = thickness;
    this.context.strokeRect(x + 0.5, top + 0.5, Math.max(1, width - 1.5), height - 1);
  }

  faulty(x, top, width, height) {
    const { context, colours, patterns } = this;
    context.fillStyle = width < 4 ? colours.fault : patterns.fault;
    const strength = context.globalAlpha;
    context.globalAlpha = strength * (width < 4 ? 1 : 0.5);
    context.fillRect(x, top, Math.max(2, width - 0.5), height);
    context.globalAlpha = strength;
    this.edge(x, top, width, height, colours.fault, 2);
  }

  spanText(item, name, x, width, top, height, isFaulty) {
    if (width < 12) { if (isFaulty) this.flags.push([x + width / 2, top - 3, 5.5]); return; }
    const { context, colours } = this;
    const start = Math.max(x, 0) + 5, isFull = name === 'off' || name === 'network';
    const middle = top + (isFull || isFaulty ? height : height - 3) / 2 + 0.5;
    const room = width - 10 - (isFaulty ? 14 : 0);
    const badge = BADGES[name] ?? '', shift = badge ? this.width(badge) + 6 : 0;
    const label = this.fit(this.run.texts[this.run.label[item]], room - shift);
    if (isFaulty) this.triangle(start + 4, middle, 6);
    const from = start + (isFaulty ? 15 : 0);
    // Where there is a hatch, letters are read on a rim of the plain colour.
    if (isFaulty || isFull) this.haloed(label, from + shift, middle, colours.ink, colours[name]);
    else {
      context.fillStyle = colours.ink;
      context.fillText(label, from + shift, middle);
    }
    if (room < shift - 6) return;
    context.font = BOLD;
    this.haloed(badge, from, middle, colours[`${name}-edge`], colours[name]);
    context.font = FONT;
  }

  life(item, x, width, top, height, isFaulty) {
    const { context, colours, patterns } = this;
    context.fillStyle = colours.life;
    context.fillRect(x, top, width, height);
    context.fillStyle = colours['life-edge'];
    context.fillRect(x, top, 2, height);
    context.fillRect(x + width - 1, top, 1, height);
    context.fillRect(x, top + height - 1, width, 1);
    if (!isFaulty) return;
    // It is the end that was a fault, not all that was before.
    const end = this.x(this.run.to[item]), bad = Math.min(width, 70);
    context.fillStyle = patterns.fault;
    context.fillRect(end - bad, top + height - 6, bad, 6);
    context.fillStyle = colours.fault;
    context.fillRect(end - 3, top, 3, height);
    this.flags.push([end - 1, top + height - 8, 6]);
  }

  marks(row, middle) {
    const { run, view } = this;
    const { items, from } = row;
    let i = Math.max(0, lowerBound(from, this.time(-300)));
    while (i < items.length && from[i] <= view.to) {
      const x = this.x(from[i]);
      let next = lowerBound(from, this.time(x + 5), i + 1);
      // Of several in one place the gravest is seen.
      const gravest = this.gravest(items, i, next);
      const room = (next < items.length ? this.x(from[next]) : view.width + 400) - x - 18;
      this.mark(gravest, x, middle, next - i > 1 ? Math.min(room, 400) : room, next - i);
      i = next;
    }
    this.shapes += run.total === 0 ? 0 : 1;
  }

  gravest(items, from, to) {
    const gravity = { line: 0, supervisor: 1, fault: 2, failure: 3 };
    let best = items[from];
    for (let i = from + 1; i < to && i < from + 4096; i++) {
      if (gravity[this.kindName(items[i])] > gravity[this.kindName(best)]) best = items[i];
    }
    return best;
  }

  mark(item, x, y, room, count) {
    const { context, colours, run } = this;
    const name = this.kindName(item);
    context.globalAlpha = this.dimming(run.matches[item] === 1);
    this.glyph(name, x, y);
    const more = count > 1 ? `  +${count - 1}` : '';
    const isGrave = name === 'fault' || name === 'failure';
    // At the right end there is no room behind a mark, but for the gravest there is always some before it.
    const isBefore = isGrave && x > this.view.width - 150;
    const text = this.fit(run.texts[run.label[item]], (isBefore ? 400 : Math.min(room, 420)) - this.width(more));
    if (text !== '' && (room > 34 || isBefore)) {
      context.textAlign = isBefore ? 'right' : 'left';
      this.haloed(text + more, isBefore ? x - 10 : x + 9, y + 0.5, name === 'line' ? colours.muted : colours[name]);
      context.textAlign = 'left';
    }
    context.globalAlpha = 1;
    this.shapes += 1;
  }

  /** Text that is read also where lines run through it. */
  haloed(text, x, y, colour, rim = this.colours.face) {
    const { context } = this;
    context.strokeStyle = rim;
    context.lineWidth = 4;
    context.lineJoin = 'round';
    context.strokeText(text, x, y);
    context.fillStyle = colour;
    context.fillText(text, x, y);
  }

  glyph(name, x, y) {
    const { context, colours } = this;
    if (name === 'fault') { this.triangle(x, y, 6.5); return; }
    context.beginPath();
    if (name === 'line') context.arc(x, y, 3, 0, 7);
    else if (name === 'supervisor') { context.moveTo(x, y - 5); context.lineTo(x + 5, y); context.lineTo(x, y + 5); context.lineTo(x - 5, y); }
    else context.arc(x, y, 6.5, 0, 7);
    context.closePath();
    context.fillStyle = name === 'line' ? colours.face : colours[name];
    context.strokeStyle = name === 'line' ? colours.said : colours.face;
    context.lineWidth = 1.5;
    context.fill();
    context.stroke();
    if (name === 'failure') this.cross(x, y, 2.6, colours.face);
  }

  triangle(x, y, size) {
    const { context, colours } = this;
    context.beginPath();
    context.moveTo(x, y - size);
    context.lineTo(x + size, y + size * 0.8);
    context.lineTo(x - size, y + size * 0.8);
    context.closePath();
    context.fillStyle = colours.fault;
    context.strokeStyle = colours.face;
    context.lineWidth = 1;
    context.fill();
    context.stroke();
    context.fillStyle = colours.face;
    context.fillRect(x - 0.75, y - size * 0.35, 1.5, size * 0.55);
    context.fillRect(x - 0.75, y + size * 0.35, 1.5, 1.5);
  }

  cross(x, y, size, colour) {
    const { context } = this;
    context.strokeStyle = colour;
    context.lineWidth = 2;
    context.beginPath();
    context.moveTo(x - size, y - size); context.lineTo(x + size, y + size);
    context.moveTo(x + size, y - size); context.lineTo(x - size, y + size);
    context.stroke();
  }

  /** Arrows between each pair of lanes; of those that lie in the same few pixels one is drawn. */
  allArrows(pairs) {
    const { view } = this;
    const drawn = [];
    const apart = Math.min(24, Math.max(3, pairs.length / 20));
    for (const pair of pairs) {
      const down = pair.toLane.top >= pair.fromLane.top;
      const y0 = this.edgeOf(pair.fromLane, down), y1 = this.edgeOf(pair.toLane, !down);
      if (Math.max(y0, y1) < 0 || Math.min(y0, y1) > view.height) continue;
      let i = lowerBound(pair.ends, view.from);
      while (i < pair.items.length && pair.from[i] <= view.to) {
        const item = pair.items[i];
        const x0 = this.x(pair.from[i]), x1 = this.x(this.run.to[item]);
        if (x1 < 0) { i += 1; continue; }
        const next = lowerBound(pair.from, this.time(x0 + apart), i + 1);
        const count = next - i;
        drawn.push([count > 1 ? this.lostAmong(pair.items, i, next) : item, x0, y0, x1, y1]);
        i = next;
      }
    }
    // Many arrows are a veil, through which the lanes are still seen.
    const strength = Math.max(0.16, Math.min(0.9, 24 / (drawn.length / view.width * 100)));
    for (const arrow of drawn) this.arrow(arrow, strength);
    this.context.globalAlpha = 1;
  }

  /** The lower or upper end of a lane's spans, where arrows begin and end. */
  edgeOf(lane, isLower) {
    if (lane.rows.length === 0) return this.y(lane) + lane.height / 2 + (isLower ? 6 : -6);
    return this.y(lane) + lane.rowsTop + (isLower ? lane.rows.length * ROW : 0);
  }

  lostAmong(items, from, to) {
    for (let i = from; i < to && i < from + 4096; i++) if (this.kindName(items[i]) === 'lost') return items[i];
    return items[from];
  }

  arrow([item, x0, y0, x1, y1], strength) {
    const isLost = this.kindName(item) === 'lost';
    this.context.globalAlpha = (isLost ? 1 : strength) * this.dimming(this.run.matches[item] === 1);
    const end = this.arrowShape(isLost, x0, y0, x1, y1);
    this.arrowsSeen.push([item, x0, y0, ...end]);
    this.shapes += 1;
  }

  arrowShape(isLost, x0, y0, x1, y1) {
    const { context, colours } = this;
    const length = Math.hypot(x1 - x0, y1 - y0) || 1;
    const [dx, dy] = [(x1 - x0) / length, (y1 - y0) / length];
    const reach = isLost ? 0.62 : 1;
    const [endX, endY] = [x0 + (x1 - x0) * reach, y0 + (y1 - y0) * reach];
    context.strokeStyle = context.fillStyle = isLost ? colours.lost : colours.message;
    context.lineWidth = isLost ? 1.6 : 1.1;
    context.setLineDash(isLost ? [5, 4] : []);
    context.beginPath();
    context.moveTo(x0, y0);
    context.lineTo(endX - (isLost ? 0 : dx * 5), endY - (isLost ? 0 : dy * 5));
    context.stroke();
    context.setLineDash([]);
    if (isLost) this.cross(endX, endY, 4.5, colours.lost);
    else {
      context.beginPath();
      context.moveTo(endX, endY);
      context.lineTo(endX - dx * 8 - dy * 3.6, endY - dy * 8 + dx * 3.6);
      context.lineTo(endX - dx * 8 + dy * 3.6, endY - dy * 8 - dx * 3.6);
      context.fill();
      context.beginPath();
      context.arc(x0, y0, 1.8, 0, 7);
      context.fill();
    }
    return [endX, endY];
  }

  failureLines() {
    const { context, colours, run, view } = this;
    for (const at of run.failures) {
      const x = this.x(at);
      if (x < -2 || x > view.width + 2) continue;
      context.fillStyle = colours.failure;
      context.fillRect(x - 1, 0, 2, view.height);
    }
  }

  /** Around what is chosen or pointed at. */
  outline(item) {
    const { context, colours, run, layout } = this;
    const lane = layout.lanes[run.lane[item]];
    if (!lane) return;
    context.strokeStyle = colours.accent;
    context.lineWidth = 2;
    const place = this.placeOf(item);
    if (place) context.strokeRect(place.left - 2, place.top - 2, place.width + 4, place.height + 4);
    const seen = this.arrowsSeen.find(([seen]) => seen === item);
    if (!seen) return;
    context.lineWidth = 3;
    context.globalAlpha = 0.75;
    context.beginPath();
    context.moveTo(seen[1], seen[2]);
    context.lineTo(seen[3], seen[4]);
    context.stroke();
    context.globalAlpha = 1;
  }

  /** The rectangle of a span or a mark in the canvas; nothing for arrows, and for kinds that are not shown. */
  placeOf(item) {
    const { run, layout, view } = this;
    const lane = layout.lanes[run.lane[item]];
    const left = this.x(run.from[item]);
    if (!lane) return null;
    if (item >= run.firstMark) return { left: left - 6, top: this.y(lane) + this.stripMiddle(lane) - 6, width: 12, height: 14 };
    const x = Math.max(left, -4), width = Math.max(2, Math.min(this.x(run.to[item]), view.width + 4) - x);
    if (lane.life.items.includes(item)) return { left: x, top: this.y(lane) + 2, width, height: lane.height - 5 };
    const row = lane.rows.findIndex(row => row.items.includes(item));
    return row < 0 ? null : { left: x, top: this.y(lane) + lane.rowsTop + row * ROW + 1, width, height: ROW - 2 };
  }

  width(text) {
    if (this.widths.size > 20000) this.widths.clear();
    let width = this.widths.get(text);
    if (width === undefined) this.widths.set(text, width = this.context.measureText(text).width);
    return width;
  }

  /** As much of a text as there is room for. */
  fit(text, room) {
    if (room < 8) return '';
    if (text.length > 200) text = `${text.slice(0, 200)}…`;
    const width = this.width(text);
    if (width <= room) return text;
    const letters = Math.floor(text.length * room / width) - 1;
    return letters < 1 ? '' : `${text.slice(0, letters)}…`;
  }

  axis(height) {
    const { context, colours, view, run } = this;
    context.clearRect(0, 0, view.width, height);
    const { ticks, anchor } = ticksOf(view.from, view.to, view.width);
    for (const { at, text } of ticks) {
      const x = Math.round(this.x(at));
      context.fillStyle = colours.muted;
      context.fillRect(x, height - 6, 1, 6);
      context.fillText(text, x + 5, height / 2);
    }
    for (const at of run.failures) {
      const x = this.x(at);
      context.fillStyle = colours.failure;
      context.beginPath();
      context.moveTo(x - 6, height - 9); context.lineTo(x + 6, height - 9); context.lineTo(x, height); context.fill();
    }
    return anchor;
  }

  /** The whole run, small: every lane a line or less, faults above all. */
  overview(layout, height) {
    const { context, colours, run, view } = this;
    context.clearRect(0, 0, view.width, height);
    const lanes = layout.groups.flatMap(group => [group.head, ...group.lanes]).filter(lane => lane.index !== -1);
    const step = (height - 8) / Math.max(1, lanes.length);
    const wasSearch = this.isSearch;
    this.isSearch = false;
    lanes.forEach((lane, i) => {
      const top = 4 + i * step, thick = Math.max(1, step - 1);
      this.thin(lane.life, top, thick);
      for (const row of lane.rows) this.thin(row, top, thick);
    });
    for (const item of run.faults) {
      context.fillStyle = colours.fault;
      context.fillRect(this.x(faultTime(run, item)) - 0.5, 0, 1.5, 6);
    }
    for (const at of run.failures) {
      context.fillStyle = colours.failure;
      context.fillRect(this.x(at) - 1, 0, 2, height);
    }
    this.isSearch = wasSearch;
  }

  thin(row, top, height) {
    const { items, from, ends } = row;
    let i = lowerBound(ends, this.view.from);
    while (i < items.length) {
      const left = this.x(from[i]), right = this.x(this.run.to[items[i]]);
      const name = this.kindName(items[i]);
      this.context.fillStyle = this.run.fault[items[i]] >= 0 && name !== 'life' ? this.colours.fault
        : this.colours[name === 'life' ? 'life' : `${name}-edge`];
      this.context.fillRect(left, top, Math.max(1, right - left), height);
      i = right - left > 1 ? i + 1 : lowerBound(from, this.time(Math.floor(left) + 1), i + 1);
    }
  }

  /** A kind as the legend shows it. */
  swatch(name, width, height) {
    const { context, colours, patterns } = this;
    context.clearRect(0, 0, width, height);
    const middle = height / 2;
    if (name === 'message' || name === 'lost') {
      const isLost = name === 'lost', rise = isLost ? 0 : 4;
      this.arrowShape(isLost, 2, middle + rise, isLost ? 27 : width - 1, middle - rise);
    } else if (['line', 'supervisor', 'fault', 'failure'].includes(name)) this.glyph(name, width / 2, middle);
    else {
      context.fillStyle = colours[name];
      context.fillRect(0, 1, width, height - 2);
      const isFull = name === 'off' || name === 'network';
      context.fillStyle = patterns[name] ?? colours['life-edge'];
      context.fillRect(0, isFull ? 1 : height - 5, width, isFull ? height - 2 : 4);
      this.edge(0, 1, width + 0.5, height - 2, colours[`${name}-edge`], 1);
      if (!isFull && BADGES[name]) { context.fillStyle = colours.ink; context.font = '10px sans-serif'; context.fillText(BADGES[name], 7, middle - 1); }
    }
  }

  /** The item at a place of the canvas: marks before spans before arrows before lives. */
  hit(x, y) {
    const { layout } = this;
    const all = layout.groups.flatMap(group => [group.head, ...group.lanes]);
    const lane = all.filter(lane => lane.index !== -1).find(lane => this.y(lane) <= y && y < this.y(lane) + lane.height);
    if (!lane) return this.hitArrow(x, y);
    const inLane = y - this.y(lane);
    const mark = Math.abs(inLane - this.stripMiddle(lane)) < 10 ? this.hitMark(lane.marks, x) : -1;
    if (mark >= 0) return mark;
    const row = lane.rows[Math.floor((inLane - lane.rowsTop) / ROW)];
    const span = row ? this.hitRow(row, x) : -1;
    if (span >= 0) return span;
    const arrow = this.hitArrow(x, y);
    return arrow >= 0 ? arrow : this.hitRow(lane.life, x);
  }

  hitRow(row, x) {
    const i = lowerBound(row.ends, this.time(x - 2));
    if (i >= row.items.length || row.from[i] > this.time(x + 2)) return -1;
    // The next one may be what is under the pointer itself, where this one is only near.
    const next = i + 1 < row.items.length && row.ends[i] < this.time(x) && row.from[i + 1] <= this.time(x);
    return row.items[next ? i + 1 : i];
  }

  hitMark(row, x) {
    const i = lowerBound(row.from, this.time(x - 7));
    const next = lowerBound(row.from, this.time(x + 7), i);
    return next > i ? this.gravest(row.items, i, next) : -1;
  }

  hitArrow(x, y) {
    let best = -1, least = 5;
    for (const [item, x0, y0, x1, y1] of this.arrowsSeen) {
      const [dx, dy] = [x1 - x0, y1 - y0];
      const along = Math.max(0, Math.min(1, ((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy || 1)));
      const away = Math.hypot(x - x0 - along * dx, y - y0 - along * dy);
      if (away < least) { least = away; best = item; }
    }
    return best;
  }
}
