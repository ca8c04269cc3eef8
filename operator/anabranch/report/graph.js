// Draws the graph that the reader chooses. Hops stand from left to right, by their TTLs.
"use strict";

const graphs = JSON.parse(document.getElementById("graphs").textContent);
const canvas = document.getElementById("canvas");
const title = document.getElementById("drawn");
const told = document.getElementById("told");
const buttons = [...document.querySelectorAll("button[data-graph]")];
const levels = [...document.querySelectorAll("button[data-level]")];
const shown = { number: 0, level: "interfaces" };

const CHARACTER = 6.7; // the width of one in an address
const NARROW = 2; // the most interfaces of a hop whose addresses stand upright
const PITCH = 17; // between two interfaces of a wide hop
const NARROW_PITCH = 42;
const CHAIN_STEP = 26; // between two hops of one interface
const STEP = 64; // the least between two others
const RISE = 3; // the most that a link rises, in steps
const GAP = 9; // between an interface and its address
const TOP = 24;

function make(name, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

// The nodes of a graph: interfaces or routers at a hop, with the links that lead to and from each.
function connect(graph, level) {
  const routers = new Map(level === "routers" ? graph.routers.flatMap((its) => its.map((place) => [place, its])) : []);
  const nodes = new Map();
  const find = (ttl, place) => {
    const its = routers.get(place) ?? [place];
    const key = `${ttl} ${its[0]}`;
    if (!nodes.has(key)) {
      const addresses = its.map((each) => graph.addresses[each]);
      const name = addresses[0] + (its.length > 1 ? ` +${its.length - 1}` : "");
      nodes.set(key, { ttl, order: its[0], name, addresses, before: [], after: [] });
    }
    return nodes.get(key);
  };
  for (const [ttl, near, far, flows] of graph.links) {
    const [from, to] = [find(ttl, near), find(ttl + 1, far)];
    const known = from.after.find((link) => link.far === to);
    if (known) {
      known.flows += flows;
      continue;
    }
    const link = { near: from, far: to, flows };
    from.after.push(link);
    to.before.push(link);
  }
  return [...nodes.values()];
}

// Each hop's nodes from top to bottom, close to those before them, so that few links cross.
function arrange(nodes) {
  const hops = new Map();
  for (const node of nodes) hops.set(node.ttl, [...(hops.get(node.ttl) ?? []), node]);
  const ttls = [...hops.keys()].sort((one, other) => one - other);
  for (const ttl of ttls) {
    const hop = hops.get(ttl);
    for (const node of hop) {
      const places = node.before.map((link) => link.near.place);
      node.wanted = places.length ? places.reduce((sum, place) => sum + place) / places.length : 0;
    }
    hop.sort((one, other) => one.wanted - other.wanted || one.order - other.order);
    hop.forEach((node, number) => { node.place = number - (hop.length - 1) / 2; });
  }
  return ttls.map((ttl) => hops.get(ttl));
}

const isWide = (hop) => hop.length > NARROW;
const measure = (hop) => CHARACTER * Math.max(...hop.map((node) => node.name.length));

// Gives each node its place in the drawing; returns the drawing's width and height.
function place(hops) {
  let x = 14;
  let top = 0;
  let bottom = 0;
  let before = null;
  for (const hop of hops) {
    for (const node of hop) node.y = node.place * (isWide(hop) ? PITCH : NARROW_PITCH);
    const beyond = isWide(hop) ? 8 : GAP + measure(hop);
    top = Math.min(top, hop[0].y - beyond);
    bottom = Math.max(bottom, hop.at(-1).y + (isWide(hop) || hop.length === 1 ? 8 : beyond));
    if (before) {
      const highest = Math.max(hop.at(-1).y, before.at(-1).y);
      const isChain = hop.length === 1 && before.length === 1;
      x += isChain ? CHAIN_STEP : Math.max(STEP, highest / RISE);
    }
    for (const node of hop) {
      node.x = x;
      node.exit = x + (isWide(hop) ? GAP + measure(hop) + 3 : 0);
    }
    x = hop[0].exit;
    before = hop;
  }
  for (const node of hops.flat()) node.y += TOP - top;
  return [x + 14, TOP + bottom - top + 6];
}

function label(node, hop) {
  if (isWide(hop)) return make("text", { x: node.x + GAP, y: node.y + 4 }, node.name);
  const below = node.place > 0;
  return make("text", {
    transform: `translate(${node.x + 4} ${node.y + (below ? GAP : -GAP)}) rotate(-90)`,
    "text-anchor": below ? "end" : "start",
  }, node.name);
}

function draw() {
  const { number, level } = shown;
  const graph = graphs[number];
  const hops = arrange(connect(graph, level));
  const [width, height] = place(hops);
  const nodes = hops.flat();
  const links = nodes.flatMap((node) => node.after);
  const most = Math.max(...links.map((link) => link.flows));
  const svg = make("svg", {
    width, height, viewBox: `0 0 ${width} ${height}`, tabindex: 0, role: "application",
    "aria-label": `${graph.title}. Arrow keys go from ${level.slice(0, -1)} to ${level.slice(0, -1)}.`,
  });
  for (const link of links) {
    const { near, far } = link;
    const middle = (near.exit + far.x) / 2;
    link.drawn = make("path", {
      class: "link", "stroke-width": 0.8 + 2.4 * link.flows / most,
      d: `M${near.exit} ${near.y}C${middle} ${near.y} ${middle} ${far.y} ${far.x} ${far.y}`,
    });
    svg.append(link.drawn);
  }
  for (const hop of hops) {
    svg.append(make("text", { class: "hop", x: hop[0].x, y: 14 }, hop[0].ttl));
    for (const node of hop) {
      node.drawn = make("g", { class: "node" });
      node.drawn.append(make("circle", { cx: node.x, cy: node.y, r: 4.5 }), label(node, hop));
      node.drawn.addEventListener("click", () => choose(node));
      svg.append(node.drawn);
    }
  }

  let chosen = null;
  function choose(node) {
    chosen = node;
    svg.classList.toggle("chosen", node !== null);
    for (const each of nodes) each.drawn.classList.remove("on", "it");
    for (const each of links) each.drawn.classList.remove("on");
    if (!node) {
      tell(sumUp(graph, nodes, links.length));
      return;
    }
    follow(node, "before", "near");
    follow(node, "after", "far");
    node.drawn.classList.add("it");
    const flows = (some) => some.reduce((sum, link) => sum + link.flows, 0);
    tell(`${describe(node)} at hop ${node.ttl}: ${count(node.before.length, "link")} in, `
      + `${count(node.after.length, "link")} out, seen by `
      + `${count(Math.max(flows(node.before), flows(node.after)), "flow")}. `
      + "Highlighted is what leads to it and on from it.");
  }

  svg.addEventListener("click", (event) => { if (event.target === svg) choose(null); });
  svg.addEventListener("keydown", (event) => {
    const hop = chosen && hops.find((each) => each.includes(chosen));
    const beside = (step) => hop?.[hop.indexOf(chosen) + step] ?? chosen;
    const steps = {
      ArrowRight: () => chosen ? chosen.after[0]?.far ?? chosen : nodes[0],
      ArrowLeft: () => chosen ? chosen.before[0]?.near ?? chosen : nodes[0],
      ArrowDown: () => chosen ? beside(1) : nodes[0],
      ArrowUp: () => chosen ? beside(-1) : nodes[0],
      Escape: () => null,
    };
    if (!(event.key in steps)) return;
    event.preventDefault();
    choose(steps[event.key]());
    chosen?.drawn.scrollIntoView({ block: "nearest", inline: "nearest" });
  });

  canvas.replaceChildren(svg);
  title.textContent = graph.title;
  press(buttons, "graph", String(number));
  press(levels, "level", level);
  choose(null);
}

// Marks all links and nodes that are reached from a node in one direction.
function follow(node, direction, end) {
  const reached = new Set([node]);
  for (const each of reached) {
    each.drawn.classList.add("on");
    for (const link of each[direction]) {
      link.drawn.classList.add("on");
      reached.add(link[end]);
    }
  }
}

const count = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
const tell = (text) => { told.textContent = text; };

const press = (some, key, chosen) => some.forEach((button) => button.setAttribute("aria-pressed", button.dataset[key] === chosen));
const describe = (node) => node.addresses.length > 1 ? `The router of ${node.addresses.join(", ")}` : node.addresses[0];

function sumUp(graph, nodes, drawn) {
  const noun = shown.level.slice(0, -1);
  const all = `${count(new Set(nodes.map((node) => node.order)).size, noun)}, ${count(drawn, "link")}. `;
  const some = graph.found > graph.links.length ? `These are the links with the most flows; there are ${graph.found.toLocaleString("en")}. ` : "";
  return `${all}${some}The wider a line, the more flows. Choose one to see what leads to it.`;
}

buttons.forEach((button) => button.addEventListener("click", () => {
  shown.number = Number(button.dataset.graph);
  draw();
}));
levels.forEach((button) => button.addEventListener("click", () => {
  shown.level = button.dataset.level;
  draw();
}));
draw();
