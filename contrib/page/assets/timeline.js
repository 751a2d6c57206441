// The timeline of a job: a picture of the table of its attempts.

const svgNS = "http://www.w3.org/2000/svg";
const laneHeight = 26, axisHeight = 22, markHeight = 14, mostLanes = 64;
const section = document.getElementById("timeline");

function svg(name, attributes, ...children) {
	const element = document.createElementNS(svgNS, name);
	for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
	element.append(...children);
	return element;
}

function set(element, attributes) {
	for (const [key, value] of Object.entries(attributes)) {
		if (element.getAttribute(key) !== value) element.setAttribute(key, value);
	}
}

// read reads the attempts from the table, in order of creation.
function read() {
	const attempts = [...document.querySelectorAll("#attempts > tr")].map(row => {
		const d = row.dataset, link = row.querySelector("a");
		return {
			id: row.id, a: Number(d.a), b: d.b ? Number(d.b) : Infinity, again: d.again ? Number(d.again) : 0, is: d.is.toLowerCase(),
			index: Number(d.index), number: Number(d.number), restarts: Number(d.restarts), over: "over" in d, name: link.textContent, href: link.getAttribute("href"),
			runs: (d.runs ?? "").split(" ").filter(Boolean).map(run => run.split("/")),
			text: [...row.cells].slice(2).map(cell => cell.textContent.trim()).filter(Boolean).join(" · "),
		};
	});
	return attempts.reverse();
}

// slots gives each attempt to the first lane that was free when it was created.
// A lane once given stays.
const given = new Map();

function slots(attempts) {
	const free = [];
	for (const attempt of attempts) {
		let lane = given.get(attempt.id) ?? free.findIndex(until => until <= attempt.a);
		if (lane < 0) lane = free.length;
		while (free.length <= lane) free.push(-Infinity);
		free[lane] = Math.max(free[lane], attempt.b);
		given.set(attempt.id, lane);
		attempt.lane = lane;
	}
	return free.map((_, i) => `slot ${i + 1}`);
}

// indexes gives each index a lane, those of the latest attempts if there are many.
function indexes(attempts) {
	const latest = [...new Set(attempts.map(attempt => attempt.index).reverse())].slice(0, mostLanes);
	latest.sort((a, b) => a - b);
	for (const attempt of attempts) attempt.lane = latest.indexOf(attempt.index);
	return latest.map(index => String(index));
}

// pieces are an attempt's runs, if it was restarted in place, or the attempt as a whole.
// Of many runs the server has the latest.
function pieces(attempt) {
	const last = attempt.runs.length - 1;
	return last < 0 ? [attempt] : attempt.runs.map(([a, b, exit], i) => ({
		...attempt, a: Number(a), b: b ? Number(b) : attempt.b, again: 0, restarts: attempt.restarts - (last - i),
		id: attempt.id + "r" + (attempt.restarts - (last - i)), is: i < last || attempt.is === "waiting" ? "failed" : attempt.is,
		text: i < last ? `run ${attempt.restarts - (last - i) + 1} · exit code ${exit}` : attempt.text,
	}));
}

// restarts are the times between the runs of an attempt, and before the first of them
// that is known if there were others.
function restarts(attempt) {
	const unknown = attempt.restarts + 1 - attempt.runs.length;
	const ends = [unknown > 0 ? attempt.a : 0, ...attempt.runs.map(run => Number(run[1]))];
	const starts = [...attempt.runs.map(run => Number(run[0])), attempt.again];
	return ends.map((a, i) => ({ id: `w${attempt.id}r${unknown - 1 + i}`, lane: attempt.lane, a, b: starts[i] }))
		.filter(wait => wait.a && wait.b > wait.a);
}

// waits are the times between a failed attempt and the next of its index. A slot may be
// taken meanwhile: then the wait is drawn below what is in its lane.
function waits(attempts, retry) {
	const list = [];
	for (const [i, attempt] of attempts.entries()) {
		if (attempt.runs.length) list.push(...restarts(attempt));
		if (attempt.over || !["failed", "disrupted"].includes(attempt.is)) continue;
		const next = attempts.slice(i + 1).find(other => attempt.index < 0 ? other.a >= attempt.b : other.index === attempt.index);
		const b = next?.a ?? retry;
		const below = attempts.slice(i + 1).some(other => other.lane === attempt.lane && other.a < b);
		if (b > attempt.b) list.push({ id: "w" + attempt.id, lane: attempt.lane, a: attempt.b, b, below });
	}
	return list;
}

function label(attempt, byIndex) {
	let text = attempt.index >= 0 && !byIndex ? String(attempt.index) : "";
	if (attempt.number > 0 && attempt.index >= 0) text += (text ? "·" : "retry ") + attempt.number;
	if (attempt.restarts > 0) text += ` ↻${attempt.restarts}`;
	if (attempt.is === "failed") text += " ✗";
	if (attempt.is === "disrupted") text += " ◆";
	return text.trim();
}

class Timeline {
	constructor() {
		this.byIndex = false;
		this.mode = "fit";
		this.boxes = new Map();
		this.plot = section.querySelector(".plot");
		this.lanes = section.querySelector(".lanes");
		this.chart = section.querySelector(".chart");
		this.back = svg("g", {});
		this.front = svg("g", {});
		this.axis = svg("g", {});
		this.svg = svg("svg", { class: "lines-of-time" }, this.axis, this.back, this.front);
		this.plot.append(this.svg);
		this.listen();
		this.sync();
	}

	// now is the time of the server; in a file that is the time at which it was made.
	get now() {
		return document.getElementById("live") ? Date.now() + this.ahead : this.made;
	}

	// sync takes up what the page says now.
	sync() {
		const scale = document.getElementById("scale").dataset;
		this.made = Number(scale.now);
		this.ahead = this.made - Date.now();
		this.start = Number(scale.start);
		this.end = scale.end ? Number(scale.end) : 0;
		this.retry = scale.retry ? Number(scale.retry) : 0;
		this.marks = [["next try", this.retry], ["deadline", Number(scale.deadline ?? 0)]].filter(([, at]) => at && (!this.end || at <= this.end));
		const attempts = read();
		const labels = this.byIndex ? indexes(attempts) : slots(attempts);
		const drawn = attempts.filter(attempt => attempt.lane >= 0 && attempt.lane < mostLanes);
		section.hidden = attempts.length === 0;
		section.querySelector("[data-do=lanes]").hidden = !attempts.some(attempt => attempt.index >= 0);
		this.first = attempts.length ? attempts.reduce((first, attempt) => Math.min(first, attempt.a), Infinity) : this.start;
		if (this.first - this.start < 0.2 * (this.now - this.start)) this.first = this.start;
		this.last = Math.max(this.end, ...attempts.map(attempt => attempt.b === Infinity ? 0 : attempt.b));
		this.running = attempts.some(attempt => attempt.b === Infinity);
		this.drawLanes(labels.slice(0, mostLanes));
		this.drawBoxes(drawn.flatMap(pieces), waits(drawn, this.retry));
		this.drawMarks();
		this.place();
		this.run();
	}

	drawLanes(labels) {
		if (this.labels === labels.join()) return;
		this.labels = labels.join();
		this.count = labels.length;
		this.lanes.replaceChildren(...labels.map(text => Object.assign(document.createElement("li"), { textContent: text })));
	}

	drawBoxes(attempts, waits) {
		const there = new Set();
		for (const attempt of attempts) {
			there.add(attempt.id);
			let box = this.boxes.get(attempt.id);
			if (!box) {
				box = svg("svg", { height: "20" }, svg("a", { href: attempt.href, tabindex: "-1" },
					svg("title", {}), svg("rect", { width: "100%", height: "20", rx: "4" }), svg("text", { x: "5", y: "14.5" })));
				box.label = box.querySelector("text");
				this.front.append(box);
				this.boxes.set(attempt.id, box);
			}
			box.times = attempt;
			set(box, { class: "box " + attempt.is, y: String(attempt.lane * laneHeight + 3) });
			const title = `${attempt.name}\n${attempt.text}`;
			if (box.querySelector("title").textContent !== title) box.querySelector("title").textContent = title;
			const text = label(attempt, this.byIndex);
			if (box.label.textContent !== text) box.label.textContent = text;
		}
		for (const wait of waits) {
			there.add(wait.id);
			let box = this.boxes.get(wait.id);
			if (!box) {
				box = svg("svg", { class: "wait", height: "20", overflow: "visible" }, svg("line", { x1: "0", x2: "100%" }));
				this.back.append(box);
				this.boxes.set(wait.id, box);
			}
			box.times = wait;
			const y = wait.below ? "22" : "10";
			set(box.firstChild, { y1: y, y2: y });
			set(box, { y: String(wait.lane * laneHeight + 3) });
		}
		for (const [id, box] of this.boxes) {
			if (there.has(id) || box.fixed) continue;
			box.remove();
			this.boxes.delete(id);
		}
	}

	// drawMarks draws suspensions, the deadline and the next retry.
	drawMarks() {
		for (const [id, box] of this.boxes) if (box.fixed) { box.remove(); this.boxes.delete(id); }
		const height = String((this.count ?? 0) * laneHeight);
		const mark = (id, box, times) => { this.back.prepend(box); this.boxes.set(id, Object.assign(box, { times, fixed: true })); };
		const changes = [...document.querySelectorAll("#scale > i")].map(i => ({ at: Number(i.dataset.at), is: i.dataset.is })).sort((x, y) => x.at - y.at);
		changes.forEach((change, i) => {
			if (change.is !== "Suspended") return;
			const until = changes.slice(i + 1).find(other => other.is === "Resumed")?.at ?? (this.end || Infinity);
			mark("s" + i, svg("svg", { class: "band", y: "0", height }, svg("rect", { width: "100%", height: "100%" })), { a: change.at, b: until });
		});
		const below = (this.count ?? 0) * laneHeight + axisHeight;
		this.marks.forEach(([name, at], i) => {
			const text = svg("text", { x: "-5", y: String(below + markHeight * (i + 1) - 4), "text-anchor": "end" });
			const line = svg("line", { y2: String(below + markHeight * (i + 1)) });
			mark(name, Object.assign(svg("svg", { class: "mark " + name.replace(" ", "-"), overflow: "visible" }, line, text), { name }), { a: at, b: at });
		});
		set(this.svg, { height: String(below + markHeight * this.marks.length) });
	}

	// window is the time that is shown.
	window() {
		const now = this.end && !this.running ? this.last : this.now;
		const near = this.marks.map(([, at]) => at).filter(at => at - now < now - this.first);
		const from = this.first, to = Math.max(now, from + 50, ...near);
		if (this.mode === "fit") return [from, to + (to - from) * 0.02];
		if (this.mode === "follow") return [now - this.width * 0.95, now + this.width * 0.05];
		return [this.from, this.from + this.width];
	}

	place() {
		const [from, to] = this.window();
		const share = at => (Math.min(Math.max(at, from - (to - from)), to + (to - from)) - from) / (to - from);
		const pixels = this.plot.clientWidth;
		for (const box of this.boxes.values()) {
			const { a, b } = box.times;
			if (box.name) { // a mark that is later than what is shown stands at the end
				set(box, { x: (100 * Math.min(share(a), 1)).toFixed(3) + "%" });
				box.lastChild.textContent = box.name + (a > to ? " →" : "");
				continue;
			}
			const end = b === Infinity ? (this.end && !this.running ? this.last : this.now) : b;
			const wide = share(end) - share(a);
			set(box, { x: (100 * share(a)).toFixed(3) + "%", width: Math.max(100 * wide, box.fixed ? 0 : 0.25).toFixed(3) + "%" });
			if (box.label) set(box.label, { visibility: wide * pixels > 8 + 7.5 * box.label.textContent.length ? "visible" : "hidden" });
		}
		this.drawAxis(from, to, share);
	}

	// drawAxis draws about six marks at round times since the job's creation.
	drawAxis(from, to, share) {
		const least = (to - from) / Math.max(2, Math.min(7, this.plot.clientWidth / 110));
		const step = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 15e3, 3e4, 6e4, 12e4, 3e5, 6e5, 18e5, 36e5, 72e5, 216e5, 432e5, 864e5]
			.find(unit => unit >= least) ?? 864e5 * Math.ceil(least / 864e5);
		const height = (this.count ?? 0) * laneHeight;
		const ticks = [];
		for (let t = Math.ceil((from - this.start) / step) * step; this.start + t <= to; t += step) {
			const x = (100 * share(this.start + t)).toFixed(3) + "%";
			const text = svg("text", { x: "3", y: String(height + 15) });
			text.textContent = clock(t, step);
			ticks.push(svg("svg", { class: "tick", x, overflow: "visible" }, svg("line", { y2: String(height + 4) }), text));
		}
		this.axis.replaceChildren(...ticks);
	}

	// run lets time pass in the picture while something runs.
	run() {
		if (this.timer || this.end && !this.running) return;
		this.timer = setTimeout(() => {
			this.timer = 0;
			requestAnimationFrame(() => { this.place(); this.run(); });
		}, this.running ? 100 : 500);
	}

	// zoom shows a part of the time, by a factor around a share of it.
	zoom(factor, around = 0.5) {
		const [from, to] = this.window();
		const follows = this.mode === "follow";
		this.width = Math.max((to - from) * factor, 5);
		this.from = from + (to - from - this.width) * around;
		this.choose(follows ? "follow" : "free");
	}

	pan(share) {
		const [from, to] = this.window();
		this.width = to - from;
		this.from = from + this.width * share;
		this.choose("free");
	}

	choose(mode) {
		if (mode === "follow" && this.mode !== "follow" && this.mode !== "free") {
			const [from, to] = this.window();
			this.width = Math.max((to - from) / 3, 50);
		}
		this.mode = mode;
		for (const name of ["fit", "follow"]) section.querySelector(`[data-do=${name}]`).setAttribute("aria-pressed", String(mode === name));
		this.place();
	}

	do(what) {
		switch (what) {
		case "lanes": {
			this.byIndex = !this.byIndex;
			section.querySelector("[data-do=lanes]").setAttribute("aria-pressed", String(this.byIndex));
			this.sync();
			break;
		}
		case "in": this.zoom(0.5); break;
		case "out": this.zoom(2); break;
		case "left": this.pan(-0.2); break;
		case "right": this.pan(0.2); break;
		default: this.choose(what);
		}
	}

	listen() {
		section.addEventListener("click", event => {
			const what = event.target.closest("[data-do]")?.dataset.do;
			if (what) this.do(what);
		});
		const keys = { "+": "in", "=": "in", "-": "out", ArrowLeft: "left", ArrowRight: "right", 0: "fit", f: "follow" };
		this.chart.addEventListener("keydown", event => {
			if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
			event.preventDefault();
			this.do(keys[event.key]);
		});
		this.plot.addEventListener("wheel", event => {
			if (!event.ctrlKey) return;
			event.preventDefault();
			this.zoom(event.deltaY > 0 ? 1.2 : 1 / 1.2, event.offsetX / this.plot.clientWidth);
		}, { passive: false });
		let last = null;
		this.plot.addEventListener("pointerdown", event => { last = event.clientX; });
		addEventListener("pointermove", event => {
			if (last === null || Math.abs(event.clientX - last) < 3) return;
			this.pan((last - event.clientX) / this.plot.clientWidth);
			last = event.clientX;
		});
		addEventListener("pointerup", () => { last = null; });
		addEventListener("resize", () => this.place());
		document.addEventListener("page:update", () => this.sync());
	}
}

// clock writes a time since the start, as fine as the marks are.
function clock(ms, step) {
	if (step < 1000) return (ms / 1000).toFixed(step < 10 ? 3 : step < 100 ? 2 : 1) + "s";
	const s = Math.round(ms / 1000);
	if (s < 60) return s + "s";
	if (s < 3600) return Math.floor(s / 60) + "m" + (s % 60 ? String(s % 60).padStart(2, "0") + "s" : "");
	if (s < 86400) return Math.floor(s / 3600) + "h" + (s % 3600 ? String(Math.floor(s % 3600 / 60)).padStart(2, "0") + "m" : "");
	return Math.floor(s / 86400) + "d" + (s % 86400 ? Math.floor(s % 86400 / 3600) + "h" : "");
}

if (section) new Timeline();
