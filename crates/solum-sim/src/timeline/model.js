// What the run was: read from the page, laid out in lanes, and searched. Nothing here touches the page.

/** The place of the first number in sorted numbers that is not less than a value. */
function lowerBound(numbers, value, from = 0) {
  let low = from, high = numbers.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (numbers[middle] < value) low = middle + 1; else high = middle;
  }
  return low;
}

/** Every kind of item in one list: spans, then arrows, then marks. */
function kindsOf(data) {
  const titles = { life: 'life', call: 'call', off: 'power off', line: 'printed line' };
  const kind = (name, sort) => ({ name, sort, title: titles[name] ?? name, count: 0 });
  return [
    ...data.span_kinds.map(name => kind(name, 'span')),
    kind('message', 'arrow'), kind('lost', 'arrow'),
    ...data.mark_kinds.map(name => kind(name, 'mark')),
  ];
}

/**
 * All items in columns: spans, arrows, marks, each in the order of the file. A number is enough to draw with; the exact
 * time of an item is `exact(item)`, because a run may be longer than the 2^53 ns that a number holds.
 */
function readRun(data) {
  const { spans, arrows, marks, lanes, texts } = data;
  const firstArrow = spans.lane.length, firstMark = firstArrow + arrows.from_lane.length;
  const total = firstMark + marks.lane.length;
  const kinds = kindsOf(data);
  const place = name => kinds.findIndex(kind => kind.name === name);
  const message = place('message'), lost = place('lost'), firstMarkKind = lost + 1;
  const run = {
    system: data.system, replay: data.replay, failure: data.failure, lanes, texts, kinds, total, firstArrow, firstMark,
    kind: new Uint8Array(total), lane: new Uint32Array(total), toLane: new Uint32Array(total),
    from: new Float64Array(total), to: new Float64Array(total),
    label: new Uint32Array(total), fault: new Int32Array(total).fill(-1), matches: new Uint8Array(total),
    exactEnd: BigInt(data.end), end: Number(data.end),
  };
  const put = (item, kind, lane, toLane, from, to, label, fault = -1) => {
    run.kind[item] = kind; run.lane[item] = lane; run.toLane[item] = toLane;
    run.from[item] = Number(from); run.to[item] = Math.max(Number(from), Number(to));
    run.label[item] = label; run.fault[item] = fault;
    run.end = Math.max(run.end, run.to[item]);
    kinds[kind].count += 1;
  };
  for (let i = 0; i < firstArrow; i++) {
    put(i, spans.kind[i], spans.lane[i], spans.lane[i], spans.from[i], spans.to[i], spans.label[i], spans.fault[i]);
  }
  for (let i = 0; i < firstMark - firstArrow; i++) {
    put(firstArrow + i, arrows.lost[i] ? lost : message, arrows.from_lane[i], arrows.to_lane[i],
      arrows.from[i], arrows.to[i], arrows.label[i]);
  }
  for (let i = 0; i < total - firstMark; i++) {
    put(firstMark + i, firstMarkKind + marks.kind[i], marks.lane[i], marks.lane[i], marks.at[i], marks.at[i], marks.label[i]);
  }
  run.end = Math.max(run.end, 1);
  run.exact = item => {
    const [column, i] = item < firstArrow ? [spans, item]
      : item < firstMark ? [arrows, item - firstArrow] : [marks, item - firstMark];
    return [BigInt((column.from ?? column.at)[i]), BigInt((column.to ?? column.at)[i])];
  };
  run.order = sorted(run);
  run.faults = faultsOf(run, place('fault'), place('failure'), lost);
  run.failures = failuresOf(run, place('failure'));
  return run;
}

/** The items by their beginning; ties stay in the order of the file, so that what was begun first lies outside. */
function sorted(run) {
  const order = Uint32Array.from({ length: run.total }, (_, item) => item);
  return order.sort((a, b) => run.from[a] - run.from[b] || run.to[b] - run.to[a] || a - b);
}

function faultsOf(run, fault, failure, lost) {
  const is = item => run.fault[item] >= 0 || [fault, failure, lost].includes(run.kind[item]);
  return Array.from(run.order.filter(is)).sort((a, b) => faultTime(run, a) - faultTime(run, b) || a - b);
}

/** A life suffers what ended it; everything else suffers from its beginning. */
function faultTime(run, item) {
  return run.kinds[run.kind[item]].name === 'life' ? run.to[item] : run.from[item];
}

/** When it failed; a failure without a mark of its own is one of the end. */
function failuresOf(run, failure) {
  const marked = Array.from(run.order.filter(item => run.kind[item] === failure), item => run.from[item]);
  return marked.length || run.failure === null ? marked : [run.end];
}

const ROW = 20, STRIP = 20, PAD = 5, LEAST_LANE = 34, MOST_ROWS = 8, MOST_SPARE = 34;

/** Items of a lane that do not overlap, with running sums that answer for any stretch of them at once. */
function makeRow(run, items) {
  const row = {
    items: Uint32Array.from(items), from: Float64Array.from(items, item => run.from[item]),
    ends: new Float64Array(items.length), busy: new Float64Array(items.length + 1),
    faults: new Uint32Array(items.length + 1), matches: new Uint32Array(items.length + 1),
  };
  let end = 0;
  items.forEach((item, i) => {
    end = Math.max(end, run.to[item]);
    row.ends[i] = end;
    row.busy[i + 1] = row.busy[i] + run.to[item] - run.from[item];
    row.faults[i + 1] = row.faults[i] + (run.fault[item] >= 0 ? 1 : 0);
  });
  return row;
}

function countMatches(run, row) {
  for (let i = 0; i < row.items.length; i++) row.matches[i + 1] = row.matches[i] + run.matches[row.items[i]];
}

/** Spans in as few rows as keep them apart. Beyond the most rows they lie upon each other, in the last. */
function pack(run, items) {
  const rows = [], ends = [];
  for (const item of items) {
    let place = ends.findIndex(end => end <= run.from[item]);
    if (place < 0) place = Math.min(ends.length, MOST_ROWS - 1);
    (rows[place] ??= []).push(item);
    ends[place] = Math.max(ends[place] ?? 0, run.to[item]);
  }
  return rows.map(row => makeRow(run, row));
}

/** Lanes in groups by machine, each with its rows and its place from above; `shown` says which kinds count. */
function layOut(run, shown, room) {
  const spans = run.lanes.map(() => []), lives = run.lanes.map(() => []), marks = run.lanes.map(() => []);
  const between = new Map();
  const life = run.kinds.findIndex(kind => kind.name === 'life');
  for (const item of run.order) {
    const lane = run.lane[item];
    if (!shown[run.kind[item]] || lane >= run.lanes.length || run.toLane[item] >= run.lanes.length) continue;
    if (item >= run.firstMark) marks[lane].push(item);
    else if (item < run.firstArrow) (run.kind[item] === life ? lives : spans)[lane].push(item);
    else {
      const pair = lane * run.lanes.length + run.toLane[item];
      if (!between.has(pair)) between.set(pair, []);
      between.get(pair).push(item);
    }
  }
  const lanes = run.lanes.map((lane, index) => ({
    ...lane, index, rows: pack(run, spans[index]), life: makeRow(run, lives[index]), marks: makeRow(run, marks[index]),
  }));
  const arrows = Array.from(between.values(), items => {
    const from = run.lane[items[0]], to = run.toLane[items[0]];
    return { ...makeRow(run, items), fromLane: lanes[from], toLane: lanes[to] };
  });
  return { lanes, arrows, ...stack(lanes, room) };
}

/** Lanes one below the other; few of them share the room that there is, up to a height that is still one picture. */
function stack(lanes, room) {
  const tight = stackWith(lanes, 0);
  const spare = Math.floor((room - tight.height) / Math.max(1, lanes.length));
  return spare > 0 ? stackWith(lanes, Math.min(spare, MOST_SPARE)) : tight;
}

function stackWith(lanes, spare) {
  const groups = [];
  for (const lane of lanes) {
    let group = groups.find(group => group.machine === lane.machine);
    if (!group) groups.push(group = { machine: lane.machine, lanes: [], head: null });
    // What a machine suffers stands above its units, wherever it came in the list.
    if (lane.kind === 'machine' && !group.head) group.head = lane; else group.lanes.push(lane);
  }
  let top = 0;
  for (const group of groups) {
    group.top = top;
    group.title = group.machine === '' ? 'outside' : group.machine;
    const head = group.head ?? { name: group.title, rows: [], life: null, marks: null, index: -1 };
    group.head = head;
    head.isHead = true;
    head.group = group;
    for (const lane of [head, ...group.lanes]) {
      lane.group = group;
      lane.strip = lane.marks?.items.length ? STRIP : 0;
      const least = lane.isHead ? 26 : LEAST_LANE;
      const added = lane.isHead ? 0 : spare;
      lane.height = Math.max(least, lane.strip + lane.rows.length * ROW + 2 * PAD) + added;
      // What there is of rows lies in the middle of a lane that is higher.
      lane.rowsTop = lane.strip + (lane.height - lane.strip - lane.rows.length * ROW) / 2;
      lane.top = top;
      top += lane.height;
    }
    group.bottom = top;
  }
  return { groups, height: top };
}

/** The words that a search is for. */
function wordsOf(text) {
  return text.toLowerCase().split(/\s+/).filter(word => word !== '');
}

/**
 * Items and lanes with all of these words. A word may stand in the lane's name, but not all of them, or everything in
 * a lane would be found with it.
 */
function search(run, text) {
  const words = wordsOf(text);
  run.matches.fill(0);
  if (words.length === 0) return { words, items: [], lanes: [] };
  run.lowerTexts ??= run.texts.map(text => text.toLowerCase());
  const inTexts = words.map(word => Uint8Array.from(run.lowerTexts, text => text.includes(word) ? 1 : 0));
  const inLanes = words.map(word => run.lanes.map(lane => lane.name.toLowerCase().includes(word)));
  const items = [];
  for (const item of run.order) {
    let all = true, own = false;
    for (let word = 0; word < words.length && all; word++) {
      const fault = run.fault[item];
      const isOwn = inTexts[word][run.label[item]] === 1 || (fault >= 0 && inTexts[word][fault] === 1);
      own ||= isOwn;
      all = isOwn || inLanes[word][run.lane[item]] || inLanes[word][run.toLane[item]];
    }
    if (all && own) { run.matches[item] = 1; items.push(item); }
  }
  const lanes = run.lanes.flatMap((_, lane) => inLanes.every(word => word[lane]) ? [lane] : []);
  return { words, items, lanes };
}

const UNITS = [['s', 1e9], ['ms', 1e6], ['µs', 1e3], ['ns', 1]];

/** Few digits, for people: `1.25 ms`. */
function shortTime(ns, digits = 4) {
  if (ns === 0) return '0 s';
  const [unit, size] = UNITS.find(([, size]) => Math.abs(ns) >= size) ?? UNITS[3];
  return `${Number((ns / size).toPrecision(Math.max(digits, Math.trunc(Math.abs(ns / size)).toString().length)))} ${unit}`;
}

/** All digits, in groups of three: `1 250 000 ns`. */
function exactTime(ns) {
  return `${grouped(ns)} ns`;
}

function grouped(number) {
  return number.toString().replace(/\B(?=(\d{3})+$)/g, '\u202f');
}

/** Where the ticks of an axis are, and how they are named; an anchor takes the digits that they share. */
function ticksOf(from, to, width) {
  const least = (to - from) * 110 / width;
  const power = 10 ** Math.floor(Math.log10(Math.max(least, 1)));
  const step = Math.max(1, [1, 2, 5, 10].map(factor => factor * power).find(step => step >= least));
  const [unit, size] = UNITS.find(([, size]) => step >= size / (size === 1e9 ? 10 : 1)) ?? UNITS[3];
  const [, above] = UNITS[Math.max(0, UNITS.findIndex(([name]) => name === unit) - 1)];
  // Seconds are never cut; smaller units count from the larger one before them.
  const anchor = unit === 's' || to < above ? 0 : Math.max(0, Math.floor(from / above) * above);
  const decimals = Math.max(0, -Math.floor(Math.log10(step / size) + 1e-9));
  const ticks = [];
  for (let at = Math.ceil(from / step) * step; at <= to && ticks.length < 1000; at += step) {
    const number = (at - anchor) / size;
    ticks.push({ at, text: `${anchor ? '+' : ''}${number.toFixed(Math.min(decimals, 9))} ${unit}` });
  }
  return { ticks, anchor, step };
}
