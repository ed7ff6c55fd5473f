// The page: what is seen, what is chosen, and what people do.

const $ = id => document.getElementById(id);

/** An element with attributes and children; text is only ever text, whatever it holds. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  Object.assign(element, attributes);
  element.append(...children);
  return element;
}

class Page {
  constructor(run) {
    this.run = run;
    this.shown = run.kinds.map(() => true);
    this.found = { words: [], items: [], lanes: [] };
    this.match = -1;
    this.chosen = -1;
    this.pointed = -1;
    this.faultsListed = 0;
    this.frames = 0;
    this.margin = run.end * 0.015;
    this.view = { from: -this.margin, to: run.end + this.margin };
    this.goal = { ...this.view };
  }

  start() {
    this.colours();
    this.writeHead();
    this.writeFilters();
    this.arrange();
    this.listFaults();
    this.readHash();
    this.view = { ...this.goal };
    this.tell();
    this.listen();
    this.draw();
  }

  // --- what stands on the page -------------------------------------------------------------------------------------

  writeHead() {
    const { run } = this;
    document.title = `${run.system} · Solum timeline`;
    $('system').textContent = run.system;
    const items = run.total.toLocaleString('en').replaceAll(',', '\u202f');
    $('summary').textContent = `${shortTime(run.end)} of virtual time · ${run.lanes.length} lanes · ${items} items`;
    $('replay').textContent = run.replay;
    $('replay-box').hidden = run.replay === '';
    $('failure').hidden = run.failure === null;
    $('failure-text').textContent = run.failure ?? '';
  }

  writeFilters() {
    this.run.kinds.forEach((kind, index) => {
      if (kind.count === 0) return;
      const box = make('input', { type: 'checkbox', checked: true });
      box.dataset.kind = kind.name;
      box.addEventListener('change', () => { this.shown[index] = box.checked; this.arrange(); this.redraw(); });
      const count = make('small', { textContent: kind.count.toLocaleString('en').replaceAll(',', '\u202f') });
      const canvas = make('canvas', { className: 'swatch' });
      canvas.dataset.kind = kind.name;
      $('filters').append(make('label', {}, box, canvas, kind.title, count));
    });
    this.paintSwatches();
  }

  paintSwatches() {
    for (const canvas of document.querySelectorAll('canvas.swatch')) {
      this.painter.aim(fitCanvas(canvas, 22, 16), { from: 0, to: 1, width: 22, height: 16, scroll: 0 });
      this.painter.swatch(canvas.dataset.kind, 22, 16);
    }
  }

  /** Lays the lanes out anew, after another choice of kinds. */
  arrange() {
    this.layout = layOut(this.run, this.shown, $('stage').clientHeight);
    this.countMatches();
    const names = this.layout.groups.map(group => make('div', {}, ...[group.head, ...group.lanes].map(lane => this.nameOf(lane))));
    $('names').replaceChildren(...names);
    $('names').style.height = `${this.layout.height}px`;
    this.isOverviewStale = true;
  }

  nameOf(lane) {
    // Inside of its group a lane needs not repeat the machine.
    const prefix = `${lane.machine}.`;
    const text = lane.name.startsWith(prefix) && lane.machine ? lane.name.slice(prefix.length) : lane.name;
    const element = make('div', { className: lane.isHead ? 'lane head' : 'lane', title: lane.name }, make('span', { textContent: text }));
    element.setAttribute('role', 'listitem');
    element.style.height = `${lane.height}px`;
    element.dataset.lane = lane.index;
    if (!lane.isHead) element.append(make('i', { textContent: lane.kind }));
    return element;
  }

  listFaults() {
    const { run } = this;
    const until = Math.min(run.faults.length, this.faultsListed + 300);
    for (const item of run.faults.slice(this.faultsListed, until)) {
      const name = run.kinds[run.kind[item]].name;
      const text = run.fault[item] >= 0 ? run.texts[run.fault[item]] : run.texts[run.label[item]];
      const what = run.fault[item] >= 0 ? ` · ${run.texts[run.label[item]]}` : '';
      const button = make('button', { type: 'button' },
        make('b', { textContent: name === 'lost' ? '⇥' : name === 'failure' ? '✕' : '▲' }),
        make('span', { textContent: name === 'lost' ? `lost: ${text}` : text }),
        make('time', { textContent: shortTime(faultTime(run, item)) }),
        make('small', { textContent: `${this.laneText(item)}${what}` }));
      button.dataset.item = item;
      button.addEventListener('click', () => this.goToFault(item));
      $('faults').append(make('li', {}, button));
    }
    this.faultsListed = until;
    const left = run.faults.length - until;
    $('fault-count').textContent = run.faults.length === 0 ? 'none' : run.faults.length.toLocaleString('en').replaceAll(',', '\u202f');
    $('more-faults').hidden = left === 0;
    $('more-faults').textContent = `Show ${Math.min(300, left)} of ${left} more`;
  }

  laneText(item) {
    const { run } = this;
    const [from, to] = [run.lane[item], run.toLane[item]].map(lane => run.lanes[lane]?.name ?? '?');
    return item >= run.firstArrow && item < run.firstMark ? `${from} → ${to}` : from;
  }

  tell() {
    const item = this.pointed >= 0 ? this.pointed : this.chosen;
    if (item === this.told) return;
    this.told = item;
    $('details').replaceChildren(...(item < 0 ? this.nothingChosen() : this.detailsOf(item)));
    this.paintSwatches();
    for (const button of $('faults').querySelectorAll('button')) button.classList.toggle('chosen', Number(button.dataset.item) === this.chosen);
    for (const lane of $('names').querySelectorAll('.lane')) {
      lane.classList.toggle('chosen', this.chosen >= 0 && Number(lane.dataset.lane) === this.run.lane[this.chosen]);
    }
  }

  nothingChosen() {
    return [make('p', { className: 'hint' }, 'Point at something, or click it, to read what it is. ', make('kbd', { textContent: '?' }), ' lists the keys.')];
  }

  detailsOf(item) {
    const { run } = this;
    const kind = run.kinds[run.kind[item]];
    const [from, to] = run.exact(item);
    const canvas = make('canvas', { className: 'swatch' });
    canvas.dataset.kind = kind.name;
    const parts = [make('p', { className: 'kind' }, canvas, kind.title), make('h2', { textContent: run.texts[run.label[item]] })];
    if (run.fault[item] >= 0) parts.push(make('p', { className: 'fault', textContent: `▲ ${run.texts[run.fault[item]]}` }));
    const time = ns => [shortTime(Number(ns), 6), make('small', { className: 'exact', textContent: exactTime(ns) })];
    const rows = [['lane', [this.laneText(item)]]];
    if (kind.sort === 'mark') rows.push(['at', time(from)]);
    else rows.push([kind.sort === 'arrow' ? 'left' : 'from', time(from)],
      [kind.name === 'lost' ? 'never came' : kind.sort === 'arrow' ? 'came' : 'to', time(to)],
      [kind.sort === 'arrow' ? 'took' : 'duration', time(to - from)]);
    parts.push(make('dl', {}, ...rows.flatMap(([name, values]) => [make('dt', { textContent: name }), make('dd', {}, ...values)])));
    return parts;
  }

  // --- what is seen ------------------------------------------------------------------------------------------------

  colours() {
    this.painter = new Painter(this.run, readColours());
    this.isOverviewStale = true;
  }

  resize() {
    if (this.roomThen !== $('stage').clientHeight) { this.roomThen = $('stage').clientHeight; this.arrange(); }
    this.redraw();
  }

  redraw() {
    if (!this.isDue) { this.isDue = true; requestAnimationFrame(() => { this.isDue = false; this.draw(); }); }
  }

  draw() {
    const { painter, layout } = this;
    this.approach();
    const width = $('plot').clientWidth, height = $('stage').clientHeight;
    if (width < 1 || height < 1) return;
    // What is left of the lanes' own height can be dragged and zoomed as well.
    $('canvas').style.height = `${height}px`;
    // The axis is as wide as the lanes are beside their scroll bar, or its ticks would be elsewhere than the lines.
    $('axis').style.width = `${width}px`;
    painter.isSearch = this.found.items.length > 0;
    const overview = $('minimap').getBoundingClientRect(), axis = $('axis').getBoundingClientRect();
    this.drawOverview(overview.width, overview.height - 1);
    painter.aim(fitCanvas($('axis'), width, axis.height - 1), { ...this.view, width });
    const anchor = painter.axis(axis.height - 1);
    $('anchor').textContent = anchor ? shortTime(anchor, 12) : '';
    painter.aim(fitCanvas($('canvas'), width, height), { ...this.view, width, height, scroll: $('stage').scrollTop });
    painter.chart(layout, [this.chosen, this.pointed].filter(item => item >= 0));
    const { from, to } = this.view;
    $('range').replaceChildren(make('b', { textContent: shortTime(to - from, 3) }), `\nfrom ${shortTime(Math.max(0, from))}`);
    this.frames += 1;
  }

  /** The whole run is drawn once, and the window that is seen each time. */
  drawOverview(width, height) {
    const all = { from: -this.margin, to: this.run.end + this.margin, width, height, scroll: 0 };
    if (this.isOverviewStale || this.overview?.wide !== width) {
      this.overview = document.createElement('canvas');
      this.overview.wide = width;
      this.painter.aim(fitCanvas(this.overview, width, height), all);
      this.painter.overview(this.layout, height);
      this.isOverviewStale = false;
    }
    const context = fitCanvas($('minimap'), width, height + 1);
    this.painter.aim(context, all);
    context.clearRect(0, 0, width, height + 1);
    context.drawImage(this.overview, 0, 0, width, height);
    const left = this.painter.x(this.view.from), right = Math.max(left + 3, this.painter.x(this.view.to));
    const { back, accent } = this.painter.colours;
    context.globalAlpha = 0.72;
    context.fillStyle = back;
    context.fillRect(0, 0, left, height);
    context.fillRect(right, 0, width - right, height);
    context.globalAlpha = 1;
    context.strokeStyle = accent;
    context.lineWidth = 2;
    context.strokeRect(left + 1, 1, right - left - 2, height - 2);
  }

  /** One step of the way from what is seen to what shall be. */
  approach() {
    const { view, goal } = this;
    const isNear = Math.abs(goal.from - view.from) + Math.abs(goal.to - view.to) < (goal.to - goal.from) * 0.002;
    if (isNear || matchMedia('(prefers-reduced-motion: reduce)').matches) { this.view = { ...goal }; return; }
    // Widths change by factors, so that a zoom over many powers of ten is even.
    const share = 0.28;
    const width = (view.to - view.from) ** (1 - share) * (goal.to - goal.from) ** share;
    const middle = (view.from + view.to) / 2, aim = (goal.from + goal.to) / 2;
    const moved = (goal.to - goal.from) < (view.to - view.from)
      ? aim + (middle - aim) * (width - (goal.to - goal.from)) / ((view.to - view.from) - (goal.to - goal.from))
      : middle + (aim - middle) * share;
    this.view = { from: moved - width / 2, to: moved + width / 2 };
    this.redraw();
  }

  see(from, to, isAtOnce = false) {
    const most = this.run.end + 2 * this.margin;
    // Beyond some digits neighbouring nanoseconds are the same number.
    const least = Math.max(20, this.run.end * 1e-14);
    const width = Math.min(most, Math.max(least, to - from));
    let start = (from + to) / 2 - width / 2;
    start = Math.max(-this.margin, Math.min(this.run.end + this.margin - width, start));
    this.goal = { from: start, to: start + width };
    if (isAtOnce) this.view = { ...this.goal };
    clearTimeout(this.hashTimer);
    this.hashTimer = setTimeout(() => this.writeHash(), 250);
    this.redraw();
  }

  zoom(factor, x = null) {
    const { from, to } = this.goal;
    const share = x === null ? 0.5 : x / $('plot').clientWidth;
    const about = from + (to - from) * share;
    this.see(about - (about - from) * factor, about + (to - about) * factor, x !== null);
  }

  pan(share) {
    const { from, to } = this.goal;
    this.see(from + (to - from) * share, to + (to - from) * share);
  }

  all() { this.see(-this.margin, this.run.end + this.margin); }

  writeHash() {
    const { from, to } = this.goal;
    const hash = `#t=${Math.max(0, Math.round(from))}-${Math.round(to)}`;
    if (location.hash !== hash) history.replaceState(null, '', hash);
  }

  readHash() {
    const parts = /^#t=(\d+)-(\d+)$/.exec(location.hash);
    if (parts && Number(parts[2]) > Number(parts[1])) this.see(Number(parts[1]), Number(parts[2]));
  }

  // --- what is chosen ----------------------------------------------------------------------------------------------

  choose(item) {
    this.chosen = item;
    this.pointed = -1;
    this.told = null;
    this.tell();
    this.redraw();
  }

  /** Chooses an item and brings it into sight, large enough to be recognised. */
  goTo(item, isClose = false) {
    const { run } = this;
    if (!this.shown[run.kind[item]]) this.show(run.kind[item]);
    const length = run.to[item] - run.from[item], width = this.goal.to - this.goal.from;
    const isFine = length > width / 40 && length < width * 0.6;
    const wanted = length > 0 ? length * 6 : Math.min(width, run.end / 60);
    const next = isFine && !isClose ? width : isClose && length > 0 ? length * 1.2 : wanted;
    const middle = (run.from[item] + run.to[item]) / 2;
    this.see(middle - next / 2, middle + next / 2);
    this.scrollTo(run.lane[item]);
    this.choose(item);
  }

  goToFault(item) {
    const { run } = this;
    const isLife = run.kinds[run.kind[item]].name === 'life';
    if (!isLife) { this.goTo(item); return; }
    // What ended a life is seen at its end, not in all its length.
    const at = run.to[item], width = Math.min(this.goal.to - this.goal.from, run.end / 20);
    this.see(at - width / 2, at + width / 2);
    this.scrollTo(run.lane[item]);
    this.choose(item);
  }

  show(kind) {
    this.shown[kind] = true;
    for (const box of $('filters').querySelectorAll('input')) box.checked = this.shown[this.run.kinds.findIndex(kind => kind.name === box.dataset.kind)];
    this.arrange();
  }

  scrollTo(index) {
    const lane = this.layout.lanes[index], stage = $('stage');
    if (!lane) return;
    const head = lane.isHead ? 0 : lane.group.head.height;
    if (lane.top - head < stage.scrollTop) stage.scrollTop = lane.top - head - 10;
    else if (lane.top + lane.height > stage.scrollTop + stage.clientHeight) stage.scrollTop = lane.top + lane.height - stage.clientHeight + 10;
  }

  /** The next of some items after what is chosen, or else after where the sight begins. */
  step(items, direction) {
    if (items.length === 0) return;
    const at = items.indexOf(this.chosen);
    const first = direction > 0 ? items.findIndex(item => this.run.from[item] >= this.goal.from) : items.length - 1;
    const go = items === this.run.faults ? item => this.goToFault(item) : item => this.goTo(item);
    go(items[at < 0 ? Math.max(0, first) : (at + direction + items.length) % items.length]);
  }

  stepInLane(direction) {
    const lane = this.chosen >= 0 ? this.run.lane[this.chosen] : this.layout.groups.flatMap(group => [group.head, ...group.lanes]).find(lane => lane.index !== -1)?.index;
    this.step(Array.from(this.run.order).filter(item => this.run.lane[item] === lane && this.shown[this.run.kind[item]]), direction);
  }

  // --- search ------------------------------------------------------------------------------------------------------

  search(text) {
    this.found = search(this.run, text);
    this.match = -1;
    this.countMatches();
    for (const lane of $('names').querySelectorAll('.lane')) {
      lane.classList.toggle('found', this.found.lanes.includes(Number(lane.dataset.lane)));
    }
    this.sayCount();
    this.redraw();
    return this.found.items.length + this.found.lanes.length;
  }

  countMatches() {
    for (const lane of this.layout.lanes) for (const row of [lane.life, lane.marks, ...lane.rows]) countMatches(this.run, row);
    for (const row of this.layout.arrows) countMatches(this.run, row);
  }

  sayCount() {
    const { words, items, lanes } = this.found;
    const total = items.length + lanes.length;
    $('count').classList.toggle('none', words.length > 0 && total === 0);
    $('count').textContent = words.length === 0 ? '' : total === 0 ? 'no matches'
      : this.match >= 0 ? `${this.match + 1} of ${total}` : total === 1 ? '1 match' : `${total} matches`;
  }

  /** The next match: lanes that are called so first, then items in the order of time. */
  nextMatch(direction) {
    const { items, lanes } = this.found;
    const total = items.length + lanes.length;
    if (total === 0) return;
    this.match = this.match < 0 && direction < 0 ? total - 1 : (this.match + direction + total) % total;
    if (this.match < lanes.length) this.scrollTo(lanes[this.match]);
    else this.goTo(items[this.match - lanes.length]);
    this.sayCount();
  }

  // --- what people do ----------------------------------------------------------------------------------------------

  listen() {
    $('search').addEventListener('input', () => this.search($('search').value));
    $('search').addEventListener('keydown', event => {
      if (event.key === 'Enter') { event.preventDefault(); this.nextMatch(event.shiftKey ? -1 : 1); }
      if (event.key === 'Escape') { $('search').value = ''; this.search(''); $('canvas').focus(); }
    });
    const clicks = {
      next: () => this.nextMatch(1), previous: () => this.nextMatch(-1), 'zoom-in': () => this.zoom(0.5),
      'zoom-out': () => this.zoom(2), 'zoom-all': () => this.all(), ask: () => $('help').showModal(),
      copy: () => this.copy(), failure: () => this.goToFailure(), 'more-faults': () => this.listFaults(),
    };
    for (const [id, action] of Object.entries(clicks)) $(id).addEventListener('click', action);
    addEventListener('keydown', event => this.key(event));
    addEventListener('hashchange', () => this.readHash());
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => { this.colours(); this.paintSwatches(); this.redraw(); });
    new ResizeObserver(() => this.resize()).observe($('stage'));
    $('stage').addEventListener('scroll', () => this.redraw());
    listenToPointer(this);
  }

  goToFailure() {
    const { run } = this;
    const mark = run.faults.find(item => run.kinds[run.kind[item]].name === 'failure');
    if (mark !== undefined) this.goTo(mark); else this.see(run.end - run.end / 60, run.end + run.end / 60);
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || $('help').open) return;
    if (event.target.matches('input:not([type=checkbox])')) return;
    const keys = {
      '+': () => this.zoom(0.5), '=': () => this.zoom(0.5), '-': () => this.zoom(2), '0': () => this.all(),
      ArrowLeft: () => this.pan(-0.2), ArrowRight: () => this.pan(0.2),
      ArrowUp: () => { $('stage').scrollTop -= 60; }, ArrowDown: () => { $('stage').scrollTop += 60; },
      '/': () => $('search').focus(), '?': () => $('help').showModal(),
      f: () => this.step(this.run.faults, 1), F: () => this.step(this.run.faults, -1),
      n: () => this.stepInLane(1), p: () => this.stepInLane(-1),
      z: () => { if (this.chosen >= 0) this.goTo(this.chosen, true); }, Escape: () => this.choose(-1),
    };
    const action = keys[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  }

  async copy() {
    try {
      await navigator.clipboard.writeText(this.run.replay);
    } catch {
      // Without the permission people still have it marked, and copy it themselves.
      getSelection().selectAllChildren($('replay'));
      document.execCommand('copy');
    }
    $('copy').textContent = 'Copied';
    setTimeout(() => { $('copy').textContent = 'Copy'; }, 1500);
  }

  point(item, event) {
    const tip = $('tip');
    if (item !== this.pointed) { this.pointed = item; this.tell(); this.redraw(); }
    $('canvas').classList.toggle('pointing', item >= 0);
    tip.hidden = item < 0;
    if (item < 0) return;
    const { run } = this;
    const length = run.to[item] - run.from[item];
    const label = run.texts[run.label[item]];
    tip.replaceChildren(label.length > 160 ? `${label.slice(0, 160)}…` : label, make('br'),
      make('small', { textContent: `${shortTime(run.from[item], 6)}${length > 0 ? ` · ${shortTime(length)}` : ''}${run.fault[item] >= 0 ? ` · ▲ ${run.texts[run.fault[item]]}` : ''}` }));
    tip.style.left = `${Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8)}px`;
    tip.style.top = `${event.clientY + 18 + tip.offsetHeight > innerHeight ? event.clientY - tip.offsetHeight - 10 : event.clientY + 18}px`;
  }
}
