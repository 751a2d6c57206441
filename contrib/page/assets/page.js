// The pages move: parts that have changed come from the server and take the
// place of what is shown. Without this module they can be read all the same.
import { Stream } from "./stream.js";
import "./timeline.js";

const main = document.getElementById("main");
const trusted = globalThis.trustedTypes?.createPolicy("page", { createHTML: s => s, createScriptURL: s => s })
	?? { createHTML: s => s, createScriptURL: s => s };
const assets = new URL(".", import.meta.url);

function parse(html) {
	const template = document.createElement("template");
	template.innerHTML = trusted.createHTML(html);
	return template.content.firstElementChild;
}

// own are attributes that the page gives by itself.
const own = /^(open|style|role|tabindex|aria-(label|value.*))$/;

// morph makes one node like another, and leaves what is the same: the focus, the
// selection and the place of scrolling stay.
function morph(node, like) {
	if (node.nodeType !== like.nodeType || node.nodeName !== like.nodeName || (node.id || like.id) && node.id !== like.id) {
		node.replaceWith(document.importNode(like, true));
		return;
	}
	if (node.nodeType !== Node.ELEMENT_NODE) {
		if (node.nodeValue !== like.nodeValue) node.nodeValue = like.nodeValue;
		return;
	}
	for (const { name } of [...node.attributes]) if (!like.hasAttribute(name) && !own.test(name)) node.removeAttribute(name);
	for (const { name, value } of like.attributes) if (node.getAttribute(name) !== value) node.setAttribute(name, value);
	const wanted = [...like.childNodes];
	while (node.childNodes.length > wanted.length) node.lastChild.remove();
	wanted.forEach((child, i) => {
		if (node.childNodes[i]) morph(node.childNodes[i], child); else node.append(document.importNode(child, true));
	});
}

function put({ id, in: holder, after, html }) {
	const fresh = parse(html);
	const parent = holder ? document.getElementById(holder) : null;
	let element = document.getElementById(id);
	if (holder && !parent || !holder && !element) return;
	if (element && (!parent || element.parentNode === parent)) {
		morph(element, fresh);
	} else {
		element?.remove();
		element = fresh;
	}
	if (!parent) return;
	const before = after ? document.getElementById(after) : null;
	if (before?.parentNode === parent) {
		if (before.nextElementSibling !== element) before.after(element);
	} else if (parent.firstElementChild !== element) {
		parent.prepend(element);
	}
}

export function apply(update) {
	const logs = [...document.querySelectorAll(".lines")].filter(e => e.scrollTop + e.clientHeight > e.scrollHeight - 8);
	if (update.all) {
		const there = new Set(update.ops.map(op => op.id));
		for (const part of document.querySelectorAll("[data-parts] > *")) if (!there.has(part.id)) part.remove();
	}
	for (const id of update.gone ?? []) document.getElementById(id)?.remove();
	for (const op of update.ops ?? []) put(op);
	for (const log of logs) log.scrollTop = log.scrollHeight;
	tick();
	document.dispatchEvent(new Event("page:update"));
}

// Times that pass are written anew by the browser.

let ahead = 0; // how much the clock of the server is ahead

function span(seconds) {
	const sign = seconds < 0 ? "-" : "", s = Math.abs(seconds), two = n => String(Math.floor(n)).padStart(2, "0");
	if (s < 10) return sign + s.toFixed(2) + "s";
	if (s < 60) return sign + s.toFixed(1) + "s";
	if (s < 3600) return sign + Math.floor(s / 60) + "m" + two(s % 60) + "s";
	if (s < 86400) return sign + Math.floor(s / 3600) + "h" + two(s % 3600 / 60) + "m";
	return sign + Math.floor(s / 86400) + "d" + two(s % 86400 / 3600) + "h";
}

function tick() {
	const now = Date.now() + ahead;
	for (const time of document.querySelectorAll("time[data-age], time[data-left]")) {
		const at = Date.parse(time.dateTime);
		const text = "age" in time.dataset ? span(Math.max(0, now - at) / 1000) : span(Math.max(0, at - now) / 1000);
		if (time.textContent !== text) time.textContent = text;
	}
}

setInterval(() => { if (!document.hidden) tick(); }, 1000);
for (const log of document.querySelectorAll(".lines")) log.scrollTop = log.scrollHeight;

// The stream, of a worker for all pages if the browser has such workers.

const live = document.getElementById("live");

function state(is) {
	live.dataset.is = is;
	live.textContent = is === "live" ? "live" : "no connection";
}

let connection = null;

function connect() {
	if (globalThis.SharedWorker) {
		const { port } = new SharedWorker(trusted.createScriptURL(new URL("worker.js", assets).href), { type: "module" });
		port.onmessage = ({ data }) => {
			if (data.state) state(data.state);
			if (data.update?.view === main.dataset.view) apply(data.update);
		};
		connection = { show: view => port.postMessage({ view }), hide: () => port.postMessage({}) };
	} else {
		const stream = new Stream(new URL("../stream", assets).href, update => update.view === main.dataset.view && apply(update), state);
		connection = { show: view => stream.show([view]), hide: () => stream.close() };
	}
	connection.show(main.dataset.view);
}

// A page that is kept for "back" freezes the worker with it, and the stream would stay open.
// So it is left before; a page that stays after all, as with a download, goes on.
let staying = 0;
addEventListener("beforeunload", () => {
	connection.hide();
	clearTimeout(staying);
	staying = setTimeout(() => connection.show(main.dataset.view), 2000);
});
addEventListener("pagehide", () => { clearTimeout(staying); connection.hide(); });
addEventListener("pageshow", event => { if (event.persisted) connection.show(main.dataset.view); });
connect();

// The list is filtered while one types.

const filter = document.querySelector("form.filter");
let typing = 0, latest = 0;

async function choose() {
	const query = new URLSearchParams([...new FormData(filter)].filter(([, value]) => value !== ""));
	const address = filter.action.split("?")[0] + (query.size ? "?" + query : "");
	const mine = ++latest;
	const answer = await fetch(address, { headers: { Accept: "text/html" } });
	const text = await answer.text();
	if (!answer.ok || mine !== latest) return;
	const page = new DOMParser().parseFromString(trusted.createHTML(text), "text/html");
	for (const id of ["notice", "states", "jobs", "pager"]) morph(document.getElementById(id), page.getElementById(id));
	main.dataset.view = page.getElementById("main").dataset.view;
	history.replaceState(null, "", address);
	connection.show(main.dataset.view);
}

filter?.addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(choose, 200); });
filter?.addEventListener("submit", event => { event.preventDefault(); clearTimeout(typing); choose(); });
addEventListener("keydown", event => {
	if (event.key !== "/" || event.ctrlKey || event.metaKey || /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) return;
	const search = document.querySelector("input[type=search]");
	if (search) { event.preventDefault(); search.focus(); }
});

// A cell of the map says what it stands for, and leads there. For the keyboard and for
// screen readers the map is a slider over its cells.

const kinds = { done: "succeeded", some: "some succeeded", active: "running", failed: "failed", open: "not begun" };

function cellOf(map, x, y) {
	const { from, to, each, columns } = Object.fromEntries(Object.entries(map.dataset).map(([k, v]) => [k, Number(v)]));
	const first = from + (y * columns + x) * each, last = Math.min(first + each, to) - 1, n = i => i.toLocaleString("en");
	if (x < 0 || x >= columns || y < 0 || first >= to) return null;
	const run = [...map.querySelectorAll("rect")].find(({ x: { baseVal: at }, y: { baseVal: row }, width: { baseVal: width } }) =>
		row.value === y && at.value <= x && x < at.value + width.value);
	const name = first === last ? `Index ${n(first)}` : `Indexes ${n(first)} to ${n(last)}`;
	return { text: `${name}: ${kinds[run.getAttribute("class")]}`, search: first === last ? `?index=${first}` : `?from=${first}&to=${last + 1}` };
}

function cellAt(event) {
	const map = event.target.closest?.("svg.map");
	if (!map) return null;
	const box = map.getBoundingClientRect(), { width, height } = map.viewBox.baseVal;
	return cellOf(map, Math.floor((event.clientX - box.left) / box.width * width), Math.floor((event.clientY - box.top) / box.height * height));
}

addEventListener("pointermove", event => {
	const cell = cellAt(event);
	if (cell) document.getElementById("cell").textContent = cell.text;
});
addEventListener("click", event => {
	const cell = cellAt(event);
	if (cell) location.search = cell.search;
});

const cells = document.getElementById("cells");
let chosen = 0; // the cell of the slider

function slide(to) {
	const map = cells.querySelector("svg"), { width: columns, height: rows } = map.viewBox.baseVal;
	const most = Math.ceil((map.dataset.to - map.dataset.from) / map.dataset.each) - 1;
	chosen = Math.min(Math.max(to, 0), most);
	const x = chosen % columns, y = Math.floor(chosen / columns);
	const is = { role: "slider", tabindex: 0, "aria-label": map.getAttribute("aria-label") + ". Cell of the map, Enter opens it",
		"aria-valuemin": 0, "aria-valuemax": most, "aria-valuenow": chosen, "aria-valuetext": cellOf(map, x, y).text };
	for (const [name, value] of Object.entries(is)) if (cells.getAttribute(name) !== String(value)) cells.setAttribute(name, value);
	const place = { "--x": x / columns, "--y": y / rows, "--w": 1 / columns, "--h": 1 / rows };
	for (const [name, share] of Object.entries(place)) cells.style.setProperty(name, 100 * share + "%");
}

if (cells?.querySelector("rect")) {
	slide(0);
	document.addEventListener("page:update", () => slide(chosen));
	cells.addEventListener("keydown", event => {
		const map = cells.querySelector("svg"), columns = map.viewBox.baseVal.width;
		const to = { ArrowLeft: chosen - 1, ArrowRight: chosen + 1, ArrowUp: chosen - columns, ArrowDown: chosen + columns, Home: 0, End: Infinity }[event.key];
		if (event.ctrlKey || event.metaKey || event.altKey) return;
		if (event.key === "Enter") location.search = cellOf(map, chosen % columns, Math.floor(chosen / columns)).search;
		if (to === undefined) return;
		event.preventDefault();
		if (to >= 0 && to <= Number(cells.getAttribute("aria-valuemax")) || to === Infinity) slide(to);
		document.getElementById("cell").textContent = cells.getAttribute("aria-valuetext");
	});
}

// The clock of the server is that of its last update.
function setClock() {
	const now = Number(document.getElementById("scale")?.dataset.now);
	if (now) ahead = now - Date.now();
}
document.addEventListener("page:update", setClock);
setClock();
tick();
