// The three pictures of the guide, drawn from jobs that run. The pages of contrib/page
// say when a job has changed, over one stream, and what it is then.
import { Stream } from "/jobs/assets/stream.js";

const live = document.getElementById("live");
const pictures = new Map(); // by name of the job that is drawn

const stream = new Stream(new URL("/jobs/stream", location).href,
	update => pictures.get(update.view.replace("job/", ""))?.look(),
	state => { live.dataset.is = state; live.textContent = state === "live" ? "live" : "no connection"; });

function element(name, attributes, ...children) {
	const e = document.createElement(name);
	for (const [key, value] of Object.entries(attributes)) if (value !== false) e.setAttribute(key, value);
	e.append(...children);
	return e;
}

function svg(name, attributes, ...children) {
	const e = document.createElementNS("http://www.w3.org/2000/svg", name);
	for (const [key, value] of Object.entries(attributes)) e.setAttribute(key, value);
	e.append(...children);
	return e;
}

const seconds = ms => (ms / 1000).toFixed(2) + "s";
const at = time => Date.parse(time);
const percent = share => (100 * share).toFixed(3) + "%";

async function fetchJSON(address) {
	const answer = await fetch(address);
	if (answer.status === 404) return null; // the job is gone: another run has taken its place
	if (!answer.ok) throw new Error(`${address}: ${answer.status}`);
	return answer.json();
}

// A Picture is a section of the page.
class Picture {
	constructor(section) {
		this.section = section;
		this.kind = section.dataset.picture;
		this.drawing = section.querySelector(".drawing");
		this.jobs = new Map(); // from name to what is known of it
		const form = section.querySelector("form");
		form.addEventListener("submit", event => { event.preventDefault(); this.run(form); });
	}

	async run(form) {
		const settings = { picture: this.kind, completions: 1, parallelism: 1, failures: 0, policy: "both", limit: 6, speed: 1 };
		for (const input of form.elements) if (input.name) settings[input.name] = input.name === "policy" ? input.value : Number(input.value);
		const answer = await fetch("/run", { method: "POST", body: JSON.stringify(settings) });
		const wrong = form.querySelector(".wrong");
		wrong.textContent = answer.ok ? "" : await answer.text();
		if (!answer.ok) return;
		for (const name of this.jobs.keys()) pictures.delete(name);
		this.jobs = new Map((await answer.json()).map(name => [name, null]));
		for (const name of this.jobs.keys()) pictures.set(name, this);
		stream.show([...pictures.keys()].map(name => "job/" + name));
		this.look();
	}

	// look asks what the jobs are now; one asking follows the other.
	async look() {
		if (this.looking) { this.again = true; return; }
		this.looking = true;
		do {
			this.again = false;
			for (const name of this.jobs.keys()) {
				const [job, beside] = await Promise.all([fetchJSON(`/jobs/job/${name}?format=json`), fetchJSON(`/beside/${name}`)]);
				if (!job || !beside || !this.jobs.has(name)) continue;
				if (this.kind === "restarts") job.runs = await runsOf(name, job.attempts);
				this.jobs.set(name, { ...job, beside });
			}
			this.draw();
			this.tell();
		} while (this.again);
		this.looking = false;
	}

	get known() {
		return [...this.jobs.values()].filter(Boolean);
	}

	draw() {
		const draw = { life: drawLife, lanes: drawLanes, restarts: drawRestarts }[this.kind];
		this.drawing.replaceChildren(...this.known.map(draw));
		this.drawing.setAttribute("aria-label", this.known.map(job => `${job.status.name}: ${job.status.explain}`).join("; ") || "not run yet");
		const moves = this.known.some(job => !ended(job));
		if (moves && !this.timer) this.timer = setTimeout(() => { this.timer = 0; requestAnimationFrame(() => this.draw()); }, 80);
	}

	// tell shows the job in the words of Go, of its manifest and of kubectl.
	tell() {
		const texts = this.known.flatMap(({ beside }) => [
			["Go", beside.go], ["Manifest", beside.manifest], ...beside.commands.map(c => ["$ " + c.line, c.output]),
		]);
		const place = this.section.querySelector(".beside");
		texts.forEach(([title, text], i) => {
			const box = place.children[i] ?? place.appendChild(element("div", {}, element("h3", { class: "mono" }), element("pre", { tabindex: "0", role: "group" })));
			if (box.firstChild.textContent !== title) box.firstChild.textContent = title;
			if (box.lastChild.textContent !== text) box.lastChild.textContent = text;
			box.lastChild.setAttribute("aria-label", title);
		});
		while (place.children.length > texts.length) place.lastChild.remove();
	}
}

const ended = job => ["Complete", "Failed"].includes(job.status.state);

// runsOf reads from the logs of attempts when their executors ran.
async function runsOf(name, attempts) {
	const runs = [];
	for (const attempt of attempts.toReversed()) {
		const one = await fetchJSON(`/jobs/job/${name}/attempt/${attempt.uid}?format=json`);
		for (const line of one?.log ?? []) {
			if (line.Text.startsWith("hello")) runs.push({ uid: attempt.uid, name: attempt.name, start: at(line.Time) });
			else if (runs.length) Object.assign(runs.at(-1), { end: at(line.Time), is: line.Text.split(":")[0] });
		}
	}
	return runs;
}

function drawLife({ status, attempts }) {
	const start = at(status.createdAt), first = attempts.at(-1);
	const succeeded = attempts.filter(a => a.outcome === "Succeeded").map(a => at(a.finishedAt)).sort((a, b) => a - b);
	const complete = status.completionTime ? at(status.completionTime) : 0;
	const steps = [["create", start], ["run", first?.startedAt ? at(first.startedAt) : 0], ["track", succeeded[0] ?? 0], ["complete", complete], ["retain", complete]];
	const current = steps.findLastIndex(([, time]) => time);
	return element("div", {},
		element("ol", { class: "steps" }, ...steps.map(([name, time], i) => element("li", { class: i === current ? "current" : time ? "done" : "" },
			element("b", {}, name), element("small", {}, time ? seconds(time - start) : "")))),
		element("p", {}, `${status.succeeded} of ${status.completions} succeeded. `, element("span", { class: "quiet" }, status.explain)),
		element("p", { class: "small" }, complete ? `${attempts.length} attempts and their logs are kept for 10 minutes.` : ""));
}

function drawLanes(job) {
	const { status } = job, attempts = job.attempts.toReversed();
	const start = at(status.createdAt), last = Math.max(start, ...attempts.map(a => a.finishedAt ? at(a.finishedAt) : 0));
	const now = ended(job) ? last : Date.now();
	const length = Math.max(now - start, 2000), lanes = [];
	for (const a of attempts) {
		a.lane = lanes.findIndex(free => free <= at(a.createdAt));
		if (a.lane < 0) a.lane = lanes.push(0) - 1;
		lanes[a.lane] = a.finishedAt ? at(a.finishedAt) : Infinity;
	}
	const boxes = attempts.map(a => {
		const from = (at(a.createdAt) - start) / length, to = ((a.finishedAt ? at(a.finishedAt) : now) - start) / length;
		const text = svg("text", { x: "6", y: "18" });
		text.textContent = a.index + (a.number ? ` retry ${a.number}` : "") + (a.outcome === "Failed" ? " ✗" : "");
		return svg("svg", { class: "box " + a.outcome.toLowerCase(), x: percent(from), y: String(a.lane * 34 + 3), width: percent(Math.max(to - from, 0.003)), height: "27" },
			svg("rect", { width: "100%", height: "27", rx: "5" }), text);
	});
	const ticks = Array.from({ length: 5 }, (_, i) => {
		const text = svg("text", { x: "3", y: String(lanes.length * 34 + 16) });
		text.textContent = seconds(length * i / 5);
		return svg("svg", { class: "tick", x: percent(i / 5), overflow: "visible" }, svg("line", { y2: String(lanes.length * 34 + 4) }), text);
	});
	const sum = attempts.reduce((sum, a) => sum + (a.finishedAt ? at(a.finishedAt) : now) - at(a.createdAt), 0);
	return element("div", { class: "plot" },
		svg("svg", { width: "100%", height: String(Math.max(lanes.length, 1) * 34 + 22) }, ...ticks, ...boxes),
		element("p", {}, `${status.state}: ${status.succeeded}/${status.completions} succeeded, ${status.failed} failed` +
			(ended(job) ? `; ${seconds(last - start)} instead of ${seconds(sum)} one by one.` : `, ${status.active} active.`)));
}

function drawRestarts(job) {
	const { status, spec, runs } = job;
	const inPlace = spec.RestartPolicy === "OnFailure", start = at(status.createdAt);
	const list = [];
	let pod = null;
	runs.forEach((run, i) => {
		const wait = i ? run.start - runs[i - 1].end : 0, waited = wait < 5 ? "at once" : "after " + seconds(wait);
		if (!pod || pod.dataset.uid !== run.uid) {
			if (pod) list.push(element("li", { class: "gap" }, waited));
			pod = element("li", { class: "pod", "data-uid": run.uid }, element("p", { class: "mono quiet" }, run.name));
			list.push(pod);
		} else {
			pod.append(element("p", { class: "again" }, "restarted in place, " + waited));
		}
		const result = { fails: "✗ exit code 1", stopped: "■ stopped", done: "✓ done" }[run.is] ?? "… running";
		const title = i === 0 ? "attempt 1" : `${inPlace ? "restart" : "retry"} ${i}`;
		pod.append(element("p", {}, element("b", {}, title), element("span", { class: "quiet" }, seconds(run.start - start)), element("span", {}, result)));
		pod.classList.toggle("running", !run.is);
		pod.classList.toggle("done", run.is === "done");
	});
	const failed = status.conditions?.find(c => c.type === "Failed");
	const count = failed ? `${inPlace ? `${runs.length - 1} restarts reach` : `${status.failed} failed, more than`} the limit of ${spec.BackoffLimit}` : status.explain;
	return element("div", { "data-job": status.name },
		element("h3", {}, "restartPolicy: " + spec.RestartPolicy), element("ol", { class: "runs" }, ...list),
		element("p", { class: "verdict" }, failed ? `Failed: ${failed.reason}` : status.state), element("p", { class: "small" }, count));
}

for (const section of document.querySelectorAll("[data-picture]")) new Picture(section);
