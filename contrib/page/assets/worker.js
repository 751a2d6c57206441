// One stream for all pages of this browser.
import { Stream } from "./stream.js";

const pages = new Map(); // from port to view
const states = { last: "" };

const stream = new Stream(
	new URL("../stream", self.location).href,
	update => { for (const [port, view] of pages) if (view === update.view) port.postMessage({ update }); },
	state => { states.last = state; for (const port of pages.keys()) port.postMessage({ state }); },
);

function follow(joined) {
	if (pages.size === 0) {
		stream.close();
		return;
	}
	const before = stream.views;
	stream.show(pages.values());
	if (joined && stream.views === before) stream.reopen(); // the page needs the whole of its view
}

self.onconnect = ({ ports: [port] }) => {
	port.onmessage = ({ data }) => {
		if (data.view === undefined) pages.delete(port); else pages.set(port, data.view);
		follow(data.view !== undefined);
	};
};
